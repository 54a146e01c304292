// Keeps threads from being ended inside LMDB. Node ends a worker between any two of its instructions: when the process exits,
// when the thread that started it ends. The binding of LMDB does not survive that: ended between the begin and the commit of a
// transaction, its clean-up waits for a lock that it holds itself, and the process hangs instead of exiting; ended within a call, it
// aborts the process. So whoever is about to use LMDB enters here, and the exit of the process waits until nobody is inside.

const INSIDE = 0;
const STOPPED = 1;
const WORDS = 2;

/** How long the exit of a process waits for transactions under way; a disk that takes longer has failed. */
export const EXIT_WAIT_MS = 5000;

export class ExitGuard {
  readonly #words: Int32Array;
  /** How often this thread is inside. */
  #depth = 0;
  /** Who stopped the others may go in alone, to close what is open. */
  #stopper = false;

  static memory(): SharedArrayBuffer {
    return new SharedArrayBuffer(4 * WORDS);
  }

  /** All threads that use the same directory share one memory; each has a guard of its own over it. */
  constructor(memory: SharedArrayBuffer) {
    this.#words = new Int32Array(memory);
  }

  get memory(): SharedArrayBuffer {
    return this.#words.buffer as SharedArrayBuffer;
  }

  /**
   * Call `leave` after it, in the same thread. When the process is exiting it does not return: the thread has nothing left to
   * do but to be ended.
   */
  enter(): void {
    if (this.#depth++ > 0) return;
    Atomics.add(this.#words, INSIDE, 1);
    if (this.#stopper || Atomics.load(this.#words, STOPPED) === 0) return;
    this.leave();
    for (;;) Atomics.wait(this.#words, STOPPED, 1);
  }

  /** The process is exiting and waits for those inside. */
  get stopping(): boolean {
    return Atomics.load(this.#words, STOPPED) !== 0;
  }

  leave(): void {
    if (--this.#depth > 0) return;
    if (Atomics.sub(this.#words, INSIDE, 1) === 1) Atomics.notify(this.#words, INSIDE);
  }

  within<T>(action: () => T): T {
    this.enter();
    try {
      return action();
    } finally {
      this.leave();
    }
  }

  /** From now on nobody else enters. Blocks until nobody is inside. @returns whether that came true within `timeoutMs`. */
  stop(timeoutMs: number = EXIT_WAIT_MS): boolean {
    this.#stopper = true;
    Atomics.store(this.#words, STOPPED, 1);
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const inside = Atomics.load(this.#words, INSIDE);
      if (inside === 0) return true;
      const left = deadline - performance.now();
      if (left <= 0) return false;
      Atomics.wait(this.#words, INSIDE, inside, left);
    }
  }
}

/**
 * Makes the end of this thread wait for `guard`: its exit, what it throws and nobody catches, and in the main thread the exit of the
 * process. Call it in the main thread and in the thread that starts the stores, for the end of either ends them. Whoever ends such a
 * thread from outside calls `stop` before; a stopped guard stays so, and the next needs memory of its own.
 *
 * @returns undoes it, for a directory that is closed.
 */
export function guardExit(guard: ExitGuard): () => void {
  const onExit = () => {
    guard.stop();
  };
  process.on('exit', onExit);
  return () => process.off('exit', onExit);
}
