// Results of `viewstamp bench` with figures that were made up.

import { type BenchDocument, benchDocument } from '../../src/cli/bench-document.js';
import { type BenchFlags, planBench } from '../../src/cli/bench-plan.js';
import type { BenchReport } from '../../src/cli/bench-report.js';
import { recordEnvironment } from '../../src/cli/environment.js';
import { latencyHistogram } from '../../src/cli/load.js';
import type { Backlog } from '../../src/cli/pace.js';
import { CANONICAL } from '../../src/cli/workload.js';
import type { EntrySizes } from '../../src/index.js';

export const FLAGS: BenchFlags = {
  clients: 16,
  warmup: 1000,
  valueSize: CANONICAL.valueBytes,
  keySize: 16,
  keyspace: 10_000,
  replicas: 3,
  witnesses: 0,
  interval: 50,
  batch: ['auto'],
  window: [32],
  linger: [0],
  threads: 0,
  mix: CANONICAL.mix,
  api: 'pipeline',
  runs: 1,
  seed: 1,
};

/** Three of one request, one of two. */
export const ENTRIES: EntrySizes = {
  entries: 4,
  requests: 5,
  bytes: 6144,
  byRequests: [
    [1, 3],
    [2, 1],
    [4, 0],
  ],
  byBytes: [
    [1024, 2],
    [2048, 1],
    [4096, 1],
  ],
};

/** Of the first configuration; each further one is twice as slow as the one before. */
interface Figures {
  readonly opsPerSecond: number;
  readonly p99Us: number;
  readonly errors?: number;
  readonly backlog?: Backlog;
}

export function report(flags: BenchFlags, figures: Figures): BenchReport {
  const plan = planBench(flags);
  const runs = plan.configurations.map((configuration, index) => {
    const histogram = latencyHistogram();
    for (let at = 0; at < 100; at++)
      histogram.record(Math.round(figures.p99Us * 1e3 * 2 ** index * (at < 50 ? 0.1 : 1)));
    const opsPerSecond = figures.opsPerSecond / 2 ** index;
    const counts = { operations: 1000, errors: figures.errors ?? 0, misses: 0, firstError: null };
    return {
      configuration,
      run: 1,
      capacityBefore: 2,
      capacityAfter: 2,
      stolen: null,
      result: {
        ...counts,
        opsPerSecond,
        elapsedMs: 1e6 / opsPerSecond,
        cpuNsPerOp: 900,
        histogram,
        backlog: figures.backlog ?? { dropped: 0, unsent: 0, most: 0 },
        timeline: [{ atMs: 100.4, opsPerSecond }],
        entries: ENTRIES,
      },
    };
  });
  return { env: recordEnvironment(), command: ['bench'], flags, plan, runs };
}

export function result(flags: BenchFlags, figures: Figures): BenchDocument {
  return benchDocument(report(flags, figures), null);
}
