// `npm run experiments`: the experiments of the sources, measured here. Each leaves its data, its figure and its table in the folder of
// `--out`. `--smoke` is for the smoke test: the same path, figures that mean nothing.

import { Argument, Command, Option } from 'commander';
import { CapacityGate } from '#dist/cli/capacity.js';
import { describeEnvironment, recordEnvironment } from '#dist/cli/environment.js';
import { value } from '#dist/cli/flags.js';
import { guardStreams, table } from '#dist/cli/output.js';
import { startProgress } from '#dist/cli/progress.js';
import { parseCount } from '#dist/cli/units.js';
import { UsageError } from '#dist/cli/usage.js';
import { describeCapacity } from '../cluster/comparison.js';
import { endOnSignals, parseSeconds, runProgram } from '../program.js';
import { checkReadme, type Document, draw, readDocument, writeDocument } from './documents.js';
import type { Experiment, ExperimentOptions } from './experiment.js';
import { MESSAGE_SIZE } from './message-size.js';
import { REPLICAS } from './replicas.js';
import { REQUEST_QUEUE } from './request-queue.js';
import { VIEW_CHANGE } from './view-change.js';

const EXPERIMENTS: readonly Experiment[] = [REPLICAS, VIEW_CHANGE, MESSAGE_SIZE, REQUEST_QUEUE];
const NAMES = EXPERIMENTS.map(({ name }) => name);
const OUT = 'docs/experiments';
const ROUNDS_MOST = 1000;
const SMOKE: ExperimentOptions = { rounds: 1, seconds: 0.3, smoke: true };

interface Flags {
  readonly rounds: number;
  readonly seconds: number;
  readonly out?: string;
  readonly smoke?: true;
  readonly redraw?: true;
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

async function measure(
  experiment: Experiment,
  options: ExperimentOptions,
  gate: CapacityGate,
): Promise<Document> {
  const env = recordEnvironment();
  const progress = startProgress(false);
  try {
    const measured = await experiment.measure({ ...options, gate, begin: progress.update });
    return {
      kind: 'viewstamp.experiment',
      schemaVersion: 1,
      experiment: experiment.name,
      env,
      ...options,
      ...measured,
    };
  } finally {
    progress.stop();
  }
}

function tell({ name, what, summarise }: Experiment, { rows, capacity }: Document): void {
  const summary = summarise(rows);
  say(`\n${name}: ${what}`);
  say(table(summary.head, summary.rows));
  say(describeCapacity(capacity));
}

async function measureAll(
  experiments: readonly Experiment[],
  options: ExperimentOptions,
  folder: string,
): Promise<void> {
  say(describeEnvironment(recordEnvironment()));
  const gate = new CapacityGate();
  try {
    for (const experiment of experiments) {
      const document = await measure(experiment, options, gate);
      writeDocument(folder, document);
      await draw(folder, experiment, document);
      tell(experiment, document);
    }
  } finally {
    await gate.close();
  }
}

async function run(flags: Flags, words: readonly string[]): Promise<number> {
  const chosen = EXPERIMENTS.filter(({ name }) => words.length === 0 || words.includes(name));
  if (flags.smoke === true && flags.out === undefined)
    throw new UsageError(`--smoke needs --out: what it measures does not belong into ${OUT}`);
  const folder = flags.out ?? OUT;
  checkReadme(folder, chosen);
  if (flags.redraw === true)
    for (const experiment of chosen)
      await draw(folder, experiment, readDocument(folder, experiment.name));
  else if (flags.smoke === true) await measureAll(chosen, SMOKE, folder);
  else {
    const { rounds, seconds } = flags;
    await measureAll(chosen, { rounds, seconds, smoke: false }, folder);
  }
  return 0;
}

const PROGRAM = new Command('npm run experiments --')
  .description('the experiments of the sources, measured here: data, figures and tables')
  .addHelpText(
    'after',
    `\n${EXPERIMENTS.map(({ name, what }) => `  ${name.padEnd(14)} ${what}`).join('\n')}`,
  )
  .addArgument(new Argument('[experiments...]', 'only these').choices(NAMES))
  .option(
    '--rounds <n>',
    'how often each point is measured',
    value((text) => parseCount(text, { least: 1, most: ROUNDS_MOST })),
    3,
  )
  .option('--seconds <s>', 'how long a point is measured', value(parseSeconds), 1)
  .option('--out <folder>', `where data, figures and tables go (default: ${OUT})`)
  .addOption(
    new Option('--redraw', 'figures and tables anew, from the data that is there').conflicts([
      'rounds',
      'seconds',
      'smoke',
    ]),
  )
  .addOption(
    new Option('--smoke', 'one short round of few points: does it work?').conflicts([
      'rounds',
      'seconds',
    ]),
  );

endOnSignals();
guardStreams();
process.exitCode = await runProgram(PROGRAM, run);
