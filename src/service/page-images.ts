// Images of a paged memory: what its pages were at certain moments. A freeze copies nothing but one byte per page; a page is copied
// when it is about to change for the first time after the newest freeze, and the copy belongs to the newest image. So a page of an
// image is its own copy, else that of the next later image that has one, else the live page.

import { violated } from '../protocol/assert.js';
import { PagePool } from './page-pool.js';

/** Bit of a page's flags: written since the newest freeze. */
export const WRITTEN = 2;

/** Free memory for copies that is kept although the last image needed less. */
const SPARE_BYTES: number = 4 << 20;
/** Tables of released images that are kept for new ones: two images are alive at a time as a rule, seldom more. */
const SPARE_TABLES_MAX = 3;

interface Tables {
  /** Per page, the pool's slot of its copy plus 1; 0 when there is none. */
  readonly slots: Int32Array;
  /** Per page, its flags at the moment of the freeze. */
  readonly flags: Uint8Array;
}

interface Image {
  readonly op: number;
  /** Pages of the memory at that moment. It never shrinks, so later images have no less. */
  readonly count: number;
  readonly tables: Tables;
}

export class PageImages {
  readonly #pageBytes: number;
  readonly #pool: PagePool;
  /** Ascending by op. */
  readonly #images: Image[] = [];
  #newest: Image | null = null;
  readonly #spareTables: Tables[] = [];

  constructor(pageBytes: number, segmentBytes: number) {
    this.#pageBytes = pageBytes;
    this.#pool = new PagePool(pageBytes, segmentBytes);
  }

  /** Bytes held for copies, free ones included. */
  get bytes(): number {
    return this.#pool.bytes;
  }

  /** The pages `0..count` of the memory, with these flags, become image `op`. */
  freeze(op: number, count: number, flags: Uint8Array): void {
    const newest = this.#newest;
    if (!(newest === null || (op > newest.op && count >= newest.count)))
      violated(`image ${op} of ${count} pages comes after image ${newest?.op} of ${newest?.count}`);
    const tables = this.#takeTables(count);
    tables.flags.set(flags.subarray(0, count));
    this.#newest = { op, count, tables };
    this.#images.push(this.#newest);
  }

  #takeTables(count: number): Tables {
    const spare = this.#spareTables.pop();
    if (spare !== undefined && spare.slots.length >= count) return spare;
    // The others are from before the memory grew, too.
    this.#spareTables.length = 0;
    const length = 2 ** (32 - Math.clz32(count));
    return { slots: new Int32Array(length), flags: new Uint8Array(length) };
  }

  /** Page `page`, at `at` of `memory`, is about to change for the first time since the newest freeze. */
  save(page: number, memory: Uint8Array, at: number): void {
    const image = this.#newest;
    // It may have a copy already: when later images were released.
    if (image === null || page >= image.count || image.tables.slots[page] !== 0) return;
    image.tables.slots[page] = this.#pool.keep(memory, at) + 1;
  }

  release(op: number): void {
    const at = this.#indexOf(op);
    const image = this.#imageAt(at);
    const older = at === 0 ? null : this.#imageAt(at - 1);
    this.#images.splice(at, 1);
    this.#newest = this.#images.at(-1) ?? null;
    const copies = this.#dismiss(image, older);
    // The next image will need about as many as this one.
    this.#pool.trim(Math.max(SPARE_BYTES / this.#pageBytes, copies));
  }

  releaseAll(): void {
    for (const image of this.#images) this.#dismiss(image, null);
    this.#images.length = 0;
    this.#newest = null;
    this.#pool.trim(SPARE_BYTES / this.#pageBytes);
  }

  /** Hands the copies that `older` lacks to it, gives the others back, and keeps the tables. @returns how many copies there were. */
  #dismiss(image: Image, older: Image | null): number {
    const { slots } = image.tables;
    const kept = older?.count ?? 0;
    const heir = older?.tables.slots ?? slots;
    let copies = 0;
    for (let page = 0; page < image.count; page++) {
      const slot = slots[page] as number;
      if (slot === 0) continue;
      slots[page] = 0;
      copies++;
      if (page < kept && heir[page] === 0) heir[page] = slot;
      else this.#pool.giveBack(slot - 1);
    }
    if (this.#spareTables.length < SPARE_TABLES_MAX) this.#spareTables.push(image.tables);
    return copies;
  }

  count(op: number): number {
    return this.#imageAt(this.#indexOf(op)).count;
  }

  /** False: nobody wrote to the page between the freeze before that of `op` and this one. */
  changed(op: number, page: number): boolean {
    const image = this.#imageAt(this.#indexOf(op));
    if (page >= image.count) violated(`image ${op} has no page ${page}`);
    return ((image.tables.flags[page] as number) & WRITTEN) !== 0;
  }

  /** The copy that is the page of image `op`; null when that is the live page. */
  copyOf(op: number, page: number): Uint8Array | null {
    const at = this.#indexOf(op);
    if (page >= this.#imageAt(at).count) violated(`image ${op} has no page ${page}`);
    return this.#copyFrom(at, page);
  }

  /** Calls `visit` with every page of image `op` that is not the live page. */
  eachCopy(op: number, visit: (page: number, copy: Uint8Array) => void): void {
    const at = this.#indexOf(op);
    const { count } = this.#imageAt(at);
    for (let page = 0; page < count; page++) {
      const copy = this.#copyFrom(at, page);
      if (copy !== null) visit(page, copy);
    }
  }

  #copyFrom(first: number, page: number): Uint8Array | null {
    for (let at = first; at < this.#images.length; at++) {
      const slot = this.#imageAt(at).tables.slots[page] as number;
      if (slot !== 0) return this.#pool.page(slot - 1);
    }
    return null;
  }

  #imageAt(at: number): Image {
    return this.#images[at] as Image;
  }

  #indexOf(op: number): number {
    let at = this.#images.length - 1;
    while (at >= 0 && this.#imageAt(at).op !== op) at--;
    if (at < 0) violated(`there is no image ${op}`);
    return at;
  }
}
