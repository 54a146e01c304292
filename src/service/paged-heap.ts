// Bytes in pages: the memory of a service. Blocks of size classes are cut from fixed segments and given back to free lists;
// all of the allocator's own state lives inside the pages, so a heap that is restored from its pages allocates exactly like one
// that never stopped, and equal histories give equal bytes on every replica. Weak spot: blocks are never merged, so space freed
// in one class serves another only when the heap is otherwise full.

import { assert } from '../protocol/assert.js';

export const PAGE_BYTES = 4096;
const SEGMENT_SHIFT = 22;
/** One contiguous piece of memory; a block never spans two. */
export const SEGMENT_BYTES: number = 1 << SEGMENT_SHIFT;
/** Addresses count units of 16 bytes, so that 32 bits reach 64 GiB; 0 is no address. */
const UNIT_SHIFT = 4;
const UNIT_BYTES = 1 << UNIT_SHIFT;
const SEGMENT_UNIT_SHIFT = SEGMENT_SHIFT - UNIT_SHIFT;
const SEGMENT_UNIT_MASK = (1 << SEGMENT_UNIT_SHIFT) - 1;

/** Largest block: a value of 1 MiB with its key and header. */
export const BLOCK_BYTES_MAX: number = (1 << 20) + (1 << 18);

// Size classes: 16-byte steps to 128, then four per doubling, so that at most a fifth of a block is wasted.
const CLASS_BYTES: readonly number[] = (() => {
  const classes: number[] = [];
  for (let size = UNIT_BYTES; size <= 128; size += UNIT_BYTES) classes.push(size);
  for (let base = 128; base < BLOCK_BYTES_MAX; base *= 2)
    for (let quarter = 1; quarter <= 4; quarter++) classes.push(base + (base / 4) * quarter);
  return classes;
})();

// The root block at the start of segment 0, in 32-bit words.
const ROOT_BUMP = 0;
const ROOT_FREE = 1;
const ROOT_CLASSES = 2;
/** Words for the owner of the heap: table root, counters. */
const ROOT_USER = 128;
const ROOT_USER_WORDS = 8064;
const ROOT_BYTES = (ROOT_USER + ROOT_USER_WORDS) * 4;

/** Smallest limit: the root and one directory must fit. */
export const STORE_BYTES_MIN: number = 1 << 20;

export class PagedHeap {
  /** Limit of the state in bytes (DT6). */
  readonly limitBytes: number;
  readonly #segments: Uint8Array[] = [];
  readonly #words: Int32Array[] = [];
  readonly #doubles: Float64Array[] = [];
  /** One byte per page: 1 when its digest is out of date. */
  #dirty = new Uint8Array(SEGMENT_BYTES / PAGE_BYTES);
  #digests = new Int32Array((SEGMENT_BYTES / PAGE_BYTES) * 2);

  constructor(limitBytes: number) {
    assert(
      limitBytes >= STORE_BYTES_MIN,
      `a heap needs ${STORE_BYTES_MIN} bytes, got ${limitBytes}`,
    );
    assert(CLASS_BYTES.length + ROOT_CLASSES <= ROOT_USER, 'the classes fit into the root');
    this.limitBytes = limitBytes;
    this.#addSegment();
    this.rootWords[ROOT_BUMP] = ROOT_BYTES >>> UNIT_SHIFT;
    this.touch(0, ROOT_BYTES);
  }

  #addSegment(): void {
    const memory = new ArrayBuffer(SEGMENT_BYTES);
    this.#segments.push(new Uint8Array(memory));
    this.#words.push(new Int32Array(memory));
    this.#doubles.push(new Float64Array(memory));
    const pages = (this.#segments.length * SEGMENT_BYTES) / PAGE_BYTES;
    if (this.#dirty.length >= pages) return;
    const dirty = new Uint8Array(pages * 2);
    dirty.set(this.#dirty);
    this.#dirty = dirty;
    const digests = new Int32Array(pages * 4);
    digests.set(this.#digests);
    this.#digests = digests;
  }

  get rootWords(): Int32Array {
    return this.#words[0] as Int32Array;
  }

  /** Index of the owner's word `at` in `rootWords`. Mark it with `touchRoot` before writing. */
  userWord(at: number): number {
    assert(at < ROOT_USER_WORDS, `the root has ${ROOT_USER_WORDS} words for its owner`);
    return ROOT_USER + at;
  }

  touchRoot(word: number): void {
    this.#dirty[(word * 4) >>> 12] = 1;
  }

  /** The memory around `address`, and where it begins in it: index as bytes, words or doubles. */
  bytesOf(address: number): Uint8Array {
    return this.#segments[address >>> SEGMENT_UNIT_SHIFT] as Uint8Array;
  }

  wordsOf(address: number): Int32Array {
    return this.#words[address >>> SEGMENT_UNIT_SHIFT] as Int32Array;
  }

  doublesOf(address: number): Float64Array {
    return this.#doubles[address >>> SEGMENT_UNIT_SHIFT] as Float64Array;
  }

  /** Byte offset of `address` in its segment. */
  offsetOf(address: number): number {
    return (address & SEGMENT_UNIT_MASK) << UNIT_SHIFT;
  }

  /** Marks the pages of `bytes` from `address` before they are written. */
  touch(address: number, bytes: number): void {
    const first = address >>> (12 - UNIT_SHIFT);
    const last = (address * UNIT_BYTES + bytes - 1) / PAGE_BYTES;
    for (let page = first; page <= last; page++) this.#dirty[page] = 1;
  }

  /** Bytes handed out of the segments so far: what `limitBytes` limits. */
  get usedBytes(): number {
    return ((this.rootWords[ROOT_BUMP] as number) >>> 0) * UNIT_BYTES;
  }

  /** Bytes in free lists, of `usedBytes`. */
  get freeBytes(): number {
    return ((this.rootWords[ROOT_FREE] as number) >>> 0) * UNIT_BYTES;
  }

  /** The class of the smallest block with `bytes`. */
  static classFor(bytes: number): number {
    if (bytes <= 128)
      return (bytes + UNIT_BYTES - 1) / UNIT_BYTES - 1 < 0 ? 0 : ((bytes + 15) >>> 4) - 1;
    const log = 31 - Math.clz32(bytes - 1);
    const base = 1 << log;
    const quarter = Math.ceil((bytes - base) / (base / 4));
    return 8 + (log - 7) * 4 + quarter - 1;
  }

  static classBytes(sizeClass: number): number {
    return CLASS_BYTES[sizeClass] as number;
  }

  /**
   * A block for `bytes`, its first word set to its class; the rest is whatever was there.
   * @returns its address, or 0 when the heap is full (nothing has changed then).
   */
  allocate(bytes: number): number {
    const sizeClass = PagedHeap.classFor(bytes);
    const free = this.#takeFree(sizeClass);
    if (free !== 0) return free;
    const cut = this.#cut(sizeClass);
    if (cut !== 0) return cut;
    // Full: a larger block that lies idle is better than a refusal; it keeps its class.
    for (let larger = sizeClass + 1; larger < CLASS_BYTES.length; larger++) {
      const block = this.#takeFree(larger);
      if (block !== 0) return block;
    }
    return 0;
  }

  #takeFree(sizeClass: number): number {
    const root = this.rootWords;
    const address = (root[ROOT_CLASSES + sizeClass] as number) >>> 0;
    if (address === 0) return 0;
    const words = this.wordsOf(address);
    const at = this.offsetOf(address) >>> 2;
    this.touchRoot(0);
    root[ROOT_CLASSES + sizeClass] = words[at + 1] as number;
    root[ROOT_FREE] = (root[ROOT_FREE] as number) - this.#units(sizeClass);
    this.touch(address, 8);
    words[at] = sizeClass;
    return address;
  }

  #units(sizeClass: number): number {
    return (CLASS_BYTES[sizeClass] as number) >>> UNIT_SHIFT;
  }

  #cut(sizeClass: number): number {
    const root = this.rootWords;
    const units = this.#units(sizeClass);
    let bump = (root[ROOT_BUMP] as number) >>> 0;
    const left = SEGMENT_UNIT_MASK + 1 - (bump & SEGMENT_UNIT_MASK);
    const start = left < units ? bump + left : bump;
    if ((start + units) * UNIT_BYTES > this.limitBytes) return 0;
    if (left < units) {
      this.#freeRest(bump, left);
      bump = start;
    }
    if (bump >>> SEGMENT_UNIT_SHIFT >= this.#segments.length) this.#addSegment();
    this.touchRoot(0);
    root[ROOT_BUMP] = bump + units;
    this.touch(bump, 8);
    this.wordsOf(bump)[this.offsetOf(bump) >>> 2] = sizeClass;
    return bump;
  }

  /** The end of a segment becomes free blocks, largest first. */
  #freeRest(from: number, units: number): void {
    let at = from;
    let left = units;
    for (let sizeClass = CLASS_BYTES.length - 1; sizeClass >= 0 && left > 0; sizeClass--) {
      const size = this.#units(sizeClass);
      while (size <= left) {
        this.#give(at, sizeClass);
        at += size;
        left -= size;
      }
    }
  }

  /** Gives a block back; its class stands in its first word. */
  free(address: number): void {
    const sizeClass = this.wordsOf(address)[this.offsetOf(address) >>> 2] as number;
    assert(sizeClass >= 0 && sizeClass < CLASS_BYTES.length, `block ${address} has no class`);
    this.#give(address, sizeClass);
  }

  #give(address: number, sizeClass: number): void {
    const root = this.rootWords;
    const words = this.wordsOf(address);
    const at = this.offsetOf(address) >>> 2;
    this.touch(address, 8);
    words[at] = sizeClass;
    words[at + 1] = root[ROOT_CLASSES + sizeClass] as number;
    this.touchRoot(0);
    root[ROOT_CLASSES + sizeClass] = address;
    root[ROOT_FREE] = (root[ROOT_FREE] as number) + this.#units(sizeClass);
  }

  // ── pages ──

  /** Pages in use: up to the highest byte ever handed out. */
  pageCount(): number {
    return Math.ceil(this.usedBytes / PAGE_BYTES);
  }

  page(index: number): Uint8Array {
    const address = index * (PAGE_BYTES / UNIT_BYTES);
    const at = this.offsetOf(address);
    return this.bytesOf(address).subarray(at, at + PAGE_BYTES);
  }

  /** Replaces everything by `pages`, as `page` gave them. */
  load(pages: readonly Uint8Array[]): void {
    while (this.#segments.length * SEGMENT_BYTES < pages.length * PAGE_BYTES) this.#addSegment();
    for (const [index, page] of pages.entries()) this.page(index).set(page);
    this.#dirty.fill(1);
  }

  /** 64 bits over all pages in use, as text. Only pages written since the last call are hashed again. */
  digest(): string {
    const pages = this.pageCount();
    let low = pages | 0;
    let high = 0x9e3779b9 | 0;
    for (let page = 0; page < pages; page++) {
      if (this.#dirty[page] === 1) this.#hashPage(page);
      low = Math.imul(low ^ (this.#digests[page * 2] as number), 0x01000193);
      high = Math.imul(high ^ (this.#digests[page * 2 + 1] as number) ^ (low >>> 15), 0x85ebca6b);
    }
    return (high >>> 0).toString(16).padStart(8, '0') + (low >>> 0).toString(16).padStart(8, '0');
  }

  #hashPage(page: number): void {
    const address = page * (PAGE_BYTES / UNIT_BYTES);
    const words = this.wordsOf(address);
    const from = this.offsetOf(address) >>> 2;
    let low = 0x811c9dc5 | 0;
    let high = page | 0;
    for (let at = from; at < from + PAGE_BYTES / 4; at++) {
      const word = words[at] as number;
      low = Math.imul(low ^ word, 0x01000193);
      low ^= low >>> 13;
      high = Math.imul(high ^ word, 0x85ebca6b) + low;
    }
    this.#digests[page * 2] = low;
    this.#digests[page * 2 + 1] = high;
    this.#dirty[page] = 0;
  }
}
