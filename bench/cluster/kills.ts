// Kills of the primary under full load, one after the other, each after all replicas are normal again; the books are checked at the
// end.

import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { open } from 'viewstamp';
import { type Failover, killUnderLoad } from '#dist/cli/failover.js';
import { type Audit, Ledger } from '#dist/cli/ledger.js';

export interface Kill extends Failover {
  /** How long there had been load when the primary was killed. */
  readonly writtenMs: number;
}

export interface Kills {
  readonly kills: readonly Kill[];
  readonly audit: Audit;
}

export async function killPrimaries(options: {
  readonly kills: number;
  /** Load before each kill. */
  readonly loadMs: number;
  readonly begin: (done: number) => void;
}): Promise<Kills> {
  const kills: Kill[] = [];
  await using cluster = await open({ name: 'kills', replicas: 3 });
  const ledger = new Ledger(cluster);
  const begin = performance.now();
  ledger.start();
  while (kills.length < options.kills) {
    options.begin(kills.length / options.kills);
    await sleep(options.loadMs);
    const { primary } = await cluster.status();
    const writtenMs = performance.now() - begin;
    kills.push({ ...(await killUnderLoad(cluster, ledger, primary)), writtenMs });
  }
  await ledger.stop();
  return { kills, audit: await ledger.audit() };
}
