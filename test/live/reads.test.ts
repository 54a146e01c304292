// Reads that need no round of messages, on real threads: who answers them, and that they are never older than what was acknowledged.

import { attach, type Cluster, open } from 'viewstamp';
import { expect, test } from 'vitest';

function onLease(cluster: Cluster): number {
  return cluster.metrics().replicas.reduce((sum, { readsOnLease }) => sum + readsOnLease, 0);
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
  for (let turn = 0; turn < 6; turn++) {
    const { primary } = await cluster.status();
    if (turn % 2 === 0) await cluster.admin.kill(primary);
    else await cluster.admin.stepDown();
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  over = true;
  await writing;
  expect(await reading).toBeGreaterThan(0);
  expect(onLease(cluster)).toBeGreaterThan(0);
});
