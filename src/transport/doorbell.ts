// How an actor sleeps without losing a wake-up. One word per actor: the owner sets it, looks at its rings once more, and waits;
// a producer publishes first and then rings only if it can swap the word back. So either the owner sees the data, or the
// producer sees the sleeper. It knows nothing of rings, and never sleeps by itself.

import { assert } from '../protocol/assert.js';

const AWAKE = 0;
const ASLEEP = 1;
/** Asleep, and to be woken for what presses only: the rest is found on the next occasion. */
const RESTING = 2;

export class Doorbell {
  readonly #words: Int32Array;
  readonly #at: number;
  #parked = false;

  constructor(words: Int32Array, at: number) {
    this.#words = words;
    this.#at = at;
  }

  /** Wakes the owner if it sleeps; one that rests only for what presses. Call it after publishing. @returns whether it woke it. */
  ring(presses = true): boolean {
    const word = Atomics.load(this.#words, this.#at);
    if (word === AWAKE || (word === RESTING && !presses)) return false;
    if (Atomics.compareExchange(this.#words, this.#at, word, AWAKE) !== word) return false;
    Atomics.notify(this.#words, this.#at);
    return true;
  }

  /**
   * Wakes the owner whatever the word says. A producer that was killed between its swap and its notify leaves a sleeper
   * that looks awake, whom `ring` would pass by: so the owner's own timer, and whoever reports a dead thread, call this.
   */
  wake(): void {
    Atomics.store(this.#words, this.#at, AWAKE);
    Atomics.notify(this.#words, this.#at);
  }

  /**
   * Sleeps until somebody rings, unless `hasData` is true after the word was set. No timeout: a timed wait leaks until
   * its time is over, so a timer of the owner calls `wake`. At most one park at a time.
   *
   * @returns null when there is no reason to sleep; else a promise that settles on waking.
   */
  park(hasData: () => boolean): Promise<unknown> | null {
    assert(!this.#parked, 'parked twice on one doorbell');
    Atomics.store(this.#words, this.#at, ASLEEP);
    if (hasData()) {
      Atomics.store(this.#words, this.#at, AWAKE);
      return null;
    }
    const wait = Atomics.waitAsync(this.#words, this.#at, ASLEEP);
    if (!wait.async) return null;
    this.#parked = true;
    return wait.value.then(() => {
      this.#parked = false;
    });
  }

  /**
   * Blocks the thread until somebody rings or `timeoutMs` pass; for threads without an event loop to serve. `rests`: until
   * somebody rings for what presses.
   * @returns 'awake' when there was no reason to sleep.
   */
  parkBlocking(
    hasData: () => boolean,
    timeoutMs: number,
    rests = false,
  ): 'awake' | 'rung' | 'timed-out' {
    const word = rests ? RESTING : ASLEEP;
    Atomics.store(this.#words, this.#at, word);
    const outcome = hasData() ? null : Atomics.wait(this.#words, this.#at, word, timeoutMs);
    Atomics.store(this.#words, this.#at, AWAKE);
    if (outcome === null) return 'awake';
    return outcome === 'timed-out' ? outcome : 'rung';
  }
}
