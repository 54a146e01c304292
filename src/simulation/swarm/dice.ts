// Draws of a run. Integers only, so that a seed means the same on every version of the engine.

import { seeded } from '../seeded.js';

export class Dice {
  readonly #next: () => number;

  constructor(seed: number) {
    this.#next = seeded(seed);
  }

  /** 0..limit-1 */
  below(limit: number): number {
    return this.#next() % limit;
  }

  /** low..high */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  chance(share: number): boolean {
    return this.#next() / 2 ** 32 < share;
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)] as T;
  }

  /** A random subset, in order. */
  some<T>(from: readonly T[], share: number): T[] {
    return from.filter(() => this.chance(share));
  }

  /** Memoryless around `mean`: each doubling is half as likely, uniform in between. */
  exponential(mean: number): number {
    let halvings = 0;
    for (let word = this.#next(); (word & 1) === 1 && halvings < 12; word >>>= 1) halvings++;
    return Math.round(((halvings + this.#next() / 2 ** 32) * mean * 2) / 3);
  }

  /** A seed for somebody else's dice. */
  seed(): number {
    return this.#next();
  }
}
