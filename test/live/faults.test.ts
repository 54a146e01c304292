// Threads that die, hang, run out of memory or are blocked, under load. After each: every acknowledged write is there exactly
// once. What is measured is printed, never asserted.

import { Worker } from 'node:worker_threads';
import { type Cluster, open, VrError } from 'viewstamp';
import { expect, test } from 'vitest';
import { openCluster } from '../../dist/actors/cluster.js';
import {
  allNormal,
  countUp,
  equalDigests,
  expectExactlyOnce,
  pause,
  untilTrue,
} from './counting.js';

async function primaryOf(cluster: Cluster): Promise<number> {
  return (await cluster.status()).primary;
}

test.each([
  ['primary', { replicas: 3 }],
  ['backup', { replicas: 3 }],
  ['witness', { replicas: 3, witnesses: 1 }],
] as const)('terminate() on the %s loses nothing', async (who, shape) => {
  await using cluster = await open(shape);
  const load = countUp(cluster, 'n');
  await pause(200);
  const { replicas } = await cluster.status();
  const victim = replicas.find((replica) => replica.role === who);
  await cluster.admin.kill(victim?.id ?? -1);
  await pause(300);
  await allNormal(cluster);
  const tally = await load.stop();
  console.log(
    `killed the ${who}: longest gap ${tally.gapMs.toFixed(1)} ms, ${tally.acknowledged} writes`,
  );
  await expectExactlyOnce(cluster, 'n', tally);
  await equalDigests(cluster);
});

test('20 kills in a row under load, each after all are normal again', async () => {
  await using cluster = await open();
  const load = countUp(cluster, 'n');
  const began = performance.now();
  const recoveries: number[] = [];
  for (let kill = 0; kill < 20; kill++) {
    await pause(30);
    const at = performance.now();
    await cluster.admin.kill(await primaryOf(cluster));
    await allNormal(cluster);
    recoveries.push(performance.now() - at);
  }
  const tally = await load.stop();
  recoveries.sort((a, b) => a - b);
  console.log(
    `20 kills: kill to all normal, median ${recoveries[10]?.toFixed(0)} ms, most ${recoveries[19]?.toFixed(0)} ms; the log took ${(
      performance.now() - began
    ).toFixed(0)} ms to write`,
  );
  await expectExactlyOnce(cluster, 'n', tally);
  await equalDigests(cluster);
});

test('a replica that runs out of heap is replaced (DT4)', async () => {
  const cluster = await openCluster({ limits: { replicaHeapMiB: 64 } }, true);
  const crashes: unknown[] = [];
  cluster.on('replicacrash', (detail) => crashes.push(detail.error));
  const load = countUp(cluster, 'n');
  await pause(100);
  await cluster.fault(1, 'exhaustHeap');
  await untilTrue(() => crashes.length > 0);
  await allNormal(cluster);
  const tally = await load.stop();
  expect(String(crashes[0])).toMatch(/memory/i);
  await expectExactlyOnce(cluster, 'n', tally);
  await cluster.close();
});

test.each([0, 1])('replica %i stuck in an endless loop is ended and replaced', async (victim) => {
  const cluster = await openCluster({ timing: { hangMs: 500 } }, true);
  const crashes: number[] = [];
  cluster.on('replicacrash', (detail) => crashes.push(detail.replica));
  const load = countUp(cluster, 'n');
  await pause(100);
  await cluster.fault(victim, 'hang');
  await untilTrue(() => crashes.length > 0);
  await allNormal(cluster);
  const tally = await load.stop();
  expect(crashes).toEqual([victim]);
  await expectExactlyOnce(cluster, 'n', tally);
  await equalDigests(cluster);
  await cluster.close();
});

test('the thread of the user is blocked for 2 s during a failover', async () => {
  await using cluster = await open();
  const load = countUp(cluster, 'n');
  await pause(100);
  const before = await primaryOf(cluster);
  await cluster.admin.kill(before);
  const end = performance.now() + 2000;
  while (performance.now() < end);
  await allNormal(cluster);
  const tally = await load.stop();
  expect(await primaryOf(cluster)).not.toBe(before);
  await expectExactlyOnce(cluster, 'n', tally);
});

test('a paused primary is replaced, and steps down when it resumes', async () => {
  await using cluster = await open();
  const load = countUp(cluster, 'n');
  await pause(100);
  const before = await primaryOf(cluster);
  await cluster.admin.pause(before);
  await untilTrue(() => cluster.metrics().viewChanges > 0);
  await cluster.admin.resume(before);
  await allNormal(cluster);
  const tally = await load.stop();
  await expectExactlyOnce(cluster, 'n', tally);
  await equalDigests(cluster);
});

test('stepDown and restart move the primary and lose nothing, one at a time (rolling-restart)', async () => {
  await using cluster = await open();
  const load = countUp(cluster, 'n');
  const moved = await cluster.admin.stepDown();
  expect(moved.view).toBeGreaterThan(0);
  await allNormal(cluster);
  const restarted = cluster.admin.restart(moved.primary);
  // Each restart forgets a replica's memory: the next one waits until the others have it all.
  const next = (moved.primary + 1) % 3;
  await expect(cluster.admin.restart(next)).rejects.toMatchObject({
    code: 'VR_NO_QUORUM',
    retryable: true,
    details: { replica: next, needed: 2, normal: 1 },
  });
  await restarted;
  await allNormal(cluster);
  const tally = await load.stop();
  await expectExactlyOnce(cluster, 'n', tally);
});

test('lost-majority: two of three replicas lost: open calls end as unknown, later ones are refused (H8)', async () => {
  const cluster = await open();
  await cluster.kv.set('a', 1);
  const lost = new Promise<boolean>((resolve) => {
    cluster.on('quorumlost', (detail) => detail.permanent && resolve(true));
  });
  const { primary } = await cluster.status();
  const [backup, survivor] = [0, 1, 2].filter((id) => id !== primary) as [number, number];
  // The survivor is a backup, and sleeps until it is alone: a view change in between would leave the log with somebody. So nobody
  // can tell any more what was acknowledged last.
  await cluster.admin.pause(survivor);
  await Promise.all([cluster.admin.kill(primary), cluster.admin.kill(backup)]);
  await cluster.admin.resume(survivor);
  const open1 = cluster.kv.set('a', 2, { timeoutMs: 60_000 }).then(
    () => 'ok',
    (error) => error,
  );
  expect(await lost).toBe(true);
  expect(await open1).toMatchObject({ code: 'VR_NO_QUORUM', details: { permanent: true } });
  const later = (await cluster.kv.get('a').catch((error) => error)) as VrError;
  expect(VrError.is(later, 'VR_NO_QUORUM')).toBe(true);
  expect(later.outcome).toBe('not-executed');
  await cluster.close();
});

test('open and close 50 times: no thread, handle or listener stays', async () => {
  const handles = (): number =>
    process.getActiveResourcesInfo().filter((kind) => kind !== 'Immediate' && kind !== 'TickObject')
      .length;
  const warm = await open();
  await warm.close();
  await pause(50);
  const before = handles();
  for (let round = 0; round < 50; round++) {
    const cluster = await open();
    await cluster.kv.set('round', round);
    await cluster.close();
  }
  await pause(100);
  expect(handles()).toBeLessThanOrEqual(before);
  expect(process.listenerCount('exit')).toBeLessThan(10);
});

test('a client thread that dies with requests open leaves no session behind (CS8)', async () => {
  await using cluster = await open();
  const before = (await cluster.status()).clients.length;
  const { data, transfer } = cluster.share();
  const worker = new Worker(new URL('./fixtures/dying-client.mjs', import.meta.url), {
    workerData: { link: data },
    transferList: [...transfer],
  });
  await new Promise((resolve) => worker.once('message', resolve));
  expect((await cluster.status()).clients).toHaveLength(before + 1);
  await pause(50);
  await worker.terminate();
  for (let attempt = 0; (await cluster.status()).clients.length > before; attempt++) {
    if (attempt > 1000) throw new Error('the dead client was never removed');
    await pause(10);
  }
  const value = await cluster.kv.get('dying');
  await pause(200);
  // Its session is gone: nothing of it is executed later.
  expect(await cluster.kv.get('dying')).toBe(value);
});

test('two clients in two other threads, the primary killed: every increment exactly once', async () => {
  await using cluster = await open();
  const workers = ['one', 'two'].map((key) => {
    const { data, transfer } = cluster.share({ name: key });
    return new Worker(new URL('./fixtures/counting-client.mjs', import.meta.url), {
      workerData: { link: data, key, count: 3000 },
      transferList: [...transfer],
    });
  });
  const done = Promise.all(
    workers.map((worker) => new Promise<number>((resolve) => worker.once('message', resolve))),
  );
  const ended = Promise.all(
    workers.map((worker) => new Promise((resolve) => worker.once('exit', resolve))),
  );
  await pause(150);
  await cluster.admin.kill(await primaryOf(cluster));
  const acknowledged = await done;
  expect(acknowledged).toEqual([3000, 3000]);
  expect([...(await cluster.kv.getMany(['one', 'two']))]).toEqual([3000, 3000]);
  await ended;
  expect((await cluster.status()).clients).toEqual(['opener']);
});

test('a replica whose state differs stops at the next checkpoint, says so and stays down; the others go on (CP8)', async () => {
  const cluster = await openCluster({ checkpointEvery: 4 }, true);
  try {
    const told: { replica: number; message: string }[] = [];
    cluster.on('divergence', (detail) => told.push(detail));
    for (let i = 0; i < 10; i++) await cluster.kv.incr('n');
    const { primary } = await cluster.status();
    await cluster.fault((primary + 1) % 3, 'diverge');
    await expect
      .poll(async () => {
        await cluster.kv.incr('n');
        return told.map(({ replica }) => replica);
      })
      .toEqual([(primary + 1) % 3]);
    expect(told[0]?.message).toMatch(/CP8 .* has root [0-9a-f]{32}, the others have [0-9a-f]{32}/);
    for (let i = 0; i < 20; i++) await cluster.kv.incr('m');
    const { replicas } = await cluster.status();
    expect(replicas.map(({ state }) => state).filter((state) => state === 'down')).toHaveLength(1);
    // An administrator may start it again: it forgets its state and takes that of the others.
    await cluster.admin.restart((primary + 1) % 3);
    for (let i = 0; i < 20; i++) await cluster.kv.incr('m');
    expect(told).toHaveLength(1);
    await equalDigests(cluster);
  } finally {
    await cluster.close();
  }
});

test('a primary whose state differs stops as well, and another takes over (CP8)', async () => {
  const cluster = await openCluster({ checkpointEvery: 4 }, true);
  try {
    const told: number[] = [];
    cluster.on('divergence', ({ replica }) => told.push(replica));
    await cluster.kv.incr('n');
    const { primary } = await cluster.status();
    await cluster.fault(primary, 'diverge');
    await expect
      .poll(async () => {
        await cluster.kv.incr('n');
        return told;
      })
      .toEqual([primary]);
    expect(await cluster.kv.incr('n')).toBeGreaterThan(2);
    expect((await cluster.status()).primary).not.toBe(primary);
  } finally {
    await cluster.close();
  }
});
