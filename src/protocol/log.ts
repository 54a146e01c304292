// The replicated log: contiguous entries from op 1 to the head (D6: no holes, ever). Entries are immutable and may be shared
// by clones of a state; their bodies live in segments that are only ever appended to, so that adding an entry costs one
// copy and no allocation of its size.

import { assert } from './assert.js';
import type { Entry } from './message.js';
import type { Chain, OpNumber, Rung } from './types.js';

/** What an entry costs besides its body, for the account of logBytes. */
export const ENTRY_OVERHEAD_BYTES = 128;
const SEGMENT_FIRST_BYTES = 64 << 10;
const SEGMENT_BYTES = 4 << 20;
const LADDER_DENSE = 16;

/** Where bodies are written: the tail of one segment, never written twice. */
export interface Arena {
  segment: Uint8Array;
  view: DataView;
  used: number;
  /** Zeroed segments made ready by the host. */
  readonly spare: Uint8Array[];
}

export interface Log {
  /** entries[op - 1] */
  readonly entries: Entry[];
  /** chain(0) */
  readonly origin: Chain;
  /** Bodies plus overhead: what BP6 limits. */
  bytes: number;
  arena: Arena;
}

export function emptyArena(): Arena {
  const segment = new Uint8Array(0);
  return { segment, view: new DataView(segment.buffer), used: 0, spare: [] };
}

// Shared memory is not charged to the thread's heap: megabytes of log per second would have it collect garbage all the time.
function newSegment(bytes: number): Uint8Array {
  return new Uint8Array(new SharedArrayBuffer(bytes));
}

/** Segments for `bytes` bytes of log that are resident: the first touch of fresh memory costs more than writing to it. */
export function touchedSegments(bytes: number): Uint8Array[] {
  return Array.from({ length: Math.ceil(bytes / SEGMENT_BYTES) }, () =>
    newSegment(SEGMENT_BYTES).fill(0),
  );
}

export function emptyLog(origin: Chain): Log {
  return { entries: [], origin, bytes: 0, arena: emptyArena() };
}

/** The highest op in the log. */
export function head(log: Log): OpNumber {
  return log.entries.length;
}

export function entryAt(log: Log, op: OpNumber): Entry {
  const entry = log.entries[op - 1];
  assert(entry !== undefined, `no entry at op ${op}, the head is ${log.entries.length}`);
  return entry;
}

export function chainAt(log: Log, op: OpNumber): Chain {
  return op === 0 ? log.origin : entryAt(log, op).chain;
}

/** Chain at `op`, or null when the log does not reach so far. */
export function chainIfPresent(log: Log, op: OpNumber): Chain | null {
  return op < 0 || op > log.entries.length ? null : chainAt(log, op);
}

/** What `entry` counts towards logBytes. */
export function entryCost(entry: Entry): number {
  return entry.body.length + ENTRY_OVERHEAD_BYTES;
}

/** Makes `length` zeroed bytes in one piece available at `arena.used`. */
export function reserve(arena: Arena, length: number): void {
  if (arena.used + length <= arena.segment.length) return;
  const spare = length <= SEGMENT_BYTES ? arena.spare.pop() : undefined;
  const grown = arena.segment.length === 0 ? SEGMENT_FIRST_BYTES : arena.segment.length * 2;
  const size = Math.max(length, Math.min(SEGMENT_BYTES, grown));
  arena.segment = spare ?? newSegment(size);
  arena.view = new DataView(arena.segment.buffer);
  arena.used = 0;
}

/** Appends an entry whose body already lives in the arena, or is private to the log otherwise. */
export function appendOwned(log: Log, entry: Entry): void {
  assert(
    entry.op === log.entries.length + 1,
    `entry ${entry.op} behind head ${log.entries.length}`,
  );
  log.entries.push(entry);
  log.bytes += entryCost(entry);
}

/** Appends a copy of `entry`: its body may view memory that is about to be reused. */
export function appendCopy(log: Log, entry: Entry): void {
  const { arena } = log;
  const length = entry.body.length;
  reserve(arena, length);
  const from = arena.used;
  arena.segment.set(entry.body, from);
  arena.used = (from + length + 7) & ~7;
  appendOwned(log, { ...entry, body: arena.segment.subarray(from, from + length) });
}

/** Drops every entry above `op`. Only Install does this (3.6 step 5). */
export function truncateTo(log: Log, op: OpNumber): void {
  for (let at = log.entries.length; at > op; at--) log.bytes -= entryCost(entryAt(log, at));
  log.entries.length = Math.min(log.entries.length, op);
}

/** `[op, chain]` at the head, densely below it, then at doubling distances, then 0 (1.5). */
export function ladder(log: Log): Rung[] {
  const top = log.entries.length;
  const rungs: Rung[] = [];
  for (let op = top; op > 0 && op > top - LADDER_DENSE; op--)
    rungs.push({ op, chain: chainAt(log, op) });
  for (let distance = LADDER_DENSE * 2; top - distance > 0; distance *= 2)
    rungs.push({ op: top - distance, chain: chainAt(log, top - distance) });
  rungs.push({ op: 0, chain: log.origin });
  return rungs;
}

/** The last entries, at most `count` and `bytes` (1.5). */
export function tail(log: Log, limits: { count: number; bytes: number }): Entry[] {
  const entries: Entry[] = [];
  let bytes = 0;
  for (let op = log.entries.length; op > 0 && entries.length < limits.count; op--) {
    const entry = entryAt(log, op);
    bytes += entryCost(entry);
    if (bytes > limits.bytes) break;
    entries.unshift(entry);
  }
  return entries;
}

/** Entries from `fromOp` to `toOp` as far as `bytes` allow, but at least one where there is one. */
export function slice(
  log: Log,
  range: { fromOp: OpNumber; toOp: OpNumber; bytes: number },
): Entry[] {
  const entries: Entry[] = [];
  let bytes = 0;
  const last = Math.min(range.toOp, log.entries.length);
  for (let op = range.fromOp; op <= last; op++) {
    const entry = entryAt(log, op);
    bytes += entryCost(entry);
    if (entries.length > 0 && bytes > range.bytes) break;
    entries.push(entry);
  }
  return entries;
}

/** A copy of `entry` that owns its body: for messages that outlive the step that brought them. */
export function detach(entry: Entry): Entry {
  return { ...entry, body: entry.body.slice() };
}
