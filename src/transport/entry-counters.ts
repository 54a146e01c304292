// How large the entries are that a replica makes as primary. They are counted where everybody can read them, so that an entry costs a
// few additions and nothing has to be published. Only the replica's own thread writes; its successor goes on counting.

import { CACHE_LINE_PAIR_BYTES } from './layout.js';

/** Entries of 1 request, 2, 3 to 4, 5 to 8 ... 2049 to 4096, the most that one may hold (N3). */
export const REQUEST_BUCKETS = 13;
/** Entries of up to 64 bytes, 128 ... 4 MiB, which the largest request does not fill. The least entry has 40. */
export const BYTE_BUCKETS = 17;
const LEAST_BYTES_POWER = 6;

// Words of float64, which count beyond 2^31.
const REQUESTS = 0;
const BYTES = 1;
const BY_REQUESTS = 2;
const BY_BYTES: number = BY_REQUESTS + REQUEST_BUCKETS;
export const ENTRY_COUNTERS_BYTES: number = 2 * CACHE_LINE_PAIR_BYTES;

/** Where `count`, from 1 on, stands among 1, 2, 3 to 4, 5 to 8 ... */
export function powerBucket(count: number): number {
  return 32 - Math.clz32(count - 1);
}

/** How large entries of the log were. Pairs rise by powers of two; each has what is above the one before, up to its own. */
export interface EntrySizes {
  entries: number;
  /** In all of them; clients that come and go make requests as well. */
  requests: number;
  /** Of their bodies: what `batch.maxBytes` limits. */
  bytes: number;
  /** Entries by the number of their requests, from `[1, …]` to `[4096, …]`. */
  byRequests: [upTo: number, entries: number][];
  /** Entries by the bytes of their bodies, from `[64, …]` to `[4 MiB, …]`. */
  byBytes: [upTo: number, entries: number][];
}

export class EntryCounters {
  readonly #words: Float64Array;

  constructor(memory: SharedArrayBuffer, at: number) {
    this.#words = new Float64Array(memory, at, BY_BYTES + BYTE_BUCKETS);
  }

  /** An entry of so many requests, whose body has `bytes`. */
  count(requests: number, bytes: number): void {
    this.#add(REQUESTS, requests);
    this.#add(BYTES, bytes);
    this.#add(BY_REQUESTS + powerBucket(requests), 1);
    const least = 2 ** LEAST_BYTES_POWER;
    this.#add(BY_BYTES + powerBucket((bytes + least - 1) >>> LEAST_BYTES_POWER), 1);
  }

  #add(word: number, by: number): void {
    this.#words[word] = (this.#words[word] as number) + by;
  }

  read(): EntrySizes {
    const buckets = (from: number, to: number, least: number): [number, number][] =>
      [...this.#words.subarray(from, to)].map((entries, bucket) => [least * 2 ** bucket, entries]);
    const byRequests = buckets(BY_REQUESTS, BY_BYTES, 1);
    return {
      entries: byRequests.reduce((sum, [, entries]) => sum + entries, 0),
      requests: this.#words[REQUESTS] as number,
      bytes: this.#words[BYTES] as number,
      byRequests,
      byBytes: buckets(BY_BYTES, BY_BYTES + BYTE_BUCKETS, 2 ** LEAST_BYTES_POWER),
    };
  }
}
