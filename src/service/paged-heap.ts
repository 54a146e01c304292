// Bytes in pages: the memory of a service, cut from segments that are added as it grows. Everything that writes says so first
// through `touch`, which keeps the digests of pages honest, has images keep what they need and, while an undo is open, remembers what
// was there: so an operation that fails half way leaves the very bytes it found. Who owns which bytes is the affair of the allocator.

import { assert, violated } from '../protocol/assert.js';
import type { ListContent } from '../protocol/state-machine.js';
import { Kernel } from './kernel/kernel.js';
import { PageImages, WRITTEN } from './page-images.js';

/** Addresses ("refs") count units of 16 bytes, so that a small integer reaches 32 GiB; 0, the root, is no address. */
export const UNIT_BYTES = 16;
const UNIT_SHIFT = 4;
export const PAGE_BYTES = 4096;
const SEGMENT_BYTES: number = 16 << 20;
const SEGMENT_BYTES_MIN: number = 64 << 10;
/** The root: at the start of the first segment, in 32-bit words. Its first part is the allocator's, the rest the owner's. */
export const ROOT_WORDS = 1024;
const ROOT_MAGIC = 0;
const MAGIC = 0x56_4b_56_01;
/** Units up to the highest byte ever handed out; the allocator raises it. */
export const ROOT_HIGH = 1;

/** Smallest limit: room for the root, an empty table and a few records. */
export const STORE_BYTES_MIN: number = 64 << 10;
/** And as long as nobody says otherwise. */
export const STORE_BYTES_DEFAULT: number = 2 ** 30;
const STORE_BYTES_MAX: number = 2 ** 35;
/** Units stay positive 32-bit integers, and end with a page. */
const UNITS_MAX = 2 ** 31 - 256;

/** Bit of a page's flags, beside WRITTEN: its digest is out of date. */
const STALE = 1;
/** The flags of a page whose next write changes nothing about it. */
const TOUCHED: number = STALE | WRITTEN;
/** The same bit of four pages. */
const FOUR_STALE = 0x01_01_01_01;

const UNDO_WORDS_FIRST = 1024;
/** An undo buffer that had to grow beyond this is given up afterwards. */
const UNDO_WORDS_KEPT: number = 256 << 10;
const UNDO_TRAILER = 3;

export interface HeapOptions {
  /** Limit of the state in bytes (DT6). */
  readonly storeBytes: number;
  /** A power of two. @default 4096 */
  readonly pageBytes?: number;
  /** Longest contiguous piece, a power of two; small ones are for tests. @default 16 MiB */
  readonly segmentBytes?: number;
  /**
   * Takes the memory from WebAssembly, whose loops then execute what is done most: for stores that stay, for each takes a part of the
   * process's address space. Without effect where there is none left, or `storeBytes` is close to 4 GiB or above.
   * @default false
   */
  readonly kernel?: boolean;
}

export class PagedHeap {
  readonly limitUnits: number;
  readonly pageBytes: number;
  /** `ref >>> segmentShift` is the segment, `ref & segmentMask` the unit in it. */
  readonly segmentShift: number;
  readonly segmentMask: number;
  // The same memory three ways. Hot paths index them themselves; they write only what they touched. `extendTo` may put other views
  // in the place of all: nobody keeps one beyond it.
  readonly bytes: Uint8Array[] = [];
  readonly words: Int32Array[] = [];
  readonly doubles: Float64Array[] = [];
  readonly images: PageImages;
  readonly kernel: Kernel | null;
  readonly #pageUnitShift: number;
  /** One byte per page; a page that is not in use yet is TOUCHED. */
  #flags: Uint8Array = new Uint8Array(0);
  #digests: Int32Array = new Int32Array(0);
  #undoing = false;
  #undo: Int32Array = new Int32Array(0);
  #undoLength = 0;

  constructor(options: HeapOptions) {
    const { storeBytes, pageBytes = PAGE_BYTES, segmentBytes = SEGMENT_BYTES } = options;
    if (
      !(
        Number.isSafeInteger(storeBytes) &&
        storeBytes >= STORE_BYTES_MIN &&
        storeBytes <= STORE_BYTES_MAX
      )
    )
      violated(`storeBytes ${storeBytes} is not from ${STORE_BYTES_MIN} to ${STORE_BYTES_MAX}`);
    if (!(isPowerOfTwo(pageBytes) && pageBytes >= 256))
      violated(`pageBytes ${pageBytes} is no power of two`);
    if (
      !(
        isPowerOfTwo(segmentBytes) &&
        segmentBytes >= Math.max(pageBytes, SEGMENT_BYTES_MIN) &&
        segmentBytes <= SEGMENT_BYTES
      )
    )
      violated(
        `segmentBytes ${segmentBytes} is no power of two from a page and ${SEGMENT_BYTES_MIN} to ${SEGMENT_BYTES}`,
      );
    this.limitUnits = Math.min(Math.floor(storeBytes / UNIT_BYTES), UNITS_MAX);
    this.pageBytes = pageBytes;
    this.segmentShift = 31 - Math.clz32(segmentBytes) - UNIT_SHIFT;
    this.segmentMask = (1 << this.segmentShift) - 1;
    this.#pageUnitShift = 31 - Math.clz32(pageBytes) - UNIT_SHIFT;
    this.images = new PageImages(pageBytes, segmentBytes);
    const pages = Math.ceil(storeBytes / pageBytes);
    const pageShift = this.#pageUnitShift;
    this.kernel = options.kernel === true ? Kernel.tryMake({ pages, pageBytes, pageShift }) : null;
    this.#addSegment();
    this.touchRoot(0, 1);
    this.root[ROOT_MAGIC] = MAGIC;
  }

  #addSegment(): void {
    const units = this.segmentMask + 1;
    // The last segment ends with the limit, so that a small store is small.
    const left = this.limitUnits - this.words.length * units;
    const bytes = Math.min(units, left) * UNIT_BYTES;
    const length = Math.ceil(bytes / this.pageBytes) * this.pageBytes;
    const first = this.#flags.length;
    const pages = first + length / this.pageBytes;
    const { kernel } = this;
    if (kernel === null) {
      this.#addViews(new ArrayBuffer(length), 0, length);
      // In whole words, of which `freeze` makes use.
      const flags = new Uint8Array(new ArrayBuffer((pages + 3) & ~3), 0, pages);
      flags.set(this.#flags);
      this.#flags = flags;
    } else {
      const segments = this.words.length;
      kernel.growTo(segments * units * UNIT_BYTES + length);
      this.bytes.length = 0;
      this.words.length = 0;
      this.doubles.length = 0;
      for (let at = 0; at <= segments; at++) {
        const start = kernel.heapAt + at * units * UNIT_BYTES;
        this.#addViews(kernel.buffer, start, at === segments ? length : units * UNIT_BYTES);
      }
      this.#flags = new Uint8Array(kernel.buffer, kernel.flagsAt, pages);
    }
    this.#flags.fill(TOUCHED, first);
    const digests = new Int32Array(pages * 2);
    digests.set(this.#digests);
    this.#digests = digests;
  }

  #addViews(memory: ArrayBuffer, at: number, length: number): void {
    this.bytes.push(new Uint8Array(memory, at, length));
    this.words.push(new Int32Array(memory, at, length / 4));
    this.doubles.push(new Float64Array(memory, at, length / 8));
  }

  /** The words of the first segment: the root begins here. */
  get root(): Int32Array {
    return this.words[0] as Int32Array;
  }

  /** Makes memory for all units below `end`, which is within the limit. */
  extendTo(end: number): void {
    if (!(end <= this.limitUnits)) violated(`unit ${end} is beyond the limit ${this.limitUnits}`);
    while (this.words.length * (this.segmentMask + 1) < end) this.#addSegment();
  }

  /** The one gate of every mutation: `bytes` bytes at `offset` of block `ref` are about to be written. */
  touch(ref: number, offset: number, bytes: number): void {
    const first = (ref + (offset >>> UNIT_SHIFT)) >>> this.#pageUnitShift;
    const last = (ref + ((offset + bytes - 1) >>> UNIT_SHIFT)) >>> this.#pageUnitShift;
    if (first !== last || this.#flags[first] !== TOUCHED) this.#touchPages(first, last);
    if (this.#undoing) this.#remember(ref, offset, bytes);
  }

  /** Apart, so that `touch` is small enough to become part of its callers. */
  #touchPages(first: number, last: number): void {
    const flags = this.#flags;
    for (let page = first; page <= last; page++) {
      if (flags[page] === TOUCHED) continue;
      if (((flags[page] as number) & WRITTEN) === 0) {
        const ref = page << this.#pageUnitShift;
        const memory = this.bytes[ref >>> this.segmentShift] as Uint8Array;
        this.images.save(page, memory, (ref & this.segmentMask) << UNIT_SHIFT);
      }
      flags[page] = TOUCHED;
    }
  }

  touchRoot(word: number, words: number): void {
    this.touch(0, word * 4, words * 4);
  }

  // ── undo ──

  /** From here on everything touched can be taken back. */
  beginUndo(): void {
    assert(!this.#undoing, 'an undo is open already');
    this.#undoing = true;
    this.#undoLength = 0;
  }

  /** Keeps what was written. */
  endUndo(): void {
    assert(this.#undoing, 'no undo is open');
    this.#undoing = false;
    if (this.#undo.length > UNDO_WORDS_KEPT) this.#undo = new Int32Array(0);
  }

  /** Puts back every byte touched since `beginUndo`; whoever mirrors something of the pages reads it again. */
  rollback(): void {
    const undo = this.#undo;
    for (let end = this.#undoLength; end > 0; ) {
      const segment = undo[end - 3] as number;
      const word = undo[end - 2] as number;
      const count = undo[end - 1] as number;
      end -= UNDO_TRAILER + count;
      (this.words[segment] as Int32Array).set(undo.subarray(end, end + count), word);
    }
    this.endUndo();
  }

  #remember(ref: number, offset: number, bytes: number): void {
    const segment = ref >>> this.segmentShift;
    const at = ((ref & this.segmentMask) << UNIT_SHIFT) + offset;
    const word = at >>> 2;
    const count = ((at + bytes + 3) >>> 2) - word;
    const length = this.#undoLength + count + UNDO_TRAILER;
    if (length > this.#undo.length) {
      const grown = new Int32Array(Math.max(UNDO_WORDS_FIRST, this.#undo.length * 2, length));
      grown.set(this.#undo.subarray(0, this.#undoLength));
      this.#undo = grown;
    }
    const words = this.words[segment] as Int32Array;
    const undo = this.#undo;
    const to = this.#undoLength;
    if (count > 32) undo.set(words.subarray(word, word + count), to);
    else for (let i = 0; i < count; i++) undo[to + i] = words[word + i] as number;
    undo[length - 3] = segment;
    undo[length - 2] = word;
    undo[length - 1] = count;
    this.#undoLength = length;
  }

  // ── images ──

  /** What the heap is now becomes image `op`. */
  freeze(op: number): void {
    assert(!this.#undoing, 'a freeze while an undo is open');
    const count = this.pageCount();
    const flags = this.#flags;
    this.images.freeze(op, count, flags);
    // Only pages in use: others have no copy to be made when they come into use.
    const words = new Int32Array(flags.buffer, flags.byteOffset, count >>> 2);
    for (let at = 0; at < words.length; at++) words[at] = (words[at] as number) & FOUR_STALE;
    for (let page = count & ~3; page < count; page++)
      flags[page] = (flags[page] as number) & ~WRITTEN;
  }

  /** A view of a page of image `op`, valid until the next `touch`, `release` or `restore`. */
  imagePage(op: number, index: number): Uint8Array {
    return this.images.copyOf(op, index) ?? this.page(index);
  }

  /**
   * Makes the heap what image `from` was, with the pages of `content` put in; `from` null: what `content` alone says. No image is
   * left. Whoever mirrors something of the pages reads it again. What cannot be such a heap is refused before anything changes.
   */
  restore(from: number | null, content: ListContent): void {
    assert(!this.#undoing, 'a restore while an undo is open');
    const high = this.#highOf(from, content);
    const { count, pages } = content;
    const before = this.pageCount();
    // Those given may be views of themselves: they are written once, and before the memory grows.
    if (from !== null)
      this.images.eachCopy(from, (index, copy) => {
        if (!pages.has(index)) this.page(index).set(copy);
      });
    for (const [index, page] of pages) if (index < before) this.page(index).set(page);
    this.extendTo(high);
    for (const [index, page] of pages) if (index >= before) this.page(index).set(page);
    // What lies behind must be as in a heap that never grew so far.
    for (let index = count; index < before; index++) this.page(index).fill(0);
    this.images.releaseAll();
    this.#flags.fill(TOUCHED);
  }

  /** Checks what can be known before. @returns the unit up to which such a heap was used. */
  #highOf(from: number | null, { count, pages }: ListContent): number {
    const has = from === null ? 0 : this.images.count(from);
    let fresh = 0;
    for (const [index, page] of pages) {
      if (page.length !== this.pageBytes) violated(`page ${index} has ${page.length} bytes`);
      if (!(Number.isInteger(index) && index >= 0 && index < count))
        violated(`page ${index} of ${count}`);
      if (index >= has) fresh++;
    }
    if (fresh !== Math.max(0, count - has))
      violated(`${fresh} pages behind ${has} make no ${count}`);
    const first = pages.get(0) ?? (from === null ? undefined : this.imagePage(from, 0));
    assert(first !== undefined, 'a heap has at least one page');
    const root = new DataView(first.buffer, first.byteOffset);
    assert(root.getInt32(ROOT_MAGIC * 4, true) === MAGIC, 'the first page is not a root of a heap');
    const high = root.getInt32(ROOT_HIGH * 4, true);
    if (!(high <= this.limitUnits)) violated(`unit ${high} is beyond the limit ${this.limitUnits}`);
    if (this.#pagesBelow(high) !== count) violated(`${count} pages of ${this.#pagesBelow(high)}`);
    return high;
  }

  // ── pages ──

  /** Pages in use: up to the highest byte ever handed out. */
  pageCount(): number {
    return this.#pagesBelow(this.root[ROOT_HIGH] as number);
  }

  #pagesBelow(unit: number): number {
    return Math.ceil((unit * UNIT_BYTES) / this.pageBytes);
  }

  /** A view of the live page. */
  page(index: number): Uint8Array {
    const ref = index << this.#pageUnitShift;
    const at = (ref & this.segmentMask) << UNIT_SHIFT;
    const bytes = this.bytes[ref >>> this.segmentShift];
    if (!(bytes !== undefined && at < bytes.length)) violated(`no page ${index}`);
    return bytes.subarray(at, at + this.pageBytes);
  }

  /** 64 bits over all pages in use, as text. Only pages written since the last call are hashed again. */
  digest(): string {
    const pages = this.pageCount();
    let low = pages;
    let high = 0x9e3779b9 | 0;
    for (let page = 0; page < pages; page++) {
      if (((this.#flags[page] as number) & STALE) !== 0) this.#hashPage(page);
      low = Math.imul(low ^ (this.#digests[page * 2] as number), 0x01000193);
      low ^= low >>> 15;
      high = Math.imul(high ^ (this.#digests[page * 2 + 1] as number), 0x85ebca6b) + low;
      high ^= high >>> 13;
    }
    return hex(high) + hex(low);
  }

  #hashPage(page: number): void {
    const ref = page << this.#pageUnitShift;
    const words = this.words[ref >>> this.segmentShift] as Int32Array;
    const from = (ref & this.segmentMask) << 2;
    const to = from + (this.pageBytes >>> 2);
    let low = 0x811c9dc5 | 0;
    let high = page;
    for (let at = from; at < to; at++) {
      const word = words[at] as number;
      low = Math.imul(low ^ word, 0x01000193);
      low ^= low >>> 13;
      high = Math.imul(high ^ word, 0x85ebca6b) + low;
      high ^= high >>> 15;
    }
    this.#digests[page * 2] = low;
    this.#digests[page * 2 + 1] = high;
    this.#flags[page] = (this.#flags[page] as number) & ~STALE;
  }
}

function isPowerOfTwo(value: number): boolean {
  return Number.isInteger(value) && value > 0 && 2 ** Math.floor(Math.log2(value)) === value;
}

function hex(word: number): string {
  return (word >>> 0).toString(16).padStart(8, '0');
}
