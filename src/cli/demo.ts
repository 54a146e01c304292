// `viewstamp demo`: a cluster under load loses each of its replicas in turn. It tells what happened in plain words, counts what
// was acknowledged, reads everything back, and says how much is missing.

import { setTimeout as sleep } from 'node:timers/promises';
import { type Command, Option } from 'commander';
import { type Cluster, open } from '../index.js';
import { type Failover, killUnderLoad } from './failover.js';
import { checkWitnesses, value } from './flags.js';
import { type Audit, counterIsRight, isClean, LEDGER_CANONICAL, Ledger } from './ledger.js';
import { formatCount, formatMillis, parseCount, parseMillis } from './units.js';
import { EXIT_SAFETY } from './usage.js';

interface Flags {
  readonly replicas: number;
  readonly witnesses: number;
  readonly load: number;
  readonly format: 'text' | 'json';
}

export interface DemoReport {
  readonly kind: 'viewstamp.demo';
  readonly schemaVersion: 1;
  readonly cluster: { readonly replicas: number; readonly witnesses: number };
  readonly kills: readonly Failover[];
  readonly audit: Audit;
  readonly clean: boolean;
}

const LOAD_MOST_MS = 1000;
/** All kills together write one log, and it must not meet its limit: when it is nearly full, writers take such pauses. */
const SLOW_MS = 50;
/** One request of 512 writes in flight per writer; fewer writers than the benchmark, the log has to last for all kills. */
const WRITERS = 4;

export function registerDemo(
  program: Command,
  context: { readonly signal: AbortSignal; setExitCode(code: number): void },
): void {
  program
    .command('demo')
    .description('kill every replica of a cluster under load, and show that nothing is lost')
    .option(
      '--replicas <count>',
      'size of the cluster, at least 3: smaller ones survive no kill',
      value((text) => parseCount(text, { least: 3, most: 9 })),
      3,
    )
    .option(
      '--witnesses <count>',
      'how many of them keep only the log',
      value((text) => parseCount(text, { least: 0, most: 4 })),
      0,
    )
    .addOption(
      new Option('--load <time>', 'load before each kill')
        .argParser(value((text) => parseMillis(text, { least: 10, most: LOAD_MOST_MS })))
        .default(300, '300ms'),
    )
    .addOption(
      new Option('-f, --format <name>', 'words, or one JSON object')
        .choices(['text', 'json'])
        .default('text'),
    )
    .action(async (flags: Flags) => context.setExitCode(await demo(flags, context.signal)));
}

async function demo(flags: Flags, signal: AbortSignal): Promise<number> {
  checkWitnesses(flags);
  const say = (text: string): void => {
    if (flags.format === 'text') process.stdout.write(`${text}\n`);
  };
  await using cluster = await open({
    name: 'demo',
    replicas: flags.replicas,
    witnesses: flags.witnesses,
    signal,
  });
  const report = await tour(cluster, flags, { say, signal });
  if (flags.format === 'json') process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
  return report.clean ? 0 : EXIT_SAFETY;
}

async function tour(
  cluster: Cluster,
  flags: Flags,
  context: { readonly say: (text: string) => void; readonly signal: AbortSignal },
): Promise<DemoReport> {
  const { say, signal } = context;
  const status = await cluster.status();
  const full = flags.replicas - flags.witnesses;
  say(
    `${flags.replicas} replicas on threads of their own (${full} execute, ${flags.witnesses} are witnesses), replica ${status.primary} is primary.`,
  );
  const ledger = new Ledger(cluster, { ...LEDGER_CANONICAL, writers: WRITERS });
  using _ = cluster.on('logpressure', () => {
    ledger.slowDown(SLOW_MS);
    say('');
    say('The log is nearly full: until checkpoints free it the writers take pauses.');
  });
  ledger.start();
  say('Writers set keys and raise a counter, as fast as answers come.');
  const kills: Failover[] = [];
  for (let replica = 0; replica < flags.replicas; replica++) {
    await sleep(flags.load, undefined, { signal });
    const before = ledger.acknowledged;
    const failover = await killUnderLoad(cluster, ledger, replica);
    kills.push(failover);
    say(describe(failover, before));
  }
  await sleep(flags.load, undefined, { signal });
  await ledger.stop();
  const audit = await ledger.audit();
  for (const line of verdict(audit)) say(line);
  return {
    kind: 'viewstamp.demo',
    schemaVersion: 1,
    cluster: { replicas: flags.replicas, witnesses: flags.witnesses },
    kills,
    audit,
    clean: isClean(audit),
  };
}

function describe(failover: Failover, acknowledged: number): string {
  const { replica, role, newPrimary } = failover;
  const took =
    failover.newPrimaryMs === null
      ? `Replica ${newPrimary} stayed primary.`
      : `Replica ${newPrimary} took over.`;
  return [
    '',
    `After ${formatCount(acknowledged)} acknowledged writes the thread of replica ${replica} (${role}) was ended.`,
    `  ${took} The longest silence between two acknowledgements was ${formatMillis(failover.gapMs)}.`,
    `  After ${formatMillis(failover.allNormalMs)} replica ${replica} was back with the whole log, and all were normal; the longest silence until then was ${formatMillis(failover.silenceMs)}.`,
  ].join('\n');
}

/** What the books say, in words; also used by the comparison of `npm start`. */
export function verdict(audit: Audit): string[] {
  const counter = counterIsRight(audit)
    ? `The counter stands at ${formatCount(audit.counter)}, once per request.`
    : `The counter stands at ${formatCount(audit.counter)}, but must be ${formatCount(audit.counterLeast)} to ${formatCount(audit.counterMost)}.`;
  const lines = [
    '',
    `${formatCount(audit.acknowledged)} writes were acknowledged; all ${formatCount(audit.keys)} keys were read back and compared.`,
    `Acknowledged writes that are missing: ${formatCount(audit.missing)}. ${counter}`,
  ];
  if (audit.unknown > 0)
    lines.push(`${audit.unknown} requests ended without an answer (they ran once or never).`);
  if (audit.unexplained > 0)
    lines.push(`${audit.unexplained} keys hold values that were never written.`);
  return lines;
}
