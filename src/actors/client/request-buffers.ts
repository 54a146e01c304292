// Memory for the bytes of requests, used again once the request is answered: a request of 20 KB in fresh memory each time costs
// more in clearing and collecting it than in filling it. Requests that are never answered keep theirs.

const BUFFER_BYTES = 8 << 10;
/** Larger ones are not worth keeping. */
const BUFFER_BYTES_MAX = 256 << 10;
const KEPT_BYTES: number = 4 << 20;

export class RequestBuffers {
  readonly #lent = new WeakSet<ArrayBufferLike>();
  readonly #free: Uint8Array[] = [];
  #freeBytes = 0;

  /** Memory of at least `bytes` bytes, with rubbish in it; the whole of its buffer. */
  take(bytes: number): Uint8Array {
    while (this.#free.length > 0) {
      const buffer = this.#free.pop() as Uint8Array;
      this.#freeBytes -= buffer.length;
      // One that is too small is let go: those to come will be as large as this one.
      if (buffer.length >= bytes) return buffer;
    }
    const buffer = new Uint8Array(Math.max(bytes, BUFFER_BYTES));
    this.#lent.add(buffer.buffer);
    return buffer;
  }

  /** `body` lies in memory of `take`, or elsewhere; nobody reads it any more. */
  give(body: Uint8Array): void {
    const { buffer } = body;
    if (!this.#lent.has(buffer)) return;
    if (buffer.byteLength > BUFFER_BYTES_MAX || this.#freeBytes + buffer.byteLength > KEPT_BYTES) {
      this.#lent.delete(buffer);
      return;
    }
    this.#free.push(new Uint8Array(buffer));
    this.#freeBytes += buffer.byteLength;
  }
}
