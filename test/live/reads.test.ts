// Reads that need no round of messages, on real threads: who answers them, and that they are never older than what was acknowledged.

import {
  attach,
  type Client,
  type Cluster,
  type Consistency,
  open,
  type ReadOptions,
} from 'viewstamp';
import { describe, expect, test } from 'vitest';

function onLease(cluster: Cluster): number {
  return cluster.metrics().replicas.reduce((sum, { readsOnLease }) => sum + readsOnLease, 0);
}

/** Nobody is down or on the way back. */
async function whole(cluster: Cluster): Promise<void> {
  const normal = async (): Promise<boolean> => {
    const { replicas } = await cluster.status();
    return replicas.every(({ state }) => state === 'normal');
  };
  await expect.poll(normal, { timeout: 20_000 }).toBe(true);
}

test('RD4: the primary answers reads on its lease, unless there is none', async () => {
  await using leased = await open();
  await using asking = await open({ timing: { leaseMs: 0 } });
  for (const cluster of [leased, asking]) {
    await cluster.kv.set('a', 1);
    for (let turn = 0; turn < 50; turn++) expect(await cluster.kv.get('a')).toBe(1);
  }
  await expect.poll(() => onLease(leased)).toBeGreaterThan(25);
  expect(onLease(asking)).toBe(0);
});

test('RD4, HH2: readers beside a counter that only rises never see it fall, whoever dies', {
  timeout: 60_000,
}, async () => {
  await using cluster = await open();
  await using other = await attach(cluster.share().data);
  let written = 0;
  let over = false;
  const writing = (async () => {
    while (!over) written = await cluster.kv.incr('n', 1, { timeoutMs: 20_000 });
  })();
  const reading = (async () => {
    let seen = 0;
    while (!over) {
      const least = written;
      seen = Number((await other.kv.get('n', { timeoutMs: 20_000 })) ?? 0);
      expect(seen).toBeGreaterThanOrEqual(least);
    }
    return seen;
  })();
  for (let turn = 0; turn < 4; turn++) {
    const { primary } = await cluster.status();
    if (turn % 2 === 0) await cluster.admin.kill(primary);
    else await cluster.admin.stepDown();
    await whole(cluster);
  }
  over = true;
  await writing;
  expect(await reading).toBeGreaterThan(0);
  expect(onLease(cluster)).toBeGreaterThan(0);
});

describe.each<Consistency>(['session', 'local', { maxStaleMs: 1000 }])(
  'reads that are %s',
  (consistency) => {
    test('are answered by backups, and see what this client has written when they promise it', async () => {
      await using cluster = await open({ timing: { viewTimeoutMs: 5000 } });
      const clients: Client[] = [cluster];
      for (let more = 0; more < 2; more++) clients.push(await attach(cluster.share().data));
      const weak = clients.map((client) => client.with({ consistency }).kv);
      for (let turn = 0; turn < 50; turn++)
        for (const [at, kv] of weak.entries()) {
          await kv.set(`key ${at}`, turn);
          const seen = await kv.get(`key ${at}`);
          if (consistency === 'session') expect(seen).toBe(turn);
          else expect(seen === undefined || Number(seen) <= turn).toBe(true);
        }
      // Replica 0 leads; on a busy machine it has to answer for another one now and then.
      await expect
        .poll(() => cluster.metrics().replicas.reduce((sum, one) => sum + one.readsExecuted, 0))
        .toBeGreaterThanOrEqual(150);
      const [, first, second] = cluster.metrics().replicas;
      expect((first?.readsExecuted ?? 0) + (second?.readsExecuted ?? 0)).toBeGreaterThan(25);
      for (const client of clients.slice(1)) await client.close();
    });

    test('by every call that reads, and by pipelines', async () => {
      await using cluster = await open();
      const { kv } = cluster;
      await kv.set('a', 1);
      const pipeline = kv.pipeline().get('a').set('b', 2).get('missing');
      const result = await pipeline.submit({ consistency: 'session' });
      expect([result.value(0), result.value(2)]).toEqual([1, undefined]);
      await expect.poll(() => kv.get('a', { consistency })).toBe(1);
      expect(await kv.has('a', { consistency: 'session' })).toBe(true);
      expect(await kv.getItem('a', { consistency: 'session' })).toMatchObject({ value: 1 });
      expect(await kv.getMany(['a', 'b'], { consistency: 'session' })).toEqual([1, 2]);
      expect(await kv.update('a', (value) => Number(value) + 1)).toBeGreaterThan(0);
      expect(await kv.get('a', { consistency: 'linearizable' })).toBe(2);
    });
  },
);

test('RD8: a replica that stood still does not take for new what waited for it', {
  timeout: 60_000,
}, async () => {
  const maxStaleMs = 20;
  await using cluster = await open();
  // Each asks a replica of its own choice.
  const readers = await Promise.all(Array.from({ length: 6 }, () => attach(cluster.share().data)));
  await cluster.kv.set('n', 0);
  /** When the answer to the writing of each value came: it was written before. */
  const answeredMs = [performance.now()];
  let over = false;
  const writing = (async () => {
    while (!over) {
      await cluster.kv.set('n', answeredMs.length);
      answeredMs.push(performance.now());
    }
  })();
  const tooOld: number[] = [];
  let reads = 0;
  const reading = readers.map(async ({ kv }) => {
    while (!over) {
      const askedMs = performance.now();
      const seen = Number(await kv.get('n', { consistency: { maxStaleMs } }));
      reads++;
      const age = askedMs - (answeredMs[seen + 1] ?? askedMs);
      if (age > maxStaleMs) tooOld.push(age);
    }
  });
  for (let turn = 0; turn < 6; turn++) {
    const backup = 1 + (turn % 2);
    await cluster.admin.pause(backup);
    await new Promise((resolve) => setTimeout(resolve, 600));
    await cluster.admin.resume(backup);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  over = true;
  await Promise.all([writing, ...reading]);
  for (const reader of readers) await reader.close();
  expect(reads).toBeGreaterThan(0);
  expect(tooOld).toEqual([]);
});

test('RD8, RD9: a session never goes back, while replicas die and come back', {
  timeout: 60_000,
}, async () => {
  await using cluster = await open();
  const clients = await Promise.all([0, 1, 2].map(() => attach(cluster.share().data)));
  let over = false;
  const running = clients.map(async (client, at) => {
    const { kv } = client.with({ consistency: 'session', timeoutMs: 20_000 });
    let last = 0;
    let turns = 0;
    while (!over) {
      if (turns++ % 4 === 0) last = await kv.incr('n');
      const seen = Number(await kv.get('n'));
      expect(seen, `client ${at}`).toBeGreaterThanOrEqual(last);
      last = seen;
    }
    return turns;
  });
  for (let turn = 0; turn < 4; turn++) {
    await cluster.admin.kill(turn % 3);
    await whole(cluster);
  }
  over = true;
  for (const turns of await Promise.all(running)) expect(turns).toBeGreaterThan(10);
  await Promise.all(clients.map((client) => client.close()));
});

test.each([
  [
    { consistency: 'sometimes' },
    /consistency must be linearizable, session, local, \{ maxStaleMs \}, got 'sometimes'/,
  ],
  [{ consistency: {} }, /consistency\.maxStaleMs must be an integer/],
  [{ consistency: { maxStaleMs: 0 } }, /consistency\.maxStaleMs must be an integer from 1/],
  [{ consistency: { maxAgeMs: 5 } }, /unknown option 'consistency\.maxAgeMs'/],
  [{ consistency: null }, /consistency must be/],
])('%o is refused', async (options, message) => {
  await using cluster = await open({ replicas: 1 });
  const wrong = options as ReadOptions;
  await expect(cluster.kv.get('a', wrong)).rejects.toThrow(message);
  expect(() => cluster.with(wrong)).toThrow(message);
  await expect(open(wrong)).rejects.toThrow(message);
  await expect(cluster.kv.set('a', 1, { consistency: 'session' } as never)).rejects.toThrow(
    /unknown option 'consistency'/,
  );
});
