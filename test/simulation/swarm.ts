// Runs of the simulator as tests see them.

import { expect } from 'vitest';
import { lineOf } from '../../src/simulation/swarm/line.js';
import {
  COUNTERS,
  type Counter,
  type RunReport,
  simulate,
} from '../../src/simulation/swarm/simulate.js';

export interface Sum {
  seeds: number;
  operations: number;
  virtualMs: number;
  readonly counters: Map<Counter, number>;
}

/** Plays `count` seeds; fails with the lines of all that went wrong and the end of the first. */
export function playSeeds(first: number, count: number): Sum {
  const sum: Sum = { seeds: 0, operations: 0, virtualMs: 0, counters: new Map() };
  const failed: RunReport[] = [];
  for (let seed = first; seed < first + count; seed++) {
    const report = simulate({ seed });
    if (report.failure !== null) failed.push(report);
    sum.seeds++;
    sum.operations += report.operations;
    sum.virtualMs += report.virtualMs;
    for (const [name, taken] of report.counters)
      sum.counters.set(name, (sum.counters.get(name) ?? 0) + taken);
  }
  if (failed.length > 0)
    expect.fail(`${failed.map(lineOf).join('\n')}\n${failed[0]?.failure?.trace ?? ''}`);
  return sum;
}

export function neverTaken(counters: ReadonlyMap<Counter, number>): Counter[] {
  return COUNTERS.filter((name) => (counters.get(name) ?? 0) === 0);
}
