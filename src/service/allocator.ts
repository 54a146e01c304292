// Who owns which bytes of the heap: blocks with boundary tags, free blocks merged with their neighbours at once and found by
// segregated lists (two levels, as in TLSF), so both directions take constant time and space freed in one size serves every other.
// All of its state lives in the pages: a heap restored from them allocates exactly like one that never stopped.
//
//  block   word 0: units << 2 | previous is free << 1 | free;  then what the owner puts there
//  free    word 1: next in its list, word 2: previous in its list, last word: units
//
// Blocks lie back to back from the root to `top`; what is freed below `top` lowers it. A block never spans two segments: what is left
// of a segment becomes a free block.

import { violated } from '../protocol/assert.js';
import { type PagedHeap, ROOT_HIGH, ROOT_WORDS, UNIT_BYTES } from './paged-heap.js';

const FREE = 1;
const PREVIOUS_FREE = 2;

// Words of the root; ROOT_HIGH is 1.
const TOP = 2;
const FREE_UNITS = 3;
/** One bit per level that has a free block, then one word per level with a bit per list. */
const LEVEL_MAP = 4;
const LIST_MAPS = 5;
const LEVELS = 18;
const LISTS_PER_LEVEL = 16;
const HEADS = 32;
/** First word of the root that is the owner's. */
export const ROOT_OWNER: number = HEADS + LEVELS * LISTS_PER_LEVEL;

/** Free blocks of a list that may be too small, looked at before a larger list is asked. */
const TRIES = 8;
/** Smaller rests stay with their block: no block of one unit is ever asked for. */
const REST_UNITS_MIN = 2;

/** Units of a block in use, from the first word of the block. */
export function blockUnits(header: number): number {
  return header >>> 2;
}

export class Allocator {
  readonly #heap: PagedHeap;

  constructor(heap: PagedHeap) {
    this.#heap = heap;
    const { root } = heap;
    if (root[TOP] === 0) {
      heap.touchRoot(ROOT_HIGH, 2);
      root[ROOT_HIGH] = (ROOT_WORDS * 4) / UNIT_BYTES;
      root[TOP] = (ROOT_WORDS * 4) / UNIT_BYTES;
    }
  }

  /** Bytes in blocks, the root included. */
  get usedBytes(): number {
    return (
      ((this.#heap.root[TOP] as number) - (this.#heap.root[FREE_UNITS] as number)) * UNIT_BYTES
    );
  }

  /** True when blocks of so many units in all surely fit behind everything; `largest` is the largest of them. */
  hasRoom(units: number, largest: number): boolean {
    return (this.#heap.root[TOP] as number) + units + 2 * largest <= this.#heap.limitUnits;
  }

  unitsOf(ref: number): number {
    return blockUnits(this.#wordOf(ref, 0));
  }

  #wordOf(ref: number, word: number): number {
    const { words, segmentShift, segmentMask } = this.#heap;
    return (words[ref >>> segmentShift] as Int32Array)[((ref & segmentMask) << 2) + word] as number;
  }

  #setWord(ref: number, word: number, value: number): void {
    const { words, segmentShift, segmentMask } = this.#heap;
    this.#heap.touch(ref, word * 4, 4);
    (words[ref >>> segmentShift] as Int32Array)[((ref & segmentMask) << 2) + word] = value;
  }

  #setRoot(word: number, value: number): void {
    this.#heap.touchRoot(word, 1);
    this.#heap.root[word] = value;
  }

  /**
   * A block for `bytes`, of which the first four are the allocator's; the rest holds whatever was there.
   * @returns its ref, or 0 when the heap is full: nothing has changed then.
   */
  allocate(bytes: number): number {
    const units = (bytes + UNIT_BYTES - 1) >>> 4;
    const block = this.#find(units);
    return block === 0 ? this.#extend(units) : this.#take(block, units);
  }

  #find(units: number): number {
    const root = this.#heap.root;
    const list = listOf(units);
    let block = root[HEADS + list] as number;
    for (let tries = TRIES; block !== 0 && tries > 0; tries--) {
      if (this.unitsOf(block) >= units) return block;
      block = this.#wordOf(block, 1);
    }
    let level = list >>> 4;
    let map = (root[LIST_MAPS + level] as number) & (-2 << (list & 15));
    if (map === 0) {
      const larger = (root[LEVEL_MAP] as number) & (-2 << level);
      if (larger === 0) return 0;
      level = lowestBit(larger);
      map = root[LIST_MAPS + level] as number;
    }
    return root[HEADS + level * LISTS_PER_LEVEL + lowestBit(map)] as number;
  }

  #take(block: number, units: number): number {
    const has = this.unitsOf(block);
    this.#unlist(block, has);
    if (has - units >= REST_UNITS_MIN) {
      this.#setWord(block, 0, units << 2);
      this.#list(block + units, has - units);
      return block;
    }
    this.#setWord(block, 0, has << 2);
    const next = block + has;
    if (this.#isBlock(next)) this.#setWord(next, 0, this.#wordOf(next, 0) & ~PREVIOUS_FREE);
    return block;
  }

  /** False where `ref` begins a segment (its first block has no neighbour before it) or is the top. */
  #isBlock(ref: number): boolean {
    return (ref & this.#heap.segmentMask) !== 0 && ref !== this.#heap.root[TOP];
  }

  #extend(units: number): number {
    const heap = this.#heap;
    const top = heap.root[TOP] as number;
    const left = heap.segmentMask + 1 - (top & heap.segmentMask);
    const start = units > left ? top + left : top;
    const end = start + units;
    if (end > heap.limitUnits || units > heap.segmentMask + 1) return 0;
    heap.extendTo(end);
    heap.touchRoot(ROOT_HIGH, 2);
    heap.root[TOP] = end;
    if (end > (heap.root[ROOT_HIGH] as number)) heap.root[ROOT_HIGH] = end;
    if (start !== top) this.#list(top, left);
    this.#setWord(start, 0, units << 2);
    return start;
  }

  /** Gives a block back. Never needs room. */
  free(ref: number): void {
    const header = this.#wordOf(ref, 0);
    if (!((header & FREE) === 0 && header >>> 2 > 0)) violated(`ref ${ref} is not a block in use`);
    let start = ref;
    let end = ref + (header >>> 2);
    if (this.#isBlock(end)) {
      const next = this.#wordOf(end, 0);
      if ((next & FREE) !== 0) {
        this.#unlist(end, next >>> 2);
        end += next >>> 2;
      }
    }
    if ((header & PREVIOUS_FREE) !== 0) {
      const before = this.#wordOf(start - 1, 3);
      start -= before;
      this.#unlist(start, before);
    }
    if (end === this.#heap.root[TOP]) {
      this.#setRoot(TOP, start);
      return;
    }
    this.#list(start, end - start);
    if (this.#isBlock(end)) this.#setWord(end, 0, this.#wordOf(end, 0) | PREVIOUS_FREE);
  }

  /** Makes a free block and puts it first into its list. */
  #list(ref: number, units: number): void {
    const root = this.#heap.root;
    const list = listOf(units);
    const next = root[HEADS + list] as number;
    this.#heap.touch(ref, 0, 12);
    const { words, segmentShift, segmentMask } = this.#heap;
    const block = words[ref >>> segmentShift] as Int32Array;
    const at = (ref & segmentMask) << 2;
    block[at] = (units << 2) | FREE;
    block[at + 1] = next;
    block[at + 2] = 0;
    this.#setWord(ref, units * 4 - 1, units);
    if (next !== 0) this.#setWord(next, 2, ref);
    this.#setRoot(HEADS + list, ref);
    this.#setRoot(
      LIST_MAPS + (list >>> 4),
      this.#bits(LIST_MAPS + (list >>> 4)) | (1 << (list & 15)),
    );
    this.#heap.touchRoot(FREE_UNITS, 2);
    root[FREE_UNITS] = (root[FREE_UNITS] as number) + units;
    root[LEVEL_MAP] = this.#bits(LEVEL_MAP) | (1 << (list >>> 4));
  }

  #bits(word: number): number {
    return this.#heap.root[word] as number;
  }

  #unlist(ref: number, units: number): void {
    const root = this.#heap.root;
    const list = listOf(units);
    const next = this.#wordOf(ref, 1);
    const previous = this.#wordOf(ref, 2);
    this.#heap.touchRoot(FREE_UNITS, 2);
    root[FREE_UNITS] = (root[FREE_UNITS] as number) - units;
    if (next !== 0) this.#setWord(next, 2, previous);
    if (previous !== 0) {
      this.#setWord(previous, 1, next);
      return;
    }
    this.#setRoot(HEADS + list, next);
    if (next !== 0) return;
    const level = list >>> 4;
    const map = this.#bits(LIST_MAPS + level) & ~(1 << (list & 15));
    this.#setRoot(LIST_MAPS + level, map);
    if (map === 0) root[LEVEL_MAP] = this.#bits(LEVEL_MAP) & ~(1 << level);
  }
}

/** One list per size up to 31 units, then sixteen per doubling. */
function listOf(units: number): number {
  if (units < LISTS_PER_LEVEL) return units;
  const log = 31 - Math.clz32(units);
  return ((log - 3) << 4) | ((units >>> (log - 4)) & 15);
}

function lowestBit(map: number): number {
  return 31 - Math.clz32(map & -map);
}
