// Who follows a signal. Node warns of an AbortSignal with more than ten listeners, and thousands of calls may have one in common: it gets one
// listener from all of them.

class Followers {
  readonly #signal: AbortSignal;
  /** In the order in which they came. */
  readonly #all = new Set<() => void>();
  readonly #onAbort = (): void => {
    this.#end();
    for (const follower of this.#all) follower();
  };

  constructor(signal: AbortSignal) {
    this.#signal = signal;
    followed.set(signal, this);
    signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  add(onAbort: () => void): () => void {
    this.#all.add(onAbort);
    return () => {
      if (this.#all.delete(onAbort) && this.#all.size === 0) this.#end();
    };
  }

  /** The last one is gone: a signal that is listened to is kept in memory by its timer. */
  #end(): void {
    followed.delete(this.#signal);
    this.#signal.removeEventListener('abort', this.#onAbort);
  }
}

const followed = new WeakMap<AbortSignal, Followers>();

/** Calls `onAbort`, a function that nobody else gives, if `signal` aborts. @returns what ends the following */
export function follow(signal: AbortSignal, onAbort: () => void): () => void {
  const followers = followed.get(signal) ?? new Followers(signal);
  return followers.add(onAbort);
}
