import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Allocator } from '../../src/service/allocator.js';
import { PagedHeap } from '../../src/service/paged-heap.js';
import { dice } from './world.js';

interface Block {
  ref: number;
  bytes: number;
  mark: number;
}

function fill(heap: PagedHeap, { ref, bytes, mark }: Block): void {
  heap.touch(ref, 4, bytes - 4);
  const at = (ref & heap.segmentMask) * 16;
  heap.bytes[ref >>> heap.segmentShift]?.fill(mark, at + 4, at + bytes);
}

function intact(heap: PagedHeap, { ref, bytes, mark }: Block): boolean {
  const at = (ref & heap.segmentMask) * 16;
  const memory = heap.bytes[ref >>> heap.segmentShift]?.subarray(at + 4, at + bytes);
  return memory !== undefined && Buffer.alloc(bytes - 4, mark).equals(memory);
}

test('blocks never overlap, end inside their segment, and all come back', () => {
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const roll = dice(seed);
      const heap = new PagedHeap({ storeBytes: 400_000, segmentBytes: 64 << 10 });
      const allocator = new Allocator(heap);
      const empty = allocator.usedBytes;
      const blocks: Block[] = [];
      for (let step = 0; step < 100; step++) {
        if (roll(5) < 3 || blocks.length === 0) {
          const bytes = 17 + (roll(6) === 0 ? roll(40_000) : roll(500));
          const used = allocator.usedBytes;
          const ref = allocator.allocate(bytes);
          if (ref === 0) {
            expect(allocator.usedBytes).toBe(used);
            continue;
          }
          if ((ref & heap.segmentMask) * 16 + bytes > 64 << 10) throw new Error('spans segments');
          const block = { ref, bytes, mark: roll(256) };
          fill(heap, block);
          blocks.push(block);
        } else {
          const [block] = blocks.splice(roll(blocks.length), 1) as [Block];
          if (!intact(heap, block)) throw new Error(`block ${block.ref} was overwritten`);
          allocator.free(block.ref);
        }
      }
      const inUse = blocks.reduce((sum, block) => sum + Math.ceil(block.bytes / 16) * 16, empty);
      expect(allocator.usedBytes).toBeGreaterThanOrEqual(inUse);
      expect(allocator.usedBytes).toBeLessThanOrEqual(inUse + blocks.length * 16);
      for (const block of blocks) {
        expect(intact(heap, block)).toBe(true);
        allocator.free(block.ref);
      }
      expect(allocator.usedBytes).toBe(empty);
      // Everything merged again: the largest block there is fits.
      expect(allocator.allocate(60_000)).toBeGreaterThan(0);
    }),
    { numRuns: 1000 },
  );
}, 60_000);

test('an undo puts back the very bytes, an ended one keeps them', () => {
  const heap = new PagedHeap({ storeBytes: 1 << 20, segmentBytes: 64 << 10 });
  const allocator = new Allocator(heap);
  const kept = [100, 2000, 50, 9000, 30].map((bytes) => allocator.allocate(bytes));
  allocator.free(kept[1] as number);
  const digest = heap.digest();
  const used = allocator.usedBytes;
  heap.beginUndo();
  for (const ref of [kept[0], kept[3]]) allocator.free(ref as number);
  for (let bytes = 20; bytes < 60_000; bytes *= 2)
    fill(heap, { ref: allocator.allocate(bytes), bytes, mark: bytes & 255 });
  heap.rollback();
  expect(heap.digest()).toBe(digest);
  expect(allocator.usedBytes).toBe(used);
  heap.beginUndo();
  allocator.free(kept[3] as number);
  heap.endUndo();
  expect(heap.digest()).not.toBe(digest);
});

test('a block is given back once', () => {
  const heap = new PagedHeap({ storeBytes: 1 << 20 });
  const allocator = new Allocator(heap);
  const ref = allocator.allocate(100);
  allocator.allocate(100);
  allocator.free(ref);
  expect(() => allocator.free(ref)).toThrow(/not a block in use/);
});
