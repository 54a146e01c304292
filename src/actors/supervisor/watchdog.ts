// Which threads hang? A replica counts its passes in shared memory; one that makes none for too long, over several looks of a
// watcher that itself came on time, is stuck in something that will not end. A watcher that was late proves nothing.

import type { ReplicaId, StartNumber } from '../../protocol/types.js';

const CHECKS_MIN = 4;
/** A look that comes later than this after the previous one does not count. */
const LATE_MS = 400;
/** A thread that makes no first pass for so long will not make one. */
const BOOT_MS = 10_000;

interface Watched {
  start: StartNumber;
  passes: number;
  since: number;
  checks: number;
  /** Loading its modules: no pass of this start was seen yet. */
  booting: boolean;
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
    if (known === undefined || known.start !== seen.start) {
      this.#watch(id, seen, { nowMs, booting: true });
      return false;
    }
    if (known.passes !== seen.passes || seen.paused || this.#late) {
      const booting = known.booting && known.passes === seen.passes;
      this.#watch(id, seen, { nowMs, booting });
      return false;
    }
    known.checks++;
    const limit = known.booting ? Math.max(BOOT_MS, this.#hangMs) : this.#hangMs;
    if (known.checks < CHECKS_MIN || nowMs - known.since < limit) return false;
    this.#watched.delete(id);
    return true;
  }

  #watch(
    id: ReplicaId,
    seen: { start: StartNumber; passes: number },
    at: { nowMs: number; booting: boolean },
  ): void {
    const { start, passes } = seen;
    this.#watched.set(id, { start, passes, since: at.nowMs, checks: 0, booting: at.booting });
  }
}
