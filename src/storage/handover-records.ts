// The kinds of records between a replica's thread and its store's thread, and their payloads. An entry or a page travels in the form
// in which it is stored, only without its checksum: the store's thread computes that.
//
//  entry        commit f64 @0, op f64 @8, value @16
//  commit       commit f64 @0
//  page         cpOp f64 @0, list u32 @8, index u32 @12, value @16
//  checkpoint   value @0
//  collect      logStart f64 @0, baseTs f64 @8, baseChain 4 x i32 @16
//  attach, flush, reset      request i32 @0
//  begin        request i32 @0, meta bytes u32 @4, base f64 @8, meta @16, checkpoint behind it (none: 0 bytes)
//  end          request i32 @0

import type { Entry } from '../protocol/message.js';
import type { Chain, OpNumber } from '../protocol/types.js';
import type { HandoverReader, HandoverWriter } from './handover.js';
import {
  type CheckpointRecord,
  decodeCheckpoint,
  decodeMeta,
  ENTRY_HEADER_BYTES,
  encodeCheckpoint,
  encodeMeta,
  PAGE_HEADER_BYTES,
  readChain,
  type StoredMeta,
  writeChain,
  writeEntryHeader,
} from './records.js';

export const KIND = {
  entry: 1,
  commit: 2,
  page: 3,
  checkpoint: 4,
  collect: 5,
  attach: 6,
  flush: 7,
  reset: 8,
  begin: 9,
  end: 10,
} as const;

/** Of the payload of an entry or a page, before the value. */
export const VALUE_AT = 16;

export function entryPayloadBytes(bodyBytes: number): number {
  return VALUE_AT + ENTRY_HEADER_BYTES + bodyBytes;
}

/** All of these return false, and write nothing, while there is no room. */
export function offerEntry(queue: HandoverWriter, entry: Entry, commit: OpNumber): boolean {
  const at = queue.claim(KIND.entry, entryPayloadBytes(entry.body.length));
  if (at < 0) return false;
  const { bytes } = queue;
  bytes.writeDoubleLE(commit, at);
  bytes.writeDoubleLE(entry.op, at + 8);
  const value = at + VALUE_AT;
  writeEntryHeader(bytes.subarray(value, value + ENTRY_HEADER_BYTES), entry);
  bytes.set(entry.body, value + ENTRY_HEADER_BYTES);
  return true;
}

export function offerCommit(queue: HandoverWriter, commit: OpNumber): boolean {
  const at = queue.claim(KIND.commit, 8);
  if (at < 0) return false;
  queue.bytes.writeDoubleLE(commit, at);
  return true;
}

export function offerPage(
  queue: HandoverWriter,
  page: { readonly cpOp: OpNumber; readonly list: number; readonly index: number },
  content: Uint8Array,
): boolean {
  const at = queue.claim(KIND.page, VALUE_AT + PAGE_HEADER_BYTES + content.length);
  if (at < 0) return false;
  const { bytes } = queue;
  bytes.writeDoubleLE(page.cpOp, at);
  bytes.writeUInt32LE(page.list, at + 8);
  bytes.writeUInt32LE(page.index, at + 12);
  bytes.fill(0, at + VALUE_AT, at + VALUE_AT + PAGE_HEADER_BYTES);
  bytes.set(content, at + VALUE_AT + PAGE_HEADER_BYTES);
  return true;
}

export function offerCheckpoint(queue: HandoverWriter, record: CheckpointRecord): boolean {
  const value = encodeCheckpoint(record);
  const at = queue.claim(KIND.checkpoint, value.length);
  if (at < 0) return false;
  queue.bytes.set(value, at);
  return true;
}

/** The log now begins at `logStart`. */
export interface LogFront {
  readonly logStart: OpNumber;
  /** chain(logStart - 1) */
  readonly baseChain: Chain;
  /** Microseconds of the entry at logStart - 1. */
  readonly baseTs: number;
}

export function offerCollect(queue: HandoverWriter, front: LogFront): boolean {
  const at = queue.claim(KIND.collect, 32);
  if (at < 0) return false;
  queue.bytes.writeDoubleLE(front.logStart, at);
  queue.bytes.writeDoubleLE(front.baseTs, at + 8);
  writeChain(queue.bytes.subarray(at + 16, at + 32), front.baseChain, 0);
  return true;
}

export function takeCollect(queue: HandoverReader): LogFront {
  const { bytes, at } = queue;
  return {
    logStart: bytes.readDoubleLE(at),
    baseTs: bytes.readDoubleLE(at + 8),
    baseChain: readChain(bytes, at + 16),
  };
}

export function offerRequest(
  queue: HandoverWriter,
  kind: (typeof KIND)['attach' | 'flush' | 'reset' | 'end'],
  request: number,
): boolean {
  const at = queue.claim(kind, 4);
  if (at < 0) return false;
  queue.bytes.writeInt32LE(request, at);
  return true;
}

export function takeRequest(queue: HandoverReader): number {
  return queue.bytes.readInt32LE(queue.at);
}

/** What a switch replaces: all entries above `base`, the meta, and the checkpoint unless it is null. */
export interface SwitchHead {
  readonly meta: StoredMeta;
  readonly base: OpNumber;
  readonly checkpoint: CheckpointRecord | null;
}

export function offerBegin(queue: HandoverWriter, request: number, head: SwitchHead): boolean {
  const meta = encodeMeta(head.meta, 0);
  const checkpoint = head.checkpoint === null ? Buffer.alloc(0) : encodeCheckpoint(head.checkpoint);
  const at = queue.claim(KIND.begin, VALUE_AT + meta.length + checkpoint.length);
  if (at < 0) return false;
  const { bytes } = queue;
  bytes.writeInt32LE(request, at);
  bytes.writeUInt32LE(meta.length, at + 4);
  bytes.writeDoubleLE(head.base, at + 8);
  bytes.set(meta, at + VALUE_AT);
  bytes.set(checkpoint, at + VALUE_AT + meta.length);
  return true;
}

export function takeBegin(queue: HandoverReader): SwitchHead {
  const { bytes, at, length } = queue;
  const checkpointAt = at + VALUE_AT + bytes.readUInt32LE(at + 4);
  const meta = decodeMeta(bytes.subarray(at + VALUE_AT, checkpointAt));
  const rest = bytes.subarray(checkpointAt, at + length);
  const checkpoint = rest.length === 0 ? null : decodeCheckpoint(rest);
  if (meta === null) throw new TypeError('a switch without meta');
  return { meta, base: bytes.readDoubleLE(at + 8), checkpoint };
}

export function takeCheckpoint(queue: HandoverReader): CheckpointRecord {
  const { bytes, at, length } = queue;
  const record = decodeCheckpoint(bytes.subarray(at, at + length));
  if (record === null) throw new TypeError('a checkpoint without a record');
  return record;
}
