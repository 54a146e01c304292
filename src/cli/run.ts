// One measured run: a fresh cluster, filled once, warmed up, loaded, closed. Fresh, because the log is never truncated: runs
// would otherwise share one log and the last ones meet its limit. A run that comes near the limit ends early and says so.

import { performance, type RecordableHistogram } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Cluster, type OpenOptions, open } from '../index.js';
import { processCpuNs } from './cpu.js';
import { InputSource } from './input.js';
import { LoadGenerator, type LoadShape, latencyHistogram, type StageResult } from './load.js';
import {
  LoadControl,
  PHASE_DONE,
  PHASE_MEASURE,
  PHASE_SETTLE,
  PHASE_WARM_UP,
} from './load-control.js';
import { type LoadSource, startLoadThreads } from './load-threads.js';
import { formatBytes } from './units.js';
import { UsageError } from './usage.js';
import { type OperationSource, type Prefill, Workload } from './workload.js';

export interface RunOptions {
  readonly open: OpenOptions;
  readonly load: LoadShape;
  readonly source: LoadSource;
  /** 0: load from this thread. */
  readonly threads: number;
  readonly warmUpMs: number;
  /** What ends the run besides the log: a number of operations or a time; with input neither is needed. */
  readonly operations: number | null;
  readonly durationMs: number | null;
  readonly signal?: AbortSignal;
  /** Called now and then with how far the measuring is, from 0 to 1. */
  readonly progress?: (done: number) => void;
}

export interface RunResult {
  readonly operations: number;
  readonly errors: number;
  readonly firstError: string | null;
  readonly misses: number;
  readonly elapsedMs: number;
  readonly opsPerSecond: number;
  readonly cpuNsPerOp: number;
  readonly histogram: RecordableHistogram;
  /** The log came near its limit, and the run ended before its time. */
  readonly cutByLog: boolean;
}

/** Limit of the log where nothing else is said (`limits.logBytes`). */
export const LOG_BYTES_DEFAULT: number = 2 ** 30;
/** A round ends before its log is fuller than this: at 80 % the cluster warns, at 100 % it refuses writes. */
export const LOG_SHARE = 0.7;
/** The key and header of a request in an entry, and the entry's own. */
export const REQUEST_LOG_BYTES = 64;
const PREFILL_BATCH = 500;
const WATCH_MS = 20;

export function logBudget(options: OpenOptions): number {
  return (options.limits?.logBytes ?? LOG_BYTES_DEFAULT) * LOG_SHARE;
}

/** Bytes that the first filling puts into the log. */
function prefillBytes(source: LoadSource): number {
  if (source.type === 'input') return 0;
  const { keyspace, keyBytes, valueBytes } = source.shape;
  return keyspace * (8 + keyBytes + (valueBytes.least + valueBytes.most) / 2);
}

/** @throws UsageError when the workload cannot run in the log at all. */
export function checkLogRoom(options: RunOptions): void {
  const needed = prefillBytes(options.source);
  const budget = logBudget(options.open);
  if (needed > budget / 2)
    throw new UsageError(
      `setting every key once takes ${formatBytes(needed)} of log, and a run may use ${formatBytes(budget)}: use fewer keys or smaller values`,
    );
}

/** @throws UsageError, VrError of opening, or the signal's reason. */
export async function runOnce(options: RunOptions): Promise<RunResult> {
  checkLogRoom(options);
  const cluster = await open(
    options.signal === undefined ? options.open : { ...options.open, signal: options.signal },
  );
  try {
    return await measureCluster(cluster, options);
  } finally {
    await cluster.close();
  }
}

/** The same over a cluster that is already open; its log must be empty. */
export async function measureCluster(cluster: Cluster, options: RunOptions): Promise<RunResult> {
  const { source, threads } = options;
  if (source.type === 'workload') await prefill(cluster, source);
  const generators = Math.max(1, threads);
  const control = LoadControl.allocate(generators);
  const quotas = quotasOf(options.operations, generators);
  const load =
    threads > 0
      ? startLoadThreads({ cluster, control, threads, shape: options.load, quotas, source })
      : startHere(cluster, control, options);
  try {
    return await drive(control, load.results, { ...options, cluster, generators });
  } finally {
    await load.close();
  }
}

async function prefill(
  cluster: Cluster,
  source: { readonly shape: ConstructorParameters<typeof Workload>[0] },
): Promise<void> {
  const workload = new Workload(source.shape);
  const pipeline = cluster.kv.namespace<Uint8Array>('', { encoding: 'bytes' }).pipeline();
  await workload.prefill(PREFILL_BATCH, async (fill: Prefill) => {
    fill(pipeline);
    const result = await pipeline.submit();
    for (let index = 0; index < result.count; index++) {
      const error = result.error(index);
      if (error !== undefined) throw error;
    }
  });
}

/** `operations` dealt out to generators; the first ones take what does not divide. */
function quotasOf(operations: number | null, generators: number): number[] {
  return Array.from({ length: generators }, (_, index) =>
    operations === null
      ? Number.POSITIVE_INFINITY
      : Math.floor(operations / generators) + (index < operations % generators ? 1 : 0),
  );
}

interface RunningLoad {
  readonly results: Promise<StageResult[]>;
  close(): Promise<void>;
}

/** One generator on this thread. */
function startHere(cluster: Cluster, control: LoadControl, options: RunOptions): RunningLoad {
  const { source } = options;
  const quota = options.operations ?? Number.POSITIVE_INFINITY;
  const common = { shape: options.load, control, index: 0 };
  const close = async (): Promise<void> => {};
  if (source.type === 'workload') {
    const kv = cluster.kv.namespace<Uint8Array>('', { encoding: 'bytes' });
    const from: OperationSource<Uint8Array> = new Workload(source.shape);
    const generator = new LoadGenerator({ ...common, kv, source: from });
    return { results: generator.run(quota).then((result) => [result]), close };
  }
  const from: OperationSource<unknown> = new InputSource({
    operations: source.operations,
    repeat: source.repeat,
    piece: options.load.batch,
    generator: 0,
    generators: 1,
  });
  const generator = new LoadGenerator({ ...common, kv: cluster.kv, source: from });
  return { results: generator.run(quota).then((result) => [result]), close };
}

interface DriveOptions extends RunOptions {
  readonly cluster: Cluster;
  readonly generators: number;
}

/** Leads the generators through their phases and reads the clocks at the edges. */
async function drive(
  control: LoadControl,
  results: Promise<StageResult[]>,
  options: DriveOptions,
): Promise<RunResult> {
  const { generators, signal } = options;
  const watch = new RunWatch(control, options);
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
  try {
    await allArrived(1);
    if (options.warmUpMs > 0 && broken === undefined) {
      control.enter(PHASE_WARM_UP);
      await watch.until(performance.now() + options.warmUpMs, () => broken !== undefined);
    }
    if (broken === undefined) control.enter(PHASE_SETTLE);
    await allArrived(2);
    const cpuBefore = processCpuNs();
    const begin = performance.now();
    if (broken === undefined) control.enter(PHASE_MEASURE);
    const end = options.durationMs === null ? Number.POSITIVE_INFINITY : begin + options.durationMs;
    await watch.until(end, () => broken !== undefined || control.arrived >= 3 * generators);
    control.enter(PHASE_DONE);
    await allArrived(3);
    const cpuNs = processCpuNs() - cpuBefore;
    const stages = await settled;
    if (broken !== undefined) throw broken;
    signal?.throwIfAborted();
    return summarize(stages, cpuNs, watch.cut);
  } finally {
    watch.close();
  }
}

/** Looks after a run while it lasts: the log, the signal, the progress bar. */
class RunWatch {
  readonly #control: LoadControl;
  readonly #options: DriveOptions;
  readonly #budget: number;
  readonly #pressure: Disposable;
  #full = false;
  cut = false;

  constructor(control: LoadControl, options: DriveOptions) {
    this.#control = control;
    this.#options = options;
    this.#budget = logBudget(options.open) - prefillBytes(options.source);
    // The budget is an estimate from what was sent; the cluster's own warning stands behind it.
    this.#pressure = options.cluster.on('logpressure', () => {
      this.#full = true;
    });
  }

  async until(end: number, over: () => boolean): Promise<void> {
    const { signal, operations, progress } = this.#options;
    const begin = performance.now();
    const operationsBefore = this.#control.operations;
    while (!over() && !this.#control.failed && signal?.aborted !== true) {
      const left = end - performance.now();
      if (left <= 0) return;
      if (this.#full || this.#control.bytes > this.#budget) {
        this.cut = true;
        return;
      }
      if (operations !== null)
        progress?.((this.#control.operations - operationsBefore) / operations);
      else if (end < Number.POSITIVE_INFINITY) progress?.(1 - left / (end - begin));
      await sleep(Math.min(WATCH_MS, left));
    }
  }

  close(): void {
    this.#pressure[Symbol.dispose]();
  }
}

function summarize(stages: readonly StageResult[], cpuNs: number, cutByLog: boolean): RunResult {
  const histogram = latencyHistogram();
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
    cutByLog,
  };
}
