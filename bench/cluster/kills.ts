// Kills of the primary under full load, one after the other, each after all replicas are normal again. The log is never
// truncated, so a cluster serves for a few kills only, and then the next one takes over; the books are checked for each.

import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { open } from 'viewstamp';
import { type Failover, killUnderLoad } from '#dist/cli/failover.js';
import { type Audit, Ledger } from '#dist/cli/ledger.js';

export interface Kill extends Failover {
  /** How long the log of the cluster had been written when the primary was killed. */
  readonly writtenMs: number;
}

export interface Kills {
  readonly kills: readonly Kill[];
  /** One per cluster. */
  readonly audits: readonly Audit[];
}

/** A new cluster takes over when this share of the log is used. */
const FRESH_AT = 0.15;
/** Room for what is written while a killed replica recovers. */
const LOG_BYTES = 2 ** 31;

export async function killPrimaries(options: {
  readonly kills: number;
  /** Load before each kill. */
  readonly loadMs: number;
  readonly begin: (done: number) => void;
}): Promise<Kills> {
  const kills: Kill[] = [];
  const audits: Audit[] = [];
  while (kills.length < options.kills) audits.push(await oneCluster(options, kills));
  return { kills, audits };
}

async function oneCluster(
  options: {
    readonly kills: number;
    readonly loadMs: number;
    readonly begin: (done: number) => void;
  },
  kills: Kill[],
): Promise<Audit> {
  await using cluster = await open({ name: 'kills', replicas: 3, limits: { logBytes: LOG_BYTES } });
  const ledger = new Ledger(cluster);
  const begin = performance.now();
  ledger.start();
  let used = 0;
  while (kills.length < options.kills && used < FRESH_AT * LOG_BYTES) {
    options.begin(kills.length / options.kills);
    await sleep(options.loadMs);
    const { primary } = await cluster.status();
    const writtenMs = performance.now() - begin;
    const failover = await killUnderLoad(cluster, ledger, primary);
    kills.push({ ...failover, writtenMs });
    used = failover.logBytes;
  }
  await ledger.stop();
  return await ledger.audit();
}

/** One set of books over all clusters. */
export function addAudits(audits: readonly Audit[]): Audit {
  const sum = (figure: (audit: Audit) => number): number =>
    audits.reduce((total, audit) => total + figure(audit), 0);
  return {
    acknowledged: sum((audit) => audit.acknowledged),
    missing: sum((audit) => audit.missing),
    unexplained: sum((audit) => audit.unexplained),
    unknown: sum((audit) => audit.unknown),
    keys: sum((audit) => audit.keys),
    counter: sum((audit) => audit.counter),
    counterLeast: sum((audit) => audit.counterLeast),
    counterMost: sum((audit) => audit.counterMost),
  };
}
