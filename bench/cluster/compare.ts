// `npm run bench`: the comparison of `npm start` with more rounds, 20 kills of the primary, memory, and a verdict against the
// targets. `--json` prints one object instead; `--quick` is for the smoke test and judges nothing.

import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { CapacityGate } from '#dist/cli/capacity.js';
import { verdict } from '#dist/cli/demo.js';
import { describeEnvironment, type Environment, recordEnvironment } from '#dist/cli/environment.js';
import { type Audit, isClean } from '#dist/cli/ledger.js';
import { table } from '#dist/cli/output.js';
import { startProgress } from '#dist/cli/progress.js';
import { median } from '#dist/cli/statistics.js';
import { formatBytes, formatCount, formatMicros, formatMillis } from '#dist/cli/units.js';
import { type Judged, judge } from '../targets/bounds.js';
import { describeDoubt, isDoubtful, judgedTable } from '../targets/report.js';
import {
  CONTENDERS,
  type Comparison,
  compare,
  comparisonTable,
  describeCapacity,
  describeDisturbance,
} from './comparison.js';
import { ATTEMPTS, SETTLE_MS } from './contender.js';
import { type Kill, killPrimaries } from './kills.js';
import type { MemoryReport } from './memory.js';

const FULL = {
  rounds: 9,
  attempts: ATTEMPTS,
  settleMs: SETTLE_MS,
  times: { warmUpMs: 200, measureMs: 1500 },
  kills: 20,
  loadMs: 2500,
};
const QUICK = {
  rounds: 1,
  attempts: 1,
  settleMs: 20,
  times: { warmUpMs: 20, measureMs: 50 },
  kills: 1,
  loadMs: 50,
};

interface Report {
  readonly kind: 'viewstamp.compare';
  readonly schemaVersion: 1;
  readonly env: Environment;
  readonly comparison: Comparison;
  readonly kills: readonly Kill[];
  readonly audit: Audit;
  readonly memory: MemoryReport;
  readonly verdicts: readonly Judged[];
}

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
  },
});
const size = values.quick ? QUICK : FULL;

function say(text: string): void {
  if (!values.json) process.stdout.write(`${text}\n`);
}

async function measureMemory(): Promise<MemoryReport> {
  const script = fileURLToPath(new URL('./memory.js', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', script]);
  return JSON.parse(stdout) as MemoryReport;
}

function judgeAll(comparison: Comparison, kills: readonly Kill[], memory: MemoryReport): Judged[] {
  const row = (id: (typeof CONTENDERS)[number]['id']): Comparison['rows'][number] => {
    const found = comparison.rows.find((one) => one.id === id);
    if (found === undefined) throw new Error(`${id} did not take part`);
    return found;
  };
  // By checkpoints the time to come back does not grow with what was written before.
  const half = Math.ceil(kills.length / 2);
  const normal = (some: readonly Kill[]): number => median(some.map((kill) => kill.allNormalMs));
  return [
    judge('pipelines', row('replicas').ofUnreplicated),
    judge('pipelinesOverNaive', row('replicas').timesNaive),
    judge('promisesOverNaive', row('promise').timesNaive),
    judge('gapMedian', median(kills.map((kill) => kill.gapMs))),
    judge('recoveryGrowth', normal(kills.slice(half)) / normal(kills.slice(0, half))),
    judge('clientMemory', memory.clientBytes / 2 ** 20),
  ];
}

function tellKills(kills: readonly Kill[]): void {
  const rows = kills.map((kill, index) => [
    String(index + 1),
    `${kill.replica} -> ${kill.newPrimary}`,
    formatMillis(kill.gapMs),
    formatMillis(kill.silenceMs),
    formatMillis(kill.allNormalMs),
    formatMillis(kill.writtenMs),
    formatBytes(kill.logBytes),
  ]);
  say(
    table(
      ['kill', 'primary', 'gap', 'longest silence', 'all normal', 'after load of', 'log'],
      rows,
    ),
  );
  const gaps = kills.map((kill) => kill.gapMs);
  say(
    `gap: median ${formatMillis(median(gaps))}, worst ${formatMillis(Math.max(...gaps))} over ${kills.length} kills of the primary`,
  );
}

function tellVerdicts(verdicts: readonly Judged[], comparison: Comparison): void {
  say('');
  say(judgedTable(verdicts, isDoubtful(comparison.capacity)));
  for (const line of describeDoubt(comparison.capacity)) say(line);
}

async function main(): Promise<number> {
  const env = recordEnvironment();
  say(describeEnvironment(env));
  say(`pipelines of 512 operations, 32 in flight · logs resident before · ${size.rounds} rounds`);
  const gate = new CapacityGate();
  const progress = startProgress(values.json);
  let comparison: Comparison;
  try {
    comparison = await compare({
      ...size,
      gate,
      begin: progress.update,
      roundDone: (round, measured, capacity) => {
        const figures = measured.map(
          (one, at) =>
            `${CONTENDERS[at]?.id} ${formatCount(one.opsPerSecond)}/s ${one.cpuNsPerOp.toFixed(0)} ns p50 ${formatMicros(one.p50Us)}`,
        );
        say(`round ${round}, capacity ${capacity.toFixed(2)}: ${figures.join(' · ')}`);
      },
    });
  } finally {
    progress.stop();
    await gate.close();
  }
  say(comparisonTable(comparison));
  say(describeCapacity(comparison.capacity));
  say(describeDisturbance(comparison.disturbance));
  say('');
  const { kills, audit } = await killPrimaries(size);
  tellKills(kills);
  for (const line of verdict(audit)) say(line);
  const memory = await measureMemory();
  say('');
  say(
    `memory, resident: an idle cluster of 3 replicas ${formatBytes(memory.clusterBytes)}, each further client ${formatBytes(memory.clientBytes)}`,
  );
  const verdicts = judgeAll(comparison, kills, memory);
  if (!values.quick) tellVerdicts(verdicts, comparison);
  const report: Report = {
    kind: 'viewstamp.compare',
    schemaVersion: 1,
    env,
    comparison,
    kills,
    audit,
    memory,
    verdicts,
  };
  if (values.json) process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
  return isClean(audit) ? 0 : 1;
}

process.exitCode = await main();
