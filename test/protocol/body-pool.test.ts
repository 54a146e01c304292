// What waits keeps its bytes whatever comes and goes beside it.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BodyPool } from '../../src/protocol/body-pool.js';

test('a copy stays what it was until it is given back, and its memory serves again', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 1, max: 300_000 }), fc.nat(3)), { maxLength: 40 }),
      (steps) => {
        const pool = new BodyPool();
        const kept: { body: Uint8Array; mark: number }[] = [];
        let mark = 0;
        for (const [length, drop] of steps) {
          mark = (mark + 1) & 0xff;
          const source = new Uint8Array(length).fill(mark);
          const body = pool.copy(source);
          source.fill(0);
          kept.push({ body, mark });
          if (drop === 0) pool.give(kept.shift()?.body ?? body);
          for (const one of kept) expect(one.body.every((byte) => byte === one.mark)).toBe(true);
        }
      },
    ),
    { numRuns: 30 },
  );
});

test('memory of a size serves the next of that size, and only once', () => {
  const pool = new BodyPool();
  const first = pool.copy(new Uint8Array(5000).fill(1));
  pool.give(first);
  const second = pool.copy(new Uint8Array(6000).fill(2));
  const third = pool.copy(new Uint8Array(6000).fill(3));
  expect(second.buffer).toBe(first.buffer);
  expect(third.buffer).not.toBe(second.buffer);
  expect([second.length, second[5999], third[0]]).toEqual([6000, 2, 3]);
});
