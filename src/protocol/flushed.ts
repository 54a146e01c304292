// What follows when something is flushed: it may be said (P2, P5), or counts from then on (CP3).

import { type Checkpoint, newest } from './checkpoint/image.js';
import { countAcknowledgements } from './commit-number.js';
import { type Core, leads } from './core.js';
import { sendJoined } from './failure-detector.js';
import { head } from './log.js';
import type { OpNumber } from './types.js';

/** Everything of `series` up to `op` is flushed. */
export function onStored(core: Core, series: number, op: OpNumber): void {
  const { state } = core;
  if (series !== state.storeSeries || op <= state.durableOp) return;
  state.durableOp = op;
  if (state.status === 'view-change') {
    // P2: its DoViewChange waited for the log that it advertises.
    if (op >= head(state.log)) sendJoined(core);
  } else if (leads(core)) countAcknowledgements(core);
  else if (state.status === 'normal') state.owesOk = true;
}

/** CP3: a checkpoint counts from here on. */
export function onCheckpointStored(core: Core, op: OpNumber, keep: (c: Checkpoint) => void): void {
  const { state } = core;
  const { saving } = state;
  if (saving === null || saving.op !== op || (newest(core)?.op ?? 0) >= op) return;
  state.saving = null;
  // What was handed over before it is flushed as well (P1).
  onStored(core, state.storeSeries, Math.min(op, state.storedOp));
  keep(saving);
}
