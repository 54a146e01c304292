// Every offset, length and alignment of shared memory, in one place. Positions are 32-bit, ever growing and wrapping; what two
// threads write is at least two cache lines apart, so that neither slows the other down.
//
//  ring memory
//    0        128       256       384                        384 + capacity
//   +---------+---------+---------+--------------------------+
//   |  tail   |  head   | waiting |  records ...             |     tail: written by the producer, head: by the consumer,
//   +---------+---------+---------+--------------------------+     waiting: 1 from when the producer asks for room to when some is released
//
//  record, 8-aligned
//    0        4        8
//   +--------+--------+-----------------+---------+     length -1: nothing up to the end of the ring (wrap)
//   | length |  sum   | frame (length)  | padding |     sum: checksum of position, length and what of the frame it covers
//   +--------+--------+-----------------+---------+

export const CACHE_LINE_PAIR_BYTES = 128;
export const RING_TAIL_AT = 0;
export const RING_HEAD_AT: number = RING_TAIL_AT + CACHE_LINE_PAIR_BYTES;
export const RING_WAITING_AT: number = 2 * CACHE_LINE_PAIR_BYTES;
export const RING_HEADER_BYTES: number = 3 * CACHE_LINE_PAIR_BYTES;
export const RECORD_HEADER_BYTES = 8;
export const RECORD_ALIGNMENT = 8;
/** Length word of a record that only fills the ring up to its end. */
export const WRAP_MARKER = -1;
/** A record takes at most this share of a ring, so that a few always fit. */
export const RECORD_SHARE = 4;
export const RING_BYTES_MIN: number = 4 << 10;
export const RING_BYTES_MAX: number = 1 << 28;

/** Bytes that a frame of `length` takes in a ring. */
export function recordSpace(length: number): number {
  return (RECORD_HEADER_BYTES + length + RECORD_ALIGNMENT - 1) & ~(RECORD_ALIGNMENT - 1);
}

/** @returns why `bytes` cannot be the capacity of a ring, or null. */
export function invalidCapacity(bytes: number): string | null {
  const power = Number.isInteger(bytes) && bytes > 0 && (bytes & (bytes - 1)) === 0;
  if (power && bytes >= RING_BYTES_MIN && bytes <= RING_BYTES_MAX) return null;
  return `a ring's capacity must be a power of two from ${RING_BYTES_MIN} to ${RING_BYTES_MAX} bytes, got ${bytes}`;
}

/** Words of the block that one replica shares with all others; the doorbell, which they look at, is apart from the rest. */
export const REPLICA_WORDS = {
  /** int32: 1 while parked. */
  doorbell: 0,
  /** int32: passes, wrapping; the watchdog looks at it. */
  passes: 32,
  /** int32: 1 while paused on purpose. */
  paused: 33,
  /** int32: start counter of the running thread (H1). */
  start: 34,
  /** int32: highest start that has certainly ended (H7). */
  exited: 35,
  /** int32: highest start that is believed to be ending: a suspicion, not a fact (H7). */
  suspected: 37,
  /** int32: status code, for operators. */
  status: 36,
  /** int32: asks for a turn of the thread's event loop, which it sleeps through otherwise. */
  turns: 40,
  /** int32: 1 while a backup has a reader that waits for what is committed. */
  newsWanted: 41,
  /** int32 pair, 8-aligned: the promise register, 1 + epoch * 2^32 + view, 0 = empty (R0). */
  register: 38,
} as const;
export const REPLICA_BLOCK_BYTES: number = 2 * CACHE_LINE_PAIR_BYTES;

/** Words that all threads of a cluster share. */
export const CLUSTER_WORDS = { started: 0, end: 1 } as const;
/** Whether, and how, a cluster ended: by more than f losses (H8), or by its owner. */
export const CLUSTER_ENDS = ['running', 'lost', 'closed'] as const;
export type ClusterEnd = (typeof CLUSTER_ENDS)[number];

/** Words of one client. */
export const CLIENT_WORDS = { doorbell: 0, clientId: 4 } as const;
export const CLIENT_BLOCK_BYTES: number = 1 * CACHE_LINE_PAIR_BYTES;

/** Counters of one replica, float64 each: written by its thread once per pass, read by anybody. */
export const METRICS = [
  'passes',
  'entriesExecuted',
  'requestsExecuted',
  'readsExecuted',
  'readsOnLease',
  'framesIn',
  'framesOut',
  'framesDropped',
  'framesCorrupt',
  'bytesIn',
  'bytesOut',
  'sleeps',
  'opNumber',
  'commitNumber',
  'appliedNumber',
  'view',
  'logBytes',
  'storeBytes',
  'cpuNs',
  'logStart',
  'checkpointOp',
  'pagesFetched',
  'bytesFetched',
  'passP99Micros',
  'passMaxMicros',
  'checkpointP99Micros',
  'checkpointMaxMicros',
] as const;
export type Metric = (typeof METRICS)[number];
export const METRICS_BYTES: number = 2 * CACHE_LINE_PAIR_BYTES;
