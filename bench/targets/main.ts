// `npm run bench:targets`: every figure that viewstamp is to reach, from one interleaved run. Exit code 1 when one that must be reached is
// not. `--smoke` is for the smoke test: the same path, figures that mean nothing and that nobody judges.

import { writeFileSync } from 'node:fs';
import { Command, Option } from 'commander';
import { CapacityGate } from '#dist/cli/capacity.js';
import { describeEnvironment, type Environment, recordEnvironment } from '#dist/cli/environment.js';
import { oneOf, value } from '#dist/cli/flags.js';
import { guardStreams } from '#dist/cli/output.js';
import { startProgress } from '#dist/cli/progress.js';
import { parseCount, parseList } from '#dist/cli/units.js';
import { EXIT_FAILED, EXIT_UNAVAILABLE } from '#dist/cli/usage.js';
import { describeCapacity, describeDisturbance } from '../cluster/comparison.js';
import { type Disturbance, interleave } from '../cluster/interleave.js';
import { LoadedCluster } from '../cluster/replicated.js';
import { Servers } from '../peers/servers.js';
import { endOnSignals, jsonFile, runProgram } from '../program.js';
import { BOUNDS, type Judged, judge, TARGETS, type Target } from './bounds.js';
import { FIGURES, type FigureName, figuresOf, type Measured, probesFor } from './figures.js';
import { FULL_SIZE, obstacleOf, PROBES, SMOKE_SIZE } from './probes.js';
import { describeDoubt, describeVerdict, isDoubtful, judgedTable } from './report.js';

const ROUNDS = 5;
const ROUNDS_MOST = 1000;

interface Flags {
  readonly rounds: number;
  readonly only?: readonly Target[];
  readonly json?: string;
  readonly smoke?: true;
}

interface Skipped {
  readonly figure: FigureName;
  readonly reason: string;
}

interface Report {
  readonly kind: 'viewstamp.targets';
  readonly schemaVersion: 1;
  readonly env: Environment;
  readonly rounds: number;
  readonly capacity: readonly number[];
  readonly disturbance: Disturbance;
  readonly doubtful: boolean;
  readonly figures: readonly Judged[];
  readonly skipped: readonly Skipped[];
  /** What each probe measured, round by round. */
  readonly measured: Measured;
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** The figures that can be measured here; the others with what they lack. */
function choose(targets: readonly Target[]): { names: FigureName[]; skipped: Skipped[] } {
  const names: FigureName[] = [];
  const skipped: Skipped[] = [];
  for (const figure of figuresOf(targets)) {
    const [reason] = FIGURES[figure].needs.flatMap((probe) => obstacleOf(probe) ?? []);
    if (reason === undefined) names.push(figure);
    else skipped.push({ figure, reason });
  }
  return { names, skipped };
}

/** A line for people: what the round alone would say. */
function describeRound(names: readonly FigureName[], measured: Measured): string {
  return names
    .map((name) => `${BOUNDS[name].target} ${FIGURES[name].of(measured).toFixed(2)}`)
    .join(' · ');
}

async function measure(
  names: readonly FigureName[],
  flags: Flags,
): Promise<{
  measured: Measured;
  capacity: readonly number[];
  disturbance: Disturbance;
}> {
  const size = flags.smoke === true ? SMOKE_SIZE : FULL_SIZE;
  const rounds = flags.smoke === true ? 1 : flags.rounds;
  const probes = probesFor(names);
  const byProbe = (of: (at: number) => readonly unknown[]): Measured =>
    Object.fromEntries(probes.map((probe, at) => [probe, of(at)]));
  const gate = new CapacityGate();
  const progress = startProgress(false);
  await using servers = new Servers();
  const cluster = new LoadedCluster(0, size.logBytes);
  try {
    const entrants = probes.map((probe) => PROBES[probe]({ size, gate, servers, cluster }));
    const { measured, capacity, disturbance } = await interleave<unknown>(entrants, {
      ...size,
      rounds,
      gate,
      begin: progress.update,
      roundDone: (round, row, now) => {
        const figures = describeRound(
          names,
          byProbe((at) => [row[at]]),
        );
        say(`round ${round}, capacity ${now.toFixed(2)}: ${figures}`);
      },
    });
    return { measured: byProbe((at) => measured[at] ?? []), capacity, disturbance };
  } finally {
    progress.stop();
    await gate.close();
  }
}

async function run(flags: Flags): Promise<number> {
  const { names, skipped } = choose(flags.only ?? TARGETS);
  for (const { figure, reason } of skipped)
    process.stderr.write(`${BOUNDS[figure].target} ${BOUNDS[figure].what}: skipped, ${reason}\n`);
  if (names.length === 0) {
    process.stderr.write('nothing is left to measure\n');
    return EXIT_UNAVAILABLE;
  }
  const env = recordEnvironment();
  say(describeEnvironment(env));
  const { measured, capacity, disturbance } = await measure(names, flags);
  const figures = names.map((name) => judge(name, FIGURES[name].of(measured)));
  const doubtful = isDoubtful(capacity);
  say(judgedTable(figures, doubtful));
  say(describeCapacity(capacity));
  say(describeDisturbance(disturbance));
  for (const line of describeDoubt(capacity)) say(line);
  if (flags.json !== undefined) {
    const report: Report = {
      kind: 'viewstamp.targets',
      schemaVersion: 1,
      env,
      rounds: capacity.length - 1,
      capacity,
      disturbance,
      doubtful,
      figures,
      skipped,
      measured,
    };
    writeFileSync(flags.json, `${JSON.stringify(report, null, 2)}\n`);
  }
  if (flags.smoke === true) {
    say('a smoke run: the figures mean nothing');
    return 0;
  }
  say(describeVerdict(figures));
  return figures.some(({ mustMet }) => mustMet === false) ? EXIT_FAILED : 0;
}

const PROGRAM = new Command('npm run bench:targets --')
  .description('every figure that viewstamp is to reach, beside its target, from one run')
  .option(
    '--rounds <n>',
    'how often each takes its turn',
    value((text) => parseCount(text, { least: 1, most: ROUNDS_MOST })),
    ROUNDS,
  )
  .option(
    '--only <targets>',
    `only these, of ${TARGETS.join(',')}`,
    value((text) => parseList(text, (item) => oneOf(item, TARGETS))),
  )
  .option('--json <file>', 'everything that was measured, as one document', value(jsonFile))
  .addOption(new Option('--smoke', 'everything for a moment: does it work?').conflicts(['rounds']));

endOnSignals();
guardStreams();
process.exitCode = await runProgram(PROGRAM, run);
