// How large the entries of the log were, as bars: what there is to see of how calls were gathered. Shares, for a configuration that
// makes larger entries makes fewer of them.

import { formatBytes } from '../units.js';
import type { Chart } from './browser/chart.js';
import { drawn, nameOf } from './charts.js';
import type { EntryBuckets, Pair, Result } from './result-file.js';

interface Kind {
  readonly title: string;
  readonly xLabel: string;
  readonly of: (entries: EntryBuckets) => readonly Pair[];
  /** Of what is above `above`, up to `upTo`. */
  readonly band: (above: number, upTo: number) => string;
}

const KINDS: readonly Kind[] = [
  {
    title: 'Requests per entry of the log',
    xLabel: 'requests',
    of: ({ byRequests }) => byRequests,
    band: (above, upTo) => (upTo === above + 1 ? `${upTo}` : `${above + 1}–${upTo}`),
  },
  {
    title: 'Bytes per entry of the log',
    xLabel: 'bytes, up to',
    of: ({ byBytes }) => byBytes,
    band: (_, upTo) => formatBytes(upTo).replace('.0 ', ' '),
  },
];

/** Empty: the file has no sizes of entries, or no entry was made. */
export function entryCharts(result: Result): Chart[] {
  return KINDS.map((kind) => entryChart(result, kind)).filter((chart) => chart !== null);
}

function entryChart(result: Result, { title, xLabel, of, band }: Kind): Chart | null {
  const curves = drawn(result)
    .map((point) => ({
      label: nameOf(point, result.points),
      at: new Map(point.entries === null ? [] : of(point.entries)),
    }))
    .filter(({ at }) => [...at.values()].some((entries) => entries > 0));
  const bounds = [...new Set(curves.flatMap(({ at }) => [...at.keys()]))].sort((a, b) => a - b);
  const isFilled = (upTo: number): boolean => curves.some(({ at }) => (at.get(upTo) ?? 0) > 0);
  const first = bounds.findIndex(isFilled);
  if (first < 0) return null;
  const shown = bounds.slice(first, bounds.findLastIndex(isFilled) + 1);
  return {
    title,
    xLabel,
    yLabel: '% of the entries',
    xScale: 'bands',
    bands: shown.map((upTo, index) => band(bounds[first + index - 1] ?? 0, upTo)),
    yScale: 'linear',
    x: shown.map((_, index) => index),
    series: curves.map(({ label, at }) => {
      const all = [...at.values()].reduce((sum, entries) => sum + entries, 0);
      const share = (upTo: number): number => (at.get(upTo) ?? 0) / all;
      return { label, style: 'bars', y: shown.map((upTo) => Math.round(1e4 * share(upTo)) / 100) };
    }),
  };
}
