// One interleaved run: in every round each contender measures once, with the capacity gate between them. Only ratios within a round
// survive a machine that changes its speed.

import type { CapacityGate } from '#dist/cli/capacity.js';
import { median } from '#dist/cli/statistics.js';
import type { Entrant, Round, RoundTimes, Running } from './contender.js';

export interface InterleaveOptions {
  readonly rounds: number;
  /** Load on each contender before the first round, ms. */
  readonly settleMs: number;
  readonly times: RoundTimes;
  readonly gate: CapacityGate;
  /** Told before each measurement, with how far the comparison is. */
  readonly begin: (done: number, what: string) => void;
  /** Told after each round. */
  readonly roundDone?: (round: number, rows: readonly Round[], capacity: number) => void;
}

export interface Interleaved {
  /** Of each contender, in the order given, what it did in round 1, 2 ... */
  readonly measured: readonly (readonly Round[])[];
  /** Work of two threads over work of one: before the first round and after each. */
  readonly capacity: readonly number[];
}

/** Starts all contenders, lets them take turns, and ends them. */
export async function interleave(
  contenders: readonly Entrant[],
  options: InterleaveOptions,
): Promise<Interleaved> {
  const running: Running[] = [];
  try {
    for (const contender of contenders) {
      options.begin(0, `warming up: ${contender.name}`);
      const one = await contender.start();
      running.push(one);
      await one.round({ warmUpMs: options.settleMs, measureMs: 1 });
    }
    return await takeTurns(contenders, running, options);
  } finally {
    for (const one of running) await one.close();
  }
}

async function takeTurns(
  contenders: readonly Entrant[],
  running: readonly Running[],
  options: InterleaveOptions,
): Promise<Interleaved> {
  const capacity = [await options.gate.measure()];
  const measured: Round[][] = contenders.map(() => []);
  for (let round = 0; round < options.rounds; round++) {
    const row: Round[] = [];
    for (const [at, contender] of contenders.entries()) {
      const done = (round * contenders.length + at) / contenders.length;
      options.begin(done / options.rounds, `round ${round + 1}: ${contender.name}`);
      const one = await (running[at] as Running).round(options.times);
      measured[at]?.push(one);
      row.push(one);
    }
    const after = await options.gate.measure();
    capacity.push(after);
    options.roundDone?.(round + 1, row, after);
  }
  return { measured, capacity };
}

/** Median of the ratios within rounds of one run. */
export function ratioOf(own: readonly Round[], other: readonly Round[]): number {
  return median(own.map((round, at) => round.opsPerSecond / (other[at] as Round).opsPerSecond));
}

export interface Medians {
  readonly opsPerSecond: number;
  readonly cpuNsPerOp: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

export function mediansOf(rounds: readonly Round[]): Medians {
  return {
    opsPerSecond: median(rounds.map((round) => round.opsPerSecond)),
    cpuNsPerOp: median(rounds.map((round) => round.cpuNsPerOp)),
    p50Us: median(rounds.map((round) => round.p50Us)),
    p99Us: median(rounds.map((round) => round.p99Us)),
  };
}
