// Breadth first through all worlds of a scope: whatever is found first is a shortest way to it. What lies beyond the bound is
// looked into by random walks.

import { describeSchedule, type ScheduleStep } from './schedule.js';
import type { Scope } from './scope.js';
import { HashSet, Origins, RecordList } from './tables.js';
import { walk } from './walk.js';
import { Worlds } from './worlds.js';

export interface Bounds {
  /** Different worlds seen breadth first. */
  readonly states: number;
  /** Random walks when that bound is met. */
  readonly walks?: number;
  /** Asked now and then; true ends that part of the exploration. */
  readonly stop?: (part: 'breadth first' | 'walks') => boolean;
  readonly progress?: (at: { readonly states: number; readonly depth: number }) => void;
}

export interface Exploration {
  readonly scope: string;
  /** Different worlds, the first one included. */
  readonly states: number;
  /** Events followed from them. */
  readonly transitions: number;
  /** Everything up to so many events in a row was seen. */
  readonly depth: number;
  /** Everything within the scope was seen. */
  readonly complete: boolean;
  readonly walks: { readonly count: number; readonly longest: number };
  /** Different states of a single replica, messages and pasts that the worlds are made of. */
  readonly parts: { readonly replicas: number; readonly messages: number; readonly pasts: number };
  readonly violation: Violation | null;
}

export interface Violation {
  readonly what: string;
  /** From the first world on; found breadth first, no other is shorter. */
  readonly schedule: readonly ScheduleStep[];
}

interface Broken {
  readonly what: string;
  readonly actions: readonly number[];
}

const ASK_EVERY = 1024;
const WALK_SEED = 1;

export function explore(scope: Scope, bounds: Bounds): Exploration {
  return new Explorer(scope, bounds).run();
}

class Explorer {
  readonly #scope: Scope;
  readonly #bounds: Bounds;
  readonly #worlds: Worlds;
  readonly #visited = new HashSet();
  #transitions = 0;
  #depth = 0;
  #walks = 0;
  #longest = 0;
  #broken: Broken | null = null;

  constructor(scope: Scope, bounds: Bounds) {
    this.#scope = scope;
    this.#bounds = bounds;
    this.#worlds = new Worlds(scope);
  }

  run(): Exploration {
    const complete = this.#breadthFirst();
    if (!complete && this.#broken === null) this.#walk();
    this.#tell();
    const { locals, mail, histories } = this.#worlds;
    return {
      scope: this.#scope.name,
      states: this.#visited.size,
      transitions: this.#transitions,
      depth: this.#depth,
      complete,
      walks: { count: this.#walks, longest: this.#longest },
      parts: { replicas: locals.size, messages: mail.size, pasts: histories.size },
      violation: this.#violation(),
    };
  }

  #tell(): void {
    this.#bounds.progress?.({ states: this.#visited.size, depth: this.#depth });
  }

  /** @returns whether it should end. */
  #ask(part: 'breadth first' | 'walks'): boolean {
    this.#tell();
    return this.#bounds.stop?.(part) === true;
  }

  #violation(): Violation | null {
    if (this.#broken === null) return null;
    const { what, actions } = this.#broken;
    return { what, schedule: describeSchedule(this.#worlds, actions) };
  }

  /** @returns whether everything was seen and nothing was wrong. */
  #breadthFirst(): boolean {
    const worlds = this.#worlds;
    const visited = this.#visited;
    const origins = new Origins();
    let frontier = new RecordList();
    let next = new RecordList();
    let current = 0;
    const told = {
      reached: (action: number, length: number): boolean => {
        this.#transitions++;
        if (!visited.add(worlds.low, worlds.high)) return true;
        origins.add(current, action);
        next.push(worlds.next, length);
        return visited.size < this.#bounds.states;
      },
      violated: (action: number, what: string): boolean => {
        this.#transitions++;
        this.#broken = { what, actions: [...origins.path(current), action] };
        return false;
      },
    };
    const world = new Int32Array(worlds.next.length);
    frontier.push(worlds.next, worlds.first());
    visited.add(worlds.low, worlds.high);
    origins.add(0, 0);
    for (;;) {
      const all = frontier.drain(world, (length) => {
        if (current % ASK_EVERY === 0 && this.#ask('breadth first')) return false;
        const more = worlds.expand(world, length, told);
        current++;
        return more;
      });
      if (!all || next.count === 0) return all;
      this.#depth++;
      [frontier, next] = [next, frontier];
    }
  }

  #walk(): void {
    for (let count = this.#bounds.walks ?? 0; count > 0 && this.#broken === null; count--) {
      if (this.#ask('walks')) return;
      const { transitions, events, broken, actions } = walk(
        this.#worlds,
        this.#visited,
        WALK_SEED + this.#walks,
      );
      this.#walks++;
      this.#transitions += transitions;
      this.#longest = Math.max(this.#longest, events);
      if (broken !== null) this.#broken = { what: broken, actions };
    }
  }
}
