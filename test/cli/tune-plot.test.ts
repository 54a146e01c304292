// The plot of a search in a terminal: every point is there, under the mark that it deserves, and the scales are readable.

import { expect, test } from 'vitest';
import { frontierPlot } from '../../src/cli/tune/plot.js';

const POINTS = [
  { opsPerSecond: 300_000, p99Us: 90 },
  { opsPerSecond: 1_100_000, p99Us: 800 },
  { opsPerSecond: 700_000, p99Us: 2500 },
  { opsPerSecond: 1_780_000, p99Us: 21_000 },
];
const FRONTIER = POINTS.filter((_, index) => index !== 2);

function count(text: string, mark: string): number {
  // The legend has each mark once.
  return text.split(mark).length - 2;
}

test('has a mark for every point, and scales in round numbers', () => {
  const text = frontierPlot(POINTS, { frontier: FRONTIER, proposal: POINTS[1] ?? null }) ?? '';
  expect([count(text, '·'), count(text, '○'), count(text, '◆')]).toEqual([1, 2, 1]);
  for (const tick of ['0', '500K', '1M', '1.5M'])
    expect(text).toMatch(new RegExp(`^ *${tick}┤`, 'm'));
  expect(text.split('\n').at(-1)?.trim().split(/\s+/)).toEqual(
    '100us 200us 500us 1ms 2ms 5ms 10ms 20ms'.split(' '),
  );
});

test('draws latencies that are close together, and nothing where there is one', () => {
  const close = [
    { opsPerSecond: 100, p99Us: 310 },
    { opsPerSecond: 120, p99Us: 330 },
  ];
  const text = frontierPlot(close, { frontier: close, proposal: null }) ?? '';
  expect(count(text, '○')).toBe(2);
  expect(text).toMatch(/310us +330us$/);
  expect(frontierPlot(close.slice(1), { frontier: [], proposal: null })).toBeNull();
  expect(frontierPlot([], { frontier: [], proposal: null })).toBeNull();
});
