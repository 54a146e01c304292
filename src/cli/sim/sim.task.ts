// The thread's side of a simulation: plays its seeds one after the other.

import { lineOf } from '../../simulation/swarm/line.js';
import { type Counter, simulate } from '../../simulation/swarm/simulate.js';
import type { SimFailure, SimPart, SimTask } from './part.js';

export default function run(task: SimTask): SimPart {
  const sums = { operations: 0, requests: 0, messages: 0, views: 0, virtualMs: 0 };
  const counters: Partial<Record<Counter, number>> = {};
  const failures: SimFailure[] = [];
  const lines: string[] = [];
  let undecided = 0;
  const mutations = task.mistake === null ? {} : { [task.mistake]: true };
  for (let seed = task.first; seed < task.first + task.count; seed++) {
    const report = simulate({ seed, mutations });
    sums.operations += report.operations;
    sums.requests += report.requests;
    sums.messages += report.messages;
    sums.views += report.views;
    sums.virtualMs += report.virtualMs;
    for (const [name, count] of report.counters) counters[name] = (counters[name] ?? 0) + count;
    if (report.undecided) undecided++;
    if (report.failure !== null) failures.push({ seed, message: report.failure.message });
    if (task.lines) lines.push(lineOf(report));
  }
  return { seeds: task.count, ...sums, undecided, failures, lines, counters };
}
