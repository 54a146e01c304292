// The capacity gate: how much work two threads do at once, relative to one. A shared machine gives a two-core guest now two
// cores, now one, and this tells which figures were taken when; what came and went in between stolen.ts sees, where the system counts
// it. 1.9 to 2 is good, 0.9 to 1.3 is a throttled phase.

import { Piscina } from 'piscina';
import { STOLEN_MOST, StolenTime } from './stolen.js';

/** Below this, figures are marked. */
export const CAPACITY_GOOD = 1.7;
const SPIN_MS = 100;

/** What is known of the machine while something was measured. */
export interface Conditions {
  readonly capacityBefore: number;
  readonly capacityAfter: number;
  /** Share of the time of all cores that the host gave to others; null where the system does not tell. */
  readonly stolen: number | null;
}

/** A result, and what the gate said on either side of it. */
export interface Gated<T> extends Conditions {
  readonly result: T;
}

/** Figures that were measured so are marked, and count for less. */
export function isBusy({ capacityBefore, capacityAfter, stolen }: Conditions): boolean {
  return Math.min(capacityBefore, capacityAfter) < CAPACITY_GOOD || (stolen ?? 0) > STOLEN_MOST;
}

export class CapacityGate {
  readonly #pool: Piscina<number, number>;
  /** After the work before. */
  #last: number | null = null;

  constructor() {
    this.#pool = new Piscina<number, number>({
      filename: new URL('./spin.task.js', import.meta.url).href,
      minThreads: 2,
      maxThreads: 2,
      // The threads stay: starting them would be part of the next measurement.
      idleTimeout: Number.POSITIVE_INFINITY,
    });
  }

  /** Call while nothing else of this process runs. @returns work of two threads over work of one. */
  async measure(): Promise<number> {
    const first = await this.#pool.run(SPIN_MS);
    const [left, right] = await Promise.all([this.#pool.run(SPIN_MS), this.#pool.run(SPIN_MS)]);
    // The one that ran alone may have been the one that was held up: it would make any machine look good.
    return (left + right) / Math.max(first, left, right);
  }

  /** Runs `work` between two measurements; the second one is the first of the next work. */
  async around<T>(work: () => Promise<T>): Promise<Gated<T>> {
    const capacityBefore = this.#last ?? (await this.measure());
    const time = new StolenTime();
    const result = await work();
    const stolen = time.share();
    this.#last = await this.measure();
    return { result, capacityBefore, capacityAfter: this.#last, stolen };
  }

  async close(): Promise<void> {
    await this.#pool.destroy();
  }
}
