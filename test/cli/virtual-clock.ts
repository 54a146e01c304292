// Time that goes from one event to the next: load against a target whose every answer has its time, without waiting for any of it.

import { setImmediate as turn } from 'node:timers/promises';
import type { Clock } from '../../src/cli/pace.js';

/** Looking at the clock takes time too. */
const LEAST_MS = 1e-3;

export class VirtualClock implements Clock {
  // Not 0: a duration and a time must not be mixed up unnoticed.
  #now = 1e6;
  readonly #events: { readonly at: number; readonly call: () => void }[] = [];

  now(): number {
    return this.#now;
  }

  soon(ms: number, call: () => void): void {
    this.at(this.#now + Math.max(ms, LEAST_MS), call);
  }

  at(time: number, call: () => void): void {
    const later = this.#events.findIndex(({ at }) => at > time);
    this.#events.splice(later < 0 ? this.#events.length : later, 0, { at: time, call });
  }

  /** Lets time pass until `work` is done. */
  async drive<T>(work: Promise<T>): Promise<T> {
    let done = false;
    const settled = work.finally(() => {
      done = true;
    });
    for (;;) {
      // All that follows from one event happens before the next one.
      await turn();
      if (done) return await settled;
      const event = this.#events.shift();
      if (event === undefined) continue;
      this.#now = event.at;
      event.call();
    }
  }
}
