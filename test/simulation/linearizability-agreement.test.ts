// The checker against the definition, tried in every order, on small histories; and its shortcut for registers against its search.

import { expect, test } from 'vitest';
import { partition } from '../../src/simulation/linearizability/partition.js';
import { Search } from '../../src/simulation/linearizability/search.js';
import { Table } from '../../src/simulation/linearizability/table.js';
import { checkZones } from '../../src/simulation/linearizability/zones.js';
import {
  checkLinearizable,
  type KeyInput,
  type KeyOutput,
  type KeyStep,
  type Operation,
} from '../../src/simulation/linearizability.js';
import { seeded } from '../../src/simulation/seeded.js';
import { linearizableByDefinition } from './linearizability-definition.js';

interface Shape {
  readonly operationsMax: number;
  readonly keys: number;
  readonly values: readonly string[];
  readonly kinds: readonly KeyInput['type'][];
  readonly stepsMax: number;
  /** Of 100. */
  readonly unknown: number;
  readonly wrong: number;
  readonly outputsLost: number;
  readonly span: number;
}

const ALL = ['get', 'set', 'delete', 'cas'] as const;
const COUNTING = ['get', 'set', 'delete', 'incr', 'incr', 'cas'] as const;

function shapeOf(pick: (below: number) => number): Shape {
  const counting = pick(2) === 0;
  const kinds = [['get', 'set'] as const, ['get', 'set', 'delete'] as const][pick(4)];
  const values = counting ? ['0', '1', '2'] : ['a', 'b', 'c'];
  return {
    operationsMax: 6,
    keys: 1 + pick(3),
    values: values.slice(0, 1 + pick(3)),
    kinds: kinds ?? (counting ? COUNTING : ALL),
    stepsMax: pick(3) === 0 ? 3 : 1,
    unknown: [0, 20, 50][pick(3)] as number,
    wrong: [5, 20, 40][pick(3)] as number,
    outputsLost: pick(4) === 0 ? 30 : 0,
    span: [4, 10, 20][pick(3)] as number,
  };
}

/** Operations that take effect at random moments, not all of them within their bounds, some with other outputs. */
function randomHistory(seed: number): { history: Operation[]; initial: Map<string, string> } {
  const random = seeded(seed);
  const pick = (below: number) => random() % below;
  const shape = shapeOf(pick);
  const value = () => shape.values[pick(shape.values.length)] as string;
  const contents = new Map<string, string>();
  if (pick(4) === 0) contents.set('k0', value());
  const initial = new Map(contents);
  const calls = Array.from({ length: 1 + pick(shape.operationsMax) }, (_, client) => {
    const call = pick(shape.span);
    const end = pick(100) < shape.unknown ? Infinity : call + pick(8);
    const steps = Array.from({ length: 1 + pick(shape.stepsMax) }, () => {
      const type = shape.kinds[pick(shape.kinds.length)] as KeyInput['type'];
      return { key: `k${pick(shape.keys)}`, input: inputOf(type, pick, value) };
    });
    const effect = end === Infinity ? call + pick(20) : call + pick(end - call + 2);
    return { client, call, end, steps, effect };
  });
  const done = new Map<(typeof calls)[number], KeyStep[]>();
  for (const call of calls.toSorted((a, b) => a.effect - b.effect)) {
    if (call.end === Infinity && pick(2) === 0) continue;
    const wrong = pick(100) < shape.wrong;
    const steps = call.steps.map(({ key, input }): KeyStep => {
      const output = perform(contents, key, input);
      const hidden = call.end === Infinity ? pick(8) > 0 : pick(100) < shape.outputsLost;
      if (hidden) return { key, input };
      return { key, input, output: wrong ? other(input, output, pick, value) : output };
    });
    done.set(call, steps);
  }
  const history = calls.map((call) => {
    const { client, end } = call;
    return { client, call: call.call, end, steps: done.get(call) ?? call.steps };
  });
  return { history, initial };
}

function inputOf(
  type: KeyInput['type'],
  pick: (below: number) => number,
  value: () => string,
): KeyInput {
  if (type === 'incr') return { type, by: [1, 1, 2, -1][pick(4)] as number };
  if (type === 'set') return { type, value: value() };
  if (type === 'cas') return { type, expected: pick(3) === 0 ? null : value(), value: value() };
  return { type };
}

function perform(contents: Map<string, string>, key: string, input: KeyInput): KeyOutput {
  const before = contents.get(key) ?? null;
  switch (input.type) {
    case 'get':
      return before;
    case 'set':
      contents.set(key, input.value);
      return null;
    case 'delete':
      return contents.delete(key);
    case 'incr': {
      const sum = Number(before ?? '0') + input.by;
      contents.set(key, String(sum));
      return sum;
    }
    case 'cas':
      if (before === input.expected) contents.set(key, input.value);
      return before === input.expected;
  }
}

function other(
  input: KeyInput,
  output: KeyOutput,
  pick: (below: number) => number,
  value: () => string,
): KeyOutput {
  if (pick(2) === 0) return output;
  if (typeof output === 'boolean') return !output;
  if (typeof output === 'number') return output + (pick(2) === 0 ? 1 : -1);
  return input.type === 'get' && pick(3) > 0 ? value() : null;
}

test('agrees with the definition on small histories', { timeout: 120_000 }, () => {
  const seen = { linearizable: 0, violation: 0, undecided: 0 };
  let joined = 0;
  let unknown = 0;
  for (let seed = 0; seed < 24_000; seed++) {
    const { history, initial } = randomHistory(seed);
    const wanted = linearizableByDefinition(history, initial) ? 'linearizable' : 'violation';
    const { verdict } = checkLinearizable(history, { initial });
    if (verdict !== wanted)
      expect.fail(`seed ${seed}: ${verdict} instead of ${wanted}: ${JSON.stringify(history)}`);
    seen[verdict]++;
    if (wanted === 'violation' && history.some(({ steps }) => steps.length > 1)) joined++;
    if (wanted === 'violation' && history.some(({ end }) => end === Infinity)) unknown++;
  }
  expect(seen.linearizable).toBeGreaterThan(5000);
  expect(seen.violation).toBeGreaterThan(3000);
  expect(joined).toBeGreaterThan(500);
  expect(unknown).toBeGreaterThan(500);
});

test('the order that unique values give agrees with the search', { timeout: 120_000 }, () => {
  const seen = { linearizable: 0, violation: 0 };
  for (let seed = 0; seed < 3000; seed++) {
    const random = seeded(seed);
    const pick = (below: number) => random() % below;
    const writes = 1 + pick(8);
    const history = Array.from({ length: writes + pick(12) }, (_, client): Operation => {
      // A read takes a value that is written at about the same time.
      const nth = client < writes ? client : pick(writes + 1) - 1;
      const call = nth * 4 + pick(8);
      const end = pick(10) === 0 ? Infinity : call + pick(12);
      if (client >= writes) {
        const output = nth < 0 ? null : `v${nth}`;
        return { client, call, end, steps: [{ key: 'k', input: { type: 'get' }, output }] };
      }
      const input: KeyInput = { type: 'set', value: `v${nth}` };
      return { client, call, end, steps: [{ key: 'k', input }] };
    });
    const { components, facts } = partition(history);
    for (const component of components) {
      const key = facts.get('k');
      if (key === undefined) throw new Error('a key without facts');
      const zones = checkZones(component, key, null);
      const search = new Search(new Table(component, facts, new Map()), 1e6, false).run();
      const found = search === 'linearizable' ? 'linearizable' : 'violation';
      expect(search).not.toBe('undecided');
      if (zones?.holds !== (found === 'linearizable'))
        expect.fail(`seed ${seed}: ${found}, ${JSON.stringify(zones)}: ${JSON.stringify(history)}`);
      seen[found]++;
    }
  }
  expect(seen.linearizable).toBeGreaterThan(500);
  expect(seen.violation).toBeGreaterThan(500);
});
