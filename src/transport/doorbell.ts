// How an actor sleeps without losing a wake-up. One word per actor: the owner sets it, looks at its rings once more, and waits;
// a producer publishes first and then rings only if it can swap the word back. So either the owner sees the data, or the
// producer sees the sleeper.

const AWAKE = 0;
const ASLEEP = 1;

/** The producer's side, and the owner's own timer. */
export class Doorbell {
  readonly #words: Int32Array;
  readonly #at: number;

  constructor(words: Int32Array, at: number) {
    this.#words = words;
    this.#at = at;
  }

  /** Wakes the owner if it sleeps. Call it after publishing. @returns whether it slept. */
  ring(): boolean {
    if (Atomics.load(this.#words, this.#at) === AWAKE) return false;
    if (Atomics.compareExchange(this.#words, this.#at, ASLEEP, AWAKE) !== ASLEEP) return false;
    Atomics.notify(this.#words, this.#at);
    return true;
  }

  /**
   * Sleeps until somebody rings, unless `hasData` is true after the word was set. No timeout: a timed wait leaks until
   * its time is over, so a timer of the owner rings its own bell. At most one park at a time.
   *
   * @returns null when there is no reason to sleep; else a promise that settles on waking.
   */
  park(hasData: () => boolean): Promise<unknown> | null {
    Atomics.store(this.#words, this.#at, ASLEEP);
    if (hasData()) {
      Atomics.store(this.#words, this.#at, AWAKE);
      return null;
    }
    const wait = Atomics.waitAsync(this.#words, this.#at, ASLEEP);
    return wait.async ? wait.value : null;
  }

  /** Blocks the thread until somebody rings or `timeoutMs` pass; for threads without an event loop to serve. */
  parkBlocking(hasData: () => boolean, timeoutMs: number): void {
    Atomics.store(this.#words, this.#at, ASLEEP);
    if (!hasData()) Atomics.wait(this.#words, this.#at, ASLEEP, timeoutMs);
    Atomics.store(this.#words, this.#at, AWAKE);
  }
}
