// The fields that frames written by hand must show to a foreign decoder: the layouts of the codec, said a second time.

import type { CheckpointMessage, Entry, Message } from '../../src/protocol/message.js';
import type { Rung } from '../../src/protocol/types.js';

/** Stands for padding in `fieldsOf`: a byte string of zeros of any length below 8. */
export const PADDING = Symbol('padding');

const READ_CODES = { ok: 0, behind: 1, badToken: 2 };
const CODES = { ok: 0, sessionInvalid: 1, replyDropped: 2, serviceError: 3 };
const PURPOSES = { gap: 0, vc: 1, install: 2 };
const TRANSFER_STATUSES = { ok: 0, mismatch: 1, refuse: 2, gone: 3 };
const CHECKPOINT_STATUSES = { ok: 0, gone: 1, refuse: 2 };

function entriesOf(list: readonly Entry[]): unknown[] {
  return list.map((one) => [
    one.op,
    one.epoch,
    one.view,
    one.ts,
    one.seed,
    0,
    one.count,
    ...one.chain,
    PADDING,
    one.body,
  ]);
}

function rungsOf(rungs: readonly Rung[]): unknown[] {
  return rungs.flatMap((rung) => [rung.op, ...rung.chain]);
}

const REPLICA_CODES = {
  prepare: 0,
  commit: 1,
  prepareOk: 2,
  doViewChange: 4,
  startView: 5,
  newState: 8,
  checkpointMeta: 20,
  getNodes: 21,
  nodes: 22,
  getPages: 23,
  pages: 24,
};
type ByHand = Extract<Message, { kind: keyof typeof REPLICA_CODES }>;

/** What a decoder of plain msgpack must see in the frame of a message written by hand; null for the cold kinds. */
export function fieldsOf(m: Message): unknown[] | null {
  switch (m.kind) {
    case 'prepare':
    case 'commit':
    case 'prepareOk':
    case 'doViewChange':
    case 'startView':
    case 'newState':
    case 'checkpointMeta':
    case 'getNodes':
    case 'nodes':
    case 'getPages':
    case 'pages':
      return [
        REPLICA_CODES[m.kind],
        ...[m.clusterId, m.gen, m.epoch, m.view, m.from],
        ...ownFields(m),
      ];
    case 'request':
      return [
        ...[11, ...m.clientId, m.session, m.requestNumber, m.acked, m.epoch, m.seenView],
        ...[PADDING, m.body],
      ];
    case 'read':
      return [
        ...[12, ...m.clientId, m.session, m.readId, m.afterRequest, m.epoch, m.seenView],
        ...[PADDING, m.body],
      ];
    case 'localRead':
      return [
        ...[26, ...m.clientId, m.session, m.readId, m.afterRequest, m.epoch, m.seenView],
        ...[m.tokenGen, m.tokenOp, m.maxStaleMs, PADDING, m.body],
      ];
    case 'reply':
      return [
        ...[13, ...m.clientId, m.session, m.requestNumber, m.gen, m.epoch, m.view, m.op, m.idx],
        ...[CODES[m.code], m.nonce, PADDING, m.result],
      ];
    case 'readReply':
      return [
        ...[14, ...m.clientId, m.readId, m.gen, m.epoch, m.view, m.op, READ_CODES[m.code]],
        ...[PADDING, m.result],
      ];
    default:
      return null;
  }
}

function ownFields(m: ByHand): unknown[] {
  switch (m.kind) {
    case 'prepare':
      return [
        ...[m.start, m.first, ...m.prevChain, m.commitMax, m.stableOp, m.hbSeq, m.doubtMs],
        entriesOf(m.entries),
      ];
    case 'commit':
      return [m.start, m.op, m.commitMax, m.stableOp, m.hbSeq, m.doubtMs];
    case 'prepareOk':
      return [m.op, ...m.chain, m.cpOp, ...m.cpRoot, m.hbEcho];
    case 'doViewChange':
      return [
        ...[m.start, m.lastNormal.epoch, m.lastNormal.view, m.op, ...m.chain, m.commit],
        ...[m.commitMax, m.stableOp, m.logStart, m.cpOp, rungsOf(m.ladder), entriesOf(m.tail)],
      ];
    case 'startView':
      return [
        ...[m.nonce, m.start, m.op, ...m.chain, m.viewStartOp, m.commitMax, m.stableOp],
        ...[m.logStart, m.cpOp, m.hbSeq, rungsOf(m.ladder), entriesOf(m.tail)],
      ];
    case 'newState':
      return [
        ...[m.reqId, PURPOSES[m.purpose], m.fromOp, ...m.prevChain, m.head, m.commitMax],
        ...[m.logStart, TRANSFER_STATUSES[m.status], entriesOf(m.entries)],
      ];
    default:
      return [m.reqId, m.cpOp, ...checkpointFields(m)];
  }
}

function checkpointFields(m: Extract<ByHand, CheckpointMessage>): unknown[] {
  switch (m.kind) {
    case 'checkpointMeta':
      return [
        ...[...m.cpChain, ...m.root, CHECKPOINT_STATUSES[m.status], m.pageCounts],
        ...[PADDING, m.tops],
      ];
    case 'getNodes':
      return [m.list, m.level, m.indices];
    case 'nodes':
      return [
        ...[m.list, m.level, CHECKPOINT_STATUSES[m.status], m.indices],
        ...[PADDING, m.hashes],
      ];
    case 'getPages':
      return [m.list, m.indices];
    case 'pages':
      return [m.list, CHECKPOINT_STATUSES[m.status], m.indices, PADDING, m.bytes];
  }
}
