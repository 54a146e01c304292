// Install (protocol.md 3.6): the only way to become normal in a view. The complete, verified log is staged first - with a checkpoint
// below it, where the log alone does not reach - and until the one atomic switch the old log, lastNormal and state stay untouched
// and valid.

import { assert } from './assert.js';
import { hasWitnesses } from './checkpoint/collect.js';
import { beginFetch, onFetched, type Shadow } from './checkpoint/fetch.js';
import { pagesOf } from './checkpoint/image.js';
import { type Core, isWitness, mark } from './core.js';
import { chainIfPresent, detach } from './log.js';
import type { CheckpointAnswer, Entry, TransferPurpose } from './message.js';
import { laterStamp } from './missed-view.js';
import type { Transfer, TransferTarget } from './state.js';
import {
  aim,
  contradicted,
  emptyTransfer,
  nextCheckpointDonor,
  progressTransfer,
} from './transfer.js';
import { compareStamps, type OpNumber, type ReplicaId, type Rung, sameChain } from './types.js';

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

/** Begins an Install towards `target`. */
export function beginInstall(core: Core, target: TransferTarget, source: InstallSource): void {
  // What is committed is in every later log.
  if (target.op < core.state.commit) contradicted(core, target.op + 1);
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
