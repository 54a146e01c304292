// HB7 on a thread: the commit number waits a moment for a Prepare to ride on, but not while a backup has a reader waiting for it.

import { expect, test } from 'vitest';
import { CommitNews } from '../../src/actors/replica/commit-news.js';
import { makeConfiguration } from '../../src/protocol/configuration.js';
import type { ReplicaState } from '../../src/protocol/state.js';
import { allocateMesh, ReplicaBlock } from '../../src/transport/mesh.js';

function replica(announcedCommit: number, localReads: readonly unknown[] = []) {
  const configuration = makeConfiguration(3, 0, 1 << 20);
  const state = { announcedCommit, localReads, configuration, view: 1 } as unknown as ReplicaState;
  return { hasNews: true, state };
}

function blocks(): ReplicaBlock[] {
  const mesh = allocateMesh({ replicas: 3, ringBytes: 64 << 10 });
  return [0, 1, 2].map((id) => new ReplicaBlock(mesh, id));
}

test('what was committed is told when nothing took it along for a while, and the while begins anew with every telling', () => {
  const all = blocks();
  const primary = replica(7);
  const news = new CommitNews(primary, all[1] as ReplicaBlock, (id) => all[id]);
  const first = news.patienceMs(1000);
  expect(first).toBeGreaterThan(0);
  expect(news.patienceMs(1000 + first / 2)).toBe(first / 2);
  expect(news.patienceMs(1000 + first)).toBe(0);
  // A Prepare has told all of it up to 9; there is more already.
  primary.state.announcedCommit = 9;
  expect(news.patienceMs(1000 + first)).toBe(first);
  primary.hasNews = false;
  expect(news.patienceMs(5000)).toBe(Number.POSITIVE_INFINITY);
});

test('a backup with a waiting reader asks the primary once, and is told at once', async () => {
  const all = blocks();
  const primary = all[1] as ReplicaBlock;
  const asleep = primary.doorbell.park(() => false);
  const backup = new CommitNews(replica(0, [{}]), all[2] as ReplicaBlock, (id) => all[id]);
  backup.askFor();
  await asleep;
  expect(primary.newsWanted).toBe(true);
  const again = primary.doorbell.park(() => false);
  backup.askFor();
  expect(primary.doorbell.ring()).toBe(true); // it still slept
  await again;
  const news = new CommitNews(replica(7), primary, (id) => all[id]);
  expect(news.patienceMs(1000)).toBe(0);
  expect(news.patienceMs(1000)).toBeGreaterThan(0);
});

test('a backup without waiting readers asks nobody', () => {
  const all = blocks();
  new CommitNews(replica(0), all[2] as ReplicaBlock, (id) => all[id]).askFor();
  expect(all.map(({ newsWanted }) => newsWanted)).toEqual([false, false, false]);
});
