// H8: when is the data of a memory-mode cluster gone for good? Pure arithmetic over what the supervisor sees of its replicas.

import type { ReplicaState } from '../api.js';

export interface LossView {
  /** State of each replica; `down`: no thread, or none yet. */
  readonly states: readonly ReplicaState[];
  readonly quorum: number;
  /** A replica in `normal` is the primary of its view. */
  readonly primaryNormal: boolean;
}

/** `now`: nobody remembers anything. `soon`: not enough remember, which is final unless it changes within the grace time. */
export type Loss = 'none' | 'soon' | 'now';

export function assessLoss(view: LossView): Loss {
  const remembering = view.states.filter((state) => state === 'normal' || state === 'view-change');
  if (remembering.length === 0) return 'now';
  // A normal primary can still give everybody the log back (R3, R4).
  if (view.primaryNormal || remembering.length >= view.quorum) return 'none';
  return 'soon';
}

/** Crashes that a replica may have in a row, and the time in which they count (H8). */
export const CRASHES_MAX = 5;
export const CRASH_WINDOW_MS = 60_000;

/** Counts crashes without a normal moment in between. */
export class CrashCounter {
  #times: number[] = [];

  /** @returns whether the replica should stay down. */
  crashed(nowMs: number): boolean {
    this.#times = this.#times.filter((time) => nowMs - time < CRASH_WINDOW_MS);
    this.#times.push(nowMs);
    return this.#times.length >= CRASHES_MAX;
  }

  becameNormal(): void {
    this.#times = [];
  }
}
