// Reads at the primary: in order of arrival, once it is known to lead still (RD2, RD4), and never before what their own clients have
// written (RD0), nor before what was committed when they came: backups execute that as well, and may be faster.

import { gateOpen } from './admission.js';
import type { BodyPool } from './body-pool.js';
import type { SessionRow } from './client-table.js';
import { type Core, mark, reply } from './core.js';
import { holdsLease } from './lease.js';
import type { ReplicaState, WaitingRead } from './state.js';
import type { StateMachine } from './state-machine.js';
import { echoedByQuorum } from './stream.js';
import type { ClientAddress, SessionNumber } from './types.js';

/** Bodies and answers, after which no more are served in one step: the number of reads says little about the time they take. */
export const READ_BYTES: number = 64 << 10;

/** True when `serveReads` would do something. */
export function firstReadIsDue(core: Core): boolean {
  const first = core.state.reads[0];
  if (first === undefined || !gateOpen(core) || core.state.applied < first.known) return false;
  return first.need <= echoedByQuorum(core) || holdsLease(core);
}

/**
 * In order of arrival, each once a quorum has echoed a heartbeat that was sent after it came (RD2), or on the lease (RD4): then
 * the time is looked at once more after all were executed, and if it is over they wait for the echoes like others.
 */
export function serveReads(core: Core, stateMachine: StateMachine, most: number): void {
  const { state, effects, sink } = core;
  if (state.reads.length === 0 || !gateOpen(core)) return;
  const echoed = echoedByQuorum(core);
  const leased = holdsLease(core);
  /** How things stood before the first read on the lease. */
  let sure: Before | null = null;
  const blocked = state.blockedReads.length;
  let served = 0;
  let bodies = 0;
  let at = 0;
  for (; at < state.reads.length && served < most; at++) {
    const read = state.reads[at] as WaitingRead;
    if (read.known > state.applied) break; // later reads know no less
    if (read.need > echoed && sure === null) {
      if (!leased) break; // later reads need no less
      sure = before(core, at);
    }
    const row = read.session === 0 ? undefined : state.table.rows.get(read.session);
    if (row !== undefined && ownWritesMissing(core, read, row)) {
      blockRead(core, read);
      continue;
    }
    const length = read.to - read.from;
    state.readBytes -= length;
    bodies += length;
    if (row === undefined && read.session !== 0) {
      const { clientId, session } = read;
      reply(core, read.address, { kind: 'evicted', clientId, session });
    } else serveRead(core, stateMachine, read, sure !== null);
    served++;
    if (bodies + sink.length >= READ_BYTES) most = served;
  }
  if (sure !== null && core.mutations.leaseOnPassTime !== true && !holdsLease(core)) {
    mark(core, 'leaseRanOut');
    at = sure.at;
    effects.length = sure.effects;
    state.readBytes = sure.bytes;
    state.blockedReads.length = sure.blocked;
    state.blockedBytes = sure.blockedBytes;
  }
  if (core.bodies !== null) giveBack(core.bodies, state, at, blocked);
  if (at > 0) state.reads = state.reads.slice(at);
}

/** The bodies of the first `count` reads, but for those set aside: they are the last of their list, in the same order, from `kept` on. */
function giveBack(bodies: BodyPool, state: ReplicaState, count: number, kept: number): void {
  let next = kept;
  for (let done = 0; done < count; done++) {
    const read = state.reads[done] as WaitingRead;
    if (state.blockedReads[next] === read) next++;
    else bodies.give(read.memory);
  }
}

interface Before {
  readonly at: number;
  readonly effects: number;
  readonly bytes: number;
  readonly blocked: number;
  readonly blockedBytes: number;
}

function before({ state, effects }: Core, at: number): Before {
  const { readBytes: bytes, blockedReads, blockedBytes } = state;
  return { at, effects: effects.length, bytes, blocked: blockedReads.length, blockedBytes };
}

/**
 * Set aside, so that it is no work while nothing is executed; a repetition of it waits only once. What it waits for may lie
 * behind other reads in its client's ring, so those set aside take half of the room at most; more are forgotten and come again.
 */
function blockRead(core: Core, read: WaitingRead): void {
  const { state, limits } = core;
  const length = read.to - read.from;
  mark(core, 'readWaitsForOwnWrite');
  const full =
    2 * (state.blockedReads.length + 1) > limits.waitingReads ||
    2 * (state.blockedBytes + length) > limits.waitingReadBytes;
  if (full || isBlocked(core, read)) {
    state.readBytes -= length;
    return;
  }
  state.blockedReads.push(read);
  state.blockedBytes += length;
}

/** Mostly by one look: the ids of a client's reads grow, and only repetitions go back. */
function isBlocked(core: Core, { session, readId }: WaitingRead): boolean {
  const { blockedUpTo } = core;
  const { blockedReads } = core.state;
  if (blockedReads.length === 0) blockedUpTo.clear();
  else if (blockedUpTo.size > core.limits.waitingReads) noteBlocked(blockedUpTo, blockedReads);
  const upTo = blockedUpTo.get(session) ?? 0;
  if (readId > upTo) {
    blockedUpTo.set(session, readId);
    return false;
  }
  return blockedReads.some((other) => other.readId === readId && other.session === session);
}

/** By session, an id that no read of it passes which is set aside. */
export type BlockedUpTo = Map<SessionNumber, number>;

export function noteBlocked(upTo: BlockedUpTo, blockedReads: readonly WaitingRead[]): BlockedUpTo {
  upTo.clear();
  for (const { session, readId } of blockedReads)
    upTo.set(session, Math.max(upTo.get(session) ?? 0, readId));
  return upTo;
}

/** To be called when something was executed: nothing else makes a read ready that waits for its client's own writes. */
export function unblockReads(core: Core): void {
  const { state } = core;
  if (state.blockedReads.length === 0 || !gateOpen(core)) return;
  const ready: WaitingRead[] = [];
  const blocked: WaitingRead[] = [];
  let row: SessionRow | undefined;
  let session = -1;
  for (const read of state.blockedReads) {
    // Those of one client came together.
    if (read.session !== session) {
      session = read.session;
      row = state.table.rows.get(session);
    }
    if (row !== undefined && ownWritesMissing(core, read, row)) blocked.push(read);
    else {
      ready.push(read);
      state.blockedBytes -= read.to - read.from;
    }
  }
  if (ready.length === 0) return;
  state.blockedReads = blocked;
  state.reads = ready.concat(state.reads);
}

/** RD0: a client's read sees its own earlier writes, also when they were pipelined. */
function ownWritesMissing(core: Core, read: WaitingRead, row: SessionRow): boolean {
  return row.lastRequest < read.afterRequest && core.mutations.readsIgnoreOwnWrites !== true;
}

function serveRead(
  core: Core,
  stateMachine: StateMachine,
  read: WaitingRead,
  leased: boolean,
): void {
  const { state, sink } = core;
  const { clientId, readId, address } = read;
  const from = sink.length;
  stateMachine.read(read.memory.bytes, read.from, read.to, sink);
  if (leased) mark(core, 'readByLease');
  const { gen, epoch, view, applied } = state;
  const result = sink.bytes.subarray(from, sink.length);
  core.effects.push({
    type: 'reply',
    address,
    message: {
      kind: 'readReply',
      clientId,
      readId,
      gen,
      epoch,
      view,
      op: applied,
      code: 'ok',
      result,
    },
    leased,
  });
}

/** The client behind `address` is gone. */
export function forgetReads({ state }: Core, address: ClientAddress): void {
  state.reads = state.reads.filter((read) => read.address !== address);
  state.blockedReads = state.blockedReads.filter((read) => read.address !== address);
  state.blockedBytes = bytesOf(state.blockedReads);
  state.readBytes = state.blockedBytes + bytesOf(state.reads);
}

function bytesOf(reads: readonly WaitingRead[]): number {
  return reads.reduce((bytes, read) => bytes + read.to - read.from, 0);
}
