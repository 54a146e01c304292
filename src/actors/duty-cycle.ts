// The loop of an actor's thread: pass after pass while there is work, a short spin, then sleep on the doorbell. The event loop
// gets its turn every few milliseconds even under full load, so that control calls are served.

import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Doorbell } from '../transport/doorbell.js';

/** How often an idle thread is woken for its ticks; ticks are counted from the time that has passed, so this need not be one. */
const WAKE_MS = 20;
/** Longest time between two turns of the event loop. */
const YIELD_MS = 4;
/** Turns of the event loop to wait for room in a ring before sleeping until the next tick. */
const ROOM_TURNS = 64;

export interface Actor {
  /** @returns how much was done. */
  pass(): number;
  hasData(): boolean;
  beforePark(): void;
  readonly waitsForRoom: boolean;
}

export interface DutyCycleOptions {
  readonly actor: Actor;
  readonly doorbell: Doorbell;
  /** Looks at the rings before sleep: worth it only where cores are idle. */
  readonly spinPolls: number;
  /** Called with every wake of the timer. */
  readonly onTick: () => void;
}

/** Runs until the thread ends, or the actor throws. */
export async function runDutyCycle(options: DutyCycleOptions): Promise<never> {
  const { actor, doorbell } = options;
  // The one timer: it keeps the thread alive, and wakes it for ticks.
  setInterval(() => {
    options.onTick();
    // Not `ring`: a peer killed between its two steps leaves a sleeper that looks awake.
    doorbell.wake();
  }, WAKE_MS);
  const hasData = (): boolean => actor.hasData();
  let yieldedAt = performance.now();
  let roomTurns = 0;
  for (;;) {
    const work = actor.pass();
    const now = performance.now();
    if (now - yieldedAt >= YIELD_MS) {
      await nextTurn();
      yieldedAt = performance.now();
    }
    if (work > 0) {
      roomTurns = 0;
      continue;
    }
    if (spin(options.spinPolls, hasData)) continue;
    if (actor.waitsForRoom && roomTurns++ < ROOM_TURNS) {
      await nextTurn();
      continue;
    }
    actor.beforePark();
    const sleep = doorbell.park(hasData);
    if (sleep === null) continue;
    await sleep;
    yieldedAt = performance.now();
  }
}

function spin(polls: number, hasData: () => boolean): boolean {
  for (let poll = 0; poll < polls; poll++) if (hasData()) return true;
  return false;
}
