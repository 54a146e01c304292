// Images of the services: what they were at certain ops, in pages, whatever is executed later; and services that start from such pages.

import fc from 'fast-check';
import { expect, describe as group, test } from 'vitest';
import type { ListContent } from '../../src/protocol/state-machine.js';
import type { Services, ServicesOptions } from '../../src/service/services.js';
import {
  bytes,
  contentOf,
  describe,
  dice,
  filled,
  type Op,
  randomOp,
  randomRequest,
  Store,
} from './world.js';

const SIZES = [
  { pageBytes: 256, segmentBytes: 64 << 10 },
  { pageBytes: 4096, segmentBytes: 256 << 10 },
];

/** Image `op` as the services give it, in one piece. */
function imageOf(services: Services, op: number): Buffer {
  const count = services.pageCount(op, 0);
  return Buffer.concat(Array.from({ length: count }, (_, page) => services.page(op, 0, page)));
}

function pageOf(image: Buffer, page: number, pageBytes: number): Buffer {
  return image.subarray(page * pageBytes, (page + 1) * pageBytes);
}

/** The content of `image` without the pages that are the same in `known`. */
function differing(image: Buffer, known: Buffer, pageBytes: number): ListContent {
  const { count, pages } = contentOf(image, pageBytes);
  const differs = (page: number): boolean =>
    !pageOf(image, page, pageBytes).equals(pageOf(known, page, pageBytes));
  return { count, pages: new Map([...pages].filter(([page]) => differs(page))) };
}

/** A batch that does much and fails at its end: everything is put back. */
function failingBatch(roll: (n: number) => number): Op[] {
  return [
    ...Array.from({ length: roll(30) }, () => randomOp(roll)),
    { type: 'set', key: 'text', value: bytes(0xa1, 0x61) },
    { type: 'incr', key: 'text', by: 1 },
  ];
}

/** A store with copies of its images, taken when they were made. */
class Album {
  readonly store: Store;
  /** By op, the images there are. */
  readonly copies = new Map<number, Buffer>();
  /** The image frozen last since the beginning or a restore; it may be released. */
  #last: Buffer | undefined;
  #op = 0;
  /** Pages that were certainly the same. */
  unchanged = 0;

  constructor(options: ServicesOptions) {
    this.store = new Store(options);
  }

  freeze(): number {
    const { services } = this.store;
    const { pageBytes } = services;
    const copy = this.store.image();
    const op = ++this.#op;
    services.freeze(op);
    this.copies.set(op, copy);
    for (let page = 0; page < services.pageCount(op, 0); page++) {
      if (services.changed(op, 0, page)) continue;
      this.unchanged++;
      const before = this.#last && pageOf(this.#last, page, pageBytes);
      if (!before?.equals(pageOf(copy, page, pageBytes))) expect.fail(`page ${page} changed`);
    }
    this.#last = copy;
    return op;
  }

  release(which: number): void {
    const op = [...this.copies.keys()][which % this.copies.size];
    if (op === undefined) return;
    this.store.services.release(op);
    this.copies.delete(op);
  }

  /** To what image `to` was, from image `from` and what differs. */
  restore(from: number, to: number): void {
    const images = [...this.copies];
    const [op, known] = images[from % images.length] ?? [null, Buffer.alloc(0)];
    const target = images[to % images.length]?.[1] ?? this.store.image();
    const { services } = this.store;
    services.restore(op, [differing(target, known, services.pageBytes)]);
    expect(this.store.image().equals(target)).toBe(true);
    this.copies.clear();
    this.#last = undefined;
  }

  check(): void {
    for (const [op, copy] of this.copies)
      if (!imageOf(this.store.services, op).equals(copy)) expect.fail(`image ${op} changed`);
  }
}

group.each(SIZES)('pages of $pageBytes bytes', (sizes) => {
  test('heap-restore (CP2): from pages alone, then 10^4 operations beside a store that never stopped', () => {
    for (const storeBytes of [150_000, 8 << 20]) {
      const roll = dice(storeBytes);
      const [store, restored] = [0, 1].map(() => new Store({ ...sizes, storeBytes })) as [
        Store,
        Store,
      ];
      for (let n = 0; n < 300; n++) store.write(...randomRequest(roll, 2000));
      for (let n = 0; n < 30; n++) restored.write(...randomRequest(roll, 50)); // another past
      restored.services.freeze(1);
      for (let n = 0; n < 30; n++) restored.write(...randomRequest(roll, 50));
      restored.restoredFrom(store.image());
      expect(restored.digest).toBe(store.digest);
      let executed = 0;
      for (let op = 2; executed < 10_000; op++) {
        const request = randomRequest(roll, 2000);
        expect(describe(restored.write(...request))).toBe(describe(store.write(...request)));
        executed += request[0].length;
        if (op % 100 !== 0) continue;
        for (const { services } of [store, restored]) {
          services.freeze(op);
          if (op > 100) services.release(op - 100);
        }
        const image = imageOf(store.services, op);
        expect(imageOf(restored.services, op).equals(image)).toBe(true);
      }
      expect(restored.services.usedBytes).toBe(store.services.usedBytes);
      expect(restored.digest).toBe(store.digest);
    }
  });

  test('heap-restore (CP6): from an older image of its own and the pages that differ, again and again', () => {
    const { pageBytes } = sizes;
    const roll = dice(pageBytes);
    const [store, laggard] = [0, 1].map(() => new Store({ ...sizes, storeBytes: 1 << 20 })) as [
      Store,
      Store,
    ];
    let executed = 0;
    let spared = 0;
    for (let op = 3; executed < 10_000; op += 3) {
      for (let n = roll(20); n > 0; n--) {
        const request = randomRequest(roll, 1000);
        expect(describe(laggard.write(...request))).toBe(describe(store.write(...request)));
        executed += request[0].length;
      }
      for (const { services } of [store, laggard]) services.freeze(op);
      const known = imageOf(store.services, op);
      expect(imageOf(laggard.services, op).equals(known)).toBe(true);
      for (let n = roll(10); n > 0; n--) {
        const request = randomRequest(roll, 1000);
        store.write(...request);
        executed += request[0].length;
      }
      // Meanwhile the other one goes its own way, with an image of it.
      for (let n = roll(10); n > 0; n--) laggard.write(...randomRequest(roll, 300));
      laggard.services.freeze(op + 1);
      for (let n = roll(10); n > 0; n--) laggard.write(...randomRequest(roll, 3000));
      const content = differing(store.image(), known, pageBytes);
      spared += content.count - content.pages.size;
      laggard.services.restore(op, [content]);
      expect(laggard.image().equals(store.image())).toBe(true);
      expect(laggard.digest).toBe(store.digest);
      for (const gone of [op, op + 1])
        expect(() => laggard.services.release(gone)).toThrow(`no image ${gone}`);
      store.services.release(op);
    }
    expect(spared).toBeGreaterThan(1000);
    for (let n = 0; n < 300; n++) {
      const request = randomRequest(roll, 1000);
      expect(describe(laggard.write(...request))).toBe(describe(store.write(...request)));
    }
    expect(laggard.image().equals(store.image())).toBe(true);
  });

  test('cow-under-load (CP1): images stay what they were, whatever is written, undone, released or restored', () => {
    let most = 0;
    let unchanged = 0;
    const write = { weight: 6, arbitrary: fc.constant('write' as const) };
    const step = fc.record({
      do: fc.oneof(
        write,
        { weight: 3, arbitrary: fc.constant('freeze' as const) },
        { weight: 1, arbitrary: fc.constant('release' as const) },
        { weight: 2, arbitrary: fc.constantFrom('undone' as const, 'digest' as const) },
        { weight: 1, arbitrary: fc.constant('restore' as const) },
      ),
      seed: fc.nat(1 << 20),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60, size: 'max' }), fc.nat(40_000), (steps, more) => {
        const album = new Album({ ...sizes, storeBytes: (64 << 10) + more });
        for (const one of steps) {
          const roll = dice(one.seed);
          if (one.do === 'write') album.store.write(...randomRequest(roll));
          else if (one.do === 'undone') album.store.write(failingBatch(roll), true);
          else if (one.do === 'freeze') album.freeze();
          else if (one.do === 'release') album.release(one.seed);
          else if (one.do === 'restore') album.restore(roll(9), roll(9));
          else expect(album.store.digest).toBe(album.store.digest);
          most = Math.max(most, album.copies.size);
        }
        album.check();
        unchanged += album.unchanged;
      }),
      { numRuns: 300 },
    );
    expect(most).toBeGreaterThan(4);
    expect(unchanged).toBeGreaterThan(1000);
  }, 60_000);

  test('cow-under-load (CP1): a long run with several images, the oldest, middle and newest released', () => {
    const roll = dice(5);
    const album = new Album({ ...sizes, storeBytes: 2 << 20 });
    for (let turn = 0; turn < 150; turn++) {
      for (let n = roll(8); n > 0; n--) {
        if (roll(4) === 0) album.store.write(failingBatch(roll), true);
        else album.store.write(...randomRequest(roll, 1000));
      }
      if (album.copies.size < 2 || roll(2) === 0) album.freeze();
      if (album.copies.size > 2 + roll(4)) album.release(roll(9));
      if (turn % 5 === 0) album.check();
    }
    album.check();
    expect(album.unchanged).toBeGreaterThan(1000);
  });
});

test('CP2 changed: all pages at first and after a restore; then those that were written since the freeze before', () => {
  const store = new Store();
  const { services } = store;
  const changed = (op: number): number => {
    const count = services.pageCount(op, 0);
    return Array.from({ length: count }, (_, page) => page).filter((page) =>
      services.changed(op, 0, page),
    ).length;
  };
  for (let n = 0; n < 100; n++) store.one({ type: 'set', key: `k${n}`, value: filled(4000, n) });
  services.freeze(1);
  const all = services.pageCount(1, 0);
  expect([all > 95, changed(1)]).toEqual([true, all]);
  services.freeze(2);
  expect(changed(2)).toBe(0);
  store.one({ type: 'incr', key: 'k0', by: 1 }); // no integer: nothing is written
  services.freeze(3);
  expect(changed(3)).toBe(0);
  services.release(3);
  store.one({ type: 'set', key: 'k50', value: filled(3990, 7) });
  services.freeze(4);
  // The root with the revision, and the one or two pages of the record.
  expect([2, 3]).toContain(changed(4));
  expect([changed(2), changed(1)]).toEqual([0, all]);
  services.restore(2, [{ count: all, pages: new Map() }]);
  services.freeze(5);
  expect(changed(5)).toBe(all);
});

test('CP2 the pages of a restore may be views of those of a later image of the same store', () => {
  const store = new Store();
  const { services } = store;
  for (let op = 1; op <= 3; op++) {
    for (let n = 0; n < 30; n++)
      store.one({ type: 'set', key: `k${n * op}`, value: filled(3000, op) });
    services.freeze(op);
  }
  const image = imageOf(services, 3);
  store.one({ type: 'delete', key: 'k0' });
  const count = services.pageCount(3, 0);
  const pages = new Map<number, Uint8Array>();
  for (let page = 0; page < count; page++)
    if (services.changed(3, 0, page) || services.changed(2, 0, page))
      pages.set(page, services.page(3, 0, page));
  expect(pages.size).toBeLessThan(count);
  services.restore(1, [{ count, pages }]);
  expect(store.image().equals(image)).toBe(true);
});

test('CP1 an older image is not charged for pages that came later, when the later image is gone', () => {
  const store = new Store();
  const { services } = store;
  const { heap } = services.kv;
  for (let n = 10; n < 20; n++) store.one({ type: 'set', key: `k${n}`, value: filled(3000, n) });
  services.freeze(1);
  const images: Buffer[] = [store.image()];
  const first = heap.pageCount();
  for (let n = 0; n < 4; n++) store.one({ type: 'set', key: `k${n}`, value: filled(4000, n) });
  services.freeze(2);
  services.release(2);
  // The first page behind image 1 and all others are written for the first time since a freeze.
  for (let n = 0; n < 4; n++) store.one({ type: 'set', key: `k${n}`, value: filled(4000, n + 9) });
  expect(heap.pageCount()).toBeGreaterThan(first);
  expect(imageOf(services, 1).equals(images[0] as Buffer)).toBe(true);
  services.release(1);
  for (let op = 3; op < 5; op++) {
    services.freeze(op);
    images.push(store.image());
    expect(imageOf(services, op).equals(images.at(-1) as Buffer)).toBe(true);
  }
});

test('an image is of whole operations: neither freeze nor restore while an undo is open', () => {
  const { services } = new Store();
  const { heap } = services.kv;
  services.freeze(1);
  const content = [{ count: services.pageCount(1, 0), pages: new Map() }];
  heap.beginUndo();
  expect(() => services.freeze(2)).toThrow(/undo is open/);
  expect(() => services.restore(1, content)).toThrow(/undo is open/);
  heap.endUndo();
  services.restore(1, content);
});

test('memory of copies is used again, and given up when images need less of it', () => {
  const store = new Store({ storeBytes: 64 << 20, segmentBytes: 2 << 20 });
  const { images } = store.services.kv.heap;
  const MIB = 1 << 20;
  const value = filled(MIB);
  const memories = new Set<unknown>();
  const round = (op: number, large: number): void => {
    store.services.freeze(op);
    for (let n = 0; n < large; n++) store.one({ type: 'set', key: `k${n}`, value });
    for (let page = 0; page < store.services.pageCount(op, 0); page += 16)
      memories.add(store.services.page(op, 0, page).buffer);
    if (op > 2) store.services.release(op - 2);
  };
  round(1, 20);
  expect(images.bytes).toBeLessThan(MIB + 1); // pages that came after the freeze need no copy
  for (let op = 2; op < 30; op++) round(op, 20);
  // Two images with 20 MiB each, and what the one had that went.
  expect(images.bytes).toBeGreaterThanOrEqual(40 * MIB);
  expect(images.bytes).toBeLessThanOrEqual(64 * MIB);
  // Of 29 images, beside the 16 segments of the heap: nothing was dropped and made anew.
  expect(memories.size).toBeLessThanOrEqual(64 + 16);
  for (let op = 30; op < 40; op++) round(op, 1);
  expect(images.bytes).toBeLessThanOrEqual(9 * MIB);
  store.services.freeze(40);
  store.services.restore(40, [{ count: store.services.pageCount(40, 0), pages: new Map() }]);
  expect(images.bytes).toBeLessThanOrEqual(5 * MIB);
});

test('memory of copies stays bounded while one image is kept and hundreds of later ones come and go', () => {
  const store = new Store();
  const roll = dice(9);
  for (let n = 0; n < 500; n++) store.one({ type: 'set', key: `k${n}`, value: filled(1000, n) });
  store.services.freeze(1);
  const copy = store.image();
  for (let op = 2; op < 300; op++) {
    store.services.freeze(op);
    for (let n = 0; n < 20; n++)
      store.one({ type: 'set', key: `k${roll(500)}`, value: filled(1000, op) });
    if (op > 2) store.services.release(op - 1);
  }
  // Twice the pages of the first image at most, in slabs of 256 KiB.
  expect(store.services.kv.heap.images.bytes).toBeLessThan(2 * copy.length + (512 << 10));
  expect(imageOf(store.services, 1).equals(copy)).toBe(true);
});

test('CP2 content that cannot be the pages of a store is refused, and nothing is changed', () => {
  const store = new Store({ storeBytes: 1 << 20 });
  const { services } = store;
  for (let n = 0; n < 50; n++) store.one({ type: 'set', key: `k${n}`, value: filled(1000, n) });
  const image = store.image();
  services.freeze(1);
  for (let n = 0; n < 60; n++) store.one({ type: 'set', key: `k${n}`, value: filled(1000, 9) });
  const { digest } = store;
  const { count, pages } = contentOf(image, 4096);
  const root = (word: number, value: number): Map<number, Uint8Array> => {
    const page = Buffer.from(image.subarray(0, 4096));
    page.writeInt32LE(value, word * 4);
    return new Map(pages).set(0, page);
  };
  const without = new Map([...pages].filter(([page]) => page !== 7));
  const none = new Map<number, Uint8Array>();
  const refused: [RegExp, number | null, ListContent][] = [
    [/page 3 has 100 bytes/, null, { count, pages: new Map(pages).set(3, filled(100)) }],
    [/page 3 has 100 bytes/, 1, { count, pages: new Map([[3, filled(100)]]) }],
    [/page 99 of/, 1, { count, pages: new Map([[99, filled(4096)]]) }],
    [/page -1 of/, 1, { count, pages: new Map([[-1, filled(4096)]]) }],
    [/page 0.5 of/, 1, { count, pages: new Map([[0.5, filled(4096)]]) }],
    [/make no/, null, { count, pages: without }],
    [/make no/, 1, { count: count + 1, pages: none }],
    [/at least one page/, null, { count: 0, pages: none }],
    [/not a root/, null, { count, pages: root(0, 1) }],
    [/not a root/, 1, { count, pages: new Map([[0, filled(4096)]]) }],
    [/beyond the limit/, null, { count, pages: root(1, 1 << 20) }],
    [/pages of/, null, { count, pages: root(1, 5 << 8) }],
    [/pages of/, 1, { count: count - 1, pages: none }],
    [/no image 2/, 2, { count, pages }],
  ];
  for (const [reason, from, content] of refused) {
    expect(() => services.restore(from, [content])).toThrow(reason);
    expect(store.digest).toBe(digest);
    expect(imageOf(services, 1).equals(image)).toBe(true);
  }
  for (const lists of [
    [],
    [
      { count, pages },
      { count, pages },
    ],
  ])
    expect(() => services.restore(null, lists)).toThrow(/lists of 1/);
  services.restore(1, [{ count, pages: none }]);
  expect(store.image().equals(image)).toBe(true);
});

test('images and lists that do not exist are refused', () => {
  const { services } = new Store();
  expect(() => services.release(1)).toThrow(/no image 1/);
  services.freeze(5);
  expect(() => services.freeze(5)).toThrow(/image 5/);
  expect(() => services.freeze(4)).toThrow(/image 4/);
  const count = services.pageCount(5, 0);
  expect(() => services.page(5, 0, count)).toThrow(/no page/);
  expect(() => services.changed(5, 0, count)).toThrow(/no page/);
  expect(() => services.page(5, 1, 0)).toThrow(/no list 1/);
  expect(() => services.pageCount(5, -1)).toThrow(/no list -1/);
  expect(() => services.changed(6, 0, 0)).toThrow(/no image 6/);
  expect(services.lists).toBe(1);
});
