// Where a search stands: what the keys hold, which of the open operations have their place, how many of each group were used, and
// what is still to come. All that changes is cells of one array, so that one trail of (index, earlier content) takes it back.

import type { Range } from './memo.js';
import { ILLEGAL, type Leg, type Move, type Table } from './table.js';

/** A value that was left, and would have been lost to those that had yet to find it. */
export interface Missed {
  readonly key: number;
  readonly value: number;
}

export class Position {
  readonly #table: Table;
  readonly #spend: () => void;
  readonly cells: Int32Array;
  readonly #trail: number[] = [];
  // Where in the cells: values of keys; open operation of each slot (index of move + 1) and whether it has its place; for each
  // group how many were called and used; for each value how many operations have yet to find it and may yet make it; for each
  // key how many may yet make any number of it.
  readonly values: Range;
  readonly #open: number;
  readonly placed: Range;
  readonly #called: number;
  readonly used: Range;
  readonly #wanted: number;
  readonly #makers: number;
  readonly #counters: number;
  /** Why the last move that led nowhere did. */
  missed: Missed | null = null;

  /** `spend` is told of each operation that is put into its place. */
  constructor(table: Table, spend: () => void) {
    this.#table = table;
    this.#spend = spend;
    const { keys, slots, groups, valuesAtStart } = table;
    this.values = { from: 0, to: keys.length };
    this.#open = keys.length;
    this.#called = this.#open + 2 * slots;
    this.placed = { from: this.#open + slots, to: this.#called };
    this.#wanted = this.#called + 2 * groups.length;
    this.used = { from: this.#called + groups.length, to: this.#wanted };
    this.#makers = this.#wanted + valuesAtStart;
    this.#counters = this.#makers + valuesAtStart;
    this.cells = new Int32Array(this.#counters + keys.length);
    this.cells.set(table.initial);
    for (const { source, legs } of table.moves) {
      for (const leg of legs) {
        if (source.known && leg.observes >= 0) this.#bump(this.#wanted + leg.observes);
        for (const value of leg.makes) this.#bump(this.#makers + value);
        if (leg.counts) this.#bump(this.#counters + leg.key);
      }
    }
  }

  /** What `key` holds. */
  value(key: number): number {
    return this.#at(key);
  }

  /** How many of a group have been called and not used. */
  left(group: number): number {
    return this.#at(this.#called + group) - this.#at(this.used.from + group);
  }

  /** The move of that index is called; if it is legal and changes nothing it takes its place at once. */
  call(index: number): void {
    const move = this.#table.moves[index] as Move;
    if (move.group >= 0) {
      this.#set(this.#called + move.group, this.#at(this.#called + move.group) + 1);
      return;
    }
    this.#set(this.#open + move.slot, index + 1);
    if (move.passive && this.isLegal(move)) this.put(move);
  }

  /** @returns whether it had its place, and may go */
  end(move: Move): boolean {
    if (this.#at(this.placed.from + move.slot) === 0) return false;
    this.#set(this.#open + move.slot, 0);
    this.#set(this.placed.from + move.slot, 0);
    return true;
  }

  put(move: Move): boolean {
    return this.place(move, move.group);
  }

  /** `group`: of which it is one, or -1. @returns false: leads nowhere */
  place(move: Move, group: number): boolean {
    this.#spend();
    if (group >= 0) this.#set(this.used.from + group, this.#at(this.used.from + group) + 1);
    else this.#set(this.placed.from + move.slot, 1);
    let alive = true;
    for (const leg of move.legs) {
      if (group < 0 && leg.observes >= 0) this.#lower(this.#wanted + leg.observes);
      for (const value of leg.makes) this.#lower(this.#makers + value);
      if (leg.counts) this.#lower(this.#counters + leg.key);
      const before = this.#at(leg.key);
      const after = this.#table.outcome(leg, before);
      if (after === ILLEGAL) return false;
      if (after === before) continue;
      this.#set(leg.key, after);
      if (!this.#isMissed(leg.key, before)) continue;
      this.missed = { key: leg.key, value: before };
      alive = false;
    }
    return alive;
  }

  /** Open operations that are legal now and change nothing. */
  settle(): void {
    for (let slot = 0; slot < this.#table.slots; slot++) {
      const index = this.#at(this.#open + slot) - 1;
      if (index < 0 || this.#at(this.placed.from + slot) === 1) continue;
      const move = this.#table.moves[index] as Move;
      if (move.passive && this.isLegal(move)) this.put(move);
    }
  }

  /** Something still has to find this value of a key, and nothing can bring it back. */
  #isMissed(key: number, value: number): boolean {
    const { valuesAtStart, numbers, values } = this.#table;
    if (value >= valuesAtStart) return false;
    if (this.#at(this.#wanted + value) === 0 || this.#at(this.#makers + value) > 0) return false;
    const isNumber = values[value] !== null && !Number.isNaN(numbers[value] as number);
    return !isNumber || this.#at(this.#counters + key) === 0;
  }

  /** A known operation has to find a value that it does not find now, and that nothing makes. */
  neverMade(): { readonly move: Move; readonly key: number } | null {
    for (const move of this.#table.moves) {
      if (!move.source.known) continue;
      for (const { key, observes } of move.legs) {
        if (observes < 0 || observes === this.#at(key) || !this.#isMissed(key, observes)) continue;
        return { move, key };
      }
    }
    return null;
  }

  isLegal({ legs }: Move): boolean {
    return legs.every((leg) => this.#table.outcome(leg, this.#at(leg.key)) !== ILLEGAL);
  }

  changes({ legs }: Move): boolean {
    return legs.some((leg) => this.#table.outcome(leg, this.#at(leg.key)) !== this.#at(leg.key));
  }

  /** Open operations without a place that touch a key of `near`. */
  unplaced(near: ReadonlySet<number>): Move[] {
    const moves: Move[] = [];
    for (let slot = 0; slot < this.#table.slots; slot++) {
      const index = this.#at(this.#open + slot) - 1;
      if (index < 0 || this.#at(this.placed.from + slot) === 1) continue;
      const move = this.#table.moves[index] as Move;
      if (move.legs.some(({ key }) => near.has(key))) moves.push(move);
    }
    return moves;
  }

  /** The keys of `wanted`, of open operations on these keys, and so on. */
  near(wanted: Move): Set<number> {
    const near = new Set(wanted.legs.map(({ key }) => key));
    if (this.#table.keys.length === near.size) return near;
    const joins: (readonly Leg[])[] = [];
    const all = new Set(this.#table.keys.keys());
    for (const { legs } of this.unplaced(all)) if (legs.length > 1) joins.push(legs);
    for (const [index, { move }] of this.#table.groups.entries())
      if (move.legs.length > 1 && this.left(index) > 0) joins.push(move.legs);
    for (let size = -1; size !== near.size; ) {
      size = near.size;
      for (const legs of joins)
        if (legs.some(({ key }) => near.has(key))) for (const { key } of legs) near.add(key);
    }
    return near;
  }

  /** To come back to. */
  get mark(): number {
    return this.#trail.length;
  }

  back(mark: number): void {
    while (this.#trail.length > mark) {
      const content = this.#trail.pop() as number;
      this.cells[this.#trail.pop() as number] = content;
    }
  }

  #at(cell: number): number {
    return this.cells[cell] as number;
  }

  #bump(cell: number): void {
    this.cells[cell] = this.#at(cell) + 1;
  }

  #lower(cell: number): void {
    this.#set(cell, this.#at(cell) - 1);
  }

  #set(cell: number, content: number): void {
    this.#trail.push(cell, this.#at(cell));
    this.cells[cell] = content;
  }
}
