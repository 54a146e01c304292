// Memory for copies of pages, in slabs that are used again and again. It is not shared memory, as the log is: copying into that takes
// half as long again. It is charged to the thread's heap, but only while the pool grows, and a slab that was dropped is collected soon.

/** Length of a slab, unless the segments of the heap are shorter or a page is longer. */
const SLAB_BYTES: number = 1 << 20;
const NONE = -1;

interface Slab {
  readonly bytes: Uint8Array;
  used: number;
  /** First slot of the chain of free ones, or NONE. */
  free: number;
}

/** Places for pages, numbered from 0. */
export class PagePool {
  readonly #pageBytes: number;
  /** `slot >>> slabShift` is the slab. */
  readonly #slabShift: number;
  readonly #slabMask: number;
  /** A dropped slab leaves a gap, so that the numbers of all others stay. */
  readonly #slabs: (Slab | null)[] = [];
  /** The chains of free slots: for each the next one, or NONE. */
  #next: Int32Array = new Int32Array(0);
  #slabCount = 0;
  #freeSlots = 0;
  /** No slab before this one has a free slot: the first ones fill up, so that the last ones become empty. */
  #open = 0;

  constructor(pageBytes: number, segmentBytes: number) {
    this.#pageBytes = pageBytes;
    const slots = Math.max(1, Math.min(SLAB_BYTES, segmentBytes) / pageBytes);
    this.#slabShift = 31 - Math.clz32(slots);
    this.#slabMask = slots - 1;
  }

  /** Bytes held, free ones included. */
  get bytes(): number {
    return (this.#slabCount << this.#slabShift) * this.#pageBytes;
  }

  /** A slot with the page at `at` of `memory`. */
  keep(memory: Uint8Array, at: number): number {
    const slabs = this.#slabs;
    let slab = slabs[this.#open];
    while (slab === null || (slab !== undefined && slab.free === NONE)) slab = slabs[++this.#open];
    slab ??= this.#addSlab();
    const slot = slab.free;
    slab.free = this.#next[slot] as number;
    slab.used++;
    this.#freeSlots--;
    const to = (slot & this.#slabMask) * this.#pageBytes;
    slab.bytes.set(memory.subarray(at, at + this.#pageBytes), to);
    return slot;
  }

  /** A view, valid until the slot is given back. */
  page(slot: number): Uint8Array {
    const slab = this.#slabs[slot >>> this.#slabShift] as Slab;
    const at = (slot & this.#slabMask) * this.#pageBytes;
    return slab.bytes.subarray(at, at + this.#pageBytes);
  }

  giveBack(slot: number): void {
    const slab = this.#slabs[slot >>> this.#slabShift] as Slab;
    this.#next[slot] = slab.free;
    slab.free = slot;
    slab.used--;
    this.#freeSlots++;
    this.#open = Math.min(this.#open, slot >>> this.#slabShift);
  }

  /** Drops slabs that are empty while more than `slots` are free. */
  trim(slots: number): void {
    const perSlab = this.#slabMask + 1;
    for (let at = this.#slabs.length - 1; at >= 0; at--) {
      if (this.#freeSlots - perSlab < slots) return;
      if (this.#slabs[at]?.used !== 0) continue;
      this.#slabs[at] = null;
      this.#slabCount--;
      this.#freeSlots -= perSlab;
    }
  }

  /** In the first gap, or behind the last slab. */
  #addSlab(): Slab {
    const gap = this.#slabs.indexOf(null);
    const at = gap < 0 ? this.#slabs.length : gap;
    const perSlab = this.#slabMask + 1;
    const first = at << this.#slabShift;
    // No slot is free now, so that nothing in there counts.
    if (first + perSlab > this.#next.length)
      this.#next = new Int32Array(Math.max(this.#next.length * 2, first + perSlab));
    for (let slot = first; slot < first + perSlab; slot++) this.#next[slot] = slot + 1;
    this.#next[first + perSlab - 1] = NONE;
    const memory = new ArrayBuffer(perSlab * this.#pageBytes);
    const slab = { bytes: new Uint8Array(memory), used: 0, free: first };
    this.#slabs[at] = slab;
    this.#slabCount++;
    this.#freeSlots += perSlab;
    this.#open = at;
    return slab;
  }
}
