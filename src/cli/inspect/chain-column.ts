// The chains of one log by op, sixteen bytes each: two logs are compared at any op without reading them again.

import { type Chain, type OpNumber, sameChain } from '../../protocol/types.js';

const WORDS = 4;

export class ChainColumn {
  readonly first: OpNumber;
  /** The highest op whose chain is known; below `first`: none. */
  #last: OpNumber;
  readonly #words: Int32Array;

  constructor(first: OpNumber, last: OpNumber) {
    this.first = first;
    this.#last = first - 1;
    this.#words = new Int32Array(WORDS * (last - first + 1));
  }

  get last(): OpNumber {
    return this.#last;
  }

  /** In order, from `first` on. */
  put(op: OpNumber, chain: Chain): void {
    this.#words.set(chain, WORDS * (op - this.first));
    this.#last = op;
  }

  at(op: OpNumber): Chain | null {
    if (op < this.first || op > this.#last) return null;
    const [a = 0, b = 0, c = 0, d = 0] = this.#words.subarray(
      WORDS * (op - this.first),
      WORDS * (op - this.first + 1),
    );
    return [a, b, c, d];
  }

  /** Highest op that both have and up to which they are equal; null: they have no op in common, or differ at the first. */
  equalUpTo(other: ChainColumn): OpNumber | null {
    let low = Math.max(this.first, other.first);
    let high = Math.min(this.last, other.last);
    if (low > high || !this.#equals(other, low)) return null;
    // Equal chains mean equal logs up to there, so once they differ they differ for good.
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (this.#equals(other, middle)) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  #equals(other: ChainColumn, op: OpNumber): boolean {
    const mine = this.at(op);
    const theirs = other.at(op);
    return mine !== null && theirs !== null && sameChain(mine, theirs);
  }
}
