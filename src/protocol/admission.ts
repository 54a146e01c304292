// How client messages get into the log: who may come in (N1), in which order (N2), and how what waits becomes one entry
// (N3). What was admitted is the primary's own knowledge of this view; only execution decides (D15).

import { reserve } from './arena.js';
import { type AskedRead, type AskedRequest, askedRead, askedRequest } from './asked.js';
import { ownMemory } from './body-pool.js';
import { collect } from './checkpoint/collect.js';
import { keptReply, type SessionRow, sessionOf, strayRow } from './client-table.js';
import { type Core, leads, mark, notice, primaryNow, reply } from './core.js';
import { LOG_PRESSURE } from './limits.js';
import { onLocalRead } from './local-reads.js';
import { appendOwned, bodyBytesAt, chainAt, ENTRY_OVERHEAD_BYTES, head, headTs } from './log.js';
import type { Busy, ClientMessage, Register, Unregister } from './message.js';
import { type RequestFields, requestSpace, writeRequest } from './request-body.js';
import type { ReplicaState } from './state.js';
import {
  type ClientAddress,
  type ClientId,
  type ReplicaId,
  sameClient,
  type ViewNumber,
} from './types.js';

const NO_BYTES = new Uint8Array(0);

/** N1: inherited entries are executed, and nobody is on the way out. */
export function gateOpen(core: Core): boolean {
  const { state } = core;
  if (!leads(core) || state.abdicating) return false;
  return core.mutations.gateOpen === true || state.applied >= state.viewStartOp;
}

/** False: requests stay unread in their rings, which is the backpressure (D25). */
export function takesRequests(core: Core): boolean {
  const { state, limits } = core;
  if (!concernsClients(core)) return true;
  if (!gateOpen(core)) return state.abdicating;
  if (state.passBytes <= 0) return false;
  const windowFull = head(state.log) + 1 - state.commitMax > limits.window;
  if (windowFull && core.mutations.windowIgnored !== true) return false;
  return inFlightBytes(core) < limits.windowBytes;
}

/** False: reads stay unread. */
export function takesReads(core: Core): boolean {
  const { state, limits } = core;
  if (!concernsClients(core)) return true;
  if (!gateOpen(core)) return state.abdicating;
  const waiting = state.reads.length + state.blockedReads.length;
  return waiting < limits.waitingReads && state.readBytes < limits.waitingReadBytes;
}

/** Primary of the view, or about to be: its rings wait for it instead of being answered NotPrimary. */
function concernsClients(core: Core): boolean {
  return core.state.status !== 'recovering' && primaryNow(core) === core.state.id;
}

function inFlightBytes(core: Core): number {
  const { log, commitMax, building } = core.state;
  let bytes = building.bytes;
  for (let op = head(log); op > commitMax; op--) bytes += bodyBytesAt(log, op);
  return bytes;
}

/**
 * A later view that the client knows of: this replica is the one who is late, and says nothing (CS4). Somebody is in that view,
 * so a quorum has left all lower ones (VC3); he may reach clients only, and they would ask its primary for ever.
 */
export function laterView(
  core: Core,
  message: Pick<ClientMessage, 'epoch' | 'seenView'>,
): ViewNumber | null {
  const { epoch, view } = core.state;
  if (!concernsClients(core) || message.epoch !== epoch || message.seenView <= view) return null;
  mark(core, 'clientOfLaterView');
  return message.seenView;
}

export function onClient(core: Core, address: ClientAddress, message: ClientMessage): void {
  switch (message.kind) {
    case 'localRead':
      onLocalRead(core, address, message);
      return;
    case 'register':
      if (admits(core, address)) onRegister(core, address, message);
      return;
    case 'unregister':
      if (admits(core, address)) onUnregister(core, address, message);
      return;
    case 'request':
      onRequest(core, address, askedRequest(message));
      return;
    case 'read':
      onRead(core, address, askedRead(message));
      return;
  }
}

function admits(core: Core, address: ClientAddress): boolean {
  if (!concernsClients(core) || core.state.abdicating) {
    answerNotPrimary(core, address);
    return false;
  }
  // Without rings a message can arrive at a closed gate; the client's resend brings it again.
  return gateOpen(core);
}

function answerNotPrimary(core: Core, address: ClientAddress): void {
  mark(core, 'notPrimary');
  const { epoch, view, status, id } = core.state;
  const primary = primaryNow(core);
  const primaryId: ReplicaId | null = status === 'recovering' || primary === id ? null : primary;
  reply(core, address, { kind: 'notPrimary', epoch, view, primaryId, status });
}

/** N2 for a registration: the stored one is answered again, any other is taken (its duplicates: CS1). */
function onRegister(core: Core, address: ClientAddress, message: Register): void {
  const known = sessionOf(core.state.table, message.clientId);
  if (
    known !== null &&
    known.row.nonce === message.nonce &&
    core.mutations.registerTwice !== true
  ) {
    mark(core, 'registerRepeated');
    answerSession(core, address, { ...message, session: known.session });
    return;
  }
  if (refusesForRoom(core, address, 0)) return;
  core.state.registrations.set(`r${message.clientId.join('.')}.${message.nonce}`, address);
  take(core, {
    type: 'register',
    clientId: message.clientId,
    session: message.nonce,
    requestNumber: 0,
    acked: 0,
  });
}

/** CS8: outside the order of requests; repeated or unknown is answered when it is executed. */
function onUnregister(core: Core, address: ClientAddress, message: Unregister): void {
  if (refusesForRoom(core, address, 0)) return;
  core.state.registrations.set(`u${message.clientId.join('.')}.${message.session}`, address);
  take(core, {
    type: 'unregister',
    clientId: message.clientId,
    session: message.session,
    requestNumber: 0,
    acked: 0,
  });
}

export function onRequest(core: Core, address: ClientAddress, message: AskedRequest): void {
  if (!admits(core, address)) return;
  const { state, mutations } = core;
  const row = liveRow(core, message) ?? rowOfTheEvicted(core, message);
  if (row === null) {
    answerEvicted(core, address, message);
    return;
  }
  const again = mutations.duplicatesTaken === true;
  const admission = state.admissions.get(message.session);
  const highest = Math.max(admission?.requestNumber ?? 0, row.lastRequest);
  if (admission !== undefined) admission.address = address;
  if (message.requestNumber <= row.lastRequest && !again) {
    resendReply(core, address, message, row);
    return;
  }
  if (message.requestNumber <= highest && !again) {
    mark(core, 'duplicateInFlight');
    return;
  }
  if (message.requestNumber > highest + 1 && mutations.gapsAdmitted !== true) {
    mark(core, 'requestBeforeItsPredecessor'); // resent in order
    return;
  }
  if (refusesForRoom(core, address, message.requestNumber)) {
    if (mutations.busyAdmits === true)
      state.admissions.set(message.session, { requestNumber: message.requestNumber, address });
    return;
  }
  if (message.to - message.from > core.limits.requestBytes) return; // the client's half never sends it
  if (admission === undefined)
    state.admissions.set(message.session, { requestNumber: message.requestNumber, address });
  else admission.requestNumber = Math.max(admission.requestNumber, message.requestNumber);
  const { clientId, session, requestNumber, acked, bytes, from, to } = message;
  take(core, { type: 'op', clientId, session, requestNumber, acked }, bytes, from, to);
}

/** CS3 as a mistake: as if the session still stood right before this request. */
function rowOfTheEvicted(core: Core, message: AskedRequest): SessionRow | null {
  if (core.mutations.evictedExecuted !== true) return null;
  return strayRow(copyOf(message.clientId), message.requestNumber);
}

function liveRow(core: Core, message: AskedRequest | AskedRead): SessionRow | null {
  const row = core.state.table.rows.get(message.session);
  return row !== undefined && sameClient(row.clientId, message.clientId) ? row : null;
}

function answerEvicted(
  core: Core,
  address: ClientAddress,
  message: AskedRequest | AskedRead,
): void {
  const { session } = message;
  const clientId = copyOf(message.clientId);
  mark(core, 'requestOfEvictedSession');
  reply(core, address, { kind: 'evicted', clientId, session });
}

function resendReply(
  core: Core,
  address: ClientAddress,
  message: AskedRequest,
  row: SessionRow,
): void {
  const kept = keptReply(row, message.requestNumber);
  if (kept === null) return; // acknowledged: nobody waits for it
  mark(core, kept.code === 'replyDropped' ? 'replyTooLarge' : 'duplicateAnswered');
  const { gen, epoch, view } = core.state;
  const { clientId } = row;
  const { session } = message;
  reply(core, address, { kind: 'reply', clientId, session, gen, epoch, view, nonce: 0, ...kept });
}

/** Reply to a Register (nonce > 0) or an Unregister. */
export function answerSession(
  core: Core,
  address: ClientAddress,
  about: { clientId: Register['clientId']; session: number; nonce?: number },
): void {
  const { gen, epoch, view, applied } = core.state;
  reply(core, address, {
    kind: 'reply',
    clientId: about.clientId,
    session: about.session,
    requestNumber: 0,
    gen,
    epoch,
    view,
    op: applied,
    idx: 0,
    code: 'ok',
    nonce: about.nonce ?? 0,
    result: NO_BYTES,
  });
}

/** BP2, BP6: Busy instead of a queue that grows; `adm` is not touched. */
function refusesForRoom(core: Core, address: ClientAddress, requestNumber: number): boolean {
  const { state, limits } = core;
  notePressure(core);
  let reason: Busy['reason'] | null = null;
  if (state.pressure === 'full' || state.storeFull) reason = 'log';
  else if (state.building.count >= limits.queueMax) reason = 'queue';
  if (reason === null) return false;
  mark(core, reason === 'log' ? 'busyLog' : 'busyQueue');
  const { retryAfterMs } = core.timing;
  reply(core, address, { kind: 'busy', requestNumber, readId: 0, retryAfterMs, reason });
  return true;
}

function notePressure(core: Core): void {
  const { state, limits } = core;
  // What is kept for stragglers only goes first (CP5).
  if (pressureOf(core) !== 'none') collect(core);
  const usedBytes = state.log.bytes + state.building.bytes;
  const pressure = pressureOf(core);
  if (pressure === state.pressure) return;
  state.pressure = pressure;
  if (pressure === 'none') return;
  const full = pressure === 'full';
  notice(core, { kind: 'logPressure', usedBytes, limitBytes: limits.logBytes, full });
}

function pressureOf({ state, limits }: Core): ReplicaState['pressure'] {
  const usedBytes = state.log.bytes + state.building.bytes;
  if (usedBytes >= limits.logBytes) return 'full';
  return usedBytes >= LOG_PRESSURE * limits.logBytes ? 'high' : 'none';
}

/** RD0, RD2: note what must be echoed first, and force a heartbeat in this pass. */
export function onRead(core: Core, address: ClientAddress, message: AskedRead): void {
  if (!admits(core, address)) return;
  const { state } = core;
  const { session, afterRequest, readId, bytes } = message;
  const row = session === 0 ? null : liveRow(core, message);
  if (session !== 0 && row === null) {
    answerEvicted(core, address, message);
    return;
  }
  const length = message.to - message.from;
  const memory =
    core.bodies?.copy(bytes, message.from, message.to) ??
    ownMemory(bytes, message.from, message.to);
  state.reads.push({
    need: core.mutations.oldEchoesCount === true ? state.hbSeq : state.hbSeq + 1,
    known: core.mutations.committedUnread === true ? 0 : state.commitMax,
    address,
    clientId: row?.clientId ?? copyOf(message.clientId),
    session,
    afterRequest,
    readId,
    memory,
    from: memory.used - length,
    to: memory.used,
  });
  state.readBytes += length;
  if (core.timing.leaseMs === 0) state.heartbeatForced = true;
}

/** What was asked is filled in anew for the next. */
function copyOf(clientId: ClientId): ClientId {
  return [clientId[0], clientId[1], clientId[2], clientId[3]];
}

/** N3: copies one admitted request behind the others of the entry in the making. */
function take(
  core: Core,
  fields: RequestFields,
  bytes: Uint8Array = NO_BYTES,
  from: number = 0,
  to: number = bytes.length,
): void {
  const { state, limits } = core;
  const { building } = state;
  const { arena } = state.log;
  const space = requestSpace(to - from);
  // The entry is one contiguous piece: what no longer fits begins the next one.
  const fits = arena.used + building.bytes + space <= arena.segment.length;
  if (building.count > 0 && (!fits || building.bytes + space > limits.batchBytes)) cut(core);
  if (building.count === 0) reserve(arena, Math.max(space, limits.batchBytes), head(state.log));
  const at = arena.used + building.bytes;
  writeRequest(arena.segment, arena.view, at, fields, bytes, from, to);
  building.bytes += space;
  building.count++;
  state.passBytes -= space;
  if (building.count >= limits.batchMax || building.bytes >= limits.batchBytes) cut(core);
}

/** True while an unfinished entry waits for company: nothing is in flight and the linger is not over. */
export function lingers(core: Core, nowUs: number): boolean {
  const { building, log, commitMax } = core.state;
  if (core.limits.lingerUs === 0 || building.count === 0 || head(log) > commitMax) return false;
  // Anew after the clock went back: an unfinished entry must not wait until it has caught up.
  if (building.sinceUs < 0 || nowUs < building.sinceUs) building.sinceUs = nowUs;
  return nowUs - building.sinceUs < core.limits.lingerUs;
}

/** The unfinished entry gets op-number, time, seed and chain; DT2 orders its time behind the head's. */
export function cut(core: Core): void {
  const { state } = core;
  const { building, log } = state;
  if (building.count === 0) return;
  if (building.count === 1) mark(core, 'entryOfOneRequest');
  else if (building.count >= core.limits.batchMax) mark(core, 'entryFull');
  const { arena } = log;
  const top = head(log);
  const body = arena.segment.subarray(arena.used, arena.used + building.bytes);
  arena.used += building.bytes;
  const previousTs = headTs(log);
  const ts =
    core.mutations.tsBackwards === true ? state.clockUs : Math.max(previousTs + 1, state.clockUs);
  const { epoch, view } = state;
  const { count } = building;
  const header = {
    op: top + 1,
    epoch,
    view,
    ts,
    seed: core.random(),
    kind: 'batch' as const,
    count,
  };
  const { op, seed, kind } = header;
  const chain = core.hasher.next(chainAt(log, top), header, body);
  appendOwned(log, { op, epoch, view, ts, seed, kind, count, body, chain });
  core.entries?.(building.count, building.bytes);
  building.count = 0;
  building.bytes = 0;
  building.sinceUs = -1;
  if (state.log.bytes + ENTRY_OVERHEAD_BYTES > core.limits.logBytes * LOG_PRESSURE)
    notePressure(core);
}

/** VC4: what was taken but not cut is forgotten. */
export function dropBuilding(core: Core): void {
  const { building } = core.state;
  building.count = 0;
  building.bytes = 0;
  building.sinceUs = -1;
}
