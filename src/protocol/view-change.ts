// From a quorum of promises to a new view (protocol.md 3.5): the elect collects DoViewChange messages, picks the log with the
// largest (last normal view, head), installs it, and tells the others, who install it too. Entering a view is the failure
// detector's affair; becoming normal in it is Install's.

import { assert, violated } from './assert.js';
import { newest } from './checkpoint/image.js';
import {
  broadcast,
  type Core,
  header,
  isPrimary,
  isWitness,
  leads,
  mark,
  members,
  noticeStatus,
  peer,
  primaryIn,
  primaryNow,
  quorum,
  send,
  stampNow,
} from './core.js';
import { donorOrder } from './donors.js';
import { storeAppended } from './durability.js';
import {
  enter,
  onExited,
  onStarted,
  onVote,
  rejoin,
  resetFailureTimer,
  startViewChangeTimer,
} from './failure-detector.js';
import { beginInstall, commonBase } from './install.js';
import { chainAt, detach, head, ladder, tail, truncateTo } from './log.js';
import type {
  Commit,
  DoViewChange,
  Prepare,
  PrepareOk,
  ReplicaMessage,
  RequestStartView,
  StartView,
  StartViewChange,
} from './message.js';
import { keepForLater } from './normal.js';
import type { Transfer } from './state.js';
import { becomeNormal } from './switch.js';
import { beginGapRepair, donorLost } from './transfer.js';
import {
  compareStamps,
  type ReplicaId,
  type StartNumber,
  sameChain,
  type ViewNumber,
} from './types.js';

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

// ── StartViewChange, DoViewChange ──

export function onStartViewChange(core: Core, message: StartViewChange): void {
  if (message.phase !== 'joined') {
    onVote(core, message.from);
    return;
  }
  onJoined(core, message.from);
}

/** VC5: somebody joined the present view. A replica that is normal in it never leaves for that. */
function onJoined(core: Core, from: ReplicaId): void {
  if (core.state.status !== 'normal') return;
  if (core.mutations.rejoinStartedView === true) {
    rejoin(core);
    return;
  }
  if (isPrimary(core)) sendStartView(core, from, 0);
}

export function onDoViewChange(core: Core, message: DoViewChange): void {
  const { state } = core;
  if (!isPrimary(core)) return;
  if (state.status === 'normal') {
    mark(core, 'doViewChangeLate');
    onJoined(core, message.from);
    return;
  }
  const known = state.doViewChanges.get(message.from);
  if (known !== undefined && known.start > message.start) return;
  state.doViewChanges.set(message.from, { ...message, tail: message.tail.map(detach) });
}

/** VC6, VC7, VC9: begins the Install of the selected log once a quorum is there. Called after every step. */
export function considerStart(core: Core): void {
  const { state, mutations } = core;
  if (state.status !== 'view-change' || !isPrimary(core)) return;
  if (state.transfer !== null) {
    moreDonors(core, state.transfer);
    return;
  }
  if (state.cannotLead) return; // D20
  // P6: after a restart of all, everybody's log counts that can still be had.
  const all = state.doViewChanges.size === members(core).length;
  if (!all && state.now < state.coldUntil && mutations.coldInHaste !== true) return;
  const needed = quorum(core) - (mutations.smallViewChangeQuorum === true ? 1 : 0);
  if (state.doViewChanges.size < needed || !state.doViewChanges.has(state.id)) return;
  const chosen = select(core);
  if (chosen.from !== state.id) mark(core, 'electBehind');
  if (mutations.neverForfeits !== true && !feasible(core, chosen)) {
    forfeit(core);
    return;
  }
  let commitMax = state.commitMax;
  for (const message of state.doViewChanges.values())
    commitMax = Math.max(commitMax, message.commitMax);
  if (
    !(
      commitMax <= chosen.op ||
      mutations.smallViewChangeQuorum === true ||
      mutations.longestLog === true ||
      mutations.ownLogSelected === true ||
      mutations.lostLogCounts === true
    )
  )
    violated(`commit-number ${commitMax} is above the selected head ${chosen.op}`);
  beginInstall(
    core,
    {
      stamp: stampNow(core),
      op: chosen.op,
      chain: chosen.chain,
      viewStartOp: chosen.op,
      commitMax: Math.min(commitMax, chosen.op),
      stableOp: Math.max(...[...state.doViewChanges.values()].map((message) => message.stableOp)),
      hbSeq: 0,
      start: state.start,
    },
    { ...chosen, purpose: 'vc', donors: donorsFor(core, chosen) },
  );
}

/** VC7: the largest (last normal view, head); ties to self, then to the lowest id. */
function select(core: Core): DoViewChange {
  const { state, mutations } = core;
  const own = state.doViewChanges.get(state.id);
  if (mutations.ownLogSelected === true && own !== undefined) return own;
  const all = [...state.doViewChanges.values()].sort((a, b) => {
    const byLog =
      (mutations.longestLog === true ? 0 : compareStamps(b.lastNormal, a.lastNormal)) ||
      b.op - a.op;
    const self = Number(b.from === state.id) - Number(a.from === state.id);
    return byLog || self || a.from - b.from;
  });
  const chosen = all[0];
  assert(chosen !== undefined, 'no DoViewChange to select from');
  return chosen;
}

/** VC8: somebody who says so can hand out every entry that is missing here. */
function feasible(core: Core, chosen: DoViewChange): boolean {
  const base = commonBase(core, chosen.ladder);
  if (chosen.from === core.state.id || base + 1 >= chosen.logStart) return true;
  return [...core.state.doViewChanges.values()].some(
    (message) =>
      compareStamps(message.lastNormal, chosen.lastNormal) === 0 &&
      message.logStart <= base + 1 &&
      message.op + 1 >= chosen.logStart,
  );
}

/**
 * VC8: what this elect lacks has been collected by all others. It leaves the view to the next primary that has the largest commit
 * number, which surely has the rest as well (W6); the only case in which one replica alone leaves a view (D4).
 */
function forfeit(core: Core): void {
  const { state } = core;
  const actives = [...state.doViewChanges.values()].filter(
    (message) => !isWitness(core, message.from),
  );
  const able = actives.sort((a, b) => b.commit - a.commit || a.from - b.from)[0];
  if (!(able !== undefined && able.from !== state.id))
    violated(`nobody has more than the elect ${state.id}`);
  mark(core, 'viewForfeited');
  let view = state.view + 1;
  while (primaryIn(core, view) !== able.from) view++;
  enter(core, view);
}

/** VC8: whoever shares the chosen log's last normal view may hold its entries; the chosen one first. */
function donorsFor(core: Core, chosen: DoViewChange): ReplicaId[] {
  const donors = [chosen.from];
  for (const message of core.state.doViewChanges.values())
    if (message.from !== chosen.from && compareStamps(message.lastNormal, chosen.lastNormal) === 0)
      donors.push(message.from);
  return donors.filter((id) => id !== core.state.id);
}

/** VC8: whoever said only after the Install began that it holds the chosen log can hand it out as well. */
function moreDonors(core: Core, transfer: Transfer): void {
  const { target } = transfer;
  if (transfer.purpose !== 'vc' || target === null) return;
  const holder = [...core.state.doViewChanges.values()].find(
    (message) => message.op === target.op && sameChain(message.chain, target.chain),
  );
  if (holder === undefined) return;
  for (const id of donorsFor(core, holder))
    if (!transfer.donors.includes(id) && !transfer.lost.includes(id)) transfer.donors.push(id);
}

/** VC9: only after the switch. The caller noticed that this replica began to lead. */
export function announceView(core: Core): void {
  mark(core, 'viewChangeFinished');
  broadcast(core, startView(core, 0));
  core.state.heartbeatForced = true;
}

// ── StartView, RequestStartView ──

function startView(core: Core, nonce: StartNumber): StartView {
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

function askStartView(core: Core): void {
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

/** VC6: what `id` sent before its start `start` stays a promise, but the entries are gone, and another has to give them. */
export function forgetLostLog(core: Core, id: ReplicaId, start: StartNumber): void {
  const { transfer, doViewChanges } = core.state;
  if (transfer === null || transfer.purpose !== 'vc') return;
  const held = doViewChanges.get(id);
  const asked = transfer.donors[transfer.donor % Math.max(1, transfer.donors.length)] === id;
  if (asked && held !== undefined && held.start < start) donorLost(core, transfer, id);
}
