// Executing what is committed (N7): in order, exactly once, a bounded number of entries per call (SP2). The apply path walks
// the bytes of an entry and makes no object per operation; a request makes its kept reply and nothing else. Reads are served
// here as well, for they need the same moment: state executed up to a known op (RD2).

import { answerSession, gateOpen } from './admission.js';
import { violated } from './assert.js';
import { atPoint } from './checkpoint/take.js';
import { keepReply, register, sessionOf, strayRow, unregister } from './client-table.js';
import { type Core, isPrimary, leads, mark, notice, primaryNow, reply } from './core.js';
import { localReadDue, serveLocalReads } from './local-reads.js';
import { entryAt } from './log.js';
import type { Entry, ReplyCode } from './message.js';
import { firstReadIsDue, serveReads, unblockReads } from './reads.js';
import { clientOf, nextRequest, openRequests, type RequestCursor } from './request-body.js';
import type { ApplyContext, StateMachine } from './state-machine.js';
import { behind } from './switch.js';
import type { ClientId } from './types.js';

const NO_BYTES = new Uint8Array(0);
const NOBODY: ClientId = [0, 0, 0, 0];

/** True when `execute` would do something. */
export function hasWork(core: Core): boolean {
  const { state } = core;
  if (core.stateMachine !== null && state.applied < state.commit) return true;
  if (firstReadIsDue(core) || localReadDue(core)) return true;
  return leads(core) && !state.serving && gateOpen(core);
}

/** Results in effects stay valid until the next step. */
export function execute(core: Core, budget: number, reads: number): void {
  const { state, stateMachine } = core;
  const { applied } = state;
  core.sink.length = 0;
  if (stateMachine !== null)
    for (let left = budget; left > 0 && state.applied < state.commit; left--) {
      const entry = entryAt(state.log, state.applied + 1);
      applyEntry(core, stateMachine, entry);
      state.applied++;
      atPoint(core, entry);
    }
  if (state.replaying && state.status === 'normal' && !behind(core)) {
    state.replaying = false;
    notice(core, { kind: 'caughtUp', view: state.view });
  }
  openGate(core);
  if (stateMachine === null) return;
  if (state.applied > applied) unblockReads(core);
  serveReads(core, stateMachine, reads);
  serveLocalReads(core, stateMachine, reads);
}

/** D18: what was inherited is executed; every client hears it and resends what is open. */
function openGate(core: Core): void {
  const { state } = core;
  if (state.serving || !gateOpen(core)) return;
  state.serving = true;
  const { epoch, view, id } = state;
  core.effects.push({
    type: 'announce',
    message: { kind: 'viewStarted', epoch, view, primaryId: id },
  });
  core.effects.push({ type: 'notice', notice: { kind: 'serving', view } });
}

function applyEntry(core: Core, stateMachine: StateMachine, entry: Entry): void {
  const { state } = core;
  const cursor = openRequests(entry.body);
  const at: Applied = { entry, cursor, idx: 0, context: contextOf(core, entry) };
  let idx = 0;
  while (nextRequest(cursor)) {
    at.idx = idx;
    if (cursor.type === 'op') applyRequest(core, stateMachine, at);
    else if (cursor.type === 'register') applyRegister(core, entry, cursor, idx);
    else applyUnregister(core, cursor);
    idx++;
  }
  if (idx !== entry.count)
    violated(`entry ${entry.op} holds ${idx} requests and says ${entry.count}`);
  if (entry.op !== state.applied + 1) violated(`entry ${entry.op} executed after ${state.applied}`);
}

/** The request under execution; one record for all of an entry. */
interface Applied {
  readonly entry: Entry;
  readonly cursor: RequestCursor;
  readonly context: Mutable<ApplyContext>;
  idx: number;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** What all requests of an entry are executed with; the rest is filled in for each. */
function contextOf({ state, mutations, random }: Core, entry: Entry): Mutable<ApplyContext> {
  return {
    gen: state.gen,
    op: entry.op,
    idx: 0,
    ts: mutations.ownClock === true ? state.clockUs : entry.ts,
    seed: mutations.ownSeed === true ? random() : entry.seed,
    clientId: NOBODY,
    session: 0,
  };
}

/** The authoritative check of N7: only the next number of a live session is executed. */
function applyRequest(core: Core, stateMachine: StateMachine, at: Applied): void {
  const { state, mutations } = core;
  const { entry, cursor, idx, context } = at;
  const { session, requestNumber } = cursor;
  const gone =
    mutations.evictedExecuted === true ? strayRow(clientOf(cursor), requestNumber) : undefined;
  const row = state.table.rows.get(session) ?? gone;
  if (row === undefined) {
    answer(core, at, 'sessionInvalid', clientOf(cursor), NO_BYTES);
    return;
  }
  if (requestNumber <= row.lastRequest && mutations.duplicatesExecuted !== true) {
    mark(core, 'duplicateNotExecuted');
    return;
  }
  const gap = requestNumber > row.lastRequest + 1;
  if (gap && mutations.gapsAdmitted !== true) return; // the gate of N2 keeps it out; both guards stand alone
  const { sink } = core;
  const from = sink.length;
  context.idx = idx;
  context.clientId = row.clientId;
  context.session = session;
  stateMachine.apply(context, entry.body, cursor.from, cursor.to, sink);
  const result = sink.bytes.slice(from, sink.length);
  sink.length = from;
  const limits = mutations.fewReplies === true ? { ...core.limits, sessionWindow: 2 } : core.limits;
  keepReply(row, { requestNumber, op: entry.op, idx, result }, cursor.acked, limits);
  if (mutations.repliesAtPrimaryOnly === true && !leads(core)) row.replies.length = 0;
  answer(core, at, 'ok', row.clientId, result);
}

/** Only the primary replies, to wherever the session was last heard from. */
function answer(
  core: Core,
  at: Applied,
  code: ReplyCode,
  clientId: ClientId,
  result: Uint8Array,
): void {
  const { state } = core;
  if (!leads(core)) return;
  const { entry, cursor, idx } = at;
  const admission = state.admissions.get(cursor.session);
  if (admission === undefined) return;
  const { gen, epoch, view } = state;
  const { session, requestNumber } = cursor;
  reply(core, admission.address, {
    kind: 'reply',
    clientId,
    session,
    requestNumber,
    gen,
    epoch,
    view,
    op: entry.op,
    idx,
    code,
    nonce: 0,
    result,
  });
}

function applyRegister(core: Core, entry: Entry, cursor: RequestCursor, idx: number): void {
  const { state, limits, mutations } = core;
  const clientId = clientOf(cursor);
  const nonce = cursor.session;
  const full = state.table.rows.size >= limits.maxSessions;
  if (full && sessionOf(state.table, clientId) === null) mark(core, 'sessionEvicted');
  const session = register(
    state.table,
    { clientId, nonce, op: entry.op, idx },
    limits,
    mutations.registerTwice === true,
  );
  const key = `r${clientId.join('.')}.${nonce}`;
  const address = state.registrations.get(key);
  if (address === undefined || !leads(core)) return;
  state.registrations.delete(key);
  answerSession(core, address, { clientId, session, nonce });
}

function applyUnregister(core: Core, cursor: RequestCursor): void {
  const { state } = core;
  const { session } = cursor;
  const clientId = clientOf(cursor);
  const known = sessionOf(state.table, clientId);
  unregister(state.table, clientId, session);
  if (known !== null && (session === 0 || session === known.session))
    state.admissions.delete(known.session);
  const key = `u${clientId.join('.')}.${session}`;
  const address = state.registrations.get(key);
  if (address === undefined || !leads(core)) return;
  state.registrations.delete(key);
  answerSession(core, address, { clientId, session });
}

/** I17: a witness never executes, so it never leads either. */
export function assertRole(core: Core): void {
  const { state, mutations } = core;
  if (state.role === 'active' || mutations.witnessMayLead === true) return;
  if (isPrimary(core))
    violated(`witness ${state.id} is primary ${primaryNow(core)} of view ${state.view}`);
  if (state.applied !== 0) violated(`witness ${state.id} executed up to ${state.applied}`);
}
