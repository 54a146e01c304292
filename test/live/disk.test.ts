// Stores with a directory, on real threads and a real file system: what survives the end of threads and of the whole cluster, who may
// open a directory, and what is said of one that is not as it was.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Cluster, type DiskOptions, type OpenOptions, open } from 'viewstamp';
import { afterEach, describe, expect, test } from 'vitest';
import { readDirectory } from '../../dist/storage/directory-file.js';

const directories: string[] = [];

function fresh(): string {
  const dir = mkdtempSync(join(tmpdir(), 'viewstamp-disk-'));
  directories.push(dir);
  return dir;
}

afterEach(() => {
  for (const dir of directories.splice(0)) rmSync(dir, { recursive: true, force: true });
});

function reopen(
  dir: string,
  disk: Omit<DiskOptions, 'dir'> = {},
  more: OpenOptions = {},
): Promise<Cluster> {
  return open({ ...more, durability: { dir, ...disk } });
}

/** All replicas normal, with one digest at one op. */
async function agreed(cluster: Cluster): Promise<void> {
  await expect
    .poll(
      async () => {
        const { replicas } = await cluster.status();
        const actives = replicas.filter(({ role }) => role !== 'witness');
        const states = new Set(
          actives.map(({ appliedNumber, digest }) => `${appliedNumber} ${digest}`),
        );
        return [states.size, replicas.every(({ state }) => state === 'normal')];
      },
      { timeout: 10_000 },
    )
    .toEqual([1, true]);
}

describe.each(['batch', 'interval', 'none'] as const)('fsync %s', (fsync) => {
  test('what was written is there after the cluster was closed and opened again, twice', async () => {
    const dir = fresh();
    for (let turn = 1; turn <= 3; turn++) {
      await using cluster = await reopen(dir, { fsync });
      for (let i = 0; i < 20; i++) await cluster.kv.set(`${turn}.${i}`, i);
      expect(await cluster.kv.incr('turns')).toBe(turn);
      for (let before = 1; before <= turn; before++)
        expect(await cluster.kv.get(`${before}.19`)).toBe(19);
      await agreed(cluster);
    }
  });

  test('threads die one after the other, and come back', async () => {
    await using cluster = await reopen(fresh(), { fsync }, { checkpointEvery: 8 });
    for (let turn = 0; turn < 6; turn++) {
      for (let i = 0; i < 30; i++) await cluster.kv.incr('n');
      await cluster.admin.kill(turn % 3);
      await agreed(cluster);
    }
    expect(await cluster.kv.get('n')).toBe(180);
  });
});

test('with checkpoints: the log on disk stays short, and everything is there again', async () => {
  const dir = fresh();
  {
    await using cluster = await reopen(dir, {}, { checkpointEvery: 8, witnesses: 1 });
    for (let i = 0; i < 200; i++) await cluster.kv.set(`key ${i}`, 'x'.repeat(100));
    await expect
      .poll(() => Math.min(...cluster.metrics().replicas.map(({ logStart }) => logStart)))
      .toBeGreaterThan(100);
  }
  await using cluster = await reopen(dir, {}, { checkpointEvery: 8, witnesses: 1 });
  expect(await cluster.kv.getMany(['key 0', 'key 100', 'key 199'])).toEqual(
    ['x', 'x', 'x'].map((x) => x.repeat(100)),
  );
  await agreed(cluster);
});

test('a view change while a checkpoint is on its way to the disk does not end checkpoints (P8b, P8d)', {
  timeout: 60_000,
}, async () => {
  const checkpointEvery = 4;
  await using cluster = await reopen(fresh(), { fsync: 'none' }, { checkpointEvery });
  // Nearly all of the time some thousand pages are on their way.
  const write = (): Promise<unknown> =>
    Promise.all(Array.from({ length: 500 }, (_, i) => cluster.kv.set(`${i}`, 'x'.repeat(2000))));
  const checkpoints = (): number[] =>
    cluster.metrics().replicas.map(({ checkpointOp }) => checkpointOp);
  for (let turn = 0; turn < 10; turn++) {
    const writing = Array.from({ length: 20 }, write);
    await cluster.admin.stepDown();
    await Promise.all(writing);
  }
  await agreed(cluster);
  const before = checkpoints();
  for (let more = 0; more < 4 * checkpointEvery; more++) await cluster.kv.incr('n');
  await expect
    .poll(() => checkpoints().map((op, id) => op > (before[id] ?? 0)), { timeout: 10_000 })
    .toEqual([true, true, true]);
});

test('every thread may die at once: with fsync batch nothing is lost', async () => {
  await using cluster = await reopen(fresh());
  for (let i = 0; i < 50; i++) await cluster.kv.incr('n');
  await Promise.all([0, 1, 2].map((id) => cluster.admin.kill(id)));
  expect(await cluster.kv.incr('n', 1, { timeoutMs: 20_000 })).toBe(51);
  await agreed(cluster);
});

test('a store whose file was damaged is given up, and its replica recovers from the others (P3)', async () => {
  const dir = fresh();
  {
    await using cluster = await reopen(dir);
    for (let i = 0; i < 50; i++) await cluster.kv.set(`key ${i}`, i);
  }
  const file = join(dir, 'replica-1.mdb');
  const bytes = readFileSync(file);
  for (let at = 8192; at < bytes.length; at += 512) bytes[at] = (bytes[at] ?? 0) ^ 0x55;
  writeFileSync(file, bytes);
  await using cluster = await reopen(dir);
  expect(await cluster.kv.get('key 49')).toBe(49);
  await agreed(cluster);
});

test('register-lost (D21): a replica that has forgotten its promises never runs again; the others go on', async () => {
  const dir = fresh();
  {
    await using cluster = await reopen(dir);
    await cluster.kv.set('a', 1);
    await agreed(cluster);
  }
  writeFileSync(join(dir, 'replica-1.register'), Buffer.alloc(12_288));
  await using cluster = await reopen(dir);
  expect(await cluster.kv.get('a')).toBe(1);
  const { replicas } = await cluster.status();
  expect(replicas.map(({ state }) => state === 'down')).toEqual([false, true, false]);
  await expect(cluster.admin.restart(1)).rejects.toMatchObject({ code: 'VR_CORRUPT_LOG' });
});

test('two damaged stores of three, or two lost registers: it says so, and opens nothing (E37, D21)', async () => {
  const dir = fresh();
  {
    await using cluster = await reopen(dir);
    await cluster.kv.set('a', 1);
    // Who has not begun yet has promised nothing, and may begin anew.
    await agreed(cluster);
  }
  for (const id of [1, 2]) writeFileSync(join(dir, `replica-${id}.mdb`), 'not a store');
  await expect(reopen(dir)).rejects.toMatchObject({
    code: 'VR_CORRUPT_LOG',
    details: { whole: [0], needed: 2 },
  });
  for (const id of [1, 2]) writeFileSync(join(dir, `replica-${id}.register`), 'not a register');
  await expect(reopen(dir)).rejects.toMatchObject({
    code: 'VR_CORRUPT_LOG',
    details: { dead: [1, 2] },
  });
});

test('after a clean end another mode may be chosen, and it is the same generation (H6)', async () => {
  const dir = fresh();
  const gens: number[] = [];
  const modes = ['interval', 'batch', 'interval', 'batch'] as const;
  for (const fsync of modes) {
    await using cluster = await reopen(dir, { fsync });
    expect(await cluster.kv.incr('n')).toBe(gens.length + 1);
    await agreed(cluster);
    const found = readDirectory(dir);
    if (found.kind === 'content') gens.push(found.content.gen);
  }
  expect(gens).toEqual([0, 0, 0, 0]);
});

describe('refusals', () => {
  test('a directory is locked while it is open, and free afterwards', async () => {
    const dir = fresh();
    const cluster = await reopen(dir);
    await expect(reopen(dir)).rejects.toMatchObject({ code: 'VR_DIR_LOCKED' });
    await cluster.close();
    await (await reopen(dir)).close();
  });

  test('what a directory was made with stays', async () => {
    const dir = fresh();
    await (await reopen(dir)).close();
    await expect(reopen(dir, {}, { replicas: 5 })).rejects.toMatchObject({
      code: 'VR_CONFIG',
      message: expect.stringContaining('replicas 3, not 5'),
    });
    await expect(reopen(dir, {}, { witnesses: 1 })).rejects.toMatchObject({ code: 'VR_CONFIG' });
    await expect(reopen(dir, {}, { limits: { storeBytes: 2 ** 20 } })).rejects.toMatchObject({
      code: 'VR_CONFIG',
    });
  });

  test('a directory with other things in it', async () => {
    const dir = fresh();
    writeFileSync(join(dir, 'letter.txt'), 'dear');
    await expect(reopen(dir)).rejects.toMatchObject({ code: 'VR_CONFIG' });
  });

  test.each([
    [{ durability: 'disk' }, 'durability'],
    [{ durability: {} }, 'durability.dir'],
    [{ durability: { dir: 'x', fsync: 'often' } }, 'durability.fsync'],
    [{ durability: { dir: 'x', intervalMs: 0 } }, 'durability.intervalMs'],
    [{ durability: { dir: 'x', interval: 5 } }, 'durability.interval'],
    [{ checkpointEvery: 3 }, 'checkpointEvery'],
  ])('%j', async (options, path) => {
    await expect(open(options as OpenOptions)).rejects.toMatchObject({
      code: 'VR_CONFIG',
      details: { path },
    });
  });
});
