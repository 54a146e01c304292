// Kills of the primary under full load, one after the other, each after all replicas are normal again; the books are checked at the
// end.

import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Cluster, open } from 'viewstamp';
import { type Failover, killUnderLoad } from '#dist/cli/failover.js';
import { type Audit, Ledger } from '#dist/cli/ledger.js';

export interface Kill extends Failover {
  /** How long there had been load when the primary was killed. */
  readonly writtenMs: number;
}

export interface KillOptions {
  readonly kills: number;
  /** Load before each kill. */
  readonly loadMs: number;
}

export interface Kills {
  readonly kills: readonly Kill[];
  readonly audit: Audit;
}

/** Opens a cluster for `kills` kills. */
export async function killPrimaries(options: KillOptions): Promise<Kills> {
  await using cluster = await open({ name: 'kills', replicas: 3 });
  const ledger = new Ledger(cluster);
  ledger.start();
  const kills = await killInTurn(cluster, ledger, options);
  await ledger.stop();
  return { kills, audit: await ledger.audit() };
}

/** Under the load of `ledger`, which has been started. */
export async function killInTurn(
  cluster: Cluster,
  ledger: Ledger,
  options: KillOptions,
): Promise<Kill[]> {
  const kills: Kill[] = [];
  const begin = performance.now();
  while (kills.length < options.kills) {
    await sleep(options.loadMs);
    const { primary } = await cluster.status();
    const writtenMs = performance.now() - begin;
    kills.push({ ...(await killUnderLoad(cluster, ledger, primary)), writtenMs });
  }
  return kills;
}
