// One measured run: a fresh cluster, filled once, warmed up, loaded, closed. Fresh, so that no run finds what another one left.

import { type Cluster, type EntrySizes, type OpenOptions, open } from '../index.js';
import { drive, type RunResult } from './drive.js';
import { entriesBetween, entriesMade } from './entries.js';
import { InputSource } from './input.js';
import { LoadGenerator, type LoadShape, type StageResult } from './load.js';
import { LoadControl } from './load-control.js';
import { type LoadSource, startLoadThreads } from './load-threads.js';
import {
  type OperationSource,
  type Prefill,
  setBytes,
  Workload,
  type WorkloadShape,
} from './workload.js';

export interface RunOptions {
  readonly open: OpenOptions;
  readonly load: LoadShape;
  readonly source: LoadSource;
  /** 0: load from this thread. */
  readonly threads: number;
  readonly warmUpMs: number;
  /** What ends the run: a number of operations or a time; with input neither is needed. */
  readonly operations: number | null;
  readonly durationMs: number | null;
  readonly signal?: AbortSignal;
  /** Called now and then with how far the measuring is, from 0 to 1. */
  readonly progress?: (done: number) => void;
}

export interface ClusterRunResult extends RunResult {
  /** Of what was measured. */
  readonly entries: EntrySizes;
}

/** Sets of a pipeline of the first filling; fewer when they are large, for each has to be answered in time. */
const PREFILL_BATCH = 500;
const PREFILL_BYTES = 8 * 2 ** 20;

/** Of a run at full speed, what lies in the log between two checkpoints, and what is kept below for stragglers. */
const PRETOUCH_BYTES = 384 * 2 ** 20;
const PRETOUCH_SHARE = 1 / 32;

/**
 * Log that each replica makes resident before a measurement that may write `bytes` of it (`limits.logPretouchBytes`): first
 * touches of memory are the host's cost, and would be most of a short run.
 */
export function pretouchBytes(bytes: number = PRETOUCH_BYTES): number {
  return Math.floor(Math.min(bytes, process.availableMemory() * PRETOUCH_SHARE));
}

/** @throws VrError of opening, or the signal's reason. */
export async function runOnce(options: RunOptions): Promise<ClusterRunResult> {
  const cluster = await open(
    options.signal === undefined ? options.open : { ...options.open, signal: options.signal },
  );
  try {
    return await measureCluster(cluster, options);
  } finally {
    await cluster.close();
  }
}

/** The same over a cluster that is already open. */
export async function measureCluster(
  cluster: Cluster,
  options: RunOptions,
): Promise<ClusterRunResult> {
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
    const edges: EntrySizes[] = [];
    const atEdge = (): void => {
      edges.push(entriesMade(cluster.metrics()));
    };
    const result = await drive(control, load.results, { ...options, generators, atEdge });
    const [before, after] = edges as [EntrySizes, EntrySizes];
    return { ...result, entries: entriesBetween(before, after) };
  } finally {
    await load.close();
  }
}

async function prefill(cluster: Cluster, source: { readonly shape: WorkloadShape }): Promise<void> {
  const workload = new Workload(source.shape);
  const pipeline = cluster.kv.namespace<Uint8Array>('', { encoding: 'bytes' }).pipeline();
  const most = Math.floor(PREFILL_BYTES / setBytes(source.shape));
  await workload.prefill(Math.max(1, Math.min(PREFILL_BATCH, most)), async (fill: Prefill) => {
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
    const generator = new LoadGenerator({ ...common, target: kv, source: from });
    return { results: generator.run(quota).then((result) => [result]), close };
  }
  const from: OperationSource<unknown> = new InputSource({
    operations: source.operations,
    repeat: source.repeat,
    piece: options.load.batch,
    generator: 0,
    generators: 1,
  });
  const generator = new LoadGenerator({ ...common, target: cluster.kv, source: from });
  return { results: generator.run(quota).then((result) => [result]), close };
}
