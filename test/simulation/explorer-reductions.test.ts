// What the explorer leaves out must not matter: dead messages, and losses and copies where everything may arrive any number of
// times. Each is compared with an exploration that does without the short cut.

import { describe, expect, test, vi } from 'vitest';
import { describeMessage } from '../../src/protocol/describe.js';
import { isDead } from '../../src/simulation/explorer/mail.js';
import { type Budgets, makeScope, type Scope } from '../../src/simulation/explorer/scope.js';
import { HashSet, Origins, RecordList } from '../../src/simulation/explorer/tables.js';
import { Worlds } from '../../src/simulation/explorer/worlds.js';
import { seeded } from '../../src/simulation/seeded.js';

// Seconds of work, for a machine that has other work as well.
vi.setConfig({ testTimeout: 60_000 });

const REPLICAS = 3;
/** More than there are different messages in any scope here. */
const PAIRS = 2 ** 20;

interface Seen {
  readonly worlds: number;
  /** Worlds without what is in flight and what is used up: all replicas and the past, by their contents. */
  readonly situations: Set<string>;
}

/** Another, slower way through all worlds, which keeps them whole. `visit`: each of them. */
function all(worlds: Worlds, visit: (world: Int32Array) => void = () => {}): Seen {
  const situations = new Set<string>();
  const seen = new Set<string>();
  const open: Int32Array[] = [];
  const found = (length: number): true => {
    const world = worlds.next.slice(0, length);
    const key = world.join(' ');
    if (!seen.has(key)) {
      seen.add(key);
      open.push(world);
    }
    return true;
  };
  found(worlds.first());
  for (let world = open.pop(); world !== undefined; world = open.pop()) {
    situations.add(situation(worlds, world));
    visit(world);
    worlds.expand(world, world.length, {
      reached: (_, length) => found(length),
      violated: (_, what) => {
        throw new Error(what);
      },
    });
  }
  return { worlds: seen.size, situations };
}

function situation(worlds: Worlds, world: Int32Array): string {
  const parts: (string | number)[] = [];
  for (let id = 0; id < REPLICAS; id++) {
    const { low, high } = worlds.locals.at(world[id] as number);
    parts.push(low, high);
  }
  const { low, high } = worlds.histories.at(world[REPLICAS] as number);
  return [...parts, low, high].join(' ');
}

describe('dead messages', () => {
  const scopes: [Partial<Budgets>, Partial<Scope>][] = [
    [{ timers: 1 }, {}],
    [{ operations: 1, losses: 1 }, {}],
    [{ operations: 1, timers: 1, transfers: 1 }, { tailEntries: 0 }],
    [{ losses: 1, repeats: 1 }, { pauses: 'over' }],
  ];

  test.each(scopes)('%j %j: without them the same situations are reached', (budgets, changes) => {
    const scope = makeScope('test', budgets, changes);
    const pruned = all(new Worlds(scope));
    const whole = all(new Worlds(scope, { keepDead: true }));
    expect(whole.worlds).toBeGreaterThan(pruned.worlds);
    expect([...whole.situations].sort()).toEqual([...pruned.situations].sort());
  });

  test.each(scopes)('%j %j: each is ignored, and stays dead', (budgets, changes) => {
    const scope = makeScope('test', budgets, changes);
    const worlds = new Worlds(scope, { keepDead: true });
    const judged = new Set<number>();
    const wrong: string[] = [];
    all(worlds, (world) => {
      for (const number of world.subarray(REPLICAS + 2)) {
        const { to, message } = worlds.mail.at(number);
        const from = world[to] as number;
        const pair = from * PAIRS + number;
        if (judged.has(pair) || !isDead(worlds.locals.at(from).state, message, scope)) continue;
        judged.add(pair);
        const step = worlds.locals.step(from, number);
        const heard = step.to !== from || step.sent.length > 0 || step.violation !== null;
        if (heard) wrong.push(`heard: ${describeMessage(message)}`);
      }
    });
    // All steps of all states are known by now.
    for (const pair of judged) {
      const { message } = worlds.mail.at(pair % PAIRS);
      for (const next of worlds.locals.at(Math.floor(pair / PAIRS)).steps)
        if (next !== undefined && !isDead(worlds.locals.at(next.to).state, message, scope))
          wrong.push(`lives again: ${describeMessage(message)}`);
    }
    expect(wrong).toEqual([]);
    expect(judged.size).toBeGreaterThan(20);
  });
});

test('what arrives any number of times covers every loss and copy', () => {
  const budgets = { timers: 1, repeats: 1 };
  const once: Partial<Budgets> = { ...budgets, drops: 1, duplicates: 1 };
  const part = all(new Worlds(makeScope('test', once, { delivery: 'once' })));
  const whole = all(new Worlds(makeScope('test', budgets)));
  expect([...part.situations].filter((one) => !whole.situations.has(one))).toEqual([]);
  expect(part.worlds).toBeGreaterThan(whole.worlds);
});

test('hashes stand for worlds: as many as there are', () => {
  const worlds = new Worlds(makeScope('test', { operations: 1, timers: 1 }));
  const hashes = new HashSet();
  const { worlds: count } = all(worlds);
  worlds.first();
  hashes.add(worlds.low, worlds.high);
  const again = new Worlds(makeScope('test', { operations: 1, timers: 1 }));
  all(again, (world) =>
    again.expand(world, world.length, {
      reached: () => {
        hashes.add(again.low, again.high);
        return true;
      },
      violated: () => false,
    }),
  );
  expect(hashes.size).toBe(count);
});

describe('tables', () => {
  test('a set of hashes knows each of 200,000, and the hash of zeros', () => {
    const random = seeded(3);
    const set = new HashSet();
    expect(set.add(0, 0)).toBe(true);
    expect(set.add(0, 0)).toBe(false);
    const pairs = Array.from({ length: 200_000 }, () => [random() | 0, random() | 0] as const);
    expect(pairs.every(([low, high]) => set.add(low, high))).toBe(true);
    expect(pairs.some(([low, high]) => set.add(low, high))).toBe(false);
    expect(set.size).toBe(200_001);
  });

  test('records come back as they went in, over the ends of chunks, and only once', () => {
    const random = seeded(4);
    const list = new RecordList();
    const records = Array.from({ length: 60_000 }, (_, at) => [at, ...numbers(random() % 60)]);
    for (const record of records) list.push(Int32Array.from(record), record.length);
    expect(list.count).toBe(records.length);
    const target = new Int32Array(64);
    let at = 0;
    const drained = list.drain(
      target,
      (length) => target.subarray(0, length).join() === records[at++]?.join(),
    );
    expect([drained, at, list.count]).toEqual([true, records.length, 0]);
    list.push(Int32Array.of(7), 1);
    expect(list.drain(target, () => target[0] !== 7)).toBe(false);
  });

  test('origins lead back to the first world', () => {
    const origins = new Origins();
    origins.add(0, 0);
    for (let world = 1; world < 100_000; world++) origins.add(Math.floor((world - 1) / 2), world);
    expect(origins.path(0)).toEqual([]);
    expect(origins.path(12)).toEqual([2, 5, 12]);
    expect(origins.path(99_999)).toHaveLength(16);
  });
});

function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, at) => at * 3);
}
