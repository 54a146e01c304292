// Entries and ladders inside frames: the part that Prepare, NewState, DoViewChange and StartView share. An entry is one array of
// thirteen fields at fixed offsets; padding and body come last. Frames begin at multiples of 8, and so do bodies.

import type { Entry, EntryKind } from '../protocol/message.js';
import type { Chain, Rung } from '../protocol/types.js';
import {
  ARRAY_BYTES,
  arrayAt,
  BadFrame,
  BIN_BYTES,
  binLengthAt,
  choiceOf,
  FLOAT_BYTES,
  floatAt,
  INT_BYTES,
  intAt,
  PADDING_BYTES_MIN,
  paddingAt,
  paddingBytes,
  putArray,
  putBin,
  putFloat,
  putInt,
  putPadding,
  putUint,
  putWhole,
  tupleAt,
  UINT_BYTES,
  uintAt,
  WHOLE_BYTES,
  wholeAt,
} from './msgpack.js';

/** Codes are positions; append only. */
const ENTRY_KINDS: readonly EntryKind[] = ['batch'];

export const CHAIN_BYTES: number = 4 * INT_BYTES;
const RUNG_FIELDS = 5;
const RUNG_BYTES = WHOLE_BYTES + CHAIN_BYTES;

//  an entry: array16 of op, epoch, view, ts, seed, kind, count, four words of the chain, padding, body
const ENTRY_FIELDS = 13;
const OP = ARRAY_BYTES;
const EPOCH = OP + WHOLE_BYTES;
const VIEW = EPOCH + UINT_BYTES;
const TS = VIEW + UINT_BYTES;
const SEED = TS + FLOAT_BYTES;
const KIND = SEED + UINT_BYTES;
const COUNT = KIND + UINT_BYTES;
const CHAIN = COUNT + UINT_BYTES;
const PADDING = CHAIN + CHAIN_BYTES;
const ENTRY_BYTES_MIN = PADDING + PADDING_BYTES_MIN + BIN_BYTES;

export function putChain(view: DataView, at: number, chain: Chain): void {
  putInt(view, at, chain[0]);
  putInt(view, at + INT_BYTES, chain[1]);
  putInt(view, at + 2 * INT_BYTES, chain[2]);
  putInt(view, at + 3 * INT_BYTES, chain[3]);
}

export function chainAt(view: DataView, at: number): Chain {
  return [
    intAt(view, at, 'chain'),
    intAt(view, at + INT_BYTES, 'chain'),
    intAt(view, at + 2 * INT_BYTES, 'chain'),
    intAt(view, at + 3 * INT_BYTES, 'chain'),
  ];
}

/** @returns the offset behind `entries` when they are written at `at`. */
export function endOfEntries(at: number, entries: readonly Entry[]): number {
  let next = at + ARRAY_BYTES;
  for (const entry of entries) {
    const padding = next + PADDING;
    next = padding + paddingBytes(padding) + BIN_BYTES + entry.body.length;
  }
  return next;
}

export function putEntries(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  entries: readonly Entry[],
): void {
  putArray(view, at, entries.length);
  let next = at + ARRAY_BYTES;
  for (const entry of entries) {
    putArray(view, next, ENTRY_FIELDS);
    putWhole(view, next + OP, entry.op);
    putUint(view, next + EPOCH, entry.epoch);
    putUint(view, next + VIEW, entry.view);
    putFloat(view, next + TS, entry.ts);
    putUint(view, next + SEED, entry.seed);
    putUint(view, next + KIND, ENTRY_KINDS.indexOf(entry.kind));
    putUint(view, next + COUNT, entry.count);
    putChain(view, next + CHAIN, entry.chain);
    const width = paddingBytes(next + PADDING);
    putPadding(view, next + PADDING, width);
    next = putBin(bytes, view, next + PADDING + width, entry.body);
  }
}

/** Reads the entries that fill `at..to`; their bodies view `bytes`. */
export function entriesAt(bytes: Uint8Array, view: DataView, at: number, to: number): Entry[] {
  if (at + ARRAY_BYTES > to) throw new BadFrame('the frame ends before its entries');
  const count = arrayAt(view, at, 'entries');
  const entries: Entry[] = [];
  let next = at + ARRAY_BYTES;
  for (let index = 0; index < count; index++) {
    if (next + ENTRY_BYTES_MIN > to) throw new BadFrame('the frame ends inside an entry');
    tupleAt(view, next, ENTRY_FIELDS, 'an entry');
    const body = next + PADDING + paddingAt(view, next + PADDING);
    if (body + BIN_BYTES > to) throw new BadFrame('the frame ends inside an entry');
    const from = body + BIN_BYTES;
    const end = from + binLengthAt(view, body, to, 'body');
    entries.push({
      op: wholeAt(view, next + OP, 'op'),
      epoch: uintAt(view, next + EPOCH, 'epoch'),
      view: uintAt(view, next + VIEW, 'view'),
      ts: floatAt(view, next + TS, 'ts'),
      seed: uintAt(view, next + SEED, 'seed'),
      kind: choiceOf(ENTRY_KINDS, uintAt(view, next + KIND, 'kind of entry'), 'kind of entry'),
      count: uintAt(view, next + COUNT, 'count'),
      body: bytes.subarray(from, end),
      chain: chainAt(view, next + CHAIN),
    });
    next = end;
  }
  if (next !== to) throw new BadFrame(`${to - next} bytes behind the entries`);
  return entries;
}

export function rungsBytes(rungs: readonly Rung[]): number {
  return ARRAY_BYTES + rungs.length * RUNG_BYTES;
}

/** Flat: five fields per rung. @returns the offset behind them. */
export function putRungs(view: DataView, at: number, rungs: readonly Rung[]): number {
  putArray(view, at, rungs.length * RUNG_FIELDS);
  let next = at + ARRAY_BYTES;
  for (const rung of rungs) {
    putWhole(view, next, rung.op);
    putChain(view, next + WHOLE_BYTES, rung.chain);
    next += RUNG_BYTES;
  }
  return next;
}

export function rungsAt(view: DataView, at: number, to: number): Rung[] {
  if (at + ARRAY_BYTES > to) throw new BadFrame('the frame ends before its ladder');
  const fields = arrayAt(view, at, 'ladder');
  if (fields % RUNG_FIELDS !== 0) throw new BadFrame(`a ladder of ${fields} fields`);
  const count = fields / RUNG_FIELDS;
  if (at + ARRAY_BYTES + count * RUNG_BYTES > to)
    throw new BadFrame('the frame ends in its ladder');
  const rungs: Rung[] = [];
  for (let index = 0; index < count; index++) {
    const from = at + ARRAY_BYTES + index * RUNG_BYTES;
    rungs.push({ op: wholeAt(view, from, 'rung'), chain: chainAt(view, from + WHOLE_BYTES) });
  }
  return rungs;
}
