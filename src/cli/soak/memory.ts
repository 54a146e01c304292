// Does memory grow? Samples in quiet moments, and a straight line through those after the warm-up. The log grows by what is
// written, and is not truncated: its own bytes are subtracted.

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

export interface MemorySample {
  /** Milliseconds since the beginning. */
  readonly atMs: number;
  /** Heap of the main thread after a collection. */
  readonly heapBytes: number;
  /** Of the process, less what the logs hold. */
  readonly residentBytes: number;
}

export interface Trend {
  readonly samples: number;
  readonly meanBytes: number;
  /** Of the line, and the standard error of that. */
  readonly bytesPerHour: number;
  readonly errorPerHour: number;
  /** What the line rises by between the first and the last sample. */
  readonly growthBytes: number;
  readonly limit: GrowthLimit;
  /** Else nothing can be said, and `flat` is true. */
  readonly enough: boolean;
  readonly flat: boolean;
}

/** Memory grows when it does so faster than the one and by more than the other: in a few minutes there is little to go by. */
export interface GrowthLimit {
  readonly perHour: number;
  readonly bytes: number;
}

const HOUR_MS = 3_600_000;
const MIB = 2 ** 20;
/** A slope counts when it is above the limit by more than so many of its standard errors. */
const ERRORS = 3;
/** Through fewer, the error of a line is itself unknown. */
export const SAMPLES_LEAST = 10;
export const HEAP_LIMIT: GrowthLimit = { perHour: 6 * MIB, bytes: 2 * MIB };
/** Pages that the allocators of threads keep, and give back, are more than any heap. */
export const RESIDENT_LIMIT: GrowthLimit = { perHour: 64 * MIB, bytes: 32 * MIB };

/** The collector of this thread, whether the process was started with --expose-gc or not. */
export function collector(): () => void {
  setFlagsFromString('--expose-gc');
  const gc = globalThis.gc ?? (runInNewContext('gc') as () => void);
  return () => void gc();
}

/** `logBytes`: of all replicas together. */
export function sample(collect: () => void, atMs: number, logBytes: number): MemorySample {
  collect();
  return {
    atMs,
    heapBytes: process.memoryUsage().heapUsed,
    residentBytes: process.memoryUsage.rss() - logBytes,
  };
}

/** Least squares. `least`: samples without which nothing is said. */
export function trend(
  points: readonly { readonly atMs: number; readonly bytes: number }[],
  limit: GrowthLimit,
  least: number = SAMPLES_LEAST,
): Trend {
  const count = points.length;
  const mean = (value: (point: { atMs: number; bytes: number }) => number): number =>
    points.reduce((sum, point) => sum + value(point), 0) / Math.max(1, count);
  const meanAt = mean(({ atMs }) => atMs);
  const meanBytes = mean(({ bytes }) => bytes);
  let across = 0;
  let along = 0;
  for (const { atMs, bytes } of points) {
    across += (atMs - meanAt) * (bytes - meanBytes);
    along += (atMs - meanAt) ** 2;
  }
  const slope = along === 0 ? 0 : across / along;
  let rest = 0;
  for (const { atMs, bytes } of points) rest += (bytes - meanBytes - slope * (atMs - meanAt)) ** 2;
  const error = count > 2 && along > 0 ? Math.sqrt(rest / (count - 2) / along) : 0;
  const bytesPerHour = slope * HOUR_MS;
  const errorPerHour = error * HOUR_MS;
  const growthBytes = slope * ((points.at(-1)?.atMs ?? 0) - (points[0]?.atMs ?? 0));
  const enough = count >= least;
  return {
    samples: count,
    meanBytes,
    bytesPerHour,
    errorPerHour,
    growthBytes,
    limit,
    enough,
    flat:
      !enough ||
      growthBytes <= limit.bytes ||
      bytesPerHour - ERRORS * errorPerHour <= limit.perHour,
  };
}
