// What an experiment is: a question of somebody else's paper, measured here in rounds and drawn. Rows are kept as they were measured;
// medians are taken where they are drawn or tabled.

import type { TopLevelSpec } from 'vega-lite';
import type { CapacityGate } from '#dist/cli/capacity.js';

export interface ExperimentOptions {
  readonly rounds: number;
  /** How long a point is loaded in each round. */
  readonly seconds: number;
  /** Few points, and no more than is needed to run each of them. */
  readonly smoke: boolean;
}

export interface Run extends ExperimentOptions {
  readonly gate: CapacityGate;
  /** Told before each measurement, with how far the experiment is. */
  readonly begin: (done: number, what: string) => void;
}

export interface Measured<Row> {
  readonly rows: readonly Row[];
  /** Work of two threads over work of one: before the first round and after each. */
  readonly capacity: readonly number[];
}

export interface Summary {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export interface Experiment<Row = unknown> {
  readonly name: string;
  /** In a line, for `--help`. */
  readonly what: string;
  measure(run: Run): Promise<Measured<Row>>;
  summarise(rows: readonly Row[]): Summary;
  figure(rows: readonly Row[]): TopLevelSpec;
}

/** What was measured in a round that counts from 1. */
export type InRound<Row> = Row & { readonly round: number };

/** Every point once per round, each in a cluster of its own: those of large groups would not fit beside each other. */
export async function inRounds<Point, Row extends object>(
  run: Run,
  points: readonly Point[],
  what: (point: Point) => string,
  measure: (point: Point) => Promise<readonly Row[]>,
): Promise<Measured<InRound<Row>>> {
  const capacity: number[] = [];
  const rows: InRound<Row>[] = [];
  for (let round = 1; round <= run.rounds; round++) {
    const { capacityBefore, capacityAfter } = await run.gate.around(async () => {
      for (const [at, point] of points.entries()) {
        const done = (round - 1 + at / points.length) / run.rounds;
        run.begin(done, `round ${round}: ${what(point)}`);
        for (const row of await measure(point)) rows.push({ ...row, round });
      }
    });
    if (round === 1) capacity.push(capacityBefore);
    capacity.push(capacityAfter);
  }
  return { rows, capacity };
}

/** By `key`, in the order in which the keys come first. */
export function groupsOf<Row>(
  rows: readonly Row[],
  key: (row: Row) => string,
): readonly (readonly Row[])[] {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const known = groups.get(key(row));
    if (known === undefined) groups.set(key(row), [row]);
    else known.push(row);
  }
  return [...groups.values()];
}
