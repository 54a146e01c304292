import {
  closeSync,
  copyFileSync,
  cpSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { expect, test } from 'vitest';
import { loadDigest } from '../../src/actors/replica/digest.js';
import { inspectDirectory } from '../../src/cli/inspect/directory.js';
import { inspectReplica } from '../../src/cli/inspect/replica.js';
import type { Entry } from '../../src/protocol/message.js';
import { digest64 } from '../../src/simulation/seeded.js';
import { Environment } from '../../src/storage/environment.js';
import { type ReplicaFiles, replicaFiles } from '../../src/storage/files.js';
import { type LoadedState, loadStore } from '../../src/storage/load.js';
import {
  ENTRY_HEADER_BYTES,
  encodeMeta,
  META_KEY,
  seal,
  UNFLUSHED_KEY,
} from '../../src/storage/records.js';
import { StoreWriter } from '../../src/storage/store-writer.js';
import { surveyStore } from '../../src/storage/survey.js';
import {
  CLUSTER,
  contentOf,
  entriesFrom,
  entryAt,
  freshFiles,
  GOLDEN,
  guard,
  hasher,
  linked,
  PAGE_BYTES,
  recordAt,
  Store,
  temporaryPath,
} from './kit.js';

/** A store with long and short entries, two checkpoints and freed pages, closed. */
function example(path = temporaryPath()): ReplicaFiles {
  const store = new Store(freshFiles(path));
  const log = Array.from({ length: 60 }, (_, at) => entryAt(1 + at, 1, at % 15 < 5 ? 9000 : 200));
  const entries = linked(log, CLUSTER.origin);
  for (let at = 0; at < 60; at += 5) store.append(entries.slice(at, at + 5), at + 1);
  const page = (byte: number) => new Uint8Array(PAGE_BYTES).fill(byte);
  store.putPages(30, 0, new Map(Array.from({ length: 12 }, (_, index) => [index, page(index)])));
  store.finishCheckpoint(recordAt(30, [12]));
  store.putPages(50, 0, new Map([[3, page(99)]]));
  store.finishCheckpoint(recordAt(50, [11]));
  const { chain: baseChain, ts: baseTs } = entries[29] as Entry;
  store.collect({ logStart: 31, baseChain, baseTs });
  store.sweepAll();
  store.close();
  return store.files;
}

/** @returns the content as text, or null when it is damaged: a replica verifies the chain before it uses any of it. */
function load(files: ReplicaFiles): string | null {
  const result = loadStore(files);
  if (result.kind === 'damaged') {
    expect(result.why).not.toBe('');
    return null;
  }
  const content = isLinked(result.state) ? JSON.stringify(contentOf(result.state)) : null;
  result.state.close();
  return content;
}

function isLinked(state: LoadedState): boolean {
  let below = state.meta.baseChain;
  for (const entry of state.entries()) {
    if (!hasher.links(below, entry)) return false;
    below = entry.chain;
  }
  return true;
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

test('P3: a flipped bit in any byte of an entry is found, and the entry is named', () => {
  const files = freshFiles();
  const store = new Store(files);
  const log = [entryAt(1, 1, 90), entryAt(2, 1, 9000), entryAt(3, 1, 91)];
  store.append(linked(log, CLUSTER.origin), 2);
  store.close();
  const good = readFileSync(files.store);
  const file = openSync(files.store, 'r+');
  const put = (byte: number, at: number) => writeSync(file, Uint8Array.of(byte), 0, 1, at);
  /** What is said of the store with another bit `at`. */
  const withFlipped = (at: number) => {
    const byte = good[at] as number;
    put(byte ^ (1 << (at % 8)), at);
    const { clusterId } = CLUSTER;
    const { store } = inspectReplica({
      ...{ id: 0, role: 'active', files, clusterId, inUse: false },
      digest64,
    });
    put(byte, at);
    return store;
  };
  for (const [index, { at, bytes }] of surveyStore(files, true).entries.entries()) {
    expect(bytes).toBe(ENTRY_HEADER_BYTES + (log[index]?.body.length ?? 0));
    for (let offset = 0; offset < bytes; offset += bytes > 1000 && offset >= 64 ? 97 : 1) {
      const what = offset < ENTRY_HEADER_BYTES ? /^the checksum of entry / : /^entry .* chain/;
      const store = withFlipped(at + offset);
      if (store.kind !== 'damaged') throw new Error(`byte ${offset} of entry ${index + 1}`);
      expect(store.why).toEqual([expect.stringMatching(what)]);
      expect(store.why[0]).toContain(`entry ${index + 1} `);
    }
    // What LMDB leaves behind a long value belongs to nobody.
    if (bytes > 1000) expect(withFlipped(at + bytes).kind).toBe('whole');
  }
  expect(withFlipped(0).kind).toBe('damaged');
  closeSync(file);
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
    expect(loadStore(files)).toMatchObject({ kind: 'damaged' });
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
    expect(loadStore(files)).toMatchObject({ kind: 'damaged' });
  }
});

test('an inspection shows a directory as it is, damaged or not, and changes nothing', async () => {
  const digest = await loadDigest();
  const path = temporaryPath();
  cpSync(GOLDEN, path, { recursive: true });
  const files = replicaFiles(path, 0);
  const before = readFileSync(files.store);
  const whole = inspectDirectory(path, digest);
  expect(whole).toMatchObject({ owner: null, problems: [], remarks: [] });
  expect(whole.replicas).toMatchObject([
    {
      id: 0,
      register: { kind: 'alive' },
      fileBytes: before.length,
      store: {
        kind: 'whole',
        log: { start: 4, end: 8, entries: 5, commit: 6, checkpoint: { op: 6, pages: 3 } },
      },
    },
  ]);
  expect(readFileSync(files.store).equals(before)).toBe(true);

  writeFileSync(files.store, before.subarray(0, before.length / 2));
  rmSync(files.register);
  const torn = inspectDirectory(path, digest);
  expect(torn.replicas).toMatchObject([{ register: { kind: 'dead' }, store: { kind: 'damaged' } }]);
  expect(torn.problems).toHaveLength(2);
  expect(() => inspectDirectory(temporaryPath(), digest)).toThrow('holds no cluster');
});
