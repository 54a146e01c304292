// The end of every Install (3.6 steps 5 and 6): one atomic switch to the staged log, and what a replica is that has become normal.

import { violated } from './assert.js';
import { drainBuffered } from './backup.js';
import { adopt } from './checkpoint/adopt.js';
import { newest } from './checkpoint/image.js';
import { advanceCommit } from './commit-number.js';
import { type Core, isPrimary, mark, noticeStatus } from './core.js';
import { storeSwitch } from './durability.js';
import { resetFailureTimer, writeRegister } from './failure-detector.js';
import { grantJoining } from './lease.js';
import { appendOwned, head, restartAbove, truncateTo } from './log.js';
import type { Transfer, TransferTarget } from './state.js';
import { startLeading } from './stream.js';

/** Step 5: the one atomic switch. */
export function switchTo(core: Core, transfer: Transfer, target: TransferTarget): void {
  const { state, mutations } = core;
  if (state.status === 'recovering') mark(core, 'recoveryFinished');
  else if (transfer.staged.length > 0)
    mark(core, transfer.purpose === 'vc' ? 'transferByElect' : 'transferLaterView');
  if (transfer.fresh === null && transfer.base < head(state.log))
    mark(core, 'uncommittedTailDropped');
  const { base, fresh, shadow } = transfer;
  if (!(fresh !== null || base >= state.applied))
    violated(`base ${base} is below ${state.applied}`);
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
    grantJoining(core, target.start);
    drainBuffered(core);
    state.owesOk = true;
  }
  advanceCommit(core);
  state.replaying = core.stateMachine !== null && behind(core);
  noticeStatus(core);
  state.leaveReason = null;
}
