// A view change after so many operations: with checkpoints it takes no longer when there were more of them.

import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { open } from 'viewstamp';
import { untilAgreed, VALUE_BYTES, Writing } from './writing.js';

export interface ViewChange {
  /** From the kill of an idle cluster's primary to the answer to the next write. */
  readonly viewMs: number;
  /** To all replicas normal, the killed one restarted. */
  readonly backMs: number;
}

const KEYS = 1000;
const TIMEOUT_MS = 20_000;
const POLL_MS = 2;

/** In a fresh cluster that has executed `operations`. */
export async function viewChangeAfter(operations: number): Promise<ViewChange> {
  await using cluster = await open();
  await new Writing(cluster, VALUE_BYTES).operations(operations, KEYS);
  await untilAgreed(cluster);
  const { primary } = await cluster.status();
  const began = performance.now();
  const killed = cluster.admin.kill(primary);
  await cluster.kv.set('after', 1, { timeoutMs: TIMEOUT_MS });
  const viewMs = performance.now() - began;
  await killed;
  for (;;) {
    const { replicas } = await cluster.status();
    const whole = replicas.every(
      ({ state, start }, id) => state === 'normal' && (id !== primary || start > 1),
    );
    if (whole) return { viewMs, backMs: performance.now() - began };
    await sleep(POLL_MS);
  }
}
