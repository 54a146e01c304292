// Install (protocol.md 3.6): the only way to become normal in a view. The complete, verified log is staged first; until the
// one atomic switch the old log, lastNormal and state stay untouched and valid. The same machinery fills gaps inside a view (T1).

import { assert, ProtocolViolation, StoreContradicted } from './assert.js';
import { adopt } from './checkpoint/adopt.js';
import { hasWitnesses } from './checkpoint/collect.js';
import {
  beginFetch,
  type Fetch,
  fetchesFrom,
  nextFetchDonor,
  onFetched,
  type Shadow,
} from './checkpoint/fetch.js';
import { newest, pagesOf } from './checkpoint/image.js';
import {
  type Core,
  header,
  isPrimary,
  isWitness,
  mark,
  nextRequest,
  noticeStatus,
  primaryNow,
  send,
} from './core.js';
import { donorOrder } from './donors.js';
import { storeSwitch } from './durability.js';
import { resetFailureTimer, writeRegister } from './failure-detector.js';
import {
  appendOwned,
  chainAt,
  chainIfPresent,
  detach,
  entryCost,
  head,
  restartAbove,
  truncateTo,
} from './log.js';
import type { CheckpointAnswer, Entry, NewState, TransferPurpose } from './message.js';
import { advanceCommit, appendVerified, drainBuffered, startLeading } from './normal.js';
import type { Chunk, Transfer, TransferTarget } from './state.js';
import {
  type Chain,
  compareStamps,
  type OpNumber,
  type ReplicaId,
  type Rung,
  sameChain,
} from './types.js';
import { fallBehind, laterStamp } from './view-change.js';

/** Requests outstanding at a time, on adjoining ranges. */
const CHUNKS_MAX = 4;
const RANGE_FIRST = 16;
const RANGE_MAX = 4096;

/** What of the message that names the target an Install needs. */
export interface InstallSource {
  readonly purpose: TransferPurpose;
  readonly ladder: readonly Rung[];
  readonly tail: readonly Entry[];
  /** In the order in which they should be asked. */
  readonly donors: ReplicaId[];
  /** Of its sender's log. */
  readonly logStart: OpNumber;
  readonly cpOp: OpNumber;
}

/** Step 1: the highest op at which the own log provably agrees with the target's. */
export function commonBase(core: Core, rungs: readonly Rung[]): OpNumber {
  const { state } = core;
  let base = state.commit;
  for (const rung of rungs) {
    const own = chainIfPresent(state.log, rung.op);
    if (own === null) continue;
    const same = sameChain(own, rung.chain);
    if (!same && rung.op <= state.commit) contradicted(core, rung.op);
    if (same) base = Math.max(base, rung.op);
  }
  return base;
}

/** A committed entry is another one elsewhere: impossible, but after a restart from disks that had lost their ends (P6). */
function contradicted(core: Core, op: OpNumber): never {
  const message = `committed op ${op} differs from the target log`;
  if (!core.state.cold) throw new ProtocolViolation(message);
  throw new StoreContradicted(message);
}

/** Begins an Install towards `target`. */
export function beginInstall(core: Core, target: TransferTarget, source: InstallSource): void {
  const base = Math.min(commonBase(core, source.ladder), target.op);
  const transfer: Transfer = {
    ...emptyTransfer(core, source.purpose, source.donors),
    target,
    floor: floorOf(core, target, source),
    tail: source.tail.map(detach),
  };
  core.state.transfer = transfer;
  aim(transfer, base);
  if (!lacksLog(core, base, source)) {
    progressTransfer(core);
    return;
  }
  if (pagesOf(core) === null) beginAtFloor(core, transfer, source);
  else {
    const donors = source.donors.filter((id) => !isWitness(core, id));
    transfer.fetch = beginFetch(core, source.logStart - 1, donors);
  }
}

function emptyTransfer(core: Core, purpose: TransferPurpose, donors: ReplicaId[]): Transfer {
  const { timing, state } = core;
  return {
    purpose,
    target: null,
    base: head(state.log),
    fresh: null,
    fetch: null,
    shadow: null,
    floor: null,
    staged: [],
    toOp: 0,
    tail: [],
    chunks: [],
    askedOp: head(state.log) + 1,
    donors,
    donor: 0,
    lost: [],
    fruitless: 0,
    retryTicks: timing.transferRetry,
    deadline: state.now + timing.transferRetry,
    rangeOps: RANGE_FIRST,
  };
}

/** The entries above `base` up to the target are to be fetched, as far as its tail does not have them. */
function aim(transfer: Transfer, base: OpNumber): void {
  const { target, tail } = transfer;
  assert(target !== null, 'a gap has no target');
  const tailFirst = tail[0]?.op ?? target.op + 1;
  transfer.base = base;
  transfer.staged = [];
  transfer.chunks = [];
  transfer.toOp = Math.min(target.op, Math.max(base, tailFirst - 1));
  transfer.askedOp = base + 1;
}

/**
 * Step 3: what is missing lies below everybody's log. Whoever lost all memory takes a checkpoint too where there is one: it may
 * have come a long way.
 */
function lacksLog(core: Core, base: OpNumber, { purpose, logStart, cpOp }: InstallSource): boolean {
  if (purpose === 'vc') return false; // VC8: an elect that lacks so much forfeits
  if (base + 1 < logStart) return true;
  return core.state.status === 'recovering' && base === 0 && cpOp > 0 && pagesOf(core) !== null;
}

/** Step 2b: where the log has to begin, at the latest, when there are witnesses. */
function floorOf(core: Core, target: TransferTarget, source: InstallSource): Rung | null {
  if (source.purpose === 'vc' || !hasWitnesses(core)) return null;
  const low = source.ladder.filter((rung) => rung.op <= target.stableOp);
  return low.sort((a, b) => b.op - a.op)[0] ?? null;
}

/** A witness needs no state: its log begins where the others' do. */
function beginAtFloor(core: Core, transfer: Transfer, source: InstallSource): void {
  const lowest = source.ladder[source.ladder.length - 1];
  assert(lowest !== undefined && lowest.op === source.logStart - 1, 'a ladder ends below its log');
  mark(core, 'witnessLogAnew');
  transfer.fresh = { chain: lowest.chain, ts: 0 };
  aim(transfer, lowest.op);
  progressTransfer(core);
}

/** Step 3: an answer about the checkpoint that is being fetched. */
export function onCheckpointAnswer(core: Core, message: CheckpointAnswer): void {
  const { transfer } = core.state;
  const fetch = transfer?.fetch ?? null;
  if (transfer === null || fetch === null || transfer.target === null) {
    mark(core, 'transferAnswerLate');
    return;
  }
  // E27: what came of a later view may hold what this target does not; that view's own StartView has to be waited for.
  const later = compareStamps(message, transfer.target.stamp) > 0;
  if (later && core.mutations.checkpointOfAnyView !== true) {
    mark(core, 'checkpointOfLaterView');
    laterStamp(core, message.view);
    return;
  }
  const found = onFetched(core, fetch, message);
  if (found === 'next') nextCheckpointDonor(core, fetch);
  else if (found !== null) useShadow(core, transfer, found);
}

function nextCheckpointDonor(core: Core, fetch: Fetch): void {
  if (!nextFetchDonor(core, fetch)) askedInVain(core, core.state.transfer);
}

/** The state is complete; now the entries above it, and with witnesses those down to the floor. */
function useShadow(core: Core, transfer: Transfer, shadow: Shadow): void {
  const { target, floor } = transfer;
  assert(target !== null, 'a gap has no checkpoint');
  transfer.fetch = null;
  transfer.shadow = shadow;
  const low = floor !== null && floor.op < shadow.op && core.mutations.retIgnored !== true;
  transfer.fresh = low ? { chain: floor.chain, ts: 0 } : { chain: shadow.chain, ts: shadow.ts };
  if (shadow.op > target.op) {
    // Committed since the target was named: the log ends there at least.
    transfer.target = { ...target, op: shadow.op, chain: shadow.chain };
    transfer.tail = [];
  }
  transfer.deadline = core.state.now + core.timing.transferRetry;
  aim(transfer, low ? floor.op : shadow.op);
  progressTransfer(core);
}

/** T1: entries that are missing inside the present view. */
export function beginGapRepair(core: Core, toOp: OpNumber): void {
  const { state } = core;
  if (state.transfer !== null || toOp <= head(state.log)) return;
  const donors = donorOrder(core, primaryNow(core));
  state.transfer = { ...emptyTransfer(core, 'gap', donors), toOp };
  progressTransfer(core);
}

/** HH1: an answer of `id` is not coming any more. */
export function donorExited(core: Core, id: ReplicaId): void {
  const { transfer } = core.state;
  if (transfer === null || transfer.purpose === 'vc') return;
  if (transfer.fetch !== null) {
    if (fetchesFrom(transfer.fetch, id)) nextCheckpointDonor(core, transfer.fetch);
    return;
  }
  if (transfer.donors[transfer.donor % transfer.donors.length] === id) nextDonor(core, transfer);
}

/** Asks for what is missing, or finishes. */
function progressTransfer(core: Core): void {
  const { transfer } = core.state;
  if (transfer === null || transfer.fetch !== null) return;
  if (reached(core, transfer) >= transfer.toOp) {
    finish(core, transfer);
    return;
  }
  while (transfer.chunks.length < CHUNKS_MAX && transfer.askedOp <= transfer.toOp)
    ask(core, transfer);
}

/** Highest op that is verified: staged for an Install, in the log for a gap. */
function reached(core: Core, transfer: Transfer): OpNumber {
  return transfer.target === null ? head(core.state.log) : transfer.base + transfer.staged.length;
}

function chainReached(core: Core, transfer: Transfer): Chain {
  const last = transfer.staged[transfer.staged.length - 1];
  if (transfer.target !== null && last !== undefined) return last.chain;
  if (transfer.fresh !== null) return transfer.fresh.chain;
  return chainAt(core.state.log, reached(core, transfer));
}

function ask(core: Core, transfer: Transfer): void {
  const donor = transfer.donors[transfer.donor % transfer.donors.length];
  if (donor === undefined) return; // nobody to ask: the timers act
  const fromOp = transfer.askedOp;
  const toOp = Math.min(transfer.toOp, fromOp + transfer.rangeOps - 1);
  const reqId = nextRequest(core);
  transfer.chunks.push({ reqId, fromOp, toOp, entries: null });
  transfer.askedOp = toOp + 1;
  send(core, donor, {
    kind: 'getState',
    ...header(core),
    reqId,
    purpose: transfer.purpose,
    fromOp,
    toOp,
    prevChain: fromOp === reached(core, transfer) + 1 ? chainReached(core, transfer) : null,
    maxBytes: core.limits.messageBytes,
  });
}

/** Ignored unless it answers a request of the transfer under way (E40). */
export function onNewState(core: Core, message: NewState): void {
  const { transfer } = core.state;
  const any = core.mutations.staleNewState === true;
  const chunk = transfer?.chunks.find((open) => any || open.reqId === message.reqId);
  if (transfer === null || chunk === undefined || chunk.entries !== null) {
    mark(core, 'transferAnswerLate');
    return;
  }
  if (message.status === 'mismatch') {
    mark(core, 'transferMismatch');
    restartFromCommit(core, transfer);
    return;
  }
  if (message.status === 'gone' && transfer.target === null) {
    // T2: dropped, there and sooner or later everywhere.
    fallBehind(core);
    return;
  }
  if (message.status !== 'ok' || message.entries.length === 0) {
    mark(core, 'transferRefused');
    if (message.status === 'refuse' && transfer.purpose === 'vc')
      donorLost(core, transfer, message.from);
    else nextDonor(core, transfer);
    return;
  }
  // Bodies view the transport's memory; a chunk may have to wait for the one below it.
  chunk.entries = message.entries.map(detach);
  learnRange(core, transfer, chunk);
  useChunks(core, transfer);
}

function learnRange(core: Core, transfer: Transfer, chunk: Chunk): void {
  const entries = chunk.entries ?? [];
  let bytes = 0;
  for (const entry of entries) bytes += entryCost(entry);
  const average = bytes / Math.max(1, entries.length);
  transfer.rangeOps = Math.max(
    1,
    Math.min(RANGE_MAX, Math.floor(core.limits.messageBytes / average)),
  );
}

/** Applies arrived chunks in the order of their ops; what a donor cut short is asked for again. */
function useChunks(core: Core, transfer: Transfer): void {
  for (;;) {
    const chunk = transfer.chunks[0];
    if (chunk === undefined || chunk.entries === null) break;
    transfer.chunks.shift();
    if (!stage(core, transfer, chunk.entries)) {
      restartFromCommit(core, transfer);
      return;
    }
    transfer.fruitless = 0;
    transfer.retryTicks = core.timing.transferRetry;
    transfer.deadline = core.state.now + transfer.retryTicks;
    if (reached(core, transfer) < chunk.toOp) {
      transfer.chunks = [];
      transfer.askedOp = reached(core, transfer) + 1;
    }
  }
  progressTransfer(core);
}

/** Verifies and keeps consecutive entries. @returns false when they do not link. */
function stage(core: Core, transfer: Transfer, entries: readonly Entry[]): boolean {
  for (const entry of entries) {
    const top = reached(core, transfer);
    if (entry.op <= top) continue;
    if (entry.op > transfer.toOp && transfer.target === null) break;
    const below = chainReached(core, transfer);
    if (entry.op !== top + 1 || !core.hasher.links(below, entry)) return false;
    if (transfer.target === null) appendVerified(core, below, [entry]);
    else transfer.staged.push(entry);
  }
  return true;
}

/** Step 4: a mismatch lowers the base to the commit number; if that was the base already, the donor is wrong. */
function restartFromCommit(core: Core, transfer: Transfer): void {
  const { state } = core;
  const lowest = transfer.fresh === null ? state.commit : transfer.base;
  if (transfer.target === null || (transfer.base === lowest && transfer.staged.length === 0)) {
    if (state.cold && transfer.fresh === null) contradicted(core, lowest);
    nextDonor(core, transfer);
    return;
  }
  transfer.base = lowest;
  transfer.staged = [];
  askAgain(core, transfer);
}

function askAgain(core: Core, transfer: Transfer): void {
  transfer.chunks = [];
  transfer.askedOp = reached(core, transfer) + 1;
  progressTransfer(core);
}

function nextDonor(core: Core, transfer: Transfer): void {
  transfer.donor++;
  transfer.fruitless++;
  transfer.chunks = [];
  transfer.askedOp = reached(core, transfer) + 1;
  if (transfer.fruitless < transfer.donors.length) {
    progressTransfer(core);
    return;
  }
  askedInVain(core, transfer);
}

/** Every donor was asked without progress. */
function askedInVain(core: Core, transfer: Transfer | null): void {
  const { state } = core;
  if (transfer === null) return;
  mark(core, 'transferInVain');
  transfer.fruitless = 0;
  // The elect has nobody else: its donors may be slow, and the view-change timer acts if they are not.
  if (transfer.purpose === 'vc') return;
  // The target may be stale (all its holders left that view): a recovering replica asks everybody anew (R5), the others
  // hear of a newer StartView, or of the gap, again.
  state.transfer = null;
  state.installing = null;
  state.askAt = state.now + core.timing.recoveryResend;
}

/**
 * VC6, VC8: the donor of an elect has lost its entries. Another one goes on; without any, its DoViewChange counts as never
 * received, and another holder is waited for.
 */
export function donorLost(core: Core, transfer: Transfer, id: ReplicaId): void {
  const at = transfer.donors.indexOf(id);
  if (at >= 0) transfer.donors.splice(at, 1);
  transfer.lost.push(id);
  if (transfer.donors.length > 0) {
    transfer.fruitless = 0;
    askAgain(core, transfer);
    return;
  }
  mark(core, 'doViewChangeLogLost');
  const { doViewChanges } = core.state;
  const held = doViewChanges.get(id);
  if (core.mutations.lostLogCounts === true && held !== undefined)
    doViewChanges.set(id, { ...held, lastNormal: { epoch: 0, view: -1 } });
  else doViewChanges.delete(id);
  core.state.transfer = null;
  core.state.installing = null;
}

/**
 * Everything came from this donor, and it is not the target's log: later views have dropped what the target ended with. When
 * all others differ as well nobody has it, and a newer StartView must say what to install.
 */
function donorDiffers(core: Core, transfer: Transfer): void {
  mark(core, 'transferMismatch');
  transfer.donors.splice(transfer.donor % transfer.donors.length, 1);
  if (transfer.fresh === null) transfer.base = core.state.commit;
  transfer.staged = [];
  if (transfer.donors.length > 0) askAgain(core, transfer);
  else askedInVain(core, transfer);
}

/** Retry at the next donor, ever more slowly. */
export function tickTransfer(core: Core): void {
  const { state, timing } = core;
  const { transfer } = state;
  if (transfer === null) return;
  if (transfer.fetch !== null) {
    if (state.now >= transfer.fetch.deadline) nextCheckpointDonor(core, transfer.fetch);
    return;
  }
  if (state.now < transfer.deadline) return;
  if (transfer.target === null && head(state.log) >= transfer.toOp) {
    state.transfer = null;
    return;
  }
  mark(core, 'transferNextDonor');
  transfer.donor++;
  transfer.fruitless++;
  if (transfer.donor % transfer.donors.length === 0)
    transfer.retryTicks = Math.min(transfer.retryTicks * 2, timing.transferRetryMax);
  transfer.deadline = state.now + transfer.retryTicks;
  if (transfer.fruitless >= transfer.donors.length) askedInVain(core, transfer);
  if (state.transfer !== null) askAgain(core, transfer);
}

function finish(core: Core, transfer: Transfer): void {
  const { state } = core;
  if (transfer.target === null) {
    mark(core, 'transferSameView');
    state.transfer = null;
    drainBuffered(core);
    advanceCommit(core);
    state.owesOk = true;
    return;
  }
  const { target } = transfer;
  const whole = { ...transfer, toOp: target.op };
  const linked = stage(
    core,
    whole,
    transfer.tail.filter((entry) => entry.op > reached(core, whole)),
  );
  const complete =
    linked &&
    reached(core, whole) === target.op &&
    sameChain(chainReached(core, whole), target.chain);
  if (!complete) {
    if (transfer.tail.length === 0 && transfer.toOp === target.op) {
      donorDiffers(core, transfer);
      return;
    }
    // The tail did not fit what was fetched: fetch everything.
    transfer.toOp = target.op;
    transfer.tail = [];
    restartFromCommit(core, transfer);
    return;
  }
  switchTo(core, transfer, target);
}

/** Step 5: the one atomic switch. */
function switchTo(core: Core, transfer: Transfer, target: TransferTarget): void {
  const { state, mutations } = core;
  if (state.status === 'recovering') mark(core, 'recoveryFinished');
  else if (transfer.staged.length > 0)
    mark(core, transfer.purpose === 'vc' ? 'transferByElect' : 'transferLaterView');
  if (transfer.fresh === null && transfer.base < head(state.log))
    mark(core, 'uncommittedTailDropped');
  const { base, fresh, shadow } = transfer;
  assert(fresh !== null || base >= state.applied, `base ${base} is below ${state.applied}`);
  if (mutations.registerOnlyOnDoViewChange !== true) writeRegister(core, target.stamp);
  if (fresh === null) truncateTo(state.log, base);
  else restartAbove(state.log, { op: base, ...fresh });
  for (const entry of transfer.staged) appendOwned(state.log, entry);
  state.transfer = null;
  state.installing = null;
  if (shadow !== null) adopt(core, shadow);
  else if (fresh !== null) state.commit = Math.max(state.commit, base);
  state.epoch = target.stamp.epoch;
  state.view = target.stamp.view;
  becomeNormal(core, target);
  state.cold = false;
  storeSwitch(core, {
    base,
    fresh: fresh !== null,
    adopted: shadow === null ? null : newest(core),
    from: shadow?.from ?? null,
  });
}

/** More than two windows of committed entries wait to be executed. */
export function behind(core: Core): boolean {
  const { applied, commitMax } = core.state;
  return applied + 2 * core.limits.window < commitMax;
}

/** The part of the switch that the mistakes E1 to E3 share with the rule: the state of a normal replica. */
export function becomeNormal(core: Core, target: TransferTarget): void {
  const { state, mutations } = core;
  state.lastNormal = target.stamp;
  state.status = 'normal';
  state.viewStartOp = target.viewStartOp;
  state.primaryStart = target.start;
  if (mutations.heartbeatsKept !== true) state.lastHbSeq = target.hbSeq;
  state.suspect = false;
  state.votes.clear();
  state.doViewChanges.clear();
  state.normalSince = state.now;
  state.headTick = state.now;
  resetFailureTimer(core);
  if (mutations.commitBackwards === true) {
    state.commitMax = target.commitMax;
    state.commit = Math.min(state.commit, target.commitMax);
    state.applied = Math.min(state.applied, state.commit);
  }
  // Step 6: it never decreases (E6).
  state.commitMax = Math.max(state.commitMax, target.commitMax, state.commit);
  state.stableOp = Math.max(state.stableOp, target.stableOp);
  state.keptPages.clear();
  if (isPrimary(core)) startLeading(core);
  else {
    drainBuffered(core);
    state.owesOk = true;
  }
  advanceCommit(core);
  state.replaying = core.stateMachine !== null && behind(core);
  noticeStatus(core);
  state.leaveReason = null;
}
