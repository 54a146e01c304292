// A hash table from byte keys to records over the paged heap, by linear hashing: it grows and shrinks one bucket at a time, so no
// operation ever pays for a whole rehash. A bucket is one cache line of hashes and refs; a lookup touches it, then the record. The
// table knows of a record only where its key stands; what else is in there is the owner's.
//
//  bucket, 16 words:  allocator's | 7 hashes | 7 refs | ref of the overflow bucket
//  chunk:   64 buckets, one block (its header is the first word of its first bucket)
//  leaf:    block with the refs of 1023 chunks;  the root holds the refs of the leaves
//
// Entries of a chain of buckets are packed: only the last bucket has empty places, and an empty place has hash 0 and ref 0.

import { assert, violated } from '../protocol/assert.js';
import { type Allocator, ROOT_OWNER } from './allocator.js';
import type { PagedHeap } from './paged-heap.js';
import { tailWord } from './words.js';

const SLOTS = 7;
const REFS = SLOTS + 1;
const OVERFLOW = 15;
const BUCKET_BYTES = 64;
const BUCKET_UNITS = 4;
const CHUNK_SHIFT = 6;
const CHUNK_MASK = (1 << CHUNK_SHIFT) - 1;
const CHUNK_BYTES = 4096;
const CHUNK_UNITS = 256;
const LEAF_CHUNKS = 1023;
const LEAVES_MAX = 512;
const BUCKETS_FIRST = 64;

// Words of the root.
const COUNT = ROOT_OWNER;
const BUCKETS = ROOT_OWNER + 1;
const LEAVES = 512;

/** Keys per bucket, times two, above which one bucket is split, and below which two are merged. */
const SPLIT_ABOVE = 9;
const MERGE_BELOW = 3;
const MERGES_PER_REMOVE = 2;

/** 32 bits over a key's bytes, never 0. The seed is fixed: the layout depends on nothing else. */
export function hashKey(view: DataView, from: number, length: number): number {
  let hash = Math.imul(length, 0x9e3779b1);
  let at = from;
  for (const end = from + (length & ~3); at < end; at += 4) {
    hash = Math.imul(hash ^ view.getInt32(at, true), 0x85ebca6b);
    hash ^= hash >>> 15;
  }
  for (const end = from + length; at < end; at++)
    hash = Math.imul(hash ^ view.getUint8(at), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0xc2b2ae35);
  hash ^= hash >>> 13;
  return hash === 0 ? 1 : hash;
}

export class ByteTable {
  readonly #heap: PagedHeap;
  readonly #allocator: Allocator;
  /** Word of a record at which its key begins. */
  readonly #keyWord: number;
  // Mirrors of the pages, for speed: read again by `reload`.
  #buckets = 0;
  #mask = 0;
  #chunks: Int32Array = new Int32Array(16);
  #chunksMoved = false;

  constructor(options: { heap: PagedHeap; allocator: Allocator; keyWord: number }) {
    this.#heap = options.heap;
    this.#allocator = options.allocator;
    this.#keyWord = options.keyWord;
    if (this.#heap.root[BUCKETS] === 0) {
      assert(this.#addChunk(0), 'the first chunk fits into an empty heap');
      this.#zeroBuckets(this.#bucketRef(0), BUCKETS_FIRST);
      this.#setBuckets(BUCKETS_FIRST);
    } else this.reload();
  }

  get count(): number {
    return this.#heap.root[COUNT] as number;
  }

  // ── mirrors ──

  /** Reads the mirrors again, after the pages were replaced. */
  reload(): void {
    this.#chunksMoved = false;
    this.#mirrorBuckets();
    const { root } = this.#heap;
    for (let chunk = 0; chunk << CHUNK_SHIFT < this.#buckets; chunk++) {
      const leaf = root[LEAVES + Math.floor(chunk / LEAF_CHUNKS)] as number;
      this.#mirrorChunk(chunk, this.#word(leaf, 1 + (chunk % LEAF_CHUNKS)));
    }
  }

  /** Before an undo is opened. */
  undoBegins(): void {
    this.#chunksMoved = false;
  }

  /** After an undo was rolled back. */
  rolledBack(): void {
    if (this.#chunksMoved) this.reload();
    else this.#mirrorBuckets();
  }

  #mirrorBuckets(): void {
    this.#buckets = this.#heap.root[BUCKETS] as number;
    this.#mask = 2 ** (32 - Math.clz32(this.#buckets)) - 1;
  }

  #mirrorChunk(chunk: number, ref: number): void {
    if (chunk >= this.#chunks.length) {
      const grown = new Int32Array(this.#chunks.length * 2);
      grown.set(this.#chunks);
      this.#chunks = grown;
    }
    this.#chunks[chunk] = ref;
  }

  #setBuckets(buckets: number): void {
    this.#setRoot(BUCKETS, buckets);
    this.#mirrorBuckets();
  }

  // ── words ──

  #setRoot(word: number, value: number): void {
    this.#heap.touchRoot(word, 1);
    this.#heap.root[word] = value;
  }

  #word(ref: number, word: number): number {
    const { words, segmentShift, segmentMask } = this.#heap;
    return (words[ref >>> segmentShift] as Int32Array)[((ref & segmentMask) << 2) + word] as number;
  }

  #setWord(ref: number, word: number, value: number): void {
    const { words, segmentShift, segmentMask } = this.#heap;
    this.#heap.touch(ref, word * 4, 4);
    (words[ref >>> segmentShift] as Int32Array)[((ref & segmentMask) << 2) + word] = value;
  }

  #setEntry(bucket: number, slot: number, hash: number, ref: number): void {
    this.#setWord(bucket, slot, hash);
    this.#setWord(bucket, slot + SLOTS, ref);
  }

  #zeroBuckets(ref: number, count: number): void {
    const { words, segmentShift, segmentMask } = this.#heap;
    const memory = words[ref >>> segmentShift] as Int32Array;
    const from = (ref & segmentMask) << 2;
    this.#heap.touch(ref, 4, count * BUCKET_BYTES - 4);
    memory.fill(0, from + 1, from + count * (BUCKET_BYTES / 4));
  }

  // ── buckets ──

  #bucketRef(bucket: number): number {
    return (this.#chunks[bucket >>> CHUNK_SHIFT] as number) + (bucket & CHUNK_MASK) * BUCKET_UNITS;
  }

  #bucketOf(hash: number): number {
    const wide = hash & this.#mask;
    return this.#bucketRef(wide < this.#buckets ? wide : hash & (this.#mask >>> 1));
  }

  #addOverflow(bucket: number): number {
    const added = this.#allocator.allocate(BUCKET_BYTES);
    if (added === 0) return 0;
    this.#zeroBuckets(added, 1);
    this.#setWord(bucket, OVERFLOW, added);
    return added;
  }

  /** @returns false when the heap is full. */
  #addChunk(chunk: number): boolean {
    const leafWord = LEAVES + Math.floor(chunk / LEAF_CHUNKS);
    if ((this.#heap.root[leafWord] as number) === 0) {
      const leaf = this.#allocator.allocate(CHUNK_BYTES);
      if (leaf === 0) return false;
      this.#setRoot(leafWord, leaf);
    }
    const ref = this.#allocator.allocate(CHUNK_BYTES);
    if (ref === 0) return false;
    this.#setWord(this.#heap.root[leafWord] as number, 1 + (chunk % LEAF_CHUNKS), ref);
    this.#mirrorChunk(chunk, ref);
    this.#chunksMoved = true;
    return true;
  }

  #dropChunk(chunk: number): void {
    this.#allocator.free(this.#chunks[chunk] as number);
    this.#chunksMoved = true;
    if (chunk % LEAF_CHUNKS !== 0) return;
    const leafWord = LEAVES + chunk / LEAF_CHUNKS;
    this.#allocator.free(this.#heap.root[leafWord] as number);
    this.#setRoot(leafWord, 0);
  }

  // ── keys ──

  /**
   * The record of the key `view[from..from+length)`, or 0. Keys of records are padded with zeros to whole words; the upper
   * bits of the second word of a record are its length. In one function, for most of an operation's time is spent here.
   */
  find(view: DataView, from: number, length: number, hash: number): number {
    const { words, segmentShift, segmentMask } = this.#heap;
    const keyWord = this.#keyWord;
    const whole = from + (length & ~3);
    let bucket = this.#bucketOf(hash);
    do {
      const memory = words[bucket >>> segmentShift] as Int32Array;
      const first = ((bucket & segmentMask) << 2) + 1;
      for (let slot = first; slot < first + SLOTS; slot++) {
        if (memory[slot] !== hash) continue;
        const ref = memory[slot + SLOTS] as number;
        const record = words[ref >>> segmentShift] as Int32Array;
        const start = (ref & segmentMask) << 2;
        if ((record[start + 1] as number) >>> 21 !== length) continue;
        let word = start + keyWord;
        let at = from;
        while (at < whole && record[word] === view.getInt32(at, true)) {
          word++;
          at += 4;
        }
        if (at < whole) continue;
        if ((length & 3) === 0 || record[word] === tailWord(view, from, length)) return ref;
      }
      bucket = memory[first - 1 + OVERFLOW] as number;
    } while (bucket !== 0);
    return 0;
  }

  /** Enters a record whose key is not in the table. @returns false when the heap is full: roll back then. */
  insert(hash: number, ref: number): boolean {
    let bucket = this.#bucketOf(hash);
    for (let next = this.#word(bucket, OVERFLOW); next !== 0; next = this.#word(bucket, OVERFLOW))
      bucket = next;
    let slot = 1;
    while (slot <= SLOTS && this.#word(bucket, slot) !== 0) slot++;
    if (slot > SLOTS) {
      bucket = this.#addOverflow(bucket);
      if (bucket === 0) return false;
      slot = 1;
    }
    this.#setEntry(bucket, slot, hash, ref);
    this.#setRoot(COUNT, this.count + 1);
    this.#grow();
    return true;
  }

  /** The record of a key moved. */
  replace(hash: number, before: number, after: number): void {
    let bucket = this.#bucketOf(hash);
    for (; bucket !== 0; bucket = this.#word(bucket, OVERFLOW))
      for (let slot = REFS; slot < REFS + SLOTS; slot++)
        if (this.#word(bucket, slot) === before) {
          this.#setWord(bucket, slot, after);
          return;
        }
    violated(`record ${before} is not in its bucket`);
  }

  /** Takes a record out; its block stays the caller's. Never needs room. */
  remove(hash: number, ref: number): void {
    let found = 0;
    let foundSlot = 0;
    let before = 0;
    let bucket = this.#bucketOf(hash);
    for (;;) {
      for (let slot = 1; slot <= SLOTS && found === 0; slot++)
        if (this.#word(bucket, slot + SLOTS) === ref) {
          found = bucket;
          foundSlot = slot;
        }
      const next = this.#word(bucket, OVERFLOW);
      if (next === 0) break;
      before = bucket;
      bucket = next;
    }
    if (found === 0) violated(`record ${ref} is not in its bucket`);
    // The last entry of the chain takes the place, so that the chain stays packed.
    let last = SLOTS;
    while (this.#word(bucket, last) === 0) last--;
    this.#setEntry(found, foundSlot, this.#word(bucket, last), this.#word(bucket, last + SLOTS));
    this.#setEntry(bucket, last, 0, 0);
    if (last === 1 && before !== 0) {
      this.#setWord(before, OVERFLOW, 0);
      this.#allocator.free(bucket);
    }
    this.#setRoot(COUNT, this.count - 1);
    this.#shrink();
  }

  // ── growth ──

  /** Splits the bucket whose turn it is, when the table is full enough. Without room, chains become longer instead. */
  #grow(): void {
    const buckets = this.#buckets;
    if (this.count * 2 <= buckets * SPLIT_ABOVE) return;
    const source = buckets - ((this.#mask + 1) >>> 1);
    const from = this.#bucketRef(source);
    let units = 2 * CHUNK_UNITS;
    for (let at = this.#word(from, OVERFLOW); at !== 0; at = this.#word(at, OVERFLOW))
      units += BUCKET_UNITS;
    if (!this.#allocator.hasRoom(units, CHUNK_UNITS)) return;
    if ((buckets & CHUNK_MASK) === 0) {
      if (buckets >>> CHUNK_SHIFT >= LEAVES_MAX * LEAF_CHUNKS) return;
      assert(this.#addChunk(buckets >>> CHUNK_SHIFT), 'room for a chunk was found before');
    }
    this.#split(from, this.#bucketRef(buckets), buckets);
    this.#setBuckets(buckets + 1);
  }

  /** Moves the entries that belong to bucket number `number` from the chain `from` to the new bucket `to`. */
  #split(from: number, to: number, number: number): void {
    const mask = this.#mask;
    this.#zeroBuckets(to, 1);
    let keep = from;
    let keepSlot = 0;
    let move = to;
    let moveSlot = 0;
    for (let at = from; at !== 0; at = this.#word(at, OVERFLOW))
      for (let slot = 1; slot <= SLOTS; slot++) {
        const hash = this.#word(at, slot);
        const ref = this.#word(at, slot + SLOTS);
        if (ref === 0) break;
        if ((hash & mask) === number) {
          if (moveSlot === SLOTS) {
            move = this.#addOverflow(move);
            assert(move !== 0, 'room for overflow was found before');
            moveSlot = 0;
          }
          this.#setEntry(move, ++moveSlot, hash, ref);
        } else {
          if (keepSlot === SLOTS) {
            keep = this.#word(keep, OVERFLOW);
            keepSlot = 0;
          }
          keepSlot++;
          if (keep !== at || keepSlot !== slot) this.#setEntry(keep, keepSlot, hash, ref);
        }
      }
    this.#cutChain(keep, keepSlot);
  }

  /** Ends a chain behind `slot` of `bucket`. */
  #cutChain(bucket: number, slot: number): void {
    for (let empty = slot + 1; empty <= SLOTS; empty++)
      if (this.#word(bucket, empty) !== 0) this.#setEntry(bucket, empty, 0, 0);
    let rest = this.#word(bucket, OVERFLOW);
    if (rest === 0) return;
    this.#setWord(bucket, OVERFLOW, 0);
    while (rest !== 0) {
      const next = this.#word(rest, OVERFLOW);
      this.#allocator.free(rest);
      rest = next;
    }
  }

  /** Merges buckets back when few keys are left: two at a time, so that the table is as small as it was when the last key goes. */
  #shrink(): void {
    for (let merges = 0; merges < MERGES_PER_REMOVE; merges++)
      if (this.count * 2 >= this.#buckets * MERGE_BELOW || !this.#mergeLast()) return;
  }

  /** Merges the last bucket into the one it was split from. @returns false when they do not fit without overflow. */
  #mergeLast(): boolean {
    const last = this.#buckets - 1;
    if (last < BUCKETS_FIRST) return false;
    const from = this.#bucketRef(last);
    const to = this.#bucketRef(last - 2 ** (31 - Math.clz32(last)));
    const moving = this.#fill(from);
    const there = this.#fill(to);
    if (moving < 0 || there < 0 || moving + there > SLOTS) return false;
    for (let slot = 1; slot <= moving; slot++)
      this.#setEntry(to, there + slot, this.#word(from, slot), this.#word(from, slot + SLOTS));
    this.#setBuckets(last);
    if ((last & CHUNK_MASK) === 0) this.#dropChunk(last >>> CHUNK_SHIFT);
    return true;
  }

  /** Entries of a bucket, -1 when it has overflow. */
  #fill(bucket: number): number {
    if (this.#word(bucket, OVERFLOW) !== 0) return -1;
    let slot = 0;
    while (slot < SLOTS && this.#word(bucket, slot + 1) !== 0) slot++;
    return slot;
  }
}
