// Which operations of unknown outcome to let take effect, and when: only straight before an operation that could not have its
// outputs otherwise, and as few as possible.
//
// Why that loses no order. Take any order that explains the outputs, and in it the first operation n that is known (or free,
// see `Group`), with the unknown ones before it, each on one key. Those on keys that n does not touch may as well come after n:
// they are open for ever, and they commute with it. So may those on a key k of n if n is legal on k without them: either n
// leaves k as it found it, then they find after n what they found before it; or its outputs and inputs fix what it leaves, then
// they made no difference and may go. What remains are, for each key on which n is not legal, operations that lead from what k
// holds to something n can find. Of these all but the last write and what follows it may go, as may any circle. Using fewer of
// them can never hurt what comes later, because an unknown operation need never take effect.

import { addends } from './register.js';
import { type Group, ILLEGAL, type Leg, type Table } from './table.js';

interface KeyGroups {
  /** Those that matter least first. */
  readonly all: number[];
  readonly adds: number[];
  /** Numbers at which a run of additions may start, other than the value at hand. */
  readonly starts: number[];
}

export class Chains {
  readonly #table: Table;
  readonly #keys: KeyGroups[];
  /** By value: the writes and swaps that leave it. */
  readonly #makers = new Map<number, number[]>();
  readonly #left: (group: number) => number;
  readonly #spend: () => void;
  readonly #taken: Int32Array;
  #chain: number[] = [];
  #found: number[][] = [];
  #seen = new Set<string>();

  /** `left`: how many of a group have been called and not used; `spend` is told of each value looked at. */
  constructor(table: Table, left: (group: number) => number, spend: () => void) {
    this.#table = table;
    this.#left = left;
    this.#spend = spend;
    this.#taken = new Int32Array(table.groups.length);
    this.#keys = table.keys.map(() => ({ all: [], adds: [], starts: [] }));
    const observers = new Map<number, number>();
    for (const { legs } of table.moves)
      for (const { observes } of legs) observers.set(observes, (observers.get(observes) ?? 0) + 1);
    for (const [index, group] of table.groups.entries()) {
      if (group.kind === 'free') continue;
      const those = this.#keys[group.key] as KeyGroups;
      those.all.push(index);
      if (group.kind === 'add') {
        those.adds.push(index);
        continue;
      }
      const makers = this.#makers.get(group.value);
      if (makers === undefined) this.#makers.set(group.value, [index]);
      else makers.push(index);
      const number = table.numbers[group.value] as number;
      if (!Number.isNaN(number)) those.starts.push(number);
    }
    const interest = (index: number) => observers.get((table.groups[index] as Group).value) ?? 0;
    for (const { all } of this.#keys) all.sort((a, b) => interest(a) - interest(b));
  }

  /** Sequences of groups that take the key of `leg` from `from`, which it cannot find, to something that it can. */
  to(leg: Leg, from: number): number[][] {
    const those = this.#keys[leg.key] as KeyGroups;
    if (leg.program !== null || those.all.length === 0) return [];
    this.#found = [];
    this.#seen.clear();
    if (leg.allowed !== null) for (const value of leg.allowed) this.#back(those, value, from);
    else this.#forward(those, leg.excluded, from);
    return this.#found;
  }

  /** `#chain` leads from `target` on, its last operation first. */
  #back(those: KeyGroups, target: number, from: number): void {
    if (target === from) {
      this.#found.push(this.#chain.toReversed());
      return;
    }
    if (!this.#isNew(target)) return;
    const { groups, numbers, values } = this.#table;
    for (const index of this.#makers.get(target) ?? []) {
      if (!this.#isLeft(index)) continue;
      const { kind, expected } = groups[index] as Group;
      if (kind === 'swap' && expected === target) continue;
      this.#take(index);
      if (kind === 'write') this.#found.push(this.#chain.toReversed());
      else this.#back(those, expected, from);
      this.#give(index);
    }
    const number = numbers[target] as number;
    if (values[target] === null || Number.isNaN(number)) return;
    if (!this.#inReach(those, number, numbers[from] as number)) return;
    for (const index of those.adds) {
      if (!this.#isLeft(index)) continue;
      const group = groups[index] as Group;
      this.#take(index);
      for (const value of addends(number, group.by)) {
        const before = this.#table.intern(group.key, value);
        if (before !== target) this.#back(those, before, from);
      }
      this.#give(index);
    }
  }

  /** Whether the additions left could lead to `number` from anywhere at all: spares a long walk to nowhere. */
  #inReach(those: KeyGroups, number: number, from: number): boolean {
    let [up, down] = [0, 0];
    for (const index of those.adds) {
      const { by } = this.#table.groups[index] as Group;
      const sum = by * (this.#left(index) - (this.#taken[index] as number));
      if (sum > 0) up += sum;
      else down += sum;
    }
    const reaches = (start: number) => start + down <= number && number <= start + up;
    return reaches(from) || those.starts.some(reaches);
  }

  #forward(those: KeyGroups, excluded: readonly number[], value: number): void {
    for (const index of those.all) {
      if (!this.#isLeft(index)) continue;
      const { move, kind } = this.#table.groups[index] as Group;
      if (kind === 'write' && this.#chain.length > 0) continue;
      const next = this.#table.outcome(move.legs[0] as Leg, value);
      if (next === ILLEGAL || next === value) continue;
      this.#take(index);
      if (this.#isNew(next)) {
        if (excluded.includes(next)) this.#forward(those, excluded, next);
        else this.#found.push([...this.#chain]);
      }
      this.#give(index);
    }
  }

  /** Reached with the same operations used, in whatever order, is reached. */
  #isNew(value: number): boolean {
    this.#spend();
    const name = `${value}:${this.#chain.toSorted((a, b) => a - b).join()}`;
    if (this.#seen.has(name)) return false;
    this.#seen.add(name);
    return true;
  }

  #isLeft(index: number): boolean {
    return this.#left(index) > (this.#taken[index] as number);
  }

  #take(index: number): void {
    this.#taken[index] = (this.#taken[index] as number) + 1;
    this.#chain.push(index);
  }

  #give(index: number): void {
    this.#taken[index] = (this.#taken[index] as number) - 1;
    this.#chain.pop();
  }
}
