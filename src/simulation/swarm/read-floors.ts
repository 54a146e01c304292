// What a read has to show, by its level (I13, I14): a linearizable one all that was committed when it was asked for, one with a bound in
// time all that was committed that long before. What counts as committed is what any replica knew to be.

import type { LocalLevel } from '../../protocol/client-event.js';
import { ANY_AGE } from '../../protocol/message.js';
import type { OpNumber } from '../../protocol/types.js';

export class ReadFloors {
  /** When somebody first knew of how much, in order. */
  readonly #commits: { readonly trueMs: number; readonly op: OpNumber }[] = [];
  readonly #slowest: number;

  /** `rates`: milliseconds that each replica's clock counts per true one; a bound in time is measured with one of them. */
  constructor(rates: readonly number[]) {
    this.#slowest = Math.min(1, ...rates);
  }

  committed(op: OpNumber, trueMs: number): void {
    if (op > (this.#commits.at(-1)?.op ?? 0)) this.#commits.push({ trueMs, op });
  }

  /** The op that a read must have seen which was asked for at `trueMs`; 0: anything will do. */
  floor(level: LocalLevel | undefined, trueMs: number): OpNumber {
    if (level === undefined) return this.#before(trueMs);
    if (level.maxStaleMs >= ANY_AGE) return 0;
    return this.#before(trueMs - level.maxStaleMs / this.#slowest);
  }

  #before(trueMs: number): OpNumber {
    let low = 0;
    let high = this.#commits.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#commits[middle]?.trueMs ?? 0) < trueMs) low = middle + 1;
      else high = middle;
    }
    return this.#commits[low - 1]?.op ?? 0;
  }
}
