// A round of a store that is no cluster: loaded from this thread through promises, or with plain calls that come back at once.

import { performance } from 'node:perf_hooks';
import { PIPELINE_AUTO } from '#dist/cli/bench-plan.js';
import { processCpuNs } from '#dist/cli/cpu.js';
import { drive } from '#dist/cli/drive.js';
import {
  LoadGenerator,
  type LoadShape,
  type LoadTarget,
  latencyHistogram,
  recordSince,
} from '#dist/cli/load.js';
import { LoadControl } from '#dist/cli/load-control.js';
import type { OperationSource } from '#dist/cli/workload.js';
import { type Round, type RoundTimes, roundOf } from './contender.js';

/** `cpuNs`: CPU time of all processes that take part; without it that of this one. */
export async function measureTarget(options: {
  readonly target: LoadTarget<Uint8Array>;
  readonly source: OperationSource<Uint8Array>;
  readonly shape: LoadShape;
  readonly times: RoundTimes;
  readonly cpuNs?: () => number;
}): Promise<Round> {
  const { times, cpuNs = processCpuNs } = options;
  const control = LoadControl.allocate(1);
  const generator = new LoadGenerator({ ...options, control, index: 0 });
  const results = generator.run(Number.POSITIVE_INFINITY).then((result) => [result]);
  const result = await drive(control, results, {
    generators: 1,
    warmUpMs: times.warmUpMs,
    operations: null,
    durationMs: times.measureMs,
    cpuNs,
  });
  return roundOf(result);
}

/** `pipeline` runs PIPELINE_AUTO operations and looks at their results. */
export function measureHere(times: RoundTimes, pipeline: () => void): Round {
  runHere(times.warmUpMs, pipeline);
  return runHere(times.measureMs, pipeline);
}

function runHere(milliseconds: number, pipeline: () => void): Round {
  const histogram = latencyHistogram();
  const cpuBefore = processCpuNs();
  const begin = performance.now();
  const end = begin + milliseconds;
  let operations = 0;
  for (let at = begin; at < end; at = performance.now()) {
    pipeline();
    recordSince(histogram, at);
    operations += PIPELINE_AUTO;
  }
  const elapsedMs = performance.now() - begin;
  const cpuNs = processCpuNs() - cpuBefore;
  return roundOf({
    operations,
    errors: 0,
    firstError: null,
    misses: 0,
    elapsedMs,
    opsPerSecond: (operations / elapsedMs) * 1e3,
    cpuNsPerOp: cpuNs / operations,
    histogram,
  });
}
