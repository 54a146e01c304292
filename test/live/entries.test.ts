// How large entries are, as `metrics()` tells it of a real cluster.

import { type Cluster, type EntrySizes, open } from 'viewstamp';
import { expect, test } from 'vitest';

function madeBy(cluster: Cluster, replica: number): EntrySizes {
  return cluster.metrics().replicas[replica]?.entriesMade as EntrySizes;
}

function sum(buckets: EntrySizes['byRequests']): number {
  return buckets.reduce((total, [, entries]) => total + entries, 0);
}

function count(buckets: EntrySizes['byRequests'], upTo: number): number {
  return buckets.find(([bound]) => bound === upTo)?.[1] ?? 0;
}

test('every entry of the log is in it, with its requests and bytes; a death of the primary takes nothing away', async () => {
  // Nobody else may lead on a busy machine before the first one dies.
  await using cluster = await open({ timing: { viewTimeoutMs: 10_000 } });
  const { kv } = cluster;
  const idle = madeBy(cluster, 0);
  // The opener has registered.
  expect(idle).toMatchObject({ entries: 1, requests: 1, bytes: 40 });

  for (let at = 0; at < 20; at++) await kv.set('a key of so many bytes', at);
  const single = madeBy(cluster, 0);
  expect(single).toMatchObject({ entries: 21, requests: 21 });
  expect([count(single.byRequests, 1), count(single.byBytes, 64)]).toEqual([21, 1]);
  expect(count(single.byBytes, 128)).toBe(20);

  await kv.set('large', 'x'.repeat((1 << 20) - 5));
  const large = madeBy(cluster, 0);
  expect(count(large.byBytes, 2 << 20)).toBe(1);
  expect(large.bytes - single.bytes).toBeGreaterThan(1 << 20);

  const pipelines = Array.from({ length: 40 }, (_, at) => kv.pipeline().set(`${at}`, at).submit());
  await Promise.all(pipelines);
  const busy = madeBy(cluster, 0);
  // As many entries as the log has got; as many requests as were executed, and the registration.
  await expect
    .poll(() => {
      const [primary] = cluster.metrics().replicas;
      return [primary?.opNumber, (primary?.requestsExecuted ?? 0) + 1];
    })
    .toEqual([busy.entries, busy.requests]);
  expect([sum(busy.byRequests), sum(busy.byBytes)]).toEqual([busy.entries, busy.entries]);
  const most = busy.byRequests.reduce((total, [upTo, entries]) => total + upTo * entries, 0);
  expect(busy.requests).toBeGreaterThanOrEqual(busy.entries);
  expect(busy.requests).toBeLessThanOrEqual(most);

  expect([madeBy(cluster, 1).entries, madeBy(cluster, 2).entries]).toEqual([0, 0]);
  await cluster.admin.kill(0);
  await kv.set('a', 'after');
  expect(madeBy(cluster, 1).entries + madeBy(cluster, 2).entries).toBeGreaterThan(0);
  const normal = async () => (await cluster.status()).replicas[0]?.state;
  await expect.poll(normal, { timeout: 20_000 }).toBe('normal');
  expect(madeBy(cluster, 0)).toEqual(busy);
});
