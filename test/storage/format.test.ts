// Files that an earlier version wrote must be readable for ever: testdata/format-1 is never written again.

import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { inspectDirectory } from '../../src/storage/inspect.js';
import { loadStore } from '../../src/storage/load.js';
import {
  ENTRY_HEADER_BYTES,
  encodeCheckpoint,
  encodeMeta,
  KeyWriter,
  seal,
  writeEntryHeader,
} from '../../src/storage/records.js';
import { readRegister } from '../../src/storage/register.js';
import { contentOf, entriesFrom, openDirectory, Store, temporaryPath } from './kit.js';

const GOLDEN = new URL('./testdata/format-1/', import.meta.url).pathname;

const CLUSTER = {
  formatVersion: 1,
  clusterId: 2 ** 53 - 1,
  gen: 2,
  configuration: { epoch: 0, members: [{ id: 0, role: 'active' }], storeBytes: 1_048_576 },
  pageBytes: 256,
};

const META = {
  clusterId: 2 ** 53 - 1,
  gen: 2,
  lastNormal: { epoch: 0, view: 12 },
  viewStartOp: 6,
  primaryStart: 3,
  epoch: 0,
  commit: 6,
  logStart: 4,
  baseChain: [3, 1, -3, 1 << 30],
  baseTs: 30,
  head: 8,
};

const CHECKPOINT = {
  op: 6,
  chain: [6, 1, -6, 1 << 30],
  ts: 60,
  root: [6, 0, 0, 9],
  pageCounts: [2, 1],
};

function entry(op: number, view: number, count: number, byte: number) {
  const body = Buffer.alloc(40, byte).toString('hex');
  const chain = [op, view, -op, 1 << 30];
  return { op, epoch: 0, view, ts: op * 10, seed: op * 7, kind: 'batch', count, chain, body };
}

test('a directory of format version 1', () => {
  const state = loadStore({
    store: join(GOLDEN, 'replica-0.mdb'),
    register: join(GOLDEN, 'replica-0.register'),
  });
  if (state.kind === 'damaged') throw new Error(state.why);
  expect(contentOf(state.state)).toEqual({
    meta: META,
    checkpoint: CHECKPOINT,
    entries: [
      entry(4, 1, 5, 5),
      entry(5, 1, 1, 6),
      entry(6, 1, 2, 7),
      entry(7, 12, 3, 19),
      entry(8, 12, 4, 20),
    ],
    pages: [['01'.repeat(256), '09'.repeat(256)], ['03'.repeat(256)]],
  });
  state.state.close();
  expect(readRegister(join(GOLDEN, 'replica-0.register'), 0)).toEqual({
    kind: 'alive',
    register: { start: 5, stamp: { epoch: 0, view: 12 } },
    copies: 2,
  });
  expect(inspectDirectory(GOLDEN)).toMatchObject({ kind: 'directory', directory: CLUSTER });
});

test('a directory of format version 1 is opened and written on', () => {
  const path = temporaryPath();
  cpSync(GOLDEN, path, { recursive: true });
  const directory = openDirectory(path);
  expect(directory.content).toEqual(CLUSTER);
  const store = new Store(directory.files(0));
  store.append(entriesFrom(9, 10, 12), 9);
  store.sweepAll();
  store.close();
  directory.close();
  const result = loadStore(directory.files(0));
  if (result.kind === 'damaged') throw new Error(result.why);
  expect(result.state.meta).toEqual({ ...META, head: 10, commit: 9 });
  expect([...result.state.entries()].map(({ op }) => op)).toEqual([4, 5, 6, 7, 8, 9, 10]);
  result.state.close();
});

test('the values of format version 1, byte for byte', () => {
  const keys = new KeyWriter();
  expect(keys.log(2 ** 40 + 5).toString('hex')).toBe('200000010000000005');
  expect(keys.page(2, 70_000, 1024).toString('hex')).toBe('1002000111700000000000000400');
  const [first] = entriesFrom(3, 3, 2, 4);
  if (first === undefined) throw new Error('no entry');
  const value = Buffer.alloc(ENTRY_HEADER_BYTES + 4, first.body);
  writeEntryHeader(value, first);
  expect(seal(keys.log(3), value).toString('hex')).toMatchInlineSnapshot(
    `"47769fac0000000000000000020000000000000000003e4015000000040000000300000002000000fdffffff00000040040000000000000005050505"`,
  );
  expect(encodeMeta(META as never, 77).toString('hex')).toMatchInlineSnapshot(
    `"6a48e1a100000000000000000c000000ffffffffffff3f43000000000000004000000000000018400000000000000840000000000000184000000000000010400000000000003e4000000000000020400300000001000000fdffffff0000004000000000004053400000000000000000"`,
  );
  expect(encodeCheckpoint(CHECKPOINT as never).toString('hex')).toMatchInlineSnapshot(
    `"efdc43a60200000000000000000018400000000000004e400600000001000000faffffff000000400600000000000000000000000900000000000000000000000200000001000000"`,
  );
});
