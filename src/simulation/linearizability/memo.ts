// Places of the search from which there is no way on.

export interface Range {
  readonly from: number;
  readonly to: number;
}

/** Of one place. Forgetting a failure costs time and nothing else. */
const RECORDS_MAX = 32;

export class Memo {
  readonly #cells: Int32Array;
  readonly #values: Range;
  readonly #placed: Range;
  readonly #used: Range;
  #last: Int32Array;
  #oldest = 0;
  /** By event, then by name of the place: for each failure how many of each group were used. */
  readonly #failures = new Map<number, Map<string, Int32Array[]>>();

  constructor(cells: Int32Array, values: Range, placed: Range, used: Range) {
    this.#cells = cells;
    this.#values = values;
    this.#placed = placed;
    this.#used = used;
    this.#last = cells.slice(used.from, used.to);
  }

  /** Whether the same place failed with no more used of any group. */
  failed(event: number): boolean {
    const failures = this.#failures.get(event)?.get(this.#name());
    if (failures === undefined) return false;
    return failures.some((used) => {
      for (let n = 0; n < used.length; n++)
        if ((used[n] as number) > (this.#cells[this.#used.from + n] as number)) return false;
      return true;
    });
  }

  add(event: number): void {
    let places = this.#failures.get(event);
    if (places === undefined) {
      places = new Map();
      this.#failures.set(event, places);
    }
    const name = this.#name();
    const used = this.#usedNow();
    const failures = places.get(name);
    if (failures === undefined) places.set(name, [used]);
    else if (failures.length < RECORDS_MAX) failures.push(used);
    else failures[this.#oldest++ % RECORDS_MAX] = used;
  }

  /** Places that fail one after the other mostly have used the same: then they share the record. */
  #usedNow(): Int32Array {
    const { from, to } = this.#used;
    const last = this.#last;
    let same = true;
    for (let at = from; same && at < to; at++) same = last[at - from] === this.#cells[at];
    if (!same) this.#last = this.#cells.slice(from, to);
    return this.#last;
  }

  #name(): string {
    let name = '';
    for (let at = this.#values.from; at < this.#values.to; at++) {
      const value = this.#cells[at] as number;
      name += String.fromCharCode(value & 0xffff, value >>> 16);
    }
    let bits = 0;
    let count = 0;
    for (let at = this.#placed.from; at < this.#placed.to; at++) {
      bits = (bits << 1) | (this.#cells[at] as number);
      if (++count % 16 > 0) continue;
      name += String.fromCharCode(bits);
      bits = 0;
    }
    return name + String.fromCharCode(bits);
  }
}
