// How a thread that lost its memory comes back (protocol.md 3.7): it may forget what it knows, never what it promised. The
// promise register outlived it; until an acceptable StartView is installed it asks, and does nothing else.

import { type Core, header, isMember, jitter, mark, members, noticeStatus, send } from './core.js';
import { storeSwitch } from './durability.js';
import { enter, resetFailureTimer, writeRegister } from './failure-detector.js';
import { holdOff } from './lease.js';
import type { StartView } from './message.js';
import { goOn, load, type Stored } from './restart.js';
import { startLeading } from './stream.js';
import { compareStamps, type Stamp } from './types.js';
import { installStartView } from './view-change.js';

/**
 * R1, H2: an empty register means that this id never promised anything, so a founding member starts as normal. Otherwise the store
 * decides, where there is one.
 */
export function boot(core: Core, register: Stamp | null, found: Found): void {
  const { state, mutations } = core;
  if (register === null || mutations.registerIgnored === true) {
    writeRegister(core, { epoch: state.epoch, view: 0 });
    state.status = 'normal';
    state.lastNormal = { epoch: state.epoch, view: 0 };
    resetFailureTimer(core);
    noticeStatus(core);
    if (state.configuration.members[0]?.id === state.id) startLeading(core);
    storeSwitch(core, { base: 0, fresh: true, adopted: null });
    return;
  }
  const { stored, cold } = found;
  if (!found.alone) holdOff(core);
  const damage = stored === null ? null : load(core, stored);
  if (damage !== null) {
    mark(core, 'storeDamaged');
    core.effects.push({ type: 'wipe' }, { type: 'notice', notice: { kind: 'damaged', damage } });
  }
  if (stored?.trusted === true && damage === null) {
    goOn(core, register, cold);
    return;
  }
  const promised = mutations.registerForgotten === true ? { ...register, view: 0 } : register;
  state.register = promised;
  state.epoch = promised.epoch;
  state.view = promised.view;
  state.status = 'recovering';
  state.askTicks = core.timing.recoveryResend;
  noticeStatus(core);
  askEverybody(core);
}

/** What a replica starts with besides its register. */
export interface Found {
  readonly stored: Stored | null;
  /** Every replica starts from its disk, none has run on (H2, P6). */
  readonly cold: boolean;
  /** The threads that the one before it may have granted a lease to have ended, all of them. */
  readonly alone: boolean;
}

/** R2: the start counter is the nonce; repeated with growing pauses. */
function askEverybody(core: Core): void {
  const { state, timing } = core;
  state.askAt = state.now + jitter(core, state.askTicks);
  state.askTicks = Math.min(state.askTicks * 2, timing.recoveryResendMax);
  for (const member of members(core))
    if (member.id !== state.id)
      send(core, member.id, {
        kind: 'requestStartView',
        ...header(core),
        nonce: state.start,
        haveOp: state.haveOp,
      });
}

export function tickRecovery(core: Core): void {
  const { state } = core;
  if (state.status !== 'recovering' || state.transfer !== null || state.now < state.askAt) return;
  mark(core, 'recoveryRepeated');
  askEverybody(core);
}

/** R4: at an equal stamp only an answer to this very start counts; an older one could lack what was acknowledged (E45). */
export function onStartViewWhileRecovering(core: Core, message: StartView): void {
  const { state, mutations } = core;
  if (!isMember(core, message.from) || message.from === state.id) return;
  const order = compareStamps(message, state.register ?? { epoch: 0, view: -1 });
  const below = order < 0 && mutations.recoverBelowRegister !== true;
  const foreign = order === 0 && message.nonce !== state.start;
  if (below || (foreign && mutations.nonceIgnored !== true)) {
    mark(core, 'recoveryAnswerRefused');
    return;
  }
  if (state.installing !== null && supersedes(core, message, state.installing)) {
    mark(core, 'recoveryAnswerSuperseded');
    state.installing = null;
    state.transfer = null;
  }
  installStartView(core, message);
}

/**
 * Of several the highest stamp wins. At an equal one the answer to this start does, once: what lay in the ring of the thread
 * before may name the head of long ago, and all that came since would have to come from the primary.
 */
function supersedes(core: Core, message: StartView, installing: StartView): boolean {
  const order = compareStamps(message, installing);
  const { start } = core.state;
  return order > 0 || (order === 0 && message.nonce === start && installing.nonce !== start);
}

/** E9 as a mistake: a recovering replica joins a view change with its empty log. */
export function promiseWhileRecovering(core: Core, view: number): void {
  if (view > core.state.view) enter(core, view);
  else core.state.status = 'view-change';
}
