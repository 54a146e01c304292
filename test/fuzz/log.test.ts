// The log next to an array: appending copies and own bodies, replacing a suffix, dropping the front, growth of the arena, and that an
// entry handed out once never changes, whatever is cut off and appended afterwards.

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
  collectTo,
  detach,
  ENTRY_OVERHEAD_BYTES,
  emptyLog,
  entryAt,
  entryCost,
  head,
  headTs,
  type Log,
  ladder,
  restartAbove,
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
  | { readonly do: 'replace'; readonly share: number; readonly lengths: number[] }
  | { readonly do: 'collect'; readonly share: number }
  | { readonly do: 'restart'; readonly above: number };

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
  { weight: 2, arbitrary: fc.record({ do: fc.constant('collect' as const), share }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const), above: fc.nat(50) }) },
);

/** The memory that a received body lies in: overwritten as soon as the step is over, as a ring's is. */
const received = new Uint8Array(256 << 10);

class Bench {
  readonly log: Log = emptyLog(ORIGIN);
  /** Entries above the base. */
  readonly model: Entry[] = [];
  base: { op: number; chain: Chain; ts: number } = { op: 0, chain: ORIGIN, ts: 0 };
  /** Every entry that was ever in the log, and what its body was then. */
  readonly handedOut: { entry: Entry; sum: number }[] = [];
  #count = 0;

  get #top(): number {
    return this.base.op + this.model.length;
  }

  #entry(bytes: number, body: Uint8Array): Entry {
    const op = this.#top + 1;
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
    const previous = this.model.at(-1)?.chain ?? this.base.chain;
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
      arena.used = (arena.used + bytes + 7) & ~7;
      entry = this.#entry(bytes, body);
      appendOwned(log, entry);
    }
    this.model.push({ ...entry, body: entry.body.slice() });
    expect(log.bytes - before).toBe(bytes + ENTRY_OVERHEAD_BYTES);
    const added = entryAt(log, this.#top);
    this.handedOut.push({ entry: added, sum: sumOf(added.body) });
  }

  truncate(part: number): void {
    const left = Math.round(part * this.model.length);
    truncateTo(this.log, this.base.op + left);
    this.model.length = left;
  }

  collect(part: number): void {
    const gone = this.model.splice(0, Math.round(part * this.model.length));
    const last = gone.at(-1);
    collectTo(this.log, this.base.op + gone.length);
    if (last !== undefined) this.base = { op: last.op, chain: last.chain, ts: last.ts };
  }

  /** As if a checkpoint had come from elsewhere. */
  restart(above: number): void {
    const op = this.base.op + above;
    this.base = { op, chain: [op, 1, 2, 3], ts: ++this.#count };
    this.model.length = 0;
    restartAbove(this.log, this.base);
  }

  check(): void {
    const { log, model, base } = this;
    const top = base.op + model.length;
    expect([log.start, head(log), headTs(log)]).toEqual([
      ...[base.op + 1, top, (model.at(-1) ?? base).ts],
    ]);
    expect(log.bytes).toBe(model.reduce((sum, entry) => sum + entryCost(entry), 0));
    let previous = base.chain;
    expect(chainAt(log, base.op)).toEqual(previous);
    for (const expected of model) {
      const entry = entryAt(log, expected.op);
      if (Buffer.compare(entry.body, expected.body) !== 0) throw new Error(`body of ${entry.op}`);
      expect({ ...entry, body: null }).toEqual({ ...expected, body: null });
      expect(hasher.links(previous, entry)).toBe(true);
      expect(chainAt(log, expected.op)).toEqual(entry.chain);
      previous = entry.chain;
    }
    for (const { entry, sum } of this.handedOut) expect(sumOf(entry.body)).toBe(sum);
    for (const op of [base.op - 1, top + 1]) expect(chainIfPresent(log, op)).toBe(null);
    expect(chainIfPresent(log, base.op)).toEqual(base.chain);
    for (const op of [base.op, top + 1]) expect(() => entryAt(log, op)).toThrow(ProtocolViolation);
    expect(() => truncateTo(log, base.op - 1)).toThrow(ProtocolViolation);
    expect(() => collectTo(log, top + 1)).toThrow(ProtocolViolation);
  }
}

function sumOf(bytes: Uint8Array): number {
  let sum = bytes.length;
  for (let at = 0; at < bytes.length; at += 1 + (bytes.length >> 8))
    sum = (Math.imul(sum, 31) + (bytes[at] as number)) | 0;
  return sum;
}

test('D6, CP5: any sequence of appends, cuts at either end and replaced suffixes; no entry changes afterwards', {
  timeout,
}, () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 25 }), fc.nat(20), (steps, spare) => {
      const bench = new Bench();
      if (spare === 0) bench.log.arena.spare.push(...touchedSegments(1));
      for (const one of steps) {
        if (one.do === 'truncate' || one.do === 'replace') bench.truncate(one.share);
        else if (one.do === 'collect') bench.collect(one.share);
        else if (one.do === 'restart') bench.restart(one.above);
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

/** A log of `count` entries above `base`; what is asked of it is arithmetic. */
function logOf(count: number, sizes: readonly number[], base = 0): Log {
  const log = emptyLog(ORIGIN);
  if (base > 0) restartAbove(log, { op: base, chain: [base, base, base, base], ts: base });
  for (let op = base + 1; op <= base + count; op++)
    appendOwned(log, {
      ...blank,
      op,
      body: new Uint8Array(sizes[op % sizes.length] as number),
      chain: [op, op, op, op],
    });
  return log;
}

test('1.5: a ladder is dense at the head, doubles below, has what it is asked for, and ends below the log', {
  timeout,
}, () => {
  const length = fc.oneof(fc.nat(40), fc.nat(700));
  const base = fc.oneof(fc.constant(0), fc.nat(100));
  fc.assert(
    fc.property(length, base, fc.nat(900), (count, bottom, also) => {
      const log = logOf(count, [0], bottom);
      const top = bottom + count;
      const ops = ladder(log, also).map((rung) => rung.op);
      // By the definition: the last 16, then every distance 32, 64, ... above the base, the op asked for, and the base.
      const expected = new Set<number>([bottom]);
      for (let op = top; op > top - 16 && op > bottom; op--) expected.add(op);
      for (let power = 5; top - 2 ** power > bottom; power++) expected.add(top - 2 ** power);
      if (also > bottom && also < top) expected.add(also);
      expect(ops).toEqual([...expected].sort((a, b) => b - a));
      expect(ladder(log)).toEqual(ladder(log, 0));
      for (const rung of ladder(log, also)) expect(rung.chain).toEqual(chainAt(log, rung.op));
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
    fc.property(
      fc.nat(30),
      sizes,
      fc.nat(12),
      bound,
      fc.nat(3),
      (count, list, most, bytes, base) => {
        const log = logOf(count, list, base);
        const found = tail(log, { count: most, bytes });
        expect(found).toEqual([...log.entries].slice(count - found.length));
        const cost = (entries: readonly Entry[]) =>
          entries.reduce((sum, e) => sum + entryCost(e), 0);
        expect(found.length).toBeLessThanOrEqual(most);
        expect(cost(found)).toBeLessThanOrEqual(bytes);
        const longer = [...log.entries].slice(Math.max(0, count - found.length - 1));
        if (found.length < Math.min(most, count)) expect(cost(longer)).toBeGreaterThan(bytes);
      },
    ),
    PROPERTY,
  );
});

test('a slice is as long as its bytes allow, and never empty where there is an entry', {
  timeout,
}, () => {
  const op = fc.integer({ min: 1, max: 40 });
  fc.assert(
    fc.property(fc.nat(30), sizes, op, op, bound, fc.nat(9), (...drawn) => {
      const [count, list, fromOp, toOp, bytes, base] = drawn;
      const log = logOf(count, list, base);
      const found = slice(log, { fromOp, toOp, bytes });
      const all = [...log.entries].filter((entry) => entry.op >= fromOp && entry.op <= toOp);
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

// ── memory that is written again ──

type Turn =
  | { readonly do: 'append'; readonly way: 'copy' | 'own' | 'arena'; readonly bytes: number }
  | { readonly do: 'truncate' | 'collect'; readonly share: number }
  | { readonly do: 'restart' };

const turn: fc.Arbitrary<Turn> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      do: fc.constant('append' as const),
      way: fc.constantFrom('copy' as const, 'copy' as const, 'arena' as const, 'own' as const),
      bytes: fc.oneof(
        fc.nat(2000),
        fc.integer({ min: 100_000, max: 3 << 20 }),
        fc.constant(5 << 20),
      ),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('truncate' as const), share }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('collect' as const), share }) },
  { weight: 1, arbitrary: fc.constant({ do: 'restart' as const }) },
);

const SOURCE = new Uint8Array(8 << 20);

/** A log whose memory is used again; the body of each entry is one byte, over and over. */
class Reused {
  readonly log: Log = emptyLog(ORIGIN);
  readonly seeds = new Map<number, number>();
  #count = 0;

  constructor() {
    this.log.arena.reuses = true;
  }

  append(way: 'copy' | 'own' | 'arena', bytes: number): void {
    const { log } = this;
    const op = head(log) + 1;
    const seed = 1 + (++this.#count % 250);
    const entry = { ...blank, op, chain: [op, seed, 0, 0] as const };
    if (way === 'copy') appendCopy(log, { ...entry, body: SOURCE.subarray(0, bytes).fill(seed) });
    else if (way === 'own') appendOwned(log, { ...entry, body: new Uint8Array(bytes).fill(seed) });
    else {
      const { arena } = log;
      reserve(arena, bytes, head(log));
      const body = arena.segment.subarray(arena.used, arena.used + bytes);
      arena.used = (arena.used + bytes + 7) & ~7;
      appendOwned(log, { ...entry, body: body.fill(seed) });
    }
    this.seeds.set(op, seed);
  }

  /** Every entry that is still in the log is what it was. */
  check(): void {
    const { log } = this;
    for (const { op, body } of log.entries) {
      const expected = SOURCE.subarray(0, body.length).fill(this.seeds.get(op) as number);
      if (Buffer.compare(body, expected) !== 0) expect.fail(`entry ${op} changed`);
    }
  }
}

test('memory of dropped entries is written again, and never while an entry lies in it', {
  timeout,
}, () => {
  let again = 0;
  fc.assert(
    fc.property(fc.array(turn, { maxLength: 60 }), (turns) => {
      const reused = new Reused();
      const { log } = reused;
      const seen = new Set<ArrayBufferLike>();
      for (const one of turns) {
        const before = log.arena.segment.buffer;
        const span = head(log) - log.start + 1;
        if (one.do === 'append') reused.append(one.way, one.bytes);
        else if (one.do === 'truncate')
          truncateTo(log, log.start - 1 + Math.round(one.share * span));
        else if (one.do === 'collect') collectTo(log, log.start - 1 + Math.round(one.share * span));
        else restartAbove(log, { op: head(log), chain: ORIGIN, ts: 0 });
        const { buffer } = log.arena.segment;
        if (buffer !== before && seen.has(buffer)) again++;
        seen.add(before);
        if (one.do !== 'append') reused.check();
      }
      reused.check();
    }),
    { ...PROPERTY, numRuns: Math.ceil((PROPERTY.numRuns ?? 1000) / 10) },
  );
  expect(again).toBeGreaterThan(50);
});

test('a log that is collected as it grows lives in the same few segments', () => {
  const reused = new Reused();
  const { log } = reused;
  const buffers = new Set<ArrayBufferLike>();
  const FULL = 4 << 20;
  for (let round = 0; round < 300; round++) {
    reused.append(round % 2 === 0 ? 'copy' : 'arena', FULL / 4);
    if (log.arena.segment.length === FULL) buffers.add(log.arena.segment.buffer);
    collectTo(log, head(log) - 10);
  }
  reused.check();
  expect(buffers.size).toBeLessThanOrEqual(5);
  // Without leave to do so nothing is ever written twice.
  const kept = emptyLog(ORIGIN);
  const own = new Set<ArrayBufferLike>();
  for (let op = 1; op <= 40; op++) {
    appendCopy(kept, { ...blank, op, body: new Uint8Array(FULL / 4) });
    own.add(kept.arena.segment.buffer);
    collectTo(kept, op);
  }
  expect([kept.arena.spare.length, kept.arena.full.length]).toEqual([0, 0]);
  expect(own.size).toBeGreaterThan(9);
});
