import fc from 'fast-check';
import { expect, test } from 'vitest';
import * as codec from '../../src/service/operation.js';
import { STORE_BYTES_MIN } from '../../src/service/paged-heap.js';
import {
  bytes,
  describe,
  dice,
  filled,
  Model,
  type Op,
  type Outcome,
  randomRequest,
  Store,
  text,
} from './world.js';

test('CP2 what a store held before it was restored leaves no trace', () => {
  const roll = dice(21);
  const store = new Store();
  for (let n = 0; n < 20; n++) store.write(...randomRequest(roll));
  const restored = new Store();
  for (let n = 0; n < 300; n++) restored.write(...randomRequest(roll, 3000));
  restored.restoredFrom(store.image());
  for (let n = 0; n < 300; n++) {
    const request = randomRequest(roll, 3000);
    expect(describe(restored.write(...request))).toBe(describe(store.write(...request)));
  }
  expect(restored.image().equals(store.image())).toBe(true);
});

test('CP2 every page that changes is touched first: the digest kept up page by page is that of the bytes', () => {
  for (const pageBytes of [256, 4096]) {
    const roll = dice(pageBytes);
    const options = { storeBytes: 2 << 20, segmentBytes: 256 << 10, pageBytes };
    const store = new Store(options);
    for (let n = 0; n < 400; n++) {
      store.write(...randomRequest(roll, 1500));
      const { digest } = store;
      if (n % 10 === 0) expect(new Store(options).restoredFrom(store.image()).digest).toBe(digest);
    }
  }
});

test('DT6 store-limit: a full store refuses, changes nothing, and takes again what deletes gave back', () => {
  const storeBytes = 1 << 20;
  const store = new Store({ storeBytes, segmentBytes: 256 << 10 });
  let stored = 0;
  let outcome: Outcome;
  do {
    outcome = store.one({ type: 'set', key: `k${stored}`, value: filled(1000, stored) });
    stored++;
  } while (outcome.status === codec.CHANGED);
  stored--;
  expect(outcome).toEqual({ status: codec.STORE_FULL, revision: undefined, extra: undefined });
  expect(stored).toBeGreaterThan(900);
  expect(store.services.usedBytes).toBeLessThanOrEqual(storeBytes);
  expect(store.image().length).toBeLessThanOrEqual(storeBytes);
  const { digest } = store;
  const image = store.image();
  expect(
    store.one({ type: 'cas', key: 'new', expected: undefined, value: filled(5000) }).status,
  ).toBe(codec.STORE_FULL);
  expect(store.one({ type: 'set', key: 'k0', value: filled(1 << 20) }).status).toBe(
    codec.STORE_FULL,
  );
  const batch = store.write(
    [
      { type: 'delete', key: 'k1' },
      { type: 'set', key: 'k2', value: filled(1000, 99) },
      { type: 'set', key: 'new', value: filled(300_000) },
    ],
    true,
  );
  expect(batch.aborted).toBe(true);
  expect(batch.outcomes.map((o) => o.status)).toEqual([
    codec.NOT_APPLIED,
    codec.NOT_APPLIED,
    codec.STORE_FULL,
  ]);
  expect(store.digest).toBe(digest);
  expect(store.image().equals(image)).toBe(true);
  // Same size in place, reads and deletes go on.
  expect(store.one({ type: 'set', key: 'k3', value: filled(1000, 4) }).status).toBe(codec.CHANGED);
  expect(text(store.get(`k${stored - 1}`) ?? bytes())).toBe(text(filled(1000, stored - 1)));
  for (let n = 0; n < 400; n++)
    expect(store.one({ type: 'delete', key: `k${n}` }).status).toBe(codec.CHANGED);
  // Four hundred small neighbours make room for a few large values.
  for (let n = 0; n < 5; n++) {
    const set = store.one({ type: 'set', key: `large${n}`, value: filled(60_000, n) });
    expect(set.status).toBe(codec.CHANGED);
  }
  for (let n = 0; n < 5; n++)
    expect(text(store.get(`large${n}`) ?? bytes())).toBe(text(filled(60_000, n)));
});

test('DT6 store-limit: a table without room to grow still finds every key', () => {
  // Different limits, so that some end where the table wants its next piece.
  for (let storeBytes = 100_000; storeBytes < 110_000; storeBytes += 1000) {
    const store = new Store({ storeBytes, segmentBytes: 64 << 10 });
    const missing = (keys: number): number[] =>
      [...Array(keys).keys()].filter((n) => store.get(`k${n}`) === undefined);
    let keys = 0;
    while (store.one({ type: 'set', key: `k${keys}`, value: bytes() }).status === codec.CHANGED)
      keys++;
    expect(keys).toBeGreaterThan(1500);
    expect(missing(keys)).toEqual([]);
    for (let n = 0; n < keys; n += 2) store.one({ type: 'delete', key: `k${n}` });
    expect(missing(keys)).toEqual([...Array(keys).keys()].filter((n) => n % 2 === 0));
    for (let n = 0; n < keys; n += 2)
      if (store.one({ type: 'set', key: `k${n}`, value: bytes() }).status !== codec.CHANGED)
        expect.fail(`no room for k${n} again`);
    expect(missing(keys)).toEqual([]);
  }
});

test('DT6 a batch that shrinks and grows the table, and then fails, leaves it as it was', () => {
  const stores = [new Store(), new Store()] as const;
  for (const store of stores)
    for (let n = 0; n < 5000; n++) store.one({ type: 'set', key: `k${n}`, value: filled(40, n) });
  const ops: Op[] = [];
  for (let n = 0; n < 4900; n++) ops.push({ type: 'delete', key: `k${n}` });
  for (let n = 0; n < 6000; n++) ops.push({ type: 'set', key: `new${n}`, value: filled(100, n) });
  const image = stores[0].image();
  const failing: Op = { type: 'incr', key: 'new0', by: 1 };
  expect(stores[0].write([...ops, failing], true).aborted).toBe(true);
  expect(stores[0].image().equals(image)).toBe(true);
  for (let n = 0; n < 5000; n++)
    if (text(stores[0].get(`k${n}`) ?? bytes()) !== text(filled(40, n))) expect.fail(`k${n}`);
  for (const store of stores) store.write(ops, true);
  expect(stores[0].image().equals(stores[1].image())).toBe(true);
  for (let n = 0; n < 6000; n++)
    if (text(stores[0].get(`new${n}`) ?? bytes()) !== text(filled(100, n))) expect.fail(`new${n}`);
});

test('DT6 store-limit: whatever happens near the limit, what is refused changes nothing', () => {
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const roll = dice(seed);
      const options = { storeBytes: STORE_BYTES_MIN + roll(20_000), segmentBytes: 64 << 10 };
      const store = new Store(options);
      const twin = new Store(options);
      const model = new Model();
      for (let n = 0; n < 20; n++) {
        const [ops, atomic] = randomRequest(roll);
        const parts = atomic ? [ops] : ops.map((op) => [op]);
        for (const part of parts) {
          const { digest } = store;
          const got = store.write(part, atomic);
          const full = got.outcomes.some((outcome) => outcome.status === codec.STORE_FULL);
          if ((full || got.aborted) && store.digest !== digest)
            expect.fail('a refusal left traces');
          if (!full) {
            const want = describe(model.write(part, atomic));
            if (describe(got) !== want) expect(describe(got)).toBe(want);
          }
        }
        twin.write(ops, atomic);
      }
      expect(store.image().equals(twin.image())).toBe(true);
      expect(store.services.kv.keys).toBe(model.items.size);
      for (const [name, item] of model.items)
        expect(text(store.get(name) ?? bytes())).toBe(text(item.value));
      for (const name of model.items.keys())
        expect(store.one({ type: 'delete', key: name }).status).toBe(codec.CHANGED);
      expect(store.services.usedBytes).toBe(new Store(options).services.usedBytes);
    }),
    { numRuns: 1000 },
  );
}, 120_000);

test('freed space is used again: churn of sizes over and over does not make the store grow', () => {
  const store = new Store({ storeBytes: 64 << 20 });
  const roll = dice(3);
  const round = () => {
    for (let n = 0; n < 8000; n++) {
      const key = `k${roll(2000)}`;
      const length = roll(50) === 0 ? roll(30_000) : roll(600);
      if (roll(3) === 0) store.one({ type: 'delete', key });
      else store.one({ type: 'set', key, value: filled(length, n) });
    }
  };
  for (let warm = 0; warm < 3; warm++) round();
  const after3 = store.services.kv.heap.pageCount();
  for (let more = 0; more < 8; more++) round();
  expect(store.services.kv.heap.pageCount()).toBeLessThan(after3 * 1.25);
});

test('freed space is used again: small values that went leave room for large ones, and the other way round', () => {
  const store = new Store({ storeBytes: 4 << 20, segmentBytes: 2 << 20 });
  for (let turn = 0; turn < 3; turn++) {
    for (let n = 0; n < 10_000; n++)
      expect(store.one({ type: 'set', key: `s${n}`, value: filled(200) }).status).toBe(
        codec.CHANGED,
      );
    for (let n = 0; n < 10_000; n++) store.one({ type: 'delete', key: `s${n}` });
    for (let n = 0; n < 2; n++)
      expect(store.one({ type: 'set', key: `l${n}`, value: filled(1 << 20) }).status).toBe(
        codec.CHANGED,
      );
    for (let n = 0; n < 2; n++) store.one({ type: 'delete', key: `l${n}` });
  }
});

test('govr-11 one key overwritten five hundred times: equal digests, and no growth', () => {
  const stores = [new Store(), new Store()];
  for (const store of stores)
    for (let n = 0; n < 500; n++)
      store.one({ type: 'set', key: 'the one', value: filled((n * 37) % 900, n) });
  expect(stores[0]?.digest).toBe(stores[1]?.digest);
  expect(stores[0]?.image().equals(stores[1]?.image() as Buffer)).toBe(true);
  expect(stores[0]?.services.kv.heap.pageCount()).toBeLessThanOrEqual(4);
  expect(stores[0]?.services.kv.revision).toBe(500);
});

test('values of 1 MiB, through several segments, and back', () => {
  const store = new Store({ storeBytes: 64 << 20, segmentBytes: 2 << 20 });
  const value = filled(codec.VALUE_BYTES_MAX);
  for (let n = 0; n < 20; n++) {
    value[5] = n;
    expect(store.one({ type: 'set', key: `${n}`.padStart(1024, '0'), value }).status).toBe(
      codec.CHANGED,
    );
  }
  for (let n = 0; n < 20; n++) {
    value[5] = n;
    expect(text(store.get(`${n}`.padStart(1024, '0')) ?? bytes())).toBe(text(value));
  }
  const restored = new Store({ storeBytes: 64 << 20, segmentBytes: 2 << 20 });
  expect(restored.restoredFrom(store.image()).digest).toBe(store.digest);
  for (let n = 0; n < 20; n++) store.one({ type: 'delete', key: `${n}`.padStart(1024, '0') });
  expect(store.services.usedBytes).toBe(new Store().services.usedBytes);
});

test('an idle store is a few pages', () => {
  expect(
    new Store({ storeBytes: 2 ** 30, segmentBytes: 16 << 20 }).services.kv.heap.pageCount(),
  ).toBe(3);
});

test('sizes that are none are refused', () => {
  for (const storeBytes of [0, -1, 1.5, STORE_BYTES_MIN - 1, 2 ** 40, Number.NaN])
    expect(() => new Store({ storeBytes })).toThrow(/storeBytes/);
  expect(() => new Store({ pageBytes: 5000 })).toThrow(/pageBytes 5000/);
  expect(() => new Store({ segmentBytes: 100_000 })).toThrow(/segmentBytes 100000/);
});
