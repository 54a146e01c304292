import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import {
  CONTENT_KEY,
  encodeContent,
  encodeOwner,
  FORMAT_VERSION,
  OWNER_KEY,
  readDirectory,
} from '../../src/storage/directory-file.js';
import { Environment } from '../../src/storage/environment.js';
import { directoryFile } from '../../src/storage/files.js';
import { loadStore } from '../../src/storage/load.js';
import { type Owner, stateOf, thisProcess } from '../../src/storage/owner.js';
import { readRegister } from '../../src/storage/register.js';
import { CLUSTER, guard, openDirectory, temporaryPath } from './kit.js';

function put(path: string, key: Uint8Array, value: Uint8Array): void {
  const environment = new Environment(directoryFile(path), 'small', guard);
  environment.commit(() => environment.put(key, value));
  environment.close();
}

function closedDirectory(): string {
  const path = temporaryPath();
  openDirectory(path).close();
  return path;
}

function refusal(code: string, details: object = {}): unknown {
  return expect.objectContaining({ code, details: expect.objectContaining(details) });
}

test('a new directory: what the cluster is, and a register and an empty log for each member', () => {
  const path = join(temporaryPath(), 'made', 'on', 'the', 'way');
  const directory = openDirectory(path);
  const { origin, ...cluster } = CLUSTER;
  expect(directory.content).toEqual({ formatVersion: FORMAT_VERSION, gen: 0, ...cluster });
  for (const { id } of CLUSTER.configuration.members) {
    const files = directory.files(id);
    expect(readRegister(files.register, id)).toMatchObject({
      kind: 'alive',
      register: { start: 0, stamp: null },
    });
    const result = loadStore(files);
    if (result.kind === 'damaged') throw new Error(result.why);
    expect(result.state.meta).toMatchObject({
      clusterId: 77,
      head: 0,
      logStart: 1,
      baseChain: origin,
    });
    expect([...result.state.entries()]).toEqual([]);
    result.state.close();
  }
  directory.close();
});

test('what was changed is there when it is opened again, and `create` is not asked', () => {
  const path = temporaryPath();
  const first = openDirectory(path);
  const configuration = { ...CLUSTER.configuration, epoch: 1 };
  first.update({ gen: 4, configuration });
  first.close();
  const create = () => {
    throw new Error('asked');
  };
  const again = openDirectory(path, { create });
  expect(again.content).toMatchObject({ gen: 4, configuration, clusterId: 77 });
  again.close();
});

test('a directory with other things in it is left alone', () => {
  const path = temporaryPath();
  writeFileSync(join(path, 'thesis.tex'), '');
  expect(() => openDirectory(path)).toThrow(refusal('VR_CONFIG', { foreign: ['thesis.tex'] }));
  expect(readdirSync(path)).toEqual(['thesis.tex']);
});

test('a file beside a cluster does no harm', () => {
  const path = closedDirectory();
  writeFileSync(join(path, 'README'), 'mine');
  openDirectory(path).close();
});

test('a directory that cannot be made is VR_DISK', () => {
  const path = temporaryPath();
  writeFileSync(join(path, 'file'), '');
  expect(() => openDirectory(join(path, 'file', 'directory'))).toThrow(refusal('VR_DISK'));
});

test('a cluster id is a whole number below 2^53', () => {
  for (const clusterId of [-1, 1.5, 2 ** 53])
    expect(() =>
      openDirectory(temporaryPath(), { create: () => ({ ...CLUSTER, clusterId }) }),
    ).toThrow(refusal('VR_CONFIG'));
});

test.each([1, FORMAT_VERSION + 1])(
  'another format version, %i, is refused, and both are named',
  (found) => {
    const path = closedDirectory();
    put(path, CONTENT_KEY, encodeContent({ formatVersion: found, gen: 0, ...CLUSTER }));
    const error = refusal('VR_VERSION_MISMATCH', { found, supported: FORMAT_VERSION });
    expect(() => openDirectory(path)).toThrow(error);
    expect(() => readDirectory(path)).toThrow(
      new RegExp(`format version ${found}, .* ${FORMAT_VERSION}$`),
    );
  },
);

test('a second open in this process is refused, and allowed after the first is closed', () => {
  const path = temporaryPath();
  const first = openDirectory(path);
  expect(() => openDirectory(path)).toThrow(refusal('VR_DIR_LOCKED', { pid: process.pid }));
  // The refused one must not have taken anything from the first.
  expect(() => openDirectory(path)).toThrow(refusal('VR_DIR_LOCKED'));
  first.update({ gen: 1 });
  first.close();
  openDirectory(path).close();
});

test('an owner that lives is respected, one that has ended is replaced at once', async () => {
  const path = closedDirectory();
  const child = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 60000)']);
  onTestFinished(() => {
    child.kill('SIGKILL');
  });
  await new Promise((resolve) => child.once('spawn', resolve));
  const pid = child.pid as number;
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const startTime = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] as string;
  put(path, OWNER_KEY, encodeOwner({ ...thisProcess(), pid, startTime }));
  expect(() => openDirectory(path)).toThrow(refusal('VR_DIR_LOCKED', { pid }));
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await ended;
  const directory = openDirectory(path);
  expect(readDirectory(path)).toMatchObject({ kind: 'content', owner: { pid: process.pid } });
  directory.close();
  expect(readDirectory(path)).toMatchObject({ kind: 'content', owner: null });
});

test('an owner: the same id with another start time, or of another boot, is not the same process', () => {
  const self = thisProcess();
  expect(stateOf(self)).toBe('self');
  expect(stateOf({ ...self, startTime: '1' })).toBe('dead');
  expect(stateOf({ ...self, bootId: 'another' })).toBe('dead');
  expect(stateOf({ ...self, pid: 2 ** 22 + 1 })).toBe('dead');
  expect(stateOf({ ...self, pid: process.ppid, startTime: null })).toBe('alive');
  expect(stateOf({ ...self, hostname: 'elsewhere' })).toBe('elsewhere');
});

test('an owner on another host can only be replaced by who knows better', () => {
  const path = closedDirectory();
  const owner: Owner = { ...thisProcess(), hostname: 'elsewhere' };
  put(path, OWNER_KEY, encodeOwner(owner));
  expect(() => openDirectory(path)).toThrow(refusal('VR_DIR_LOCKED', { hostname: 'elsewhere' }));
  openDirectory(path, { takeOver: true }).close();
});

test('a creation that was cut off is done again', () => {
  const path = closedDirectory();
  const environment = new Environment(directoryFile(path), 'small', guard);
  environment.commit(() => environment.remove(CONTENT_KEY));
  environment.close();
  writeFileSync(join(path, 'replica-0.mdb'), 'half a page');
  rmSync(join(path, 'replica-1.register'));
  expect(readDirectory(path)).toEqual({ kind: 'unfinished' });
  const directory = openDirectory(path);
  const result = loadStore(directory.files(0));
  expect(result.kind).toBe('loaded');
  if (result.kind === 'loaded') result.state.close();
  expect(readRegister(directory.files(1).register, 1).kind).toBe('alive');
  directory.close();
});

test('replicas without directory.mdb are not overwritten by a new cluster', () => {
  const path = closedDirectory();
  rmSync(directoryFile(path));
  expect(() => openDirectory(path)).toThrow(refusal('VR_CORRUPT_LOG'));
  writeFileSync(directoryFile(path), '');
  expect(() => openDirectory(path)).toThrow(refusal('VR_CORRUPT_LOG'));
});

test('a damaged directory.mdb is VR_CORRUPT_LOG and not a crash', () => {
  const path = closedDirectory();
  const file = directoryFile(path);
  const good = readFileSync(file);
  for (const end of [1, 100, 4096, 5000, good.length - 4096]) {
    writeFileSync(file, good);
    truncateSync(file, end);
    expect(() => openDirectory(path)).toThrow(refusal('VR_CORRUPT_LOG'));
  }
  const flipped = Buffer.from(good);
  for (let at = good.indexOf('clusterId'); at >= 0; at = good.indexOf('clusterId', at + 1))
    flipped[at] = (flipped[at] as number) ^ 4;
  writeFileSync(file, flipped);
  expect(() => openDirectory(path)).toThrow(refusal('VR_CORRUPT_LOG'));
});

test('H6: no flipped bit in the numbers of its transactions shows an older content', () => {
  const path = temporaryPath();
  const directory = openDirectory(path);
  directory.update({ gen: 9 });
  directory.close();
  const file = directoryFile(path);
  const good = readFileSync(file);
  for (let bit = 0; bit < 2 * 64; bit++) {
    const bytes = Buffer.from(good);
    const at = 152 + (bit >> 6) * 4096 + ((bit & 63) >> 3);
    bytes[at] = (bytes[at] as number) ^ (1 << (bit & 7));
    writeFileSync(file, bytes);
    const found = readDirectory(path);
    if (found.kind === 'content') expect(found.content.gen).toBe(9);
    else expect(found.kind).toBe('damaged');
  }
}, 60_000);

test('a directory that is none', () => {
  const path = temporaryPath();
  expect(readDirectory(path)).toEqual({ kind: 'none' });
  mkdirSync(join(path, 'empty'));
  expect(readDirectory(join(path, 'empty'))).toEqual({ kind: 'none' });
});
