import { expect, test } from 'vitest';
import { ANY_AGE } from '../../src/protocol/message.js';
import { ReadFloors } from '../../src/simulation/swarm/read-floors.js';

/** Op 3 was known to be committed at 10 ms, op 5 at 30 ms. */
function floors(rates: readonly number[] = [1]): ReadFloors {
  const known = new ReadFloors(rates);
  known.committed(3, 10);
  known.committed(2, 20); // by somebody who is behind
  known.committed(5, 30);
  return known;
}

test('I13: a linearizable read shows what was committed before it was asked for', () => {
  expect([0, 10, 11, 30, 31].map((at) => floors().floor(undefined, at))).toEqual([0, 0, 3, 3, 5]);
});

test('RD8: a bound in time reaches back as far as it says, by the slowest clock', () => {
  const level = { session: false, maxStaleMs: 20 };
  expect([30, 31, 50, 51].map((at) => floors().floor(level, at))).toEqual([0, 3, 3, 5]);
  expect([50, 51, 70, 71].map((at) => floors([1.1, 0.5]).floor(level, at))).toEqual([0, 3, 3, 5]);
  expect(floors().floor({ session: true, maxStaleMs: ANY_AGE }, 100)).toBe(0);
});
