// What replication costs beside no replication: the contenders of `npm start` and `npm run bench`, medians over the rounds of one
// interleaved run and ratios within its rounds.

import { CAPACITY_GOOD } from '#dist/cli/capacity.js';
import { table } from '#dist/cli/output.js';
import { STOLEN_MOST } from '#dist/cli/stolen.js';
import { formatCount, formatMicros } from '#dist/cli/units.js';
import type { Contender, Round } from './contender.js';
import {
  type Disturbance,
  type InterleaveOptions,
  interleave,
  type Medians,
  mediansOf,
  ratioOf,
} from './interleave.js';
import { NAIVE } from './naive.js';
import { REPLICATED } from './replicated.js';
import { UNREPLICATED } from './unreplicated.js';

export interface ComparedRow extends Medians {
  readonly id: Contender['id'];
  readonly name: string;
  /** Median of the ratios within rounds. */
  readonly ofUnreplicated: number;
  readonly timesNaive: number;
  readonly rounds: readonly Round[];
}

export interface Comparison {
  readonly rows: readonly ComparedRow[];
  /** Work of two threads over work of one: before the first round and after each. */
  readonly capacity: readonly number[];
  readonly disturbance: Disturbance;
}

export const CONTENDERS: readonly Contender[] = [UNREPLICATED, ...REPLICATED, NAIVE];

export async function compare(options: InterleaveOptions): Promise<Comparison> {
  const { measured, capacity, disturbance } = await interleave(CONTENDERS, options);
  const roundsOf = (id: Contender['id']): readonly Round[] =>
    measured[CONTENDERS.findIndex((one) => one.id === id)] ?? [];
  const rows = CONTENDERS.map(({ id, name }) => {
    const rounds = roundsOf(id);
    return {
      id,
      name,
      ...mediansOf(rounds),
      ofUnreplicated: ratioOf(rounds, roundsOf('unreplicated')),
      timesNaive: ratioOf(rounds, roundsOf('naive')),
      rounds,
    };
  });
  return { rows, capacity, disturbance };
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

/** What the host took while something was measured, in a line. */
export function describeDisturbance({ measurements, disturbed, repeated }: Disturbance): string {
  return `given to others by the host, more than ${STOLEN_MOST * 100} % of the time: ${disturbed} of ${measurements} measurements, after ${repeated} were repeated`;
}
