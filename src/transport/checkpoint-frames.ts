// Frames of checkpoint transfer (CP6) that carry lists, hashes or pages: a fixed head, a list, and the bytes last, on a
// multiple of 8 and copied once, like the bodies of hot frames. The limits below hold for senders and receivers alike.

import { violated } from '../protocol/assert.js';
import { INDICES_MAX } from '../protocol/checkpoint/donate.js';
import { FAN_OUT, HASH_BYTES } from '../protocol/checkpoint/merkle.js';
import type {
  CheckpointMeta,
  GetNodes,
  GetPages,
  Nodes,
  Pages,
  ReplicaHeader,
} from '../protocol/message.js';
import { CHAIN_BYTES, chainAt, putChain } from './entry-codec.js';
import {
  BadFrame,
  BIN_BYTES,
  choiceOf,
  lastBinAt,
  PADDING_BYTES_MIN,
  paddingAt,
  paddingBytes,
  putBin,
  putPadding,
  putUint,
  putUints,
  putWhole,
  type Shape,
  shapeAt,
  UINT_BYTES,
  uintAt,
  uintsAt,
  uintsBytes,
  WHOLE_BYTES,
  wholeAt,
} from './msgpack.js';
import { putReplicaHeader, REPLICA_FIELDS_AT, replicaHeaderAt } from './replica-header.js';

export type CheckpointFrame = CheckpointMeta | GetNodes | Nodes | GetPages | Pages;
export type CheckpointKind = CheckpointFrame['kind'];

/** Most lists of pages in one checkpoint. */
export const LISTS_MAX = 64;
export const PAGE_BYTES_MAX: number = 64 << 10;
/** Of all pages in one message. */
export const PAGES_BYTES_MAX: number = 256 << 10;

/** Codes are positions; append only. */
const META_STATUSES = ['ok', 'gone', 'refuse'] as const;
const PART_STATUSES = ['ok', 'gone'] as const;

const REQ_ID = REPLICA_FIELDS_AT;
const CP_OP = REQ_ID + WHOLE_BYTES;
const OWN_FIELDS_AT = CP_OP + WHOLE_BYTES;

// checkpointMeta: reqId, cpOp, cpChain, root, status, pageCounts, padding, tops
const META_CHAIN = OWN_FIELDS_AT;
const META_ROOT = META_CHAIN + CHAIN_BYTES;
const META_STATUS = META_ROOT + CHAIN_BYTES;
const META_PAGE_COUNTS = META_STATUS + UINT_BYTES;

// getPages: reqId, cpOp, list, indices
// pages: reqId, cpOp, list, status, indices, padding, bytes
const LIST = OWN_FIELDS_AT;
const GET_PAGES_INDICES = LIST + UINT_BYTES;
const PAGES_STATUS = LIST + UINT_BYTES;
const PAGES_INDICES = PAGES_STATUS + UINT_BYTES;

// getNodes: reqId, cpOp, list, level, indices
// nodes: reqId, cpOp, list, level, status, indices, padding, hashes
const LEVEL = LIST + UINT_BYTES;
const GET_NODES_INDICES = LEVEL + UINT_BYTES;
const NODES_STATUS = LEVEL + UINT_BYTES;
const NODES_INDICES = NODES_STATUS + UINT_BYTES;

/** Number of fields of each array, and bytes up to its list. */
const SHAPES: Readonly<Record<CheckpointKind, Shape>> = {
  checkpointMeta: { fields: 20, bytes: META_PAGE_COUNTS },
  getNodes: { fields: 11, bytes: GET_NODES_INDICES },
  nodes: { fields: 14, bytes: NODES_INDICES },
  getPages: { fields: 10, bytes: GET_PAGES_INDICES },
  pages: { fields: 13, bytes: PAGES_INDICES },
};

/** What contradicts the limits, or one field of `message` another; null when it is sound. */
function fault(message: CheckpointFrame): string | null {
  if (message.kind === 'checkpointMeta') return faultOfMeta(message);
  const count = message.indices.length;
  if (count > INDICES_MAX) return `${count} indices, at most ${INDICES_MAX} may be`;
  if (message.list >= LISTS_MAX) return `list ${message.list}, at most ${LISTS_MAX} may be`;
  if (message.kind === 'nodes') return faultOfHashes(message.hashes.length, count);
  return message.kind === 'pages' ? faultOfPages(message.bytes.length, count) : null;
}

function faultOfMeta({ pageCounts, tops }: CheckpointMeta): string | null {
  const lists = pageCounts.length;
  if (lists > LISTS_MAX) return `${lists} pageCounts, at most ${LISTS_MAX} may be`;
  if (tops.length === lists * HASH_BYTES) return null;
  return `tops of ${tops.length} bytes for ${lists} lists`;
}

function faultOfHashes(bytes: number, nodes: number): string | null {
  if (bytes % HASH_BYTES === 0 && bytes <= nodes * FAN_OUT * HASH_BYTES) return null;
  return `hashes of ${bytes} bytes for ${nodes} nodes`;
}

function faultOfPages(bytes: number, pages: number): string | null {
  if (bytes > PAGES_BYTES_MAX) return `pages of ${bytes} bytes, at most ${PAGES_BYTES_MAX} may be`;
  if (bytes > pages * PAGE_BYTES_MAX || (pages > 0 && bytes % pages !== 0))
    return `${bytes} bytes for ${pages} pages`;
  return null;
}

function listOf(message: CheckpointFrame): readonly number[] {
  return message.kind === 'checkpointMeta' ? message.pageCounts : message.indices;
}

/** The byte string at the end of the frame, null for the kinds that have none. */
function bytesOf(message: CheckpointFrame): Uint8Array | null {
  switch (message.kind) {
    case 'checkpointMeta':
      return message.tops;
    case 'nodes':
      return message.hashes;
    case 'pages':
      return message.bytes;
    default:
      return null;
  }
}

/** Exact length of the frame in bytes. */
export function checkpointBytes(message: CheckpointFrame): number {
  const end = SHAPES[message.kind].bytes + uintsBytes(listOf(message));
  const last = bytesOf(message);
  return last === null ? end : end + paddingBytes(end) + BIN_BYTES + last.length;
}

/** Writes the frame at `at`, a multiple of 8, where `checkpointBytes(message)` bytes are free. */
export function writeCheckpoint(
  message: CheckpointFrame,
  bytes: Uint8Array,
  view: DataView,
  at: number,
): void {
  const wrong = fault(message);
  if (wrong !== null) violated(`${message.kind}: ${wrong}`);
  const shape = SHAPES[message.kind];
  putReplicaHeader(view, at, message, shape.fields);
  putWhole(view, at + REQ_ID, message.reqId);
  putWhole(view, at + CP_OP, message.cpOp);
  putOwnFields(message, view, at);
  const end = putUints(view, at + shape.bytes, listOf(message));
  const last = bytesOf(message);
  if (last === null) return;
  const width = paddingBytes(end);
  putPadding(view, end, width);
  putBin(bytes, view, end + width, last);
}

function putOwnFields(message: CheckpointFrame, view: DataView, at: number): void {
  if (message.kind === 'checkpointMeta') {
    putChain(view, at + META_CHAIN, message.cpChain);
    putChain(view, at + META_ROOT, message.root);
    putUint(view, at + META_STATUS, META_STATUSES.indexOf(message.status));
    return;
  }
  putUint(view, at + LIST, message.list);
  if (message.kind === 'getNodes' || message.kind === 'nodes')
    putUint(view, at + LEVEL, message.level);
  if (message.kind === 'nodes')
    putUint(view, at + NODES_STATUS, PART_STATUSES.indexOf(message.status));
  if (message.kind === 'pages')
    putUint(view, at + PAGES_STATUS, PART_STATUSES.indexOf(message.status));
}

/** The byte string behind the list of the frame, with the padding before it. */
function lastBytesAt(
  bytes: Uint8Array,
  view: DataView,
  frame: { from: number; end: number; to: number },
  what: string,
): Uint8Array {
  const { from, end: at, to } = frame;
  if (at + PADDING_BYTES_MIN > to) throw new BadFrame(`the frame ends before ${what}`);
  const width = paddingAt(view, at);
  if (width !== paddingBytes(at - from)) throw new BadFrame(`padding of ${width} bytes`);
  if (at + width + BIN_BYTES > to) throw new BadFrame(`the frame ends before ${what}`);
  return lastBinAt(bytes, view, { at: at + width, to }, what);
}

/** @throws {BadFrame} */
export function readCheckpoint(
  kind: CheckpointKind,
  bytes: Uint8Array,
  view: DataView,
  range: { from: number; to: number },
): CheckpointFrame {
  const { from: at, to } = range;
  const shape = SHAPES[kind];
  shapeAt(view, at, to, shape, kind);
  const what = kind === 'checkpointMeta' ? 'pageCounts' : 'indices';
  const list = uintsAt(view, { at: at + shape.bytes, to }, what);
  const end = at + shape.bytes + uintsBytes(list);
  const message = messageAt(kind, bytes, view, { from: at, to, list, end });
  const wrong = fault(message);
  if (wrong !== null) throw new BadFrame(wrong);
  return message;
}

function messageAt(
  kind: CheckpointKind,
  bytes: Uint8Array,
  view: DataView,
  frame: { from: number; to: number; list: number[]; end: number },
): CheckpointFrame {
  const { from: at, to, list: indices, end } = frame;
  const header: ReplicaHeader = replicaHeaderAt(view, at);
  const reqId = wholeAt(view, at + REQ_ID, 'reqId');
  const cpOp = wholeAt(view, at + CP_OP, 'cpOp');
  if (kind === 'checkpointMeta')
    return {
      kind,
      ...header,
      reqId,
      cpOp,
      cpChain: chainAt(view, at + META_CHAIN),
      root: chainAt(view, at + META_ROOT),
      pageCounts: indices,
      tops: lastBytesAt(bytes, view, frame, 'tops'),
      status: choiceOf(META_STATUSES, uintAt(view, at + META_STATUS, 'status'), 'status'),
    };
  const list = uintAt(view, at + LIST, 'list');
  switch (kind) {
    case 'getNodes': {
      const level = uintAt(view, at + LEVEL, 'level');
      if (end !== to) throw new BadFrame(`${to - end} bytes behind the indices`);
      return { kind, ...header, reqId, cpOp, list, level, indices };
    }
    case 'nodes': {
      const level = uintAt(view, at + LEVEL, 'level');
      const status = choiceOf(PART_STATUSES, uintAt(view, at + NODES_STATUS, 'status'), 'status');
      const hashes = lastBytesAt(bytes, view, frame, 'hashes');
      return { kind, ...header, reqId, cpOp, list, level, indices, hashes, status };
    }
    case 'getPages':
      if (end !== to) throw new BadFrame(`${to - end} bytes behind the indices`);
      return { kind, ...header, reqId, cpOp, list, indices };
    case 'pages': {
      const status = choiceOf(PART_STATUSES, uintAt(view, at + PAGES_STATUS, 'status'), 'status');
      const pages = lastBytesAt(bytes, view, frame, 'pages');
      return { kind, ...header, reqId, cpOp, list, indices, bytes: pages, status };
    }
  }
}
