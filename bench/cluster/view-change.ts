// A view change after so many operations: with checkpoints it takes no longer when there were more of them.

import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Cluster, type OpenOptions, open } from 'viewstamp';
import { untilAgreed, VALUE_BYTES, Writing } from './writing.js';

export interface ViewChange {
  /** From the kill of an idle cluster's primary to the answer to the next write. */
  readonly viewMs: number;
  /** To all replicas normal, the killed one restarted. */
  readonly backMs: number;
  /** What the replica whose turn it was received until then. */
  readonly nextBytes: number;
}

export interface ViewChangeOptions {
  readonly open?: OpenOptions;
  /** The replica whose turn comes next is paused from before the first operation until the kill. @default false */
  readonly away?: boolean;
}

const KEYS = 1000;
const TIMEOUT_MS = 20_000;
const POLL_MS = 2;
/** Longer than counters take to be published, and what was acknowledged to be executed everywhere. */
const COUNTED_MS = 300;

/** In a fresh cluster that has executed `operations`. */
export async function viewChangeAfter(
  operations: number,
  { open: options = {}, away = false }: ViewChangeOptions = {},
): Promise<ViewChange> {
  await using cluster = await open(options);
  const { primary, view, replicas } = await cluster.status();
  const next = (view + 1) % replicas.length;
  if (away) await cluster.admin.pause(next);
  await new Writing(cluster, VALUE_BYTES).operations(operations, KEYS);
  if (!away) await untilAgreed(cluster);
  await sleep(COUNTED_MS);
  const received = (): number => cluster.metrics().replicas[next]?.bytesIn ?? 0;
  const receivedBefore = received();
  const began = performance.now();
  const killed = cluster.admin.kill(primary);
  if (away) await cluster.admin.resume(next);
  await cluster.kv.set('after', 1, { timeoutMs: TIMEOUT_MS });
  const viewMs = performance.now() - began;
  await killed;
  await untilWhole(cluster, primary);
  const backMs = performance.now() - began;
  await sleep(COUNTED_MS);
  return { viewMs, backMs, nextBytes: received() - receivedBefore };
}

/** All normal, and the one that was killed another. */
async function untilWhole(cluster: Cluster, killed: number): Promise<void> {
  for (;;) {
    const { replicas } = await cluster.status();
    const whole = replicas.every(
      ({ state, start }, id) => state === 'normal' && (id !== killed || start > 1),
    );
    if (whole) return;
    await sleep(POLL_MS);
  }
}
