// Randomness and digests from numbers alone: the same on every machine and every version of Node.

/** Not cryptographic, pure, and good enough for logs of a few thousand entries. */
export function digest64(bytes: Uint8Array, from: number, to: number, out: Uint32Array): void {
  let low = 0x811c9dc5 ^ (to - from);
  let high = 0x9e3779b9;
  for (let at = from; at < to; at++) {
    low = Math.imul(low ^ (bytes[at] as number), 0x01000193);
    high = Math.imul(high ^ low ^ (low >>> 13), 0x85ebca6b) + 0x7f4a7c15;
  }
  out[0] = Math.imul(low ^ (high >>> 16), 0xc2b2ae35) >>> 0;
  out[1] = Math.imul(high ^ (low >>> 15), 0x27d4eb2f) >>> 0;
}

/** mulberry32: unsigned 32-bit numbers from a seed. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}
