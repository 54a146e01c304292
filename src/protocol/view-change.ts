// How everybody else comes into a view that its elect begins (protocol.md 3.5): by a message that shows that there is one, and by
// a StartView, which is sent, asked for and installed.

import { newest } from './checkpoint/image.js';
import {
  type Core,
  header,
  isPrimary,
  leads,
  mark,
  peer,
  primaryNow,
  send,
  stampNow,
} from './core.js';
import { donorOrder } from './donors.js';
import {
  enter,
  onExited,
  onStarted,
  onVote,
  rejoin,
  resetFailureTimer,
} from './failure-detector.js';
import { beginInstall } from './install.js';
import { chainAt, head, ladder, tail, truncateTo } from './log.js';
import type {
  Commit,
  Prepare,
  PrepareOk,
  ReplicaMessage,
  RequestStartView,
  StartView,
  StartViewChange,
} from './message.js';
import { askStartView } from './missed-view.js';
import { becomeNormal } from './switch.js';
import { beginGapRepair, forgetLostLog } from './transfer.js';
import { compareStamps, type ReplicaId, type StartNumber } from './types.js';

/** Ticks between unsolicited StartViews to one replica, so that its repeated questions do not multiply them. */
const START_VIEW_PAUSE = 5;

/** VC3: a message of a higher view proves that a quorum left all lower ones. The message is processed afterwards. */
export function jump(core: Core, message: ReplicaMessage): void {
  const started =
    message.kind === 'prepare' || message.kind === 'commit' || message.kind === 'prepareOk';
  const { mutations } = core;
  if (started && (mutations.truncateOnLaterView === true || mutations.joinBeforeLog === true)) {
    joinEagerly(core, message);
    return;
  }
  if (
    mutations.commitUnverified === true &&
    (message.kind === 'commit' || message.kind === 'prepare')
  )
    core.state.commit = Math.max(
      core.state.commit,
      Math.min(message.commitMax, head(core.state.log)),
    );
  enter(core, message.view);
  mark(core, 'viewJoinedByMessage');
  // The view has begun without us. A StartView says all by itself.
  if (started && !isPrimary(core)) askStartView(core);
}

/** E1 and E2 as mistakes: the paper's state transfer, literally. */
function joinEagerly(core: Core, message: Prepare | Commit | PrepareOk): void {
  const { state, mutations } = core;
  if (mutations.truncateOnLaterView === true) truncateTo(state.log, state.commit);
  enter(core, message.view);
  const op = head(state.log);
  joinWith(core, { op, chain: chainAt(state.log, op), commitMax: state.commitMax, start: 0 });
  if (message.kind !== 'prepareOk') {
    const wanted =
      message.kind === 'prepare' ? message.first + message.entries.length - 1 : message.op;
    beginGapRepair(core, wanted);
  }
}

function joinWith(
  core: Core,
  at: { op: number; chain: StartView['chain']; commitMax: number; start: StartNumber },
): void {
  const stamp = stampNow(core);
  const { stableOp } = core.state;
  becomeNormal(core, { stamp, viewStartOp: at.op, hbSeq: 0, stableOp, ...at });
}

// ── StartViewChange ──

export function onStartViewChange(core: Core, message: StartViewChange): void {
  if (message.phase !== 'joined') {
    onVote(core, message.from);
    return;
  }
  onJoined(core, message.from);
}

/** VC5: somebody joined the present view. A replica that is normal in it never leaves for that. */
export function onJoined(core: Core, from: ReplicaId): void {
  if (core.state.status !== 'normal') return;
  if (core.mutations.rejoinStartedView === true) {
    rejoin(core);
    return;
  }
  if (isPrimary(core)) sendStartView(core, from, 0);
}

// ── StartView, RequestStartView ──

export function startView(core: Core, nonce: StartNumber): StartView {
  const { state, limits } = core;
  const op = head(state.log);
  return {
    kind: 'startView',
    ...header(core),
    nonce,
    start: state.start,
    op,
    chain: chainAt(state.log, op),
    viewStartOp: state.viewStartOp,
    commitMax: state.commitMax,
    stableOp: state.stableOp,
    logStart: state.log.start,
    cpOp: newest(core)?.op ?? 0,
    hbSeq: state.hbSeq,
    ladder: ladder(state.log, state.stableOp),
    tail: tail(state.log, { count: limits.tailEntries, bytes: limits.tailBytes }),
  };
}

/** VC12: describes the present head; the entry stream to `to` goes on from there (N8). */
export function sendStartView(core: Core, to: ReplicaId, nonce: StartNumber): void {
  const { state } = core;
  const progress = peer(core, to);
  if (progress === undefined) return;
  if (nonce === 0 && state.now - progress.startViewTick < START_VIEW_PAUSE) return;
  progress.startViewTick = state.now;
  progress.sentOp = head(state.log);
  progress.startOp = head(state.log);
  progress.matchOp = -1;
  send(core, to, startView(core, nonce));
}

/** A backup in view-change, or normal and told again. Recovering replicas decide by R4 first. */
export function onStartView(core: Core, message: StartView): void {
  const { state, mutations } = core;
  if (message.from !== primaryNow(core) || isPrimary(core)) return;
  if (state.status === 'normal' && mutations.startViewWhileNormal !== true) {
    mark(core, 'startViewOfStartedView'); // E4
    return;
  }
  if (compareStamps(state.lastNormal, message) === 0 && message.op < head(state.log)) {
    if (mutations.startViewWhileNormal !== true) return;
    truncateTo(state.log, message.op);
  }
  installStartView(core, message);
}

export function installStartView(core: Core, message: StartView): void {
  const { state, mutations } = core;
  // E49: what is newer comes by the entry stream after the switch.
  const same = state.installing !== null && compareStamps(state.installing, message) === 0;
  if (same && mutations.chasesTarget !== true) {
    mark(core, 'startViewWhileInstalling');
    return;
  }
  state.installing = { ...message, tail: [] };
  const { epoch, view, op, chain, viewStartOp, commitMax, stableOp, hbSeq, start } = message;
  const stamp = { epoch, view };
  if (mutations.normalOnSuffix === true && (message.tail[0]?.op ?? 0) > head(state.log) + 1) {
    joinWith(core, { op: head(state.log), chain, commitMax, start });
    beginGapRepair(core, op);
    return;
  }
  const donors = donorOrder(core, message.from);
  beginInstall(
    core,
    { stamp, op, chain, viewStartOp, commitMax, stableOp, hbSeq, start },
    { ...message, purpose: 'install', donors },
  );
}

/** R3, HB6, VC12. A lower view is allowed when the nonce says that its sender is the one who is late. */
export function onRequestStartView(core: Core, message: RequestStartView): void {
  if (message.nonce > 0) noteRestart(core, message);
  if (leads(core)) sendStartView(core, message.from, message.nonce);
  else if (core.mutations.backupsAnswerRecovery === true && core.state.status === 'normal')
    send(core, message.from, startView(core, message.nonce));
  else if (message.nonce > 0) forgetLostLog(core, message.from, message.nonce);
}

/** HH4, HB6: a larger start has begun, so everything before it has ended. */
function noteRestart(core: Core, message: RequestStartView): void {
  const { state } = core;
  const begun = state.status === 'normal' && state.primaryStart > 0;
  const led = message.from === primaryNow(core) && (!begun || message.nonce > state.primaryStart);
  if (led && core.mutations.restartUnnoticed === true) {
    resetFailureTimer(core);
    return;
  }
  if (led) {
    mark(core, 'restartedPrimaryDeposed');
    onExited(core, message.from, message.nonce - 1);
  }
  onStarted(core, message.from, message.nonce);
}
