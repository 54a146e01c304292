// The search for an order: depth first, as Wing and Gong (1993), with Lowe's memo of what has failed (Testing for
// Linearizability, 2017). It goes through calls and returns in time and puts operations in order as late as it can: only when one
// returns that has no place yet must something be chosen. So what is to be remembered of the past is which of the operations
// open at that moment have their place, what the keys hold, and how many unknown operations of each group are used; where
// nothing is open the past is the values alone, and the length of a history does not matter.
//
// What is cut off, and why nothing is lost:
//  - An open operation that changes nothing and is legal now takes its place at once: it would be legal wherever else it stands
//    in an order, and taking it out of there changes nothing.
//  - A value is not left while a known operation still has to find it and nothing is left that could bring it back.
//  - A place in the search is given up if one with the same open operations placed and the same values failed that had used no
//    more of any group: unknown operations need not take effect, so having more of them left is never worse.
//  - When an operation returns, only those are considered that share a key with it, or with one that is considered: others can
//    as well come after it.
//  - Operations of unknown outcome: chains.ts.

import { Chains } from './chains.js';
import { Memo } from './memo.js';
import { ILLEGAL, type Leg, type Move, SAME, type Table } from './table.js';

export interface Stuck {
  /** No order brings this operation to its return. */
  readonly move: Move;
  /** Keys whose operations were considered for it. */
  readonly keys: readonly number[];
  /** Some of the contents of these keys with which it was tried. */
  readonly states: readonly string[];
  readonly open: readonly Move[];
  /** Where something could come next but for a value that would have been lost to those that had yet to find it. */
  readonly missed: { readonly key: number; readonly value: number } | null;
}

export type Found = 'linearizable' | 'undecided' | Stuck;

interface Choice {
  readonly move: Move;
  /** Groups that take effect before it. */
  readonly chain: readonly number[];
}

interface Place {
  readonly event: number;
  /** Length of the trail when it was reached. */
  readonly mark: number;
  choices: Choice[] | null;
  next: number;
  expanded: boolean;
}

const NONE: readonly number[] = [];
const STATES_SHOWN = 4;

class Exhausted extends Error {}

export class Search {
  steps = 0;
  readonly #table: Table;
  readonly #stepsMax: number;
  readonly #narrow: boolean;
  readonly #chains: Chains;
  readonly #memo: Memo;
  /** All that changes on the way, so that one trail of (index, earlier content) takes it back. */
  readonly #cells: Int32Array;
  readonly #trail: number[] = [];
  // Where in the cells: values of keys; open operation of each slot (index of move + 1) and whether it has its place; for each
  // group how many were called and used; for each value how many operations have yet to find it and may yet make it; for each
  // key how many may yet make any number of it.
  readonly #open: number;
  readonly #placed: number;
  readonly #called: number;
  readonly #used: number;
  readonly #wanted: number;
  readonly #makers: number;
  readonly #counters: number;
  #deepest = -1;
  #stuck: Stuck | null = null;
  #missed: Stuck['missed'] = null;
  #missedAtDeepest: Stuck['missed'] = null;
  readonly #states = new Set<string>();

  /**
   * `narrow`: free operations of unknown outcome are tried only on a key where the operation that returns is not legal. Finds
   * nearly all orders that there are and in far fewer steps, but that it finds none proves nothing.
   */
  constructor(table: Table, stepsMax: number, narrow: boolean) {
    this.#table = table;
    this.#stepsMax = stepsMax;
    this.#narrow = narrow;
    const { keys, slots, groups, valuesAtStart } = table;
    this.#open = keys.length;
    this.#placed = this.#open + slots;
    this.#called = this.#placed + slots;
    this.#used = this.#called + groups.length;
    this.#wanted = this.#used + groups.length;
    this.#makers = this.#wanted + valuesAtStart;
    this.#counters = this.#makers + valuesAtStart;
    this.#cells = new Int32Array(this.#counters + keys.length);
    this.#cells.set(table.initial);
    for (const { source, legs } of table.moves) {
      for (const leg of legs) {
        if (source.known && leg.observes >= 0) this.#bump(this.#wanted + leg.observes);
        for (const value of leg.makes) this.#bump(this.#makers + value);
        if (leg.counts) this.#bump(this.#counters + leg.key);
      }
    }
    const left = (group: number) => this.#at(this.#called + group) - this.#at(this.#used + group);
    this.#chains = new Chains(table, left, () => this.#spend());
    this.#memo = new Memo(
      this.#cells,
      { from: 0, to: keys.length },
      { from: this.#placed, to: this.#called },
      { from: this.#used, to: this.#wanted },
    );
  }

  run(): Found {
    const missing = this.#neverMade();
    if (missing !== null) return missing;
    try {
      return this.#walk();
    } catch (error) {
      if (error instanceof Exhausted) return 'undecided';
      throw error;
    }
  }

  /** Where the search came to at most. */
  get stuck(): Stuck | null {
    return this.#stuck;
  }

  #walk(): Found {
    const { events } = this.#table;
    const places: Place[] = [];
    let event = this.#advance(0);
    for (;;) {
      if (event === events.length) return 'linearizable';
      let place: Place | undefined;
      if (event >= 0) {
        this.#spend();
        if (this.#memo.failed(event)) event = -1;
        else {
          const mark = this.#trail.length;
          place = { event, mark, choices: null, next: -1, expanded: false };
          places.push(place);
        }
      }
      // Not entered: back to the last place that has something left to try.
      place ??= places.at(-1);
      if (place === undefined) return this.#stuck as Stuck;
      this.#back(place.mark);
      const choice = this.#nextChoice(place);
      if (choice === undefined) {
        this.#memo.add(place.event);
        places.pop();
        event = -1;
      } else event = this.#take(choice) ? this.#advance(place.event) : -1;
    }
  }

  /** The index of the first return from `event` on of an operation that has no place; or the end. */
  #advance(event: number): number {
    const { events, moves } = this.#table;
    for (let at = event; at < events.length; at++) {
      const index = (events[at] as number) >> 1;
      const move = moves[index] as Move;
      if (((events[at] as number) & 1) === 1) {
        if (this.#at(this.#placed + move.slot) === 0) return at;
        this.#set(this.#open + move.slot, 0);
        this.#set(this.#placed + move.slot, 0);
      } else if (move.group >= 0) {
        this.#set(this.#called + move.group, this.#at(this.#called + move.group) + 1);
      } else {
        this.#set(this.#open + move.slot, index + 1);
        if (move.passive && this.#isLegal(move)) this.#put(move);
      }
    }
    return events.length;
  }

  #nextChoice(place: Place): Choice | undefined {
    const move = this.#table.moves[(this.#table.events[place.event] as number) >> 1] as Move;
    if (place.choices === null) {
      place.choices = [];
      this.#missed = null;
      if (this.#isLegal(move)) return { move, chain: NONE };
    }
    if (place.next < 0) {
      place.next = 0;
      place.choices = this.#direct(move);
    }
    if (place.next === place.choices.length && !place.expanded) {
      place.expanded = true;
      place.choices.push(...this.#indirect(place.event, move));
    }
    return place.choices[place.next++];
  }

  /** Other open operations that may come first: those that let `wanted` follow, then those that return first. */
  #direct(wanted: Move): Choice[] {
    const near = this.#near(wanted);
    const choices: Choice[] = [];
    const helps = new Set<Choice>();
    for (const move of this.#unplaced(near)) {
      if (move === wanted || !this.#isLegal(move)) continue;
      const choice = { move, chain: NONE };
      choices.push(choice);
      if (
        move.legs.some(({ key, result }) =>
          wanted.legs.some((leg) => leg.key === key && leg.observes === result && result !== SAME),
        )
      )
        helps.add(choice);
    }
    const end = ({ move }: Choice) => move.source.source.end;
    return choices.sort((a, b) => Number(helps.has(b)) - Number(helps.has(a)) || end(a) - end(b));
  }

  /** What only operations of unknown outcome make possible. */
  #indirect(event: number, wanted: Move): Choice[] {
    const near = this.#near(wanted);
    const candidates = this.#unplaced(near);
    candidates.sort((a, b) => a.source.source.end - b.source.source.end);
    const free = this.#free(wanted, near);
    const choices: Choice[] = [];
    for (const move of [...candidates, ...free])
      if (!this.#isLegal(move))
        for (const chain of this.#chainsBefore(move)) choices.push({ move, chain });
    for (const move of free)
      if (this.#isLegal(move) && this.#changes(move)) choices.push({ move, chain: NONE });
    this.#note(event, wanted, near);
    return choices;
  }

  /** One of each free group that has any left; those that let `wanted` follow come first. */
  #free(wanted: Move, near: ReadonlySet<number>): Move[] {
    const lets: Move[] = [];
    const others: Move[] = [];
    const illegal = (leg: Leg) => this.#table.outcome(leg, this.#at(leg.key)) === ILLEGAL;
    const sought = this.#narrow ? new Set(wanted.legs.filter(illegal).map(({ key }) => key)) : near;
    for (const [index, { move, kind }] of this.#table.groups.entries()) {
      if (kind !== 'free' || this.#at(this.#called + index) === this.#at(this.#used + index))
        continue;
      if (!move.legs.some(({ key }) => sought.has(key))) continue;
      const after = (key: number) => {
        const leg = move.legs.find((one) => one.key === key);
        return leg === undefined ? this.#at(key) : this.#table.outcome(leg, this.#at(key));
      };
      const follows = wanted.legs.every((leg) => {
        const value = after(leg.key);
        return value !== ILLEGAL && this.#table.outcome(leg, value) !== ILLEGAL;
      });
      (follows ? lets : others).push(move);
    }
    return [...lets, ...others];
  }

  /** For several keys that are not as the operation needs them, each way for the one with each way for the other. */
  #chainsBefore(move: Move): readonly number[][] {
    let all: number[][] = [[]];
    for (const leg of move.legs) {
      const value = this.#at(leg.key);
      if (this.#table.outcome(leg, value) !== ILLEGAL) continue;
      const chains = this.#chains.to(leg, value);
      all = all.flatMap((before) => chains.map((chain) => [...before, ...chain]));
    }
    return all;
  }

  /** False: leads nowhere. */
  #take({ move, chain }: Choice): boolean {
    for (const group of chain)
      if (!this.#place((this.#table.groups[group] as { move: Move }).move, group)) return false;
    if (!this.#put(move)) return false;
    this.#settle();
    return true;
  }

  #put(move: Move): boolean {
    return this.#place(move, move.group);
  }

  #place(move: Move, group: number): boolean {
    this.#spend();
    if (group >= 0) this.#set(this.#used + group, this.#at(this.#used + group) + 1);
    else this.#set(this.#placed + move.slot, 1);
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
      this.#missed = { key: leg.key, value: before };
      alive = false;
    }
    return alive;
  }

  /** Open operations that are legal now and change nothing. */
  #settle(): void {
    for (let slot = 0; slot < this.#table.slots; slot++) {
      const index = this.#at(this.#open + slot) - 1;
      if (index < 0 || this.#at(this.#placed + slot) === 1) continue;
      const move = this.#table.moves[index] as Move;
      if (move.passive && this.#isLegal(move)) this.#put(move);
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

  #neverMade(): Stuck | null {
    for (const move of this.#table.moves) {
      if (!move.source.known) continue;
      for (const { key, observes } of move.legs) {
        if (observes < 0 || observes === this.#at(key) || !this.#isMissed(key, observes)) continue;
        return { move, keys: [key], states: [], open: [], missed: null };
      }
    }
    return null;
  }

  #isLegal({ legs }: Move): boolean {
    return legs.every((leg) => this.#table.outcome(leg, this.#at(leg.key)) !== ILLEGAL);
  }

  #changes({ legs }: Move): boolean {
    return legs.some((leg) => this.#table.outcome(leg, this.#at(leg.key)) !== this.#at(leg.key));
  }

  #unplaced(near: ReadonlySet<number>): Move[] {
    const moves: Move[] = [];
    for (let slot = 0; slot < this.#table.slots; slot++) {
      const index = this.#at(this.#open + slot) - 1;
      if (index < 0 || this.#at(this.#placed + slot) === 1) continue;
      const move = this.#table.moves[index] as Move;
      if (move.legs.some(({ key }) => near.has(key))) moves.push(move);
    }
    return moves;
  }

  /** The keys of `wanted`, of open operations on these keys, and so on. */
  #near(wanted: Move): Set<number> {
    const near = new Set(wanted.legs.map(({ key }) => key));
    if (this.#table.keys.length === near.size) return near;
    const joins: (readonly Leg[])[] = [];
    const all = new Set(this.#table.keys.keys());
    for (const { legs } of this.#unplaced(all)) if (legs.length > 1) joins.push(legs);
    for (const [index, { move }] of this.#table.groups.entries())
      if (move.legs.length > 1 && this.#at(this.#called + index) > this.#at(this.#used + index))
        joins.push(move.legs);
    for (let size = -1; size !== near.size; ) {
      size = near.size;
      for (const legs of joins)
        if (legs.some(({ key }) => near.has(key))) for (const { key } of legs) near.add(key);
    }
    return near;
  }

  #note(event: number, move: Move, near: ReadonlySet<number>): void {
    if (event < this.#deepest) return;
    const { keys, values } = this.#table;
    if (event > this.#deepest) {
      this.#states.clear();
      this.#missedAtDeepest = null;
    }
    this.#missedAtDeepest ??= this.#missed;
    this.#deepest = event;
    if (this.#states.size < STATES_SHOWN) {
      const held = [...near].map((key) => {
        const value = values[this.#at(key)] as string | null;
        return `${keys[key]} = ${value === null ? 'absent' : JSON.stringify(value)}`;
      });
      this.#states.add(held.join(', '));
    }
    this.#stuck = {
      move,
      keys: [...near],
      states: [...this.#states],
      open: this.#unplaced(near),
      missed: this.#missedAtDeepest,
    };
  }

  #at(cell: number): number {
    return this.#cells[cell] as number;
  }

  #bump(cell: number): void {
    this.#cells[cell] = this.#at(cell) + 1;
  }

  #lower(cell: number): void {
    this.#set(cell, this.#at(cell) - 1);
  }

  #set(cell: number, content: number): void {
    this.#trail.push(cell, this.#at(cell));
    this.#cells[cell] = content;
  }

  #back(mark: number): void {
    while (this.#trail.length > mark) {
      const content = this.#trail.pop() as number;
      this.#cells[this.#trail.pop() as number] = content;
    }
  }

  #spend(): void {
    this.steps++;
    if (this.steps > this.#stepsMax) throw new Exhausted();
  }
}
