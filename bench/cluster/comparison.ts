// One interleaved run: in every round each contender measures once, with the capacity gate between them. Medians over the rounds,
// and ratios within a round, for only those survive a machine that changes its speed.

import { CAPACITY_GOOD, type CapacityGate } from '#dist/cli/capacity.js';
import { table } from '#dist/cli/output.js';
import { median } from '#dist/cli/statistics.js';
import { formatCount, formatMicros } from '#dist/cli/units.js';
import type { Contender, Round, RoundTimes, Running } from './contender.js';
import { NAIVE } from './naive.js';
import { REPLICATED } from './replicated.js';
import { UNREPLICATED } from './unreplicated.js';

export interface ComparedRow {
  readonly id: Contender['id'];
  readonly name: string;
  readonly opsPerSecond: number;
  /** Median of the ratios within rounds. */
  readonly ofUnreplicated: number;
  readonly timesNaive: number;
  readonly cpuNsPerOp: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly rounds: readonly Round[];
}

export interface Comparison {
  readonly rows: readonly ComparedRow[];
  /** Work of two threads over work of one: before the first round and after each. */
  readonly capacity: readonly number[];
}

export const CONTENDERS: readonly Contender[] = [UNREPLICATED, ...REPLICATED, NAIVE];

export async function compare(options: {
  readonly rounds: number;
  /** Load on each contender before the first round, ms. */
  readonly settleMs: number;
  readonly times: RoundTimes;
  readonly gate: CapacityGate;
  /** Told before each measurement, with how far the comparison is. */
  readonly begin: (done: number, what: string) => void;
  /** Told after each round. */
  readonly roundDone?: (round: number, rows: readonly Round[], capacity: number) => void;
}): Promise<Comparison> {
  const running: Running[] = [];
  try {
    for (const contender of CONTENDERS) {
      options.begin(0, `warming up: ${contender.name}`);
      const one = await contender.start();
      running.push(one);
      await one.round({ warmUpMs: options.settleMs, measureMs: 1 });
    }
    return await compareRunning(running, options);
  } finally {
    for (const one of running) await one.close();
  }
}

async function compareRunning(
  running: readonly Running[],
  options: Parameters<typeof compare>[0],
): Promise<Comparison> {
  const capacity = [await options.gate.measure()];
  const rounds: Round[][] = [];
  for (let round = 0; round < options.rounds; round++) {
    const measured: Round[] = [];
    for (const [at, contender] of CONTENDERS.entries()) {
      const done = (round * CONTENDERS.length + at) / CONTENDERS.length;
      options.begin(done / options.rounds, `round ${round + 1}: ${contender.name}`);
      measured.push(await (running[at] as Running).round(options.times));
    }
    const after = await options.gate.measure();
    capacity.push(after);
    rounds.push(measured);
    options.roundDone?.(round + 1, measured, after);
  }
  return { rows: CONTENDERS.map((contender, at) => row(contender, at, rounds)), capacity };
}

function row(contender: Contender, at: number, rounds: readonly Round[][]): ComparedRow {
  const own = rounds.map((round) => round[at] as Round);
  const ratioTo = (id: Contender['id']): number => {
    const other = CONTENDERS.findIndex((one) => one.id === id);
    return median(
      rounds.map(
        (round) => (round[at] as Round).opsPerSecond / (round[other] as Round).opsPerSecond,
      ),
    );
  };
  return {
    id: contender.id,
    name: contender.name,
    opsPerSecond: median(own.map((round) => round.opsPerSecond)),
    ofUnreplicated: ratioTo('unreplicated'),
    timesNaive: ratioTo('naive'),
    cpuNsPerOp: median(own.map((round) => round.cpuNsPerOp)),
    p50Us: median(own.map((round) => round.p50Us)),
    p99Us: median(own.map((round) => round.p99Us)),
    rounds: own,
  };
}

export function comparisonTable(comparison: Comparison): string {
  const head = ['', 'operations/s', '/ unreplicated', '× naive', 'CPU-ns/op', 'p50', 'p99'];
  const rows = comparison.rows.map((one) => [
    one.name,
    formatCount(one.opsPerSecond),
    one.ofUnreplicated.toFixed(2),
    one.timesNaive.toFixed(1),
    one.cpuNsPerOp.toFixed(0),
    formatMicros(one.p50Us),
    formatMicros(one.p99Us),
  ]);
  return table(head, rows);
}

/** The capacity line; says so when the machine was busy. */
export function describeCapacity(capacity: readonly number[]): string {
  const shown = capacity.map((value) => value.toFixed(2)).join(', ');
  const line = `capacity (work of 2 threads / of 1, before and after each round): ${shown}`;
  return Math.min(...capacity) < CAPACITY_GOOD
    ? `${line}\n? below ${CAPACITY_GOOD}: the machine was busy or throttled, compare ratios rather than figures`
    : line;
}
