// `viewstamp soak`: real threads, real faults. Clusters one after the other, under drawn settings, with clients that record what
// they see, while threads are ended, stopped, starved and lied to by their memory. What comes out is judged, not only shown.

import { type Command, Option } from 'commander';
import { describeEnvironment, recordEnvironment } from './environment.js';
import { checkWitnesses, value } from './flags.js';
import { startProgress } from './progress.js';
import { ClientThreads } from './soak/clients.js';
import { type EpochResult, isSafe, runEpoch } from './soak/epoch.js';
import { History } from './soak/history.js';
import type { Injury } from './soak/inflict.js';
import { collector } from './soak/memory.js';
import { Plan } from './soak/plan.js';
import { judge, type SoakOutcome, soakJson, soakTable } from './soak/report.js';
import { parseCount, parseMillis, parseSize } from './units.js';
import { messageOf, UsageError } from './usage.js';

interface Flags {
  readonly duration?: number;
  readonly minutes?: number;
  readonly faults?: number;
  readonly seed: number;
  readonly replicas: number;
  readonly witnesses: number;
  readonly clients: number;
  readonly rate: number;
  readonly epoch: number;
  readonly ring?: number;
  readonly maxServing: number;
  readonly format: 'table' | 'json';
  readonly quiet?: true;
}

const MINUTE_MS = 60_000;
const DURATION_MS: number = 3 * MINUTE_MS;
const RING_LEAST: number = 64 << 10;
const RING_MOST: number = 1 << 28;
/** What one call writes into the log, entry and request included, generously. */
const CALL_LOG_BYTES = 512;
/** Calls beside those of the clients: probes, registrations. */
const OTHER_CALLS_PER_SECOND = 500;
const LOG_LEAST_BYTES: number = 16 << 20;
/** A cluster that is whole again only after the end of its time still writes. */
const LOG_RESERVE = 3;

export function registerSoak(
  program: Command,
  context: { readonly signal: AbortSignal; setExitCode(code: number): void },
): void {
  const count = (least: number, most: number): ((text: string) => number) =>
    value((text) => parseCount(text, { least, most }));
  program
    .command('soak')
    .description('hurt the threads of clusters under load, and check everything that clients saw')
    .option(
      '-t, --duration <time>',
      'how long (default: 3m)',
      value((text) => parseMillis(text, { least: 1000, most: 24 * 60 * MINUTE_MS })),
    )
    .addOption(
      new Option('--minutes <count>', 'the same in minutes')
        .argParser(count(1, 24 * 60))
        .conflicts('duration'),
    )
    .addOption(
      new Option('-n, --faults <count>', 'faults to bring about, instead of a time')
        .argParser(count(1, 1_000_000))
        .conflicts(['duration', 'minutes']),
    )
    .option('--seed <number>', 'seed of the faults and the load', count(0, 2 ** 31 - 1), 1)
    .option('--replicas <count>', 'size of the clusters, at least 3', count(3, 9), 3)
    .option('--witnesses <count>', 'how many of them keep only the log', count(0, 4), 0)
    .option('--clients <count>', 'client threads, with four logical clients each', count(1, 16), 2)
    .option('--rate <count>', 'calls per second of all clients', count(1, 20_000), 1000)
    .addOption(
      new Option('--epoch <time>', 'how long a cluster serves before the next one')
        .argParser(value((text) => parseMillis(text, { least: 1000, most: 10 * MINUTE_MS })))
        .default(20_000, '20s'),
    )
    .option(
      '--ring <bytes>',
      'size of the rings (default: drawn for each cluster)',
      value((text) => parseSize(text, { least: RING_LEAST, most: RING_MOST })),
    )
    .addOption(
      new Option('--max-serving <time>', 'longest that a request may have to wait for an answer')
        .argParser(value((text) => parseMillis(text, { least: 1, most: MINUTE_MS })))
        .default(1000, '1s'),
    )
    .addOption(
      new Option('-f, --format <name>', 'form of the result')
        .choices(['table', 'json'])
        .default('table'),
    )
    .option('-q, --quiet', 'nothing on standard error but errors')
    .addHelpText('after', HELP)
    .action(async (flags: Flags) => context.setExitCode(await soak(flags, context.signal)));
}

const HELP = `
At most f replicas are hurt at a time, and the next fault waits until all are normal again.
Exit code: 0 all is well, 1 a cluster did not come back, 3 a limit was missed,
4 an acknowledged operation is lost, doubled or out of order, or replicas differ.`;

async function soak(flags: Flags, signal: AbortSignal): Promise<number> {
  checkWitnesses(flags);
  if (flags.ring !== undefined && (flags.ring & (flags.ring - 1)) !== 0)
    throw new UsageError(`--ring ${flags.ring} is not a power of two`);
  const say = (text: string): void => {
    if (flags.quiet !== true) process.stderr.write(`${text}\n`);
  };
  const env = recordEnvironment();
  say(describeEnvironment(env));
  const outcome = await run(flags, signal, env);
  const { format } = flags;
  process.stdout.write(`${format === 'json' ? soakJson(outcome) : soakTable(outcome)}\n`);
  return judge(outcome).exitCode;
}

function durationOf({ duration, minutes, faults }: Flags): number {
  if (duration !== undefined) return duration;
  if (minutes !== undefined) return minutes * MINUTE_MS;
  return faults === undefined ? DURATION_MS : Number.POSITIVE_INFINITY;
}

async function run(
  flags: Flags,
  signal: AbortSignal,
  env: SoakOutcome['env'],
): Promise<SoakOutcome> {
  const { replicas, witnesses, clients, rate, seed } = flags;
  const shape = { replicas, witnesses, clients };
  const durationMs = durationOf(flags);
  const perSecond = (rate + OTHER_CALLS_PER_SECOND) * CALL_LOG_BYTES;
  const written = (perSecond * flags.epoch * LOG_RESERVE) / 1000;
  const logBytes = Math.ceil(Math.max(LOG_LEAST_BYTES, written));
  const most = { faults: flags.faults ?? Number.POSITIVE_INFINITY, ms: durationMs };
  const plan = new Plan(seed, shape);
  const threads = new ClientThreads({ threads: clients, rate, seed });
  const closing = History.allocate();
  const collect = collector();
  const progress = startProgress(flags.quiet === true);
  const epochs: EpochResult[] = [];
  const beganAt = performance.now();
  let failure: string | null = null;
  let kills = 0;
  let faults = 0;
  const share = (): number =>
    Math.max((performance.now() - beganAt) / most.ms, faults / most.faults);
  const onInjury = (injury: Injury): void => {
    kills += injury.kills;
    faults++;
    progress.update(share(), `${faults} faults, ${kills} threads ended`);
  };
  try {
    while (share() < 1 && epochs.every(isSafe)) {
      const until = performance.now() + flags.epoch;
      const done = (): boolean => performance.now() >= until || share() >= 1;
      const common = { shape, plan, logBytes, closing, collect, beganAt, signal };
      const ringBytes = flags.ring ?? null;
      epochs.push(await runEpoch({ ...common, ringBytes, clients: threads, done, onInjury }));
    }
  } catch (error) {
    if (signal.aborted) throw error;
    failure = messageOf(error);
  } finally {
    progress.stop();
  }
  return {
    env,
    options: { ...shape, rate, seed, most, epochMs: flags.epoch, ringBytes: flags.ring ?? null },
    elapsedMs: performance.now() - beganAt,
    epochs,
    failure,
    servingLimitMs: flags.maxServing,
    logLimitBytes: logBytes,
  };
}
