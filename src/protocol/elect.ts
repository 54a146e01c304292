// From a quorum of promises to a new view (protocol.md 3.5), at its elect: it collects DoViewChange messages, picks the log with the
// largest (last normal view, head), installs it, and tells the others. Entering a view is the failure detector's affair; becoming
// normal in it is Install's.

import { assert, violated } from './assert.js';
import {
  broadcast,
  type Core,
  isPrimary,
  isWitness,
  mark,
  members,
  primaryIn,
  quorum,
  stampNow,
} from './core.js';
import { enter } from './failure-detector.js';
import { beginInstall, commonBase } from './install.js';
import { detach } from './log.js';
import type { DoViewChange } from './message.js';
import type { Transfer } from './state.js';
import { compareStamps, type ReplicaId, sameChain } from './types.js';
import { onJoined, startView } from './view-change.js';

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
