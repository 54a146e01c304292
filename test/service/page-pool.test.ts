import fc from 'fast-check';
import { expect, test } from 'vitest';
import { PagePool } from '../../src/service/page-pool.js';

const PAGE = 256;
const step = fc.record({ do: fc.constantFrom('keep', 'keep', 'giveBack', 'trim'), n: fc.nat(700) });

test('copies stay what they are; memory grows only when none is free, and what is empty can be dropped', () => {
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 40, size: 'max' }),
      fc.constantFrom(64, 128, 8192),
      (steps, slabKib) => {
        const slab = Math.min(1024, slabKib) << 10;
        const pool = new PagePool(PAGE, slabKib << 10);
        const kept = new Map<number, number>();
        const memory = new Uint8Array(3 * PAGE);
        let mark = 0;
        let most = 0;
        const free = (): number => pool.bytes / PAGE - kept.size;
        for (const { do: action, n } of steps) {
          const before = free();
          if (action === 'keep')
            for (let left = n; left > 0; left--) {
              const full = free() === 0;
              const { bytes } = pool;
              memory.fill(++mark & 255, PAGE, 2 * PAGE);
              const slot = pool.keep(memory, PAGE);
              if (kept.has(slot)) expect.fail(`slot ${slot} is in use`);
              if (pool.bytes !== bytes + (full ? slab : 0)) expect.fail(`${bytes} bytes grew`);
              most = Math.max(most, pool.bytes);
              // Gaps that dropped slabs left are filled.
              if (slot >= most / PAGE) expect.fail(`slot ${slot} in ${most} bytes`);
              kept.set(slot, mark & 255);
            }
          else if (action === 'giveBack')
            for (const slot of [...kept.keys()].filter((_, at) => (at * 7919) % 700 < n)) {
              pool.giveBack(slot);
              kept.delete(slot);
            }
          else {
            pool.trim(n);
            expect(free()).toBeGreaterThanOrEqual(Math.min(n, before));
            if (kept.size === 0) expect(free()).toBeLessThan(Math.max(1, n + slab / PAGE));
          }
        }
        for (const [slot, byte] of kept) {
          const page = pool.page(slot);
          if (page.length !== PAGE || page.some((found) => found !== byte))
            expect.fail(`slot ${slot}`);
        }
      },
    ),
    { numRuns: 200 },
  );
});

test('a page longer than a slab is a slab of its own', () => {
  const pool = new PagePool(2 << 20, 4 << 20);
  for (const byte of [1, 2]) {
    const slot = pool.keep(new Uint8Array(2 << 20).fill(byte), 0);
    expect([pool.page(slot)[5], pool.bytes]).toEqual([byte, byte << 21]);
  }
});
