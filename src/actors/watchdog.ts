// Which threads hang? A replica counts its passes in shared memory; one that makes none for too long, over several looks of a
// watcher that itself came on time, is stuck in something that will not end. A watcher that was late proves nothing.

import type { ReplicaId, StartNumber } from '../protocol/types.js';

const CHECKS_MIN = 4;
/** A look that comes later than this after the previous one does not count. */
const LATE_MS = 400;

interface Watched {
  start: StartNumber;
  passes: number;
  since: number;
  checks: number;
}

export class HangDetector {
  readonly #hangMs: number;
  readonly #watched = new Map<ReplicaId, Watched>();
  #lastCheck = -1;
  #late = false;

  constructor(hangMs: number) {
    this.#hangMs = hangMs;
  }

  beginCheck(nowMs: number): void {
    this.#late = this.#lastCheck >= 0 && nowMs - this.#lastCheck > LATE_MS;
    this.#lastCheck = nowMs;
  }

  /** @returns whether the thread hangs. */
  observe(
    id: ReplicaId,
    seen: { start: StartNumber; passes: number; paused: boolean },
    nowMs: number,
  ): boolean {
    const known = this.#watched.get(id);
    const moved =
      known === undefined ||
      known.start !== seen.start ||
      known.passes !== seen.passes ||
      seen.paused;
    if (moved || this.#late) {
      this.#watched.set(id, { start: seen.start, passes: seen.passes, since: nowMs, checks: 0 });
      return false;
    }
    known.checks++;
    if (known.checks < CHECKS_MIN || nowMs - known.since < this.#hangMs) return false;
    this.#watched.delete(id);
    return true;
  }
}
