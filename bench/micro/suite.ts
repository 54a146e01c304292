// `npm run bench:micro [-- words]`: the single pieces in interleaved rounds. It finds out which piece became slower, not how fast a cluster
// is. Words choose the pieces whose names have them all; `--smoke` runs everything for a moment, so that it never rots, and its
// figures mean nothing.

import { writeFileSync } from 'node:fs';
import { Command } from 'commander';
import { CapacityGate } from '#dist/cli/capacity.js';
import { describeEnvironment, recordEnvironment } from '#dist/cli/environment.js';
import { value } from '#dist/cli/flags.js';
import { guardStreams } from '#dist/cli/output.js';
import { startProgress } from '#dist/cli/progress.js';
import { parseCount, parseMillis } from '#dist/cli/units.js';
import { UsageError } from '#dist/cli/usage.js';
import { jsonFile, runProgram } from '../program.js';
import { checkpoint } from './checkpoint.js';
import { codec } from './codec.js';
import { core } from './core.js';
import { crossings } from './crossing.js';
import { frames } from './frames.js';
import { log } from './log.js';
import { FULL_SCALE, type Piece, type Scale, SMOKE_SCALE } from './piece.js';
import { microJson, microTable } from './report.js';
import { type Effort, FULL_EFFORT, measure, SMOKE_EFFORT } from './rounds.js';
import { store } from './store.js';
import { tables } from './tables.js';

interface Flags {
  readonly rounds?: number;
  readonly time?: number;
  readonly json?: string;
  readonly smoke?: boolean;
}

function allPieces(scale: Scale): Piece[] {
  return [
    ...codec(),
    ...frames(),
    ...crossings(),
    ...tables(scale),
    ...store(),
    ...checkpoint(scale),
    ...log(),
    ...core(),
  ];
}

/** @throws UsageError when no name has all of `words` */
function chosen(words: readonly string[], scale: Scale): Piece[] {
  const pieces = allPieces(scale).filter(({ name }) => words.every((word) => name.includes(word)));
  if (pieces.length === 0)
    throw new UsageError(`no piece has all of these words in its name: ${words.join(', ')}`);
  return pieces;
}

async function run(flags: Flags, words: readonly string[]): Promise<number> {
  const base = flags.smoke === true ? SMOKE_EFFORT : FULL_EFFORT;
  const { rounds = base.rounds, time: timeMs = base.timeMs } = flags;
  const effort: Effort = { ...base, rounds, timeMs };
  const pieces = chosen(words, flags.smoke === true ? SMOKE_SCALE : FULL_SCALE);
  const env = recordEnvironment();
  process.stdout.write(`${describeEnvironment(env)}\n`);
  const gate = new CapacityGate();
  const progress = startProgress(false);
  try {
    const measurement = await measure(pieces, effort, gate, progress.update);
    progress.stop();
    process.stdout.write(`${microTable(measurement)}\n`);
    if (flags.json !== undefined)
      writeFileSync(flags.json, `${microJson(env, effort, measurement)}\n`);
  } finally {
    progress.stop();
    await gate.close();
  }
  return 0;
}

const PROGRAM = new Command('bench:micro')
  .description('measure the single pieces: codec, rings, tables, store, checkpoints, log, core')
  .argument('[words...]', 'only the pieces whose names have all of these')
  .option(
    '--rounds <count>',
    `interleaved rounds (default: ${FULL_EFFORT.rounds})`,
    value((text) => parseCount(text, { least: 1, most: 1000 })),
  )
  .option(
    '--time <time>',
    `for each piece in each round (default: ${FULL_EFFORT.timeMs}ms)`,
    value((text) => parseMillis(text, { least: 1, most: 60_000 })),
  )
  .option('--json <file>', 'write the result there as well', value(jsonFile))
  .option('--smoke', 'everything for a moment, with small tables: the figures mean nothing')
  .showHelpAfterError('(--help lists the flags)');

guardStreams();
process.exitCode = await runProgram(PROGRAM, run);
