// Whether the supposed primary has read what it was sent, as far as positions in a ring tell at each tick (CL2): what it has not read
// it cannot have answered, and its silence about that proves nothing.

import type { ReplicaId } from '../types.js';

/** Of the ring to one replica: how much was ever written and read, in any unit that keeps the order; they grow, and wrap at 2^32. */
export interface RingPositions {
  readonly written: number;
  readonly read: number;
}

export class ReadingWatch {
  #of: ReplicaId = -1;
  #positions: RingPositions = { written: 0, read: 0 };
  /** What was written at the time of the mark; when that is read, the next mark is made. */
  #mark = 0;
  #markAt = 0;
  /** Everything written before then has been read. */
  #readUpTo = 0;
  /** It read on, or there was nothing to read. */
  #movedAt = 0;

  /** At each tick, before anything is written at that time. */
  look(now: number, primary: ReplicaId, positions: RingPositions): void {
    const { written, read } = positions;
    const another = primary !== this.#of;
    if (another || read !== this.#positions.read || read === written) this.#movedAt = now;
    this.#of = primary;
    this.#positions = positions;
    if (another) this.#readUpTo = 0;
    else if (((read - this.#mark) | 0) >= 0) this.#readUpTo = this.#markAt;
    else return;
    this.#mark = written;
    this.#markAt = now;
  }

  /** What was written at `time` may lie unread, as of the last look. */
  maybeUnread(time: number): boolean {
    const { written, read } = this.#positions;
    return written !== read && time >= this.#readUpTo;
  }

  /** For so long, as of the last look, it has read nothing of what lies there. */
  stillFor(now: number): number {
    return now - this.#movedAt;
  }
}
