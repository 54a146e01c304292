// Who finds that a view has begun without it, or without what it would need to stay in it, asks the primary for its StartView.

import { keepForLater } from './backup.js';
import { type Core, header, isPrimary, mark, noticeStatus, primaryNow, send } from './core.js';
import { storeAppended } from './durability.js';
import { enter, startViewChangeTimer } from './failure-detector.js';
import { head } from './log.js';
import type { Commit, Prepare } from './message.js';
import type { ViewNumber } from './types.js';

/** VC11: the view runs already and its StartView was missed. */
export function missedStartView(core: Core, message: Prepare | Commit): void {
  const { state } = core;
  if (state.transfer !== null) {
    if (message.kind === 'prepare') keepForLater(core, message);
    return;
  }
  if (isPrimary(core)) return;
  askStartView(core);
}

/** T2: entries that are missing exist nowhere any more, so the view is joined anew, by way of a checkpoint. */
export function fallBehind(core: Core): void {
  const { state } = core;
  mark(core, 'fellBehind');
  storeAppended(core);
  state.transfer = null;
  state.buffered.clear();
  state.owesOk = false;
  state.status = 'view-change';
  state.leaveReason = null;
  noticeStatus(core);
  startViewChangeTimer(core);
  state.startViewAskedAt = -1_000_000;
  askStartView(core);
}

/** E27: somebody is in a later view than the one that is being installed. */
export function laterStamp(core: Core, view: ViewNumber): void {
  const { state } = core;
  if (state.status === 'recovering') {
    // Nothing was learned from it: what is asked for next says where it leads.
    state.transfer = null;
    state.installing = null;
    state.askAt = state.now;
    return;
  }
  enter(core, view);
  if (!isPrimary(core)) askStartView(core);
}

export function askStartView(core: Core): void {
  const { state, timing } = core;
  if (state.now - state.startViewAskedAt < timing.startViewRequest) return;
  mark(core, 'startViewMissed');
  state.startViewAskedAt = state.now;
  startViewChangeTimer(core);
  send(core, primaryNow(core), {
    kind: 'requestStartView',
    ...header(core),
    nonce: 0,
    haveOp: head(state.log),
  });
}
