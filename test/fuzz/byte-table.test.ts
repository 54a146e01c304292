// The table over the heap next to a Map: put, overwrite, delete and look up under good hashes and under ones that collide on purpose,
// through growth and shrinking, rolled back now and then; in the end everything is given back.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Allocator } from '../../src/service/allocator.js';
import { ByteTable, hashKey } from '../../src/service/byte-table.js';
import { PagedHeap } from '../../src/service/paged-heap.js';
import { KEY_WORD, Records, recordBytes } from '../../src/service/record.js';
import { viewOf } from '../../src/service/words.js';
import { PROPERTY, TIMEOUT_MS } from './counts.js';

const timeout = TIMEOUT_MS;

type Step =
  | { readonly do: 'put'; readonly key: number; readonly bytes: number }
  | { readonly do: 'drop'; readonly key: number }
  /** Runs of neighbouring keys: what makes the table grow and shrink. */
  | { readonly do: 'putRun' | 'dropRun'; readonly key: number; readonly count: number }
  | { readonly do: 'undone'; readonly steps: readonly Step[] };

const KEYS = 700;
const key = fc.oneof(fc.nat(20), fc.nat(KEYS - 1));
const bytes = fc.oneof(fc.nat(40), fc.nat(3000));
const runOfKeys: fc.Arbitrary<Step> = fc.record({
  do: fc.constantFrom('putRun' as const, 'putRun' as const, 'dropRun' as const),
  key,
  count: fc.nat(400),
});
const simple: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('put' as const), key, bytes }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('drop' as const), key }) },
  { weight: 2, arbitrary: runOfKeys },
);
const undone = fc
  .array(fc.oneof(simple, runOfKeys), { maxLength: 5 })
  .map((steps) => ({ do: 'undone', steps }) as const);
const steps = fc.array(
  fc.oneof({ weight: 9, arbitrary: simple }, { weight: 1, arbitrary: undone }),
  { maxLength: 16 },
);

/** Keys of all lengths up to 11, no two alike; some differ only in zeros at the end, which padding looks like. */
const NAMES = Array.from({ length: KEYS }, (_, n) => {
  const name = Buffer.alloc(1 + (n % 11));
  name.writeUInt8(1 + Math.floor(n / 11 / 200), 0);
  if (name.length > 1) name.writeUInt8(Math.floor(n / 11) % 200, 1);
  else name.writeUInt8(Math.floor(n / 11) % 256, 0);
  return new Uint8Array(name);
});

/** How keys are hashed: as they are, to a few values, or to values that agree in the bits that choose a bucket. */
const HASHES = {
  own: (view: DataView, length: number): number => hashKey(view, 0, length),
  few: (view: DataView, length: number): number => 1 + (hashKey(view, 0, length) & 3),
  high: (view: DataView, length: number): number => hashKey(view, 0, length) | 0xffff,
  one: (): number => -1,
};

interface Bench {
  readonly heap: PagedHeap;
  readonly allocator: Allocator;
  readonly table: ByteTable;
  readonly records: Records;
  readonly hash: (view: DataView, length: number) => number;
  model: Map<number, { ref: number; seed: number; bytes: number }>;
  seed: number;
}

function bench(storeBytes: number, hash: Bench['hash']): Bench {
  const heap = new PagedHeap({ storeBytes, segmentBytes: 64 << 10 });
  const allocator = new Allocator(heap);
  const table = new ByteTable({ heap, allocator, keyWord: KEY_WORD });
  return { heap, allocator, table, records: new Records(heap), hash, model: new Map(), seed: 0 };
}

const CONTENT = Uint8Array.from({ length: 4096 }, (_, at) => (at * 89) >> 2);

function find(b: Bench, which: number): { ref: number; hash: number; view: DataView } {
  const name = NAMES[which] as Uint8Array;
  const view = viewOf(name);
  const hash = b.hash(view, name.length);
  return { ref: b.table.find(view, 0, name.length, hash), hash, view };
}

/** Asked so often that `expect` would take most of the time. */
function checkRef(b: Bench, which: number, ref: number): void {
  const expected = b.model.get(which)?.ref ?? 0;
  if (ref !== expected) throw new Error(`key ${which} is at ${ref} instead of ${expected}`);
}

/** @returns false when the heap is full; something may have changed then. */
function put(b: Bench, which: number, length: number): boolean {
  const { ref, hash, view } = find(b, which);
  checkRef(b, which, ref);
  const keyBytes = view.byteLength;
  if (ref !== 0) b.allocator.free(ref);
  const block = b.allocator.allocate(recordBytes(keyBytes, length));
  if (block === 0) return false;
  const seed = ++b.seed % 1000;
  const value = { view: viewOf(CONTENT), from: seed, length };
  b.records.write(block, { view, keyAt: 0, keyBytes }, value, { revision: 1, created: 1 });
  if (ref === 0) {
    if (!b.table.insert(hash, block)) return false;
  } else if (block !== ref) b.table.replace(hash, ref, block);
  b.model.set(which, { ref: block, seed, bytes: length });
  return true;
}

function drop(b: Bench, which: number): void {
  const { ref, hash } = find(b, which);
  checkRef(b, which, ref);
  if (ref === 0) return;
  b.table.remove(hash, ref);
  b.allocator.free(ref);
  b.model.delete(which);
}

/** Runs `steps` as one: what does not fit is taken back as a whole. */
function run(b: Bench, list: readonly Step[], keep: boolean): void {
  const before = new Map(b.model);
  const digest = b.heap.digest();
  b.table.undoBegins();
  b.heap.beginUndo();
  const fits = list.every((one) => {
    if (one.do === 'put') return put(b, one.key, one.bytes);
    if (one.do === 'drop') drop(b, one.key);
    else if (one.do === 'undone') throw new Error('an undo within an undo');
    else
      for (let n = 0; n < one.count; n++) {
        const which = (one.key + n) % KEYS;
        if (one.do === 'dropRun') drop(b, which);
        else if (!put(b, which, (which * 7) % 50)) return false;
      }
    return true;
  });
  if (fits && keep) {
    b.heap.endUndo();
    return;
  }
  b.heap.rollback();
  b.table.rolledBack();
  b.model = before;
  expect(b.heap.digest()).toBe(digest);
}

function expectSame(b: Bench): void {
  expect(b.table.count).toBe(b.model.size);
  const view = viewOf(new Uint8Array(4096));
  for (let which = 0; which < KEYS; which++) {
    const { ref } = find(b, which);
    const known = b.model.get(which);
    checkRef(b, which, ref);
    if (known === undefined) continue;
    b.records.copyOut(ref, view, 0);
    const length = b.records.valueBytes(ref);
    const found = new Uint8Array(view.buffer, 0, length);
    const expected = CONTENT.subarray(known.seed, known.seed + known.bytes);
    if (Buffer.compare(found, expected) !== 0) expect([...found]).toEqual([...expected]);
  }
}

test.each(Object.keys(HASHES) as (keyof typeof HASHES)[])(
  'any sequence of steps under hashes of the sort: %s',
  { timeout },
  (sort) => {
    let grown = 0;
    fc.assert(
      fc.property(steps, fc.constantFrom(96 << 10, 1 << 20), (list, storeBytes) => {
        const b = bench(storeBytes, HASHES[sort]);
        const empty = b.allocator.usedBytes;
        for (const one of list)
          if (one.do === 'undone') run(b, one.steps, false);
          else run(b, [one], true);
        expectSame(b);
        if (b.model.size > 300) grown++;
        // The mirrors are nothing but a copy of the pages.
        b.table.reload();
        expectSame(b);
        for (let which = 0; which < KEYS; which++) drop(b, which);
        expect(b.table.count).toBe(0);
        // Where a chain is long, the table cannot shrink with it: it makes up for that with the next removals.
        if (sort !== 'own')
          for (let left = KEYS; left > 0; left--) {
            put(b, 0, 0);
            drop(b, 0);
          }
        expect(b.allocator.usedBytes).toBe(empty);
        // All that was freed is one piece again.
        expect(b.allocator.allocate((64 << 10) - empty)).toBeGreaterThan(0);
      }),
      { ...PROPERTY, numRuns: Math.ceil((PROPERTY.numRuns ?? 0) / 4) },
    );
    expect(grown).toBeGreaterThan(0);
  },
);

test('chunks that went and came elsewhere are found where they were after a rollback', () => {
  const b = bench(1 << 20, HASHES.own);
  const all = { do: 'putRun', key: 0, count: KEYS } as const;
  run(b, [all], true);
  run(b, [{ do: 'dropRun', key: 0, count: KEYS }, { do: 'put', key: 0, bytes: 3000 }, all], false);
  expectSame(b);
});

test('a hash stands for the bytes alone, wherever they lie, and is never 0', { timeout }, () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), fc.nat(9), (name, lead) => {
      const around = new Uint8Array(name.length + lead + 5).fill(0x5a);
      around.set(name, lead);
      const hash = hashKey(viewOf(around), lead, name.length);
      expect(hash).toBe(hashKey(viewOf(name), 0, name.length));
      expect(hash).toBe(hash | 0);
      expect(hash).not.toBe(0);
    }),
    PROPERTY,
  );
});
