// Where requests are written: memory of their own, or a piece of what a client uses again.

import { viewOf } from './words.js';

/** Room for a request: bytes `from` to `to`; what they hold does not matter. */
export interface WriterRoom {
  readonly bytes: Uint8Array;
  /** Of all of `bytes`. */
  readonly view: DataView;
  readonly from: number;
  readonly to: number;
}

/** Where a writer gets the memory of its next request, when it hands over that of the last one. */
export interface WriterMemory {
  /** At least `bytes` bytes; the answer may say something else after the next call. */
  take(bytes: number): WriterRoom;
  /** Of the room in `bytes` that ended at `to`, nothing was needed from `end` on. */
  trim(bytes: Uint8Array, end: number, to: number): void;
  /** They were too few. */
  give(bytes: Uint8Array): void;
}

export const FRESH_MEMORY: WriterMemory = {
  take: (length) => {
    const bytes = new Uint8Array(length);
    return { bytes, view: viewOf(bytes), from: 0, to: length };
  },
  trim: () => undefined,
  give: () => undefined,
};
