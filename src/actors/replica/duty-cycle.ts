// The loop of an actor's thread: pass after pass while there is work, a short spin, then sleep on the doorbell. The thread sleeps
// for real (Atomics.wait): waking an event loop costs several times as much, in both threads. So the event loop has its turn every
// few milliseconds under load, after every sleep that nobody ended, and whenever a control call asks for it. What has time is done
// aside, a step at a time, whether there is work or not.

import { performance } from 'node:perf_hooks';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { SpinThenBlock } from '../../transport/idle.js';
import type { ReplicaBlock } from '../../transport/mesh.js';

/** Longest time between two turns of the event loop while there is work. */
const YIELD_MS = 4;
/** How often the slower half of the counters is published. */
const TRAFFIC_MS = 100;
/** Between two steps of what is done aside. */
const ASIDE_MS = 20;

export interface Actor {
  /** @returns how much was done. */
  pass(): number;
  hasData(): boolean;
  /** @returns how much was done: it does not sleep then. */
  beforePark(): number;
  /** The longest sleep, as of `beforePark`. */
  readonly sleepMs: number;
  /** It waits for no acknowledgement: none needs to wake it. */
  readonly rests: boolean;
  /** Nobody waits for its next pass more than usual: what has time may have some of it. */
  readonly atEase: boolean;
  publishTraffic(): void;
}

/** Runs until the thread ends, or the actor throws. */
export async function runDutyCycle(options: {
  readonly actor: Actor;
  readonly block: ReplicaBlock;
  /** Looks at the rings before sleep: worth it only where cores are idle. */
  readonly spinMicros: number;
  /** Steps of a few milliseconds each. */
  readonly aside: Iterator<undefined>;
}): Promise<never> {
  const { actor, block } = options;
  const { doorbell } = block;
  let turns = block.turns;
  const idle = new SpinThenBlock(
    {
      doorbell,
      hasData: () => actor.hasData() || block.turns !== turns,
      beforePark: () => actor.beforePark(),
      rests: () => actor.rests,
    },
    {
      spinMicros: options.spinMicros,
      timeoutMs: () => (aside === null ? actor.sleepMs : Math.min(actor.sleepMs, ASIDE_MS)),
    },
  );
  let yieldedAt = performance.now();
  let publishedAt = yieldedAt;
  let aside: Iterator<undefined> | null = options.aside;
  let asideAt = yieldedAt;
  for (;;) {
    const work = actor.pass();
    const now = performance.now();
    if (now - publishedAt >= TRAFFIC_MS) {
      publishedAt = now;
      actor.publishTraffic();
    }
    if (aside !== null && now - asideAt >= ASIDE_MS && actor.atEase) {
      if (aside.next().done === true) aside = null;
      asideAt = performance.now();
    }
    if (now - yieldedAt >= YIELD_MS || block.turns !== turns) {
      turns = block.turns;
      await nextTurn();
      yieldedAt = performance.now();
    }
    // What a pass leaves to the next one can be seen: without a look, half of all passes would find nothing to do.
    const more = work > 0 && actor.hasData();
    idle.idle(more ? work : 0);
  }
}
