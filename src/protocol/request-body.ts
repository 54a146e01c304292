// Layout of an entry's body (protocol.md 1.5): requests back to back, little-endian, each padded with zeros to 8 bytes.
//
//    0    4 5    8        24        32      36    40
//   +----+-+----+---------+---------+-------+-----+---------------+---------+
//   |len |t| 0  |clientId |session  |reqNo  |acked| bytes (len)   | padding |
//   +----+-+----+---------+---------+-------+-----+---------------+---------+
//
// `session` is two words, low then high; for a Register it holds the nonce. The apply path walks this with a cursor and
// makes no object per request.

import { violated } from './assert.js';
import type { ClientId, RequestNumber } from './types.js';
import { highWord, joinWords } from './words.js';

export const REQUEST_HEADER_BYTES = 40;

export type RequestType = 'op' | 'register' | 'unregister';
const TYPE_CODES: Record<RequestType, number> = { op: 0, register: 1, unregister: 2 };
const TYPES: readonly RequestType[] = ['op', 'register', 'unregister'];

/** Bytes that a request of `bodyBytes` takes in an entry. */
export function requestSpace(bodyBytes: number): number {
  return REQUEST_HEADER_BYTES + ((bodyBytes + 7) & ~7);
}

/** Reused by its owner; `next` fills it. */
export interface RequestCursor {
  view: DataView;
  end: number;
  /** Offset of the following request. */
  at: number;
  type: RequestType;
  /** Session, or the nonce of a Register. */
  session: number;
  requestNumber: RequestNumber;
  acked: RequestNumber;
  /** The operation's bytes are `body[from..to)`. */
  from: number;
  to: number;
}

export interface RequestFields {
  readonly type: RequestType;
  readonly clientId: ClientId;
  readonly session: number;
  readonly requestNumber: RequestNumber;
  readonly acked: RequestNumber;
}

const EMPTY = new DataView(new ArrayBuffer(0));

/** @returns a cursor before the first request of `body`. */
export function openRequests(body: Uint8Array): RequestCursor {
  return {
    view: body.length === 0 ? EMPTY : new DataView(body.buffer, body.byteOffset, body.byteLength),
    end: body.byteLength,
    at: 0,
    type: 'op',
    session: 0,
    requestNumber: 0,
    acked: 0,
    from: 0,
    to: 0,
  };
}

/** Moves to the next request. @returns false at the end of the body. @throws {ProtocolViolation} */
export function nextRequest(cursor: RequestCursor): boolean {
  if (cursor.at >= cursor.end) return false;
  const { view, at, end } = cursor;
  const from = at + REQUEST_HEADER_BYTES;
  if (!(from <= end))
    violated(`the body ends at ${end}, inside the header of the request at ${at}`);
  const length = view.getUint32(at, true);
  // Before anything is added up: a length beyond 2^31 would wrap, and the cursor step backwards.
  if (!(length <= end - from))
    violated(`request at ${at} of ${length} bytes passes the end ${end}`);
  const type = TYPES[view.getUint8(at + 4)];
  if (type === undefined) violated(`unknown request type ${view.getUint8(at + 4)} at ${at}`);
  cursor.type = type;
  cursor.session = joinWords(view.getUint32(at + 28, true), view.getUint32(at + 24, true));
  cursor.requestNumber = view.getUint32(at + 32, true);
  cursor.acked = view.getUint32(at + 36, true);
  cursor.from = from;
  cursor.to = from + length;
  cursor.at = at + requestSpace(length);
  if (!(cursor.at <= end))
    violated(`the body ends at ${end}, inside the padding of the request at ${at}`);
  return true;
}

/** Of the request under the cursor: for an operation its session knows it as well, and no object is made. */
export function clientOf({ view, from }: RequestCursor): ClientId {
  const at = from - REQUEST_HEADER_BYTES + 8;
  return [
    view.getUint32(at, true),
    view.getUint32(at + 4, true),
    view.getUint32(at + 8, true),
    view.getUint32(at + 12, true),
  ];
}

/**
 * Writes one request at `at`, padding included, whatever was there; `view` covers the same bytes as `target`. Its operation is
 * `bytes[from..to)`.
 * @returns the offset behind it.
 */
export function writeRequest(
  target: Uint8Array,
  view: DataView,
  at: number,
  fields: RequestFields,
  bytes: Uint8Array | null,
  from: number = 0,
  to: number = bytes === null ? 0 : bytes.length,
): number {
  const length = to - from;
  const space = requestSpace(length);
  // The padding first: whoever wrote here before is not to be seen in it.
  view.setFloat64(at + space - 8, 0);
  view.setUint32(at, length, true);
  view.setUint32(at + 4, TYPE_CODES[fields.type], true);
  for (let word = 0; word < 4; word++)
    view.setUint32(at + 8 + 4 * word, fields.clientId[word] ?? 0, true);
  view.setUint32(at + 24, fields.session >>> 0, true);
  view.setUint32(at + 28, highWord(fields.session), true);
  view.setUint32(at + 32, fields.requestNumber, true);
  view.setUint32(at + 36, fields.acked, true);
  if (bytes !== null) target.set(bytes.subarray(from, to), at + REQUEST_HEADER_BYTES);
  return at + space;
}
