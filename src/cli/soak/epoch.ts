// One cluster of a soak, from its opening to the verdict on it: client threads, one fault after the other, closing reads, digests.

import { setTimeout as sleep } from 'node:timers/promises';
import { type ClusterHandle, openCluster } from '../../actors/cluster.js';
import type { OpenOptions } from '../../index.js';
import { type CheckResult, checkHistories, counterKeys } from './check.js';
import type { ClientThreads } from './clients.js';
import { digests } from './digests.js';
import { History, isCounter } from './history.js';
import { type Injury, inflict } from './inflict.js';
import { keySpace } from './keys.js';
import { outputOf } from './lane.js';
import { type MemorySample, sample } from './memory.js';
import { Patient } from './patient.js';
import type { ClusterShape, Plan } from './plan.js';

export interface EpochOptions {
  readonly shape: ClusterShape;
  readonly plan: Plan;
  readonly ringBytes: number | null;
  readonly logBytes: number;
  /** Asked before each fault. */
  readonly done: () => boolean;
  readonly clients: ClientThreads;
  /** Closing reads. */
  readonly closing: SharedArrayBuffer;
  readonly collect: () => void;
  /** When the soak began, for the samples. */
  readonly beganAt: number;
  readonly signal: AbortSignal;
  readonly onInjury: (injury: Injury) => void;
}

export interface EpochResult {
  readonly settings: ReturnType<Plan['nextSettings']>;
  readonly injuries: readonly Injury[];
  /** While it ran, and one when it was closed. */
  readonly samples: readonly MemorySample[];
  readonly after: MemorySample;
  readonly check: CheckResult;
  readonly digestsEqual: boolean;
  readonly viewChanges: number;
  /** Of one replica at the end. */
  readonly logBytes: number;
}

/** Quick enough that a primary that hangs is replaced in well under a second. */
const TIMING = { heartbeatMs: 40, viewTimeoutMs: 350, hangMs: 1000 } as const;
const STORE_BYTES = 64 << 20;
/** Little, for it is to be exhausted quickly. */
const HEAP_MIB = 128;
const WHOLE_MS = 60_000;
const SAMPLE_MS = 1000;
/** Threads that have ended give their memory back. */
const SETTLE_MS = 200;
/** In the history; lanes have smaller numbers. */
const CLOSING_CLIENT = 1 << 20;

/** Nothing lost, doubled or out of order, and no replica differs; what was not decided does not count as safe. */
export function isSafe({ check, digestsEqual }: EpochResult): boolean {
  const { violations, undecided, lost, doubled } = check;
  return digestsEqual && violations.length + undecided.length + lost + doubled === 0;
}

/** @throws when the cluster cannot be opened, is lost, or is not whole again in time; or the signal's reason */
export async function runEpoch(options: EpochOptions): Promise<EpochResult> {
  const { shape, plan, clients, signal } = options;
  const settings = plan.nextSettings(options.ringBytes);
  const open: OpenOptions = {
    name: 'soak',
    replicas: shape.replicas,
    witnesses: shape.witnesses,
    batch: settings.batch,
    timing: TIMING,
    limits: {
      ringBytes: settings.ringBytes,
      logBytes: options.logBytes,
      storeBytes: STORE_BYTES,
      replicaHeapMiB: HEAP_MIB,
    },
    signal,
  };
  const cluster = await openCluster(open, true);
  try {
    using patient = new Patient(cluster, shape.replicas);
    if (!(await patient.whole(WHOLE_MS))) throw new Error(`not whole: ${patient.describe()}`);
    clients.start(cluster);
    const hurt = await hurtUntil(options, cluster, patient);
    await clients.stop();
    const { viewChanges } = cluster.metrics();
    const counters = await closingReads(cluster, options);
    const last = await digests(cluster);
    await cluster.close();
    const histories = [...clients.histories, options.closing];
    const check = await checkHistories(histories, shape.clients, counters);
    await sleep(SETTLE_MS);
    const after = sample(options.collect, performance.now() - options.beganAt, 0);
    return { settings, ...hurt, after, check, viewChanges, ...last };
  } finally {
    await clients.kill();
    await cluster.close({ drainMs: 0 });
  }
}

async function hurtUntil(
  options: EpochOptions,
  cluster: ClusterHandle,
  patient: Patient,
): Promise<Pick<EpochResult, 'injuries' | 'samples'>> {
  const { plan, signal, clients } = options;
  const injuries: Injury[] = [];
  const samples: MemorySample[] = [];
  let sampledAt = 0;
  while (!options.done()) {
    await sleep(plan.quiet(), undefined, { signal });
    if (clients.failure !== undefined) throw clients.failure;
    if (performance.now() - sampledAt >= SAMPLE_MS) {
      const { replicas } = await cluster.status();
      const logBytes = replicas.reduce((sum, replica) => sum + replica.logBytes, 0);
      sampledAt = performance.now();
      samples.push(sample(options.collect, sampledAt - options.beganAt, logBytes));
    }
    const injury = await inflict(plan.nextFault(), { cluster, clients, patient });
    injuries.push(injury);
    options.onInjury(injury);
  }
  return { injuries, samples };
}

/** Every key is read once more, as one more client of the history. @returns what the counters hold, by place. */
async function closingReads(
  cluster: ClusterHandle,
  options: EpochOptions,
): Promise<Map<number, number>> {
  const space = keySpace(options.shape.clients);
  const history = new History(options.closing);
  history.clear();
  const found = new Map<number, number>();
  for (const [key, name] of space.keys.entries()) {
    const row = history.begin(CLOSING_CLIENT, [{ kind: 'get', key, value: 0, expected: 0 }]);
    const output = outputOf(await cluster.kv.get(name), isCounter(name));
    history.end(row, output);
    found.set(key, output);
  }
  return new Map(counterKeys(space).map((key) => [key, Math.max(0, found.get(key) ?? 0)]));
}
