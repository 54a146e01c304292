// Records of the key-value store in the paged heap: one block per key with its revisions, key and value. Key and value begin on
// whole words, so that they are compared and copied by words; the gap behind a key is zero.
//
//  words   allocator's | key bytes << 21 | value bytes | revision (float64) | created (float64) | key ... | value ...

import type { Allocator } from './allocator.js';
import { type PagedHeap, UNIT_BYTES } from './paged-heap.js';
import { type Span, tailWord } from './span.js';

const LENGTHS = 1;
const VALUE_MASK = (1 << 21) - 1;
const REVISION = 1; // in doubles
const CREATED = 2;
/** Word at which the key begins. */
export const KEY_WORD = 6;
/** Above this `TypedArray.set` beats a loop over words. */
const LONG_BYTES = 192;
/** A block is kept for a smaller value while so many units, or a quarter of it, would be idle. */
const IDLE_UNITS = 6;

export function recordBytes(keyBytes: number, valueBytes: number): number {
  return KEY_WORD * 4 + ((keyBytes + 3) & ~3) + valueBytes;
}

/** Reads and writes the fields of records; it knows nothing of tables or operations. */
export class Records {
  readonly #heap: PagedHeap;
  readonly #allocator: Allocator;

  constructor(heap: PagedHeap, allocator: Allocator) {
    this.#heap = heap;
    this.#allocator = allocator;
  }

  /** True when the block of `ref` is the place for a record of `bytes`. */
  fits(ref: number, bytes: number): boolean {
    const idle = this.#allocator.unitsOf(ref) - ((bytes + UNIT_BYTES - 1) >>> 4);
    return idle >= 0 && (idle <= IDLE_UNITS || idle <= this.#allocator.unitsOf(ref) >>> 2);
  }

  #start(ref: number): number {
    return (ref & this.#heap.segmentMask) << 2;
  }

  #words(ref: number): Int32Array {
    return this.#heap.words[ref >>> this.#heap.segmentShift] as Int32Array;
  }

  #doubles(ref: number): Float64Array {
    return this.#heap.doubles[ref >>> this.#heap.segmentShift] as Float64Array;
  }

  revision(ref: number): number {
    return this.#doubles(ref)[(this.#start(ref) >>> 1) + REVISION] as number;
  }

  created(ref: number): number {
    return this.#doubles(ref)[(this.#start(ref) >>> 1) + CREATED] as number;
  }

  valueBytes(ref: number): number {
    return (this.#words(ref)[this.#start(ref) + LENGTHS] as number) & VALUE_MASK;
  }

  #valueWord(ref: number): number {
    const start = this.#start(ref);
    const lengths = this.#words(ref)[start + LENGTHS] as number;
    return start + KEY_WORD + (((lengths >>> 21) + 3) >>> 2);
  }

  /** Writes a whole record into a fresh block. */
  write(
    ref: number,
    key: Span,
    value: Span,
    revisions: { revision: number; created: number },
  ): void {
    this.#heap.touch(ref, 4, recordBytes(key.length, value.length) - 4);
    const words = this.#words(ref);
    const start = this.#start(ref);
    const doubles = this.#doubles(ref);
    words[start + LENGTHS] = (key.length << 21) | value.length;
    doubles[(start >>> 1) + REVISION] = revisions.revision;
    doubles[(start >>> 1) + CREATED] = revisions.created;
    const keyWord = start + KEY_WORD;
    this.#copyIn(ref, keyWord, key);
    if ((key.length & 3) !== 0) words[keyWord + (key.length >>> 2)] = tailWord(key);
    this.#copyIn(ref, keyWord + ((key.length + 3) >>> 2), value);
  }

  /** Puts another value into a record whose block fits. */
  overwrite(ref: number, value: Span, revision: number): void {
    const words = this.#words(ref);
    const start = this.#start(ref);
    const keyBytes = (words[start + LENGTHS] as number) >>> 21;
    this.#heap.touch(ref, 4, recordBytes(keyBytes, value.length) - 4);
    words[start + LENGTHS] = (keyBytes << 21) | value.length;
    this.#doubles(ref)[(start >>> 1) + REVISION] = revision;
    this.#copyIn(ref, start + KEY_WORD + ((keyBytes + 3) >>> 2), value);
  }

  #copyIn(ref: number, word: number, span: Span): void {
    const bytes = this.#heap.bytes[ref >>> this.#heap.segmentShift] as Uint8Array;
    const { from, length } = span;
    if (length > LONG_BYTES) {
      bytes.set(span.bytes.subarray(from, from + length), word << 2);
      return;
    }
    const words = this.#words(ref);
    const { view } = span;
    const whole = length & ~3;
    for (let at = 0; at < whole; at += 4) words[word + (at >>> 2)] = view.getInt32(from + at, true);
    for (let at = whole; at < length; at++)
      bytes[(word << 2) + at] = span.bytes[from + at] as number;
  }

  /** Copies the value to `target.from`, where there is room for three bytes more than the value. */
  copyOut(ref: number, target: Span): void {
    const length = this.valueBytes(ref);
    const word = this.#valueWord(ref);
    const { from } = target;
    if (length > LONG_BYTES) {
      const bytes = this.#heap.bytes[ref >>> this.#heap.segmentShift] as Uint8Array;
      target.bytes.set(bytes.subarray(word << 2, (word << 2) + length), from);
      return;
    }
    // Blocks end on whole words, so reading past the end of a value stays in its block.
    const words = this.#words(ref);
    const { view } = target;
    for (let done = 0; done < length; done += 4)
      view.setInt32(from + done, words[word + (done >>> 2)] as number, true);
  }

  sameValue(ref: number, expected: Span): boolean {
    const { from, length } = expected;
    if (this.valueBytes(ref) !== length) return false;
    const words = this.#words(ref);
    const bytes = this.#heap.bytes[ref >>> this.#heap.segmentShift] as Uint8Array;
    const word = this.#valueWord(ref);
    const whole = length & ~3;
    for (let at = 0; at < whole; at += 4)
      if (words[word + (at >>> 2)] !== expected.view.getInt32(from + at, true)) return false;
    for (let at = whole; at < length; at++)
      if (bytes[(word << 2) + at] !== expected.bytes[from + at]) return false;
    return true;
  }
}
