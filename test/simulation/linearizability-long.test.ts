// Long histories of an object that is atomic: accepted as they are, refused with one fault planted, and within the steps that a
// caller can afford.

import { expect, test } from 'vitest';
import {
  checkLinearizable,
  type KeyInput,
  type KeyOutput,
  type KeyStep,
  type Operation,
} from '../../src/simulation/linearizability.js';
import { seeded } from '../../src/simulation/seeded.js';

interface Load {
  readonly operations: number;
  readonly clients: number;
  readonly keys: number;
  /** Of 1000: without an answer, after which the client's place is taken by another one. */
  readonly unknown: number;
  /** Of 1000: with several steps. */
  readonly atomic: number;
  /** g s d c: get, set, delete, cas on registers; i r: incr and get on counters. */
  readonly mix: string;
  /** Every written value is another one. */
  readonly unique: boolean;
}

type Pick = (below: number) => number;

/** Each operation takes effect at a random moment between its call and its end; a third of the unknown ones does, at some time. */
function atomicHistory(seed: number, load: Load): Operation[] {
  const random = seeded(seed);
  const pick: Pick = (below) => random() % below;
  const idle = new Array<number>(load.clients).fill(0);
  let client = load.clients;
  const names = [...idle.keys()];
  const calls = Array.from({ length: load.operations }, (_, index) => {
    const at = idle.indexOf(Math.min(...idle));
    const call = (idle[at] as number) + pick(6);
    const duration = 1 + pick(20);
    const unknown = pick(1000) < load.unknown;
    const count = pick(1000) < load.atomic ? 2 + pick(2) : 1;
    const steps = Array.from({ length: count }, (__, n) => stepOf(load, pick, `${index}.${n}`));
    const effect = unknown
      ? pick(3) > 0
        ? Infinity
        : call + pick(600)
      : call + (duration * random()) / 2 ** 32;
    const name = names[at] as number;
    if (unknown) names[at] = client++;
    idle[at] = call + duration + 1;
    return { client: name, call, end: unknown ? Infinity : call + duration, steps, effect };
  });
  const contents = new Map<string, string>();
  for (const operation of calls.toSorted((a, b) => (a.effect < b.effect ? -1 : 1))) {
    if (operation.effect === Infinity) continue;
    const answered = operation.end < Infinity;
    for (const [n, step] of operation.steps.entries())
      operation.steps[n] = perform(contents, step, answered, pick);
  }
  return calls.map(({ client, call, end, steps }) => ({ client, call, end, steps }));
}

function stepOf({ mix, keys, unique }: Load, pick: Pick, name: string): KeyStep {
  const kind = mix[pick(mix.length)];
  const number = pick(keys);
  const value = unique ? name : `${pick(4)}`;
  const key = `r${number}`;
  if (kind === 'i') return { key: `n${number}`, input: { type: 'incr', by: 1 } };
  if (kind === 'r') return { key: `n${number}`, input: { type: 'get' } };
  if (kind === 's') return { key, input: { type: 'set', value } };
  if (kind === 'd') return { key, input: { type: 'delete' } };
  if (kind === 'c') return { key, input: { type: 'cas', expected: null, value } };
  return { key, input: { type: 'get' } };
}

function perform(
  contents: Map<string, string>,
  { key, input: asked }: KeyStep,
  answered: boolean,
  pick: Pick,
): KeyStep {
  const before = contents.get(key) ?? null;
  // A swap mostly expects what is there.
  const input: KeyInput =
    asked.type === 'cas' && pick(4) > 0 ? { ...asked, expected: before } : asked;
  let output: KeyOutput = null;
  if (input.type === 'get') output = before;
  else if (input.type === 'set') contents.set(key, input.value);
  else if (input.type === 'delete') output = contents.delete(key);
  else if (input.type === 'incr') {
    output = Number(before ?? '0') + input.by;
    contents.set(key, String(output));
  } else {
    output = before === input.expected;
    if (output) contents.set(key, input.value);
  }
  return answered ? { key, input, output } : { key, input };
}

interface Fault {
  readonly operation: number;
  readonly step: number;
  readonly output: KeyOutput;
}

/** Steps of operations with an answer, with their places. */
function answers(history: readonly Operation[]): { fault: Fault; op: Operation; step: KeyStep }[] {
  return history.flatMap((op, operation) =>
    op.end === Infinity
      ? []
      : op.steps.map((step, n) => {
          const fault = { operation, step: n, output: step.output ?? null };
          return { fault, op, step };
        }),
  );
}

/** A read of what nobody wrote. */
function invented(history: readonly Operation[], pick: Pick): Fault | undefined {
  const reads = answers(history).filter(({ step }) => step.input.type === 'get');
  const read = reads[pick(reads.length)];
  return read && { ...read.fault, output: 'never written' };
}

/** The increments are the only writes of counters, each adds 1: no two of them can have the same result. */
function doubled(history: readonly Operation[], pick: Pick): Fault | undefined {
  const counts = answers(history).filter(({ step }) => step.input.type === 'incr');
  const one = counts[pick(counts.length)];
  const other = counts.find(({ step }) => step.key === one?.step.key && step !== one.step);
  return one && other && { ...one.fault, output: other.fault.output };
}

/** A read of a value that is written once, after another write of its key that began after that write had ended. */
function stale(history: readonly Operation[], pick: Pick): Fault | undefined {
  const all = answers(history);
  const writes = all.filter(({ op, step }) => step.input.type === 'set' && op.steps.length === 1);
  const reads = all.filter(({ op, step }) => step.input.type === 'get' && op.steps.length === 1);
  for (let attempt = 0; attempt < 50; attempt++) {
    const read = reads[pick(reads.length)];
    const ofKey = writes.filter(
      ({ op, step }) => step.key === read?.step.key && op.end < read.op.call,
    );
    const old = ofKey[pick(Math.max(1, ofKey.length))];
    if (read === undefined || old === undefined) continue;
    if (!ofKey.some(({ op }) => op.call > old.op.end)) continue;
    const { input } = old.step;
    if (input.type === 'set') return { ...read.fault, output: input.value };
  }
  return undefined;
}

function planted(history: readonly Operation[], { operation, step, output }: Fault): Operation[] {
  return history.map((op, n) => {
    if (n !== operation) return op;
    return { ...op, steps: op.steps.map((one, m) => (m === step ? { ...one, output } : one)) };
  });
}

const SIMULATED: Load = {
  operations: 500,
  clients: 6,
  keys: 4,
  unknown: 60,
  atomic: 0,
  mix: 'ggssdcir',
  unique: true,
};

const LOADS: readonly (readonly [string, Load])[] = [
  ['mixed', SIMULATED],
  ['registers', { ...SIMULATED, mix: 'gs', clients: 20 }],
  ['counters', { ...SIMULATED, mix: 'ir', keys: 2, unknown: 150 }],
  ['atomic requests', { ...SIMULATED, atomic: 80, unknown: 40 }],
  ['few values', { ...SIMULATED, unique: false }],
  ['hundreds of dead clients', { ...SIMULATED, mix: 'ggsi', operations: 1500, unknown: 250 }],
];

test.each(LOADS)('%s: accepted, and refused with a fault', { timeout: 120_000 }, (_, load) => {
  let refused = 0;
  for (let seed = 0; seed < 25; seed++) {
    const history = atomicHistory(seed, load);
    const { verdict, explanation } = checkLinearizable(history);
    if (verdict !== 'linearizable') expect.fail(`seed ${seed}: ${verdict} ${explanation}`);
    const random = seeded(seed + 1e6);
    const pick: Pick = (below) => random() % Math.max(1, below);
    for (const plant of load.unique ? [invented, doubled, stale] : [invented, doubled]) {
      const fault = plant(history, pick);
      if (fault === undefined) continue;
      const found = checkLinearizable(planted(history, fault)).verdict;
      if (found !== 'violation') expect.fail(`seed ${seed}, ${plant.name}: ${found}`);
      refused++;
    }
  }
  expect(refused).toBeGreaterThan(24);
});

test('writes of unknown outcome that nobody saw cost nothing', () => {
  const [key, call] = ['k', 0];
  const end = Infinity;
  const dead = Array.from({ length: 600 }, (_, client): Operation => {
    const inputs: KeyInput[] = [
      { type: 'set', value: `lost ${client}` },
      { type: 'delete' },
      { type: 'cas', expected: `lost ${client - 1}`, value: `lost ${client}` },
      { type: 'incr', by: 1 },
    ];
    return { client, call, end, steps: [{ key, input: inputs[client % 4] as KeyInput }] };
  });
  const live = Array.from({ length: 300 }, (_, n): Operation => {
    const input: KeyInput = n % 2 === 0 ? { type: 'set', value: `${n}` } : { type: 'get' };
    const output = n % 2 === 0 ? null : `${n - 1}`;
    return { client: 1000, call: 2 * n, end: 2 * n + 1, steps: [{ key, input, output }] };
  });
  expect(checkLinearizable([...dead, ...live], { stepsMax: 2000 }).verdict).toBe('linearizable');
  const last = { client: 1001, call: 1e6, end: 1e6 + 1 };
  const gone = { ...last, steps: [{ key, input: { type: 'get' } as const, output: null }] };
  const never = { ...last, steps: [{ key, input: { type: 'get' } as const, output: 'x' }] };
  const check = (...more: Operation[]) =>
    checkLinearizable([...dead, ...live, ...more], { stepsMax: 20_000 }).verdict;
  expect(check(gone)).toBe('linearizable');
  expect(check(never)).toBe('violation');
});

test('200,000 operations, in about as many steps', { timeout: 300_000 }, () => {
  const soak: Load = {
    operations: 200_000,
    clients: 16,
    keys: 40,
    unknown: 1,
    atomic: 5,
    mix: 'ggssdcir',
    unique: true,
  };
  const history = atomicHistory(1, soak);
  expect(checkLinearizable(history, { stepsMax: 800_000 }).verdict).toBe('linearizable');
  const random = seeded(2);
  const fault = doubled(history, (below) => random() % below);
  if (fault === undefined) throw new Error('nothing to plant a fault in');
  expect(checkLinearizable(planted(history, fault)).verdict).toBe('violation');
});
