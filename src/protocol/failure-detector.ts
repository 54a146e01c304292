// Who is suspected, and how suspicion becomes a view change: a vote by one, an `enter` by a quorum (D4). Silence is ambiguous
// and slow, a thread exit is certain and immediate (3.3); neither ever decides anything about entries.

import { dropBuilding } from './admission.js';
import { violated } from './assert.js';
import { newest } from './checkpoint/image.js';
import {
  broadcast,
  type Core,
  drawTicks,
  header,
  isPrimary,
  isWitness,
  jitter,
  mark,
  members,
  noticeStatus,
  primaryNow,
  quorum,
  send,
  stampNow,
} from './core.js';
import { durableHead, storeAppended } from './durability.js';
import type { Hint, ViewReason } from './effect.js';
import { grant, holderEnded, mayPromise } from './lease.js';
import { refuseLocalReads } from './local-reads.js';
import { appendOwned, chainAt, head, type Log, ladder, tail, truncateTo } from './log.js';
import type { Commit, DoViewChange, Prepare } from './message.js';
import type { Transfer } from './state.js';
import {
  compareStamps,
  type ReplicaId,
  type Stamp,
  type StartNumber,
  type ViewNumber,
} from './types.js';

const FAILURE_SPREAD = 1.6;
const ABDICATE = 1.2;
const VOTE_RESEND = 0.2;
const VOTE_WINDOW = 1.2;
const VIEW_CHANGE = 1.6;
const VIEW_CHANGE_GROWTH = 1.5;
const VIEW_CHANGE_MAX = 16;

/** Failure timer: uniform in [T, 1.6 T], drawn anew at each reset so that backups rarely expire together. */
export function resetFailureTimer(core: Core): void {
  const { viewTimeout } = core.timing;
  core.state.failureDeadline =
    core.state.now + drawTicks(core, viewTimeout, FAILURE_SPREAD * viewTimeout);
}

/** HB2: a strictly newer heartbeat of a living primary calms the backup; ghosts of a dead thread do not. */
export function heard(core: Core, message: Prepare | Commit): void {
  const { state } = core;
  if (state.primaryStart === 0) state.primaryStart = message.start;
  if (message.hbSeq <= state.lastHbSeq && core.mutations.staleHeartbeats !== true) {
    mark(core, 'staleHeartbeat');
    return;
  }
  state.lastHbSeq = Math.max(state.lastHbSeq, message.hbSeq);
  const down = state.down.get(message.from);
  const dead = down !== undefined && message.start <= down.start;
  if (dead && core.mutations.lastFramesHeard !== true) {
    mark(core, 'heartbeatOfDeadThread');
    return;
  }
  grant(core, message);
  resetFailureTimer(core);
  state.suspect = false;
  state.votes.delete(state.id);
}

/** VC1: votes for the next view; repeated until the view changes or the primary is heard. */
export function suspect(core: Core, reason: ViewReason): void {
  const { state } = core;
  if (state.status === 'recovering' && core.mutations.recoveringPromises !== true) return; // VC13
  if (state.suspect) return;
  state.suspect = true;
  state.leaveReason = reason;
  castVote(core);
}

function castVote(core: Core): void {
  const { state, timing } = core;
  state.voteResendAt = state.now + Math.max(1, Math.round(VOTE_RESEND * timing.viewTimeout));
  state.votes.set(state.id, state.now + Math.round(VOTE_WINDOW * timing.viewTimeout));
  const phase = state.abdicating ? 'abdicated' : 'vote';
  broadcast(core, { kind: 'startViewChange', ...header(core), phase });
  countVotes(core);
}

/** VC2: a vote of the present view, by somebody else. */
export function onVote(core: Core, from: ReplicaId): void {
  const { state, timing } = core;
  state.votes.set(from, state.now + Math.round(VOTE_WINDOW * timing.viewTimeout));
  // The primary itself wants to go: nobody has a reason to wait for its silence (VC1).
  if (from === primaryNow(core) && !isPrimary(core)) suspect(core, 'step-down');
  countVotes(core);
}

function countVotes(core: Core): void {
  const { state } = core;
  const needed = core.mutations.leaveWithoutQuorum === true ? 1 : quorum(core);
  if (state.votes.size < needed) return;
  const voters = [...state.votes.keys()];
  if (voters.filter((id) => !isWitness(core, id)).length < quorum(core))
    mark(core, 'voteByWitnessDecides');
  enter(core, state.view + 1);
}

/** VC4: the only way to leave a view. What is promised here is in the register before anybody hears of it. */
export function enter(core: Core, view: ViewNumber): void {
  const { state } = core;
  if (!(view > state.view)) violated(`cannot enter view ${view} from ${state.view}`);
  mark(core, 'viewChangeStarted');
  if (state.status === 'view-change') mark(core, 'viewChangeOvertaken');
  state.failedViewChanges =
    state.status === 'view-change' ? state.failedViewChanges + 1 : state.failedViewChanges;
  if (state.leaveReason === null) state.leaveReason = 'higher-view';
  leaveView(core);
  // What this pass has appended so far is stored with it.
  storeAppended(core);
  const { mutations } = core;
  if (mutations.registerAfterSend !== true) writeRegister(core, { epoch: state.epoch, view });
  state.view = view;
  state.status = 'view-change';
  state.primaryStart = 0;
  state.cannotLead = false;
  noticeStatus(core);
  startViewChangeTimer(core);
  sendJoined(core);
  if (mutations.registerAfterSend === true) writeRegister(core, { epoch: state.epoch, view });
  // HH3: the next primary is known to be dead: nobody needs to wait for it to stay silent.
  const dead = supposedDead(core, primaryNow(core)) && othersMayLive(core);
  if (dead && mutations.deadPrimaryAwaited !== true) {
    mark(core, 'deadElectSkipped');
    suspect(core, 'crash');
  }
  if (isWitness(core, view % state.configuration.members.length)) mark(core, 'witnessTurnSkipped');
}

function supposedDead(core: Core, id: ReplicaId): boolean {
  return core.state.down.get(id)?.skip === true;
}

/** Word that every active has ended says nothing: skipping them all, view after view, would not end. */
function othersMayLive(core: Core): boolean {
  return members(core).some(({ id, role }) => role === 'active' && !supposedDead(core, id));
}

function leaveView(core: Core): void {
  const { state, mutations } = core;
  if (mutations.stagedKept === true && state.transfer !== null)
    keepStaged(state.log, state.transfer);
  if (state.reads.length + state.blockedReads.length > 0) mark(core, 'readsForgotten');
  if (state.building.count > 0) mark(core, 'requestsForgotten');
  state.transfer = null;
  state.installing = null;
  state.votes.clear();
  state.doViewChanges.clear();
  state.buffered.clear();
  if (mutations.admissionsKept !== true) state.admissions.clear();
  state.registrations.clear();
  state.reads = [];
  state.blockedReads = [];
  state.readBytes = 0;
  state.blockedBytes = 0;
  refuseLocalReads(core);
  dropBuilding(core);
  state.suspect = false;
  state.abdicating = false;
  state.serving = false;
  state.heartbeatForced = false;
  state.owesOk = false;
}

/** E35 as a mistake: what was fetched of another log so far becomes the own one before its last normal view does. */
function keepStaged(log: Log, transfer: Transfer): void {
  if (transfer.staged.length === 0 || transfer.target === null) return;
  truncateTo(log, transfer.base);
  for (const entry of transfer.staged) appendOwned(log, entry);
}

/** R0: the stamp only grows, and is written before anything that carries it. */
export function writeRegister(core: Core, stamp: Stamp): void {
  const { state } = core;
  if (state.register !== null && compareStamps(stamp, state.register) <= 0) return;
  state.register = stamp;
  core.effects.push({ type: 'writeRegister', epoch: stamp.epoch, view: stamp.view });
}

/** VC10: grows with each view change that failed, up to sixteen failure timeouts. */
export function startViewChangeTimer(core: Core): void {
  const { state, timing } = core;
  if (state.failedViewChanges > 1) mark(core, 'viewChangeBackedOff');
  const base = VIEW_CHANGE * timing.viewTimeout * VIEW_CHANGE_GROWTH ** state.failedViewChanges;
  const capped = Math.min(base, VIEW_CHANGE_MAX * timing.viewTimeout);
  state.viewChangeDeadline = state.now + jitter(core, capped);
}

/** VC4: tells everybody that this replica joined, and the new primary what it holds. */
export function sendJoined(core: Core): void {
  const { state, timing } = core;
  state.joinResendAt = state.now + Math.max(1, Math.round(VOTE_RESEND * timing.viewTimeout));
  // T2: a view in which this replica was normal has started; there is nothing to promise for it.
  if (compareStamps(state.lastNormal, stampNow(core)) === 0) return;
  broadcast(core, { kind: 'startViewChange', ...header(core), phase: 'joined' });
  // P2: nothing is advertised that a crash could still take back.
  if (durableHead(core) < head(state.log)) {
    mark(core, 'promiseWaitsForFlush');
    return;
  }
  if (!mayPromise(core)) return;
  const message = doViewChange(core);
  if (isPrimary(core)) state.doViewChanges.set(state.id, message);
  else send(core, primaryNow(core), message);
}

/** After each step: what held the DoViewChange back may be over. */
export function sendHeldPromise(core: Core): void {
  const { lease, status } = core.state;
  if (lease.held && status === 'view-change' && mayPromise(core)) sendJoined(core);
}

function doViewChange(core: Core): DoViewChange {
  const { state, limits } = core;
  const op = head(state.log);
  return {
    kind: 'doViewChange',
    ...header(core),
    start: state.start,
    lastNormal: state.lastNormal,
    op,
    chain: chainAt(state.log, op),
    commit: state.commit,
    commitMax: state.commitMax,
    stableOp: state.stableOp,
    logStart: state.log.start,
    cpOp: newest(core)?.op ?? 0,
    ladder: ladder(state.log, state.stableOp),
    tail: tail(state.log, { count: limits.tailEntries, bytes: limits.tailBytes }),
  };
}

/** E5 as a mistake: leave a view that has started, in answer to a late StartViewChange. */
export function rejoin(core: Core): void {
  core.state.status = 'view-change';
  leaveView(core);
  startViewChangeTimer(core);
  sendJoined(core);
}

// ── hints of the host ──

export function onHint(core: Core, hint: Hint): void {
  switch (hint.kind) {
    case 'exited':
      onExited(core, hint.id, hint.start);
      return;
    case 'started':
      onStarted(core, hint.id, hint.start);
      return;
    case 'suspect':
      if (hint.start !== undefined) holderEnded(core, hint.id, hint.start);
      onSuspected(core, hint.id, hint.start);
      return;
    case 'stepDown':
      if (isPrimary(core) && core.state.status === 'normal') abdicate(core, 'step-down');
      return;
  }
}

/** HH1: a vote at once; unless it is known which thread was meant, a later frame of the primary takes it back. */
function onSuspected(core: Core, id: ReplicaId, start: StartNumber | undefined): void {
  const { state, timing } = core;
  if (start !== undefined) {
    const known = state.down.get(id);
    if (known !== undefined && known.start >= start) {
      mark(core, 'hintOfOlderStart');
      return;
    }
    const expires = state.now + timing.downExpiry;
    state.down.set(id, { start, expires, exited: false, skip: false });
    if (state.status === 'normal' && state.primaryStart > start) return;
  }
  if (id === primaryNow(core) && id !== state.id) suspect(core, 'crash');
}

/** HH1: a certain exit of the primary needs no timer. */
export function onExited(core: Core, id: ReplicaId, start: StartNumber): void {
  const { state, timing } = core;
  const known = state.down.get(id);
  if (known !== undefined && known.start > start) {
    mark(core, 'hintOfOlderStart');
    return;
  }
  // HH4: told once more, after a later start was seen, it skips nobody.
  const skip = known === undefined || known.start < start || !known.exited || known.skip;
  state.down.set(id, { start, expires: state.now + timing.downExpiry, exited: true, skip });
  holderEnded(core, id, start);
  if (id !== primaryNow(core) || id === state.id) return;
  const unknown = state.primaryStart === 0 || state.status !== 'normal';
  const meant = state.primaryStart <= start || core.mutations.exitOfOlderStart === true;
  if (unknown || meant) suspect(core, 'crash');
}

/** HH4: a later start of `id` lives; the mark stays only for comparing starts. */
export function onStarted(core: Core, id: ReplicaId, start: StartNumber): void {
  const down = core.state.down.get(id);
  if (down !== undefined && start > down.start) down.skip = false;
}

/** HB5, HB8: stops leading, and says so by its vote; sticky until the next view. */
export function abdicate(core: Core, reason: ViewReason): void {
  const { state } = core;
  if (state.abdicating) return;
  mark(core, 'abdication');
  if (state.building.count > 0) mark(core, 'requestsForgotten');
  state.abdicating = true;
  dropBuilding(core);
  state.admissions.clear();
  state.reads = [];
  state.blockedReads = [];
  state.readBytes = 0;
  state.blockedBytes = 0;
  suspect(core, reason);
}

// ── timers ──

/** Everything of this file that waits for time. */
export function onTick(core: Core): void {
  const { state } = core;
  for (const [id, expires] of state.votes)
    if (expires <= state.now && id !== state.id && core.mutations.votesNeverExpire !== true)
      state.votes.delete(id);
  for (const [id, down] of state.down) if (down.expires <= state.now) state.down.delete(id);
  if (state.status === 'recovering') return;
  const view = state.view;
  // VC10: at backups too, for the next view change is theirs.
  const calm = state.status === 'normal' && state.now - state.normalSince >= core.timing.calm;
  if (calm) state.failedViewChanges = 0;
  if (state.status === 'view-change') tickViewChange(core);
  else if (isPrimary(core)) tickPrimary(core);
  else if (state.now >= state.failureDeadline) suspect(core, 'timeout');
  if (state.view === view && state.suspect && state.now >= state.voteResendAt) castVote(core);
}

function tickViewChange(core: Core): void {
  const { state } = core;
  if (state.now >= state.joinResendAt && core.mutations.joinNotRepeated !== true) sendJoined(core);
  if (state.now < state.viewChangeDeadline) return;
  startViewChangeTimer(core);
  suspect(core, 'timeout');
}

function tickPrimary(core: Core): void {
  const { state, timing } = core;
  const needed = quorum(core) - 1;
  if (needed === 0 || state.abdicating || core.mutations.neverAbdicates === true) return;
  const ticks = state.peers.map((progress) => progress.echoTick).sort((a, b) => b - a);
  const newest = ticks[needed - 1] ?? state.normalSince;
  if (state.now - newest > ABDICATE * timing.viewTimeout) abdicate(core, 'timeout');
}
