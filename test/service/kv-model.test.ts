import fc from 'fast-check';
import { expect, test } from 'vitest';
import { hashKey } from '../../src/service/byte-table.js';
import * as codec from '../../src/service/operation.js';
import {
  bytes,
  describe,
  dice,
  encodeInteger,
  filled,
  Model,
  type Op,
  Store,
  text,
} from './world.js';

const key = fc.oneof(
  fc.constantFrom('a', 'b', 'ab', 'abc', 'abcd', 'abcde', 'counter', 'ü', '🙂key'),
  fc.integer({ min: 0, max: 300 }).map((n) => `k${n}`),
  fc.integer({ min: 1000, max: 1024 }).map((n) => 'x'.repeat(n)),
);
const value = fc.oneof(
  fc.uint8Array({ maxLength: 12 }),
  fc.integer({ min: 0, max: 400 }).map((n) => filled(n, n)),
  fc.integer({ min: 4000, max: 9000 }).map((n) => filled(n, n)),
  fc.constantFrom(0, 5, -7, 300, 70000, 2 ** 40, Number.MAX_SAFE_INTEGER).map(encodeInteger),
);
const condition = fc.oneof(
  fc.constant(undefined),
  fc.constantFrom({ type: 'absent' } as const, { type: 'present' } as const),
  fc.nat(30).map((revision) => ({ type: 'revision', revision }) as const),
);
const by = fc.oneof(
  fc.integer({ min: -300, max: 300 }),
  fc.constantFrom(2 ** 33, -(2 ** 45), Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER),
);
const op: fc.Arbitrary<Op> = fc.oneof(
  fc.record({ type: fc.constant('set' as const), key, value, condition }).map(lean),
  fc.record({ type: fc.constant('delete' as const), key, condition }).map(lean),
  fc.record({ type: fc.constant('incr' as const), key, by }),
  fc.record({
    type: fc.constant('cas' as const),
    key,
    expected: fc.oneof(fc.constant(undefined), value),
    value,
  }),
);

/** Without `condition: undefined`, which the types do not allow. */
function lean<T extends { condition?: unknown }>(record: T): T & Op {
  const { condition, ...rest } = record;
  return (condition === undefined ? rest : record) as unknown as T & Op;
}

const requests = fc.array(
  fc.record({ ops: fc.array(op, { maxLength: 12 }), atomic: fc.boolean() }),
  { maxLength: 25 },
);

function expectSameContent(store: Store, model: Model): void {
  expect(store.services.kv.keys).toBe(model.items.size);
  expect(store.services.kv.revision).toBe(model.revision);
  for (const [name, item] of model.items) {
    const got = store.item(name);
    const same =
      got !== undefined &&
      got.revision === item.revision &&
      got.createdRevision === item.createdRevision &&
      text(got.value) === text(item.value);
    if (!same) expect(got).toEqual(item);
  }
}

test('DT1 kv does what a Map does: conditions, compare-and-set, counters, deletes, atomic batches', {
  timeout: 60_000,
}, () => {
  fc.assert(
    fc.property(requests, (list) => {
      const store = new Store();
      const twin = new Store();
      const model = new Model();
      for (const { ops, atomic } of list) {
        const digest = atomic ? store.digest : '';
        const got = store.write(ops, atomic);
        expect(describe(got)).toBe(describe(model.write(ops, atomic)));
        if (got.aborted) expect(store.digest).toBe(digest);
        twin.write(ops, atomic);
      }
      expectSameContent(store, model);
      expect(twin.digest).toBe(store.digest);
      expect(twin.image().equals(store.image())).toBe(true);
    }),
    { numRuns: 1000 },
  );
});

test('compare-and-set against what is stored, by its bytes', () => {
  fc.assert(
    fc.property(value, value, fc.boolean(), (stored, other, same) => {
      const store = new Store();
      const first = store.one({ type: 'set', key: 'k', value: stored });
      const expected = same ? stored : other;
      const equal = text(expected) === text(stored);
      const got = store.one({ type: 'cas', key: 'k', expected, value: bytes(1, 2, 3) });
      expect(got.status).toBe(equal ? codec.CHANGED : codec.CONDITION_FAILED);
      if (!equal) expect(got.extra).toBe(first.revision);
      expect(text(store.get('k') ?? bytes())).toBe(text(equal ? bytes(1, 2, 3) : stored));
    }),
    { numRuns: 1000 },
  );
});

test('many keys: the table grows, and shrinks again, one bucket at a time', {
  timeout: 60_000,
}, () => {
  const store = new Store();
  const model = new Model();
  const roll = dice(7);
  const run = (count: number, make: (n: number) => Op) => {
    for (let n = 0; n < count; n += 100) {
      const ops = Array.from({ length: 100 }, (_, i) => make(n + i));
      expect(describe(store.write(ops))).toBe(describe(model.write(ops)));
    }
  };
  const empty = store.services.usedBytes;
  run(30_000, (n) => ({ type: 'set', key: `key:${n}`, value: filled(roll(90), n) }));
  expectSameContent(store, model);
  run(20_000, () => ({ type: 'delete', key: `key:${roll(30_000)}` }));
  expectSameContent(store, model);
  run(30_000, (n) => ({ type: 'delete', key: `key:${n}` }));
  expect(store.services.kv.keys).toBe(0);
  expect(store.services.usedBytes).toBe(empty);
});

test('keys with equal hashes are told apart', () => {
  const roll = dice(31);
  const key = new Uint8Array(8);
  const view = new DataView(key.buffer);
  const seen = new Map<number, string>();
  const pairs: [string, string][] = [];
  for (let n = 0; n < 300_000; n++) {
    for (let at = 0; at < 8; at++) key[at] = 33 + roll(90);
    const hash = hashKey(view, 0, 8);
    const other = seen.get(hash);
    const name = text(key);
    if (other === undefined) seen.set(hash, name);
    else pairs.push([other, name]);
  }
  expect(pairs.length).toBeGreaterThan(2);
  const store = new Store();
  for (const [a, b] of pairs) {
    store.one({ type: 'set', key: a, value: bytes(1) });
    expect(store.get(b)).toBeUndefined();
    store.one({ type: 'set', key: b, value: bytes(2) });
    expect([store.get(a), store.get(b)]).toEqual([bytes(1), bytes(2)]);
    store.one({ type: 'delete', key: a });
    expect([store.get(a), store.get(b)]).toEqual([undefined, bytes(2)]);
  }
});

test('conditions: absent, present, revision; where one fails the stored revision is told', () => {
  const store = new Store();
  const set = (value: number, condition: { type: 'absent' | 'present' }) =>
    store.one({ type: 'set', key: 'k', value: bytes(value), condition });
  expect(set(1, { type: 'present' })).toMatchObject({ status: codec.CONDITION_FAILED, extra: 0 });
  expect(set(1, { type: 'absent' })).toMatchObject({ status: codec.CHANGED, revision: 1 });
  expect(set(2, { type: 'absent' })).toMatchObject({ status: codec.CONDITION_FAILED, extra: 1 });
  expect(set(2, { type: 'present' })).toMatchObject({ status: codec.CHANGED, revision: 2 });
  const at = (revision: number): Op => ({
    type: 'delete',
    key: 'k',
    condition: { type: 'revision', revision },
  });
  expect(store.one(at(1))).toMatchObject({ status: codec.CONDITION_FAILED, extra: 2 });
  expect(store.one(at(2))).toMatchObject({ status: codec.CHANGED, revision: 3 });
  expect(store.one(at(2))).toMatchObject({ status: codec.CONDITION_FAILED, extra: 0 });
  expect(store.one({ type: 'delete', key: 'k' }).status).toBe(codec.UNCHANGED);
  expect(store.services.kv.revision).toBe(3);
});

test('an atomic batch makes one revision, and none when nothing changed', () => {
  const store = new Store();
  store.one({ type: 'set', key: 'a', value: bytes(1) });
  const batch = store.write(
    [
      { type: 'set', key: 'a', value: bytes(2) },
      { type: 'set', key: 'b', value: bytes(3) },
      { type: 'incr', key: 'n', by: 4 },
      { type: 'delete', key: 'missing' },
    ],
    true,
  );
  expect(batch.outcomes.map((outcome) => outcome.revision)).toEqual([2, 2, 2, undefined]);
  expect(store.item('a')).toEqual({ value: bytes(2), revision: 2, createdRevision: 1 });
  expect(store.item('n')).toEqual({ value: bytes(4), revision: 2, createdRevision: 2 });
  store.write([{ type: 'delete', key: 'missing' }], true);
  expect(store.services.kv.revision).toBe(2);
});

test('an atomic batch in which an incr fails changes nothing, not even the layout', () => {
  const store = new Store();
  for (let n = 0; n < 400; n++) store.one({ type: 'set', key: `k${n}`, value: filled(n) });
  store.one({ type: 'set', key: 'text', value: filled(20) });
  const { digest } = store;
  const image = store.image();
  const used = store.services.usedBytes;
  const ops: Op[] = [];
  for (let n = 0; n < 300; n++) {
    ops.push({ type: 'delete', key: `k${n}` });
    ops.push({ type: 'set', key: `new${n}`, value: filled(3000, n) });
    ops.push({ type: 'set', key: `k${n + 50}`, value: filled(n * 3) });
  }
  const { aborted, outcomes } = store.write([...ops, { type: 'incr', key: 'text', by: 1 }], true);
  expect(aborted).toBe(true);
  expect(outcomes.at(-1)?.status).toBe(codec.WRONG_TYPE);
  expect(outcomes[0]?.status).toBe(codec.NOT_APPLIED);
  expect(store.digest).toBe(digest);
  expect(store.image().equals(image)).toBe(true);
  expect(store.services.usedBytes).toBe(used);
  expect(store.get('k399')).toEqual(filled(399));
  expect(store.get('new0')).toBeUndefined();
  expect(store.write(ops, true).aborted).toBe(false);
  expect(store.get('new299')).toEqual(filled(3000, 299));
});
