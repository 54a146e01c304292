// Which entries the store holds and what room each takes: from those that are below the log's front and not yet deleted, to the head.

import type { OpNumber } from '../protocol/types.js';

const LMDB_PAGE_BYTES = 4096;
const LMDB_PAGE_HEADER_BYTES = 24;
/** Beyond this a value gets pages of its own. */
const INLINE_BYTES = 2000;
const NODE_BYTES = 24;

/** Bytes of the file that a value of `bytes` takes, but for the tree above it. */
export function roomOf(bytes: number): number {
  if (bytes <= INLINE_BYTES) return bytes + NODE_BYTES;
  return Math.ceil((bytes + LMDB_PAGE_HEADER_BYTES) / LMDB_PAGE_BYTES) * LMDB_PAGE_BYTES;
}

export class LogIndex {
  /** Lowest op in the store; there is nothing while it is above the head. */
  #first: OpNumber;
  #rooms: number[] = [];
  /** Entries at the front of `#rooms` that are no longer there. */
  #gone = 0;
  #bytes = 0;

  constructor(first: OpNumber) {
    this.#first = first;
  }

  get first(): OpNumber {
    return this.#first;
  }

  get next(): OpNumber {
    return this.#first + this.#rooms.length - this.#gone;
  }

  get bytes(): number {
    return this.#bytes;
  }

  push(room: number): void {
    this.#rooms.push(room);
    this.#bytes += room;
  }

  /** Drops all below `op`. */
  dropFront(op: OpNumber): void {
    while (this.#first < op && this.#gone < this.#rooms.length) {
      this.#bytes -= this.#rooms[this.#gone++] as number;
      this.#first++;
    }
    if (this.#gone === this.#rooms.length) this.#first = Math.max(this.#first, op);
    if (this.#gone * 2 < this.#rooms.length) return;
    this.#rooms = this.#rooms.slice(this.#gone);
    this.#gone = 0;
  }

  /** Drops all above `op`. */
  dropBack(op: OpNumber): void {
    while (this.next > op + 1 && this.#gone < this.#rooms.length)
      this.#bytes -= this.#rooms.pop() as number;
  }
}
