// Frames of view change and state transfer that carry entries: rare, but large, so their bytes are copied once into the
// frame like those of a Prepare and never pass through a general codec. A fixed head, then ladder and entries.

import type { DoViewChange, NewState, ReplicaHeader, StartView } from '../protocol/message.js';
import { PURPOSES } from './cold-frames.js';
import {
  CHAIN_BYTES,
  chainAt,
  endOfEntries,
  entriesAt,
  putChain,
  putEntries,
  putRungs,
  rungsAt,
  rungsBytes,
} from './entry-codec.js';
import {
  choiceOf,
  putUint,
  putWhole,
  type Shape,
  shapeAt,
  UINT_BYTES,
  uintAt,
  WHOLE_BYTES,
  wholeAt,
} from './msgpack.js';
import { putReplicaHeader, REPLICA_FIELDS_AT, replicaHeaderAt } from './replica-header.js';

export type BulkMessage = DoViewChange | StartView | NewState;
export type BulkKind = BulkMessage['kind'];

/** Codes are positions; append only. */
const TRANSFER_STATUSES = ['ok', 'mismatch', 'refuse', 'gone'] as const;

// doViewChange: start, lastNormal (epoch, view), op, chain, commit, commitMax, stableOp, logStart, cpOp, ladder,
// tail
const DVC_START = REPLICA_FIELDS_AT;
const DVC_LAST_EPOCH = DVC_START + UINT_BYTES;
const DVC_LAST_VIEW = DVC_LAST_EPOCH + UINT_BYTES;
const DVC_OP = DVC_LAST_VIEW + UINT_BYTES;
const DVC_CHAIN = DVC_OP + WHOLE_BYTES;
const DVC_COMMIT = DVC_CHAIN + CHAIN_BYTES;
const DVC_COMMIT_MAX = DVC_COMMIT + WHOLE_BYTES;
const DVC_STABLE_OP = DVC_COMMIT_MAX + WHOLE_BYTES;
const DVC_LOG_START = DVC_STABLE_OP + WHOLE_BYTES;
const DVC_CP_OP = DVC_LOG_START + WHOLE_BYTES;
const DVC_LADDER = DVC_CP_OP + WHOLE_BYTES;

// startView: nonce, start, op, chain, viewStartOp, commitMax, stableOp, logStart, cpOp, hbSeq, ladder, tail
const SV_NONCE = REPLICA_FIELDS_AT;
const SV_START = SV_NONCE + UINT_BYTES;
const SV_OP = SV_START + UINT_BYTES;
const SV_CHAIN = SV_OP + WHOLE_BYTES;
const SV_VIEW_START_OP = SV_CHAIN + CHAIN_BYTES;
const SV_COMMIT_MAX = SV_VIEW_START_OP + WHOLE_BYTES;
const SV_STABLE_OP = SV_COMMIT_MAX + WHOLE_BYTES;
const SV_LOG_START = SV_STABLE_OP + WHOLE_BYTES;
const SV_CP_OP = SV_LOG_START + WHOLE_BYTES;
const SV_HB_SEQ = SV_CP_OP + WHOLE_BYTES;
const SV_LADDER = SV_HB_SEQ + WHOLE_BYTES;

// newState: reqId, purpose, fromOp, prevChain, head, commitMax, logStart, status, entries
const NS_REQ_ID = REPLICA_FIELDS_AT;
const NS_PURPOSE = NS_REQ_ID + WHOLE_BYTES;
const NS_FROM_OP = NS_PURPOSE + UINT_BYTES;
const NS_PREV_CHAIN = NS_FROM_OP + WHOLE_BYTES;
const NS_HEAD = NS_PREV_CHAIN + CHAIN_BYTES;
const NS_COMMIT_MAX = NS_HEAD + WHOLE_BYTES;
const NS_LOG_START = NS_COMMIT_MAX + WHOLE_BYTES;
const NS_STATUS = NS_LOG_START + WHOLE_BYTES;
const NS_ENTRIES = NS_STATUS + UINT_BYTES;

const SHAPES: Readonly<Record<BulkKind, Shape>> = {
  doViewChange: { fields: 21, bytes: DVC_LADDER },
  startView: { fields: 21, bytes: SV_LADDER },
  newState: { fields: 18, bytes: NS_ENTRIES },
};

/** Exact length of the frame in bytes. */
export function bulkBytes(message: BulkMessage): number {
  const fixed = SHAPES[message.kind].bytes;
  if (message.kind === 'newState') return endOfEntries(fixed, message.entries);
  return endOfEntries(fixed + rungsBytes(message.ladder), message.tail);
}

/** Writes the frame at `at`, where `bulkBytes(message)` bytes are free. */
export function writeBulk(
  message: BulkMessage,
  bytes: Uint8Array,
  view: DataView,
  at: number,
): void {
  putReplicaHeader(view, at, message, SHAPES[message.kind].fields);
  switch (message.kind) {
    case 'doViewChange':
      putUint(view, at + DVC_START, message.start);
      putUint(view, at + DVC_LAST_EPOCH, message.lastNormal.epoch);
      putUint(view, at + DVC_LAST_VIEW, message.lastNormal.view);
      putWhole(view, at + DVC_OP, message.op);
      putChain(view, at + DVC_CHAIN, message.chain);
      putWhole(view, at + DVC_COMMIT, message.commit);
      putWhole(view, at + DVC_COMMIT_MAX, message.commitMax);
      putWhole(view, at + DVC_STABLE_OP, message.stableOp);
      putWhole(view, at + DVC_LOG_START, message.logStart);
      putWhole(view, at + DVC_CP_OP, message.cpOp);
      putEntries(bytes, view, putRungs(view, at + DVC_LADDER, message.ladder), message.tail);
      return;
    case 'startView':
      putUint(view, at + SV_NONCE, message.nonce);
      putUint(view, at + SV_START, message.start);
      putWhole(view, at + SV_OP, message.op);
      putChain(view, at + SV_CHAIN, message.chain);
      putWhole(view, at + SV_VIEW_START_OP, message.viewStartOp);
      putWhole(view, at + SV_COMMIT_MAX, message.commitMax);
      putWhole(view, at + SV_STABLE_OP, message.stableOp);
      putWhole(view, at + SV_LOG_START, message.logStart);
      putWhole(view, at + SV_CP_OP, message.cpOp);
      putWhole(view, at + SV_HB_SEQ, message.hbSeq);
      putEntries(bytes, view, putRungs(view, at + SV_LADDER, message.ladder), message.tail);
      return;
    case 'newState':
      putWhole(view, at + NS_REQ_ID, message.reqId);
      putUint(view, at + NS_PURPOSE, PURPOSES.indexOf(message.purpose));
      putWhole(view, at + NS_FROM_OP, message.fromOp);
      putChain(view, at + NS_PREV_CHAIN, message.prevChain);
      putWhole(view, at + NS_HEAD, message.head);
      putWhole(view, at + NS_COMMIT_MAX, message.commitMax);
      putWhole(view, at + NS_LOG_START, message.logStart);
      putUint(view, at + NS_STATUS, TRANSFER_STATUSES.indexOf(message.status));
      putEntries(bytes, view, at + NS_ENTRIES, message.entries);
      return;
  }
}

/** @throws {BadFrame} */
export function readBulk(
  kind: BulkKind,
  bytes: Uint8Array,
  view: DataView,
  range: { from: number; to: number },
): BulkMessage {
  const { from: at, to } = range;
  const shape = SHAPES[kind];
  shapeAt(view, at, to, shape, kind);
  const header: ReplicaHeader = replicaHeaderAt(view, at);
  switch (kind) {
    case 'doViewChange': {
      const ladder = rungsAt(view, at + DVC_LADDER, to);
      return {
        kind,
        ...header,
        start: uintAt(view, at + DVC_START, 'start'),
        lastNormal: {
          epoch: uintAt(view, at + DVC_LAST_EPOCH, 'epoch'),
          view: uintAt(view, at + DVC_LAST_VIEW, 'view'),
        },
        op: wholeAt(view, at + DVC_OP, 'op'),
        chain: chainAt(view, at + DVC_CHAIN),
        commit: wholeAt(view, at + DVC_COMMIT, 'commit'),
        commitMax: wholeAt(view, at + DVC_COMMIT_MAX, 'commitMax'),
        stableOp: wholeAt(view, at + DVC_STABLE_OP, 'stableOp'),
        logStart: wholeAt(view, at + DVC_LOG_START, 'logStart'),
        cpOp: wholeAt(view, at + DVC_CP_OP, 'cpOp'),
        ladder,
        tail: entriesAt(bytes, view, at + DVC_LADDER + rungsBytes(ladder), to),
      };
    }
    case 'startView': {
      const ladder = rungsAt(view, at + SV_LADDER, to);
      return {
        kind,
        ...header,
        nonce: uintAt(view, at + SV_NONCE, 'nonce'),
        start: uintAt(view, at + SV_START, 'start'),
        op: wholeAt(view, at + SV_OP, 'op'),
        chain: chainAt(view, at + SV_CHAIN),
        viewStartOp: wholeAt(view, at + SV_VIEW_START_OP, 'viewStartOp'),
        commitMax: wholeAt(view, at + SV_COMMIT_MAX, 'commitMax'),
        stableOp: wholeAt(view, at + SV_STABLE_OP, 'stableOp'),
        logStart: wholeAt(view, at + SV_LOG_START, 'logStart'),
        cpOp: wholeAt(view, at + SV_CP_OP, 'cpOp'),
        hbSeq: wholeAt(view, at + SV_HB_SEQ, 'hbSeq'),
        ladder,
        tail: entriesAt(bytes, view, at + SV_LADDER + rungsBytes(ladder), to),
      };
    }
    case 'newState':
      return {
        kind,
        ...header,
        reqId: wholeAt(view, at + NS_REQ_ID, 'reqId'),
        purpose: choiceOf(PURPOSES, uintAt(view, at + NS_PURPOSE, 'purpose'), 'purpose'),
        fromOp: wholeAt(view, at + NS_FROM_OP, 'fromOp'),
        prevChain: chainAt(view, at + NS_PREV_CHAIN),
        head: wholeAt(view, at + NS_HEAD, 'head'),
        commitMax: wholeAt(view, at + NS_COMMIT_MAX, 'commitMax'),
        logStart: wholeAt(view, at + NS_LOG_START, 'logStart'),
        status: choiceOf(TRANSFER_STATUSES, uintAt(view, at + NS_STATUS, 'status'), 'status'),
        entries: entriesAt(bytes, view, at + NS_ENTRIES, to),
      };
  }
}
