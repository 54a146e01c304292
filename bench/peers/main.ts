// `npm run bench:peers`: viewstamp beside what people use today. Servers are started by the comparison itself and ended with it.
// `--smoke` is for the smoke test: the same path, figures that mean nothing.

import { writeFileSync } from 'node:fs';
import { Command, Option } from 'commander';
import { CapacityGate } from '#dist/cli/capacity.js';
import { describeEnvironment, type Environment, recordEnvironment } from '#dist/cli/environment.js';
import { oneOf, value } from '#dist/cli/flags.js';
import { guardStreams } from '#dist/cli/output.js';
import { startProgress } from '#dist/cli/progress.js';
import { parseCount, parseList } from '#dist/cli/units.js';
import { EXIT_UNAVAILABLE } from '#dist/cli/usage.js';
import { ATTEMPTS, SETTLE_MS } from '../cluster/contender.js';
import { endOnSignals, jsonFile, parseSeconds, runProgram, SECONDS } from '../program.js';
import { comparePeers, obstacle, PEERS, type PeerComparison } from './comparison.js';
import type { Peer, PeerId } from './peer.js';
import { peersTable } from './report.js';
import { VIEWSTAMP } from './threads.js';

const ROUNDS_MOST = 1000;
/** Before each measurement, as a part of it: after its turn a peer was idle. */
const WARM_UP_SHARE = 0.15;
const SMOKE = { rounds: 1, attempts: 1, seconds: SECONDS.least, settleMs: 20 };

interface Flags {
  readonly rounds: number;
  readonly seconds: number;
  readonly only?: readonly PeerId[];
  readonly json?: string;
  readonly smoke?: true;
}

interface Skipped {
  readonly peer: PeerId;
  readonly reason: string;
}

interface Report extends PeerComparison {
  readonly kind: 'viewstamp.peers';
  readonly schemaVersion: 1;
  readonly env: Environment;
  readonly rounds: number;
  readonly seconds: number;
  readonly skipped: readonly Skipped[];
}

const OTHERS = PEERS.filter((peer) => peer !== VIEWSTAMP).map(({ id }) => id);

/** The peers that can take part, viewstamp first; what cannot is told and noted. */
function choose(only: readonly PeerId[] = OTHERS): { peers: Peer[]; skipped: Skipped[] } {
  const peers: Peer[] = [];
  const skipped: Skipped[] = [];
  for (const peer of PEERS) {
    if (peer !== VIEWSTAMP && !only.includes(peer.id)) continue;
    const reason = obstacle(peer);
    if (reason === undefined) peers.push(peer);
    else skipped.push({ peer: peer.id, reason });
  }
  return { peers, skipped };
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

async function run(flags: Flags): Promise<number> {
  const { peers, skipped } = choose(flags.only);
  for (const { peer, reason } of skipped) process.stderr.write(`${peer} skipped: ${reason}\n`);
  if (peers.length === 1) {
    process.stderr.write('nothing is left to compare viewstamp with\n');
    return EXIT_UNAVAILABLE;
  }
  const { rounds, attempts, seconds, settleMs } = flags.smoke
    ? SMOKE
    : { ...flags, attempts: ATTEMPTS, settleMs: SETTLE_MS };
  const env = recordEnvironment();
  say(describeEnvironment(env));
  say('half get, half set · 16-byte keys · values of 16 to 100 bytes · 10,000 keys');
  say(`${rounds} interleaved rounds of ${seconds} s each, medians`);
  const gate = new CapacityGate();
  const progress = startProgress(false);
  let comparison: PeerComparison;
  try {
    comparison = await comparePeers(peers, {
      rounds,
      attempts,
      settleMs,
      times: { warmUpMs: seconds * WARM_UP_SHARE * 1e3, measureMs: seconds * 1e3 },
      gate,
      begin: progress.update,
      tell: say,
    });
  } finally {
    progress.stop();
    await gate.close();
  }
  say(peersTable(comparison));
  if (flags.json !== undefined) {
    const report: Report = {
      kind: 'viewstamp.peers',
      schemaVersion: 1,
      env,
      rounds,
      seconds,
      ...comparison,
      skipped,
    };
    writeFileSync(flags.json, `${JSON.stringify(report, null, 2)}\n`);
  }
  return 0;
}

const PROGRAM = new Command('npm run bench:peers --')
  .description('viewstamp beside what people use today, in one interleaved run')
  .option(
    '--rounds <n>',
    'how often each takes its turn',
    value((text) => parseCount(text, { least: 1, most: ROUNDS_MOST })),
    5,
  )
  .option('--seconds <s>', 'how long a turn is measured', value(parseSeconds), 1.5)
  .option(
    '--only <peers>',
    `beside viewstamp only these, of ${OTHERS.join(',')}`,
    value((text) => parseList(text, (item) => oneOf(item, OTHERS))),
  )
  .option('--json <file>', 'everything that was measured, as one document', value(jsonFile))
  .addOption(
    new Option('--smoke', 'one short round: does it work?').conflicts(['rounds', 'seconds']),
  );

endOnSignals();
guardStreams();
process.exitCode = await runProgram(PROGRAM, run);
