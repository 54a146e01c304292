// A single-producer, single-consumer ring over shared memory: claim, write in place, publish; poll, read in place, release.
// The tail is stored last, by one atomic store for any number of records, so a producer killed anywhere leaves nothing half
// visible (H5); a successor reads the positions from shared memory and goes on. How to wait for data or room is not its affair.

import {
  invalidCapacity,
  RECORD_HEADER_BYTES,
  RECORD_SHARE,
  RING_HEAD_AT,
  RING_HEADER_BYTES,
  RING_TAIL_AT,
  recordSpace,
  WRAP_MARKER,
} from './layout.js';

/** Bytes of shared memory for a ring of `capacity`. */
export function ringMemoryBytes(capacity: number): number {
  return RING_HEADER_BYTES + capacity;
}

function open(memory: SharedArrayBuffer): {
  positions: Int32Array;
  bytes: Uint8Array;
  view: DataView;
  capacity: number;
} {
  const capacity = memory.byteLength - RING_HEADER_BYTES;
  const reason = invalidCapacity(capacity);
  if (reason !== null) throw new RangeError(reason);
  return {
    positions: new Int32Array(memory, 0, RING_HEADER_BYTES / 4),
    bytes: new Uint8Array(memory, RING_HEADER_BYTES, capacity),
    view: new DataView(memory, RING_HEADER_BYTES, capacity),
    capacity,
  };
}

const TAIL = RING_TAIL_AT / 4;
const HEAD = RING_HEAD_AT / 4;

export class RingWriter {
  readonly capacity: number;
  /** The ring's records; write only where `claim` pointed. */
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Longest frame that a claim accepts. */
  readonly frameMax: number;
  readonly #positions: Int32Array;
  /** Where the next record goes; ahead of the shared tail by what is claimed and unpublished. */
  #tail: number;
  #published: number;
  /** The consumer's position as last seen: re-read only when the ring looks full. */
  #head: number;

  constructor(memory: SharedArrayBuffer) {
    const { positions, bytes, view, capacity } = open(memory);
    this.#positions = positions;
    this.bytes = bytes;
    this.view = view;
    this.capacity = capacity;
    this.frameMax = capacity / RECORD_SHARE - RECORD_HEADER_BYTES;
    this.#tail = Atomics.load(positions, TAIL);
    this.#published = this.#tail;
    this.#head = Atomics.load(positions, HEAD);
  }

  /** @returns the offset in `bytes` for a frame of `length`, or -1 while the ring is too full. */
  claim(length: number): number {
    if (length > this.frameMax)
      throw new RangeError(
        `a frame of ${length} bytes is above the ring's limit of ${this.frameMax}`,
      );
    const space = recordSpace(length);
    const at = this.#tail & (this.capacity - 1);
    const toEnd = this.capacity - at;
    // A record is contiguous: what does not fit before the end begins at the start.
    const needed = space <= toEnd ? space : toEnd + space;
    if (!this.#has(needed)) return -1;
    let start = at;
    if (space > toEnd) {
      this.view.setInt32(at, WRAP_MARKER, true);
      this.#tail = (this.#tail + toEnd) | 0;
      start = 0;
    }
    this.view.setInt32(start, length, true);
    this.#tail = (this.#tail + space) | 0;
    return start + RECORD_HEADER_BYTES;
  }

  #has(needed: number): boolean {
    if (((this.#tail - this.#head) | 0) + needed <= this.capacity) return true;
    this.#head = Atomics.load(this.#positions, HEAD);
    return ((this.#tail - this.#head) | 0) + needed <= this.capacity;
  }

  /** Makes everything claimed visible, with one store. @returns whether there was anything. */
  publish(): boolean {
    if (this.#published === this.#tail) return false;
    this.#published = this.#tail;
    Atomics.store(this.#positions, TAIL, this.#tail);
    return true;
  }

  /** Bytes that are free now; a frame needs its record's space in one piece. */
  free(): number {
    this.#head = Atomics.load(this.#positions, HEAD);
    return this.capacity - ((this.#tail - this.#head) | 0);
  }

  /** True while the consumer has not read everything published. */
  unread(): boolean {
    return Atomics.load(this.#positions, HEAD) !== this.#published;
  }
}

export class RingReader {
  readonly capacity: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly #positions: Int32Array;
  #head: number;
  #released: number;
  #tail: number;
  #length = 0;
  #offset = 0;

  constructor(memory: SharedArrayBuffer) {
    const { positions, bytes, view, capacity } = open(memory);
    this.#positions = positions;
    this.bytes = bytes;
    this.view = view;
    this.capacity = capacity;
    this.#head = Atomics.load(positions, HEAD);
    this.#released = this.#head;
    this.#tail = Atomics.load(positions, TAIL);
  }

  /** Moves to the next record without consuming it. @returns false when there is none. */
  peek(): boolean {
    for (;;) {
      if (this.#head === this.#tail) {
        this.#tail = Atomics.load(this.#positions, TAIL);
        if (this.#head === this.#tail) return false;
      }
      const at = this.#head & (this.capacity - 1);
      const length = this.view.getInt32(at, true);
      if (length === WRAP_MARKER) {
        this.#head = (this.#head + this.capacity - at) | 0;
        continue;
      }
      this.#length = length;
      this.#offset = at + RECORD_HEADER_BYTES;
      return true;
    }
  }

  /** Of the record that `peek` found. */
  get offset(): number {
    return this.#offset;
  }

  get length(): number {
    return this.#length;
  }

  /** Steps over the record that `peek` found; its bytes stay valid until `release`. */
  consume(): void {
    this.#head = (this.#head + recordSpace(this.#length)) | 0;
  }

  /** Gives the space of everything consumed back to the producer, with one store. */
  release(): void {
    if (this.#released === this.#head) return;
    this.#released = this.#head;
    Atomics.store(this.#positions, HEAD, this.#head);
  }

  /** True when something is published that was not consumed. */
  hasData(): boolean {
    return this.#head !== this.#tail || Atomics.load(this.#positions, TAIL) !== this.#head;
  }

  /** Forgets everything unread: for a consumer that takes over from a dead one and does not want its mail. */
  skipAll(): void {
    this.#tail = Atomics.load(this.#positions, TAIL);
    this.#head = this.#tail;
    this.release();
  }
}
