// The client table (protocol.md 1.6, 3.13): one row per session with the window of its latest replies. It is replicated
// state: only the execution of entries changes it, so it is identical on all actives at equal `applied` (D15). What was
// admitted but not executed is the primary's own, volatile affair and lives elsewhere.

import { assert, violated } from './assert.js';
import type { ReplyCode } from './message.js';
import {
  type ClientId,
  type OpNumber,
  type RequestNumber,
  SESSION_STRIDE,
  type SessionNumber,
} from './types.js';

export interface KeptReply {
  readonly requestNumber: RequestNumber;
  readonly op: OpNumber;
  readonly idx: number;
  /** `replyDropped`: the result was too large to keep (CS6); it was executed all the same. */
  readonly code: ReplyCode;
  readonly result: Uint8Array;
}

export interface SessionRow {
  readonly clientId: ClientId;
  readonly nonce: number;
  /** Number of the latest executed request. */
  lastRequest: RequestNumber;
  /** Op of the latest entry that touched the row: who is idle longest is evicted first. */
  lastOp: OpNumber;
  /** Oldest first; the last one is that of `lastRequest`. */
  readonly replies: KeptReply[];
  replyBytes: number;
}

export interface ClientTable {
  readonly rows: Map<SessionNumber, SessionRow>;
  /** Second index, by the four words of the client's id. */
  readonly byClient: Map<string, SessionNumber>;
}

export interface TableLimits {
  readonly sessionWindow: number;
  readonly sessionReplyBytes: number;
  readonly maxSessions: number;
}

const NO_BYTES = new Uint8Array(0);

export function emptyTable(): ClientTable {
  return { rows: new Map(), byClient: new Map() };
}

export function clientKey(clientId: ClientId): string {
  return clientId.join('.');
}

/** Session and row of `clientId`, or null. */
export function sessionOf(
  table: ClientTable,
  clientId: ClientId,
): { session: SessionNumber; row: SessionRow } | null {
  const session = table.byClient.get(clientKey(clientId));
  if (session === undefined) return null;
  const row = table.rows.get(session);
  if (row === undefined) violated(`session ${session} is indexed but has no row`);
  return { session, row };
}

/**
 * Executes a Register (CS1). A second copy of the stored registration is a duplicate and changes nothing (E48); another
 * one of the same client replaces its session; a full table evicts the row that is idle longest.
 * @returns the session that the client has now.
 */
export function register(
  table: ClientTable,
  at: { clientId: ClientId; nonce: number; op: OpNumber; idx: number },
  limits: TableLimits,
  registerTwice: boolean,
): SessionNumber {
  const known = sessionOf(table, at.clientId);
  if (known !== null) {
    if (known.row.nonce === at.nonce && !registerTwice) return known.session;
    removeRow(table, known.session);
  } else if (table.rows.size >= limits.maxSessions) {
    removeRow(table, idlest(table));
  }
  const session = at.op * SESSION_STRIDE + at.idx;
  table.rows.set(session, {
    clientId: at.clientId,
    nonce: at.nonce,
    lastRequest: 0,
    lastOp: at.op,
    replies: [],
    replyBytes: 0,
  });
  table.byClient.set(clientKey(at.clientId), session);
  return session;
}

/** Executes an Unregister (CS8): `session` 0 means whichever the client has; unknown or repeated: nothing to do. */
export function unregister(table: ClientTable, clientId: ClientId, session: SessionNumber): void {
  const known = sessionOf(table, clientId);
  if (known === null || (session !== 0 && session !== known.session)) return;
  removeRow(table, known.session);
}

/** A row outside the table that expects `requestNumber`: what a replica pretends that forgets CS3. */
export function strayRow(clientId: ClientId, requestNumber: RequestNumber): SessionRow {
  const lastRequest = requestNumber - 1;
  return { clientId, nonce: 0, lastRequest, lastOp: 0, replies: [], replyBytes: 0 };
}

function removeRow(table: ClientTable, session: SessionNumber): void {
  const row = table.rows.get(session);
  if (row === undefined) violated(`session ${session} to remove has no row`);
  table.rows.delete(session);
  table.byClient.delete(clientKey(row.clientId));
}

function idlest(table: ClientTable): SessionNumber {
  let found = -1;
  let best: SessionRow | null = null;
  for (const [session, row] of table.rows) {
    if (
      best === null ||
      row.lastOp < best.lastOp ||
      (row.lastOp === best.lastOp && before(row, best))
    ) {
      found = session;
      best = row;
    }
  }
  assert(best !== null, 'an empty table has nobody to evict');
  return found;
}

function before(a: SessionRow, b: SessionRow): boolean {
  for (let word = 0; word < 4; word++) {
    const left = a.clientId[word] as number;
    const right = b.clientId[word] as number;
    if (left !== right) return left < right;
  }
  return false;
}

/** Notes that the next request of `row` was executed, and keeps its reply within window and bytes (N7, CS6). */
export function keepReply(
  row: SessionRow,
  reply: { requestNumber: RequestNumber; op: OpNumber; idx: number; result: Uint8Array },
  acked: RequestNumber,
  limits: TableLimits,
): void {
  row.lastRequest = reply.requestNumber;
  row.lastOp = reply.op;
  const { requestNumber, op, idx, result } = reply;
  // Not by spreading, which takes six times as long as all the rest.
  row.replies.push({ requestNumber, op, idx, result, code: 'ok' });
  row.replyBytes += result.length;
  const lowest = Math.max(acked, reply.requestNumber - limits.sessionWindow);
  let gone = 0;
  while (gone < row.replies.length && (row.replies[gone]?.requestNumber ?? 0) <= lowest) {
    row.replyBytes -= row.replies[gone]?.result.length ?? 0;
    gone++;
  }
  // Mostly one, for which there is no need of an array of what goes.
  if (gone === 1) row.replies.shift();
  else if (gone > 1) row.replies.splice(0, gone);
  // Older results go first and leave a marker; the newest always stays.
  for (let at = 0; at < row.replies.length - 1 && row.replyBytes > limits.sessionReplyBytes; at++) {
    const old = row.replies[at];
    if (old === undefined || old.code === 'replyDropped') continue;
    row.replyBytes -= old.result.length;
    row.replies[at] = { ...old, code: 'replyDropped', result: NO_BYTES };
  }
}

/** The kept reply of `requestNumber`, or null when the client has acknowledged it. */
export function keptReply(row: SessionRow, requestNumber: RequestNumber): KeptReply | null {
  const last = row.replies.length - 1;
  const at = last - (row.lastRequest - requestNumber);
  return row.replies[at] ?? null;
}
