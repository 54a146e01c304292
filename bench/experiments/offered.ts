// Writes that are called at a rate, whatever becomes of those before, and counted by what became of them. The load of the other
// benchmarks ends with the first refusal; here refusals are what is looked for.

import { performance } from 'node:perf_hooks';
import { type Kv, VrError } from 'viewstamp';
import { latencyHistogram, recordSince } from '#dist/cli/load.js';
import { CLOCK, OpenLoop, type PacedSlot, Schedule } from '#dist/cli/pace.js';
import { latencyOf } from '#dist/cli/statistics.js';

export interface Offered {
  readonly offered: number;
  readonly answered: number;
  /** VR_OVERLOADED: nothing was executed, and the caller may call again. */
  readonly refused: number;
  readonly answeredPerSecond: number;
  readonly p50Us: number;
}

const KEYS = 1000;
const VALUE = new Uint8Array(58).fill(7);
/** Calls open at once: more than a store that keeps up ever has. */
const OPEN_MOST = 16_384;

/** @throws what a call failed with, if that was anything but VR_OVERLOADED. */
export async function offer(kv: Kv<Uint8Array>, perSecond: number, ms: number): Promise<Offered> {
  const histogram = latencyHistogram();
  let [answered, refused] = [0, 0];
  let failure: unknown;
  const slots: PacedSlot[] = [];
  // The slots take their time to make, which is not that of the calls.
  for (let index = 0; index < OPEN_MOST; index++) {
    const slot: PacedSlot = {
      start: () => {
        void call(slot, `key ${index % KEYS}`);
        return true;
      },
    };
    slots.push(slot);
  }
  const began = performance.now();
  const loop = new OpenLoop({
    schedule: new Schedule({
      beginMs: began,
      intervalMs: 1e3 / perSecond,
      count: Math.ceil((perSecond * ms) / 1e3),
    }),
    backlog: perSecond,
    clock: CLOCK,
    isOpen: () => failure === undefined && performance.now() < began + ms,
    onUnsent: () => {},
  });
  const call = async (slot: PacedSlot, key: string): Promise<void> => {
    const at = performance.now();
    try {
      await kv.set(key, VALUE);
      recordSince(histogram, at);
      answered++;
    } catch (error) {
      if (VrError.is(error, 'VR_OVERLOADED')) refused++;
      else failure ??= error;
    }
    loop.release(slot);
  };
  await loop.run(slots);
  if (failure !== undefined) throw failure;
  const seconds = (performance.now() - began) / 1e3;
  return {
    offered: answered + refused,
    answered,
    refused,
    answeredPerSecond: answered / seconds,
    p50Us: latencyOf(histogram).p50Us,
  };
}
