// What a fetch compares with (CP6): the own state as it is now, not as it was at the newest checkpoint, or every page written since
// would be fetched although most of them are the same elsewhere. It is frozen and hashed like a checkpoint, but nobody hears of it.

import { violated } from '../assert.js';
import { type Core, mark } from '../core.js';
import { entryAt } from '../log.js';
import type { OpNumber } from '../types.js';
import { type Checkpoint, newest } from './image.js';
import { freeze } from './take.js';

/**
 * To be called again after each slice of hashing, until it says what to begin with. What is committed already may be executed
 * meanwhile, so it can take more than one image.
 *
 * @returns null: it is not hashed yet; 'nothing': there is no state to compare with
 */
export function basisNow(core: Core): Checkpoint | 'nothing' | null {
  const { state } = core;
  const { applied } = state;
  if (applied === 0) return 'nothing';
  // One in the making is finished first: which pages changed is only known from one image to the next.
  if (state.taking !== null) return null;
  const known = [newest(core), state.saving, state.basis].find((known) => known?.op === applied);
  if (known !== undefined && known !== null) return known;
  mark(core, 'checkpointBasis');
  const { log } = state;
  const at =
    applied === log.start - 1
      ? { op: applied, chain: log.baseChain, ts: log.baseTs }
      : entryAt(log, applied);
  freeze(core, at, 'basis');
  return null;
}

/** The own image at `op`, complete. */
export function imageAt(core: Core, op: OpNumber): Checkpoint {
  const { checkpoints, saving, basis } = core.state;
  const known = [...checkpoints, saving, basis].find((image) => image?.op === op);
  if (!(known !== undefined && known !== null)) violated(`there is no own image at ${op}`);
  return known;
}
