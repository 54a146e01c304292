// Messages to frames and back. Each frame is one msgpack array, the kind first and every number of a fixed width, so the hot
// path writes and reads it without a general codec; one codec for all kinds is less to trust than two. The only file of this
// folder that knows a message.

import type {
  Entry,
  Message,
  MessageKind,
  ReplyCode,
  TransferPurpose,
} from '../protocol/message.js';
import type { Chain, ClientId, Rung, Status } from '../protocol/types.js';
import {
  ARRAY_BYTES,
  BadFrame,
  BIN_HEADER_BYTES,
  FLOAT_BYTES,
  INT_BYTES,
  MsgpackReader,
  MsgpackWriter,
  NIL_BYTES,
} from './msgpack.js';

/** Kind codes are part of the format: append, never renumber. */
export const KINDS: readonly MessageKind[] = [
  'prepare',
  'commit',
  'prepareOk',
  'startViewChange',
  'doViewChange',
  'startView',
  'requestStartView',
  'getState',
  'newState',
  'register',
  'unregister',
  'request',
  'read',
  'reply',
  'readReply',
  'notPrimary',
  'viewStarted',
  'busy',
  'evicted',
];
const KIND_CODES = Object.fromEntries(KINDS.map((kind, code) => [kind, code])) as Record<
  MessageKind,
  number
>;
const PHASES = ['vote', 'joined'] as const;
const PURPOSES: readonly TransferPurpose[] = ['gap', 'vc', 'install'];
const TRANSFER_STATUSES = ['ok', 'mismatch', 'refuse'] as const;
const REPLY_CODES: readonly ReplyCode[] = ['ok', 'sessionInvalid', 'replyDropped', 'serviceError'];
const STATUSES: readonly Status[] = ['normal', 'view-change', 'recovering'];
const BUSY_REASONS = ['queue', 'log'] as const;
/** Entries in one message: bounds what a bad length can make the reader do. */
const ENTRIES_MAX = 65_535;

const CHAIN_BYTES = 4 * INT_BYTES;
const CLIENT_BYTES = 4 * INT_BYTES;
const HEADER_BYTES = FLOAT_BYTES + 4 * INT_BYTES;
const ENTRY_FIXED_BYTES =
  ARRAY_BYTES + 2 * FLOAT_BYTES + 4 * INT_BYTES + CHAIN_BYTES + BIN_HEADER_BYTES;
const RUNG_BYTES = FLOAT_BYTES + CHAIN_BYTES;
/** Array header and kind code. */
const OPENING_BYTES = ARRAY_BYTES + INT_BYTES;
/** Offset of the kind's value from the start of a frame. */
const KIND_AT = ARRAY_BYTES + 1;

function entriesBytes(entries: readonly Entry[]): number {
  let bytes = ARRAY_BYTES;
  for (const entry of entries) bytes += ENTRY_FIXED_BYTES + entry.body.length;
  return bytes;
}

function rungsBytes(rungs: readonly Rung[]): number {
  return ARRAY_BYTES + rungs.length * RUNG_BYTES;
}

/** Exact length of the frame of `message` in bytes. */
export function frameBytes(message: Message): number {
  const replica = OPENING_BYTES + HEADER_BYTES;
  const client = OPENING_BYTES + CLIENT_BYTES;
  switch (message.kind) {
    case 'prepare':
      return replica + INT_BYTES + 3 * FLOAT_BYTES + CHAIN_BYTES + entriesBytes(message.entries);
    case 'commit':
      return replica + INT_BYTES + 3 * FLOAT_BYTES;
    case 'prepareOk':
      return replica + 2 * FLOAT_BYTES + CHAIN_BYTES;
    case 'startViewChange':
      return replica + INT_BYTES;
    case 'doViewChange':
      return (
        replica +
        3 * INT_BYTES +
        3 * FLOAT_BYTES +
        CHAIN_BYTES +
        rungsBytes(message.ladder) +
        entriesBytes(message.tail)
      );
    case 'startView':
      return (
        replica +
        2 * INT_BYTES +
        4 * FLOAT_BYTES +
        CHAIN_BYTES +
        rungsBytes(message.ladder) +
        entriesBytes(message.tail)
      );
    case 'requestStartView':
      return replica + INT_BYTES + FLOAT_BYTES;
    case 'getState':
      return (
        replica +
        3 * FLOAT_BYTES +
        2 * INT_BYTES +
        (message.prevChain === null ? NIL_BYTES : CHAIN_BYTES)
      );
    case 'newState':
      return (
        replica + 4 * FLOAT_BYTES + 2 * INT_BYTES + CHAIN_BYTES + entriesBytes(message.entries)
      );
    case 'register':
      return client + FLOAT_BYTES + 2 * INT_BYTES;
    case 'unregister':
      return client + FLOAT_BYTES + 2 * INT_BYTES;
    case 'request':
      return client + FLOAT_BYTES + 4 * INT_BYTES + BIN_HEADER_BYTES + message.body.length;
    case 'read':
      return client + 2 * FLOAT_BYTES + 3 * INT_BYTES + BIN_HEADER_BYTES + message.body.length;
    case 'reply':
      return client + 3 * FLOAT_BYTES + 6 * INT_BYTES + BIN_HEADER_BYTES + message.result.length;
    case 'readReply':
      return client + 2 * FLOAT_BYTES + 4 * INT_BYTES + BIN_HEADER_BYTES + message.result.length;
    case 'notPrimary':
      return OPENING_BYTES + 3 * INT_BYTES + (message.primaryId === null ? NIL_BYTES : INT_BYTES);
    case 'viewStarted':
      return OPENING_BYTES + 3 * INT_BYTES;
    case 'busy':
      return OPENING_BYTES + 3 * INT_BYTES + FLOAT_BYTES;
    case 'evicted':
      return client + FLOAT_BYTES;
  }
}

const writer = new MsgpackWriter();
const reader = new MsgpackReader();

function writeChain(chain: Chain): void {
  writer.int(chain[0]);
  writer.int(chain[1]);
  writer.int(chain[2]);
  writer.int(chain[3]);
}

function writeClient(clientId: ClientId): void {
  writer.uint(clientId[0]);
  writer.uint(clientId[1]);
  writer.uint(clientId[2]);
  writer.uint(clientId[3]);
}

function writeEntries(entries: readonly Entry[]): void {
  writer.array(entries.length);
  for (const entry of entries) {
    writer.array(11);
    writer.float(entry.op);
    writer.uint(entry.epoch);
    writer.uint(entry.view);
    writer.float(entry.ts);
    writer.uint(entry.seed);
    writer.uint(entry.count);
    writeChain(entry.chain);
    writer.bin(entry.body);
  }
}

function writeRungs(rungs: readonly Rung[]): void {
  writer.array(rungs.length * 5);
  for (const rung of rungs) {
    writer.float(rung.op);
    writeChain(rung.chain);
  }
}

/** Opening of a replica message with `fields` fields behind the header. */
function open(kind: MessageKind, fields: number): void {
  writer.array(1 + fields);
  writer.uint(KIND_CODES[kind]);
}

function openReplica(message: Extract<Message, { clusterId: number }>, fields: number): void {
  open(message.kind, 5 + fields);
  writer.float(message.clusterId);
  writer.uint(message.gen);
  writer.uint(message.epoch);
  writer.uint(message.view);
  writer.uint(message.from);
}

function openClient(kind: MessageKind, clientId: ClientId, fields: number): void {
  open(kind, 4 + fields);
  writeClient(clientId);
}

/** Writes the frame of `message` at `at`; `frameBytes(message)` bytes must be there. @returns the offset behind it. */
export function writeFrame(
  message: Message,
  bytes: Uint8Array,
  view: DataView,
  at: number,
): number {
  writer.begin(bytes, view, at);
  switch (message.kind) {
    case 'prepare':
      openReplica(message, 9);
      writer.uint(message.start);
      writer.float(message.first);
      writeChain(message.prevChain);
      writer.float(message.commitMax);
      writer.float(message.hbSeq);
      writeEntries(message.entries);
      break;
    case 'commit':
      openReplica(message, 4);
      writer.uint(message.start);
      writer.float(message.op);
      writer.float(message.commitMax);
      writer.float(message.hbSeq);
      break;
    case 'prepareOk':
      openReplica(message, 6);
      writer.float(message.op);
      writeChain(message.chain);
      writer.float(message.hbEcho);
      break;
    case 'startViewChange':
      openReplica(message, 1);
      writer.uint(PHASES.indexOf(message.phase));
      break;
    case 'doViewChange':
      openReplica(message, 12);
      writer.uint(message.start);
      writer.uint(message.lastNormal.epoch);
      writer.uint(message.lastNormal.view);
      writer.float(message.op);
      writeChain(message.chain);
      writer.float(message.commit);
      writer.float(message.commitMax);
      writeRungs(message.ladder);
      writeEntries(message.tail);
      break;
    case 'startView':
      openReplica(message, 12);
      writer.uint(message.nonce);
      writer.uint(message.start);
      writer.float(message.op);
      writeChain(message.chain);
      writer.float(message.viewStartOp);
      writer.float(message.commitMax);
      writer.float(message.hbSeq);
      writeRungs(message.ladder);
      writeEntries(message.tail);
      break;
    case 'requestStartView':
      openReplica(message, 2);
      writer.uint(message.nonce);
      writer.float(message.haveOp);
      break;
    case 'getState':
      openReplica(message, message.prevChain === null ? 6 : 9);
      writer.float(message.reqId);
      writer.uint(PURPOSES.indexOf(message.purpose));
      writer.float(message.fromOp);
      writer.float(message.toOp);
      writer.uint(message.maxBytes);
      if (message.prevChain === null) writer.nil();
      else writeChain(message.prevChain);
      break;
    case 'newState':
      openReplica(message, 11);
      writer.float(message.reqId);
      writer.uint(PURPOSES.indexOf(message.purpose));
      writer.float(message.fromOp);
      writeChain(message.prevChain);
      writer.float(message.head);
      writer.float(message.commitMax);
      writer.uint(TRANSFER_STATUSES.indexOf(message.status));
      writeEntries(message.entries);
      break;
    case 'register':
      openClient(message.kind, message.clientId, 3);
      writer.float(message.nonce);
      writer.uint(message.epoch);
      writer.uint(message.seenView);
      break;
    case 'unregister':
      openClient(message.kind, message.clientId, 3);
      writer.float(message.session);
      writer.uint(message.epoch);
      writer.uint(message.seenView);
      break;
    case 'request':
      openClient(message.kind, message.clientId, 6);
      writer.float(message.session);
      writer.uint(message.requestNumber);
      writer.uint(message.acked);
      writer.uint(message.epoch);
      writer.uint(message.seenView);
      writer.bin(message.body);
      break;
    case 'read':
      openClient(message.kind, message.clientId, 6);
      writer.float(message.session);
      writer.uint(message.afterRequest);
      writer.float(message.readId);
      writer.uint(message.epoch);
      writer.uint(message.seenView);
      writer.bin(message.body);
      break;
    case 'reply':
      openClient(message.kind, message.clientId, 10);
      writer.float(message.session);
      writer.uint(message.requestNumber);
      writer.uint(message.gen);
      writer.uint(message.epoch);
      writer.uint(message.view);
      writer.float(message.op);
      writer.uint(message.idx);
      writer.uint(REPLY_CODES.indexOf(message.code));
      writer.float(message.nonce);
      writer.bin(message.result);
      break;
    case 'readReply':
      openClient(message.kind, message.clientId, 7);
      writer.float(message.readId);
      writer.uint(message.gen);
      writer.uint(message.epoch);
      writer.uint(message.view);
      writer.float(message.op);
      writer.uint(REPLY_CODES.indexOf(message.code));
      writer.bin(message.result);
      break;
    case 'notPrimary':
      open(message.kind, 4);
      writer.uint(message.epoch);
      writer.uint(message.view);
      if (message.primaryId === null) writer.nil();
      else writer.uint(message.primaryId);
      writer.uint(STATUSES.indexOf(message.status));
      break;
    case 'viewStarted':
      open(message.kind, 3);
      writer.uint(message.epoch);
      writer.uint(message.view);
      writer.uint(message.primaryId);
      break;
    case 'busy':
      open(message.kind, 4);
      writer.uint(message.requestNumber);
      writer.float(message.readId);
      writer.uint(message.retryAfterMs);
      writer.uint(BUSY_REASONS.indexOf(message.reason));
      break;
    case 'evicted':
      openClient(message.kind, message.clientId, 1);
      writer.float(message.session);
      break;
  }
  return writer.position;
}

function readChain(): Chain {
  return [reader.int('chain'), reader.int('chain'), reader.int('chain'), reader.int('chain')];
}

function readClient(): ClientId {
  const word = 'clientId';
  return [reader.uint(word), reader.uint(word), reader.uint(word), reader.uint(word)];
}

function readEntries(): Entry[] {
  const count = reader.array('entries');
  if (count > ENTRIES_MAX) throw new BadFrame(`${count} entries in one message`);
  const entries: Entry[] = [];
  for (let at = 0; at < count; at++) {
    reader.tuple(11, 'an entry');
    entries.push({
      op: reader.whole('op'),
      epoch: reader.uint('epoch'),
      view: reader.uint('view'),
      ts: reader.whole('ts'),
      seed: reader.uint('seed'),
      kind: 'batch',
      count: reader.uint('count'),
      chain: readChain(),
      body: reader.bin('body'),
    });
  }
  return entries;
}

function readRungs(): Rung[] {
  const fields = reader.array('ladder');
  if (fields % 5 !== 0) throw new BadFrame(`a ladder of ${fields} fields`);
  const rungs: Rung[] = [];
  for (let at = 0; at < fields; at += 5)
    rungs.push({ op: reader.whole('rung'), chain: readChain() });
  return rungs;
}

function oneOf<T>(choices: readonly T[], what: string): T {
  const code = reader.uint(what);
  const choice = choices[code];
  if (choice === undefined) throw new BadFrame(`unknown ${what} ${code}`);
  return choice;
}

function readHeader(): {
  clusterId: number;
  gen: number;
  epoch: number;
  view: number;
  from: number;
} {
  return {
    clusterId: reader.whole('clusterId'),
    gen: reader.uint('gen'),
    epoch: reader.uint('epoch'),
    view: reader.uint('view'),
    from: reader.uint('from'),
  };
}

/** The kind of the frame at `at`, or null when it is none of ours. Looks at four bytes. */
export function frameKind(view: DataView, at: number, length: number): MessageKind | null {
  if (length < OPENING_BYTES) return null;
  return KINDS[view.getUint32(at + KIND_AT)] ?? null;
}

/**
 * Reads the frame at `range`. Byte strings in the result view `bytes`.
 * @throws {BadFrame} naming what is wrong; nothing of the message is kept then.
 */
export function readFrame(
  bytes: Uint8Array,
  view: DataView,
  range: { from: number; to: number },
): Message {
  reader.begin(bytes, view, range);
  const fields = reader.array('a frame');
  const kind = KINDS[reader.uint('kind')];
  if (kind === undefined) throw new BadFrame('unknown kind of message');
  const message = readBody(kind, fields);
  reader.end();
  return message;
}

function expectFields(found: number, expected: number, kind: MessageKind): void {
  if (found !== expected) throw new BadFrame(`${kind} has ${found} fields instead of ${expected}`);
}

function readBody(kind: MessageKind, fields: number): Message {
  switch (kind) {
    case 'prepare': {
      expectFields(fields, 15, kind);
      const header = readHeader();
      const start = reader.uint('start');
      const first = reader.whole('first');
      const prevChain = readChain();
      const commitMax = reader.whole('commitMax');
      const hbSeq = reader.whole('hbSeq');
      return { kind, ...header, start, first, prevChain, commitMax, hbSeq, entries: readEntries() };
    }
    case 'commit':
      expectFields(fields, 10, kind);
      return {
        kind,
        ...readHeader(),
        start: reader.uint('start'),
        op: reader.whole('op'),
        commitMax: reader.whole('commitMax'),
        hbSeq: reader.whole('hbSeq'),
      };
    case 'prepareOk':
      expectFields(fields, 12, kind);
      return {
        kind,
        ...readHeader(),
        op: reader.whole('op'),
        chain: readChain(),
        hbEcho: reader.whole('hbEcho'),
      };
    case 'startViewChange':
      expectFields(fields, 7, kind);
      return { kind, ...readHeader(), phase: oneOf(PHASES, 'phase') };
    case 'doViewChange':
      expectFields(fields, 18, kind);
      return {
        kind,
        ...readHeader(),
        start: reader.uint('start'),
        lastNormal: { epoch: reader.uint('epoch'), view: reader.uint('view') },
        op: reader.whole('op'),
        chain: readChain(),
        commit: reader.whole('commit'),
        commitMax: reader.whole('commitMax'),
        ladder: readRungs(),
        tail: readEntries(),
      };
    case 'startView':
      expectFields(fields, 18, kind);
      return {
        kind,
        ...readHeader(),
        nonce: reader.uint('nonce'),
        start: reader.uint('start'),
        op: reader.whole('op'),
        chain: readChain(),
        viewStartOp: reader.whole('viewStartOp'),
        commitMax: reader.whole('commitMax'),
        hbSeq: reader.whole('hbSeq'),
        ladder: readRungs(),
        tail: readEntries(),
      };
    case 'requestStartView':
      expectFields(fields, 8, kind);
      return { kind, ...readHeader(), nonce: reader.uint('nonce'), haveOp: reader.whole('haveOp') };
    case 'getState': {
      if (fields !== 12) expectFields(fields, 15, kind);
      return {
        kind,
        ...readHeader(),
        reqId: reader.whole('reqId'),
        purpose: oneOf(PURPOSES, 'purpose'),
        fromOp: reader.whole('fromOp'),
        toOp: reader.whole('toOp'),
        maxBytes: reader.uint('maxBytes'),
        prevChain: reader.nil() ? null : readChain(),
      };
    }
    case 'newState':
      expectFields(fields, 17, kind);
      return {
        kind,
        ...readHeader(),
        reqId: reader.whole('reqId'),
        purpose: oneOf(PURPOSES, 'purpose'),
        fromOp: reader.whole('fromOp'),
        prevChain: readChain(),
        head: reader.whole('head'),
        commitMax: reader.whole('commitMax'),
        status: oneOf(TRANSFER_STATUSES, 'status'),
        entries: readEntries(),
      };
    default:
      return readClientSide(kind, fields);
  }
}

type ReplicaKind =
  | 'prepare'
  | 'commit'
  | 'prepareOk'
  | 'startViewChange'
  | 'doViewChange'
  | 'startView'
  | 'requestStartView'
  | 'getState'
  | 'newState';

function readClientSide(kind: Exclude<MessageKind, ReplicaKind>, fields: number): Message {
  switch (kind) {
    case 'register':
      expectFields(fields, 8, kind);
      return {
        kind,
        clientId: readClient(),
        nonce: reader.whole('nonce'),
        epoch: reader.uint('epoch'),
        seenView: reader.uint('seenView'),
      };
    case 'unregister':
      expectFields(fields, 8, kind);
      return {
        kind,
        clientId: readClient(),
        session: reader.whole('session'),
        epoch: reader.uint('epoch'),
        seenView: reader.uint('seenView'),
      };
    case 'request':
      expectFields(fields, 11, kind);
      return {
        kind,
        clientId: readClient(),
        session: reader.whole('session'),
        requestNumber: reader.uint('requestNumber'),
        acked: reader.uint('acked'),
        epoch: reader.uint('epoch'),
        seenView: reader.uint('seenView'),
        body: reader.bin('body'),
      };
    case 'read':
      expectFields(fields, 11, kind);
      return {
        kind,
        clientId: readClient(),
        session: reader.whole('session'),
        afterRequest: reader.uint('afterRequest'),
        readId: reader.whole('readId'),
        epoch: reader.uint('epoch'),
        seenView: reader.uint('seenView'),
        body: reader.bin('body'),
      };
    case 'reply':
      expectFields(fields, 15, kind);
      return {
        kind,
        clientId: readClient(),
        session: reader.whole('session'),
        requestNumber: reader.uint('requestNumber'),
        gen: reader.uint('gen'),
        epoch: reader.uint('epoch'),
        view: reader.uint('view'),
        op: reader.whole('op'),
        idx: reader.uint('idx'),
        code: oneOf(REPLY_CODES, 'code'),
        nonce: reader.whole('nonce'),
        result: reader.bin('result'),
      };
    case 'readReply':
      expectFields(fields, 12, kind);
      return {
        kind,
        clientId: readClient(),
        readId: reader.whole('readId'),
        gen: reader.uint('gen'),
        epoch: reader.uint('epoch'),
        view: reader.uint('view'),
        op: reader.whole('op'),
        code: oneOf(REPLY_CODES, 'code'),
        result: reader.bin('result'),
      };
    case 'notPrimary':
      expectFields(fields, 5, kind);
      return {
        kind,
        epoch: reader.uint('epoch'),
        view: reader.uint('view'),
        primaryId: reader.nil() ? null : reader.uint('primaryId'),
        status: oneOf(STATUSES, 'status'),
      };
    case 'viewStarted':
      expectFields(fields, 4, kind);
      return {
        kind,
        epoch: reader.uint('epoch'),
        view: reader.uint('view'),
        primaryId: reader.uint('primaryId'),
      };
    case 'busy':
      expectFields(fields, 5, kind);
      return {
        kind,
        requestNumber: reader.uint('requestNumber'),
        readId: reader.whole('readId'),
        retryAfterMs: reader.uint('retryAfterMs'),
        reason: oneOf(BUSY_REASONS, 'reason'),
      };
    case 'evicted':
      expectFields(fields, 6, kind);
      return { kind, clientId: readClient(), session: reader.whole('session') };
  }
}
