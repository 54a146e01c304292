// What is asked of replicas beside operations: it is heard by threads that sleep, and what a thread missed while it stood still
// does no harm afterwards.

import { existsSync, readdirSync } from 'node:fs';
import { MessageChannel, Worker } from 'node:worker_threads';
import { type Client, type Cluster, open, type ViewInfo } from 'viewstamp';
import { expect, test } from 'vitest';
import type { ReplicaBoot } from '#dist/actors/boot.js';
import { openSettings } from '#dist/actors/options.js';
import { loadDigest } from '#dist/actors/replica/digest.js';
import { rehearse } from '#dist/actors/replica/rehearsal.js';
import { ThreadTimes } from '#dist/actors/replica/thread-times.js';
import { makeConfiguration } from '#dist/protocol/configuration.js';
import { allocateMesh } from '#dist/transport/mesh.js';
import { allNormal, equalDigests, pause, untilTrue } from './counting.js';

/** Nobody has called for so long that every thread sleeps. */
const IDLE_MS = 300;
const TIMEOUT_MS = 800;
/** Above 1.6 times that, the longest of failure timers. */
const BLOCKED_MS = 1500;

test('status with digests, from replicas that sleep', async () => {
  await using cluster = await open({ replicas: 3, witnesses: 1 });
  await cluster.kv.set('a', 1);
  await equalDigests(cluster);
  const digests = new Set<string>();
  for (let round = 0; round < 3; round++) {
    await pause(IDLE_MS);
    const { replicas, healthy, primary, quorum, clients } = await cluster.status();
    expect({ healthy, quorum, clients }).toEqual({ healthy: true, quorum: 2, clients: ['opener'] });
    expect(
      replicas
        .map(({ role }) => role)
        .filter((role) => role !== 'backup')
        .sort(),
    ).toEqual(['primary', 'witness']);
    expect(replicas[primary]?.role).toBe('primary');
    const active = replicas.filter(({ role }) => role !== 'witness');
    for (const { digest } of active) digests.add(digest);
    expect(replicas.find(({ role }) => role === 'witness')?.digest).toBe('');
  }
  // Asleep they change nothing, and say the same.
  expect([...digests]).toEqual([expect.stringMatching(/./)]);
  await cluster.kv.set('a', 2);
  await equalDigests(cluster);
  const { replicas, primary } = await cluster.status();
  expect(digests.has(replicas[primary]?.digest ?? '')).toBe(false);
});

test('every replica in turn steps down in its sleep, and each next one serves', async () => {
  // Long enough that nobody takes a busy machine for a dead primary.
  await using cluster = await open({ timing: { viewTimeoutMs: 3000 } });
  const views: ViewInfo[] = [];
  cluster.on('viewchange', (view) => views.push(view));
  for (let round = 1; round < 4; round++) {
    await pause(IDLE_MS);
    const before = await cluster.status();
    const { view, primary } = await cluster.admin.stepDown();
    expect(view).toBeGreaterThan(before.view);
    expect(primary).not.toBe(before.primary);
    expect(await cluster.kv.incr('rounds')).toBe(round);
    expect(await cluster.status()).toMatchObject({ view, primary });
  }
  await untilTrue(() => views.length >= 3);
  expect(views).toEqual([1, 2, 3].map(() => expect.objectContaining({ reason: 'step-down' })));
});

test('a thread joins and works while the replicas sleep, and leaves nothing', async () => {
  await using cluster = await open();
  for (const key of ['one', 'two']) {
    await pause(IDLE_MS);
    const { data, transfer } = cluster.share({ name: key });
    const worker = new Worker(new URL('./fixtures/counting-client.mjs', import.meta.url), {
      workerData: { link: data, key, count: 100 },
      transferList: [...transfer],
    });
    const ended = new Promise((resolve) => worker.once('exit', resolve));
    expect(await new Promise((resolve) => worker.once('message', resolve))).toBe(100);
    await ended;
    expect(await cluster.kv.get(key)).toBe(100);
  }
  expect((await cluster.status()).clients).toEqual(['opener']);
});

test('a thread that joins with `ref: false` ends when it has nothing to do, and its session with it', async () => {
  await using cluster = await open();
  const { data, transfer } = cluster.share();
  const worker = new Worker(new URL('./fixtures/leaving-client.mjs', import.meta.url), {
    workerData: { link: data, key: 'left' },
    transferList: [...transfer],
  });
  const ended = new Promise((resolve, reject) =>
    worker.once('exit', resolve).once('error', reject),
  );
  const said = new Promise((resolve) => worker.once('message', resolve));
  expect(await ended).toBe(0);
  expect(await said).toEqual(['opener', 'leaving']);
  expect(await cluster.kv.get('left')).toBe(1);
  await expect.poll(async () => (await cluster.status()).clients).toEqual(['opener']);
});

test('a paused replica is seen to be paused, a resumed one catches up', async () => {
  await using cluster = await open();
  await pause(IDLE_MS);
  const { primary } = await cluster.status();
  const backup = (primary + 1) % 3;
  await cluster.admin.pause(backup);
  for (let i = 1; i <= 50; i++) expect(await cluster.kv.incr('n')).toBe(i);
  const { replicas } = await cluster.status();
  expect(replicas.map(({ digest }) => digest === '')).toEqual(
    replicas.map(({ id }) => id === backup),
  );
  await cluster.admin.resume(backup);
  await equalDigests(cluster);
  expect((await cluster.status()).replicas[backup]?.digest).not.toBe('');
});

test('who is paused is said to be, and a cluster without a quorum of others is not healthy', async () => {
  await using cluster = await open();
  const seen = async (): Promise<unknown> => {
    const { healthy, replicas } = await cluster.status();
    return { healthy, paused: replicas.filter(({ paused }) => paused).map(({ id }) => id) };
  };
  const { primary } = await cluster.status();
  const [one, other] = [(primary + 1) % 3, (primary + 2) % 3];
  expect(await seen()).toEqual({ healthy: true, paused: [] });
  await cluster.admin.pause(one);
  expect(await seen()).toEqual({ healthy: true, paused: [one] });
  await cluster.admin.pause(other);
  expect(await seen()).toEqual({ healthy: false, paused: [one, other].sort() });
  await cluster.admin.pause(primary);
  expect(await seen()).toEqual({ healthy: false, paused: [0, 1, 2] });
  for (const id of [0, 1, 2]) await cluster.admin.resume(id);
  await allNormal(cluster);
  expect(await seen()).toEqual({ healthy: true, paused: [] });
});

/** Waits until every replica has got so many frames more: heartbeats and their answers, where nobody calls. */
async function heartbeats(cluster: Cluster, count: number): Promise<void> {
  const got = (): number[] => cluster.metrics().replicas.map(({ framesIn }) => framesIn);
  const before = got();
  await untilTrue(() => got().every((frames, id) => frames >= (before[id] ?? 0) + count));
}

/** The view that all replicas are in. */
async function commonView(client: Client): Promise<{ view: number; primary: number }> {
  for (let attempt = 0; attempt < 1000; attempt++) {
    const { view, primary, replicas } = await client.status();
    if (replicas.every((replica) => replica.view === view)) return { view, primary };
    await pause(10);
  }
  throw new Error('the replicas never agreed on a view');
}

test.each([
  ['a backup', 1],
  ['the primary', 0],
  ['every replica', 3],
] as const)(
  '%s stands still for many timeouts: the group settles in one view (SP3)',
  async (who, behind) => {
    await using cluster = await open({ timing: { viewTimeoutMs: TIMEOUT_MS } });
    const views: ViewInfo[] = [];
    cluster.on('viewchange', (view) => views.push(view));
    await cluster.kv.set('before', 1);
    await pause(IDLE_MS);
    const before = await commonView(cluster);
    const victims = behind === 3 ? [0, 1, 2] : [(before.primary + behind) % 3];
    await Promise.all(victims.map((id) => cluster.admin.pause(id)));
    await pause(BLOCKED_MS);
    if (who === 'the primary') await untilTrue(() => views.length > 0);
    await Promise.all(victims.map((id) => cluster.admin.resume(id)));
    expect(await cluster.kv.incr('after')).toBe(1);
    await allNormal(cluster);
    await equalDigests(cluster);
    const settled = await commonView(cluster);
    const counted = views.length;
    await heartbeats(cluster, 40);
    expect(await commonView(cluster)).toEqual(settled);
    expect(views.length).toBe(counted);
    // Whoever missed nothing but time does not hold it against the primary.
    if (who !== 'the primary') expect(settled).toEqual(before);
    else expect(settled.primary).not.toBe(victims[0]);
    expect(await cluster.kv.incr('after')).toBe(2);
    expect(await cluster.kv.get('before')).toBe(1);
  },
);

test('whoever stands still can be ended, and its successor does not stand still', async () => {
  await using cluster = await open();
  await cluster.kv.set('a', 1);
  await cluster.admin.pause(1);
  await cluster.admin.restart(1);
  await cluster.admin.pause(2);
  await cluster.admin.kill(2);
  await allNormal(cluster);
  expect(await cluster.kv.incr('a')).toBe(2);
});

test('a rehearsal leaves nothing of itself: no notice, no handle, nothing in the rings of its replica', async () => {
  const { limits, timing } = openSettings({});
  const { port1, port2 } = new MessageChannel();
  const notices: unknown[] = [];
  port2.on('message', (notice) => notices.push(notice));
  const mesh = allocateMesh({ replicas: 3, ringBytes: 64 << 10 });
  const boot: ReplicaBoot = {
    id: 1,
    configuration: makeConfiguration(3, 0, 2 ** 20),
    clusterId: 1,
    start: 1,
    limits,
    timing,
    pretouchBytes: 0,
    mesh,
    clients: [],
    notices: port1,
    faults: false,
    disk: null,
  };
  const words = (): Buffer[] => everyBuffer(mesh).map((bytes) => Buffer.from(bytes.slice(0)));
  const untouched = words();
  expect(untouched.length).toBeGreaterThan(0);
  const digest64 = await loadDigest();
  const before = process.getActiveResourcesInfo();
  // The one that tells how long this thread was on a core stays open as long as the thread lives.
  new ThreadTimes();
  const files = openFiles();
  for (let time = 0; time < 2; time++) {
    for (const _ of rehearse(boot, digest64));
    // A port takes a few turns to close.
    await untilTrue(() => added(before, process.getActiveResourcesInfo()).length === 0);
  }
  expect(words()).toEqual(untouched);
  expect(openFiles()).toBe(files);
  port1.postMessage('the first');
  await untilTrue(() => notices.length > 0);
  expect(notices).toEqual(['the first']);
  port2.close();
});

/** Of this process; 0 where the system does not say. */
function openFiles(): number {
  return existsSync('/proc/self/fd') ? readdirSync('/proc/self/fd').length : 0;
}

function everyBuffer(value: unknown): SharedArrayBuffer[] {
  if (value instanceof SharedArrayBuffer) return [value];
  if (typeof value !== 'object' || value === null) return [];
  return Object.values(value).flatMap(everyBuffer);
}

/** What is in `after` more often than in `before`. */
function added(before: readonly string[], after: readonly string[]): string[] {
  const left = [...before];
  return after.filter((kind) => {
    const at = left.indexOf(kind);
    if (at >= 0) left.splice(at, 1);
    return at < 0;
  });
}
