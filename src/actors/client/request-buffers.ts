// Memory for the bytes of requests. Long ones use theirs again once the request is answered: 20 KB of fresh memory each time cost more in
// clearing and collecting than in filling them. Requests that are never answered keep theirs.

import type { WriterMemory } from '../../service/writer-memory.js';
import { type Memory, MemoryPool } from './memory-pool.js';

/** Up to here a request shares memory, or lies in memory that was to hold more; it is not given back. */
const SHORT_BYTES = 1024;
const BUFFER_BYTES: number = 8 << 10;

export class RequestBuffers implements WriterMemory {
  readonly #pool = new MemoryPool();
  readonly #lent = new WeakMap<ArrayBufferLike, Memory>();

  take(bytes: number): Memory {
    if (bytes <= SHORT_BYTES) return this.#pool.take(bytes);
    const memory = this.#pool.take(Math.max(bytes, BUFFER_BYTES));
    this.#lent.set(memory.bytes.buffer, memory);
    return memory;
  }

  trim(bytes: Uint8Array, end: number, to: number): void {
    this.#pool.trim(bytes, end, to);
  }

  /** `body` lies in memory of `take`, or elsewhere; nobody reads it any more. */
  give(body: Uint8Array): void {
    if (body.length <= SHORT_BYTES) return;
    const { buffer } = body;
    const memory = this.#lent.get(buffer);
    if (memory === undefined) return;
    this.#lent.delete(buffer);
    this.#pool.give(memory);
  }
}
