// What the workload sends: the mix that was asked for, inserts that are new, writes that follow their reads, values of the right
// sizes. Operations are noted, not run.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { zeta } from '../../src/cli/distributions.js';
import { ALONE, Keys, type Place } from '../../src/cli/keys.js';
import { makeValues, meanSize, sizesOf, type ValueSizes } from '../../src/cli/values.js';
import {
  CANONICAL,
  DELETE,
  GET,
  INCR,
  OPERATIONS,
  type OperationCalls,
  SET,
  WORKLOADS,
  Workload,
  type WorkloadName,
  type WorkloadShape,
} from '../../src/cli/workload.js';
import { PROPERTY } from '../fuzz/counts.js';

const COUNT = 40_000;

interface Noted {
  readonly op: (typeof OPERATIONS)[number];
  readonly key: string;
}

/** Notes what it is given. */
class Notes implements OperationCalls<Uint8Array> {
  readonly all: Noted[] = [];

  async #note(op: Noted['op'], key: string): Promise<void> {
    this.all.push({ op, key });
  }

  get = (key: string) => this.#note('get', key);
  set = (key: string, _value: Uint8Array) => this.#note('set', key);
  delete = (key: string) => this.#note('delete', key);
  incr = (key: string) => this.#note('incr', key);
}

function shapeOf(name: WorkloadName, more: Partial<WorkloadShape> = {}): WorkloadShape {
  return { ...CANONICAL, ...WORKLOADS[name], ...more };
}

function run(shape: WorkloadShape, place: Place = ALONE, count = COUNT): readonly Noted[] {
  const notes = new Notes();
  const kinds = new Uint8Array(count);
  expect(new Workload(shape, place).fill(notes, count, kinds)).toBe(count);
  expect(notes.all.map(({ op }) => OPERATIONS.indexOf(op))).toEqual([...kinds]);
  return notes.all;
}

function share(all: readonly Noted[], op: Noted['op']): number {
  return all.filter((one) => one.op === op).length / all.length;
}

test('codes of kinds are places in the list', () => {
  expect([GET, SET, DELETE, INCR].map((code) => OPERATIONS[code])).toEqual([...OPERATIONS]);
});

describe('mixes', () => {
  test.each([
    ['ycsb-a', { get: 0.5, set: 0.5 }],
    ['ycsb-b', { get: 0.95, set: 0.05 }],
    ['ycsb-c', { get: 1, set: 0 }],
    ['ycsb-d', { get: 0.95, set: 0.05 }],
  ] as const)('%s', (name, shares) => {
    const all = run(shapeOf(name));
    for (const op of ['get', 'set'] as const) expect(share(all, op)).toBeCloseTo(shares[op], 1.7);
  });

  test('of all kinds, by their weights', () => {
    const mix = { get: 1, set: 2, delete: 3, incr: 4, insert: 5, rmw: 5 };
    const all = run({ ...CANONICAL, mix });
    // Twenty picks, of which five turn out to be the first half of two operations; all in one fill, so no second halves.
    expect(share(all, 'get')).toBeCloseTo(6 / 20, 1.7);
    expect(share(all, 'set')).toBeCloseTo(7 / 20, 1.7);
    expect(share(all, 'delete')).toBeCloseTo(3 / 20, 1.7);
    expect(share(all, 'incr')).toBeCloseTo(4 / 20, 1.7);
    expect(all.filter(({ op, key }) => key[0] !== (op === 'incr' ? 'c' : 'k'))).toEqual([]);
  });

  test('popular keys are read and written as often as all others', () => {
    const all = run(shapeOf('ycsb-a'));
    const counts = new Map<string, number>();
    for (const { key } of all) counts.set(key, (counts.get(key) ?? 0) + 1);
    const popular = [...counts].sort((a, b) => b[1] - a[1]).slice(0, 5);
    for (const [key, count] of popular) {
      expect(count).toBeGreaterThan(COUNT / 500);
      const own = all.filter((one) => one.key === key);
      expect(Math.abs(share(own, 'get') - 0.5)).toBeLessThan(0.06);
    }
  });

  test('single calls follow the same shares', async () => {
    const notes = new Notes();
    const workload = new Workload(shapeOf('ycsb-b'));
    for (let at = 0; at < 20_000; at++) await workload.call(notes);
    expect(share(notes.all, 'set')).toBeCloseTo(0.05, 1.7);
  });
});

describe('inserts', () => {
  test('set keys that nobody else has, and gets follow them', () => {
    const places = [0, 1, 2].map((generator) => ({ generator, generators: 3 }));
    const shape = shapeOf('ycsb-d', { keyspace: 1000 });
    const initial = new Set(new Workload(shape).keys);
    const inserted = places.map((place) => {
      const all = run(shape, place);
      const known = new Set(initial);
      const wrong: string[] = [];
      let ofNewest = 0;
      let newest = 'none yet';
      for (const { op, key } of all)
        if (op === 'set') {
          if (known.has(key) || key.length !== shape.keyBytes) wrong.push(key);
          known.add(key);
          newest = key;
        } else {
          if (!known.has(key)) wrong.push(key);
          if (key === newest) ofNewest++;
        }
      expect(wrong).toEqual([]);
      expect(ofNewest / all.length).toBeGreaterThan(0.9 / zeta(known.size));
      return [...known].filter((key) => !initial.has(key));
    });
    const flat = inserted.flat();
    expect(flat.length).toBeGreaterThan(5000);
    expect(new Set(flat).size).toBe(flat.length);
  });

  test('go over the oldest keys when there are as many as may be', () => {
    const keys = new Keys({ keyspace: 3, keyBytes: 4, most: 7, place: ALONE });
    const newest = Array.from({ length: 9 }, () => [keys.insert(), keys.names[keys.newest]]);
    expect(newest).toEqual([
      [true, 'k003'],
      [true, 'k004'],
      [true, 'k005'],
      [true, 'k006'],
      [false, 'k000'],
      [false, 'k001'],
      [false, 'k002'],
      [false, 'k003'],
      [false, 'k004'],
    ]);
    expect(keys.count).toBe(7);
  });

  test('of large values leave room in the store', () => {
    const valueBytes = { least: 1 << 20, most: 1 << 20 };
    const workload = new Workload({ ...shapeOf('ycsb-d', { keyspace: 8 }), valueBytes });
    workload.fill(new Notes(), 20_000, new Uint8Array(20_000));
    expect(workload.keys.length).toBeLessThanOrEqual(256);
    expect(workload.keys.length).toBeGreaterThan(200);
  });
});

describe('read-modify-write', () => {
  const slots = fc.array(fc.tuple(fc.nat(3), fc.integer({ min: 1, max: 40 })), { minLength: 1 });

  test('a set follows in the next request of the slot that has the answer, and only there', () => {
    const shape = shapeOf('ycsb-f', { keyspace: 50, mix: { rmw: 1 } });
    fc.assert(
      fc.property(slots, (requests) => {
        const workload = new Workload(shape);
        const owed = new Map<number, string[]>();
        for (const [slot, count] of requests) {
          const notes = new Notes();
          workload.fill(notes, count, new Uint8Array(count), slot);
          const before = owed.get(slot) ?? [];
          const due = before.slice(0, count);
          const ops = notes.all.map(({ op, key }) => `${op} ${key}`);
          expect(ops.slice(0, due.length)).toEqual(due.map((key) => `set ${key}`));
          const rest = notes.all.slice(due.length);
          expect(rest.every(({ op }) => op === 'get')).toBe(true);
          owed.set(slot, [...before.slice(count), ...rest.map(({ key }) => key)]);
        }
      }),
      { ...PROPERTY, numRuns: 50 },
    );
  });

  test('one operation at a time: get, then set of the same key', async () => {
    const workload = new Workload(shapeOf('ycsb-f', { mix: { rmw: 1 } }));
    const bySlot = [new Notes(), new Notes()];
    for (let at = 0; at < 400; at++) await workload.call(bySlot[at % 2] as Notes, at % 2);
    for (const { all } of bySlot)
      for (let at = 0; at < all.length; at += 2) {
        expect(all[at]?.op).toBe('get');
        expect(all[at + 1]).toEqual({ op: 'set', key: all[at]?.key });
      }
  });
});

describe('values', () => {
  const bound = fc.oneof(fc.nat(5000), fc.constantFrom(0, 1, 1 << 20));
  const sizes: fc.Arbitrary<ValueSizes> = fc
    .tuple(bound, bound, fc.boolean())
    .map(([a, b, zipf]) => ({
      least: Math.min(a, b),
      most: Math.max(a, b),
      ...(zipf ? { zipf: true as const } : {}),
    }));

  test('lie in the range, have the mean that is said, and fit into memory', () => {
    fc.assert(
      fc.property(sizes, (range) => {
        const all = sizesOf(range);
        const sum = all.reduce((total, size) => total + size, 0);
        expect(all.length).toBeGreaterThan(0);
        expect(Math.min(...all)).toBeGreaterThanOrEqual(range.least);
        expect(Math.max(...all)).toBeLessThanOrEqual(range.most);
        expect(sum).toBeLessThanOrEqual(Math.max(80 << 20, range.most));
        if (all.length > 1) expect(Math.abs(sum / all.length - meanSize(range))).toBeLessThan(0.51);
      }),
      { ...PROPERTY, numRuns: 200 },
    );
  });

  test('zipf:16..4096: small ones are frequent, large ones there', () => {
    const all = sizesOf({ least: 16, most: 4096, zipf: true });
    const least = all.filter((size) => size === 16).length;
    expect(least / all.length).toBeCloseTo(1 / zeta(4081), 2);
    expect(all.filter((size) => size < 116).length / all.length).toBeGreaterThan(0.5);
    expect(Math.max(...all)).toBeGreaterThan(4000);
    expect(makeValues({ least: 16, most: 4096, zipf: true }).map((one) => one.length)).toEqual(all);
  });
});

test('the first filling sets each key once', async () => {
  const workload = new Workload({ ...shapeOf('ycsb-d'), keyspace: 1234 });
  const notes = new Notes();
  await workload.prefill(100, async (fill) => fill(notes));
  expect(notes.all.map(({ key }) => key)).toEqual(workload.keys);
  expect(share(notes.all, 'set')).toBe(1);
});
