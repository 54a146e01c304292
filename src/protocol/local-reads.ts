// Reads at any active (RD8, RD9): of a past committed state, which is no older than what the reader has seen, or than a bound in real
// time. Nobody is asked. A replica that cannot say so much of itself answers `behind`, and the client asks the primary.

import { type Core, isPrimary, leads, mark, reply } from './core.js';
import { followedAt } from './lease.js';
import { ANY_AGE, type LocalRead, type ReadCode } from './message.js';
import { READ_BYTES } from './reads.js';
import type { WaitingLocalRead } from './state.js';
import type { StateMachine } from './state-machine.js';
import type { ClientAddress } from './types.js';

const NO_BYTES = new Uint8Array(0);

/** False: local reads stay unread. */
export function takesLocalReads(core: Core): boolean {
  const { state, limits } = core;
  return (
    state.localReads.length < limits.waitingReads && state.localReadBytes < limits.waitingReadBytes
  );
}

export function onLocalRead(core: Core, address: ClientAddress, message: LocalRead): void {
  const { state, timing } = core;
  const { clientId, session, afterRequest, readId, tokenGen, tokenOp, maxStaleMs } = message;
  const about = { address, clientId, readId };
  // What an earlier generation acknowledged may be gone in this one, and its op-numbers mean nothing here.
  if (tokenOp > 0 && tokenGen !== state.gen) answer(core, about, 'badToken', NO_BYTES);
  else if (!mayAnswer(core, maxStaleMs)) answer(core, about, 'behind', NO_BYTES);
  else {
    const until = state.now + timing.readWait;
    const body = message.body.slice();
    // A bound in time is of no use without what was known to be committed by then: also what the view began with, for whoever echoes a
    // heartbeat of it has acknowledged that, and without echoes its primary is in doubt.
    const known = maxStaleMs < ANY_AGE ? state.commitMax : 0;
    const needs = { session, afterRequest, tokenOp: Math.max(tokenOp, known), maxStaleMs };
    state.localReads.push({ ...about, ...needs, until, body });
    state.localReadBytes += body.length;
  }
}

/** Normal, with a state, and in touch with the primary of late. */
function mayAnswer(core: Core, maxStaleMs: number): boolean {
  const { state, mutations } = core;
  if (core.stateMachine === null) return false;
  if (mutations.readsAnywhere === true) return true;
  if (state.status !== 'normal' || state.abdicating) return false;
  const knownAt = isPrimary(core) ? followedAt(core) : state.lease.heardAt;
  return core.clock() - knownAt <= maxStaleMs;
}

/** True: `serveLocalReads` would do something. */
export function localReadDue(core: Core): boolean {
  return core.state.localReads.some((read) => verdictOn(core, read) !== 'wait');
}

function verdictOn(core: Core, read: WaitingLocalRead): 'serve' | 'refuse' | 'wait' {
  const { state } = core;
  if (!mayAnswer(core, read.maxStaleMs)) return 'refuse';
  if (hasSeen(core, read)) return 'serve';
  return state.now >= read.until ? 'refuse' : 'wait';
}

/** RD8, RD0: executed what the reader knows of, and what it sent before. */
function hasSeen(core: Core, { tokenOp, session, afterRequest }: WaitingLocalRead): boolean {
  const { state, mutations } = core;
  if (mutations.tokenIgnored === true) return true;
  if (state.applied < tokenOp) return false;
  if (afterRequest === 0) return true;
  const row = state.table.rows.get(session);
  return row !== undefined && row.lastRequest >= afterRequest;
}

/** In order of arrival, as far as each can be answered, and at most `most` of them. */
export function serveLocalReads(core: Core, stateMachine: StateMachine, most: number): void {
  const { state, sink } = core;
  if (state.localReads.length === 0) return;
  const waiting: WaitingLocalRead[] = [];
  let served = 0;
  let bodies = 0;
  for (const read of state.localReads) {
    const full = served >= most || bodies + sink.length >= READ_BYTES;
    const verdict = full ? 'wait' : verdictOn(core, read);
    if (verdict === 'wait') {
      if (!full) mark(core, 'localReadWaits');
      waiting.push(read);
      continue;
    }
    bodies += read.body.length;
    served++;
    if (verdict === 'refuse') {
      mark(core, 'localReadBehind');
      answer(core, read, 'behind', NO_BYTES);
      continue;
    }
    if (!leads(core)) mark(core, 'readAtBackup');
    const from = sink.length;
    stateMachine.read(read.body, 0, read.body.length, sink);
    answer(core, read, 'ok', sink.bytes.subarray(from, sink.length));
  }
  state.localReads = waiting;
  state.localReadBytes -= bodies;
}

/** VC4: who leaves the view cannot say any more how old its state is. */
export function refuseLocalReads(core: Core): void {
  for (const read of core.state.localReads) answer(core, read, 'behind', NO_BYTES);
  core.state.localReads = [];
  core.state.localReadBytes = 0;
}

function answer(
  core: Core,
  about: Pick<WaitingLocalRead, 'address' | 'clientId' | 'readId'>,
  code: ReadCode,
  result: Uint8Array,
): void {
  const { gen, epoch, view, applied } = core.state;
  const { address, clientId, readId } = about;
  const place = { gen, epoch, view, op: applied };
  reply(core, address, { kind: 'readReply', clientId, readId, ...place, code, result });
}
