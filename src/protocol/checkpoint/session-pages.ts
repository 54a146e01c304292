// The client table as pages (CP2): rows by ascending session, each from a new page on, so that what one client does changes the
// pages of no other. Rows are written one at a time; what they were when the checkpoint was taken is kept by a shallow copy,
// since replies never change once they are made.
//
//    0       8         24      32      40          44        48      52  56
//   +-------+---------+-------+-------+-----------+---------+-------+---+-------- - -
//   |session|clientId |nonce  |lastOp |lastRequest| replies | pages | 0 | reply ...      little-endian
//   +-------+---------+-------+-------+-----------+---------+-------+---+-------- - -
//   reply:  op f64 | requestNumber u32 | idx u32 | code u32 | length u32 | result, padded with zeros to 8

import { assert, violated } from '../assert.js';
import {
  type ClientTable,
  clientKey,
  emptyTable,
  type KeptReply,
  type SessionRow,
} from '../client-table.js';
import type { ClientId, SessionNumber } from '../types.js';

const AT_PAGES = 48;
const ROW_HEADER_BYTES = 56;
const REPLY_HEADER_BYTES = 24;
const CODES: readonly KeptReply['code'][] = [
  'ok',
  'sessionInvalid',
  'replyDropped',
  'serviceError',
];

export interface FrozenRow {
  readonly session: SessionNumber;
  readonly row: SessionRow;
}

/** The rows as they are now, whatever is executed later. */
export function freezeRows(table: ClientTable): FrozenRow[] {
  const rows = [...table.rows].map(([session, row]) => ({
    session,
    row: { ...row, replies: row.replies.slice() },
  }));
  return rows.sort((a, b) => a.session - b.session);
}

function padded(length: number): number {
  return (length + 7) & ~7;
}

function rowBytes(row: SessionRow): number {
  let bytes = ROW_HEADER_BYTES;
  for (const reply of row.replies) bytes += REPLY_HEADER_BYTES + padded(reply.result.length);
  return bytes;
}

/** The pages of one row. */
export function encodeRow({ session, row }: FrozenRow, pageBytes: number): Uint8Array[] {
  const count = Math.ceil(rowBytes(row) / pageBytes);
  const bytes = new Uint8Array(count * pageBytes);
  const view = new DataView(bytes.buffer);
  view.setFloat64(0, session, true);
  for (const [word, value] of row.clientId.entries()) view.setUint32(8 + 4 * word, value, true);
  view.setFloat64(24, row.nonce, true);
  view.setFloat64(32, row.lastOp, true);
  view.setUint32(40, row.lastRequest, true);
  view.setUint32(44, row.replies.length, true);
  view.setUint32(AT_PAGES, count, true);
  let at = ROW_HEADER_BYTES;
  for (const reply of row.replies) {
    view.setFloat64(at, reply.op, true);
    view.setUint32(at + 8, reply.requestNumber, true);
    view.setUint32(at + 12, reply.idx, true);
    view.setUint32(at + 16, CODES.indexOf(reply.code), true);
    view.setUint32(at + 20, reply.result.length, true);
    bytes.set(reply.result, at + REPLY_HEADER_BYTES);
    at += REPLY_HEADER_BYTES + padded(reply.result.length);
  }
  return Array.from({ length: count }, (_, page) =>
    bytes.subarray(page * pageBytes, (page + 1) * pageBytes),
  );
}

/** The table whose rows lie in `pages`. @throws {ProtocolViolation} when they are not what `encodeRow` wrote */
export function decodeRows(pages: readonly Uint8Array[], pageBytes: number): ClientTable {
  const table = emptyTable();
  for (let at = 0; at < pages.length; ) {
    const { session, row, used } = decodeRow(pages, at, pageBytes);
    if (table.rows.has(session)) violated(`session ${session} has two rows in the checkpoint`);
    table.rows.set(session, row);
    table.byClient.set(clientKey(row.clientId), session);
    at += used;
  }
  return table;
}

function decodeRow(
  pages: readonly Uint8Array[],
  first: number,
  pageBytes: number,
): FrozenRow & { used: number } {
  const header = pages[first] as Uint8Array;
  const used = viewOf(header).getUint32(AT_PAGES, true);
  if (!(used > 0 && first + used <= pages.length))
    violated(`a row of ${used} pages in the checkpoint`);
  const bytes = joined(pages, first, used, pageBytes);
  const view = viewOf(bytes);
  const replies: KeptReply[] = [];
  let at = ROW_HEADER_BYTES;
  for (let left = view.getUint32(44, true); left > 0; left--) {
    const from = at + REPLY_HEADER_BYTES;
    const length = from <= bytes.length ? view.getUint32(at + 20, true) : 0;
    assert(from + length <= bytes.length, 'a kept reply of the checkpoint lies beyond its row');
    const code = CODES[view.getUint32(at + 16, true)];
    assert(code !== undefined, 'a kept reply of the checkpoint has no code');
    replies.push({
      requestNumber: view.getUint32(at + 8, true),
      op: view.getFloat64(at, true),
      idx: view.getUint32(at + 12, true),
      result: bytes.slice(from, from + length),
      code,
    });
    at = from + padded(length);
  }
  const words = [8, 12, 16, 20].map((word) => view.getUint32(word, true));
  const row: SessionRow = {
    clientId: words as unknown as ClientId,
    nonce: view.getFloat64(24, true),
    lastRequest: view.getUint32(40, true),
    lastOp: view.getFloat64(32, true),
    replies,
    replyBytes: replies.reduce((sum, reply) => sum + reply.result.length, 0),
  };
  return { session: view.getFloat64(0, true), row, used };
}

function joined(
  pages: readonly Uint8Array[],
  first: number,
  count: number,
  pageBytes: number,
): Uint8Array {
  const bytes = new Uint8Array(count * pageBytes);
  for (let page = 0; page < count; page++) {
    const piece = pages[first + page];
    if (!(piece !== undefined && piece.length === pageBytes))
      violated(`no page ${first + page} of rows`);
    bytes.set(piece, page * pageBytes);
  }
  return bytes;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
