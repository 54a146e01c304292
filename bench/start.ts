// `npm start`: within a minute, what replication costs here and what happens when the primary dies. Exit code 1 when anything
// that was acknowledged is missing afterwards. `--quick` is for the smoke test: same path, figures that mean nothing.

import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { CapacityGate } from '#dist/cli/capacity.js';
import { verdict } from '#dist/cli/demo.js';
import { describeEnvironment, recordEnvironment } from '#dist/cli/environment.js';
import { isClean } from '#dist/cli/ledger.js';
import { guardStreams } from '#dist/cli/output.js';
import { startProgress } from '#dist/cli/progress.js';
import { formatCount, formatMillis } from '#dist/cli/units.js';
import {
  compare,
  comparisonTable,
  describeCapacity,
  describeDisturbance,
} from './cluster/comparison.js';
import { type Kills, killPrimaries } from './cluster/kills.js';

const FULL = {
  rounds: 3,
  // It is to end within a minute.
  attempts: 2,
  settleMs: 4000,
  times: { warmUpMs: 100, measureMs: 900 },
  loadMs: 1500,
};
const QUICK = {
  rounds: 1,
  attempts: 1,
  settleMs: 20,
  times: { warmUpMs: 20, measureMs: 50 },
  loadMs: 50,
};

const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false } } });
const size = values.quick ? QUICK : FULL;

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function tellFailover({ kills, audit }: Kills): boolean {
  const kill = kills[0];
  if (kill === undefined) throw new Error('no primary was killed');
  say('');
  say(
    `The thread of the primary (replica ${kill.replica}) was ended under full load, after ${formatMillis(kill.writtenMs)} of writing.`,
  );
  say(
    `Replica ${kill.newPrimary} took over. Longest silence between two acknowledgements: ${formatMillis(kill.gapMs)}.`,
  );
  say(
    `All replicas were normal again after ${formatMillis(kill.allNormalMs)}; the longest silence until then was ${formatMillis(kill.silenceMs)}.`,
  );
  for (const line of verdict(audit)) say(line);
  return isClean(audit);
}

async function main(): Promise<number> {
  const begin = performance.now();
  say(describeEnvironment(recordEnvironment()));
  say('half get, half set · 16-byte keys · values of 16 to 100 bytes · 10,000 keys');
  say(
    `pipelines of 512 operations, 32 in flight · logs resident before · ${size.rounds} interleaved rounds, medians`,
  );
  const gate = new CapacityGate();
  const progress = startProgress(false);
  try {
    const comparison = await compare({ ...size, gate, begin: progress.update });
    progress.stop();
    say(comparisonTable(comparison));
    say(describeCapacity(comparison.capacity));
    say(describeDisturbance(comparison.disturbance));
  } finally {
    progress.stop();
    await gate.close();
  }
  const clean = tellFailover(await killPrimaries({ kills: 1, loadMs: size.loadMs }));
  const seconds = (performance.now() - begin) / 1e3;
  say('');
  say(
    `${formatCount(seconds)} s. More: npx viewstamp bench --help, npx viewstamp demo, npm run bench`,
  );
  return clean ? 0 : 1;
}

guardStreams();
process.exitCode = await main();
