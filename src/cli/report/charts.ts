// Which curves a result has, and their figures.

import { frontier } from '../tune/search.js';
import { formatMicros } from '../units.js';
import type { Chart, Series } from './browser/chart.js';
import type { Result, ResultPoint } from './result-file.js';

/** More curves than that nobody tells apart. */
const CURVES_MOST = 8;

/** A combination in words; what all of them share is left out. */
export function nameOf(point: ResultPoint, all: readonly ResultPoint[]): string {
  const parts: [string, (one: ResultPoint) => string][] = [
    ['fsync', (one) => one.fsync],
    ['batch', (one) => one.batch],
    ['window', (one) => String(one.window)],
    ['linger', (one) => formatMicros(one.lingerMicros)],
  ];
  const told = parts.filter(([, of]) => all.some((other) => of(other) !== of(point)));
  return (told.length > 0 ? told : parts.slice(1))
    .map(([name, of]) => `${name} ${of(point)}`)
    .join(', ');
}

/** Those whose curves are drawn: all, or some of the frontier. */
export function drawn({ points }: Result): readonly ResultPoint[] {
  if (points.length <= CURVES_MOST) return points;
  const best = frontier(points);
  const most = Math.min(CURVES_MOST, best.length);
  return Array.from(
    { length: most },
    (_, index) => best[Math.floor((index * best.length) / most)] as ResultPoint,
  );
}

/** Every x of any curve, and of each curve what it has there. */
function together(
  curves: readonly { readonly label: string; readonly at: ReadonlyMap<number, number> }[],
): { x: number[]; series: Series[] } {
  const x = [...new Set(curves.flatMap(({ at }) => [...at.keys()]))].sort((a, b) => a - b);
  const series = curves.map(({ label, at }) => ({
    label,
    style: 'line' as const,
    y: x.map((value) => at.get(value) ?? null),
  }));
  return { x, series };
}

/** null: no run has it. */
export function timelineChart(result: Result): Chart | null {
  const curves = drawn(result)
    .filter(({ timeline }) => timeline.length > 0)
    .map((point) => ({
      label: nameOf(point, result.points),
      at: new Map(point.timeline.map(([ms, opsPerSecond]) => [ms / 1e3, opsPerSecond])),
    }));
  if (curves.length === 0) return null;
  return {
    title: 'Throughput over time (last run of each)',
    xLabel: 'seconds',
    yLabel: 'operations/s',
    xScale: 'linear',
    yScale: 'linear',
    ...together(curves),
  };
}

/** null: the file has none. */
export function percentileChart(result: Result): Chart | null {
  const curves = drawn(result)
    .filter(({ percentiles }) => percentiles.length > 0)
    .map((point) => ({
      label: nameOf(point, result.points),
      // The last one, of 100 %, lies nowhere on this scale; it is the maximum, and stands in the table.
      at: new Map(
        point.percentiles
          .filter(([percentile]) => percentile < 100)
          .map(([percentile, micros]) => [100 / (100 - percentile), Math.max(micros, 0.1)]),
      ),
    }));
  if (curves.length === 0) return null;
  return {
    title: 'Latency percentiles',
    xLabel: 'percentile',
    yLabel: 'microseconds',
    xScale: 'percentile',
    yScale: 'logarithmic',
    ...together(curves),
  };
}

/** null: there is nothing to weigh against each other. */
export function frontierChart({ points }: Result): Chart | null {
  const answered = points
    .filter(({ opsPerSecond, p99Us }) => opsPerSecond > 0 && p99Us > 0)
    .sort((a, b) => a.p99Us - b.p99Us);
  if (answered.length < 2) return null;
  const best = new Set(frontier(answered));
  return {
    title: 'Throughput against p99',
    xLabel: 'p99, microseconds',
    yLabel: 'operations/s',
    xScale: 'logarithmic',
    yScale: 'linear',
    x: answered.map(({ p99Us }) => p99Us),
    series: [
      { label: 'measured', style: 'points', y: answered.map(({ opsPerSecond }) => opsPerSecond) },
      {
        label: 'frontier',
        style: 'line',
        y: answered.map((point) => (best.has(point) ? point.opsPerSecond : null)),
      },
    ],
  };
}
