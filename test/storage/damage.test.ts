import { copyFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { Environment } from '../../src/storage/environment.js';
import type { ReplicaFiles } from '../../src/storage/files.js';
import { inspectDirectory } from '../../src/storage/inspect.js';
import { loadStore } from '../../src/storage/load.js';
import { encodeMeta, META_KEY, seal, UNFLUSHED_KEY } from '../../src/storage/records.js';
import { StoreWriter } from '../../src/storage/store-writer.js';
import {
  contentOf,
  entriesFrom,
  freshFiles,
  frontAt,
  guard,
  PAGE_BYTES,
  recordAt,
  Store,
  temporaryPath,
} from './kit.js';

/** A store with long and short entries, two checkpoints and freed pages, closed. */
function example(path = temporaryPath()): ReplicaFiles {
  const store = new Store(freshFiles(path));
  for (let op = 1; op <= 60; op += 5)
    store.append(entriesFrom(op, op + 4, 1, op % 3 === 0 ? 9000 : 200), op);
  const page = (byte: number) => new Uint8Array(PAGE_BYTES).fill(byte);
  store.putPages(30, 0, new Map(Array.from({ length: 12 }, (_, index) => [index, page(index)])));
  store.finishCheckpoint(recordAt(30, [12]));
  store.putPages(50, 0, new Map([[3, page(99)]]));
  store.finishCheckpoint(recordAt(50, [11]));
  store.collect(frontAt(31));
  store.sweepAll();
  store.close();
  return store.files;
}

/** @returns the content as text, or null when it is damaged. */
function load(files: ReplicaFiles): string | null {
  const result = loadStore(files);
  if (result.kind === 'damaged') {
    expect(result.why).not.toBe('');
    return null;
  }
  const content = JSON.stringify(contentOf(result.state));
  result.state.close();
  return content;
}

function openWriter(files: ReplicaFiles): StoreWriter {
  return new StoreWriter({ files, mode: 'batch', guard });
}

test('P3: a flipped bit in the heads of the file never shows another state', () => {
  const files = example();
  const good = readFileSync(files.store);
  const content = load(files);
  let refused = 0;
  // Every bit of the two numbers of transactions and of the main roots, and one bit of every other byte.
  const bits: [number, number][] = [];
  for (let byte = 0; byte < 168; byte++)
    for (let bit = 0; bit < 8; bit++) if (byte >= 112 || bit === byte % 8) bits.push([byte, bit]);
  for (const [byte, bit] of bits.flatMap(([at, bit]) => [
    [24 + at, bit] as const,
    [4120 + at, bit] as const,
  ])) {
    const bytes = Buffer.from(good);
    bytes[byte] = (bytes[byte] as number) ^ (1 << bit);
    writeFileSync(files.store, bytes);
    const shown = load(files);
    if (shown === null) refused++;
    else expect(shown).toBe(content);
  }
  expect(refused).toBeGreaterThan(300);
}, 60_000);

test('P3: a flipped bit anywhere never shows another state', () => {
  const files = example();
  const good = readFileSync(files.store);
  const content = load(files);
  let refused = 0;
  for (let round = 0; round < 400; round++) {
    const bytes = Buffer.from(good);
    const at = Math.floor((round * 0.618034 * good.length) % good.length);
    bytes[at] = (bytes[at] as number) ^ (1 << (round % 8));
    writeFileSync(files.store, bytes);
    const shown = load(files);
    if (shown === null) refused++;
    else expect(shown).toBe(content);
  }
  expect(refused).toBeGreaterThan(30);
}, 60_000);

test('P3: a file cut off anywhere is damaged, and nobody crashes over it', () => {
  const files = example();
  const good = readFileSync(files.store);
  for (let end = 0; end < good.length - 8192; end += 1700) {
    writeFileSync(files.store, good.subarray(0, end));
    expect(load(files)).toBeNull();
    const writer = openWriter(files);
    expect(writer.damage).not.toBeNull();
    writer.close();
  }
  rmSync(files.store);
  expect(load(files)).toBeNull();
  const writer = openWriter(files);
  expect(writer.damage).toContain('ENOENT');
  writer.reset();
  expect(writer.damage).toBeNull();
  writer.close();
});

test('P3: an older file put back in its place is damaged', () => {
  const files = freshFiles();
  const store = new Store(files);
  store.append(entriesFrom(1, 5), 5);
  copyFileSync(files.store, `${files.store}-old`);
  store.append(entriesFrom(6, 7), 5);
  store.close();
  copyFileSync(`${files.store}-old`, files.store);
  expect(loadStore(files)).toMatchObject({
    kind: 'damaged',
    why: expect.stringContaining('once had'),
  });
});

test('P1: writes that nobody flushed are not trusted after another boot', () => {
  const files = freshFiles();
  const note = (boot: string) => {
    const environment = new Environment(files.store, 'large', guard);
    const value = Buffer.concat([Buffer.alloc(4), Buffer.from(boot)]);
    const { meta } = loaded(files);
    environment.commit((txnid) => {
      environment.put(UNFLUSHED_KEY, seal(UNFLUSHED_KEY, value));
      environment.put(META_KEY, encodeMeta(meta, txnid));
    });
    environment.close();
  };
  note('another boot');
  const why = expect.stringContaining('not flushed');
  expect(loadStore(files)).toMatchObject({ kind: 'damaged', why });
  const writer = openWriter(files);
  expect(writer.damage).toContain('not flushed');
  writer.reset();
  writer.close();
});

function loaded(files: ReplicaFiles) {
  const result = loadStore(files);
  if (result.kind === 'damaged') throw new Error(result.why);
  result.state.close();
  return result.state;
}

test('a store that contradicts itself is damaged', () => {
  const files = example();
  const good = readFileSync(files.store);
  const { meta } = loaded(files);
  const lies = [
    { ...meta, head: meta.head + 1 },
    { ...meta, head: meta.head - 1 },
    { ...meta, logStart: meta.logStart - 1 },
    { ...meta, commit: meta.head + 1 },
    { ...meta, head: 30, logStart: 31, commit: 30 },
  ];
  for (const lie of lies) {
    writeFileSync(files.store, good);
    const environment = new Environment(files.store, 'large', guard);
    environment.commit((txnid) => environment.put(META_KEY, encodeMeta(lie, txnid)));
    environment.close();
    expect(load(files)).toBeNull();
  }
  for (const key of [Buffer.from([0x10, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 50]), META_KEY]) {
    writeFileSync(files.store, good);
    const environment = new Environment(files.store, 'large', guard);
    environment.commit(() => environment.remove(key));
    environment.commit((txnid) => {
      if (key !== META_KEY) environment.put(META_KEY, encodeMeta(meta, txnid));
      else environment.put(Buffer.from([0x77]), Buffer.from('?'));
    });
    environment.close();
    expect(load(files)).toBeNull();
  }
});

test('an inspection shows a directory as it is, damaged or not, and changes nothing', () => {
  const path = temporaryPath();
  const files = example(path);
  const before = readFileSync(files.store);
  const result = inspectDirectory(path);
  expect(result).toMatchObject({
    kind: 'directory',
    directory: {
      clusterId: 77,
      owner: null,
      replicas: [
        {
          id: 0,
          verdict: { kind: 'intact' },
          register: { kind: 'alive' },
          checkpoint: { op: 50, root: [50, 0, 0, 9] },
          log: { first: 31, last: 60, entries: 30 },
          pages: { stored: 11, garbage: 0 },
          meta: { commit: 56 },
        },
        { id: 1, verdict: { kind: 'intact' }, log: { first: 1, last: 0, entries: 0 } },
      ],
    },
  });
  expect(readFileSync(files.store).equals(before)).toBe(true);

  writeFileSync(files.store, before.subarray(0, before.length / 2));
  rmSync(files.register);
  expect(inspectDirectory(path)).toMatchObject({
    directory: {
      replicas: [{ register: { kind: 'dead' }, verdict: { kind: 'damaged' } }, { id: 1 }],
    },
  });
  expect(inspectDirectory(temporaryPath())).toMatchObject({ kind: 'none' });
});
