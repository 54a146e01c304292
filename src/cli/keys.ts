// The keys of a workload, as strings that are made before they are needed. Inserts add keys up to a limit; beyond it the key that came
// first is set once more and counts as the newest: neither the store nor this list grows for ever.

import type { Population } from './distributions.js';

/** Keys are kept as strings: more of them would measure the memory of the generator. */
export const KEYSPACE_MAX = 4_000_000;
/** What keys and values may take of a store, roughly. */
const INSERTED_BYTES_MAX: number = 256 << 20;

/** Which of the load generators this is. */
export interface Place {
  readonly generator: number;
  readonly generators: number;
}

export const ALONE: Place = { generator: 0, generators: 1 };

/** Keys that there may be in all when some are inserted, of operations with so many bytes. */
export function keysMost(keyspace: number, operationBytes: number): number {
  return Math.max(
    keyspace,
    Math.min(KEYSPACE_MAX, Math.floor(INSERTED_BYTES_MAX / operationBytes)),
  );
}

/** Bytes that `count` different keys need: digits behind a one-letter prefix. */
export function keyBytesLeast(count: number): number {
  return 1 + String(count - 1).length;
}

export function keyName(prefix: string, number: number, bytes: number): string {
  // Through a Buffer: padStart alone gives ropes that are flattened on first use, inside the measurement.
  const text = prefix + String(number).padStart(bytes - 1, '0');
  return Buffer.from(text, 'latin1').toString('latin1');
}

export class Keys implements Population {
  readonly initial: number;
  readonly #names: string[];
  readonly #bytes: number;
  readonly #most: number;
  readonly #place: Place;
  #newest: number;

  constructor(options: {
    readonly keyspace: number;
    readonly keyBytes: number;
    /** Of all generators together. */
    readonly most: number;
    readonly place: Place;
  }) {
    const { keyspace, keyBytes, most, place } = options;
    this.initial = keyspace;
    this.#bytes = keyBytes;
    this.#place = place;
    this.#most = keyspace + Math.floor((most - keyspace) / place.generators);
    this.#names = Array.from({ length: keyspace }, (_, index) => keyName('k', index, keyBytes));
    this.#newest = keyspace - 1;
  }

  get names(): readonly string[] {
    return this.#names;
  }

  get count(): number {
    return this.#names.length;
  }

  get newest(): number {
    return this.#newest;
  }

  /** Makes `newest` the next key; no other generator inserts the same. @returns whether there is one more. */
  insert(): boolean {
    const { initial } = this;
    const names = this.#names;
    if (names.length >= this.#most) {
      this.#newest = (this.#newest + 1) % names.length;
      return false;
    }
    const { generator, generators } = this.#place;
    const number = initial + (names.length - initial) * generators + generator;
    this.#newest = names.length;
    names.push(keyName('k', number, this.#bytes));
    return true;
  }
}
