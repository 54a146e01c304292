// A hash table of byte keys over the paged heap, by linear hashing: it grows one bucket at a time, so no operation ever pays for
// a whole rehash, and it needs no marks for deleted keys. One record per key holds key, value and revisions; no JavaScript
// object exists per key.
//
//  record, in words:  class | next | hash | key bytes | value bytes | - | revision (float64) | created (float64) | key | value
//
// The value begins at the next multiple of 4 behind the key.

import { assert } from '../protocol/assert.js';
import { PagedHeap } from './paged-heap.js';

const NEXT = 1;
const HASH = 2;
const KEY_BYTES = 3;
const VALUE_BYTES = 4;
const REVISION = 3; // in doubles
const CREATED = 4;
export const RECORD_BYTES = 40;

// Words of the root that belong to the table.
const COUNT = 0;
const BUCKETS = 1;
const REVISION_LOW = 2; // float64 at an even word
const DIRECTORIES = 8;
const DIRECTORIES_MAX = 4096;
/** Buckets per directory block. */
const DIRECTORY_SHIFT = 14;
const DIRECTORY_BUCKETS = 1 << DIRECTORY_SHIFT;
const DIRECTORY_BYTES = 16 + DIRECTORY_BUCKETS * 4;
const BUCKETS_FIRST = 1024;
/** Keys per bucket beyond which one more bucket is split off: 3/4. */
const LOAD_NUMERATOR = 3;
const LOAD_DENOMINATOR = 4;
/** Above this `set` beats a loop over words. */
const LONG_COPY_BYTES = 160;

/** Where the bytes of a key stand: in a request, for the length of one call. */
export interface KeySource {
  bytes: Uint8Array;
  view: DataView;
}

export class ByteTable {
  readonly heap: PagedHeap;
  /** Words of each directory block, found again from the root after a restore. */
  #directories: Int32Array[] = [];
  #directoryAt: number[] = [];
  #rootDouble: number;

  constructor(heap: PagedHeap) {
    this.heap = heap;
    this.#rootDouble = heap.userWord(REVISION_LOW) / 2;
    if (this.#root(BUCKETS) === 0) {
      this.#setRoot(BUCKETS, BUCKETS_FIRST);
      assert(this.#addDirectory(), 'the first directory fits into an empty heap');
    } else this.reopen();
  }

  /** Finds the directories again after the pages were replaced. */
  reopen(): void {
    this.#directories = [];
    this.#directoryAt = [];
    for (let at = 0; at < DIRECTORIES_MAX; at++) {
      const address = this.#root(DIRECTORIES + at) >>> 0;
      if (address === 0) break;
      this.#open(address);
    }
  }

  #open(address: number): void {
    this.#directories.push(this.heap.wordsOf(address));
    this.#directoryAt.push((this.heap.offsetOf(address) + 16) >>> 2);
  }

  #root(word: number): number {
    return this.heap.rootWords[this.heap.userWord(word)] as number;
  }

  #setRoot(word: number, value: number): void {
    const at = this.heap.userWord(word);
    this.heap.touchRoot(at);
    this.heap.rootWords[at] = value;
  }

  get count(): number {
    return this.#root(COUNT);
  }

  /** The store's counter of changes. */
  get revision(): number {
    return this.heap.doublesOf(0)[this.#rootDouble] as number;
  }

  set revision(value: number) {
    this.heap.touchRoot(this.#rootDouble * 2);
    this.heap.doublesOf(0)[this.#rootDouble] = value;
  }

  #addDirectory(): boolean {
    const index = this.#directories.length;
    if (index >= DIRECTORIES_MAX) return false;
    const address = this.heap.allocate(DIRECTORY_BYTES);
    if (address === 0) return false;
    this.heap.touch(address, DIRECTORY_BYTES);
    const words = this.heap.wordsOf(address);
    const from = (this.heap.offsetOf(address) >>> 2) + 1;
    words.fill(0, from, from + DIRECTORY_BUCKETS + 3);
    this.#setRoot(DIRECTORIES + index, address);
    this.#open(address);
    return true;
  }

  // ── buckets ──

  #bucketOf(hash: number): number {
    const buckets = this.#root(BUCKETS);
    // Linear hashing: the largest power of two not above `buckets`, and one more bit where the bucket is already split.
    const low = 1 << (31 - Math.clz32(buckets));
    const wide = hash & (low * 2 - 1);
    return wide < buckets ? wide : hash & (low - 1);
  }

  #head(bucket: number): number {
    const index = bucket >>> DIRECTORY_SHIFT;
    const words = this.#directories[index] as Int32Array;
    return words[
      (this.#directoryAt[index] as number) + (bucket & (DIRECTORY_BUCKETS - 1))
    ] as number;
  }

  #setHead(bucket: number, address: number): void {
    const index = bucket >>> DIRECTORY_SHIFT;
    const words = this.#directories[index] as Int32Array;
    const at = (this.#directoryAt[index] as number) + (bucket & (DIRECTORY_BUCKETS - 1));
    const block = this.#root(DIRECTORIES + index) >>> 0;
    this.heap.touch(block + ((16 + (bucket & (DIRECTORY_BUCKETS - 1)) * 4) >>> 4), 4);
    words[at] = address;
  }

  #next(address: number): number {
    return this.heap.wordsOf(address)[(this.heap.offsetOf(address) >>> 2) + NEXT] as number;
  }

  #setNext(address: number, next: number): void {
    this.heap.touch(address, 8);
    this.heap.wordsOf(address)[(this.heap.offsetOf(address) >>> 2) + NEXT] = next;
  }

  /** Splits the bucket whose turn it is, when the table is full enough. A heap without room makes chains longer instead. */
  #grow(): void {
    const buckets = this.#root(BUCKETS);
    if (this.count * LOAD_DENOMINATOR <= buckets * LOAD_NUMERATOR) return;
    if (buckets >= this.#directories.length << DIRECTORY_SHIFT && !this.#addDirectory()) return;
    const low = 1 << (31 - Math.clz32(buckets));
    const source = buckets - low;
    this.#setRoot(BUCKETS, buckets + 1);
    let address = this.#head(source);
    let stay = 0;
    let move = 0;
    while (address !== 0) {
      const next = this.#next(address);
      const hash = this.heap.wordsOf(address)[(this.heap.offsetOf(address) >>> 2) + HASH] as number;
      if ((hash & (low * 2 - 1)) === buckets) {
        this.#setNext(address, move);
        move = address;
      } else {
        this.#setNext(address, stay);
        stay = address;
      }
      address = next;
    }
    this.#setHead(source, stay);
    this.#setHead(buckets, move);
  }

  // ── keys ──

  /** 31 bits over the key's bytes. */
  static hash(source: KeySource, from: number, length: number): number {
    const { view, bytes } = source;
    let hash = Math.imul(length, 0x9e3779b1);
    const words = from + (length & ~3);
    let at = from;
    for (; at < words; at += 4) {
      hash = Math.imul(hash ^ view.getInt32(at, true), 0x85ebca6b);
      hash ^= hash >>> 15;
    }
    for (const end = from + length; at < end; at++)
      hash = Math.imul(hash ^ (bytes[at] as number), 0x01000193);
    hash ^= hash >>> 16;
    hash = Math.imul(hash, 0xc2b2ae35);
    return (hash ^ (hash >>> 13)) & 0x7fffffff;
  }

  /** @returns the record of the key at `from`, or 0. */
  find(source: KeySource, from: number, length: number, hash: number): number {
    let address = this.#head(this.#bucketOf(hash));
    while (address !== 0) {
      const words = this.heap.wordsOf(address);
      const at = this.heap.offsetOf(address) >>> 2;
      if (
        words[at + HASH] === hash &&
        words[at + KEY_BYTES] === length &&
        this.#sameKey(address, source, from, length)
      )
        return address;
      address = words[at + NEXT] as number;
    }
    return 0;
  }

  #sameKey(address: number, source: KeySource, from: number, length: number): boolean {
    const words = this.heap.wordsOf(address);
    const word = (this.heap.offsetOf(address) + RECORD_BYTES) >>> 2;
    const whole = length >>> 2;
    for (let at = 0; at < whole; at++)
      if (words[word + at] !== source.view.getInt32(from + at * 4, true)) return false;
    const bytes = this.heap.bytesOf(address);
    const byte = this.heap.offsetOf(address) + RECORD_BYTES;
    for (let at = whole * 4; at < length; at++)
      if (bytes[byte + at] !== source.bytes[from + at]) return false;
    return true;
  }

  // ── records ──

  /** A block for a key and a value of these lengths; its content is the caller's. @returns 0 when the heap is full. */
  allocate(keyBytes: number, valueBytes: number): number {
    return this.heap.allocate(RECORD_BYTES + ((keyBytes + 3) & ~3) + valueBytes);
  }

  /** True when a value of `valueBytes` fits into the block of `address` without waste of a class. */
  fits(address: number, valueBytes: number): boolean {
    const words = this.heap.wordsOf(address);
    const at = this.heap.offsetOf(address) >>> 2;
    const keyBytes = words[at + KEY_BYTES] as number;
    const needed = RECORD_BYTES + ((keyBytes + 3) & ~3) + valueBytes;
    return PagedHeap.classFor(needed) === words[at];
  }

  /** Writes key and header of a new record; the value follows by `writeValue`. */
  writeKey(address: number, key: KeySource & { from: number; length: number; hash: number }): void {
    const { length, from } = key;
    this.heap.touch(address, RECORD_BYTES + length + 4);
    const words = this.heap.wordsOf(address);
    const at = this.heap.offsetOf(address) >>> 2;
    words[at + HASH] = key.hash;
    words[at + KEY_BYTES] = length;
    words[at + VALUE_BYTES] = 0;
    words[at + VALUE_BYTES + 1] = 0;
    this.#copyIn(address, RECORD_BYTES, key, from, length);
  }

  writeValue(address: number, value: KeySource & { from: number; length: number }): void {
    const words = this.heap.wordsOf(address);
    const at = this.heap.offsetOf(address) >>> 2;
    const offset = RECORD_BYTES + (((words[at + KEY_BYTES] as number) + 3) & ~3);
    this.heap.touch(address, offset + value.length + 4);
    words[at + VALUE_BYTES] = value.length;
    this.#copyIn(address, offset, value, value.from, value.length);
  }

  #copyIn(address: number, offset: number, source: KeySource, from: number, length: number): void {
    const bytes = this.heap.bytesOf(address);
    const base = this.heap.offsetOf(address) + offset;
    if (length > LONG_COPY_BYTES) {
      bytes.set(source.bytes.subarray(from, from + length), base);
      return;
    }
    const words = this.heap.wordsOf(address);
    const word = base >>> 2;
    const whole = length >>> 2;
    for (let at = 0; at < whole; at++) words[word + at] = source.view.getInt32(from + at * 4, true);
    for (let at = whole * 4; at < length; at++)
      bytes[base + at] = source.bytes[from + at] as number;
  }

  setRevisions(address: number, revision: number, created: number): void {
    const doubles = this.heap.doublesOf(address);
    const at = this.heap.offsetOf(address) >>> 3;
    doubles[at + REVISION] = revision;
    doubles[at + CREATED] = created;
  }

  revisionOf(address: number): number {
    return this.heap.doublesOf(address)[(this.heap.offsetOf(address) >>> 3) + REVISION] as number;
  }

  createdOf(address: number): number {
    return this.heap.doublesOf(address)[(this.heap.offsetOf(address) >>> 3) + CREATED] as number;
  }

  valueBytes(address: number): number {
    return this.heap.wordsOf(address)[(this.heap.offsetOf(address) >>> 2) + VALUE_BYTES] as number;
  }

  /** Byte offset of the value in `heap.bytesOf(address)`. */
  valueOffset(address: number): number {
    const at = this.heap.offsetOf(address);
    const keyBytes = this.heap.wordsOf(address)[(at >>> 2) + KEY_BYTES] as number;
    return at + RECORD_BYTES + ((keyBytes + 3) & ~3);
  }

  hashOf(address: number): number {
    return this.heap.wordsOf(address)[(this.heap.offsetOf(address) >>> 2) + HASH] as number;
  }

  /** Puts a complete record into its bucket. */
  link(address: number): void {
    const bucket = this.#bucketOf(this.hashOf(address));
    this.#setNext(address, this.#head(bucket));
    this.#setHead(bucket, address);
    this.#setRoot(COUNT, this.count + 1);
    this.#grow();
  }

  /** Takes a record out of its bucket; its block stays the caller's. */
  unlink(address: number): void {
    const bucket = this.#bucketOf(this.hashOf(address));
    let before = 0;
    let at = this.#head(bucket);
    while (at !== address) {
      assert(at !== 0, `record ${address} is not in its bucket`);
      before = at;
      at = this.#next(at);
    }
    const next = this.#next(address);
    if (before === 0) this.#setHead(bucket, next);
    else this.#setNext(before, next);
    this.#setRoot(COUNT, this.count - 1);
  }
}
