// From flags to the plan of a benchmark. Everything is checked here, flags against each other included, before a thread starts.

import type { Consistency, DiskOptions, OpenOptions } from '../index.js';
import { STORE_BYTES_DEFAULT } from '../service/paged-heap.js';
import type { Distribution } from './distributions.js';
import { checkWitnesses, type FsyncMode } from './flags.js';
import { inputBytes, readInput } from './input.js';
import { keyBytesLeast } from './keys.js';
import type { LoadApi, LoadShape } from './load.js';
import type { LoadSource } from './load-threads.js';
import type { Pace } from './pace.js';
import { pretouchBytes, type RunOptions } from './run.js';
import { formatBytes, formatMicros } from './units.js';
import { UsageError } from './usage.js';
import { meanSize, type ValueSizes } from './values.js';
import { keysOf, type Mix, setBytes, WORKLOADS, type WorkloadName } from './workload.js';

export type BatchSize = number | 'auto';
/** How durable a run is. */
export type Fsync = FsyncMode | 'memory';

/** The flags of `viewstamp bench`, parsed. */
export interface BenchFlags {
  readonly clients: number;
  readonly pipeline?: number;
  readonly requests?: number;
  readonly duration?: number;
  readonly warmup: number;
  readonly rate?: number;
  readonly backlog?: number;
  readonly valueSize: ValueSizes;
  readonly keySize: number;
  readonly keyspace: number;
  readonly replicas: number;
  readonly witnesses: number;
  readonly data?: string;
  readonly fsync?: readonly Fsync[];
  readonly interval: number;
  readonly batch: readonly BatchSize[];
  readonly window: readonly number[];
  readonly linger: readonly number[];
  readonly threads: number;
  readonly workload?: WorkloadName;
  readonly mix: Mix;
  readonly dist?: Distribution;
  readonly api: LoadApi;
  /** Of reads; without it linearizable. */
  readonly consistency?: Consistency;
  /** Milliseconds; without it that of `open()`. */
  readonly lease?: number;
  readonly runs: number;
  readonly seed: number;
  readonly pretouch?: number;
  readonly input?: string;
}

/** One point of the sweep. */
export interface Configuration {
  readonly fsync: Fsync;
  readonly batch: BatchSize;
  readonly window: number;
  readonly lingerMicros: number;
}

/** In words, but for how durable it is. */
export function configurationName({ batch, window, lingerMicros }: Configuration): string {
  return `batch ${batch}, window ${window}, linger ${formatMicros(lingerMicros)}`;
}

export interface BenchPlan {
  readonly configurations: readonly Configuration[];
  readonly runs: number;
  readonly clients: number;
  readonly pipeline: number;
  readonly api: LoadApi;
  readonly warmUpMs: number;
  readonly pretouchBytes: number;
  /** What ends a run; both null: the end of the input. */
  readonly operations: number | null;
  readonly durationMs: number | null;
  /** Operations per second that are started; null: a closed loop. */
  readonly rate: number | null;
  /** Operations that may be due and not sent; null without a rate. */
  readonly backlog: number | null;
  readonly source: LoadSource;
  /** `dir`: an empty one of its own; not used in memory. */
  run(configuration: Configuration, dir: string): RunOptions;
}

/** Operations of a pipeline when the batch size is 'auto'; fewer when their values are large. */
export const PIPELINE_AUTO = 512;
const PIPELINE_AUTO_BYTES = 2 ** 20;
const PIPELINE_SLOTS = 2;
const PROMISE_SLOTS = 256;
const DURATION_MS = 3000;
/** With a rate, a pipeline whose size is 'auto' takes what so long brings. */
const PIPELINE_AUTO_MS = 1;
/** What a backlog holds where nothing is said. */
const BACKLOG_MS = 1000;
/** Operations that all clients together keep open. */
export const OPEN_OPERATIONS_MAX = 1_000_000;
/** Their bytes: a quarter of the log where nothing else is said, which has to hold them all. */
const OPEN_BYTES_MAX = 256 * 2 ** 20;
/** Waiting calls that a client has room for anyway (`limits.callsWaiting`). */
const CALLS_WAITING_DEFAULT = 65_536;
const CONFIGURATIONS_MAX = 256;

function sweep(flags: BenchFlags): Configuration[] {
  const configurations = fsyncModes(flags).flatMap((fsync) =>
    flags.batch.flatMap((batch) =>
      flags.window.flatMap((window) =>
        flags.linger.map((lingerMicros) => ({ fsync, batch, window, lingerMicros })),
      ),
    ),
  );
  if (configurations.length > CONFIGURATIONS_MAX)
    throw new UsageError(
      `the lists make ${configurations.length} configurations, at most ${CONFIGURATIONS_MAX} are run`,
    );
  return configurations;
}

function fsyncModes({ data, fsync }: BenchFlags): readonly Fsync[] {
  if (data !== undefined) return fsync ?? ['batch'];
  const needs = fsync?.find((mode) => mode !== 'memory');
  if (needs !== undefined)
    throw new UsageError(`--fsync ${needs} needs a directory: give one with --data`);
  return ['memory'];
}

function sourceOf(flags: BenchFlags): LoadSource {
  if (flags.input !== undefined) {
    const repeat = flags.requests !== undefined || flags.duration !== undefined;
    return { type: 'input', operations: readInput(flags.input), repeat };
  }
  const { mix, distribution } =
    flags.workload === undefined
      ? { mix: flags.mix, distribution: flags.dist ?? 'uniform' }
      : WORKLOADS[flags.workload];
  const shape = {
    keyBytes: flags.keySize,
    valueBytes: flags.valueSize,
    keyspace: flags.keyspace,
    distribution,
    mix,
    seed: flags.seed,
  };
  const keys = keysOf(shape);
  const least = keyBytesLeast(keys);
  if (flags.keySize < least)
    throw new UsageError(`${keys} different keys need a --key-size of at least ${least} bytes`);
  const bytes = keys * (flags.keySize + meanSize(flags.valueSize));
  if (bytes > STORE_BYTES_DEFAULT)
    throw new UsageError(
      `${keys} keys with their values are ${formatBytes(bytes)}, and a store holds ${formatBytes(STORE_BYTES_DEFAULT)}: take a smaller --keyspace or --value-size`,
    );
  return { type: 'workload', shape };
}

/** Bytes of an operation in the log; gets count as well, for their values come back. */
function operationBytes(source: LoadSource): number {
  return source.type === 'input' ? inputBytes(source.operations) : setBytes(source.shape);
}

/** `oversized`: what becomes of configurations that would keep too much open. @throws UsageError */
export function planBench(
  flags: BenchFlags,
  oversized: 'refuse' | 'leave out' = 'refuse',
): BenchPlan {
  checkWitnesses(flags);
  if (flags.requests !== undefined && flags.duration !== undefined)
    throw new UsageError('give --requests or --duration, not both');
  if (flags.backlog !== undefined && flags.rate === undefined)
    throw new UsageError('--backlog is for --rate: without it nothing waits to be sent');
  if (flags.threads > 0 && flags.clients % flags.threads !== 0)
    throw new UsageError(
      `--clients ${flags.clients} do not spread evenly over --threads ${flags.threads}: take a multiple of ${flags.threads}`,
    );
  const source = sourceOf(flags);
  const pipeline = flags.pipeline ?? (flags.api === 'pipeline' ? PIPELINE_SLOTS : PROMISE_SLOTS);
  const timed = source.type === 'workload' && flags.requests === undefined;
  const durationMs = flags.duration ?? (timed ? DURATION_MS : null);
  const requests: Requests = {
    pipeline,
    operationBytes: operationBytes(source),
    pretouchBytes: flags.pretouch ?? pretouchBytes(),
  };
  const excess = (configuration: Configuration): string | null =>
    excessOf(openOperations(flags, configuration, requests), source);
  const all = sweep(flags);
  const configurations = all.filter((point) => excess(point) === null);
  const wrong = all.map(excess).find((text) => text !== null);
  if (wrong !== undefined && (oversized === 'refuse' || configurations.length === 0))
    throw new UsageError(wrong);
  // The operations of a file are meant: running some of them once more to warm up would change what they do.
  const warmUpMs = source.type === 'input' ? 0 : flags.warmup;
  return {
    configurations,
    runs: flags.runs,
    clients: flags.clients,
    pipeline,
    api: flags.api,
    warmUpMs,
    pretouchBytes: requests.pretouchBytes,
    operations: flags.requests ?? null,
    durationMs,
    rate: flags.rate ?? null,
    backlog: backlogOf(flags),
    source,
    run: (configuration, dir) => ({
      open: {
        ...openOptions(flags, configuration, requests),
        durability: durabilityOf(flags, configuration, dir),
      },
      load: loadShape(flags, configuration, requests),
      source,
      threads: flags.threads,
      warmUpMs,
      operations: flags.requests ?? null,
      durationMs,
    }),
  };
}

/** @returns what is too much, for people; null: nothing. */
function excessOf(open: number, source: LoadSource): string | null {
  const what = '--clients x --pipeline x --batch keeps';
  if (open > OPEN_OPERATIONS_MAX)
    return `${what} ${open} operations open, at most ${OPEN_OPERATIONS_MAX} are allowed`;
  const once = source.type === 'input' && !source.repeat;
  const bytes = (once ? Math.min(open, source.operations.length) : open) * operationBytes(source);
  if (bytes > OPEN_BYTES_MAX)
    return `${what} ${formatBytes(bytes)} open, at most ${formatBytes(OPEN_BYTES_MAX)} are allowed: lower one of them, or use smaller values`;
  return null;
}

/** What the flags leave open, decided. */
interface Requests {
  readonly pipeline: number;
  readonly operationBytes: number;
  readonly pretouchBytes: number;
}

/** Operations of one pipeline. */
function batchOf(flags: BenchFlags, configuration: Configuration, requests: Requests): number {
  if (flags.api === 'promise') return 1;
  if (configuration.batch !== 'auto') return configuration.batch;
  const most = Math.floor(PIPELINE_AUTO_BYTES / requests.operationBytes);
  const pace = paceOf(flags);
  const comes = pace === null ? PIPELINE_AUTO : (pace.perSecond * PIPELINE_AUTO_MS) / 1e3;
  return Math.max(1, Math.min(PIPELINE_AUTO, most, Math.floor(comes)));
}

function backlogOf({ rate, backlog }: BenchFlags): number | null {
  return rate === undefined ? null : (backlog ?? (rate * BACKLOG_MS) / 1e3);
}

/** Of one generator. */
function paceOf(flags: BenchFlags): Pace | null {
  const backlog = backlogOf(flags);
  if (flags.rate === undefined || backlog === null) return null;
  const generators = Math.max(1, flags.threads);
  return { perSecond: flags.rate / generators, backlog: backlog / generators, generators };
}

function openOperations(
  flags: BenchFlags,
  configuration: Configuration,
  requests: Requests,
): number {
  return flags.clients * requests.pipeline * batchOf(flags, configuration, requests);
}

function loadShape(flags: BenchFlags, configuration: Configuration, requests: Requests): LoadShape {
  const pace = paceOf(flags);
  return {
    api: flags.api,
    slots: (flags.clients / Math.max(1, flags.threads)) * requests.pipeline,
    batch: batchOf(flags, configuration, requests),
    ...(pace === null ? {} : { pace }),
  };
}

function durabilityOf(
  flags: BenchFlags,
  { fsync }: Configuration,
  dir: string,
): 'memory' | DiskOptions {
  return fsync === 'memory' ? fsync : { dir, fsync, intervalMs: flags.interval };
}

/** What of the flags is about reads, as `open()` takes it. */
export function readingOptions({
  consistency,
  lease,
}: BenchFlags): Pick<OpenOptions, 'consistency' | 'timing'> {
  return {
    ...(consistency === undefined ? {} : { consistency }),
    ...(lease === undefined ? {} : { timing: { leaseMs: lease } }),
  };
}

function openOptions(
  flags: BenchFlags,
  configuration: Configuration,
  requests: Requests,
): OpenOptions {
  return {
    name: 'bench',
    replicas: flags.replicas,
    witnesses: flags.witnesses,
    ...readingOptions(flags),
    batch: {
      maxOps: configuration.batch,
      window: configuration.window,
      lingerMicros: configuration.lingerMicros,
    },
    limits: {
      callsWaiting: Math.max(CALLS_WAITING_DEFAULT, openOperations(flags, configuration, requests)),
      clients: Math.max(64, flags.threads + 1),
      logPretouchBytes: requests.pretouchBytes,
    },
  };
}
