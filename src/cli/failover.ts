// Kills a replica under load and times what follows. The gap is the longest silence between two acknowledgements from the kill
// until all replicas are normal again: what a user of the store would have felt, and never less than the failover itself.

import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Cluster, ClusterStatus } from '../index.js';
import type { Ledger } from './ledger.js';

export interface Failover {
  readonly replica: number;
  readonly role: 'primary' | 'backup' | 'witness';
  /** Longest time without an acknowledgement. */
  readonly gapMs: number;
  /** From the kill to a primary that is another replica; null when the primary lived. */
  readonly newPrimaryMs: number | null;
  readonly newPrimary: number;
  /** From the kill to all replicas normal, the killed one restarted and caught up. */
  readonly allNormalMs: number;
  /** Operations in the log of the killed replica's successor at the end. */
  readonly logBytes: number;
}

const POLL_MS = 5;
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
  const views = cluster.on('viewchange', (view) => {
    if (view.primary !== replica) newPrimaryMs ??= performance.now() - killedAt;
  });
  const silence = ledger.watch();
  try {
    await cluster.admin.kill(replica);
    const status = await whole(cluster, { replica, start: victim.start });
    ledger.unwatch(silence);
    const successor = status.replicas.find((one) => one.id === replica);
    return {
      replica,
      role: victim.role,
      gapMs: silence.longestMs,
      newPrimaryMs,
      newPrimary: status.primary,
      allNormalMs: performance.now() - killedAt,
      logBytes: successor?.logBytes ?? 0,
    };
  } finally {
    views[Symbol.dispose]();
  }
}

/** Resolves once every replica is normal and the killed one has a successor. */
async function whole(
  cluster: Cluster,
  killed: { readonly replica: number; readonly start: number },
): Promise<ClusterStatus> {
  const deadline = performance.now() + RECOVERY_MS;
  for (;;) {
    const status = await cluster.status();
    const successor = status.replicas.find((one) => one.id === killed.replica);
    const restarted = successor !== undefined && successor.start > killed.start;
    if (restarted && status.replicas.every((one) => one.state === 'normal')) return status;
    if (performance.now() > deadline)
      throw new Error(
        `replica ${killed.replica} is not back ${RECOVERY_MS / 1e3} s after it was killed: ${states(status)}`,
      );
    await sleep(POLL_MS);
  }
}

function states(status: ClusterStatus): string {
  return status.replicas.map((one) => `replica ${one.id} ${one.state}`).join(', ');
}
