// Memory for millions of worlds without an object for any of them.

const FIRST_SLOTS = 1 << 16;
const LOAD = 0.6;
const CHUNK_WORDS = 1 << 20;

/** A set of 64-bit hashes: open addressing, two words a slot; both 0 means free. */
export class HashSet {
  #low = new Uint32Array(FIRST_SLOTS);
  #high = new Uint32Array(FIRST_SLOTS);
  #mask: number = FIRST_SLOTS - 1;
  size = 0;

  /** @returns false when it was there. */
  add(low: number, high: number): boolean {
    const l = low >>> 0;
    const h = (low | high) === 0 ? 1 : high >>> 0;
    if (!this.#put(l, h)) return false;
    this.size++;
    if (this.size > this.#low.length * LOAD) this.#grow();
    return true;
  }

  #put(low: number, high: number): boolean {
    const lows = this.#low;
    const highs = this.#high;
    let slot = (low ^ Math.imul(high, 0x9e3779b1)) & this.#mask;
    for (;;) {
      const l = lows[slot] as number;
      const h = highs[slot] as number;
      if (l === 0 && h === 0) break;
      if (l === low && h === high) return false;
      slot = (slot + 1) & this.#mask;
    }
    lows[slot] = low;
    highs[slot] = high;
    return true;
  }

  #grow(): void {
    const lows = this.#low;
    const highs = this.#high;
    this.#low = new Uint32Array(lows.length * 2);
    this.#high = new Uint32Array(lows.length * 2);
    this.#mask = lows.length * 2 - 1;
    for (let at = 0; at < lows.length; at++) {
      const low = lows[at] as number;
      const high = highs[at] as number;
      if ((low | high) !== 0) this.#put(low, high);
    }
  }
}

/** Records of numbers of different lengths, in the order in which they were pushed. */
export class RecordList {
  #chunks: Int32Array[] = [];
  #used: number = CHUNK_WORDS;
  count = 0;

  push(record: Int32Array, length: number): void {
    if (this.#used + length + 1 > CHUNK_WORDS) {
      const last = this.#chunks[this.#chunks.length - 1];
      if (last !== undefined && this.#used < CHUNK_WORDS) last[this.#used] = -1;
      this.#chunks.push(new Int32Array(CHUNK_WORDS));
      this.#used = 0;
    }
    const chunk = this.#chunks[this.#chunks.length - 1] as Int32Array;
    chunk[this.#used] = length;
    for (let at = 0; at < length; at++) chunk[this.#used + 1 + at] = record[at] as number;
    this.#used += length + 1;
    this.count++;
  }

  /** Copies each record into `target` and lets go of its memory. @returns false when `visit` wanted no more. */
  drain(target: Int32Array, visit: (length: number) => boolean): boolean {
    const chunks = this.#chunks;
    this.#chunks = [];
    const end = this.#used;
    this.#used = CHUNK_WORDS;
    this.count = 0;
    chunks.reverse();
    for (let chunk = chunks.pop(); chunk !== undefined; chunk = chunks.pop()) {
      const stop = chunks.length === 0 ? end : CHUNK_WORDS;
      for (let at = 0; at < stop; ) {
        const length = chunk[at] as number;
        if (length < 0) break;
        for (let word = 0; word < length; word++) target[word] = chunk[at + 1 + word] as number;
        at += length + 1;
        if (!visit(length)) return false;
      }
    }
    return true;
  }
}

/** How each world was reached first: the world before and what happened. */
export class Origins {
  #parents: Int32Array = new Int32Array(FIRST_SLOTS);
  #actions: Int32Array = new Int32Array(FIRST_SLOTS);
  #count = 0;

  /** @returns the number of the new world */
  add(parent: number, action: number): number {
    if (this.#count === this.#parents.length) {
      this.#parents = doubled(this.#parents);
      this.#actions = doubled(this.#actions);
    }
    this.#parents[this.#count] = parent;
    this.#actions[this.#count] = action;
    return this.#count++;
  }

  /** What led to `world`, first to last. */
  path(world: number): number[] {
    const actions: number[] = [];
    for (let at = world; at > 0; at = this.#parents[at] as number)
      actions.push(this.#actions[at] as number);
    return actions.reverse();
  }
}

function doubled(words: Int32Array): Int32Array {
  const grown = new Int32Array(words.length * 2);
  grown.set(words);
  return grown;
}
