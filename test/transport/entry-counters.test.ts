// Sizes of entries, counted in shared memory.

import { expect, test } from 'vitest';
import {
  BYTE_BUCKETS,
  type EntryCounters,
  powerBucket,
  REQUEST_BUCKETS,
} from '../../src/transport/entry-counters.js';
import { allocateMesh, ReplicaCounters } from '../../src/transport/mesh.js';

const mesh = () => allocateMesh({ replicas: 3, ringBytes: 64 << 10 });

/** What there is of it, without the empty buckets. */
function filled(buckets: readonly (readonly [number, number])[]) {
  return buckets.filter(([, entries]) => entries > 0);
}

test('a bucket ends at each power of two, and the next one begins above it', () => {
  expect([1, 2, 3, 4, 5, 8, 9, 16, 17].map(powerBucket)).toEqual([0, 1, 2, 2, 3, 3, 4, 4, 5]);
  for (let bucket = 1; bucket < 31; bucket++) {
    const upTo = 2 ** bucket;
    expect([powerBucket(upTo), powerBucket(upTo + 1)]).toEqual([bucket, bucket + 1]);
  }
});

test('an entry counts once by its requests and once by its bytes, and in the sums', () => {
  const { entries } = new ReplicaCounters(mesh(), 1);
  for (const [requests, bytes] of [
    [1, 40],
    [1, 64],
    [2, 72],
    [3, 65_536],
    [4, 65_544],
  ] as const)
    entries.count(requests, bytes);
  const { byRequests, byBytes, ...sums } = entries.read();
  expect(sums).toEqual({ entries: 5, requests: 11, bytes: 40 + 64 + 72 + 65_536 + 65_544 });
  expect(filled(byRequests)).toEqual([
    [1, 2],
    [2, 1],
    [4, 2],
  ]);
  expect(filled(byBytes)).toEqual([
    [64, 2],
    [128, 1],
    [65_536, 1],
    [131_072, 1],
  ]);
});

test('the largest entry that there can be has the last bucket; replicas have theirs apart', () => {
  const memory = mesh();
  const [first, second, third] = [0, 1, 2].map((id) => new ReplicaCounters(memory, id).entries);
  second?.count(4096, 4 << 20);
  const { byRequests, byBytes } = (second as EntryCounters).read();
  expect([byRequests.length, byBytes.length]).toEqual([REQUEST_BUCKETS, BYTE_BUCKETS]);
  expect([byRequests.at(-1), byBytes.at(-1)]).toEqual([
    [4096, 1],
    [4 << 20, 1],
  ]);
  for (const other of [first, third])
    expect(other?.read()).toMatchObject({ entries: 0, requests: 0, bytes: 0 });
});

test('whoever comes after goes on counting', () => {
  const memory = mesh();
  new ReplicaCounters(memory, 0).entries.count(2, 80);
  new ReplicaCounters(memory, 0).entries.count(2, 80);
  expect(new ReplicaCounters(structuredClone(memory), 0).entries.read()).toMatchObject({
    entries: 2,
    requests: 4,
    bytes: 160,
  });
});
