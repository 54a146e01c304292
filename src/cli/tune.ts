// `viewstamp tune`: which batch size, window and linger suit this load on this machine. It runs the clusters that `viewstamp bench`
// would run, but decides from what it has seen which one is worth more of the time that it was given.

import { type Command, Option } from 'commander';
import { LOAD_HELP, type LoadDefaults, loadFlags, runFresh } from './bench.js';
import {
  type BatchSize,
  type BenchFlags,
  type BenchPlan,
  type Configuration,
  planBench,
} from './bench-plan.js';
import { type MeasuredRun, nameOf } from './bench-report.js';
import { CapacityGate, type Gated, isBusy } from './capacity.js';
import type { RunResult } from './drive.js';
import { describeEnvironment, recordEnvironment } from './environment.js';
import { value } from './flags.js';
import { deliver, type OutputFile, outputFile } from './output.js';
import { type Progress, startProgress } from './progress.js';
import { pretouchBytes } from './run.js';
import { writableDirectory } from './scratch.js';
import { latencyOf } from './statistics.js';
import { firstOf } from './tune/first.js';
import { type Tuned, tuneJson, tuneNotes, tuneTable } from './tune/result.js';
import { type Measurement, OBJECTIVES, type Objective, Search } from './tune/search.js';
import { formatMillis, parseMillis } from './units.js';
import { EXIT_FAILED, UsageError } from './usage.js';

/** What `viewstamp bench` asks for besides, the search decides itself. */
interface Flags extends Omit<BenchFlags, 'requests' | 'duration' | 'warmup' | 'runs'> {
  readonly for: Objective;
  readonly budget: number;
  readonly write?: OutputFile<'json'>;
  readonly format: 'table' | 'json';
  readonly quiet?: true;
}

const MINUTE_MS = 60_000;
const BUDGET_LEAST_MS = 2000;
/** The latencies of every run are kept until the end. */
const BUDGET_MOST_MS = 15 * MINUTE_MS;
/** Few enough for a minute: what a value in between would gain is less than what a minute can tell apart. */
const DEFAULTS: LoadDefaults = {
  batch: [1, 4, 16, 64, 256, 1024, 'auto'],
  window: [8, 32],
  linger: [0, 100],
  pretouch: '128MiB',
};
/** What a run at full speed writes before it ends. */
const RUN_LOG_BYTES = 128 * 2 ** 20;
/** Threads are new in every run and have to compile first. */
const WARM_UP_MS = 300;
/** The first run of a process is slower than all others: it is made for its time only, unless there is none for another. */
const FIRST_RUN_MS = 200;
/** What it takes more than others, about: it compiles, and the capacity is measured on both sides of it. */
const FIRST_EXTRA_MS = 400;

export function registerTune(
  program: Command,
  context: { readonly signal: AbortSignal; setExitCode(code: number): void },
): void {
  const command = program
    .command('tune')
    .description('search batch size, window and linger for a load on this machine');
  loadFlags(command, DEFAULTS)
    .addOption(
      new Option('--for <objective>', 'most throughput, least p99, or the knee between them')
        .choices(OBJECTIVES)
        .default('knee'),
    )
    .addOption(
      new Option('--budget <time>', 'how long to search')
        .argParser(
          value((text) => parseMillis(text, { least: BUDGET_LEAST_MS, most: BUDGET_MOST_MS })),
        )
        .default(MINUTE_MS, '1m'),
    )
    .option('-o, --write <file>', 'the options and all measurements as JSON', value(jsonFile))
    .addOption(
      new Option('-f, --format <name>', 'form of the result')
        .choices(['table', 'json'])
        .default('table'),
    )
    .addHelpText('after', HELP)
    .action(async (flags: Flags) => {
      const chosen = command.getOptionValueSource('batch') !== 'default';
      context.setExitCode(await tune(flags, chosen, context.signal));
    });
}

const HELP = `${LOAD_HELP}
The lists say what is searched: every combination, coarsely first where there are more than the budget allows.
The knee: where throughput divided by p99 is largest. Beyond it, 1 % more throughput costs more than 1 % more p99.
A run opens a cluster and fills it with --keyspace keys, which takes seconds where requests and entries are small. None begins that is not
expected to end within --budget, but one is made whatever it takes. What was too short for a first look of the lists is said to be
preliminary; the exit code is 0 all the same, and 1 when nothing was answered.
viewstamp report renders what --write has written.`;

/** @throws UsageError */
function jsonFile(path: string): OutputFile<'json'> {
  const { format } = outputFile(path);
  if (format !== 'json') throw new UsageError(`'${path}' must end in .json`);
  return { path, format };
}

/** In the order in which neighbours do about equally well; 'auto' gathers as much as comes. */
function ascending<T extends BatchSize>(values: readonly T[]): T[] {
  const size = (batch: BatchSize): number => (batch === 'auto' ? Number.POSITIVE_INFINITY : batch);
  return [...values].sort((a, b) => size(a) - size(b));
}

interface Space {
  readonly flags: BenchFlags;
  /** Its configurations are the candidates. */
  readonly plan: BenchPlan;
  /** Values of each axis. */
  readonly sizes: readonly number[];
}

/** `chosen`: the batch sizes are the user's own. @throws UsageError */
function spaceOf(flags: Flags, chosen: boolean): Space {
  if (flags.fsync !== undefined && flags.fsync.length > 1)
    throw new UsageError(
      `--fsync ${flags.fsync}: give one of them, only what is equally durable is compared`,
    );
  const all: BenchFlags = {
    ...flags,
    batch: ascending(flags.batch),
    window: ascending(flags.window),
    linger: ascending(flags.linger),
    duration: FIRST_RUN_MS,
    warmup: WARM_UP_MS,
    runs: 1,
    pretouch: flags.pretouch ?? pretouchBytes(RUN_LOG_BYTES),
  };
  const plan = planBench(all, chosen ? 'refuse' : 'leave out');
  const [windows, lingers] = [all.window.length, all.linger.length];
  const batches = plan.configurations.length / windows / lingers;
  return { flags: all, plan, sizes: [batches, windows, lingers] };
}

function measurementOf(gated: Gated<RunResult>): Measurement {
  const { errors, opsPerSecond, histogram } = gated.result;
  return {
    opsPerSecond: errors > 0 ? 0 : opsPerSecond,
    p99Us: latencyOf(histogram).p99Us,
    busy: isBusy(gated),
  };
}

interface Found {
  readonly search: Search;
  readonly runs: readonly MeasuredRun[];
  readonly elapsedMs: number;
  /** There was time for the first run of the process only, which then counts. */
  readonly firstRunOnly: boolean;
}

async function searchFor(
  { flags, plan, sizes }: Space,
  options: {
    readonly objective: Objective;
    readonly budgetMs: number;
    readonly parent: string | null;
    readonly progress: Progress;
    readonly signal: AbortSignal;
  },
): Promise<Found> {
  const { objective, budgetMs, parent, progress, signal } = options;
  const gate = new CapacityGate();
  const began = performance.now();
  const elapsed = (): number => performance.now() - began;
  const measure = async (candidate: number, durationMs: number) => {
    const configuration = plan.configurations[candidate] as Configuration;
    progress.update(elapsed() / budgetMs, nameOf(flags, configuration));
    const gated = await gate.around(() =>
      runFresh(plan, configuration, { parent, signal, durationMs }),
    );
    return { configuration, ...gated };
  };
  try {
    const first = firstOf(plan.configurations, sizes);
    const [candidate] = first;
    const rehearsal = await measure(candidate, FIRST_RUN_MS);
    const rehearsedMs = elapsed();
    const overheadMs = Math.max(0, rehearsedMs - FIRST_RUN_MS - FIRST_EXTRA_MS);
    const search = new Search({ sizes, objective, budgetMs, overheadMs, first });
    if (!search.hasTime(rehearsedMs)) {
      const trial = { candidate, measureMs: FIRST_RUN_MS };
      const run = search.record(trial, measurementOf(rehearsal), rehearsedMs);
      const runs = [{ run, ...rehearsal }];
      return { search, runs, elapsedMs: rehearsedMs, firstRunOnly: true };
    }
    const runs: MeasuredRun[] = [];
    for (;;) {
      const startedMs = elapsed();
      const trial = search.next(startedMs);
      if (trial === null) return { search, runs, elapsedMs: startedMs, firstRunOnly: false };
      const measured = await measure(trial.candidate, trial.measureMs);
      const run = search.record(trial, measurementOf(measured), elapsed() - startedMs);
      runs.push({ run, ...measured });
    }
  } finally {
    await gate.close();
  }
}

async function tune(flags: Flags, chosen: boolean, signal: AbortSignal): Promise<number> {
  const space = spaceOf(flags, chosen);
  const { plan } = space;
  const parent = flags.data === undefined ? null : writableDirectory(flags.data);
  const say = (text: string): void => {
    if (flags.quiet !== true) process.stderr.write(`${text}\n`);
  };
  const env = recordEnvironment();
  say(describeEnvironment(env));
  const count = plan.configurations.length;
  say(
    `${count} combination${count === 1 ? '' : 's'}, ${formatMillis(flags.budget)} to search them`,
  );
  const { for: objective, budget: budgetMs } = flags;
  const progress = startProgress(flags.quiet === true);
  let found: Found;
  try {
    found = await searchFor(space, { objective, budgetMs, parent, progress, signal });
  } finally {
    progress.stop();
  }
  const { search, runs, elapsedMs, firstRunOnly } = found;
  const measured = new Set(runs.map(({ configuration }) => configuration));
  const tuned: Tuned = {
    report: {
      env,
      command: process.argv.slice(2),
      flags: space.flags,
      // How long a run was stands with the run.
      plan: {
        ...plan,
        durationMs: null,
        configurations: plan.configurations.filter((point) => measured.has(point)),
      },
      runs,
    },
    candidates: plan.configurations,
    objective,
    budgetMs,
    elapsedMs,
    firstRunOnly,
    budgetMostMs: BUDGET_MOST_MS,
    complete: search.complete,
    estimates: search.estimates(),
    proposal: search.proposal(),
  };
  deliver(
    { table: () => tuneTable(tuned), json: () => tuneJson(tuned) },
    flags.format,
    flags.write === undefined ? [] : [flags.write],
  );
  if (flags.format !== 'table') for (const note of tuneNotes(tuned)) say(note);
  return tuned.proposal === null ? EXIT_FAILED : 0;
}
