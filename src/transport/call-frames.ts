// Frames of what clients ask and are answered, written and read by hand at fixed offsets: array16, then fields of fixed width, the one
// field of variable length last, its bytes on a multiple of 8 like the frame itself. Each is msgpack that any decoder can read, but
// none is needed here. Bodies are copied once into the frame, and read as views of it.

import type {
  LocalRead,
  Read,
  ReadCode,
  ReadReply,
  Reply,
  ReplyCode,
  Request,
} from '../protocol/message.js';
import type { ClientId } from '../protocol/types.js';
import {
  bodyFrom,
  CLIENT_FIELDS_AT,
  CLIENT_ID,
  clientIdAt,
  emptyAsked,
  READ_AFTER,
  READ_BODY,
  READ_EPOCH,
  READ_FIELDS,
  READ_ID,
  READ_PADDING,
  READ_SEEN_VIEW,
  REQUEST_ACKED,
  REQUEST_BODY,
  REQUEST_EPOCH,
  REQUEST_FIELDS,
  REQUEST_NUMBER,
  REQUEST_PADDING,
  REQUEST_SEEN_VIEW,
  readRead,
  readRequest,
} from './asked-frames.js';
import { KIND_CODES } from './kinds.js';
import {
  ARRAY_BYTES,
  BIN_BYTES,
  choiceOf,
  paddingBytes,
  putArray,
  putBin,
  putPadding,
  putUint,
  putWhole,
  type Shape,
  shapeAt,
  UINT_BYTES,
  uintAt,
  WHOLE_BYTES,
  wholeAt,
} from './msgpack.js';

export type CallMessage = Request | Read | LocalRead | Reply | ReadReply;
export type CallKind = CallMessage['kind'];

const REPLY_CODES: readonly ReplyCode[] = ['ok', 'sessionInvalid', 'replyDropped', 'serviceError'];
const READ_CODES: readonly ReadCode[] = ['ok', 'behind', 'badToken'];

// localRead: session, readId, afterRequest, epoch, seenView, tokenGen, tokenOp, maxStaleMs, padding, body
const LOCAL_SESSION = CLIENT_FIELDS_AT;
const LOCAL_ID = LOCAL_SESSION + WHOLE_BYTES;
const LOCAL_AFTER = LOCAL_ID + WHOLE_BYTES;
const LOCAL_EPOCH = LOCAL_AFTER + UINT_BYTES;
const LOCAL_SEEN_VIEW = LOCAL_EPOCH + UINT_BYTES;
const LOCAL_TOKEN_GEN = LOCAL_SEEN_VIEW + UINT_BYTES;
const LOCAL_TOKEN_OP = LOCAL_TOKEN_GEN + UINT_BYTES;
const LOCAL_MAX_STALE = LOCAL_TOKEN_OP + WHOLE_BYTES;
const LOCAL_PADDING = LOCAL_MAX_STALE + WHOLE_BYTES;
const LOCAL_BODY = LOCAL_PADDING + paddingBytes(LOCAL_PADDING);

// reply: session, requestNumber, gen, epoch, view, op, idx, code, nonce, padding, result
const REPLY_SESSION = CLIENT_FIELDS_AT;
const REPLY_NUMBER = REPLY_SESSION + WHOLE_BYTES;
const REPLY_GEN = REPLY_NUMBER + UINT_BYTES;
const REPLY_EPOCH = REPLY_GEN + UINT_BYTES;
const REPLY_VIEW = REPLY_EPOCH + UINT_BYTES;
const REPLY_OP = REPLY_VIEW + UINT_BYTES;
const REPLY_IDX = REPLY_OP + WHOLE_BYTES;
const REPLY_CODE = REPLY_IDX + UINT_BYTES;
const REPLY_NONCE = REPLY_CODE + UINT_BYTES;
const REPLY_PADDING = REPLY_NONCE + WHOLE_BYTES;
const REPLY_RESULT = REPLY_PADDING + paddingBytes(REPLY_PADDING);

// readReply: readId, gen, epoch, view, op, code, padding, result
const READ_REPLY_ID = CLIENT_FIELDS_AT;
const READ_REPLY_GEN = READ_REPLY_ID + WHOLE_BYTES;
const READ_REPLY_EPOCH = READ_REPLY_GEN + UINT_BYTES;
const READ_REPLY_VIEW = READ_REPLY_EPOCH + UINT_BYTES;
const READ_REPLY_OP = READ_REPLY_VIEW + UINT_BYTES;
const READ_REPLY_CODE = READ_REPLY_OP + WHOLE_BYTES;
const READ_REPLY_PADDING = READ_REPLY_CODE + UINT_BYTES;
const READ_REPLY_RESULT = READ_REPLY_PADDING + paddingBytes(READ_REPLY_PADDING);

/** With the code of its kind, which is looked up once and not for every frame. */
interface CallShape extends Shape {
  readonly code: number;
}

function shape(kind: CallKind, fields: number, bytes: number): CallShape {
  return { code: KIND_CODES[kind], fields, bytes };
}

const REQUEST_SHAPE: CallShape = shape('request', REQUEST_FIELDS, REQUEST_BODY + BIN_BYTES);
const READ_SHAPE: CallShape = shape('read', READ_FIELDS, READ_BODY + BIN_BYTES);
const LOCAL_SHAPE: CallShape = shape('localRead', 15, LOCAL_BODY + BIN_BYTES);
const REPLY_SHAPE: CallShape = shape('reply', 16, REPLY_RESULT + BIN_BYTES);
const READ_REPLY_SHAPE: CallShape = shape('readReply', 13, READ_REPLY_RESULT + BIN_BYTES);

function bodyAt(
  bytes: Uint8Array,
  view: DataView,
  span: { at: number; to: number },
  padding: number,
): Uint8Array {
  return bytes.subarray(bodyFrom(view, padding, span.at, span.to), span.to);
}

/** Mostly the first of them. */
function codeOf<T>(choices: readonly T[], choice: T): number {
  return choice === choices[0] ? 0 : choices.indexOf(choice);
}

/** Exact length of the frame in bytes. */
export function callBytes(message: CallMessage): number {
  switch (message.kind) {
    case 'request':
      return REQUEST_BODY + BIN_BYTES + message.body.length;
    case 'read':
      return READ_BODY + BIN_BYTES + message.body.length;
    case 'localRead':
      return LOCAL_BODY + BIN_BYTES + message.body.length;
    case 'reply':
      return REPLY_RESULT + BIN_BYTES + message.result.length;
    case 'readReply':
      return READ_REPLY_RESULT + BIN_BYTES + message.result.length;
  }
}

/** Writes the frame at `at`, where `callBytes(message)` bytes are free. */
export function writeCall(
  message: CallMessage,
  bytes: Uint8Array,
  view: DataView,
  at: number,
): void {
  switch (message.kind) {
    case 'request':
      putClientHeader(view, at, REQUEST_SHAPE, message.clientId);
      putWhole(view, at + CLIENT_FIELDS_AT, message.session);
      putUint(view, at + REQUEST_NUMBER, message.requestNumber);
      putUint(view, at + REQUEST_ACKED, message.acked);
      putUint(view, at + REQUEST_EPOCH, message.epoch);
      putUint(view, at + REQUEST_SEEN_VIEW, message.seenView);
      putPadding(view, at + REQUEST_PADDING, REQUEST_BODY - REQUEST_PADDING);
      putBin(bytes, view, at + REQUEST_BODY, message.body);
      return;
    case 'read':
      putClientHeader(view, at, READ_SHAPE, message.clientId);
      putWhole(view, at + CLIENT_FIELDS_AT, message.session);
      putWhole(view, at + READ_ID, message.readId);
      putUint(view, at + READ_AFTER, message.afterRequest);
      putUint(view, at + READ_EPOCH, message.epoch);
      putUint(view, at + READ_SEEN_VIEW, message.seenView);
      putPadding(view, at + READ_PADDING, READ_BODY - READ_PADDING);
      putBin(bytes, view, at + READ_BODY, message.body);
      return;
    case 'localRead':
      putClientHeader(view, at, LOCAL_SHAPE, message.clientId);
      putWhole(view, at + LOCAL_SESSION, message.session);
      putWhole(view, at + LOCAL_ID, message.readId);
      putUint(view, at + LOCAL_AFTER, message.afterRequest);
      putUint(view, at + LOCAL_EPOCH, message.epoch);
      putUint(view, at + LOCAL_SEEN_VIEW, message.seenView);
      putUint(view, at + LOCAL_TOKEN_GEN, message.tokenGen);
      putWhole(view, at + LOCAL_TOKEN_OP, message.tokenOp);
      putWhole(view, at + LOCAL_MAX_STALE, message.maxStaleMs);
      putPadding(view, at + LOCAL_PADDING, LOCAL_BODY - LOCAL_PADDING);
      putBin(bytes, view, at + LOCAL_BODY, message.body);
      return;
    case 'reply':
      putClientHeader(view, at, REPLY_SHAPE, message.clientId);
      putWhole(view, at + REPLY_SESSION, message.session);
      putUint(view, at + REPLY_NUMBER, message.requestNumber);
      putUint(view, at + REPLY_GEN, message.gen);
      putUint(view, at + REPLY_EPOCH, message.epoch);
      putUint(view, at + REPLY_VIEW, message.view);
      putWhole(view, at + REPLY_OP, message.op);
      putUint(view, at + REPLY_IDX, message.idx);
      putUint(view, at + REPLY_CODE, codeOf(REPLY_CODES, message.code));
      putWhole(view, at + REPLY_NONCE, message.nonce);
      putPadding(view, at + REPLY_PADDING, REPLY_RESULT - REPLY_PADDING);
      putBin(bytes, view, at + REPLY_RESULT, message.result);
      return;
    case 'readReply':
      putClientHeader(view, at, READ_REPLY_SHAPE, message.clientId);
      putWhole(view, at + READ_REPLY_ID, message.readId);
      putUint(view, at + READ_REPLY_GEN, message.gen);
      putUint(view, at + READ_REPLY_EPOCH, message.epoch);
      putUint(view, at + READ_REPLY_VIEW, message.view);
      putWhole(view, at + READ_REPLY_OP, message.op);
      putUint(view, at + READ_REPLY_CODE, codeOf(READ_CODES, message.code));
      putPadding(view, at + READ_REPLY_PADDING, READ_REPLY_RESULT - READ_REPLY_PADDING);
      putBin(bytes, view, at + READ_REPLY_RESULT, message.result);
      return;
  }
}

function putClientHeader(
  view: DataView,
  at: number,
  { code, fields }: CallShape,
  id: ClientId,
): void {
  putArray(view, at, fields);
  putUint(view, at + ARRAY_BYTES, code);
  putUint(view, at + CLIENT_ID, id[0]);
  putUint(view, at + CLIENT_ID + UINT_BYTES, id[1]);
  putUint(view, at + CLIENT_ID + 2 * UINT_BYTES, id[2]);
  putUint(view, at + CLIENT_ID + 3 * UINT_BYTES, id[3]);
}

const asked = emptyAsked();

/** @throws {BadFrame} */
export function readCall(
  kind: CallKind,
  bytes: Uint8Array,
  view: DataView,
  range: { from: number; to: number },
): CallMessage {
  const { from: at, to } = range;
  switch (kind) {
    case 'request': {
      readRequest({ bytes, view }, at, to, asked);
      const { session, requestNumber, acked, epoch, seenView, from } = asked.request;
      const body = bytes.subarray(from, to);
      const clientId = clientIdAt(view, at);
      return { kind, clientId, session, requestNumber, acked, epoch, seenView, body };
    }
    case 'read': {
      readRead({ bytes, view }, at, to, asked);
      const { session, afterRequest, readId, epoch, seenView, from } = asked.read;
      const body = bytes.subarray(from, to);
      const clientId = clientIdAt(view, at);
      return { kind, clientId, session, afterRequest, readId, epoch, seenView, body };
    }
    case 'localRead':
      shapeAt(view, at, to, LOCAL_SHAPE, kind);
      return {
        kind,
        clientId: clientIdAt(view, at),
        session: wholeAt(view, at + LOCAL_SESSION, 'session'),
        readId: wholeAt(view, at + LOCAL_ID, 'readId'),
        afterRequest: uintAt(view, at + LOCAL_AFTER, 'afterRequest'),
        epoch: uintAt(view, at + LOCAL_EPOCH, 'epoch'),
        seenView: uintAt(view, at + LOCAL_SEEN_VIEW, 'seenView'),
        tokenGen: uintAt(view, at + LOCAL_TOKEN_GEN, 'tokenGen'),
        tokenOp: wholeAt(view, at + LOCAL_TOKEN_OP, 'tokenOp'),
        maxStaleMs: wholeAt(view, at + LOCAL_MAX_STALE, 'maxStaleMs'),
        body: bodyAt(bytes, view, { at: at + LOCAL_BODY, to }, at + LOCAL_PADDING),
      };
    case 'reply':
      shapeAt(view, at, to, REPLY_SHAPE, kind);
      return {
        kind,
        clientId: clientIdAt(view, at),
        session: wholeAt(view, at + REPLY_SESSION, 'session'),
        requestNumber: uintAt(view, at + REPLY_NUMBER, 'requestNumber'),
        gen: uintAt(view, at + REPLY_GEN, 'gen'),
        epoch: uintAt(view, at + REPLY_EPOCH, 'epoch'),
        view: uintAt(view, at + REPLY_VIEW, 'view'),
        op: wholeAt(view, at + REPLY_OP, 'op'),
        idx: uintAt(view, at + REPLY_IDX, 'idx'),
        code: choiceOf(REPLY_CODES, uintAt(view, at + REPLY_CODE, 'code'), 'code'),
        nonce: wholeAt(view, at + REPLY_NONCE, 'nonce'),
        result: bodyAt(bytes, view, { at: at + REPLY_RESULT, to }, at + REPLY_PADDING),
      };
    case 'readReply':
      shapeAt(view, at, to, READ_REPLY_SHAPE, kind);
      return {
        kind,
        clientId: clientIdAt(view, at),
        readId: wholeAt(view, at + READ_REPLY_ID, 'readId'),
        gen: uintAt(view, at + READ_REPLY_GEN, 'gen'),
        epoch: uintAt(view, at + READ_REPLY_EPOCH, 'epoch'),
        view: uintAt(view, at + READ_REPLY_VIEW, 'view'),
        op: wholeAt(view, at + READ_REPLY_OP, 'op'),
        code: choiceOf(READ_CODES, uintAt(view, at + READ_REPLY_CODE, 'code'), 'code'),
        result: bodyAt(bytes, view, { at: at + READ_REPLY_RESULT, to }, at + READ_REPLY_PADDING),
      };
  }
}
