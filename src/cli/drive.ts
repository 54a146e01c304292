// Leads load generators through warm-up and measuring and reads the clocks at the edges: CPU time of all threads, wall time from
// the first request to the last answer. What the generators load, a cluster or something to compare it with, it does not know.

import { performance, type RecordableHistogram } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { processCpuNs } from './cpu.js';
import { latencyHistogram, type StageResult } from './load.js';
import {
  type LoadControl,
  PHASE_DONE,
  PHASE_MEASURE,
  PHASE_SETTLE,
  PHASE_WARM_UP,
} from './load-control.js';
import type { Backlog } from './pace.js';
import { type Sample, Timeline } from './timeline.js';

export interface RunResult {
  readonly operations: number;
  readonly errors: number;
  readonly firstError: string | null;
  readonly misses: number;
  readonly elapsedMs: number;
  readonly opsPerSecond: number;
  readonly cpuNsPerOp: number;
  readonly histogram: RecordableHistogram;
  /** In operations; all zero where none start at a rate of their own. */
  readonly backlog: Backlog;
  readonly timeline: readonly Sample[];
}

export interface DriveOptions {
  readonly generators: number;
  readonly warmUpMs: number;
  /** For the progress: what the generators' quotas add up to. */
  readonly operations: number | null;
  readonly durationMs: number | null;
  /** CPU time of all that takes part, ns; without it that of this process. */
  readonly cpuNs?: () => number;
  /** Called at both edges of the measuring, while nothing is open. */
  readonly atEdge?: () => void;
  readonly signal?: AbortSignal;
  /** Called while the run is measured, not while it warms up. */
  readonly progress?: (done: number) => void;
}

const WATCH_MS = 20;

/** @throws what a generator failed with, or the signal's reason. */
export async function drive(
  control: LoadControl,
  results: Promise<StageResult[]>,
  options: DriveOptions,
): Promise<RunResult> {
  const { generators, signal, cpuNs = processCpuNs } = options;
  // A generator that fails must not leave the driver waiting for its arrival, nor the others running.
  let broken: unknown;
  const settled = results.catch((error: unknown) => {
    broken = error ?? new Error('a load thread failed');
    control.enter(PHASE_DONE);
    return [] as StageResult[];
  });
  const allArrived = async (stages: number): Promise<void> => {
    while (control.arrived < stages * generators && broken === undefined) await sleep(1);
  };
  await allArrived(1);
  if (options.warmUpMs > 0 && broken === undefined) {
    control.enter(PHASE_WARM_UP);
    const end = performance.now() + options.warmUpMs;
    await watch(control, options, { end, over: () => broken !== undefined, timeline: null });
  }
  if (broken === undefined) control.enter(PHASE_SETTLE);
  await allArrived(2);
  options.atEdge?.();
  const cpuBefore = cpuNs();
  const begin = performance.now();
  if (broken === undefined) control.enter(PHASE_MEASURE);
  const end = options.durationMs === null ? Number.POSITIVE_INFINITY : begin + options.durationMs;
  const over = (): boolean => broken !== undefined || control.arrived >= 3 * generators;
  const timeline = new Timeline();
  await watch(control, options, { end, over, timeline });
  control.enter(PHASE_DONE);
  await allArrived(3);
  const cpuSpentNs = cpuNs() - cpuBefore;
  options.atEdge?.();
  const stages = await settled;
  if (broken !== undefined) throw broken;
  signal?.throwIfAborted();
  return summarize(stages, cpuSpentNs, timeline.samples);
}

/** Waits until `end`, until it is over, or for the signal. While it measures, it tells the timeline and the progress bar. */
async function watch(
  control: LoadControl,
  options: DriveOptions,
  at: {
    readonly end: number;
    readonly over: () => boolean;
    /** null: this is the warm-up. */
    readonly timeline: Timeline | null;
  },
): Promise<void> {
  const { signal, operations } = options;
  const { end, over, timeline } = at;
  const progress = timeline === null ? undefined : options.progress;
  const begin = performance.now();
  const operationsBefore = control.operations;
  while (!over() && !control.failed && signal?.aborted !== true) {
    const now = performance.now();
    if (now >= end) break;
    const done = control.operations - operationsBefore;
    timeline?.look(now - begin, done);
    if (operations !== null) progress?.(done / operations);
    else if (end < Number.POSITIVE_INFINITY) progress?.((now - begin) / (end - begin));
    await sleep(Math.min(WATCH_MS, end - now));
  }
  timeline?.end(performance.now() - begin, control.operations - operationsBefore);
}

function summarize(
  stages: readonly StageResult[],
  cpuNs: number,
  timeline: readonly Sample[],
): RunResult {
  const histogram = latencyHistogram();
  const backlog = { dropped: 0, unsent: 0, most: 0 };
  let operations = 0;
  let errors = 0;
  let misses = 0;
  let firstError: string | null = null;
  let startedAt = Number.POSITIVE_INFINITY;
  let endedAt = 0;
  for (const stage of stages) {
    operations += stage.operations;
    errors += stage.errors;
    misses += stage.misses;
    firstError ??= stage.firstError;
    startedAt = Math.min(startedAt, stage.startedAt);
    endedAt = Math.max(endedAt, stage.endedAt);
    // Nothing recorded: add() of an empty histogram is fine, its percentiles are not.
    histogram.add(stage.histogram);
    backlog.dropped += stage.backlog.dropped;
    backlog.unsent += stage.backlog.unsent;
    backlog.most += stage.backlog.most;
  }
  const elapsedMs = Math.max(endedAt - startedAt, 1e-3);
  return {
    operations,
    errors,
    firstError,
    misses,
    elapsedMs,
    opsPerSecond: (operations / elapsedMs) * 1e3,
    cpuNsPerOp: operations === 0 ? 0 : cpuNs / operations,
    histogram,
    backlog,
    timeline,
  };
}
