// What is on disk, and what may be said of it (protocol.md 3.8). The core names what has to be stored, in the order in which it
// happened; the host stores it in that order and says what is flushed. In memory there is nothing to wait for.

import type { Checkpoint } from './checkpoint/image.js';
import type { Core } from './core.js';
import { head } from './log.js';
import type { OpNumber } from './types.js';

/**
 * `memory`: no disk. `async`: everything is stored, and flushed some time later. `sync`: what is acknowledged is flushed first. In
 * both disk modes promises, switches and checkpoints are flushed before anybody hears of them (P2).
 */
export type Durability = 'memory' | 'async' | 'sync';

/** Highest op that may be acknowledged, the own slot included (N5, N6, P5). */
export function durableHead(core: Core): OpNumber {
  const waits = core.durability === 'sync' && core.mutations.acknowledgedUnflushed !== true;
  return waits ? core.state.durableOp : head(core.state.log);
}

/** P8a: the entries appended in this pass are one transaction, before anything is said of them. */
export function storeAppended(core: Core): void {
  const { state } = core;
  const to = head(state.log);
  if (core.durability === 'memory' || to <= state.storedOp) return;
  core.effects.push({
    type: 'append',
    series: state.storeSeries,
    fromOp: state.storedOp + 1,
    toOp: to,
  });
  state.storedOp = to;
}

/**
 * P8b: the log was replaced above `base` (`fresh`: all of it), perhaps with an adopted checkpoint; flushed before what follows.
 * What was handed over before and not flushed yet is part of it, so later news of that means nothing.
 */
export function storeSwitch(
  core: Core,
  at: { base: OpNumber; fresh: boolean; adopted: Checkpoint | null },
): void {
  const { state } = core;
  if (core.durability === 'memory') return;
  const { base, fresh } = at;
  state.storeSeries++;
  state.storedOp = head(state.log);
  state.durableOp = head(state.log);
  core.effects.push({ type: 'switch', base, fresh, adopted: at.adopted?.op ?? null });
}

/** P8e */
export function storeCollected(core: Core): void {
  if (core.durability !== 'memory') core.effects.push({ type: 'collect' });
}
