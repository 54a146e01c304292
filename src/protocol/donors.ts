// Those who hand out entries, seen from both sides: who may do it (T3), and in which order they are asked (T1).

import { type Core, header, isMember, mark, members, primaryIn, primaryNow, send } from './core.js';
import { chainIfPresent, head, slice } from './log.js';
import type { GetState, NewState } from './message.js';
import { type ReplicaId, sameChain } from './types.js';

/**
 * A backup first, to spare the primary (T1); the primary second, for it is known to be normal; then the rest. Who is known or
 * supposed to be dead comes last: an answer that never comes costs a timer.
 */
export function donorOrder(core: Core, primary: ReplicaId): ReplicaId[] {
  const others = members(core)
    .map((member) => member.id)
    .filter((id) => id !== core.state.id && id !== primary);
  const living = others.filter((id) => !supposedDead(core, id));
  const dead = others.filter((id) => supposedDead(core, id));
  const first = living.splice(core.random() % Math.max(1, living.length), 1);
  return [...first, primary, ...living, ...dead];
}

/** By the host's word, or because its view has just been left. */
function supposedDead(core: Core, id: ReplicaId): boolean {
  const { state } = core;
  if (state.down.get(id)?.skip === true) return true;
  return state.status === 'view-change' && state.view > 0 && id === primaryIn(core, state.view - 1);
}

/** T3: who may hand out what. */
export function onGetState(core: Core, message: GetState): void {
  const { state } = core;
  const progress = state.peers.find((known) => known.id === message.from);
  if (progress !== undefined) progress.fetchTick = state.now;
  const status = donorStatus(core, message);
  const entries =
    status === 'ok'
      ? slice(state.log, {
          fromOp: message.fromOp,
          toOp: message.toOp,
          bytes: Math.min(message.maxBytes, core.limits.messageBytes),
        })
      : [];
  send(core, message.from, {
    kind: 'newState',
    ...header(core),
    reqId: message.reqId,
    purpose: message.purpose,
    fromOp: message.fromOp,
    prevChain: chainIfPresent(state.log, message.fromOp - 1) ?? state.log.baseChain,
    entries,
    head: head(state.log),
    commitMax: state.commitMax,
    logStart: state.log.start,
    status,
  });
}

function donorStatus(core: Core, message: GetState): NewState['status'] {
  const { state } = core;
  if (!maySupply(core, message)) return 'refuse';
  if (message.fromOp < state.log.start && core.mutations.goneUnsaid !== true) {
    mark(core, 'entriesGone');
    return 'gone';
  }
  const own = chainIfPresent(state.log, message.fromOp - 1);
  // Shorter than what is asked for, but not lost: the requester goes on with another donor.
  if (own === null) return 'ok';
  if (message.prevChain !== null && !sameChain(own, message.prevChain)) return 'mismatch';
  return 'ok';
}

function maySupply(core: Core, message: GetState): boolean {
  const { state, mutations } = core;
  if (!isMember(core, message.from)) return false;
  switch (message.purpose) {
    case 'gap':
      return (
        state.status === 'normal' &&
        (message.view === state.view || mutations.anyViewDonates === true)
      );
    case 'install':
      // The requester may still be recovering at a lower stamp; chains decide whether the entries fit (R5).
      return state.status === 'normal' && message.view <= state.view;
    case 'vc':
      return (
        state.status !== 'recovering' &&
        (state.status === 'normal' || mutations.frozenLogRefused !== true) &&
        message.view === state.view &&
        message.from === primaryNow(core)
      );
  }
}
