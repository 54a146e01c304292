// Memory of a client that is used again, and how what is short is cut from it. A view costs more to make than a short request to write:
// each piece of memory has its views for good, and whoever uses it keeps offsets. What is not given back is the collector's.

/** Up to here something is short: it shares memory, for an allocation of its own would cost more than all it is for. */
const SHORT_BYTES = 1024;
/** What short pieces are cut from, one behind the other; it is given up when the last of them is. */
const SHARED_BYTES: number = 16 << 10;
/** Larger memory is not worth keeping. */
const KEPT_BYTES_MAX: number = 256 << 10;
/** Memory that lies unused in one pool. */
const FREE_BYTES_MAX: number = 4 << 20;

export class Memory {
  readonly bytes: Buffer;
  readonly view: DataView;
  /** Cut into short pieces, which nobody gives back. */
  readonly shared: boolean;
  /** Room `[from, to)` is the one that was taken last. */
  from = 0;
  to: number;

  constructor(bytes: Buffer, shared: boolean) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.shared = shared;
    this.to = shared ? 0 : bytes.length;
  }
}

export class MemoryPool {
  /** By class: four to each power of two. */
  readonly #free: Memory[][] = [];
  #freeBytes = 0;
  #shared = new Memory(Buffer.alloc(0), true);

  /** Room of at least `bytes` bytes, with rubbish in it: from `from` to `to` of the memory, until the next call. */
  take(bytes: number): Memory {
    if (bytes <= SHORT_BYTES) return this.#cut(bytes);
    if (bytes > KEPT_BYTES_MAX) return new Memory(Buffer.allocUnsafeSlow(bytes), false);
    const known = this.#free[classOf(bytes)]?.pop();
    if (known === undefined) return new Memory(Buffer.allocUnsafeSlow(classBytes(bytes)), false);
    this.#freeBytes -= known.bytes.length;
    return known;
  }

  #cut(bytes: number): Memory {
    const length = (bytes + 7) & ~7;
    if (this.#shared.to + length > this.#shared.bytes.length)
      this.#shared = new Memory(Buffer.allocUnsafeSlow(SHARED_BYTES), true);
    const shared = this.#shared;
    shared.from = shared.to;
    shared.to += length;
    return shared;
  }

  /** Of the room of `bytes` that ended at `to`, nothing is needed from `end` on. */
  trim(bytes: Uint8Array, end: number, to: number): void {
    const shared = this.#shared;
    if (shared.bytes === bytes && shared.to === to) shared.to = (end + 7) & ~7;
  }

  /** Nobody looks at what is in `memory` any more. */
  give(memory: Memory): void {
    const { length } = memory.bytes;
    if (memory.shared || length > KEPT_BYTES_MAX) return;
    const kept = classOf(length);
    // Sizes that were asked for once must not be in the way of those that are asked for now.
    if (this.#freeBytes + length > FREE_BYTES_MAX) this.#forgetAllBut(kept);
    if (this.#freeBytes + length > FREE_BYTES_MAX) return;
    this.#freeBytes += length;
    const free = this.#free[kept];
    if (free !== undefined) free.push(memory);
    else {
      while (this.#free.length < kept) this.#free.push([]);
      this.#free[kept] = [memory];
    }
  }

  #forgetAllBut(kept: number): void {
    this.#freeBytes = 0;
    for (const [at, free] of this.#free.entries())
      if (at === kept) for (const { bytes } of free) this.#freeBytes += bytes.length;
      else free.length = 0;
  }
}

/** Of the last byte's place, the power of two and the quarter of it. */
function classOf(bytes: number): number {
  const power = 31 - Math.clz32(bytes - 1);
  return ((power - 10) << 2) | (((bytes - 1) >>> (power - 2)) & 3);
}

/** The most that its class holds. */
function classBytes(bytes: number): number {
  const quarter = 29 - Math.clz32(bytes - 1);
  return (((bytes - 1) >>> quarter) + 1) << quarter;
}
