// Copies of bodies that wait for a moment, in memory that is used again: at a million reads per second fresh memory for each would
// have the thread collect garbage all the time. What is never given back is left to the collector.

const LEAST_SHIFT = 8;
/** Larger ones are not worth keeping. */
const MOST_SHIFT = 18;
/** Of each size. */
const KEPT_MOST = 64;
/** Arrays up to here live in the heap of their thread, which costs nothing of this. */
const HEAP_BYTES = 64;

export class BodyPool {
  /** By size: powers of two. */
  readonly #free: Uint8Array[][] = Array.from({ length: MOST_SHIFT + 1 }, () => []);

  copy(bytes: Uint8Array): Uint8Array {
    const { length } = bytes;
    const shift = Math.max(LEAST_SHIFT, 32 - Math.clz32(length - 1));
    if (length <= HEAP_BYTES || shift > MOST_SHIFT) return bytes.slice();
    const memory = this.#free[shift]?.pop() ?? new Uint8Array(2 ** shift);
    memory.set(bytes);
    return memory.subarray(0, length);
  }

  /** `body` is of `copy`, and nobody looks at it any more. */
  give(body: Uint8Array): void {
    const { buffer, length } = body;
    const shift = 31 - Math.clz32(buffer.byteLength);
    if (length <= HEAP_BYTES || shift > MOST_SHIFT) return;
    const free = this.#free[shift];
    if (free !== undefined && free.length < KEPT_MOST) free.push(new Uint8Array(buffer));
  }
}
