// A ring with both of its ends on one thread, and next to it a list of what should be in it.

import { expect } from 'vitest';
import {
  RECORD_HEADER_BYTES,
  RING_HEAD_AT,
  RING_HEADER_BYTES,
  RING_TAIL_AT,
  recordSpace,
} from '../../src/transport/layout.js';
import { RingReader, RingWriter, ringMemoryBytes } from '../../src/transport/ring.js';

export const CAPACITY = 4096;
export const FRAME_MAX: number = CAPACITY / 4 - RECORD_HEADER_BYTES;

export interface Frame {
  readonly length: number;
  readonly seed: number;
}

/** Both ends of one ring and what should be in it. */
export class Bench {
  readonly memory = new SharedArrayBuffer(ringMemoryBytes(CAPACITY));
  writer: RingWriter;
  reader: RingReader;
  readonly claimed: Frame[] = [];
  published: Frame[] = [];
  consumed: Frame[] = [];
  #seed = 0;
  /** Offset behind the record claimed last. */
  #end = 0;

  constructor(at: number) {
    const words = new Int32Array(this.memory);
    words[RING_TAIL_AT / 4] = at;
    words[RING_HEAD_AT / 4] = at;
    // What lay there before must not matter.
    new Uint8Array(this.memory, RING_HEADER_BYTES).fill(0xa5);
    this.writer = new RingWriter(this.memory);
    this.reader = new RingReader(this.memory);
  }

  /** Where the next record would begin. */
  #next(): number {
    const words = new Int32Array(this.memory);
    return this.claimed.length > 0 ? this.#end : (words[RING_TAIL_AT / 4] as number);
  }

  /** By trying: the longest frame that leaves no gap at the end of the ring, else the longest that does. */
  longest(least: number, reserve: number): number {
    const free = this.writer.free() - reserve;
    const toEnd = CAPACITY - (this.#next() & (CAPACITY - 1));
    for (const gap of [0, toEnd])
      for (let size = FRAME_MAX; size >= least; size--) {
        const space = recordSpace(size);
        if (gap + space <= free && (gap > 0 || space <= toEnd)) return size;
      }
    return -1;
  }

  put(bytes: number): boolean {
    const at = this.writer.claim(bytes);
    if (at < 0) return false;
    this.#end = at - RECORD_HEADER_BYTES + recordSpace(bytes);
    const frame = { length: bytes, seed: this.#seed++ };
    this.writer.bytes.set(contentOf(frame), at);
    this.claimed.push(frame);
    return true;
  }

  publish(): void {
    expect(this.writer.publish()).toBe(this.claimed.length > 0);
    this.published.push(...this.claimed.splice(0));
  }

  /** The next frame's bytes; null when there is none; false when the ring itself says that it is damaged. */
  take(): Uint8Array | null | false {
    const { reader } = this;
    if (!reader.peek()) return null;
    const whole = reader.verify();
    const { offset, length: found } = reader;
    expect(offset + found).toBeLessThanOrEqual(CAPACITY);
    const bytes = reader.bytes.slice(offset, offset + found);
    reader.consume();
    return whole && bytes;
  }

  /** Takes what the model says is next. */
  takeExpected(): void {
    const expected = this.published.shift() ?? null;
    expect(this.reader.hasData()).toBe(expected !== null);
    const found = this.take();
    if (expected === null) expect(found).toBe(null);
    else {
      if (!(found instanceof Uint8Array)) throw new Error(`no frame of ${expected.length} bytes`);
      if (Buffer.compare(found, contentOf(expected)) !== 0)
        expect([...found]).toEqual([...contentOf(expected)]);
      this.consumed.push(expected);
    }
  }
}

const CONTENT = Uint8Array.from({ length: FRAME_MAX + 256 }, (_, at) => (at * 197) >> 3);

/** Different for every frame of some length, without a repetition that a shift would not show. */
export function contentOf({ length: bytes, seed }: Frame): Uint8Array {
  return CONTENT.subarray(seed % 256, (seed % 256) + bytes);
}
