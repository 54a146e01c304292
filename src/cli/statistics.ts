// Medians and spreads over runs, and the few percentiles that are shown. Means of runs on a shared machine are not used: one
// throttled run would drag them.

import type { RecordableHistogram } from 'node:perf_hooks';

export function median(values: readonly number[]): number {
  if (values.length === 0) return 0;
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  const upper = sorted[half] as number;
  return sorted.length % 2 === 1 ? upper : ((sorted[half - 1] as number) + upper) / 2;
}

/** (largest - smallest) / median; 0 for a single value. */
export function spread(values: readonly number[]): number {
  const middle = median(values);
  return middle === 0 ? 0 : (Math.max(...values) - Math.min(...values)) / middle;
}

export interface Latency {
  readonly count: number;
  readonly minUs: number;
  readonly meanUs: number;
  readonly p50Us: number;
  readonly p90Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
  readonly maxUs: number;
}

const NO_LATENCY: Latency = {
  count: 0,
  minUs: 0,
  meanUs: 0,
  p50Us: 0,
  p90Us: 0,
  p99Us: 0,
  p999Us: 0,
  maxUs: 0,
};

/** Nanoseconds in, microseconds with a tenth out. */
export function latencyOf(histogram: RecordableHistogram): Latency {
  if (histogram.count === 0) return NO_LATENCY;
  const micros = (nanoseconds: number): number => Math.round(nanoseconds / 100) / 10;
  return {
    count: histogram.count,
    minUs: micros(histogram.min),
    meanUs: micros(histogram.mean),
    p50Us: micros(histogram.percentile(50)),
    p90Us: micros(histogram.percentile(90)),
    p99Us: micros(histogram.percentile(99)),
    p999Us: micros(histogram.percentile(99.9)),
    maxUs: micros(histogram.max),
  };
}
