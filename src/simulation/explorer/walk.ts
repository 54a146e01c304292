// Random walks through the worlds of a scope that is too large to be seen whole: breadth first sees everything near the
// beginning and nothing of how runs end, walks see a little of everything.

import { seeded } from '../seeded.js';
import type { HashSet } from './tables.js';
import type { Worlds } from './worlds.js';

/** Longer than any run that comes to rest within the scopes of this project. */
const EVENTS_MAX = 60;

export interface Walk {
  readonly transitions: number;
  readonly events: number;
  /** Not null: `actions` broke an invariant. */
  readonly broken: string | null;
  readonly actions: readonly number[];
}

/** One walk from the first world, each event drawn evenly from the possible ones. All neighbours of its way count as seen. */
export function walk(worlds: Worlds, visited: HashSet, seed: number): Walk {
  const random = seeded(seed);
  const actions: number[] = [];
  let length = worlds.first();
  let transitions = 0;
  let broken: string | null = null;
  const world = worlds.next.slice();
  const chosen = worlds.next.slice();
  while (actions.length < EVENTS_MAX && broken === null) {
    let possible = 0;
    let action = -1;
    let behind = 0;
    worlds.expand(world, length, {
      reached: (candidate, end) => {
        transitions++;
        visited.add(worlds.low, worlds.high);
        // The n-th replaces the choice with probability 1/n: even over all without knowing their number.
        if (random() % ++possible === 0) {
          action = candidate;
          behind = end;
          chosen.set(worlds.next.subarray(0, end));
        }
        return true;
      },
      violated: (candidate, what) => {
        action = candidate;
        broken = what;
        return false;
      },
    });
    if (action < 0) break;
    actions.push(action);
    world.set(chosen.subarray(0, behind));
    length = behind;
  }
  return { transitions, events: actions.length, broken, actions };
}
