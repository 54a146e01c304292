// `viewstamp killtest`: does a directory keep what it promises? A process writes to it and is killed at a random instant, over and over;
// the next one must find what was acknowledged.

import { tmpdir } from 'node:os';
import { type Command, Option } from 'commander';
import { describeEnvironment, recordEnvironment } from './environment.js';
import {
  checkWitnesses,
  FSYNC_MODES,
  type FsyncMode,
  fsyncMode,
  intervalOption,
  refuseIdleDiskFlags,
  value,
} from './flags.js';
import { type EioResult, eioLack, failDisk, wrongWith } from './killtest/eio.js';
import {
  eioLines,
  exitCodeOf,
  type KillOutcome,
  killJson,
  killLines,
  roundLine,
} from './killtest/report.js';
import { Series } from './killtest/series.js';
import { Scratch, writableDirectory } from './scratch.js';
import { parseCount, parseList } from './units.js';
import { EXIT_SAFETY } from './usage.js';

interface Flags {
  readonly rounds: number;
  readonly seed: number;
  readonly fsync: readonly FsyncMode[];
  readonly interval: number;
  readonly replicas: number;
  readonly witnesses: number;
  readonly eio?: true;
  readonly data?: string;
  readonly format: 'text' | 'json';
  readonly quiet?: true;
}

export function registerKilltest(
  program: Command,
  context: { readonly signal: AbortSignal; setExitCode(code: number): void },
): void {
  const count = (least: number, most: number): ((text: string) => number) =>
    value((text) => parseCount(text, { least, most }));
  program
    .command('killtest')
    .description('kill a process that writes to a directory, and see what the next one finds there')
    .option('--rounds <count>', 'how often', count(1, 100_000), 50)
    .option('--seed <number>', 'seed of the instants and the load', count(0, 2 ** 31 - 1), 1)
    .addOption(
      new Option('--fsync <list>', `what is flushed when: ${FSYNC_MODES.join(', ')}; in turns`)
        .argParser(value((text) => parseList(text, fsyncMode)))
        .default(['batch'], 'batch'),
    )
    .addOption(intervalOption())
    .option('--replicas <count>', 'size of the cluster', count(1, 9), 3)
    .option('--witnesses <count>', 'how many of them keep only the log', count(0, 4), 0)
    .option('--eio', 'instead: let the disk of each replica in turn fail under load (needs strace)')
    .option('--data <dir>', 'in which to make the directory (default: where temporary files go)')
    .addOption(
      new Option('-f, --format <name>', 'lines, or one JSON object')
        .choices(['text', 'json'])
        .default('text'),
    )
    .option('-q, --quiet', 'nothing on standard error but errors')
    .addHelpText('after', HELP)
    .action(async (flags: Flags, command: Command) => {
      refuseIdleDiskFlags(command, { modes: flags.fsync, inMemory: false });
      context.setExitCode(await killtest(flags, context.signal));
    });
}

const HELP = `
After batch everything acknowledged must be there; after interval and none, a prefix of it.
After a violation the directory stays, and its path is told.
Exit code: 0 all is well, 1 a process did not come back, 4 an acknowledged operation is lost, doubled or out of order, replicas
differ, or a store is damaged.`;

async function killtest(flags: Flags, signal: AbortSignal): Promise<number> {
  checkWitnesses(flags);
  const { rounds, seed, fsync, interval, replicas, witnesses } = flags;
  const parent = writableDirectory(flags.data ?? tmpdir());
  const env = recordEnvironment();
  if (flags.quiet !== true) process.stderr.write(`${describeEnvironment(env)}\n`);
  if (flags.eio === true) return await failDisks(flags, parent, signal);
  const beganAt = performance.now();
  using directory = new Scratch(parent, 'viewstamp-killtest-');
  const result = await Series.run({
    rounds,
    seed,
    replicas,
    witnesses,
    dir: directory.path,
    fsync,
    intervalMs: interval,
    signal,
    onRound: (round) => {
      if (flags.format === 'text') process.stdout.write(`${roundLine(round)}\n`);
    },
  });
  const options = { rounds, seed, fsync, intervalMs: interval, replicas, witnesses };
  const outcome: KillOutcome = { ...result, env, options, elapsedMs: performance.now() - beganAt };
  const text = flags.format === 'json' ? killJson(outcome) : killLines(outcome).join('\n');
  process.stdout.write(`${text}\n`);
  const exitCode = exitCodeOf(outcome);
  if (exitCode !== 0) {
    directory.keep();
    process.stderr.write(`the directory stays: ${directory.path}\n`);
  }
  return exitCode;
}

/** Each replica in a cluster of its own. */
async function failDisks(flags: Flags, parent: string, signal: AbortSignal): Promise<number> {
  const lack = eioLack();
  if (lack !== null) {
    process.stdout.write(`skipped: ${lack}\n`);
    return 0;
  }
  const { seed, replicas, witnesses } = flags;
  const results: (EioResult & { readonly wrong: readonly string[] })[] = [];
  for (let replica = 0; replica < replicas; replica++) {
    signal.throwIfAborted();
    using directory = new Scratch(parent, 'viewstamp-eio-');
    const durability = { dir: directory.path, fsync: 'batch' } as const;
    const result = await failDisk({ replicas, witnesses, durability }, replica, seed);
    const wrong = wrongWith(result);
    results.push({ ...result, wrong });
    if (flags.format === 'text') process.stdout.write(`${eioLines(result, wrong).join('\n')}\n`);
  }
  if (flags.format === 'json')
    process.stdout.write(
      `${JSON.stringify({ kind: 'viewstamp.eio', schemaVersion: 1, results }, null, 2)}\n`,
    );
  return results.some(({ wrong }) => wrong.length > 0) ? EXIT_SAFETY : 0;
}
