// `viewstamp sim`: the protocol with faults, from seeds, in virtual time. Seeds run on all cores; what fails is made short and
// comes with the command that repeats it.

import { randomInt } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { type Command, Option } from 'commander';
import { Piscina } from 'piscina';
import { MISTAKES, type MistakeName } from '../protocol/mutations.js';
import { PAPER_DEFECTS, type PaperDefectName } from '../simulation/paper-defects.js';
import type { FaultKind } from '../simulation/swarm/plan.js';
import { SEED_MAX } from '../simulation/swarm/plan.js';
import { value } from './flags.js';
import { startProgress } from './progress.js';
import { tellPaperDefect } from './sim/defect.js';
import {
  parseFaults,
  parseMistake,
  parseSeeds,
  parseWithout,
  type SeedRange,
} from './sim/flags.js';
import type { SimPart, SimTask } from './sim/part.js';
import { againOf, type Replayed, replay, replayJson, replayText } from './sim/replay.js';
import { addPart, emptySum, simJson, simTable } from './sim/report.js';
import type { ShrinkTask } from './sim/shrink.task.js';
import { parseCount, parseMillis } from './units.js';
import { EXIT_FAILED, EXIT_SAFETY, UsageError } from './usage.js';

interface Flags {
  readonly seeds: SeedRange | number;
  readonly replay?: number;
  readonly storm?: number;
  readonly requests?: number;
  readonly faults?: readonly number[];
  readonly without?: readonly FaultKind[];
  readonly mistake?: MistakeName;
  readonly paperDefect?: PaperDefectName;
  readonly lines?: true;
  readonly threads: number;
  readonly format: 'table' | 'json';
  readonly quiet?: true;
}

/** Seeds of one task: long enough to be worth the way, short enough for a bar that moves. */
const SEEDS_PER_TASK = 10;
const STORM_MS_MAX = 60_000;

export function registerSim(
  program: Command,
  context: { readonly signal: AbortSignal; setExitCode(code: number): void },
): void {
  program
    .command('sim')
    .description('play the protocol with faults from seeds, in virtual time, and check everything')
    .addOption(
      new Option('--seeds <count|from..to>', 'so many fresh seeds, or these')
        .argParser(value(parseSeeds))
        .default(1000, '1000'),
    )
    .addOption(
      new Option(
        '--replay <seed>',
        'play one seed again and show its faults and its end; with the next four flags, a part of it',
      )
        .argParser(value((text) => parseCount(text, { least: 0, most: SEED_MAX })))
        .conflicts(['seeds', 'lines', 'threads']),
    )
    .option(
      '--storm <time>',
      'only so much of its first phase',
      value((text) => parseMillis(text, { least: 0, most: STORM_MS_MAX })),
    )
    .option(
      '--requests <count>',
      'only so many requests',
      value((text) => parseCount(text, { least: 0, most: 1e6 })),
    )
    .option(
      '--faults <list|none>',
      'only these of its faults, as --replay numbers them (from 0)',
      value(parseFaults),
    )
    .option('--without <list>', 'none of these kinds of faults', value(parseWithout))
    .addOption(
      new Option('--mistake <name>', 'switch one mistake on, to see whether it is found')
        .choices(Object.keys(MISTAKES))
        .argParser(value(parseMistake)),
    )
    .addOption(
      new Option(
        '--paper-defect <name>',
        'tell how a defect of the published protocol loses a write',
      )
        .choices(Object.keys(PAPER_DEFECTS))
        .conflicts(['replay', 'mistake', 'seeds', 'lines', 'threads']),
    )
    .option('--lines', 'one line per seed, not with -f json')
    .option(
      '--threads <count>',
      'threads that play seeds',
      value((text) => parseCount(text, { least: 1, most: 256 })),
      availableParallelism(),
    )
    .addOption(
      new Option('-f, --format <name>', 'form of the result')
        .choices(['table', 'json'])
        .default('table'),
    )
    .option('-q, --quiet', 'nothing on standard error but errors')
    .addHelpText('after', HELP)
    .action(async (flags: Flags) => context.setExitCode(await sim(flags, context.signal)));
}

const HELP = `
Each seed draws a group, limits, faults and a load, and is played to its end: first with faults, then with a majority healed.
After every step the invariants of the protocol are checked, at the end the history of the clients.
Exit codes: 0 nothing found, 1 a mistake was switched on and not found, 4 something was.`;

async function sim(flags: Flags, signal: AbortSignal): Promise<number> {
  checkTogether(flags);
  const { format } = flags;
  if (flags.paperDefect !== undefined) return tellPaperDefect(flags.paperDefect, format);
  const mistake = flags.mistake ?? null;
  if (flags.replay !== undefined) {
    const replayed = replay(flags.replay, mistake, flags);
    const text = format === 'json' ? replayJson(replayed) : replayText(replayed);
    process.stdout.write(`${text}\n`);
    if (replayed.failure !== null) return EXIT_SAFETY;
    return nothingFound(mistake, `in seed ${flags.replay}`);
  }
  const say = (text: string): void => {
    if (flags.quiet !== true) process.stderr.write(`${text}\n`);
  };
  const range = typeof flags.seeds === 'number' ? freshRange(flags.seeds) : flags.seeds;
  say(`seeds ${range.first} to ${range.first + range.count - 1} on ${flags.threads} threads`);
  const began = performance.now();
  const sum = await playAll(range, flags, signal);
  const seconds = (performance.now() - began) / 1000;
  const report = { range, threads: flags.threads, mistake, seconds, sum };
  process.stdout.write(`${format === 'json' ? simJson(report) : simTable(report)}\n`);
  const first = sum.failures.toSorted((a, b) => a.seed - b.seed)[0];
  if (first === undefined) return nothingFound(mistake, 'in these seeds');
  const again = `again: ${againOf(first.seed, mistake)}`;
  if (flags.quiet === true) {
    // That something is wrong is an error, and how to see it belongs to it.
    process.stderr.write(`${again}\n`);
  } else {
    say(`\nseed ${first.seed} is being made short; Ctrl-C leaves it as it is ...`);
    const short = await shortened({ seed: first.seed, mistake }, signal);
    say(short === null ? again : replayText(short));
  }
  return EXIT_SAFETY;
}

/** @returns the exit code of a run without a violation, which with a mistake in it is nothing to be glad of. */
function nothingFound(mistake: MistakeName | null, where: string): number {
  if (mistake === null) return 0;
  process.stderr.write(`error: ${mistake} was switched on and not found ${where}\n`);
  return EXIT_FAILED;
}

/** In a thread of its own, so that signals are heard. @returns null when one was. */
async function shortened(task: ShrinkTask, signal: AbortSignal): Promise<Replayed | null> {
  const pool = new Piscina<ShrinkTask, Replayed>({
    filename: new URL('./sim/shrink.task.js', import.meta.url).href,
    maxThreads: 1,
  });
  try {
    return await pool.run(task, { signal });
  } catch (error) {
    if (signal.aborted) return null;
    throw error;
  } finally {
    await pool.destroy();
  }
}

/** @throws UsageError: parts of a run are parts of the one that is replayed, and a line of text is no JSON. */
function checkTogether(flags: Flags): void {
  if (flags.lines === true && flags.format === 'json')
    throw new UsageError('--lines cannot be used with --format json');
  if (flags.replay !== undefined) return;
  for (const name of ['storm', 'requests', 'faults', 'without'] as const)
    if (flags[name] !== undefined) throw new UsageError(`--${name} needs --replay <seed>`);
}

function freshRange(count: number): SeedRange {
  return { first: randomInt(SEED_MAX - count), count };
}

async function playAll(
  range: SeedRange,
  flags: Flags,
  signal: AbortSignal,
): Promise<ReturnType<typeof emptySum>> {
  const pool = new Piscina<SimTask, SimPart>({
    filename: new URL('./sim/sim.task.js', import.meta.url).href,
    minThreads: flags.threads,
    maxThreads: flags.threads,
    concurrentTasksPerWorker: 1,
  });
  const progress = startProgress(flags.quiet === true);
  const sum = emptySum();
  let next = range.first;
  const end = range.first + range.count;
  const play = async (): Promise<void> => {
    while (next < end && !signal.aborted) {
      const first = next;
      const count = Math.min(SEEDS_PER_TASK, end - first);
      next += count;
      const mistake = flags.mistake ?? null;
      const task = { first, count, mistake, lines: flags.lines === true };
      const part = await pool.run(task, { signal }).catch((error: unknown) => {
        if (signal.aborted) return null;
        throw error;
      });
      if (part === null) return;
      addPart(sum, part);
      for (const line of part.lines) process.stdout.write(`${line}\n`);
      const what = `${sum.seeds} of ${range.count} seeds, ${sum.failures.length} failed`;
      progress.update(sum.seeds / range.count, what);
    }
  };
  // One task per thread in work and one waiting: the queue stays short however many seeds there are.
  const tasks = Array.from({ length: 2 * flags.threads }, play);
  try {
    await Promise.all(tasks);
  } finally {
    progress.stop();
    await pool.destroy();
  }
  // What was found is found, however many seeds are left.
  if (sum.failures.length === 0) signal.throwIfAborted();
  return sum;
}
