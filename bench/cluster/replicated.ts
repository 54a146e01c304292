// The contenders that replicate: the built package through its public API, as a user would call it.

import { type Cluster, open } from 'viewstamp';
import { PIPELINE_AUTO } from '#dist/cli/bench-plan.js';
import type { LoadShape } from '#dist/cli/load.js';
import { measureCluster, pretouchBytes } from '#dist/cli/run.js';
import { CANONICAL } from '#dist/cli/workload.js';
import { type Contender, type Round, type RoundTimes, type Running, roundOf } from './contender.js';

/** Pipelines of 512 operations, 32 of them in flight. */
export const PIPELINES: LoadShape = {
  api: 'pipeline',
  slots: 32,
  batch: PIPELINE_AUTO,
};

const LOG_BYTES = 2 ** 30;

/** Single operations in flight where every operation has a promise. */
export const PROMISES_IN_FLIGHT = 4096;

const PROMISES: LoadShape = {
  api: 'promise',
  slots: PROMISES_IN_FLIGHT,
  batch: 1,
};

/** What a log holds under load: three intervals of checkpoints with full entries. */
const LOG_IN_USE = 192 << 20;

function replicated(options: {
  readonly id: Contender['id'];
  readonly name: string;
  readonly witnesses: number;
  readonly load: LoadShape;
}): Contender {
  const start = async (): Promise<Running> => {
    const opened = {
      name: 'compare',
      replicas: 3,
      witnesses: options.witnesses,
      limits: { logBytes: LOG_BYTES, logPretouchBytes: pretouchBytes(LOG_IN_USE) },
    };
    const measure = async (cluster: Cluster, times: RoundTimes): Promise<Round> =>
      roundOf(
        await measureCluster(cluster, {
          open: opened,
          load: options.load,
          source: { type: 'workload', shape: CANONICAL },
          threads: 0,
          warmUpMs: times.warmUpMs,
          operations: null,
          durationMs: times.measureMs,
        }),
      );
    const cluster = await open(opened);
    return {
      round: (times) => measure(cluster, times),
      close: () => cluster.close(),
    };
  };
  return { id: options.id, name: options.name, start };
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
