// A single-producer, single-consumer ring over shared memory: claim, write in place, publish; peek, read in place, release.
// The tail is stored last, by one atomic store for any number of records, so a producer killed anywhere leaves nothing half
// visible (H5); a successor reads the positions from shared memory and goes on. A record whose checksum is wrong is for the reader
// to drop (2.1). How to wait for data or room is not its affair.

import { violated } from '../protocol/assert.js';
import type { RingPositions } from '../protocol/client/reading-watch.js';
import { checksum } from './checksum.js';
import {
  invalidCapacity,
  RECORD_HEADER_BYTES,
  RECORD_SHARE,
  RING_HEAD_AT,
  RING_HEADER_BYTES,
  RING_TAIL_AT,
  RING_WAITING_AT,
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
  words: Int32Array;
  capacity: number;
} {
  const capacity = memory.byteLength - RING_HEADER_BYTES;
  const reason = invalidCapacity(capacity);
  if (reason !== null) throw new RangeError(reason);
  return {
    positions: new Int32Array(memory, 0, RING_HEADER_BYTES / 4),
    bytes: new Uint8Array(memory, RING_HEADER_BYTES, capacity),
    view: new DataView(memory, RING_HEADER_BYTES, capacity),
    words: new Int32Array(memory, RING_HEADER_BYTES, capacity / 4),
    capacity,
  };
}

function longestFrame(capacity: number): number {
  return capacity / RECORD_SHARE - RECORD_HEADER_BYTES;
}

const SEED_PRIME = 0x27d4eb2f;

/** Of the first `covered` bytes of the frame behind `at`, and whatever pads them to a multiple of 8. */
function sumOf(words: Int32Array, at: number, covered: number, seed: number): number {
  return checksum(words, (at + RECORD_HEADER_BYTES) >> 2, (at + recordSpace(covered)) >> 2, seed);
}

/** The checksum stands for a record's position and length as well. */
function seedOf(position: number, length: number): number {
  return (Math.imul(position ^ (position >>> 16), SEED_PRIME) + length) | 0;
}

const TAIL = RING_TAIL_AT / 4;
const HEAD = RING_HEAD_AT / 4;
const WAITING = RING_WAITING_AT / 4;

export class RingWriter {
  readonly capacity: number;
  /** The ring's records; write only where `claim` pointed. */
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Longest frame that a claim accepts. */
  readonly frameMax: number;
  readonly #positions: Int32Array;
  readonly #words: Int32Array;
  /** Where the record begins that was claimed last, and what its checksum needs, which is missing yet; -1: there is none. */
  #openAt = -1;
  #openCovered = 0;
  #openSeed = 0;
  /** Where the next record goes; ahead of the shared tail by what is claimed and unpublished. */
  #tail: number;
  #published: number;
  /** The consumer's position as last seen: re-read only when the ring looks full. */
  #head: number;

  /** Over fresh (zero) memory, or over memory where an earlier producer has ended: its unpublished claims are overwritten. */
  constructor(memory: SharedArrayBuffer) {
    const { positions, bytes, view, words, capacity } = open(memory);
    this.#positions = positions;
    this.#words = words;
    this.bytes = bytes;
    this.view = view;
    this.capacity = capacity;
    this.frameMax = longestFrame(capacity);
    this.#tail = Atomics.load(positions, TAIL);
    this.#published = this.#tail;
    this.#head = Atomics.load(positions, HEAD);
  }

  /**
   * The frame must be complete before the next claim or `publish`: they give it its checksum, over its first `covered` bytes.
   * @returns the offset in `bytes` for a frame of `length`, or -1 while the ring is too full.
   */
  claim(length: number, covered: number = length): number {
    this.#seal();
    if (!(length <= this.frameMax))
      violated(`a frame of ${length} bytes, the limit is ${this.frameMax}`);
    const space = recordSpace(length);
    const at = this.#tail & (this.capacity - 1);
    const toEnd = this.capacity - at;
    // A record is contiguous: what does not fit before the end begins at the start.
    const wraps = space > toEnd;
    if (!this.#has(wraps ? toEnd + space : space)) return -1;
    let start = at;
    if (wraps) {
      this.view.setInt32(at, WRAP_MARKER, true);
      this.#tail = (this.#tail + toEnd) | 0;
      start = 0;
    }
    this.view.setInt32(start, length, true);
    this.#openAt = start;
    this.#openCovered = covered;
    this.#openSeed = seedOf(this.#tail, length);
    this.#tail = (this.#tail + space) | 0;
    return start + RECORD_HEADER_BYTES;
  }

  #seal(): void {
    const at = this.#openAt;
    if (at < 0) return;
    this.#openAt = -1;
    this.#words[(at >> 2) + 1] = sumOf(this.#words, at, this.#openCovered, this.#openSeed);
  }

  #has(needed: number): boolean {
    if (((this.#tail - this.#head) | 0) + needed <= this.capacity) return true;
    this.#head = Atomics.load(this.#positions, HEAD);
    return ((this.#tail - this.#head) | 0) + needed <= this.capacity;
  }

  /**
   * Length of the longest frame that can be claimed now without losing space at the ring's end, and else of the longest
   * behind that end; -1 when neither has `least` bytes. `reserve` bytes of the ring stay free.
   */
  longest(least: number, reserve: number): number {
    const free = this.free() - reserve;
    const toEnd = this.capacity - (this.#tail & (this.capacity - 1));
    const before = Math.min(free, toEnd) - RECORD_HEADER_BYTES;
    const length = before >= least ? before : free - toEnd - RECORD_HEADER_BYTES;
    return length >= least ? Math.min(length, this.frameMax) : -1;
  }

  /** Makes everything claimed visible, with one store. @returns whether there was anything. */
  publish(): boolean {
    if (this.#published === this.#tail) return false;
    this.#seal();
    this.#published = this.#tail;
    Atomics.store(this.#positions, TAIL, this.#tail);
    return true;
  }

  /** Bytes that are free now; a frame needs its record's space in one piece. */
  free(): number {
    this.#head = Atomics.load(this.#positions, HEAD);
    return this.capacity - ((this.#tail - this.#head) | 0);
  }

  /**
   * The consumer is to ring when it has read on. Look for room once more after asking, for what it released before it does not
   * tell; then sleep unless `told`, looked at when the doorbell's flag is set.
   */
  askForRoom(): void {
    Atomics.store(this.#positions, WAITING, 1);
  }

  /** False from asking until the consumer has released something. */
  get told(): boolean {
    return Atomics.load(this.#positions, WAITING) === 0;
  }

  /** How many bytes were ever published, and how many of them the consumer has released; both wrap at 2^32. */
  positions(): RingPositions {
    return { written: this.#published, read: Atomics.load(this.#positions, HEAD) };
  }
}

export class RingReader {
  readonly capacity: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Records that nobody can have written so: dropped. */
  corrupt = 0;
  readonly #frameMax: number;
  readonly #positions: Int32Array;
  readonly #words: Int32Array;
  #head: number;
  #released: number;
  #tail: number;
  #length = 0;
  #offset = 0;

  /** A successor begins where the last release of its predecessor ended, and may meet a few frames again (BP4). */
  constructor(memory: SharedArrayBuffer) {
    const { positions, bytes, view, words, capacity } = open(memory);
    this.#positions = positions;
    this.#words = words;
    this.bytes = bytes;
    this.view = view;
    this.capacity = capacity;
    this.#frameMax = longestFrame(capacity);
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
      const toEnd = this.capacity - at;
      const published = (this.#tail - this.#head) | 0;
      const length = this.view.getInt32(at, true);
      if (length >= 0 && length <= this.#frameMax) {
        const space = recordSpace(length);
        if (space <= toEnd && space <= published) {
          this.#length = length;
          this.#offset = at + RECORD_HEADER_BYTES;
          return true;
        }
      } else if (length === WRAP_MARKER && at > 0 && toEnd <= published) {
        this.#head = (this.#head + toEnd) | 0;
        continue;
      }
      // No producer writes this. Where the next record begins is lost, but one begins at the tail, and losing frames is survivable.
      this.corrupt++;
      this.#head = this.#tail;
    }
  }

  /** Of the record that `peek` found. */
  get offset(): number {
    return this.#offset;
  }

  get length(): number {
    return this.#length;
  }

  /**
   * Whether the record that `peek` found is what its producer published, in its first `covered` bytes as of the claim. One that
   * is not is counted: consume it unread. If it was the length that changed, the next record found begins anywhere; its own
   * checksum tells, and so on up to the tail, where one does begin.
   */
  verify(covered: number = this.#length): boolean {
    const at = this.#offset - RECORD_HEADER_BYTES;
    const seed = seedOf(this.#head, this.#length);
    if (this.#words[(at >> 2) + 1] === sumOf(this.#words, at, covered, seed)) return true;
    this.corrupt++;
    return false;
  }

  /** Steps over the record that `peek` found; its bytes stay valid until `release`. */
  consume(): void {
    this.#head = (this.#head + recordSpace(this.#length)) | 0;
  }

  /** Bytes consumed that the producer cannot use yet. */
  get unreleased(): number {
    return (this.#head - this.#released) | 0;
  }

  /**
   * Gives the space of everything consumed back to the producer, with one store.
   * @returns true when the producer asked to be told (`askForRoom`).
   */
  release(): boolean {
    if (this.#released === this.#head) return false;
    this.#released = this.#head;
    Atomics.store(this.#positions, HEAD, this.#head);
    return (
      Atomics.load(this.#positions, WAITING) === 1 &&
      Atomics.exchange(this.#positions, WAITING, 0) === 1
    );
  }

  /** True when something is published that was not consumed. */
  hasData(): boolean {
    return this.#head !== this.#tail || Atomics.load(this.#positions, TAIL) !== this.#head;
  }
}
