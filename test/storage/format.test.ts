// Files that an earlier version wrote must be readable for ever: testdata/format-2 is never written again. Its chains and its root are
// those of a replica, so that what they are made of stays the same as well.

import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadDigest } from '../../src/actors/replica/digest.js';
import { inspectDirectory } from '../../src/cli/inspect/directory.js';
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
import { contentOf, entriesFrom, GOLDEN, openDirectory, Store, temporaryPath } from './kit.js';

const CLUSTER = {
  formatVersion: 2,
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
  baseChain: [2002387961, 344998753, -209390605, 29559761],
  baseTs: 30,
  head: 8,
};

const CHECKPOINT = {
  op: 6,
  chain: [-974385827, 305575944, -800713093, -1398419084],
  ts: 60,
  root: [806141073, 576811372, 588684280, -663959221],
  pageCounts: [2, 1],
};

function entry(op: number, view: number, count: number, byte: number, chain: readonly number[]) {
  const body = Buffer.alloc(40, byte).toString('hex');
  return { op, epoch: 0, view, ts: op * 10, seed: op * 7, kind: 'batch', count, chain, body };
}

test('a directory of format version 2', async () => {
  const state = loadStore({
    store: join(GOLDEN, 'replica-0.mdb'),
    register: join(GOLDEN, 'replica-0.register'),
  });
  if (state.kind === 'damaged') throw new Error(state.why);
  expect(contentOf(state.state)).toEqual({
    meta: META,
    checkpoint: CHECKPOINT,
    entries: [
      entry(4, 1, 5, 5, [1405409436, 477343434, 778592103, 865449610]),
      entry(5, 1, 1, 6, [1961563517, 631352010, -381438520, -1673534907]),
      entry(6, 1, 2, 7, CHECKPOINT.chain),
      entry(7, 12, 3, 19, [214676409, -1076014359, 978138637, -802563490]),
      entry(8, 12, 4, 20, [-1084730608, 1322645148, 1771675076, -1594536121]),
    ],
    pages: [['01'.repeat(256), '09'.repeat(256)], ['03'.repeat(256)]],
  });
  state.state.close();
  expect(readRegister(join(GOLDEN, 'replica-0.register'), 0)).toEqual({
    kind: 'alive',
    register: { start: 5, stamp: { epoch: 0, view: 12 } },
    copies: 2,
  });
  expect(inspectDirectory(GOLDEN, await loadDigest())).toMatchObject({
    content: CLUSTER,
    problems: [],
    replicas: [{ store: { kind: 'whole' } }],
  });
});

test('a directory of format version 2 is opened and written on', () => {
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

test('the values of format version 2, byte for byte', () => {
  const keys = new KeyWriter();
  expect(keys.log(2 ** 40 + 5).toString('hex')).toBe('200000010000000005');
  expect(keys.page(2, 70_000, 1024).toString('hex')).toBe('1002000111700000000000000400');
  const [first] = entriesFrom(3, 3, 2, 4);
  if (first === undefined) throw new Error('no entry');
  const value = Buffer.alloc(ENTRY_HEADER_BYTES + 4, first.body);
  writeEntryHeader(value, first);
  expect(seal(keys.log(3), value).toString('hex')).toMatchInlineSnapshot(
    `"ffc1fcee0000000000000000020000000000000000003e4015000000040000000300000002000000fdffffff00000040040000000000000005050505"`,
  );
  expect(encodeMeta(META as never, 77).toString('hex')).toMatchInlineSnapshot(
    `"ffe0ee5700000000000000000c000000ffffffffffff3f43000000000000004000000000000018400000000000000840000000000000184000000000000010400000000000003e400000000000002040f9035a7761439014f3f384f3d10bc30100000000004053400000000000000000"`,
  );
  expect(encodeCheckpoint(CHECKPOINT as never).toString('hex')).toMatchInlineSnapshot(
    `"c4a0ec9b0200000000000000000018400000000000004e405d0decc508b836127b1646d074d1a5ac91bc0c306c716122f89b16234bc96cd800000000000000000200000001000000"`,
  );
});
