// RD3 from outside, with both clocks in view: an echo is taken for a promise, so whoever echoes has promised to keep still for at least
// as long as the primary will go by it.

import { assert } from '../../protocol/assert.js';
import { BEATS_MAX } from '../../protocol/lease.js';
import type { ProtocolTiming } from '../../protocol/limits.js';
import type { PrepareOk } from '../../protocol/message.js';
import type { ReplicaState } from '../../protocol/state.js';

/** A replica, and milliseconds that its clock counts per true one. */
export interface Clocked {
  readonly state: ReplicaState;
  readonly rate: number;
}

/** Of rounding, in milliseconds. */
const EXACT = 1e-6;

/** @throws when `by` echoes a heartbeat of `primary` on the strength of which that may read for longer than `by` keeps still. */
export function checkEcho(
  message: PrepareOk,
  by: Clocked,
  primary: Clocked,
  timing: Pick<ProtocolTiming, 'leaseMs' | 'clockDrift'>,
): void {
  const { leaseMs, clockDrift } = timing;
  const { status, view, abdicating } = primary.state;
  const leads = status === 'normal' && view === message.view && !abdicating;
  const sentAt = primary.state.lease.sentAt[message.hbEcho % BEATS_MAX];
  if (!leads || leaseMs === 0 || message.hbEcho === 0 || sentAt === undefined) return;
  const reads = (sentAt + (leaseMs * (1 - clockDrift)) / (1 + clockDrift)) / primary.rate;
  const { grantUntil, holdOffUntil } = by.state.lease;
  const still = Math.max(grantUntil, holdOffUntil) / by.rate;
  assert(
    still + EXACT >= reads,
    `RD3: R${message.from} echoes heartbeat ${message.hbEcho}, keeps still until ${still}, and is relied on until ${reads}`,
  );
}
