// Memory for the bytes of requests. Long ones use theirs again once the request is answered: 20 KB of fresh memory each time cost more in
// clearing and collecting than in filling them. Short ones share theirs: an allocation each would cost more than all they are for.
// Requests that are never answered keep theirs.

/** Up to here a request is a short one. */
const SHORT_BYTES = 1024;
/** What short ones are cut from; it is given up when the last of them is. */
const SHARED_BYTES: number = 64 << 10;
const BUFFER_BYTES = 8 << 10;
/** Larger ones are not worth keeping. */
const BUFFER_BYTES_MAX = 256 << 10;
const KEPT_BYTES: number = 4 << 20;

export class RequestBuffers {
  readonly #lent = new WeakSet<ArrayBufferLike>();
  readonly #free: Uint8Array[] = [];
  #freeBytes = 0;
  #shared = new ArrayBuffer(0);
  #sharedUsed = 0;

  /** Memory of at least `bytes` bytes, with rubbish in it. */
  take(bytes: number): Uint8Array {
    if (bytes <= SHORT_BYTES) return this.#takeShared(bytes);
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

  #takeShared(bytes: number): Uint8Array {
    if (this.#sharedUsed + bytes > this.#shared.byteLength) {
      this.#shared = new ArrayBuffer(SHARED_BYTES);
      this.#sharedUsed = 0;
    }
    const at = this.#sharedUsed;
    this.#sharedUsed += (bytes + 7) & ~7;
    return new Uint8Array(this.#shared, at, bytes);
  }

  /** `body` lies in memory of `take`, or elsewhere; nobody reads it any more. */
  give(body: Uint8Array): void {
    if (body.length <= SHORT_BYTES) return;
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
