// Frames of requests and reads, as whoever is asked reads them: into records that are used again, the body left where it lies.

import type { AskedRead, AskedRequest } from '../protocol/asked.js';
import type { ClientId } from '../protocol/types.js';
import { isHot, KIND_CODES, OPENING_BYTES } from './kinds.js';
import {
  BadFrame,
  BIN_BYTES,
  lastBinLengthAt,
  paddingAt,
  paddingBytes,
  tupleAt,
  UINT_BYTES,
  uintAt,
  WHOLE_BYTES,
  wholeAt,
} from './msgpack.js';

// From and to clients: four words of the clientId behind the kind.
export const CLIENT_ID: number = OPENING_BYTES;
/** The first of them: the session of all who ask, and of replies. */
export const CLIENT_FIELDS_AT: number = CLIENT_ID + 4 * UINT_BYTES;

// request: session, requestNumber, acked, epoch, seenView, padding, body
const REQUEST_SESSION: number = CLIENT_FIELDS_AT;
export const REQUEST_NUMBER: number = REQUEST_SESSION + WHOLE_BYTES;
export const REQUEST_ACKED: number = REQUEST_NUMBER + UINT_BYTES;
export const REQUEST_EPOCH: number = REQUEST_ACKED + UINT_BYTES;
export const REQUEST_SEEN_VIEW: number = REQUEST_EPOCH + UINT_BYTES;
export const REQUEST_PADDING: number = REQUEST_SEEN_VIEW + UINT_BYTES;
export const REQUEST_BODY: number = REQUEST_PADDING + paddingBytes(REQUEST_PADDING);
export const REQUEST_FIELDS = 12;

// read: session, readId, afterRequest, epoch, seenView, padding, body
const READ_SESSION: number = CLIENT_FIELDS_AT;
export const READ_ID: number = READ_SESSION + WHOLE_BYTES;
export const READ_AFTER: number = READ_ID + WHOLE_BYTES;
export const READ_EPOCH: number = READ_AFTER + UINT_BYTES;
export const READ_SEEN_VIEW: number = READ_EPOCH + UINT_BYTES;
export const READ_PADDING: number = READ_SEEN_VIEW + UINT_BYTES;
export const READ_BODY: number = READ_PADDING + paddingBytes(READ_PADDING);
export const READ_FIELDS = 12;

export const REQUEST_CODE: number = KIND_CODES.request;
export const READ_CODE: number = KIND_CODES.read;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
type Words = [number, number, number, number];

/** What was asked last. */
export interface Asked {
  readonly request: Mutable<AskedRequest> & { readonly clientId: Words };
  readonly read: Mutable<AskedRead> & { readonly clientId: Words };
}

const NO_BYTES = new Uint8Array(0);

export function emptyAsked(): Asked {
  const place = { epoch: 0, seenView: 0, bytes: NO_BYTES, from: 0, to: 0 };
  return {
    request: { clientId: [0, 0, 0, 0], session: 0, requestNumber: 0, acked: 0, ...place },
    read: { clientId: [0, 0, 0, 0], session: 0, afterRequest: 0, readId: 0, ...place },
  };
}

/** Where a frame lies: `bytes[at..to)`, which `view` covers too. */
export interface FramePlace {
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

/** `code`: of a request or a read. @throws {BadFrame} */
export function readAsked(
  code: number,
  memory: FramePlace,
  at: number,
  to: number,
  asked: Asked,
): void {
  if (!isHot(memory.view, at, to - at)) throw new BadFrame('asked in the form of another kind');
  if (code === REQUEST_CODE) readRequest(memory, at, to, asked);
  else readRead(memory, at, to, asked);
}

/** @throws {BadFrame} */
export function readRequest(memory: FramePlace, at: number, to: number, asked: Asked): void {
  const { request } = asked;
  const { view } = memory;
  if (to - at < REQUEST_BODY + BIN_BYTES) throw tooShort('request', to - at);
  tupleAt(view, at, REQUEST_FIELDS, 'request');
  readClientId(view, at, request.clientId);
  request.session = wholeAt(view, at + REQUEST_SESSION, 'session');
  request.requestNumber = uintAt(view, at + REQUEST_NUMBER, 'requestNumber');
  request.acked = uintAt(view, at + REQUEST_ACKED, 'acked');
  request.epoch = uintAt(view, at + REQUEST_EPOCH, 'epoch');
  request.seenView = uintAt(view, at + REQUEST_SEEN_VIEW, 'seenView');
  request.from = bodyFrom(view, at + REQUEST_PADDING, at + REQUEST_BODY, to);
  request.to = to;
  request.bytes = memory.bytes;
}

/** @throws {BadFrame} */
export function readRead(memory: FramePlace, at: number, to: number, asked: Asked): void {
  const { read } = asked;
  const { view } = memory;
  if (to - at < READ_BODY + BIN_BYTES) throw tooShort('read', to - at);
  tupleAt(view, at, READ_FIELDS, 'read');
  readClientId(view, at, read.clientId);
  read.session = wholeAt(view, at + READ_SESSION, 'session');
  read.afterRequest = uintAt(view, at + READ_AFTER, 'afterRequest');
  read.readId = wholeAt(view, at + READ_ID, 'readId');
  read.epoch = uintAt(view, at + READ_EPOCH, 'epoch');
  read.seenView = uintAt(view, at + READ_SEEN_VIEW, 'seenView');
  read.from = bodyFrom(view, at + READ_PADDING, at + READ_BODY, to);
  read.to = to;
  read.bytes = memory.bytes;
}

function tooShort(kind: string, length: number): BadFrame {
  return new BadFrame(`${kind} in a frame of ${length} bytes`);
}

function readClientId(view: DataView, at: number, into: Words): void {
  const what = 'clientId';
  into[0] = uintAt(view, at + CLIENT_ID, what);
  into[1] = uintAt(view, at + CLIENT_ID + UINT_BYTES, what);
  into[2] = uintAt(view, at + CLIENT_ID + 2 * UINT_BYTES, what);
  into[3] = uintAt(view, at + CLIENT_ID + 3 * UINT_BYTES, what);
}

export function clientIdAt(view: DataView, at: number): ClientId {
  const words: Words = [0, 0, 0, 0];
  readClientId(view, at, words);
  return words;
}

/** Of the body, whose byte string stands at `at` behind its padding and ends the frame. @returns where its bytes begin */
export function bodyFrom(view: DataView, padding: number, at: number, to: number): number {
  const width = paddingAt(view, padding);
  if (padding + width !== at) throw new BadFrame(`padding of ${width} bytes`);
  return to - lastBinLengthAt(view, at, to, 'body');
}
