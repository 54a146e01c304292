// What the host of a virtual machine took, from the system's own ticks.

import { expect, test } from 'vitest';
import { isBusy } from '../../src/cli/capacity.js';
import { type MachineTicks, parseTicks, StolenTime } from '../../src/cli/stolen.js';

const STAT = `cpu  100 20 30 800 5 1 4 40 7 3
cpu0 50 10 15 400 2 1 2 20 7 3
intr 12345
`;

test('all kinds of time count once, and steal is the eighth', () => {
  expect(parseTicks(STAT)).toEqual({ all: 1000, stolen: 40 });
});

test.each([
  ['nothing', ''],
  ['another file', 'MemTotal: 1 kB\n'],
  ['a system that does not count it', 'cpu  1 2 3 4\n'],
  ['no numbers', 'cpu  1 2 3 4 5 6 7 x\n'],
])('%s tells nothing', (_what, text) => {
  expect(parseTicks(text)).toBeNull();
});

test('the share is that of the time since', () => {
  const ticks: (MachineTicks | null)[] = [
    { all: 1000, stolen: 40 },
    { all: 1000, stolen: 40 },
    { all: 1200, stolen: 70 },
    null,
  ];
  const time = new StolenTime(() => ticks.shift() ?? null);
  expect(time.share()).toBeNull();
  expect(time.share()).toBeCloseTo(30 / 200);
  expect(time.share()).toBeNull();
});

test.each([
  [{ capacityBefore: 1.9, capacityAfter: 1.8, stolen: null }, false],
  [{ capacityBefore: 1.9, capacityAfter: 1.8, stolen: 0.05 }, false],
  [{ capacityBefore: 1.9, capacityAfter: 1.8, stolen: 0.06 }, true],
  [{ capacityBefore: 1.6, capacityAfter: 1.8, stolen: 0 }, true],
  [{ capacityBefore: 1.8, capacityAfter: 1.6, stolen: null }, true],
])('%o: busy %s', (conditions, busy) => {
  expect(isBusy(conditions)).toBe(busy);
});
