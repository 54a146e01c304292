// What may be forgotten (CP3 to CP5, W4): the images of old checkpoints, and entries that a checkpoint covers. Where there are
// witnesses, nobody drops what f+1 actives do not have in a checkpoint: a witness cannot give the state back, only entries.

import { faultsTolerated } from '../configuration.js';
import { type Core, isWitness, leads, mark, members } from '../core.js';
import { storeCollected } from '../durability.js';
import { LOG_PRESSURE } from '../limits.js';
import { collectTo } from '../log.js';
import type { OpNumber } from '../types.js';
import { newest, pagesOf } from './image.js';

/** Complete checkpoints that are kept besides pinned ones (CP3). */
const KEPT = 2;

export function hasWitnesses(core: Core): boolean {
  return members(core).some((member) => member.role === 'witness');
}

/** Gives up images that nobody needs any more. */
export function releaseOld(core: Core): void {
  const { state } = core;
  const pages = pagesOf(core);
  const first = state.checkpoints.length - KEPT;
  // A checkpoint that is being fetched, or waits for the entries above it, builds on an own one.
  const own = state.transfer?.fetch?.from ?? state.transfer?.shadow?.from ?? null;
  const kept = state.checkpoints.filter(
    ({ op }, at) => at >= first || state.pins.has(op) || op === own,
  );
  if (kept.length === state.checkpoints.length) return;
  for (const checkpoint of state.checkpoints)
    if (!kept.includes(checkpoint)) pages?.release(checkpoint.op);
  state.checkpoints = kept;
}

/** CP6: nobody has asked for a pinned checkpoint for pinTicks. */
export function tickPins(core: Core): void {
  const { state } = core;
  let expired = false;
  for (const [op, until] of state.pins)
    if (until <= state.now) {
      state.pins.delete(op);
      expired = true;
    }
  if (!expired) return;
  releaseOld(core);
  collect(core);
}

/** CP4 at the primary: the (f+1)-th largest newest checkpoint of the actives, as they report it; it never falls. */
export function countCheckpoints(core: Core): void {
  const { state } = core;
  if (!leads(core)) return;
  const reported = state.peers
    .filter((progress) => !isWitness(core, progress.id))
    .map((progress) => progress.cpOp);
  reported.push(newest(core)?.op ?? 0);
  reported.sort((a, b) => b - a);
  const place = core.mutations.stableByOne === true ? 0 : faultsTolerated(members(core).length);
  noteStable(core, reported[place] ?? 0);
}

/** CP4 at everybody: as the primary spreads it. */
export function noteStable(core: Core, stableOp: OpNumber): void {
  const { state } = core;
  if (stableOp <= state.stableOp) return;
  state.stableOp = stableOp;
  collect(core);
}

/** CP5: drops the front of the log. Never in view-change status: what a DoViewChange advertised stays (T4). */
export function collect(core: Core): void {
  const { state, limits, mutations } = core;
  const frozen = state.status === 'view-change' && mutations.collectsFrozenLog !== true;
  if (frozen || state.status === 'recovering') return;
  const bound = collectable(core);
  const pressed = state.log.bytes >= LOG_PRESSURE * limits.logBytes;
  // For stragglers, and for whoever fetches a checkpoint here and will need the entries above it; not at any price.
  const retained = pressed ? bound : Math.min(bound - limits.retain, ...state.pins.keys());
  // What the store was given is kept until it has it: it may refer to the entries.
  const stored = core.durability === 'memory' ? state.commit : state.durableOp;
  const to = Math.min(retained, state.commit, stored);
  if (to < state.log.start) return;
  mark(core, 'logTruncated');
  collectTo(state.log, to);
  storeCollected(core);
}

/** Highest op of which the entry is not needed by rule. */
function collectable(core: Core): OpNumber {
  const { state, mutations } = core;
  const own = core.stateMachine === null ? Number.POSITIVE_INFINITY : (newest(core)?.op ?? 0);
  if (!hasWitnesses(core) || mutations.stableIgnored === true) {
    return core.stateMachine === null ? state.commit : own;
  }
  return Math.min(state.stableOp, own);
}
