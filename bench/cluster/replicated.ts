// The contenders that replicate: the built package through its public API, as a user would call it.

import { PIPELINE_AUTO } from '#dist/cli/bench-plan.js';
import type { LoadShape } from '#dist/cli/load.js';
import { REQUEST_LOG_BYTES, runOnce } from '#dist/cli/run.js';
import { CANONICAL } from '#dist/cli/workload.js';
import { type Contender, type Round, type RoundTimes, roundOf } from './contender.js';

/** Pipelines of 512 operations, 32 of them in flight. */
export const PIPELINES: LoadShape = {
  api: 'pipeline',
  slots: 32,
  batch: PIPELINE_AUTO,
  requestBytes: REQUEST_LOG_BYTES,
};

/** Single operations in flight where every operation has a promise. */
export const PROMISES_IN_FLIGHT = 4096;

const PROMISES: LoadShape = {
  api: 'promise',
  slots: PROMISES_IN_FLIGHT,
  batch: 1,
  requestBytes: 0,
};

function replicated(options: {
  readonly id: Contender['id'];
  readonly name: string;
  readonly witnesses: number;
  readonly load: LoadShape;
}): Contender {
  const round = async (times: RoundTimes): Promise<Round> =>
    roundOf(
      await runOnce({
        open: { name: 'compare', replicas: 3, witnesses: options.witnesses },
        load: options.load,
        source: { type: 'workload', shape: CANONICAL },
        threads: 0,
        warmUpMs: times.warmUpMs,
        operations: null,
        durationMs: times.measureMs,
      }),
    );
  return { id: options.id, name: options.name, round };
}

export const REPLICATED: readonly Contender[] = [
  replicated({ id: 'replicas', name: '3 replicas, pipelines', witnesses: 0, load: PIPELINES }),
  replicated({
    id: 'witness',
    name: '2 replicas + 1 witness, pipelines',
    witnesses: 1,
    load: PIPELINES,
  }),
  replicated({
    id: 'promise',
    name: '3 replicas, a promise per operation',
    witnesses: 0,
    load: PROMISES,
  }),
];
