// The replicated log: contiguous entries from logStart to the head (D6: no holes, ever); what lay below is in checkpoints.
// Entries are immutable, and clones of a state may share their bodies, which live in the arena.

import { type Arena, clear, emptyArena, release, reserve } from './arena.js';
import { violated } from './assert.js';
import { EntryList } from './entry-list.js';
import type { Entry } from './message.js';
import type { Chain, OpNumber, Rung } from './types.js';

/** What an entry costs besides its body, for the account of logBytes. */
export const ENTRY_OVERHEAD_BYTES = 128;
const LADDER_DENSE = 16;

export interface Log {
  /** Op of the first entry, where there is one: logStart. */
  start: OpNumber;
  /** That of op at op - start. */
  readonly entries: EntryList;
  /** chain(start - 1), and the time of the entry there; 0 where it is not known. */
  baseChain: Chain;
  baseTs: number;
  /** Bodies plus overhead: what BP6 limits. */
  bytes: number;
  arena: Arena;
}

export function emptyLog(origin: Chain): Log {
  return {
    start: 1,
    entries: new EntryList(),
    baseChain: origin,
    baseTs: 0,
    bytes: 0,
    arena: emptyArena(),
  };
}

/** The highest op in the log. */
export function head(log: Log): OpNumber {
  return log.start - 1 + log.entries.length;
}

/** Made for the caller: whoever wants one field of many entries asks for that. */
export function entryAt(log: Log, op: OpNumber): Entry {
  return log.entries.get(indexOf(log, op));
}

export function tsAt(log: Log, op: OpNumber): number {
  return log.entries.tsAt(indexOf(log, op));
}

export function bodyBytesAt(log: Log, op: OpNumber): number {
  return log.entries.bodyBytesAt(indexOf(log, op));
}

export function chainAt(log: Log, op: OpNumber): Chain {
  return op === log.start - 1 ? log.baseChain : log.entries.chainAt(indexOf(log, op));
}

function indexOf(log: Log, op: OpNumber): number {
  const index = op - log.start;
  if (!(index >= 0 && index < log.entries.length))
    violated(`no entry at op ${op}, the log is ${log.start}..${head(log)}`);
  return index;
}

/** Chain at `op`, or null when the log does not reach so far, or no longer. */
export function chainIfPresent(log: Log, op: OpNumber): Chain | null {
  return op < log.start - 1 || op > head(log) ? null : chainAt(log, op);
}

/** Time of the newest entry, 0 before the first (DT2). */
export function headTs(log: Log): number {
  const { entries } = log;
  return entries.length === 0 ? log.baseTs : entries.tsAt(entries.length - 1);
}

/** What `entry` counts towards logBytes. */
export function entryCost(entry: Entry): number {
  return entry.body.length + ENTRY_OVERHEAD_BYTES;
}

/** The same of the entry at `op`. */
export function costAt(log: Log, op: OpNumber): number {
  return bodyBytesAt(log, op) + ENTRY_OVERHEAD_BYTES;
}

/** Appends an entry whose body already lives in the arena, or is private to the log otherwise. */
export function appendOwned(log: Log, entry: Entry): void {
  if (entry.op !== head(log) + 1) violated(`entry ${entry.op} behind head ${head(log)}`);
  log.entries.push(entry, log.arena.segment);
  log.bytes += entryCost(entry);
}

/** Appends a copy of `entry`: its body may view memory that is about to be reused. */
export function appendCopy(log: Log, entry: Entry): void {
  const { arena } = log;
  const length = entry.body.length;
  reserve(arena, length, head(log));
  const from = arena.used;
  arena.segment.set(entry.body, from);
  arena.used = (from + length + 7) & ~7;
  appendOwned(log, { ...entry, body: arena.segment.subarray(from, from + length) });
}

/** Drops every entry above `op`. Only Install does this (3.6 step 5). */
export function truncateTo(log: Log, op: OpNumber): void {
  if (!(op >= log.start - 1)) violated(`the log begins at ${log.start}, it cannot end at ${op}`);
  for (let at = head(log); at > op; at--) log.bytes -= costAt(log, at);
  log.entries.truncate(Math.min(log.entries.length, op - log.start + 1));
}

/** Drops every entry up to `op`: a checkpoint has what they did (CP5). */
export function collectTo(log: Log, op: OpNumber): void {
  if (op < log.start) return;
  log.baseChain = chainAt(log, op);
  log.baseTs = tsAt(log, op);
  for (let at = log.start; at <= op; at++) log.bytes -= costAt(log, at);
  log.entries.drop(op - log.start + 1);
  log.start = op + 1;
  if (log.arena.reuses) release(log.arena, op);
}

/** Drops everything: the log begins anew above `op`. Only Install does this (3.6 step 3). */
export function restartAbove(log: Log, base: { op: OpNumber; chain: Chain; ts: number }): void {
  log.entries.truncate(0);
  log.bytes = 0;
  log.start = base.op + 1;
  log.baseChain = base.chain;
  log.baseTs = base.ts;
  if (log.arena.reuses) clear(log.arena);
}

/**
 * `[op, chain]` at the head, densely below it, then at doubling distances, then at `also` where the log has it, and at
 * logStart - 1 (1.5).
 */
export function ladder(log: Log, also: OpNumber = 0): Rung[] {
  const top = head(log);
  const base = log.start - 1;
  const ops: OpNumber[] = [];
  for (let op = top; op > base && op > top - LADDER_DENSE; op--) ops.push(op);
  for (let distance = LADDER_DENSE * 2; top - distance > base; distance *= 2)
    ops.push(top - distance);
  if (also > base && also < top && !ops.includes(also)) ops.push(also);
  ops.push(base);
  ops.sort((a, b) => b - a);
  return ops.map((op) => ({ op, chain: chainAt(log, op) }));
}

/** The last entries, at most `count` and `bytes` (1.5). */
export function tail(log: Log, limits: { count: number; bytes: number }): Entry[] {
  const entries: Entry[] = [];
  let bytes = 0;
  for (let op = head(log); op >= log.start && entries.length < limits.count; op--) {
    bytes += costAt(log, op);
    if (bytes > limits.bytes) break;
    entries.unshift(entryAt(log, op));
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
  const last = Math.min(range.toOp, head(log));
  for (let op = Math.max(range.fromOp, log.start); op <= last; op++) {
    bytes += costAt(log, op);
    if (entries.length > 0 && bytes > range.bytes) break;
    entries.push(entryAt(log, op));
  }
  return entries;
}

/** A copy of `entry` that owns its body: for messages that outlive the step that brought them. */
export function detach(entry: Entry): Entry {
  return { ...entry, body: entry.body.slice() };
}
