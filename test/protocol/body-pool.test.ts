// What waits keeps its bytes whatever comes and goes beside it.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type BodyMemory, BodyPool } from '../../src/protocol/body-pool.js';

test('a copy stays what it was until it is given back, and its memory serves again', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.tuple(
          fc.oneof(fc.integer({ min: 1, max: 300_000 }), fc.integer({ min: 1, max: 3000 })),
          fc.nat(3),
        ),
        { maxLength: 40 },
      ),
      (steps) => {
        const pool = new BodyPool();
        const kept: { memory: BodyMemory; from: number; to: number; mark: number }[] = [];
        let mark = 0;
        for (const [length, drop] of steps) {
          mark = (mark + 1) & 0xff;
          const source = new Uint8Array(length + 2).fill(mark, 1, length + 1);
          const memory = pool.copy(source, 1, length + 1);
          kept.push({ memory, from: memory.used - length, to: memory.used, mark });
          const oldest = kept[0];
          if (drop === 0 && oldest !== undefined) {
            pool.give(oldest.memory);
            kept.shift();
          }
          for (const {
            memory: { bytes },
            from,
            to,
            mark: own,
          } of kept)
            expect(bytes.subarray(from, to).every((byte) => byte === own)).toBe(true);
        }
      },
    ),
    { numRuns: 30 },
  );
});

function copyOf(pool: BodyPool, length: number, byte: number): BodyMemory {
  return pool.copy(new Uint8Array(length).fill(byte), 0, length);
}

test('memory of a size serves the next of that size, and only once', () => {
  const pool = new BodyPool();
  const first = copyOf(pool, 5000, 1);
  pool.give(first);
  const second = copyOf(pool, 6000, 2);
  const third = copyOf(pool, 6000, 3);
  expect(second).toBe(first);
  expect(third).not.toBe(second);
  expect([second.used, second.bytes[5999], third.bytes[0]]).toEqual([6000, 2, 3]);
});

test('short ones share memory, which serves again when the last of them is given back', () => {
  const pool = new BodyPool();
  const first = copyOf(pool, 100, 1);
  expect(copyOf(pool, 100, 2)).toBe(first);
  expect(first.used).toBe(200);
  pool.give(first);
  expect(first.used).toBe(200);
  pool.give(first);
  expect(first.used).toBe(0);
  const full = Array.from({ length: 1000 }, () => copyOf(pool, 100, 3));
  expect(new Set(full).size).toBeGreaterThan(1);
  for (const memory of full) pool.give(memory);
  expect(full.every(({ used, live }) => used === 0 && live === 0)).toBe(true);
});
