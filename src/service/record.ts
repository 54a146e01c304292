// Records of the key-value store in the paged heap: one block per key with its revisions, key and value. Key and value begin on
// whole words, so that they are compared and copied by words; the gap behind a key is zero.
//
//  words   allocator's | key bytes << 21 | value bytes | revision (float64) | created (float64) | key ... | value ...

import { blockUnits } from './allocator.js';
import { type PagedHeap, UNIT_BYTES } from './paged-heap.js';
import { bytesOf, tailWord, wordsIn, wordsOut } from './words.js';

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

  constructor(heap: PagedHeap) {
    this.#heap = heap;
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
    key: { readonly view: DataView; readonly keyAt: number; readonly keyBytes: number },
    value: { readonly view: DataView; readonly from: number; readonly length: number },
    revisions: { readonly revision: number; readonly created: number },
  ): void {
    const { keyBytes } = key;
    this.#heap.touch(ref, 4, recordBytes(keyBytes, value.length) - 4);
    const words = this.#words(ref);
    const start = this.#start(ref);
    const doubles = this.#doubles(ref);
    words[start + LENGTHS] = (keyBytes << 21) | value.length;
    doubles[(start >>> 1) + REVISION] = revisions.revision;
    doubles[(start >>> 1) + CREATED] = revisions.created;
    const keyWord = start + KEY_WORD;
    wordsIn(words, keyWord, key.view, key.keyAt, keyBytes);
    if ((keyBytes & 3) !== 0)
      words[keyWord + (keyBytes >>> 2)] = tailWord(key.view, key.keyAt, keyBytes);
    this.#copyIn(ref, keyWord + ((keyBytes + 3) >>> 2), value.view, value.from, value.length);
  }

  /**
   * Puts another value into a record whose block is the place for it. In one function, as `ByteTable.find` is.
   * @returns false, with nothing changed, when the block is too small, or so large that much of it would be idle.
   */
  overwrite(ref: number, view: DataView, from: number, length: number, revision: number): boolean {
    const { segmentShift, segmentMask } = this.#heap;
    const segment = ref >>> segmentShift;
    const words = this.#heap.words[segment] as Int32Array;
    const start = (ref & segmentMask) << 2;
    const keyBytes = (words[start + LENGTHS] as number) >>> 21;
    const bytes = recordBytes(keyBytes, length);
    const units = blockUnits(words[start] as number);
    const idle = units - ((bytes + UNIT_BYTES - 1) >>> 4);
    if (idle < 0 || (idle > IDLE_UNITS && idle > units >>> 2)) return false;
    this.#heap.touch(ref, 4, bytes - 4);
    words[start + LENGTHS] = (keyBytes << 21) | length;
    (this.#heap.doubles[segment] as Float64Array)[(start >>> 1) + REVISION] = revision;
    const word = start + KEY_WORD + ((keyBytes + 3) >>> 2);
    if (length > LONG_BYTES) this.#copyIn(ref, word, view, from, length);
    else {
      wordsIn(words, word, view, from, length);
      const memory = this.#heap.bytes[segment] as Uint8Array;
      for (let at = length & ~3; at < length; at++)
        memory[(word << 2) + at] = view.getUint8(from + at);
    }
    return true;
  }

  #copyIn(ref: number, word: number, view: DataView, from: number, length: number): void {
    const bytes = this.#heap.bytes[ref >>> this.#heap.segmentShift] as Uint8Array;
    if (length > LONG_BYTES) {
      bytes.set(bytesOf(view, from, length), word << 2);
      return;
    }
    wordsIn(this.#words(ref), word, view, from, length);
    for (let at = length & ~3; at < length; at++)
      bytes[(word << 2) + at] = view.getUint8(from + at);
  }

  /** Copies the value to `view` at `to`, where there is room for three bytes more than the value. */
  copyOut(ref: number, view: DataView, to: number): void {
    const { segmentShift, segmentMask } = this.#heap;
    const segment = ref >>> segmentShift;
    const words = this.#heap.words[segment] as Int32Array;
    const start = (ref & segmentMask) << 2;
    const lengths = words[start + LENGTHS] as number;
    const length = lengths & VALUE_MASK;
    const word = start + KEY_WORD + (((lengths >>> 21) + 3) >>> 2);
    // Blocks end on whole words, so reading past the end of a value stays in its block.
    if (length <= LONG_BYTES) wordsOut(words, word, view, to, length);
    else {
      const bytes = this.#heap.bytes[segment] as Uint8Array;
      bytesOf(view, to, length).set(bytes.subarray(word << 2, (word << 2) + length));
    }
  }

  sameValue(ref: number, view: DataView, from: number, length: number): boolean {
    if (this.valueBytes(ref) !== length) return false;
    const words = this.#words(ref);
    const bytes = this.#heap.bytes[ref >>> this.#heap.segmentShift] as Uint8Array;
    const word = this.#valueWord(ref);
    const whole = length & ~3;
    for (let at = 0; at < whole; at += 4)
      if (words[word + (at >>> 2)] !== view.getInt32(from + at, true)) return false;
    for (let at = whole; at < length; at++)
      if (bytes[(word << 2) + at] !== view.getUint8(from + at)) return false;
    return true;
  }
}
