// Fetching entries from others: for an Install, into the staging area, or to fill a gap inside a view (T1), into the log. Ranges are
// asked for ahead, used in order, and verified link by link; who does not answer, or answers something else, is passed over.

import { assert, ProtocolViolation, StoreContradicted } from './assert.js';
import { appendVerified, drainBuffered } from './backup.js';
import { type Fetch, fetchesFrom, nextFetchDonor } from './checkpoint/fetch.js';
import { advanceCommit } from './commit-number.js';
import { type Core, header, mark, nextRequest, primaryNow, send } from './core.js';
import { donorOrder } from './donors.js';
import { chainAt, detach, entryCost, head } from './log.js';
import type { Entry, NewState, TransferPurpose } from './message.js';
import { fallBehind } from './missed-view.js';
import type { Chunk, Transfer } from './state.js';
import { switchTo } from './switch.js';
import { type Chain, type OpNumber, type ReplicaId, type StartNumber, sameChain } from './types.js';

/** Requests outstanding at a time, on adjoining ranges. */
const CHUNKS_MAX = 4;
const RANGE_FIRST = 16;
const RANGE_MAX = 4096;

/** A committed entry is another one elsewhere: impossible, but after a restart from disks that had lost their ends (P6). */
export function contradicted(core: Core, op: OpNumber): never {
  const message = `committed op ${op} differs from the target log`;
  if (!core.state.cold) throw new ProtocolViolation(message);
  throw new StoreContradicted(message);
}

export function emptyTransfer(core: Core, purpose: TransferPurpose, donors: ReplicaId[]): Transfer {
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
export function aim(transfer: Transfer, base: OpNumber): void {
  const { target, tail } = transfer;
  assert(target !== null, 'a gap has no target');
  const tailFirst = tail[0]?.op ?? target.op + 1;
  transfer.base = base;
  transfer.staged = [];
  transfer.chunks = [];
  transfer.toOp = Math.min(target.op, Math.max(base, tailFirst - 1));
  transfer.askedOp = base + 1;
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
export function progressTransfer(core: Core): void {
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

export function nextCheckpointDonor(core: Core, fetch: Fetch): void {
  if (!nextFetchDonor(core, fetch)) askedInVain(core, core.state.transfer);
}

/** Every donor was asked without progress. */
export function askedInVain(core: Core, transfer: Transfer | null): void {
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

/** VC6: what `id` sent before its start `start` stays a promise, but the entries are gone, and another has to give them. */
export function forgetLostLog(core: Core, id: ReplicaId, start: StartNumber): void {
  const { transfer, doViewChanges } = core.state;
  if (transfer === null || transfer.purpose !== 'vc') return;
  const held = doViewChanges.get(id);
  const asked = transfer.donors[transfer.donor % Math.max(1, transfer.donors.length)] === id;
  if (asked && held !== undefined && held.start < start) donorLost(core, transfer, id);
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
