// Whether what clients saw of a map from keys to values can be explained by an order in which the operations took effect one at
// a time, each between its call and its end.

import { explain, explainStuck } from './linearizability/explain.js';
import {
  type Component,
  type KeyFacts,
  type Partition,
  partition,
} from './linearizability/partition.js';
import { type Found, Search } from './linearizability/search.js';
import { Table } from './linearizability/table.js';
import type { CheckOptions, Operation, Verdict } from './linearizability/types.js';
import { checkZones } from './linearizability/zones.js';

export type {
  CheckOptions,
  KeyInput,
  KeyOutput,
  KeyStep,
  Operation,
  Verdict,
} from './linearizability/types.js';

/** A memo of as many places takes a few hundred MB at most. */
const STEPS_MAX = 3_000_000;
/** The share of the steps for a search that is quick but cannot refuse. */
const NARROW_PART = 3;

/**
 * Exact: 'linearizable' and 'violation' are both proofs. 'undecided' means that `stepsMax` was not enough, which a caller
 * counts as a failure. Throws a RangeError for times that are no times.
 */
export function checkLinearizable(
  history: readonly Operation[],
  options: CheckOptions = {},
): Verdict {
  const stepsMax = options.stepsMax ?? STEPS_MAX;
  const initial = options.initial ?? new Map<string, string>();
  const parts = partition(history);
  const [impossible] = parts.impossible;
  if (impossible !== undefined) {
    const keys = [...new Set(impossible.steps.map(({ key }) => key))];
    const headline = `${keys.join(', ')}: no values explain the outputs`;
    return {
      verdict: 'violation',
      keys,
      explanation: explain(headline, [impossible], []),
      steps: 0,
    };
  }
  let steps = 0;
  let undecided: Verdict | null = null;
  for (const component of parts.components) {
    const verdict = checkComponent(component, parts, initial, stepsMax - steps);
    steps += verdict.steps;
    if (verdict.verdict === 'violation') return { ...verdict, steps };
    if (verdict.verdict === 'undecided') undecided ??= verdict;
  }
  return undecided === null ? { verdict: 'linearizable', steps } : { ...undecided, steps };
}

function checkComponent(
  component: Component,
  { facts }: Partition,
  initial: ReadonlyMap<string, string>,
  stepsMax: number,
): Verdict {
  const { keys, operations } = component;
  const key = keys[0] as string;
  const zones = checkZones(component, facts.get(key) as KeyFacts, initial.get(key) ?? null);
  if (zones !== null) {
    const steps = operations.length;
    if (steps > stepsMax) return { verdict: 'undecided', keys, steps: Math.max(stepsMax, 0) };
    if (zones.holds) return { verdict: 'linearizable', steps };
    const around = operations.map(({ source }) => source);
    const culprits = zones.culprits.map(({ source }) => source);
    const explanation = explain(`${key}: ${zones.why}`, culprits, around);
    return { verdict: 'violation', keys, explanation, steps };
  }
  const table = new Table(component, facts, initial);
  let search: Search;
  let found: Found;
  let steps = 0;
  if (table.groups.some(({ kind }) => kind === 'free')) {
    search = new Search(table, Math.floor(stepsMax / NARROW_PART), true);
    found = search.run();
    steps = search.steps;
    if (found === 'linearizable') return { verdict: 'linearizable', steps };
  }
  search = new Search(table, stepsMax - steps, false);
  found = search.run();
  steps += search.steps;
  if (found === 'linearizable') return { verdict: 'linearizable', steps };
  const stuck = found === 'undecided' ? search.stuck : found;
  if (stuck === null) return { verdict: 'undecided', keys, steps };
  return {
    verdict: found === 'undecided' ? 'undecided' : 'violation',
    keys: stuck.keys.map((index) => keys[index] as string),
    explanation: explainStuck(table, stuck),
    steps,
  };
}
