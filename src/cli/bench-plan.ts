// From flags to the plan of a benchmark. Everything is checked here, flags against each other included, before a thread starts.

import type { OpenOptions } from '../index.js';
import { readInput } from './input.js';
import type { LoadApi, LoadShape } from './load.js';
import type { LoadSource } from './load-threads.js';
import { checkLogRoom, REQUEST_LOG_BYTES, type RunOptions } from './run.js';
import type { SizeRange } from './units.js';
import { UsageError } from './usage.js';
import { keyBytesLeast, type Mix } from './workload.js';

export type BatchSize = number | 'auto';

/** The flags of `viewstamp bench`, parsed. */
export interface BenchFlags {
  readonly clients: number;
  readonly pipeline?: number;
  readonly requests?: number;
  readonly duration?: number;
  readonly warmup: number;
  readonly valueSize: SizeRange;
  readonly keySize: number;
  readonly keyspace: number;
  readonly replicas: number;
  readonly witnesses: number;
  readonly batch: readonly BatchSize[];
  readonly window: readonly number[];
  readonly linger: readonly number[];
  readonly threads: number;
  readonly mix: Mix;
  readonly api: LoadApi;
  readonly runs: number;
  readonly seed: number;
  readonly input?: string;
}

/** One point of the sweep. */
export interface Configuration {
  readonly batch: BatchSize;
  readonly window: number;
  readonly lingerMicros: number;
}

export interface BenchPlan {
  readonly configurations: readonly Configuration[];
  readonly runs: number;
  readonly clients: number;
  readonly pipeline: number;
  readonly api: LoadApi;
  run(configuration: Configuration): RunOptions;
}

/** Operations of a pipeline when the batch size is 'auto'. */
export const PIPELINE_AUTO = 512;
const PIPELINE_SLOTS = 2;
const PROMISE_SLOTS = 256;
const DURATION_MS = 3000;
/** Operations that all clients together keep open. */
export const OPEN_OPERATIONS_MAX = 1_000_000;
/** Waiting calls that a client has room for anyway (`limits.callsWaiting`). */
const CALLS_WAITING_DEFAULT = 65_536;
const CONFIGURATIONS_MAX = 256;

function sweep(flags: BenchFlags): Configuration[] {
  const configurations = flags.batch.flatMap((batch) =>
    flags.window.flatMap((window) =>
      flags.linger.map((lingerMicros) => ({ batch, window, lingerMicros })),
    ),
  );
  if (configurations.length > CONFIGURATIONS_MAX)
    throw new UsageError(
      `the lists make ${configurations.length} configurations, at most ${CONFIGURATIONS_MAX} are run`,
    );
  return configurations;
}

function sourceOf(flags: BenchFlags): LoadSource {
  if (flags.input !== undefined) {
    const repeat = flags.requests !== undefined || flags.duration !== undefined;
    return { type: 'input', operations: readInput(flags.input), repeat };
  }
  const least = keyBytesLeast(flags.keyspace);
  if (flags.keySize < least)
    throw new UsageError(
      `${flags.keyspace} different keys need a --key-size of at least ${least} bytes`,
    );
  return {
    type: 'workload',
    shape: {
      keyBytes: flags.keySize,
      valueBytes: flags.valueSize,
      keyspace: flags.keyspace,
      mix: flags.mix,
      seed: flags.seed,
    },
  };
}

/** @throws UsageError */
export function planBench(flags: BenchFlags): BenchPlan {
  if (flags.requests !== undefined && flags.duration !== undefined)
    throw new UsageError('give --requests or --duration, not both');
  if (flags.threads > 0 && flags.clients % flags.threads !== 0)
    throw new UsageError(
      `--clients ${flags.clients} do not spread evenly over --threads ${flags.threads}`,
    );
  const source = sourceOf(flags);
  const configurations = sweep(flags);
  const pipeline = flags.pipeline ?? (flags.api === 'pipeline' ? PIPELINE_SLOTS : PROMISE_SLOTS);
  const timed = source.type === 'workload' && flags.requests === undefined;
  const durationMs = flags.duration ?? (timed ? DURATION_MS : null);
  const plan: BenchPlan = {
    configurations,
    runs: flags.runs,
    clients: flags.clients,
    pipeline,
    api: flags.api,
    run: (configuration) => ({
      open: openOptions(flags, configuration, pipeline),
      load: loadShape(flags, configuration, pipeline),
      source,
      threads: flags.threads,
      // The operations of a file are meant: running some of them once more to warm up would change what they do.
      warmUpMs: source.type === 'input' ? 0 : flags.warmup,
      operations: flags.requests ?? null,
      durationMs,
    }),
  };
  for (const configuration of configurations) {
    const open = openOperations(flags, configuration, pipeline);
    if (open > OPEN_OPERATIONS_MAX)
      throw new UsageError(
        `--clients x --pipeline x --batch keeps ${open} operations open, at most ${OPEN_OPERATIONS_MAX} are allowed`,
      );
    checkLogRoom(plan.run(configuration));
  }
  return plan;
}

function batchOf(flags: BenchFlags, configuration: Configuration): number {
  if (flags.api === 'promise') return 1;
  return configuration.batch === 'auto' ? PIPELINE_AUTO : configuration.batch;
}

function openOperations(flags: BenchFlags, configuration: Configuration, pipeline: number): number {
  return flags.clients * pipeline * batchOf(flags, configuration);
}

function loadShape(flags: BenchFlags, configuration: Configuration, pipeline: number): LoadShape {
  // Gathered calls share the bytes of their request; the estimate only has to stop a run in time.
  const gathered = flags.api === 'promise' && configuration.batch === 'auto';
  return {
    api: flags.api,
    slots: (flags.clients / Math.max(1, flags.threads)) * pipeline,
    batch: batchOf(flags, configuration),
    requestBytes: gathered ? 0 : REQUEST_LOG_BYTES,
  };
}

function openOptions(
  flags: BenchFlags,
  configuration: Configuration,
  pipeline: number,
): OpenOptions {
  return {
    name: 'bench',
    replicas: flags.replicas,
    witnesses: flags.witnesses,
    batch: {
      maxOps: configuration.batch,
      window: configuration.window,
      lingerMicros: configuration.lingerMicros,
    },
    limits: {
      callsWaiting: Math.max(CALLS_WAITING_DEFAULT, openOperations(flags, configuration, pipeline)),
      clients: Math.max(64, flags.threads + 1),
    },
  };
}
