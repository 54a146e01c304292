// Memory of the log's bodies: segments that are only ever appended to, so that adding an entry costs one copy and no
// allocation of its size. A segment whose entries have all been dropped is written again, as it is: zeroing what a checkpoint
// frees at a time would hold the replica up for 20 ms.

import type { OpNumber } from './types.js';

const SEGMENT_FIRST_BYTES = 64 << 10;
export const SEGMENT_BYTES: number = 4 << 20;
/** Segments kept for reuse; more are left to the collector. A checkpoint of full entries frees half as many. */
const SPARE_MAX = 32;

/** Where bodies are written: the tail of one segment, never written twice while an entry lies in it. */
export interface Arena {
  segment: Uint8Array;
  view: DataView;
  used: number;
  /** Segments of full size, ready to be written. */
  readonly spare: Uint8Array[];
  /** Earlier segments and the highest op that lies in each, oldest first. */
  readonly full: { readonly segment: Uint8Array; readonly lastOp: OpNumber }[];
  /** False: others may hold bodies of entries that the log has dropped, so their memory is never written again. */
  reuses: boolean;
}

export function emptyArena(): Arena {
  const segment = new Uint8Array(0);
  return {
    segment,
    view: new DataView(segment.buffer),
    used: 0,
    spare: [],
    full: [],
    reuses: false,
  };
}

// Shared memory is not charged to the thread's heap: megabytes of log per second would have it collect garbage all the time.
function newSegment(bytes: number): Uint8Array {
  return new Uint8Array(new SharedArrayBuffer(bytes));
}

/** Segments for `bytes` bytes of log that are resident: the first touch of fresh memory costs more than writing to it. */
export function touchedSegments(bytes: number): Uint8Array[] {
  return Array.from({ length: Math.ceil(bytes / SEGMENT_BYTES) }, () =>
    newSegment(SEGMENT_BYTES).fill(0),
  );
}

/** Makes `length` bytes in one piece, whatever they are now, available at `arena.used`. `head`: the highest op written so far. */
export function reserve(arena: Arena, length: number, head: OpNumber): void {
  if (arena.used + length <= arena.segment.length) return;
  if (arena.reuses && arena.segment.length > 0)
    arena.full.push({ segment: arena.segment, lastOp: head });
  const spare = length <= SEGMENT_BYTES ? arena.spare.pop() : undefined;
  const grown = arena.segment.length === 0 ? SEGMENT_FIRST_BYTES : arena.segment.length * 2;
  const size = Math.max(length, Math.min(SEGMENT_BYTES, grown));
  arena.segment = spare ?? newSegment(size);
  arena.view = new DataView(arena.segment.buffer);
  arena.used = 0;
}

/** The entries up to `op` are gone: segments that held nothing else can be written again. */
export function release(arena: Arena, op: OpNumber): void {
  let gone = 0;
  for (const { segment, lastOp } of arena.full) {
    if (lastOp > op) break;
    gone++;
    if (segment.length !== SEGMENT_BYTES || arena.spare.length >= SPARE_MAX) continue;
    arena.spare.push(segment);
  }
  arena.full.splice(0, gone);
}

/** All entries are gone, and what was written since counts for nothing: begins anew. */
export function clear(arena: Arena): void {
  release(arena, Number.POSITIVE_INFINITY);
  arena.used = arena.segment.length;
}
