// Frames of the entry stream - Prepare, Commit, PrepareOk - written and read by hand at fixed offsets: array16, then fields of fixed
// width, the entries last. Each is msgpack that any decoder can read, but none is needed here.

import type { Commit, Prepare, PrepareOk } from '../protocol/message.js';
import {
  CHAIN_BYTES,
  chainAt,
  endOfEntries,
  entriesAt,
  putChain,
  putEntries,
} from './entry-codec.js';
import {
  ARRAY_BYTES,
  BadFrame,
  putUint,
  putWhole,
  type Shape,
  shapeAt,
  UINT_BYTES,
  uintAt,
  WHOLE_BYTES,
  wholeAt,
} from './msgpack.js';
import {
  CLUSTER_ID,
  EPOCH,
  FROM,
  GEN,
  putReplicaHeader,
  REPLICA_FIELDS_AT,
  VIEW,
} from './replica-header.js';

export type StreamMessage = Prepare | Commit | PrepareOk;
export type StreamKind = StreamMessage['kind'];

// prepare: start, first, prevChain, commitMax, stableOp, hbSeq, doubtMs, entries
const PREPARE_START = REPLICA_FIELDS_AT;
const PREPARE_FIRST = PREPARE_START + UINT_BYTES;
const PREPARE_PREV_CHAIN = PREPARE_FIRST + WHOLE_BYTES;
const PREPARE_COMMIT_MAX = PREPARE_PREV_CHAIN + CHAIN_BYTES;
const PREPARE_STABLE_OP = PREPARE_COMMIT_MAX + WHOLE_BYTES;
const PREPARE_HB_SEQ = PREPARE_STABLE_OP + WHOLE_BYTES;
const PREPARE_DOUBT_MS = PREPARE_HB_SEQ + WHOLE_BYTES;
const PREPARE_ENTRIES = PREPARE_DOUBT_MS + UINT_BYTES;

// commit: start, op, commitMax, stableOp, hbSeq, doubtMs
const COMMIT_START = REPLICA_FIELDS_AT;
const COMMIT_OP = COMMIT_START + UINT_BYTES;
const COMMIT_COMMIT_MAX = COMMIT_OP + WHOLE_BYTES;
const COMMIT_STABLE_OP = COMMIT_COMMIT_MAX + WHOLE_BYTES;
const COMMIT_HB_SEQ = COMMIT_STABLE_OP + WHOLE_BYTES;
const COMMIT_DOUBT_MS = COMMIT_HB_SEQ + WHOLE_BYTES;
const COMMIT_BYTES = COMMIT_DOUBT_MS + UINT_BYTES;

// prepareOk: op, chain, cpOp, cpRoot, hbEcho
const PREPARE_OK_OP = REPLICA_FIELDS_AT;
const PREPARE_OK_CHAIN = PREPARE_OK_OP + WHOLE_BYTES;
const PREPARE_OK_CP_OP = PREPARE_OK_CHAIN + CHAIN_BYTES;
const PREPARE_OK_CP_ROOT = PREPARE_OK_CP_OP + WHOLE_BYTES;
const PREPARE_OK_HB_ECHO = PREPARE_OK_CP_ROOT + CHAIN_BYTES;
const PREPARE_OK_BYTES = PREPARE_OK_HB_ECHO + WHOLE_BYTES;

const PREPARE_SHAPE: Shape = { fields: 17, bytes: PREPARE_ENTRIES + ARRAY_BYTES };
const COMMIT_SHAPE: Shape = { fields: 12, bytes: COMMIT_BYTES };
const PREPARE_OK_SHAPE: Shape = { fields: 17, bytes: PREPARE_OK_BYTES };

/** Exact length of the frame in bytes. */
export function streamBytes(message: StreamMessage): number {
  switch (message.kind) {
    case 'prepare':
      return endOfEntries(PREPARE_ENTRIES, message.entries);
    case 'commit':
      return COMMIT_BYTES;
    case 'prepareOk':
      return PREPARE_OK_BYTES;
  }
}

/** Writes the frame at `at`, where `streamBytes(message)` bytes are free. */
export function writeStream(
  message: StreamMessage,
  bytes: Uint8Array,
  view: DataView,
  at: number,
): void {
  switch (message.kind) {
    case 'prepare':
      putReplicaHeader(view, at, message, PREPARE_SHAPE.fields);
      putUint(view, at + PREPARE_START, message.start);
      putWhole(view, at + PREPARE_FIRST, message.first);
      putChain(view, at + PREPARE_PREV_CHAIN, message.prevChain);
      putWhole(view, at + PREPARE_COMMIT_MAX, message.commitMax);
      putWhole(view, at + PREPARE_STABLE_OP, message.stableOp);
      putWhole(view, at + PREPARE_HB_SEQ, message.hbSeq);
      putUint(view, at + PREPARE_DOUBT_MS, message.doubtMs);
      putEntries(bytes, view, at + PREPARE_ENTRIES, message.entries);
      return;
    case 'commit':
      putReplicaHeader(view, at, message, COMMIT_SHAPE.fields);
      putUint(view, at + COMMIT_START, message.start);
      putWhole(view, at + COMMIT_OP, message.op);
      putWhole(view, at + COMMIT_COMMIT_MAX, message.commitMax);
      putWhole(view, at + COMMIT_STABLE_OP, message.stableOp);
      putWhole(view, at + COMMIT_HB_SEQ, message.hbSeq);
      putUint(view, at + COMMIT_DOUBT_MS, message.doubtMs);
      return;
    case 'prepareOk':
      putReplicaHeader(view, at, message, PREPARE_OK_SHAPE.fields);
      putWhole(view, at + PREPARE_OK_OP, message.op);
      putChain(view, at + PREPARE_OK_CHAIN, message.chain);
      putWhole(view, at + PREPARE_OK_CP_OP, message.cpOp);
      putChain(view, at + PREPARE_OK_CP_ROOT, message.cpRoot);
      putWhole(view, at + PREPARE_OK_HB_ECHO, message.hbEcho);
      return;
  }
}

/** @throws {BadFrame} */
export function readStream(
  kind: StreamKind,
  bytes: Uint8Array,
  view: DataView,
  range: { from: number; to: number },
): StreamMessage {
  const { from: at, to } = range;
  switch (kind) {
    case 'prepare':
      shapeAt(view, at, to, PREPARE_SHAPE, kind);
      return {
        kind,
        clusterId: wholeAt(view, at + CLUSTER_ID, 'clusterId'),
        gen: uintAt(view, at + GEN, 'gen'),
        epoch: uintAt(view, at + EPOCH, 'epoch'),
        view: uintAt(view, at + VIEW, 'view'),
        from: uintAt(view, at + FROM, 'from'),
        start: uintAt(view, at + PREPARE_START, 'start'),
        first: wholeAt(view, at + PREPARE_FIRST, 'first'),
        prevChain: chainAt(view, at + PREPARE_PREV_CHAIN),
        commitMax: wholeAt(view, at + PREPARE_COMMIT_MAX, 'commitMax'),
        stableOp: wholeAt(view, at + PREPARE_STABLE_OP, 'stableOp'),
        hbSeq: wholeAt(view, at + PREPARE_HB_SEQ, 'hbSeq'),
        doubtMs: uintAt(view, at + PREPARE_DOUBT_MS, 'doubtMs'),
        entries: entriesAt(bytes, view, at + PREPARE_ENTRIES, to),
      };
    case 'commit':
      shapeAt(view, at, to, COMMIT_SHAPE, kind);
      endsAt(at + COMMIT_BYTES, to, kind);
      return {
        kind,
        clusterId: wholeAt(view, at + CLUSTER_ID, 'clusterId'),
        gen: uintAt(view, at + GEN, 'gen'),
        epoch: uintAt(view, at + EPOCH, 'epoch'),
        view: uintAt(view, at + VIEW, 'view'),
        from: uintAt(view, at + FROM, 'from'),
        start: uintAt(view, at + COMMIT_START, 'start'),
        op: wholeAt(view, at + COMMIT_OP, 'op'),
        commitMax: wholeAt(view, at + COMMIT_COMMIT_MAX, 'commitMax'),
        stableOp: wholeAt(view, at + COMMIT_STABLE_OP, 'stableOp'),
        hbSeq: wholeAt(view, at + COMMIT_HB_SEQ, 'hbSeq'),
        doubtMs: uintAt(view, at + COMMIT_DOUBT_MS, 'doubtMs'),
      };
    case 'prepareOk':
      shapeAt(view, at, to, PREPARE_OK_SHAPE, kind);
      endsAt(at + PREPARE_OK_BYTES, to, kind);
      return {
        kind,
        clusterId: wholeAt(view, at + CLUSTER_ID, 'clusterId'),
        gen: uintAt(view, at + GEN, 'gen'),
        epoch: uintAt(view, at + EPOCH, 'epoch'),
        view: uintAt(view, at + VIEW, 'view'),
        from: uintAt(view, at + FROM, 'from'),
        op: wholeAt(view, at + PREPARE_OK_OP, 'op'),
        chain: chainAt(view, at + PREPARE_OK_CHAIN),
        cpOp: wholeAt(view, at + PREPARE_OK_CP_OP, 'cpOp'),
        cpRoot: chainAt(view, at + PREPARE_OK_CP_ROOT),
        hbEcho: wholeAt(view, at + PREPARE_OK_HB_ECHO, 'hbEcho'),
      };
  }
}

function endsAt(end: number, to: number, kind: StreamKind): void {
  if (to > end) throw new BadFrame(`${to - end} bytes behind ${kind}`);
}
