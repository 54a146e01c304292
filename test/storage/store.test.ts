import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Entry } from '../../src/protocol/message.js';
import { loadStore } from '../../src/storage/load.js';
import type { CheckpointRecord, StoredMeta } from '../../src/storage/records.js';
import {
  afterKill,
  contentOf,
  entriesFrom,
  entryAt,
  freshFiles,
  frontAt,
  PAGE_BYTES,
  recordAt,
  Store,
} from './kit.js';

function pagesOf(indices: readonly number[], byte: number): Map<number, Uint8Array> {
  return new Map(indices.map((index) => [index, new Uint8Array(PAGE_BYTES).fill(byte + index)]));
}

function metaOf(store: Store, change: Partial<StoredMeta>): StoredMeta {
  return { ...afterKill(store.files).meta, ...change };
}

test('P8a: entries come back byte for byte, the longest too', () => {
  const store = new Store(freshFiles());
  const entries = [entryAt(1), entryAt(2, 1, 0), entryAt(3, 2, 70_000), entryAt(4, 2, 2000)];
  store.append(entries.slice(0, 2), 0);
  store.append(entries.slice(2), 2);
  const state = afterKill(store.files);
  expect([...state.entries()]).toEqual(entries);
  expect([...state.entries(4)]).toEqual(entries.slice(3));
  expect(state.meta).toMatchObject({ head: 4, commit: 2 });
  store.close();
});

test('a commit number beyond what is in the store is recorded only as far as the store goes', () => {
  const store = new Store(freshFiles());
  store.append(entriesFrom(1, 3), 9);
  expect(afterKill(store.files).meta.commit).toBe(3);
  store.append([], 2);
  expect(afterKill(store.files).meta.commit).toBe(3);
  store.close();
});

test('P8b: a switch replaces what is above its base together with the meta', () => {
  const store = new Store(freshFiles());
  store.append(entriesFrom(1, 10), 4);
  const meta = metaOf(store, {
    lastNormal: { epoch: 0, view: 7 },
    viewStartOp: 8,
    primaryStart: 3,
    commit: 6,
    head: 8,
  });
  store.switchTo({ meta, base: 6, entries: entriesFrom(7, 8, 7), checkpoint: null });
  const state = afterKill(store.files);
  expect(state.meta).toEqual(meta);
  expect([...state.entries()]).toEqual([...entriesFrom(1, 6), ...entriesFrom(7, 8, 7)]);
  store.append(entriesFrom(9, 12, 7), 8);
  expect(afterKill(store.files).meta.head).toBe(12);
  store.close();
});

test('P8b: a switch that is cut off changes nothing, wherever it is cut off', () => {
  const store = new Store(freshFiles());
  store.append(entriesFrom(1, 10), 4);
  store.putPages(4, 0, pagesOf([0], 5));
  const before = contentOf(afterKill(store.files));
  const meta = metaOf(store, { lastNormal: { epoch: 0, view: 7 }, head: 12 });
  const change = {
    meta,
    base: 6,
    entries: entriesFrom(7, 12, 7),
    checkpoint: recordAt(4, [1]),
  };
  for (let stopAt = 0; stopAt <= 6; stopAt++) {
    expect(() => store.switchTo(change, stopAt)).toThrow('stopped');
    expect(contentOf(afterKill(store.files))).toEqual(before);
  }
  store.switchTo(change);
  expect(afterKill(store.files).meta).toEqual(meta);
  store.append(entriesFrom(13, 13, 7), 12);
  expect(afterKill(store.files).meta.head).toBe(13);
  store.close();
});

test('a switch adopts a checkpoint far ahead, and the old log goes with it', () => {
  const store = new Store(freshFiles());
  store.append(entriesFrom(1, 10), 4);
  store.putPages(1000, 0, pagesOf([0, 1, 2], 9));
  const { logStart, baseChain, baseTs } = frontAt(1001);
  const meta = metaOf(store, { logStart, baseChain, baseTs, head: 1003, commit: 1000 });
  const entries = entriesFrom(1001, 1003, 5);
  store.switchTo({ meta, base: 1000, entries, checkpoint: recordAt(1000, [3]) });
  const state = afterKill(store.files);
  expect(contentOf(state)).toMatchObject({ meta, checkpoint: recordAt(1000, [3]) });
  expect([...state.entries()]).toEqual(entries);
  expect(store.writer.hasGarbage).toBe(false);
  store.close();
});

test('W4: a switch may bring a log that begins lower', () => {
  const store = new Store(freshFiles());
  store.append(entriesFrom(1, 30), 20);
  store.collect(frontAt(15));
  store.sweepAll();
  const { logStart, baseChain, baseTs } = frontAt(5);
  const meta = metaOf(store, { logStart, baseChain, baseTs, head: 40, commit: 30 });
  store.switchTo({ meta, base: 4, entries: entriesFrom(5, 40), checkpoint: null });
  expect([...afterKill(store.files).entries()]).toEqual(entriesFrom(5, 40));
  store.close();
});

test('P8d: until a checkpoint is finished the one before is whole, with pages of the next beside it', () => {
  const store = new Store(freshFiles());
  store.append(entriesFrom(1, 50), 50);
  store.putPages(20, 0, pagesOf([0, 1, 2, 3], 10));
  store.putPages(20, 1, pagesOf([0], 99));
  expect(afterKill(store.files).checkpoint).toBeNull();
  store.finishCheckpoint(recordAt(20, [4, 1]));
  const whole = contentOf(afterKill(store.files));
  store.putPages(40, 0, pagesOf([1, 4], 60));
  expect(contentOf(afterKill(store.files))).toEqual(whole);
  store.finishCheckpoint(recordAt(40, [5, 1]));
  const next = afterKill(store.files);
  const bytes = (list: number, index: number) => next.page(list, index)[0];
  expect([0, 1, 2, 3, 4].map((index) => bytes(0, index))).toEqual([10, 61, 12, 13, 64]);
  expect(bytes(1, 0)).toBe(99);
  store.close();
});

test('superseded pages and those of a list that shrank are deleted, in slices', () => {
  const store = new Store(freshFiles());
  store.append(entriesFrom(1, 90), 90);
  store.putPages(10, 0, pagesOf([0, 1, 2, 3, 4, 5, 6, 7], 10));
  store.finishCheckpoint(recordAt(10, [8]));
  const used = store.writer.usedBytes;
  store.putPages(20, 0, pagesOf([0, 1, 2], 20));
  store.finishCheckpoint(recordAt(20, [6]));
  expect(store.writer.usedBytes).toBeGreaterThan(used);
  expect(store.writer.hasGarbage).toBe(true);
  store.writer.sweep(2);
  expect(afterKill(store.files).page(0, 1)[0]).toBe(21);
  store.sweepAll();
  expect(store.writer.usedBytes).toBeLessThan(used);
  // The list grows again: what it had there long ago must not come back.
  store.putPages(30, 0, pagesOf([6], 30));
  store.finishCheckpoint(recordAt(30, [7]));
  expect([0, 3, 6].map((index) => afterKill(store.files).page(0, index)[0])).toEqual([20, 13, 36]);
  store.close();
});

test('pages of a checkpoint that is given up never pass for pages of a later one', () => {
  const store = new Store(freshFiles());
  store.append(entriesFrom(1, 90), 90);
  store.putPages(10, 0, pagesOf([0, 1], 10));
  store.finishCheckpoint(recordAt(10, [2]));
  store.putPages(20, 0, pagesOf([0], 20));
  store.putPages(30, 0, pagesOf([1], 30));
  store.finishCheckpoint(recordAt(30, [2]));
  expect([0, 1].map((index) => afterKill(store.files).page(0, index)[0])).toEqual([10, 31]);
  // The same through a restart.
  store.putPages(40, 0, pagesOf([0], 40));
  store.close();
  const next = new Store(store.files);
  next.putPages(50, 0, pagesOf([1], 50));
  next.finishCheckpoint(recordAt(50, [2]));
  expect([0, 1].map((index) => afterKill(next.files).page(0, index)[0])).toEqual([10, 51]);
  next.close();
});

test('P8e: the front of the log counts at once, its entries go in slices', () => {
  const store = new Store(freshFiles());
  store.append(entriesFrom(1, 300), 300);
  const used = store.writer.usedBytes;
  store.collect(frontAt(280));
  const state = afterKill(store.files);
  expect(state.meta).toMatchObject({ ...frontAt(280), head: 300 });
  expect([...state.entries()]).toEqual(entriesFrom(280, 300));
  expect(store.writer.hasGarbage).toBe(true);
  store.writer.sweep(10);
  expect([...afterKill(store.files).entries()]).toEqual(entriesFrom(280, 300));
  // A restart finds what is left to delete.
  store.close();
  const next = new Store(store.files);
  expect(next.writer.hasGarbage).toBe(true);
  next.sweepAll();
  expect(next.writer.usedBytes).toBeLessThan(used / 10);
  expect([...afterKill(next.files).entries()]).toEqual(entriesFrom(280, 300));
  next.collect(frontAt(301));
  next.sweepAll();
  expect([...afterKill(next.files).entries()]).toEqual([]);
  next.append(entriesFrom(301, 302), 301);
  expect([...afterKill(next.files).entries()]).toEqual(entriesFrom(301, 302));
  next.close();
});

test('P3: what is reset holds no state until a switch', () => {
  const store = new Store(freshFiles());
  const { meta } = afterKill(store.files);
  store.append(entriesFrom(1, 10), 4);
  store.writer.reset();
  expect(() => afterKill(store.files)).toThrow('no state');
  expect(() => store.append(entriesFrom(1, 1), 0)).toThrow('no state');
  store.close();
  const next = new Store(store.files);
  expect(() => afterKill(next.files)).toThrow('no state');
  next.switchTo({
    meta: { ...meta, head: 2 },
    base: 0,
    entries: entriesFrom(1, 2),
    checkpoint: null,
  });
  expect([...afterKill(next.files).entries()]).toEqual(entriesFrom(1, 2));
  next.close();
});

test('mode none: commits are there after a kill, and flushed by a clean end', () => {
  const store = new Store(freshFiles(), 'none');
  store.append(entriesFrom(1, 10), 4);
  expect(afterKill(store.files).meta.head).toBe(10);
  store.close();
  const next = new Store(store.files, 'batch');
  next.append(entriesFrom(11, 12), 4);
  expect(afterKill(next.files).meta.head).toBe(12);
  next.close();
});

interface Model {
  meta: StoredMeta;
  log: Map<number, Entry>;
  checkpoint: CheckpointRecord | null;
  /** Of the newest finished checkpoint: one list. */
  pages: number[];
}

const number = fc.nat({ max: 1_000_000 });
const step = fc.record({
  kind: fc.constantFrom(
    'append',
    'append',
    'switch',
    'checkpoint',
    'stray',
    'collect',
    'sweep',
    'restart',
  ),
  a: number,
  b: number,
});

test('P1: after every transaction the file shows the state of that instant, whole', () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 5, maxLength: 60 }), (steps) => {
      let store = new Store(freshFiles());
      const model: Model = {
        meta: afterKill(store.files).meta,
        log: new Map(),
        checkpoint: null,
        pages: [],
      };
      let view = 1;
      const check = () => {
        const state = afterKill(store.files);
        expect(state.meta).toEqual(model.meta);
        expect(state.checkpoint).toEqual(model.checkpoint);
        const { logStart, head } = model.meta;
        let op = logStart;
        for (const entry of state.entries()) expect(entry).toEqual(model.log.get(op++));
        expect(op).toBe(head + 1);
        for (const [index, byte] of model.pages.entries())
          expect(state.page(0, index)[0]).toBe(byte);
        state.close();
      };
      for (const { kind, a, b } of steps) {
        const { head, logStart, commit } = model.meta;
        const cpOp = model.checkpoint?.op ?? 0;
        switch (kind) {
          case 'append': {
            const entries = entriesFrom(head + 1, head + 1 + (a % 8), view, b % 4500);
            for (const entry of entries) model.log.set(entry.op, entry);
            const to = head + 1 + (a % 8);
            model.meta = { ...model.meta, head: to, commit: Math.max(commit, to - (b % 9)) };
            store.append(entries, to - (b % 9));
            break;
          }
          case 'switch': {
            view++;
            const base = Math.max(head - (a % 10), cpOp, logStart - 1, commit);
            const to = base + (b % 12);
            const entries = entriesFrom(base + 1, to, view);
            for (const entry of entries) model.log.set(entry.op, entry);
            model.meta = { ...model.meta, lastNormal: { epoch: 0, view }, head: to };
            store.switchTo({ meta: model.meta, base, entries, checkpoint: null });
            break;
          }
          case 'checkpoint': {
            if (head === cpOp) continue;
            const count = 1 + (a % 12);
            const byte = b % 200;
            const changed = new Map<number, Uint8Array>();
            const pages = model.pages.slice(0, count);
            for (let index = 0; index < count; index++)
              if (index >= model.pages.length || (index + b) % 3 === 0) {
                pages[index] = (byte + index) & 255;
                changed.set(index, new Uint8Array(PAGE_BYTES).fill(byte + index));
              }
            store.putPages(head, 0, changed);
            check();
            model.pages = pages;
            model.checkpoint = recordAt(head, [count]);
            store.finishCheckpoint(model.checkpoint);
            break;
          }
          case 'stray':
            store.putPages(head + 1 + (a % 3), 0, pagesOf([b % 12], 250));
            break;
          case 'collect': {
            const front = frontAt(logStart + (a % (head + 2 - logStart)));
            if (front.logStart > logStart) model.meta = { ...model.meta, ...front };
            store.collect(front);
            break;
          }
          case 'sweep':
            store.writer.sweep(1 + (a % 5));
            break;
          case 'restart':
            store.close();
            store = new Store(store.files);
            break;
        }
        check();
      }
      store.close();
    }),
    { numRuns: 15 },
  );
}, 120_000);

test('a store that was written by nobody is damaged, not empty', () => {
  const files = freshFiles();
  expect(loadStore({ ...files, store: `${files.store}-none` })).toMatchObject({ kind: 'damaged' });
});
