// The contenders that replicate: the built package through its public API, as a user would call it.

import { type Cluster, type OpenOptions, open } from 'viewstamp';
import { PIPELINE_AUTO } from '#dist/cli/bench-plan.js';
import type { LoadShape } from '#dist/cli/load.js';
import { measureCluster, pretouchBytes } from '#dist/cli/run.js';
import { CANONICAL, type WorkloadShape } from '#dist/cli/workload.js';
import { type Contender, type Running, roundOf } from './contender.js';

/** Pipelines of 512 operations, 32 of them in flight. */
export const PIPELINES: LoadShape = {
  api: 'pipeline',
  slots: 32,
  batch: PIPELINE_AUTO,
};

const LOG_BYTES = 2 ** 30;

/** Single operations in flight where every operation has a promise. */
export const PROMISES_IN_FLIGHT = 4096;

export const PROMISES: LoadShape = {
  api: 'promise',
  slots: PROMISES_IN_FLIGHT,
  batch: 1,
};

/** What a log holds under load: three intervals of checkpoints with full entries. */
export const LOG_IN_USE = 192 << 20;

/** Three replicas that may be loaded in several ways: opened for the first, closed after the last. */
export class LoadedCluster {
  readonly #open: OpenOptions;
  #cluster: Promise<Cluster> | undefined;
  #users = 0;

  /** `logBytes`: of each replica's log, resident before. */
  constructor(witnesses: number, logBytes: number = LOG_IN_USE) {
    this.#open = {
      name: 'compare',
      replicas: 3,
      witnesses,
      limits: { logBytes: LOG_BYTES, logPretouchBytes: pretouchBytes(logBytes) },
    };
  }

  /** One way to load it. */
  async start(load: LoadShape, shape: WorkloadShape = CANONICAL): Promise<Running> {
    this.#users++;
    this.#cluster ??= open(this.#open);
    const cluster = await this.#cluster;
    return {
      round: async (times) =>
        roundOf(
          await measureCluster(cluster, {
            open: this.#open,
            load,
            source: { type: 'workload', shape },
            threads: 0,
            warmUpMs: times.warmUpMs,
            operations: null,
            durationMs: times.measureMs,
          }),
        ),
      close: async () => {
        if (--this.#users > 0) return;
        this.#cluster = undefined;
        await cluster.close();
      },
    };
  }
}

function replicated(options: {
  readonly id: Contender['id'];
  readonly name: string;
  readonly witnesses: number;
  readonly load: LoadShape;
}): Contender {
  const { id, name, witnesses, load } = options;
  return { id, name, start: () => new LoadedCluster(witnesses).start(load) };
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
