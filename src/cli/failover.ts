// Kills a replica under load and times what follows: the gap, which is what its users feel of the failover, and how long it takes
// until all is as before.

import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Cluster, ClusterStatus } from '../index.js';
import type { Ledger } from './ledger.js';

export interface Failover {
  readonly replica: number;
  readonly role: 'primary' | 'backup' | 'witness';
  /**
   * Longest silence between two acknowledgements: of a primary, from before the kill until its successor has acknowledged a
   * request that was made of it; of another replica the same as `silenceMs`.
   */
  readonly gapMs: number;
  /** The same until all replicas are normal again, the load of the recovery included. */
  readonly silenceMs: number;
  /** From the kill to a primary that is another replica; null when the primary lived. */
  readonly newPrimaryMs: number | null;
  readonly newPrimary: number;
  /** From the kill to all replicas normal, the killed one restarted and caught up. */
  readonly allNormalMs: number;
  /** Operations in the log of the killed replica's successor at the end. */
  readonly logBytes: number;
}

const POLL_MS = 250;
/** A replica that is not back after this has failed to recover. */
const RECOVERY_MS = 60_000;

/** @throws when the cluster is not whole again in time. */
export async function killUnderLoad(
  cluster: Cluster,
  ledger: Ledger,
  replica: number,
): Promise<Failover> {
  const before = await cluster.status();
  const victim = before.replicas.find((one) => one.id === replica);
  if (victim === undefined) throw new Error(`there is no replica ${replica}`);
  let newPrimaryMs: number | null = null;
  const killedAt = performance.now();
  const gap = ledger.watch();
  const silence = ledger.watch();
  const views = cluster.on('viewchange', (view) => {
    if (view.primary === replica) return;
    newPrimaryMs ??= performance.now() - killedAt;
    ledger.unwatchAfterNext(gap);
  });
  try {
    await cluster.admin.kill(replica);
    const status = await whole(cluster, { replica, start: victim.start });
    for (const watch of [gap, silence]) ledger.unwatch(watch);
    const successor = status.replicas.find((one) => one.id === replica);
    return {
      replica,
      role: victim.role,
      gapMs: gap.longestMs,
      silenceMs: silence.longestMs,
      newPrimaryMs,
      newPrimary: status.primary,
      allNormalMs: performance.now() - killedAt,
      logBytes: successor?.logBytes ?? 0,
    };
  } finally {
    views[Symbol.dispose]();
  }
}

/** Resolves once every replica is normal and the killed one has a successor. It asks only after news, to be no load itself. */
async function whole(
  cluster: Cluster,
  killed: { readonly replica: number; readonly start: number },
): Promise<ClusterStatus> {
  const deadline = performance.now() + RECOVERY_MS;
  let news = (): void => undefined;
  const states = cluster.on('replicastate', () => news());
  try {
    for (;;) {
      const heard = new Promise<void>((resolve) => {
        news = resolve;
      });
      const status = await cluster.status();
      const successor = status.replicas.find((one) => one.id === killed.replica);
      const restarted = successor !== undefined && successor.start > killed.start;
      if (restarted && status.replicas.every((one) => one.state === 'normal')) return status;
      if (performance.now() > deadline)
        throw new Error(
          `replica ${killed.replica} is not back ${RECOVERY_MS / 1e3} s after it was killed: ${describe(status)}`,
        );
      await Promise.race([heard, sleep(POLL_MS)]);
    }
  } finally {
    states[Symbol.dispose]();
  }
}

function describe(status: ClusterStatus): string {
  return status.replicas.map((one) => `replica ${one.id} ${one.state}`).join(', ');
}
