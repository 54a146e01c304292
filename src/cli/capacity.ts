// The capacity gate: how much work two threads do at once, relative to one. A shared machine gives a two-core guest now two
// cores, now one, and nothing but this tells which figures were taken when. 1.9 to 2 is good, 0.9 to 1.3 is a throttled phase.

import { Piscina } from 'piscina';

/** Below this, figures are marked. */
export const CAPACITY_GOOD = 1.7;
const SPIN_MS = 100;

/** A result, and what the gate said on either side of it. */
export interface Gated<T> {
  readonly result: T;
  readonly capacityBefore: number;
  readonly capacityAfter: number;
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
    return (left + right) / first;
  }

  /** Runs `work` between two measurements; the second one is the first of the next work. */
  async around<T>(work: () => Promise<T>): Promise<Gated<T>> {
    const capacityBefore = this.#last ?? (await this.measure());
    const result = await work();
    this.#last = await this.measure();
    return { result, capacityBefore, capacityAfter: this.#last };
  }

  async close(): Promise<void> {
    await this.#pool.destroy();
  }
}
