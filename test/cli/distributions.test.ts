// Draws of keys against what their distributions promise. Seeds are fixed and tolerances wide for the number of draws: what fails
// here is wrong, not unlucky.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  chooserOf,
  type Distribution,
  type Population,
  Random,
  THETA,
  Zipfian,
  zeta,
} from '../../src/cli/distributions.js';
import { PROPERTY } from '../fuzz/counts.js';

const DRAWS = 100_000;

function population(count: number): Population & { count: number; newest: number } {
  return { count, newest: count - 1, initial: count };
}

/** How often each key was drawn. */
function draw(distribution: Distribution, keys: Population, seed = 1, draws = DRAWS): number[] {
  const random = new Random(seed);
  const chooser = chooserOf(distribution, keys, 0);
  const counts = Array.from({ length: keys.count }, () => 0);
  for (let at = 0; at < draws; at++) {
    const key = chooser.choose(random.next());
    counts[key] = (counts[key] as number) + 1;
  }
  return counts;
}

describe('zeta', () => {
  test('is the sum', () => {
    let sum = 0;
    for (let items = 1; items <= 50_000; items++) {
      sum += items ** -THETA;
      if (items % 100 === 1) expect(zeta(items)).toBeCloseTo(sum, 9);
    }
  });

  test("of ten thousand million is YCSB's constant", () => {
    expect(zeta(1e10)).toBeCloseTo(26.46902820178302, 6);
  });
});

describe('zipfian ranks', () => {
  const share = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
  const items = fc.oneof(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 2_000_000 }));

  test('are ranks, and grow with the share', () => {
    fc.assert(
      fc.property(items, share, share, (count, a, b) => {
        const zipfian = new Zipfian(count);
        const [low, high] = [zipfian.rank(Math.min(a, b)), zipfian.rank(Math.max(a, b))];
        expect(low).toBeLessThanOrEqual(high);
        for (const rank of [low, high]) {
          expect(Number.isInteger(rank)).toBe(true);
          expect(rank).toBeGreaterThanOrEqual(0);
          expect(rank).toBeLessThan(count);
        }
      }),
      { ...PROPERTY, numRuns: 200 },
    );
  });

  test('have the chances of the distribution: exactly the first two, nearly the others', () => {
    const count = 10_000;
    const zipfian = new Zipfian(count);
    const ranks = Array.from({ length: DRAWS }, (_, at) => zipfian.rank((at + 0.5) / DRAWS));
    const below = (rank: number): number => ranks.filter((one) => one < rank).length / DRAWS;
    for (const rank of [1, 2]) expect(below(rank)).toBeCloseTo(zeta(rank) / zeta(count), 4);
    for (const rank of [10, 100, 1000, 5000])
      expect(Math.abs(below(rank) - zeta(rank) / zeta(count))).toBeLessThan(0.03);
  });

  test('of a distribution that grew are those of one that was made so large', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 300 }), fc.nat(40), share, (count, more, at) => {
        const grown = new Zipfian(count);
        for (let added = 0; added < more; added++) grown.grow();
        // The last digits of the two sums differ: at the edge of a rank both sides of it are right.
        const near = [at * (1 - 1e-9), at, Math.min(at * (1 + 1e-9), 1 - 1e-12)];
        const made = new Zipfian(count + more);
        expect(near.map((one) => made.rank(one))).toContain(grown.rank(at));
      }),
      { ...PROPERTY, numRuns: 200 },
    );
  });
});

describe('keys', () => {
  test('uniform: all as often', () => {
    const counts = draw('uniform', population(100));
    // Five standard deviations of a binomial.
    const expected = DRAWS / 100;
    for (const count of counts)
      expect(Math.abs(count - expected)).toBeLessThan(5 * Math.sqrt(expected));
  });

  test.each([1000, 50_000])('zipfian over %i keys: a few often, anywhere, the same few', (keys) => {
    const counts = draw('zipfian', population(keys));
    const byCount = counts.map((count, key) => ({ key, count })).sort((a, b) => b.count - a.count);
    const share = (top: number): number =>
      byCount.slice(0, top).reduce((sum, { count }) => sum + count, 0) / DRAWS;
    // What other ranks fall on the same keys comes on top, the more the fewer keys there are.
    expect(share(1)).toBeGreaterThan(0.95 / zeta(1e10));
    expect(share(1)).toBeLessThan(1.1 / zeta(1e10));
    expect(share(10)).toBeGreaterThan(0.95 * (zeta(10) / zeta(1e10)));
    expect(share(10)).toBeLessThan(1.25 * (zeta(10) / zeta(1e10)));
    const popular = byCount.slice(0, 20).map(({ key }) => key);
    for (const half of [0, 1])
      expect(popular.filter((key) => (key < keys / 2 ? 0 : 1) === half).length).toBeGreaterThan(3);
    const other = draw('zipfian', population(keys), 2);
    const first = popular[0] as number;
    expect(other[first]).toBe(Math.max(...other));
  });

  test('latest: the newest most often, and the newest is what was inserted last', () => {
    const keys = population(1000);
    const random = new Random(7);
    const chooser = chooserOf('latest', keys, 0);
    for (const inserted of [0, 1, 50]) {
      for (let at = 0; at < inserted; at++) {
        keys.count++;
        keys.newest++;
        chooser.grow();
      }
      const counts = Array.from({ length: keys.count }, () => 0);
      for (let at = 0; at < DRAWS; at++) {
        const key = chooser.choose(random.next());
        counts[key] = (counts[key] as number) + 1;
      }
      const [newest = 0, before = 0, third = 0] = counts.reverse();
      expect(newest / DRAWS).toBeCloseTo(1 / zeta(keys.count), 2);
      expect(before / DRAWS).toBeCloseTo(0.5 ** THETA / zeta(keys.count), 2);
      expect(third).toBeLessThan(before);
      expect(counts.slice(0, 100).reduce((sum, count) => sum + count, 0) / DRAWS).toBeGreaterThan(
        0.6,
      );
    }
  });

  test('latest over a ring that is full: beside the newest lie the oldest', () => {
    const keys = { count: 10, newest: 3, initial: 5 };
    const chooser = chooserOf('latest', keys, 0);
    const random = new Random(1);
    const seen = new Set(Array.from({ length: 2000 }, () => chooser.choose(random.next())));
    expect([...seen].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  test('sequential: each once a round; generators begin where others do not', () => {
    expect(draw('sequential', population(10), 1, 30)).toEqual(Array.from({ length: 10 }, () => 3));
    const second = chooserOf('sequential', population(10), 0.5);
    expect(Array.from({ length: 6 }, () => second.choose(0))).toEqual([5, 6, 7, 8, 9, 0]);
  });

  test.each(['uniform', 'zipfian', 'latest'] as const)('%s: from the seed alone', (name) => {
    const keys = population(500);
    expect(draw(name, keys, 3, 2000)).toEqual(draw(name, keys, 3, 2000));
    expect(draw(name, keys, 3, 2000)).not.toEqual(draw(name, keys, 4, 2000));
  });
});
