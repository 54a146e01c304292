// The closing question to a cluster that nobody uses any more: do all replicas have the same state?

import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '../../index.js';

const CATCH_UP_MS = 30_000;

export interface Digests {
  readonly digestsEqual: boolean;
  /** Of one replica. */
  readonly logBytes: number;
}

/** Waits until all have executed the same, and compares (I11). @throws when one does not catch up */
export async function digests(cluster: Client): Promise<Digests> {
  for (const until = performance.now() + CATCH_UP_MS; performance.now() < until; await sleep(20)) {
    const { replicas } = await cluster.status();
    const active = replicas.filter(({ role }) => role !== 'witness');
    if (new Set(active.map(({ appliedNumber }) => appliedNumber)).size > 1) continue;
    const logBytes = Math.max(...replicas.map((replica) => replica.logBytes));
    return { digestsEqual: new Set(active.map(({ digest }) => digest)).size === 1, logBytes };
  }
  throw new Error(`replicas do not catch up within ${CATCH_UP_MS / 1e3} s`);
}
