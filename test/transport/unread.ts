import type { RingPositions } from '../../src/protocol/client/reading-watch.js';

/** Something was written that the other side has not read. */
export function unread(end: { positions(): RingPositions }): boolean {
  const { written, read } = end.positions();
  return written !== read;
}
