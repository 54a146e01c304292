// `viewstamp bench`: what replication costs on this machine, for these sizes, at these batch sizes. Lists make a sweep; runs of
// different configurations alternate, so that a slow minute of the machine hits all of them.

import { type Command, Option } from 'commander';
import { DEFAULT_LIMITS } from '../protocol/limits.js';
import {
  checkSameShape,
  compareWith,
  comparisonTable,
  isMissed,
  readBaseline,
} from './baseline.js';
import { benchDocument, shapeOf } from './bench-document.js';
import {
  type BatchSize,
  type BenchFlags,
  type BenchPlan,
  type Configuration,
  type Fsync,
  planBench,
} from './bench-plan.js';
import {
  benchCsv,
  benchTable,
  type MeasuredRun,
  nameOf,
  notes,
  summaries,
} from './bench-report.js';
import { CapacityGate } from './capacity.js';
import { DISTRIBUTIONS } from './distributions.js';
import { describeEnvironment, recordEnvironment } from './environment.js';
import { type Condition, parseFailIf } from './fail-if.js';
import { FSYNC_MODES, intervalOption, oneOf, refuseIdleDiskFlags, value, values } from './flags.js';
import { KEYSPACE_MAX } from './keys.js';
import { deliver, FORMATS, type Format, type OutputFile, outputFile } from './output.js';
import { startProgress } from './progress.js';
import { type ClusterRunResult, type RunOptions, runOnce } from './run.js';
import { Scratch, writableDirectory } from './scratch.js';
import {
  formatMicros,
  formatMix,
  formatValueSizes,
  parseConsistency,
  parseCount,
  parseList,
  parseMicros,
  parseMillis,
  parseMix,
  parseSize,
  parseValueSizes,
} from './units.js';
import { EXIT_FAILED, EXIT_THRESHOLD, UsageError } from './usage.js';
import { CANONICAL, WORKLOADS } from './workload.js';

interface Flags extends BenchFlags {
  readonly baseline?: string;
  readonly failIf?: readonly Condition[];
  readonly format: Format;
  readonly output?: OutputFile[];
  readonly quiet?: true;
}

const MINUTE_MS = 60_000;
const VALUE_MAX = 2 ** 20;
const RATE_MAX = 10_000_000;
/** The silence before a view change, which is not a flag. */
const LEASE_MOST_MS = 500;

function count(least: number, most: number): (text: string) => number {
  return value((text) => parseCount(text, { least, most }));
}

function batchSize(text: string): BatchSize {
  if (text === 'auto') return 'auto';
  return parseCount(text, { least: 1, most: 4096 }, 'auto or a whole number');
}

const FSYNCS: readonly Fsync[] = [...FSYNC_MODES, 'memory'];

/** Where nothing is said. */
export interface LoadDefaults {
  /** What a sweep runs, or a search looks through. */
  readonly batch: readonly BatchSize[];
  readonly window: readonly number[];
  /** Microseconds. */
  readonly linger: readonly number[];
  /** As it would be typed. */
  readonly pretouch: string;
}

/** Adds what describes a cluster and its load, whatever is then done with them. */
export function loadFlags(command: Command, defaults: LoadDefaults): Command {
  const list = { least: 1, most: 1024 };
  return command
    .option('-c, --clients <count>', 'logical clients', count(1, 4096), 16)
    .option(
      '-P, --pipeline <count>',
      'requests that each client keeps open (default: 2 with --api pipeline, 256 with promise)',
      count(1, 65_536),
    )
    .addOption(
      new Option('-d, --value-size <bytes>', 'bytes of a value, a range, or zipf:<range>')
        .argParser(value((text) => parseValueSizes(text, { least: 0, most: VALUE_MAX })))
        .default(CANONICAL.valueBytes, formatValueSizes(CANONICAL.valueBytes)),
    )
    .option(
      '--key-size <bytes>',
      'bytes of a key',
      value((text) => parseSize(text, { least: 2, most: 1024 })),
      CANONICAL.keyBytes,
    )
    .option('-r, --keyspace <count>', 'different keys', count(1, KEYSPACE_MAX), CANONICAL.keyspace)
    .option('--replicas <count>', 'size of the cluster', count(1, 9), 3)
    .option('--witnesses <count>', 'how many of them keep only the log', count(0, 4), 0)
    .option(
      '--data <dir>',
      'keep runs on disk, each in a directory of its own in this one, which must exist',
    )
    .option(
      '--fsync <list>',
      'with --data: batch, interval, none, and memory to compare (default: batch)',
      value((text) => parseList(text, (item) => oneOf(item, FSYNCS))),
    )
    .addOption(intervalOption())
    .addOption(
      new Option('--batch <list>', 'operations per request and requests per entry, or auto')
        .argParser(value((text) => parseList(text, batchSize)))
        .default(defaults.batch, defaults.batch.join(',')),
    )
    .addOption(
      new Option('--window <list>', 'entries in flight')
        .argParser(value((text) => parseList(text, (item) => parseCount(item, list))))
        .default(defaults.window, defaults.window.join(',')),
    )
    .addOption(
      new Option('--linger <list>', 'wait for company while nothing is in flight')
        .argParser(
          value((text) =>
            parseList(text, (item) => parseMicros(item, { least: 0, most: 100_000 })),
          ),
        )
        .default(defaults.linger, defaults.linger.map(formatMicros).join(',')),
    )
    .option('--threads <count>', 'load threads; 0: load from the main thread', count(0, 64), 0)
    .addOption(
      new Option('--mix <weights>', 'operations, of get, set, delete, incr, insert and rmw')
        .argParser(value(parseMix))
        .default(CANONICAL.mix, formatMix(CANONICAL.mix)),
    )
    .addOption(
      new Option('--dist <name>', 'which keys, see below')
        .choices(DISTRIBUTIONS)
        .default('uniform'),
    )
    .addOption(
      new Option('--workload <name>', 'mix and distribution of YCSB')
        .choices(Object.keys(WORKLOADS))
        .conflicts(['mix', 'dist']),
    )
    .option(
      '--rate <count>',
      'operations to start per second, whatever the answers do; latency counts from when each was due',
      count(1, RATE_MAX),
    )
    .option(
      '--backlog <count>',
      'with --rate: operations that may wait to be sent; beyond them the oldest are dropped (default: what a second brings)',
      count(0, RATE_MAX),
    )
    .addOption(
      new Option('--api <name>', 'many operations per request, or one promise per operation')
        .choices(['pipeline', 'promise'])
        .default('pipeline'),
    )
    .option(
      '--consistency <level>',
      'of reads: linearizable, session, local, or how old the answer may be, like 50ms (default: linearizable)',
      value(parseConsistency),
    )
    .option(
      '--lease <time>',
      'lease of the primary for reads; 0: each read asks a quorum (default: 300ms)',
      value((text) => parseMillis(text, { least: 0, most: LEASE_MOST_MS })),
    )
    .option('--seed <number>', 'seed of the operations', count(0, 2 ** 31 - 1), CANONICAL.seed)
    .option(
      '--pretouch <bytes>',
      `log made resident before a run, 0 for none (default: ${defaults.pretouch} if there is memory)`,
      value((text) => parseSize(text, { least: 0, most: DEFAULT_LIMITS.logBytes })),
    )
    .addOption(
      new Option('--input <file>', 'operations of your own, one JSON object a line').conflicts([
        'mix',
        'dist',
        'workload',
        'keyspace',
        'keySize',
        'valueSize',
        'seed',
        'warmup',
      ]),
    )
    .option('-q, --quiet', 'nothing on standard error but errors');
}

export function registerBench(
  program: Command,
  context: { readonly signal: AbortSignal; setExitCode(code: number): void },
): void {
  const command = program
    .command('bench')
    .description('measure a cluster on this machine; lists like --batch 1,8,64 make a sweep');
  loadFlags(command, { batch: ['auto'], window: [32], linger: [0], pretouch: '384MiB' })
    .option('-n, --requests <count>', 'operations to run, instead of a time', count(1, 1e9))
    .option(
      '-t, --duration <time>',
      'how long to measure (default: 3s)',
      value((text) => parseMillis(text, { least: 10, most: 60 * MINUTE_MS })),
    )
    .addOption(
      new Option('--warmup <time>', 'load before the measuring, not counted')
        .argParser(value((text) => parseMillis(text, { least: 0, most: 10 * MINUTE_MS })))
        .default(5000, '5s'),
    )
    .option('--runs <count>', 'runs of every configuration; medians are shown', count(1, 100), 3)
    .addOption(
      new Option('-f, --format <name>', 'form of the result').choices(FORMATS).default('table'),
    )
    .option(
      '-o, --output <file>',
      'also write to a file, .json, .csv or .txt; may be repeated',
      values(outputFile),
    )
    .option('--baseline <file>', 'compare with an earlier result in JSON of the same command')
    .option(
      '--fail-if <conditions>',
      'with --baseline: end with exit code 3 when one holds, like throughput<-10%,p99>+20%',
      value(parseFailIf),
    )
    .addHelpText('after', HELP)
    .action(async (flags: Flags, command: Command) => {
      const plan = planBench(flags);
      const modes = plan.configurations.map(({ fsync }) => fsync);
      const inMemory = flags.data === undefined && flags.fsync === undefined;
      refuseIdleDiskFlags(command, { modes: [...new Set(modes)], inMemory });
      context.setExitCode(await bench(flags, plan, context.signal));
    });
}

export const LOAD_HELP = `
Sizes: 100, 64KiB, 1MiB.  Times: 50us, 500ms, 10s, 2m.  Counts: 10, 10k, 2M.
Of --mix, insert sets a new key, up to 4M of them, and rmw gets a key and sets it when it has the answer (two operations).
Of --dist, zipfian takes few keys often, as YCSB does, latest those that were inserted last, sequential one after the other.`;

const HELP = `${LOAD_HELP}
A file for --input:
  {"op":"set","key":"user:1","value":{"name":"Ada"}}
  {"op":"get","key":"user:1"}
  {"op":"incr","key":"visits","by":1}
  {"op":"delete","key":"user:1"}
It runs once, or over and over until --requests or --duration is reached.
Of --fail-if, figures are throughput, cpu, p50, p90, p99, p99.9 and max; any configuration of a sweep counts.
Exit code: 0 done, 1 operations failed or nothing was measured, 2 wrong usage, 3 a condition of --fail-if holds.`;

/** One run of `configuration`; on disk in a directory of its own under `parent`, which goes with it. */
export async function runFresh(
  plan: BenchPlan,
  configuration: Configuration,
  options: Pick<RunOptions, 'signal' | 'progress'> &
    Partial<Pick<RunOptions, 'durationMs'>> & { readonly parent: string | null },
): Promise<ClusterRunResult> {
  const { parent, ...rest } = options;
  if (parent === null) return await runOnce({ ...plan.run(configuration, ''), ...rest });
  using directory = new Scratch(parent, 'viewstamp-bench-');
  return await runOnce({ ...plan.run(configuration, directory.path), ...rest });
}

async function bench(flags: Flags, plan: BenchPlan, signal: AbortSignal): Promise<number> {
  const conditions = flags.failIf ?? [];
  const baseline = flags.baseline === undefined ? null : readBaseline(flags.baseline);
  if (baseline !== null) checkSameShape(baseline, shapeOf(flags, plan));
  else if (conditions.length > 0)
    throw new UsageError('--fail-if compares with an earlier result: give one with --baseline');
  const parent = flags.data === undefined ? null : writableDirectory(flags.data);
  const say = (text: string): void => {
    if (flags.quiet !== true) process.stderr.write(`${text}\n`);
  };
  const env = recordEnvironment();
  say(describeEnvironment(env));
  const progress = startProgress(flags.quiet === true);
  const gate = new CapacityGate();
  const runs: MeasuredRun[] = [];
  try {
    const total = plan.runs * plan.configurations.length;
    for (let run = 1; run <= plan.runs; run++) {
      for (const configuration of plan.configurations) {
        const what = `${nameOf(flags, configuration)}, run ${run}`;
        const before = runs.length;
        const gated = await gate.around(() =>
          runFresh(plan, configuration, {
            parent,
            signal,
            progress: (done) => progress.update((before + done) / total, what),
          }),
        );
        runs.push({ configuration, run, ...gated });
      }
    }
  } finally {
    progress.stop();
    await gate.close();
  }
  const report = { env, command: process.argv.slice(2), flags, plan, runs };
  const summary = summaries(report);
  const comparison = baseline === null ? null : compareWith(baseline, { env, summary }, conditions);
  const compared = comparison === null ? [] : [comparisonTable(comparison)];
  deliver(
    {
      table: () => [benchTable(report), ...compared].join('\n'),
      json: () => JSON.stringify(benchDocument(report, comparison), null, 2),
      csv: () => benchCsv(report),
    },
    flags.format,
    flags.output ?? [],
  );
  if (flags.format !== 'table') for (const note of [...notes(report), ...compared]) say(note);
  if (summary.some((row) => row.errors > 0 || row.operations === 0)) return EXIT_FAILED;
  return comparison !== null && isMissed(comparison) ? EXIT_THRESHOLD : 0;
}
