// Copies of bodies that wait for a moment, in memory that is used again: at a million reads per second fresh memory for each would
// have the thread collect garbage all the time. Short ones share a piece, so that whoever walks them meets few arrays. What is never
// given back is left to the collector.

/** Bodies up to here lie one behind the other. */
const SHORT_BYTES = 2048;
/** What short ones share: small, for one of them that waits long keeps all of it. */
const SHARED_SHIFT = 14;
/** Larger ones are not worth keeping. */
const MOST_SHIFT = 18;
/** Of each size. */
const KEPT_MOST = 64;

/** Where bodies lie. */
export interface BodyMemory {
  readonly bytes: Uint8Array;
  /** The body that was copied last ends here. */
  used: number;
  /** Bodies that somebody still needs. */
  live: number;
}

/** A copy in memory of its own. */
export function ownMemory(bytes: Uint8Array, from: number, to: number): BodyMemory {
  return { bytes: bytes.slice(from, to), used: to - from, live: 1 };
}

export class BodyPool {
  /** By size: powers of two. */
  readonly #free: BodyMemory[][] = Array.from({ length: MOST_SHIFT + 1 }, () => []);
  #shared: BodyMemory = this.#take(SHARED_SHIFT);

  /** Copies `bytes[from..to)`. @returns the memory, where the copy ends at `used`. */
  copy(bytes: Uint8Array, from: number, to: number): BodyMemory {
    const length = to - from;
    if (length > 2 ** MOST_SHIFT) return ownMemory(bytes, from, to);
    const memory = this.#room(length);
    memory.bytes.set(bytes.subarray(from, to), memory.used);
    memory.used += length;
    memory.live++;
    return memory;
  }

  #room(length: number): BodyMemory {
    if (length > SHORT_BYTES) return this.#take(32 - Math.clz32(length - 1));
    if (this.#shared.used + length > this.#shared.bytes.length)
      this.#shared = this.#take(SHARED_SHIFT);
    return this.#shared;
  }

  #take(shift: number): BodyMemory {
    return this.#free[shift]?.pop() ?? { bytes: new Uint8Array(2 ** shift), used: 0, live: 0 };
  }

  /** A body of `copy` that lies there is not needed any more. */
  give(memory: BodyMemory): void {
    memory.live--;
    if (memory.live > 0) return;
    memory.used = 0;
    if (memory === this.#shared) return;
    const { length } = memory.bytes;
    const free = this.#free[31 - Math.clz32(length)];
    const whole = (length & (length - 1)) === 0;
    if (free !== undefined && whole && free.length < KEPT_MOST) free.push(memory);
  }
}
