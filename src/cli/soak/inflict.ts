// Brings one fault about, and waits until the cluster is whole again.

import { setTimeout as sleep } from 'node:timers/promises';
import type { ClusterHandle } from '../../actors/cluster.js';
import type { ClientThreads } from './clients.js';
import { type Patient, Prober } from './patient.js';
import { type Fault, type FaultKind, PRIMARY, type Target } from './plan.js';

export interface Injury {
  readonly kind: FaultKind;
  /** False: the point was not reached in time, or there was nothing to damage. */
  readonly happened: boolean;
  /** Threads of replicas that ended. */
  readonly kills: number;
  /** The longest that a request had to wait, from before the fault until all were normal again. */
  readonly servingMs: number;
  /** From the end of the last thread, or else from the fault, until all were normal again. */
  readonly wholeMs: number;
  /** Bits flipped, and frames that a replica dropped for it; a client keeps no count. */
  readonly flips: number;
  readonly corrupt: number;
}

/** A point that nobody comes to: the fault did not happen. A thread that is started for it takes its time. */
const POINT_MS = 2000;
const NEW_THREAD_POINT_MS = 10_000;
/** A replica that is not back after this has failed to recover. */
const WHOLE_MS = 60_000;
/** The watchdog ends what hangs, and the collector fights for the last bytes of a heap. */
const SLOW_END_MS = 30_000;
const STILL_MS = 500;
/** Frames pile up before a client that stands still. */
const PILE_MS = 30;

/** So often a replica publishes the counters of its rings, and a little more. */
const COUNTERS_MS = 150;

type Outcome = Pick<Injury, 'happened' | 'flips' | 'corrupt'>;

export interface Ward {
  readonly cluster: ClusterHandle;
  readonly clients: ClientThreads;
  readonly patient: Patient;
}

/** @throws when the cluster is not whole again in time */
export async function inflict(fault: Fault, ward: Ward): Promise<Injury> {
  const { patient, cluster } = ward;
  patient.begin();
  const crashesBefore = patient.crashes;
  const prober = new Prober(cluster);
  const began = performance.now();
  let outcome: Outcome = { happened: false, flips: 0, corrupt: 0 };
  let whole = false;
  let servingMs = 0;
  try {
    outcome = await bringAbout(fault, ward);
    whole = await patient.whole(WHOLE_MS);
  } finally {
    servingMs = await prober.stop();
  }
  if (!whole)
    throw new Error(
      `not whole ${WHOLE_MS / 1e3} s after ${JSON.stringify(fault)}: ${patient.describe()}`,
    );
  const kills = patient.crashes - crashesBefore;
  return {
    kind: fault.kind,
    ...outcome,
    kills,
    servingMs,
    wholeMs: performance.now() - (kills > 0 ? patient.crashedAt : began),
  };
}

async function bringAbout(fault: Fault, ward: Ward): Promise<Outcome> {
  const { cluster, clients, patient } = ward;
  const ended: Outcome = { happened: true, flips: 0, corrupt: 0 };
  const replica = 'replica' in fault ? await resolve(cluster, fault.replica) : -1;
  const crash = (one: number, withinMs: number): Promise<boolean> =>
    patient.until(() => patient.hasCrashed(one), withinMs);
  switch (fault.kind) {
    case 'terminate': {
      const count = cluster.metrics().replicas.length;
      const all = Array.from({ length: 1 + fault.others }, (_, more) => (replica + more) % count);
      await Promise.all(all.map((one) => cluster.admin.kill(one)));
      await Promise.all(all.map((one) => crash(one, WHOLE_MS)));
      return ended;
    }
    case 'hang':
    case 'exhaustHeap':
      await cluster.fault(replica, fault.kind);
      return { ...ended, happened: await crash(replica, SLOW_END_MS) };
    case 'pause':
      await cluster.admin.pause(replica);
      await sleep(fault.ms);
      await cluster.admin.resume(replica);
      return ended;
    case 'flip':
      return await flip(cluster, replica, fault.count);
    case 'flipReplies': {
      const flips = await clients.whileStill(fault.client, STILL_MS, async (client) => {
        await sleep(PILE_MS);
        return await cluster.flip({ client }, fault.count);
      });
      return { ...ended, happened: (flips ?? 0) > 0, flips: flips ?? 0 };
    }
    case 'endClient':
      await clients.replace(fault.client);
      return ended;
    case 'inRecovery':
    case 'inTransfer': {
      // Its first thread ends at once, the next one at the point, and the third recovers.
      const before = patient.crashes;
      await cluster.fault(replica, fault.kind);
      const again = (): boolean => patient.crashes >= before + 2;
      const reached = await patient.until(again, NEW_THREAD_POINT_MS);
      if (!reached) await disarm(ward, replica);
      return { ...ended, happened: reached };
    }
    default: {
      await cluster.fault(replica, fault.kind, fault.times);
      if (fault.kind === 'afterRegister') await stepDown(cluster, patient, replica);
      const reached = await crash(replica, POINT_MS);
      if (!reached) await disarm(ward, replica);
      return { ...ended, happened: reached };
    }
  }
}

async function resolve(cluster: ClusterHandle, target: Target): Promise<number> {
  return target === PRIMARY ? (await cluster.status()).primary : target;
}

/** It must not come to its point later, when another one is hurt. */
async function disarm({ cluster, patient }: Ward, replica: number): Promise<void> {
  const before = patient.crashes;
  await cluster.admin.kill(replica);
  await patient.until(() => patient.crashes > before, WHOLE_MS);
}

async function flip(cluster: ClusterHandle, replica: number, count: number): Promise<Outcome> {
  const dropped = (): number => cluster.metrics().replicas[replica]?.framesCorrupt ?? 0;
  const before = dropped();
  const flips = await cluster.flip({ replica }, count);
  await sleep(COUNTERS_MS);
  return { happened: flips > 0, flips, corrupt: dropped() - before };
}

/** Promises are made in view changes only: there are some until the replica has come to its point. */
async function stepDown(cluster: ClusterHandle, patient: Patient, replica: number): Promise<void> {
  const until = performance.now() + POINT_MS;
  while (!patient.hasCrashed(replica) && performance.now() < until) {
    await cluster.admin.stepDown({ timeoutMs: POINT_MS }).catch(() => undefined);
    await patient.until(() => patient.hasCrashed(replica), 50);
  }
}
