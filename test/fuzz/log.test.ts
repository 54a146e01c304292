// The log next to an array: appending copies and own bodies, replacing a suffix, growth of the arena, and that an entry handed out
// once never changes, whatever is cut off and appended afterwards.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { reserve, touchedSegments } from '../../src/protocol/arena.js';
import { ProtocolViolation } from '../../src/protocol/assert.js';
import { ChainHasher } from '../../src/protocol/chain.js';
import {
  appendCopy,
  appendOwned,
  chainAt,
  chainIfPresent,
  detach,
  ENTRY_OVERHEAD_BYTES,
  emptyLog,
  entryAt,
  entryCost,
  head,
  type Log,
  ladder,
  slice,
  tail,
  truncateTo,
} from '../../src/protocol/log.js';
import type { Entry } from '../../src/protocol/message.js';
import type { Chain } from '../../src/protocol/types.js';
import { digest64 } from '../../src/simulation/seeded.js';
import { PROPERTY, TIMEOUT_MS } from './counts.js';

const timeout = TIMEOUT_MS;
const hasher = new ChainHasher(digest64);
const ORIGIN = hasher.origin(7);

type Step =
  | { readonly do: 'append'; readonly way: 'copy' | 'own' | 'arena'; readonly lengths: number[] }
  | { readonly do: 'truncate'; readonly share: number }
  | { readonly do: 'replace'; readonly share: number; readonly lengths: number[] };

const length = fc.oneof(
  { weight: 60, arbitrary: fc.nat(60) },
  { weight: 6, arbitrary: fc.integer({ min: 61, max: 4000 }) },
  { weight: 1, arbitrary: fc.integer({ min: 30_000, max: 140_000 }) },
);
const lengths = fc.array(length, { maxLength: 8 });
const share = fc.double({ min: 0, max: 1, noNaN: true });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('append' as const),
      way: fc.constantFrom('copy' as const, 'own' as const, 'arena' as const),
      lengths,
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('truncate' as const), share }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('replace' as const), share, lengths }) },
);

/** The memory that a received body lies in: overwritten as soon as the step is over, as a ring's is. */
const received = new Uint8Array(256 << 10);

class Bench {
  readonly log: Log = emptyLog(ORIGIN);
  readonly model: Entry[] = [];
  /** Every entry that was ever in the log, and what its body was then. */
  readonly handedOut: { entry: Entry; sum: number }[] = [];
  #count = 0;

  #entry(bytes: number, body: Uint8Array): Entry {
    const op = this.model.length + 1;
    const seed = ++this.#count;
    for (let at = 0; at < bytes; at++) body[at] = seed + at * 13;
    const fields = {
      op,
      epoch: 0,
      view: seed >> 2,
      ts: seed,
      seed,
      kind: 'batch',
      count: 1,
    } as const;
    const previous = this.model.at(-1)?.chain ?? ORIGIN;
    return { ...fields, body, chain: hasher.next(previous, fields, body) };
  }

  append(bytes: number, way: 'copy' | 'own' | 'arena'): void {
    const { log } = this;
    const before = log.bytes;
    let entry: Entry;
    if (way === 'copy') {
      entry = this.#entry(bytes, received.subarray(3, 3 + bytes));
      appendCopy(log, entry);
      entry = { ...entry, body: entry.body.slice() };
      received.fill(0xee, 3, 3 + bytes);
    } else if (way === 'own') {
      entry = this.#entry(bytes, new Uint8Array(bytes));
      appendOwned(log, entry);
    } else {
      // As the primary does: the body is built where it will stay.
      const { arena } = log;
      reserve(arena, bytes, head(log));
      const body = arena.segment.subarray(arena.used, arena.used + bytes);
      expect(body.length).toBe(bytes);
      expect(body.every((byte) => byte === 0)).toBe(true);
      arena.used = (arena.used + bytes + 7) & ~7;
      entry = this.#entry(bytes, body);
      appendOwned(log, entry);
    }
    this.model.push({ ...entry, body: entry.body.slice() });
    expect(log.bytes - before).toBe(bytes + ENTRY_OVERHEAD_BYTES);
    const added = entryAt(log, this.model.length);
    this.handedOut.push({ entry: added, sum: sumOf(added.body) });
  }

  truncate(part: number): void {
    const op = Math.round(part * this.model.length);
    truncateTo(this.log, op);
    this.model.length = op;
  }

  check(): void {
    const { log, model } = this;
    expect(head(log)).toBe(model.length);
    expect(log.bytes).toBe(model.reduce((sum, entry) => sum + entryCost(entry), 0));
    let previous: Chain = ORIGIN;
    for (const [index, expected] of model.entries()) {
      const entry = entryAt(log, index + 1);
      if (Buffer.compare(entry.body, expected.body) !== 0) throw new Error(`body of ${entry.op}`);
      expect({ ...entry, body: null }).toEqual({ ...expected, body: null });
      expect(hasher.links(previous, entry)).toBe(true);
      expect(chainAt(log, index + 1)).toEqual(entry.chain);
      previous = entry.chain;
    }
    for (const { entry, sum } of this.handedOut) expect(sumOf(entry.body)).toBe(sum);
    for (const op of [-1, model.length + 1]) expect(chainIfPresent(log, op)).toBe(null);
    expect(chainIfPresent(log, 0)).toEqual(ORIGIN);
    expect(() => entryAt(log, model.length + 1)).toThrow(ProtocolViolation);
    expect(() => entryAt(log, 0)).toThrow(ProtocolViolation);
  }
}

function sumOf(bytes: Uint8Array): number {
  let sum = bytes.length;
  for (let at = 0; at < bytes.length; at += 1 + (bytes.length >> 8))
    sum = (Math.imul(sum, 31) + (bytes[at] as number)) | 0;
  return sum;
}

test('D6: any sequence of appends, cuts and replaced suffixes; no entry changes afterwards', {
  timeout,
}, () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 25 }), fc.nat(20), (steps, spare) => {
      const bench = new Bench();
      if (spare === 0) bench.log.arena.spare.push(...touchedSegments(1));
      for (const one of steps) {
        if (one.do !== 'append') bench.truncate(one.share);
        if (one.do === 'append') for (const bytes of one.lengths) bench.append(bytes, one.way);
        else if (one.do === 'replace')
          for (const [n, bytes] of one.lengths.entries())
            bench.append(bytes, n & 1 ? 'own' : 'copy');
      }
      bench.check();
    }),
    PROPERTY,
  );
});

test('D6: an entry that does not follow is refused, and nothing is different', { timeout }, () => {
  fc.assert(
    fc.property(lengths, fc.integer({ min: -3, max: 12 }), (list, op) => {
      const bench = new Bench();
      for (const bytes of list) bench.append(bytes, 'own');
      fc.pre(op !== list.length + 1);
      const wrong = { ...(bench.model[0] ?? blank), op };
      expect(() => appendOwned(bench.log, wrong)).toThrow(ProtocolViolation);
      bench.check();
    }),
    PROPERTY,
  );
});
const blank: Entry = {
  ...{ op: 0, epoch: 0, view: 0, ts: 0, seed: 0, kind: 'batch', count: 0 },
  body: new Uint8Array(0),
  chain: ORIGIN,
};

test('the arena grows by doubling up to 4 MiB, and takes the segments made ready for it first', () => {
  const MIB = 1 << 20;
  const { arena } = emptyLog(ORIGIN);
  const grown: number[] = [];
  for (let turn = 0; turn < 9; turn++) {
    reserve(arena, 1, 0);
    grown.push(arena.segment.length / 1024);
    arena.used = arena.segment.length;
  }
  expect(grown).toEqual([64, 128, 256, 512, 1024, 2048, 4096, 4096, 4096]);
  arena.spare.push(...touchedSegments(4 * MIB + 1));
  const spare = [...arena.spare];
  expect(spare.map((segment) => segment.length)).toEqual([4 * MIB, 4 * MIB]);
  reserve(arena, 4 * MIB + 8, 0); // does not fit into any of them
  expect([arena.segment.length, arena.spare.length]).toEqual([4 * MIB + 8, 2]);
  arena.used = 8;
  reserve(arena, 4 * MIB, 0); // what is left is just enough
  expect(arena.used).toBe(8);
  arena.used = 9;
  reserve(arena, 4 * MIB, 0);
  expect(arena.segment).toBe(spare[1]);
  expect([arena.used, arena.spare.length]).toEqual([0, 1]);
});

/** A log of entries without bodies; what is asked of it is arithmetic. */
function logOf(count: number, sizes: readonly number[]): Log {
  const log = emptyLog(ORIGIN);
  for (let op = 1; op <= count; op++)
    appendOwned(log, {
      ...blank,
      op,
      body: new Uint8Array(sizes[op % sizes.length] as number),
      chain: [op, op, op, op],
    });
  return log;
}

test('1.5: a ladder is dense at the head, doubles below, and ends at 0', { timeout }, () => {
  fc.assert(
    fc.property(fc.oneof(fc.nat(40), fc.nat(700)), (count) => {
      const log = logOf(count, [0]);
      const ops = ladder(log).map((rung) => rung.op);
      // By the definition: the last 16, then every distance 32, 64, ... above 0, and the origin.
      const expected = Array.from({ length: 16 }, (_, n) => count - n).filter((op) => op > 0);
      for (let power = 5; count - 2 ** power > 0; power++) expected.push(count - 2 ** power);
      expect(ops).toEqual([...expected, 0]);
      for (const rung of ladder(log)) expect(rung.chain).toEqual(chainAt(log, rung.op));
    }),
    PROPERTY,
  );
});

const sizes = fc.oneof(fc.array(fc.nat(300), { minLength: 1, maxLength: 7 }), fc.constant([100]));
/** In bytes; most often exactly what so many equal entries cost. */
const bound = fc.oneof(
  fc.nat(900),
  fc.nat(6).map((count) => count * (ENTRY_OVERHEAD_BYTES + 100)),
  fc.constantFrom(127, 128, 129, 10_000),
);

test('1.5: a tail is the longest end of the log within count and bytes', { timeout }, () => {
  fc.assert(
    fc.property(fc.nat(30), sizes, fc.nat(12), bound, (count, list, most, bytes) => {
      const log = logOf(count, list);
      const found = tail(log, { count: most, bytes });
      expect(found).toEqual(log.entries.slice(count - found.length));
      const cost = (entries: readonly Entry[]) => entries.reduce((sum, e) => sum + entryCost(e), 0);
      expect(found.length).toBeLessThanOrEqual(most);
      expect(cost(found)).toBeLessThanOrEqual(bytes);
      const longer = log.entries.slice(Math.max(0, count - found.length - 1));
      if (found.length < Math.min(most, count)) expect(cost(longer)).toBeGreaterThan(bytes);
    }),
    PROPERTY,
  );
});

test('a slice is as long as its bytes allow, and never empty where there is an entry', {
  timeout,
}, () => {
  const op = fc.integer({ min: 1, max: 40 });
  fc.assert(
    fc.property(fc.nat(30), sizes, op, op, bound, (count, list, fromOp, toOp, bytes) => {
      const log = logOf(count, list);
      const found = slice(log, { fromOp, toOp, bytes });
      const all = log.entries.slice(fromOp - 1, toOp);
      expect(found).toEqual(all.slice(0, found.length));
      const cost = (entries: readonly Entry[]) => entries.reduce((sum, e) => sum + entryCost(e), 0);
      if (all.length > 0) expect(found.length).toBeGreaterThan(0);
      if (found.length > 1) expect(cost(found)).toBeLessThanOrEqual(bytes);
      if (found.length < all.length)
        expect(cost(all.slice(0, found.length + 1))).toBeGreaterThan(bytes);
      for (const entry of found.map(detach)) {
        const { body } = entryAt(log, entry.op);
        expect(entry.body).toEqual(body);
        if (body.length > 0) expect(entry.body.buffer).not.toBe(body.buffer);
      }
    }),
    PROPERTY,
  );
});
