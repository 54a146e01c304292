// Keys and values of a replica's store, byte for byte: format version 2. Values are little-endian, keys are big-endian so that
// LMDB's byte order is the order of the numbers. Every value begins with a CRC-32 of its key and of the rest of the value: LMDB
// itself keeps none, and a page that lost its way would otherwise pass. Of an entry it leaves out the body, which is nearly all that is
// ever written: the entry's chain covers that, and who reads a log verifies its chain anyway, from `baseChain` on.

import { crc32 } from 'node:zlib';
import type { Entry } from '../protocol/message.js';
import type { Chain, EpochNumber, OpNumber, Stamp, StartNumber } from '../protocol/types.js';

/** First byte of a key. The log comes last: a new entry is the last key then, and LMDB fills its pages. */
const META = 0x01;
const CHECKPOINT = 0x02;
const UNFLUSHED = 0x03;
const PAGE = 0x10;
const LOG = 0x20;

/** What a replica knows of itself besides its log (P8). All numbers are below 2^53. */
export interface StoredMeta {
  readonly clusterId: number;
  readonly gen: number;
  /** Stamp in which it was last normal. */
  readonly lastNormal: Stamp;
  readonly viewStartOp: OpNumber;
  /** 0: unknown */
  readonly primaryStart: StartNumber;
  readonly epoch: EpochNumber;
  /** A lower bound of what is committed; never above the head. */
  readonly commit: OpNumber;
  /** Lowest op of the log, from 1. */
  readonly logStart: OpNumber;
  /** chain(logStart - 1) */
  readonly baseChain: Chain;
  /** Microseconds of the entry at logStart - 1; 0 before the first. */
  readonly baseTs: number;
  /** Highest op of the log; logStart - 1: the log is empty. */
  readonly head: OpNumber;
}

export interface CheckpointRecord {
  readonly op: OpNumber;
  /** chain(op) */
  readonly chain: Chain;
  /** Microseconds of the entry at op. */
  readonly ts: number;
  readonly root: Chain;
  /** Pages of each list. */
  readonly pageCounts: readonly number[];
}

export const META_KEY: Uint8Array = Uint8Array.of(META);
export const CHECKPOINT_KEY: Uint8Array = Uint8Array.of(CHECKPOINT);
/** Holds the boot id of the machine while commits are not flushed: after another boot the file may be a mixture (P1). */
export const UNFLUSHED_KEY: Uint8Array = Uint8Array.of(UNFLUSHED);

const LOG_KEY_BYTES = 9;
const PAGE_KEY_BYTES = 14;
const CRC_BYTES = 4;
export const ENTRY_HEADER_BYTES = 56;
export const PAGE_HEADER_BYTES = 8;
const META_BYTES = 112;
const CHECKPOINT_FIXED_BYTES = 64;
const KIND_BATCH = 0;

export type Key =
  | { readonly table: 'meta' | 'checkpoint' | 'unflushed' }
  | { readonly table: 'log'; readonly op: OpNumber }
  | {
      readonly table: 'page';
      readonly list: number;
      readonly index: number;
      readonly cpOp: OpNumber;
    };

/** Writes into `key` and returns it, so that one buffer serves all. */
export class KeyWriter {
  readonly #log = Buffer.alloc(LOG_KEY_BYTES);
  readonly #page = Buffer.alloc(PAGE_KEY_BYTES);

  constructor() {
    this.#log[0] = LOG;
    this.#page[0] = PAGE;
  }

  log(op: OpNumber): Buffer {
    writeBig(this.#log, op, 1);
    return this.#log;
  }

  page(list: number, index: number, cpOp: OpNumber): Buffer {
    this.#page[1] = list;
    this.#page.writeUInt32BE(index, 2);
    writeBig(this.#page, cpOp, 6);
    return this.#page;
  }
}

function writeBig(bytes: Buffer, value: number, at: number): void {
  bytes.writeUInt32BE(Math.floor(value / 2 ** 32), at);
  bytes.writeUInt32BE(value >>> 0, at + 4);
}

function readBig(bytes: Buffer, at: number): number {
  return bytes.readUInt32BE(at) * 2 ** 32 + bytes.readUInt32BE(at + 4);
}

/** @returns null: no key of this format. */
export function parseKey(key: Buffer): Key | null {
  switch (key[0]) {
    case META:
      return key.length === 1 ? { table: 'meta' } : null;
    case CHECKPOINT:
      return key.length === 1 ? { table: 'checkpoint' } : null;
    case UNFLUSHED:
      return key.length === 1 ? { table: 'unflushed' } : null;
    case LOG:
      return key.length === LOG_KEY_BYTES ? { table: 'log', op: readBig(key, 1) } : null;
    case PAGE:
      if (key.length !== PAGE_KEY_BYTES) return null;
      return {
        table: 'page',
        list: key[1] as number,
        index: key.readUInt32BE(2),
        cpOp: readBig(key, 6),
      };
    default:
      return null;
  }
}

/** Fills in the checksum of a complete value; of an entry its fields are enough. */
export function seal(key: Uint8Array, value: Buffer): Buffer {
  value.writeUInt32LE(sumOf(key, value), 0);
  return value;
}

export function isSealed(key: Uint8Array, value: Buffer): boolean {
  return value.length >= CRC_BYTES && value.readUInt32LE(0) === sumOf(key, value);
}

function sumOf(key: Uint8Array, value: Buffer): number {
  const to = key[0] === LOG ? ENTRY_HEADER_BYTES : value.length;
  return crc32(value.subarray(CRC_BYTES, to), crc32(key));
}

//  entry   crc @0 (of the key and up to @56), kind u32 @4, epoch u32 @8, view u32 @12, ts f64 @16, seed u32 @24, count u32 @28, chain 4 x i32 @32,
//          body length u32 @48, 0 @52, body @56

export function writeEntryHeader(target: Buffer, entry: Entry): void {
  target.writeUInt32LE(0, 0);
  target.writeUInt32LE(KIND_BATCH, 4);
  target.writeUInt32LE(entry.epoch, 8);
  target.writeUInt32LE(entry.view, 12);
  target.writeDoubleLE(entry.ts, 16);
  target.writeUInt32LE(entry.seed, 24);
  target.writeUInt32LE(entry.count, 28);
  writeChain(target, entry.chain, 32);
  target.writeUInt32LE(entry.body.length, 48);
  target.writeUInt32LE(0, 52);
}

/** Whether it is an entry of this format. */
export function isEntry(value: Buffer): boolean {
  return (
    value.length >= ENTRY_HEADER_BYTES &&
    value.readUInt32LE(4) === KIND_BATCH &&
    value.readUInt32LE(48) === value.length - ENTRY_HEADER_BYTES
  );
}

/** Of a value that `isEntry` knows: the entry, with a body of its own. */
export function readEntry(op: OpNumber, value: Buffer): Entry {
  return {
    op,
    epoch: value.readUInt32LE(8),
    view: value.readUInt32LE(12),
    ts: value.readDoubleLE(16),
    seed: value.readUInt32LE(24),
    kind: 'batch',
    count: value.readUInt32LE(28),
    chain: readChain(value, 32),
    body: new Uint8Array(value.subarray(ENTRY_HEADER_BYTES)),
  };
}

//  meta    crc @0, epoch u32 @4, last normal epoch u32 @8, view u32 @12, clusterId f64 @16, gen f64 @24, viewStartOp f64 @32,
//          primaryStart f64 @40, commit f64 @48, logStart f64 @56, baseTs f64 @64, head f64 @72, baseChain 4 x i32 @80,
//          transaction f64 @96, 0 @104

/**
 * @param transaction that puts it. Every one does: LMDB keeps two heads of its tree and no checksum of either, and only so a
 * flipped bit cannot make the older one pass for the newer.
 */
export function encodeMeta(meta: StoredMeta, transaction: number): Buffer {
  const value = Buffer.alloc(META_BYTES);
  value.writeUInt32LE(meta.epoch, 4);
  value.writeUInt32LE(meta.lastNormal.epoch, 8);
  value.writeUInt32LE(meta.lastNormal.view, 12);
  value.writeDoubleLE(meta.clusterId, 16);
  value.writeDoubleLE(meta.gen, 24);
  value.writeDoubleLE(meta.viewStartOp, 32);
  value.writeDoubleLE(meta.primaryStart, 40);
  value.writeDoubleLE(meta.commit, 48);
  value.writeDoubleLE(meta.logStart, 56);
  value.writeDoubleLE(meta.baseTs, 64);
  value.writeDoubleLE(meta.head, 72);
  writeChain(value, meta.baseChain, 80);
  value.writeDoubleLE(transaction, 96);
  return seal(META_KEY, value);
}

/** Of a value that `decodeMeta` knows. */
export function transactionOf(value: Buffer): number {
  return value.readDoubleLE(96);
}

/** Of a sealed value. @returns null: not of this format. */
export function decodeMeta(value: Buffer): StoredMeta | null {
  if (value.length !== META_BYTES) return null;
  return {
    clusterId: value.readDoubleLE(16),
    gen: value.readDoubleLE(24),
    lastNormal: { epoch: value.readUInt32LE(8), view: value.readUInt32LE(12) },
    viewStartOp: value.readDoubleLE(32),
    primaryStart: value.readDoubleLE(40),
    epoch: value.readUInt32LE(4),
    commit: value.readDoubleLE(48),
    logStart: value.readDoubleLE(56),
    baseChain: readChain(value, 80),
    baseTs: value.readDoubleLE(64),
    head: value.readDoubleLE(72),
  };
}

//  checkpoint   crc @0, lists u32 @4, op f64 @8, ts f64 @16, chain 4 x i32 @24, root 4 x i32 @40, 0 @56, pages of each list
//               u32 @64...

export function encodeCheckpoint(record: CheckpointRecord): Buffer {
  const lists = record.pageCounts.length;
  const value = Buffer.alloc(CHECKPOINT_FIXED_BYTES + 4 * lists);
  value.writeUInt32LE(lists, 4);
  value.writeDoubleLE(record.op, 8);
  value.writeDoubleLE(record.ts, 16);
  writeChain(value, record.chain, 24);
  writeChain(value, record.root, 40);
  for (let list = 0; list < lists; list++)
    value.writeUInt32LE(record.pageCounts[list] as number, CHECKPOINT_FIXED_BYTES + 4 * list);
  return seal(CHECKPOINT_KEY, value);
}

/** Of a sealed value. @returns null: not of this format. */
export function decodeCheckpoint(value: Buffer): CheckpointRecord | null {
  if (value.length < CHECKPOINT_FIXED_BYTES) return null;
  const lists = value.readUInt32LE(4);
  if (value.length !== CHECKPOINT_FIXED_BYTES + 4 * lists) return null;
  const pageCounts: number[] = [];
  for (let list = 0; list < lists; list++)
    pageCounts.push(value.readUInt32LE(CHECKPOINT_FIXED_BYTES + 4 * list));
  return {
    op: value.readDoubleLE(8),
    chain: readChain(value, 24),
    ts: value.readDoubleLE(16),
    root: readChain(value, 40),
    pageCounts,
  };
}

//  page    crc @0, 0 @4, bytes @8

export function pageBytesOf(value: Buffer): Buffer {
  return value.subarray(PAGE_HEADER_BYTES);
}

export function writeChain(target: Buffer, chain: Chain, at: number): void {
  for (let word = 0; word < 4; word++) target.writeInt32LE(chain[word] as number, at + 4 * word);
}

export function readChain(source: Buffer, at: number): Chain {
  return [
    source.readInt32LE(at),
    source.readInt32LE(at + 4),
    source.readInt32LE(at + 8),
    source.readInt32LE(at + 12),
  ];
}
