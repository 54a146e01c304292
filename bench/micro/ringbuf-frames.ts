// Frames over ringbuf.js, which is a stream of elements: the length goes before each. Written with the callback, so that length and frame
// become visible by one store, and as words of four bytes, which it copies four times as fast as bytes. Records are multiples of eight
// bytes, for the engine copies shared memory byte by byte where the two sides are not aligned alike.

import { RingBuffer } from 'ringbuf.js';

/** The length, and what keeps the frame behind it aligned. */
const HEAD_WORDS = 2;

function wordsOf(bytes: number): number {
  return ((bytes + 7) & ~7) >> 2;
}

/** Memory for `bytes`, a multiple of 8. */
export function ringbufMemory(bytes: number): SharedArrayBuffer {
  // One element more than it is asked for, so that a lap ends on a multiple of eight bytes.
  return RingBuffer.getStorageForCapacity(bytes / 4 - 1, Int32Array);
}

export class FrameWriter {
  readonly #ring: RingBuffer;
  #frame: Int32Array = new Int32Array(0);
  #bytes = 0;
  readonly #write = (
    storage: ArrayLike<number>,
    at: number,
    room: number,
    again: number,
    rest: number,
  ): number => this.#copy(storage as Int32Array, at, room, again, rest);

  constructor(memory: SharedArrayBuffer) {
    this.#ring = new RingBuffer(memory, Int32Array);
  }

  /** `frame` holds `bytes` bytes, padded to a multiple of eight. @returns false while there is no room. */
  write(frame: Int32Array, bytes: number): boolean {
    const space = HEAD_WORDS + frame.length;
    if (this.#ring.availableWrite() < space) return false;
    this.#frame = frame;
    this.#bytes = bytes;
    this.#ring.writeCallbackWithOffset(space, this.#write);
    return true;
  }

  /** The room is one piece, or two around the end of the ring. */
  #copy(storage: Int32Array, at: number, room: number, again: number, rest: number): number {
    storage[at] = this.#bytes;
    if (rest === 0) storage.set(this.#frame, at + HEAD_WORDS);
    else {
      storage.set(this.#frame.subarray(0, room - HEAD_WORDS), at + HEAD_WORDS);
      storage.set(this.#frame.subarray(room - HEAD_WORDS), again);
    }
    return room + rest;
  }

  hasRoom(bytes: number): boolean {
    return this.#ring.availableWrite() >= bytes / 4;
  }
}

export class FrameReader {
  readonly #ring: RingBuffer;
  readonly #head = new Int32Array(HEAD_WORDS);
  /** Where `read` puts a frame. */
  readonly frame: Int32Array;

  constructor(memory: SharedArrayBuffer, frameBytesMax: number) {
    this.#ring = new RingBuffer(memory, Int32Array);
    this.frame = new Int32Array(wordsOf(frameBytesMax));
  }

  /** @returns bytes of the next frame, or -1 when there is none. */
  read(): number {
    if (this.#ring.pop(this.#head) === 0) return -1;
    const bytes = this.#head[0] as number;
    this.#ring.pop(this.frame, wordsOf(bytes));
    return bytes;
  }

  hasData(): boolean {
    return !this.#ring.empty();
  }
}
