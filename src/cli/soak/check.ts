// The histories of one cluster, checked: linearizable key by key, in threads of their own, and counters to the last increment.

import { Piscina } from 'piscina';
import type { Verdict } from '../../simulation/linearizability/types.js';
import { History } from './history.js';
import { type KeySpace, keySpace } from './keys.js';

export interface CheckTask {
  readonly histories: readonly SharedArrayBuffer[];
  /** Client threads. */
  readonly threads: number;
  /** Place among the groups of keys. */
  readonly group: number;
}

export interface CheckResult {
  readonly operations: number;
  readonly unknown: number;
  readonly violations: readonly string[];
  readonly undecided: readonly string[];
  /** Acknowledged increments that are not there, and increments that nobody made or that ran twice. */
  readonly lost: number;
  readonly doubled: number;
  readonly acknowledgedIncrements: number;
}

const THREADS = 2;

/** `counters`: what each counter holds at the end, by place. */
export async function checkHistories(
  histories: readonly SharedArrayBuffer[],
  threads: number,
  counters: ReadonlyMap<number, number>,
): Promise<CheckResult> {
  const space = keySpace(threads);
  // Not for longer than needed: idle threads would be in the figures of the memory.
  const pool = new Piscina<CheckTask, Verdict>({
    filename: new URL('./check.task.js', import.meta.url).href,
    minThreads: 1,
    maxThreads: THREADS,
  });
  try {
    const verdicts = await Promise.all(
      space.groups.map((_, group) => pool.run({ histories, threads, group })),
    );
    const named = (kind: Verdict['verdict']): string[] =>
      verdicts
        .filter(({ verdict }) => verdict === kind)
        .map(({ keys, explanation }) => `${keys?.join(', ')}\n${explanation ?? ''}`);
    return {
      ...tally(histories),
      violations: named('violation'),
      undecided: named('undecided'),
      ...countersOf(histories, space, counters),
    };
  } finally {
    await pool.destroy();
  }
}

function tally(histories: readonly SharedArrayBuffer[]): { operations: number; unknown: number } {
  let operations = 0;
  let unknown = 0;
  for (const history of histories) {
    const one = new History(history).tally();
    operations += one.operations;
    unknown += one.unknown;
  }
  return { operations, unknown };
}

function countersOf(
  histories: readonly SharedArrayBuffer[],
  space: KeySpace,
  counters: ReadonlyMap<number, number>,
): { lost: number; doubled: number; acknowledgedIncrements: number } {
  let lost = 0;
  let doubled = 0;
  let acknowledgedIncrements = 0;
  for (const key of counterKeys(space)) {
    let least = 0;
    let most = 0;
    for (const history of histories) {
      const { acknowledged, unknown } = new History(history).increments(key);
      least += acknowledged;
      most += acknowledged + unknown;
    }
    const found = counters.get(key) ?? 0;
    lost += Math.max(0, least - found);
    doubled += Math.max(0, found - most);
    acknowledgedIncrements += least;
  }
  return { lost, doubled, acknowledgedIncrements };
}

export function counterKeys(space: KeySpace): number[] {
  const inTrios = space.trios.map(([, , counter]) => counter);
  return [...space.sharedCounters, ...space.ownCounters, ...inTrios];
}
