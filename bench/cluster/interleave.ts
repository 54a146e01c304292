// One interleaved run: in every round each contender measures once, with the capacity gate between them. Only ratios within a round
// survive a machine that changes its speed; what the host disturbed is measured again.

import type { CapacityGate } from '#dist/cli/capacity.js';
import { median } from '#dist/cli/statistics.js';
import { STOLEN_MOST, StolenTime } from '#dist/cli/stolen.js';
import type { Entrant, Round, RoundTimes, Running } from './contender.js';

export interface InterleaveOptions<R = Round> {
  readonly rounds: number;
  /** Load on each contender before the first round, ms. */
  readonly settleMs: number;
  readonly times: RoundTimes;
  /** How often a measurement is made at most, while the host takes more than STOLEN_MOST of its time; the least disturbed counts. */
  readonly attempts: number;
  readonly gate: CapacityGate;
  /** Told before each measurement, with how far the comparison is. */
  readonly begin: (done: number, what: string) => void;
  /** Told after each round. */
  readonly roundDone?: (round: number, rows: readonly R[], capacity: number) => void;
}

/** What the host took, over all measurements of a run. */
export interface Disturbance {
  readonly measurements: number;
  /** Of them, those that still had more than STOLEN_MOST taken when they count. */
  readonly disturbed: number;
  /** Made once more, or twice. */
  readonly repeated: number;
}

export interface Interleaved<R = Round> {
  /** Of each contender, in the order given, what it did in round 1, 2 ... */
  readonly measured: readonly (readonly R[])[];
  readonly disturbance: Disturbance;
  /** Work of two threads over work of one: before the first round and after each. */
  readonly capacity: readonly number[];
}

/** Starts all contenders, lets them take turns, and ends them. */
export async function interleave<R = Round>(
  contenders: readonly Entrant<R>[],
  options: InterleaveOptions<R>,
): Promise<Interleaved<R>> {
  const running: Running<R>[] = [];
  try {
    for (const contender of contenders) {
      options.begin(0, `warming up: ${contender.name}`);
      const one = await contender.start();
      running.push(one);
      if (one.settle === undefined) await one.round({ warmUpMs: options.settleMs, measureMs: 1 });
      else await one.settle(options.settleMs);
    }
    return await takeTurns(contenders, running, options);
  } finally {
    for (const one of running) await one.close();
  }
}

async function takeTurns<R>(
  contenders: readonly Entrant<R>[],
  running: readonly Running<R>[],
  options: InterleaveOptions<R>,
): Promise<Interleaved<R>> {
  const capacity = [await options.gate.measure()];
  const disturbance = { measurements: 0, disturbed: 0, repeated: 0 };
  const measured: R[][] = contenders.map(() => []);
  for (let round = 0; round < options.rounds; round++) {
    const row: R[] = [];
    for (const [at, contender] of contenders.entries()) {
      const done = (round * contenders.length + at) / contenders.length;
      options.begin(done / options.rounds, `round ${round + 1}: ${contender.name}`);
      const least = await leastDisturbed(options.attempts, () =>
        (running[at] as Running<R>).round(options.times),
      );
      disturbance.measurements++;
      if (least.stolen > STOLEN_MOST) disturbance.disturbed++;
      if (least.attempts > 1) disturbance.repeated++;
      measured[at]?.push(least.result);
      row.push(least.result);
    }
    const after = await options.gate.measure();
    capacity.push(after);
    options.roundDone?.(round + 1, row, after);
  }
  return { measured, capacity, disturbance };
}

/** Chosen by what the host took alone: what was measured has no say in it. */
export async function leastDisturbed<R>(
  attempts: number,
  measure: () => Promise<R>,
  watch: () => Pick<StolenTime, 'share'> = () => new StolenTime(),
): Promise<{ result: R; stolen: number; attempts: number }> {
  for (let attempt = 1, best: { result: R; stolen: number } | null = null; ; attempt++) {
    const time = watch();
    const result = await measure();
    const stolen = time.share() ?? 0;
    if (best === null || stolen < best.stolen) best = { result, stolen };
    if (best.stolen <= STOLEN_MOST || attempt >= attempts) return { ...best, attempts: attempt };
  }
}

/** Median of the ratios within rounds of one run. */
export function ratioOf(
  own: readonly Round[],
  other: readonly Round[],
  figure: 'opsPerSecond' | 'cpuNsPerOp' = 'opsPerSecond',
): number {
  return median(own.map((round, at) => round[figure] / (other[at] as Round)[figure]));
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
