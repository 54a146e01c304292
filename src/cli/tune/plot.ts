// Throughput against p99 for a terminal: what was measured as dots, the frontier as circles, the proposal as a diamond.

import { type Point, plot } from 'simple-ascii-chart';
import { formatMicros } from '../units.js';

interface Figures {
  readonly opsPerSecond: number;
  readonly p99Us: number;
}

const WIDTH = 64;
const HEIGHT = 16;
const MARK = { measured: '·', frontier: '○', proposal: '◆' } as const;
/** Lines of the scale that are easy to read, of every power of ten. */
const STEPS = [1, 2, 5];
const SCALE_MOST = 6;

function powers(least: number, most: number): number[] {
  const first = Math.floor(Math.log10(least));
  const last = Math.ceil(Math.log10(most));
  return Array.from({ length: last - first + 1 }, (_, index) => 10 ** (first + index));
}

/** 1, 2 and 5 times powers of ten within the two; the two themselves where there are fewer than two. */
function logarithmicTicks(least: number, most: number): number[] {
  const ticks = powers(least, most)
    .flatMap((power) => STEPS.map((step) => step * power))
    .filter((tick) => tick >= least && tick <= most);
  return ticks.length < 2 ? [least, most] : ticks;
}

function linearTicks(most: number): number[] {
  const step = powers(most / 100, most)
    .flatMap((power) => STEPS.map((factor) => factor * power))
    .find((candidate) => most / candidate <= SCALE_MOST) as number;
  return Array.from({ length: Math.floor(most / step) + 1 }, (_, index) => index * step);
}

/** @returns null where there are not two different latencies to draw. */
export function frontierPlot(
  points: readonly Figures[],
  marked: { readonly frontier: readonly Figures[]; readonly proposal: Figures | null },
): string | null {
  const latencies = points.map(({ p99Us }) => p99Us);
  const [least, most] = [Math.min(...latencies), Math.max(...latencies)];
  if (points.length === 0 || least === most) return null;
  const top = Math.max(...points.map(({ opsPerSecond }) => opsPerSecond));
  const marks = new Map<string, string>();
  const place = ({ opsPerSecond, p99Us }: Figures): Point => [Math.log10(p99Us), opsPerSecond];
  for (const point of marked.frontier) marks.set(String(place(point)), MARK.frontier);
  if (marked.proposal !== null) marks.set(String(place(marked.proposal)), MARK.proposal);
  const chart = plot([...points].sort((a, b) => a.p99Us - b.p99Us).map(place), {
    width: WIDTH,
    height: HEIGHT,
    yRange: [0, top],
    customXAxisTicks: logarithmicTicks(least, most).map(Math.log10),
    customYAxisTicks: linearTicks(top),
    formatter: (value, { axis }) =>
      axis === 'x'
        ? formatMicros(Number((10 ** value).toPrecision(3)))
        : value.toLocaleString('en-US', { notation: 'compact' }),
    lineFormatter: ({ x, y, plotX, plotY }) => ({
      x: plotX,
      y: plotY,
      symbol: marks.get(String([x, y])) ?? MARK.measured,
    }),
  });
  const legend = `operations/s over p99   ${MARK.measured} measured  ${MARK.frontier} frontier  ${MARK.proposal} proposal`;
  return `${legend}\n${chart.replace(/^\n|\s+$/g, '')}`;
}
