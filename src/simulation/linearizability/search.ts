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
import { type Missed, Position } from './position.js';
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
  readonly missed: Missed | null;
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
  readonly #position: Position;
  readonly #stepsMax: number;
  readonly #narrow: boolean;
  readonly #chains: Chains;
  readonly #memo: Memo;
  #deepest = -1;
  #stuck: Stuck | null = null;
  #missedAtDeepest: Missed | null = null;
  readonly #states = new Set<string>();

  /**
   * `narrow`: free operations of unknown outcome are tried only on a key where the operation that returns is not legal. Finds
   * nearly all orders that there are and in far fewer steps, but that it finds none proves nothing.
   */
  constructor(table: Table, stepsMax: number, narrow: boolean) {
    this.#table = table;
    this.#stepsMax = stepsMax;
    this.#narrow = narrow;
    const spend = () => this.#spend();
    const position = new Position(table, spend);
    this.#position = position;
    this.#chains = new Chains(table, (group) => position.left(group), spend);
    this.#memo = new Memo(position.cells, position.values, position.placed, position.used);
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
          const { mark } = this.#position;
          place = { event, mark, choices: null, next: -1, expanded: false };
          places.push(place);
        }
      }
      // Not entered: back to the last place that has something left to try.
      place ??= places.at(-1);
      if (place === undefined) return this.#stuck as Stuck;
      this.#position.back(place.mark);
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
      if (((events[at] as number) & 1) === 0) this.#position.call(index);
      else if (!this.#position.end(moves[index] as Move)) return at;
    }
    return events.length;
  }

  #nextChoice(place: Place): Choice | undefined {
    const move = this.#table.moves[(this.#table.events[place.event] as number) >> 1] as Move;
    if (place.choices === null) {
      place.choices = [];
      this.#position.missed = null;
      if (this.#position.isLegal(move)) return { move, chain: NONE };
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
    const near = this.#position.near(wanted);
    const choices: Choice[] = [];
    const helps = new Set<Choice>();
    for (const move of this.#position.unplaced(near)) {
      if (move === wanted || !this.#position.isLegal(move)) continue;
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
    const near = this.#position.near(wanted);
    const candidates = this.#position.unplaced(near);
    candidates.sort((a, b) => a.source.source.end - b.source.source.end);
    const free = this.#free(wanted, near);
    const choices: Choice[] = [];
    for (const move of [...candidates, ...free])
      if (!this.#position.isLegal(move))
        for (const chain of this.#chainsBefore(move)) choices.push({ move, chain });
    for (const move of free)
      if (this.#position.isLegal(move) && this.#position.changes(move))
        choices.push({ move, chain: NONE });
    this.#note(event, wanted, near);
    return choices;
  }

  /** One of each free group that has any left; those that let `wanted` follow come first. */
  #free(wanted: Move, near: ReadonlySet<number>): Move[] {
    const lets: Move[] = [];
    const others: Move[] = [];
    const illegal = (leg: Leg) =>
      this.#table.outcome(leg, this.#position.value(leg.key)) === ILLEGAL;
    const sought = this.#narrow ? new Set(wanted.legs.filter(illegal).map(({ key }) => key)) : near;
    for (const [index, { move, kind }] of this.#table.groups.entries()) {
      if (kind !== 'free' || this.#position.left(index) === 0) continue;
      if (!move.legs.some(({ key }) => sought.has(key))) continue;
      const after = (key: number) => {
        const leg = move.legs.find((one) => one.key === key);
        return leg === undefined
          ? this.#position.value(key)
          : this.#table.outcome(leg, this.#position.value(key));
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
      const value = this.#position.value(leg.key);
      if (this.#table.outcome(leg, value) !== ILLEGAL) continue;
      const chains = this.#chains.to(leg, value);
      all = all.flatMap((before) => chains.map((chain) => [...before, ...chain]));
    }
    return all;
  }

  /** False: leads nowhere. */
  #take({ move, chain }: Choice): boolean {
    for (const group of chain)
      if (!this.#position.place((this.#table.groups[group] as { move: Move }).move, group))
        return false;
    if (!this.#position.put(move)) return false;
    this.#position.settle();
    return true;
  }

  #neverMade(): Stuck | null {
    const found = this.#position.neverMade();
    if (found === null) return null;
    return { move: found.move, keys: [found.key], states: [], open: [], missed: null };
  }

  #note(event: number, move: Move, near: ReadonlySet<number>): void {
    if (event < this.#deepest) return;
    const { keys, values } = this.#table;
    if (event > this.#deepest) {
      this.#states.clear();
      this.#missedAtDeepest = null;
    }
    this.#missedAtDeepest ??= this.#position.missed;
    this.#deepest = event;
    if (this.#states.size < STATES_SHOWN) {
      const held = [...near].map((key) => {
        const value = values[this.#position.value(key)] as string | null;
        return `${keys[key]} = ${value === null ? 'absent' : JSON.stringify(value)}`;
      });
      this.#states.add(held.join(', '));
    }
    this.#stuck = {
      move,
      keys: [...near],
      states: [...this.#states],
      open: this.#position.unplaced(near),
      missed: this.#missedAtDeepest,
    };
  }

  #spend(): void {
    this.steps++;
    if (this.steps > this.#stepsMax) throw new Exhausted();
  }
}
