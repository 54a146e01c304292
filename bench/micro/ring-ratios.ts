// How the ring stands beside what it replaces and beside the copy that it cannot do without: the two ratios that targets name. Within a
// round, then the median over rounds, for only such ratios survive a machine that changes its speed.

import type { CapacityGate } from '#dist/cli/capacity.js';
import { median } from '#dist/cli/statistics.js';
import { byCopy, byPostMessage, byRing, FRAMES_1MIB, FRAMES_64B } from './crossing.js';
import type { Piece } from './piece.js';
import { type Effort, type Measured, type Measurement, measure } from './rounds.js';

export interface RingRatios {
  /** Frames of 64 B per second by the ring, over those by postMessage. */
  readonly overPostMessage: number;
  /** Bytes per second in frames of 1 MiB by the ring, over a copy of the same bytes by one thread. */
  readonly overCopy: number;
}

const RING_64B = byRing(FRAMES_64B);
const POST_64B = byPostMessage(FRAMES_64B);
const RING_1MIB = byRing(FRAMES_1MIB);
const COPY_1MIB = byCopy(FRAMES_1MIB);

/** Null unless the pieces that it takes are all among `measured`. */
export function ratiosOf(measured: readonly Measured[]): RingRatios | null {
  const overPostMessage = ratio(measured, RING_64B, POST_64B);
  const overCopy = ratio(measured, RING_1MIB, COPY_1MIB);
  return overPostMessage === null || overCopy === null ? null : { overPostMessage, overCopy };
}

/** How many times as fast `one` is. */
function ratio(measured: readonly Measured[], one: Piece, other: Piece): number | null {
  const fast = measured.find(({ name }) => name === one.name);
  const slow = measured.find(({ name }) => name === other.name);
  if (fast === undefined || slow === undefined) return null;
  return median(slow.rounds.map(({ ns }, round) => ns / (fast.rounds[round]?.ns ?? Number.NaN)));
}

/** Measures nothing but these. */
export async function ringRatios(
  effort: Effort,
  gate: CapacityGate,
): Promise<RingRatios & Measurement> {
  const measurement = await measure([RING_64B, POST_64B, RING_1MIB, COPY_1MIB], effort, gate);
  const ratios = ratiosOf(measurement.pieces);
  if (ratios === null) throw new Error('a piece of the ratios was not measured');
  return { ...ratios, ...measurement };
}
