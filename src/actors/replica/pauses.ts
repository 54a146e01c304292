// How long the thread was busy with one thing: whoever waits for a heartbeat, or an answer, waits at most that long for this replica.

import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import type { OpNumber } from '../../protocol/types.js';
import { ROOT_WORDS } from '../../service/paged-heap.js';
import { Services, type ServicesOptions } from '../../service/services.js';
import type { ThreadTimes } from './thread-times.js';

const MICROS_MAX = 60_000_000;

function record(histogram: RecordableHistogram, ms: number): void {
  // It takes whole numbers from 1 on.
  histogram.record(Math.min(MICROS_MAX, Math.max(1, Math.round(ms * 1000))));
}

export class Pauses {
  readonly #passes = createHistogram({ lowest: 1, highest: MICROS_MAX, figures: 2 });
  readonly #checkpoints = createHistogram({ lowest: 1, highest: MICROS_MAX, figures: 2 });
  readonly #times: ThreadTimes;

  constructor(times: ThreadTimes) {
    this.#times = times;
  }

  /** A pass took so long. */
  passed(ms: number): void {
    record(this.#passes, ms);
  }

  /** Freezes the state, or does one slice of hashing it. What counts is the time on a core, not the wait for one. */
  checkpoint(work: () => void): void {
    const waited = this.#times.waitedMs();
    const began = performance.now();
    work();
    const took = performance.now() - began;
    record(this.#checkpoints, took - (this.#times.waitedMs() - waited));
  }

  get summary(): {
    passP99Micros: number;
    passMaxMicros: number;
    checkpointP99Micros: number;
    checkpointMaxMicros: number;
  } {
    const passes = this.#passes;
    const checkpoints = this.#checkpoints;
    return {
      passP99Micros: passes.count === 0 ? 0 : passes.percentile(99),
      passMaxMicros: passes.count === 0 ? 0 : passes.max,
      checkpointP99Micros: checkpoints.count === 0 ? 0 : checkpoints.percentile(99),
      checkpointMaxMicros: checkpoints.count === 0 ? 0 : checkpoints.max,
    };
  }
}

/** The services of a replica, which notes how long freezing their state takes. */
export class TimedServices extends Services {
  readonly #pauses: Pauses;

  constructor(options: ServicesOptions, pauses: Pauses) {
    super(options);
    this.#pauses = pauses;
  }

  /** In the last word of the root, which only a store of half a billion keys uses. */
  turnBit(): void {
    const { heap } = this.kv;
    heap.touchRoot(ROOT_WORDS - 1, 1);
    heap.root[ROOT_WORDS - 1] = (heap.root[ROOT_WORDS - 1] as number) ^ 1;
  }

  override freeze(op: OpNumber): void {
    this.#pauses.checkpoint(() => super.freeze(op));
  }
}
