// What takes turns in the run of the targets. Contenders of the comparison and of the peers are what they are there; the others are started
// afresh in every round, each beside what it is compared with.

import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { open } from 'viewstamp';
import type { CapacityGate } from '#dist/cli/capacity.js';
import { isClean, Ledger } from '#dist/cli/ledger.js';
import { CANONICAL, type WorkloadShape } from '#dist/cli/workload.js';
import {
  ATTEMPTS,
  type Entrant,
  type RoundTimes,
  type Running,
  SETTLE_MS,
} from '../cluster/contender.js';
import { killInTurn } from '../cluster/kills.js';
import { NAIVE } from '../cluster/naive.js';
import { LOG_IN_USE, LoadedCluster, PIPELINES, PROMISES } from '../cluster/replicated.js';
import { startUnreplicated, UNREPLICATED } from '../cluster/unreplicated.js';
import { viewChangeAfter } from '../cluster/view-change.js';
import { ringRatios } from '../micro/ring-ratios.js';
import { type Effort, FULL_EFFORT, SMOKE_EFFORT } from '../micro/rounds.js';
import { obstacle } from '../peers/comparison.js';
import { REDIS } from '../peers/redis.js';
import { findProgram, type Servers } from '../peers/servers.js';
import { askChild } from './child.js';
import type { Traced, TraceRequest } from './collections.child.js';
import { collectionsOf } from './collections.js';
import type { ProbeId, Samples } from './figures.js';
import { startManyClients } from './many-clients.js';
import type { SingleLatency, SingleRequest } from './single.child.js';

export interface Size {
  readonly settleMs: number;
  readonly times: RoundTimes;
  /** Of a measurement that the host disturbs. */
  readonly attempts: number;
  /** Of each replica's log, resident before. */
  readonly logBytes: number;
  /** Load on a process that is started for one round: a failover is rehearsed in its first two seconds, which leaves garbage. */
  readonly freshMs: number;
  /** Where one operation follows the other there are few in any time: so many first, within so long. */
  readonly singles: { readonly warmUpOperations: number; readonly warmUpMs: number };
  readonly kills: number;
  /** Before each of them. */
  readonly loadMs: number;
  /** Operations before a view change. */
  readonly few: number;
  readonly many: number;
  readonly effort: Effort;
}

export const FULL_SIZE: Size = {
  settleMs: SETTLE_MS,
  logBytes: LOG_IN_USE,
  times: { warmUpMs: 200, measureMs: 1000 },
  attempts: ATTEMPTS,
  freshMs: 5000,
  singles: { warmUpOperations: 40_000, warmUpMs: 20_000 },
  kills: 3,
  loadMs: 1000,
  few: 1e3,
  many: 1e6,
  effort: { ...FULL_EFFORT, rounds: 1 },
};

export const SMOKE_SIZE: Size = {
  settleMs: 5,
  logBytes: 0,
  times: { warmUpMs: 5, measureMs: 20 },
  attempts: 1,
  freshMs: 20,
  singles: { warmUpOperations: 20, warmUpMs: 1000 },
  kills: 1,
  loadMs: 20,
  few: 500,
  many: 1000,
  effort: SMOKE_EFFORT,
};

export interface Surroundings {
  readonly size: Size;
  readonly gate: CapacityGate;
  readonly servers: Servers;
  /** Three executing replicas, loaded in turn with whatever needs no other ones. */
  readonly cluster: LoadedCluster;
}

const REPLICAS = 3;
const TASKSET = { name: 'taskset', package: 'util-linux' };
const ALL_WRITES: WorkloadShape = { ...CANONICAL, mix: { set: 100 } };
const ALL_READS: WorkloadShape = { ...CANONICAL, mix: { get: 100 } };

/** Nothing to keep between rounds. */
function fresh<R>(name: string, round: (times: RoundTimes) => Promise<R>): Entrant<R> {
  return { name, start: async () => ({ settle: async () => {}, round, close: async () => {} }) };
}

/** A core that this process may use. */
function someCore(): string {
  const list = /^Cpus_allowed_list:\s*(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'));
  return list?.[1] ?? '0';
}

function single(
  name: string,
  { size }: Surroundings,
  starter: readonly string[],
): Entrant<SingleLatency> {
  const script = new URL('./single.child.js', import.meta.url);
  return fresh(name, async ({ measureMs }) => {
    const request: SingleRequest = { ...size.singles, measureMs };
    return (await askChild<SingleLatency>(script, { request, starter })).answer;
  });
}

function singleOnOneCore(surroundings: Surroundings): Entrant<SingleLatency> {
  const taskset = findProgram(TASKSET);
  if (taskset === undefined) throw new Error(`${TASKSET.name} is not installed`);
  const starter = [taskset, '-c', someCore()];
  return single('single operations on one core', surroundings, starter);
}

async function startRedis(servers: Servers): Promise<Running<Samples['redis']>> {
  const ways: Running[] = [];
  for (const entrant of await REDIS.open(servers)) ways.push(await entrant.start());
  return {
    round: async (times) => {
      const rounds = [];
      for (const way of ways) rounds.push(await way.round(times));
      return rounds;
    },
    close: async () => {
      for (const way of ways) await way.close();
    },
  };
}

/** One cluster for all rounds, as `npm run bench` has it. */
async function startKills({ size }: Surroundings): Promise<Running<Samples['kills']>> {
  const cluster = await open({ name: 'kills' });
  const ledger = new Ledger(cluster);
  return {
    settle: async (milliseconds) => {
      ledger.start();
      await sleep(milliseconds);
      await ledger.stop();
    },
    round: async () => {
      ledger.start();
      const kills = await killInTurn(cluster, ledger, size);
      await ledger.stop();
      const audit = await ledger.audit();
      if (!isClean(audit))
        throw new Error(`acknowledged writes are not all there: ${JSON.stringify(audit)}`);
      return kills.map(({ gapMs }) => gapMs);
    },
    close: () => cluster.close(),
  };
}

async function collections(
  { size }: Surroundings,
  measureMs: number,
): Promise<Samples['collections']> {
  const script = new URL('./collections.child.js', import.meta.url);
  const request: TraceRequest = {
    times: { warmUpMs: size.freshMs, measureMs },
    logBytes: size.logBytes,
  };
  const { answer, output } = await askChild<Traced>(script, { request, flags: ['--expose-gc'] });
  return collectionsOf(output, { ...answer, replicas: REPLICAS });
}

type Probes = { readonly [P in ProbeId]: (surroundings: Surroundings) => Entrant<Samples[P]> };

export const PROBES: Probes = {
  unreplicated: () => UNREPLICATED,
  unreplicatedWrites: () => ({
    name: 'unreplicated, all writes',
    start: () => startUnreplicated(ALL_WRITES),
  }),
  replicas: ({ cluster }) => ({
    name: '3 replicas, pipelines',
    start: () => cluster.start(PIPELINES),
  }),
  writes: ({ cluster }) => ({
    name: '3 replicas, pipelines, all writes',
    start: () => cluster.start(PIPELINES, ALL_WRITES),
  }),
  reads: ({ cluster }) => ({
    name: '3 replicas, pipelines, all reads',
    start: () => cluster.start(PIPELINES, ALL_READS),
  }),
  witness: ({ size }) => ({
    name: '2 replicas + 1 witness, pipelines',
    start: () => new LoadedCluster(1, size.logBytes).start(PIPELINES),
  }),
  promise: ({ cluster }) => ({
    name: '3 replicas, a promise per operation',
    start: () => cluster.start(PROMISES),
  }),
  singles: ({ size }) => ({
    name: '3 replicas, requests of one operation',
    start: () => startManyClients(size.logBytes),
  }),
  naive: () => NAIVE,
  redis: ({ servers }) => ({ name: 'Redis, WAIT 1', start: () => startRedis(servers) }),
  ring: ({ size, gate }) => fresh('ring', () => ringRatios(size.effort, gate)),
  oneCore: singleOnOneCore,
  allCores: (surroundings) => single('single operations', surroundings, []),
  kills: (surroundings) => ({
    name: 'kills of the primary',
    start: () => startKills(surroundings),
  }),
  viewChanges: ({ size }) =>
    fresh('view changes', async () => ({
      few: (await viewChangeAfter(size.few)).viewMs,
      many: (await viewChangeAfter(size.many)).viewMs,
    })),
  collections: (surroundings) =>
    fresh('collections', ({ measureMs }) => collections(surroundings, measureMs)),
};

/** Why a probe cannot take part here; undefined: it can. */
export function obstacleOf(probe: ProbeId): string | undefined {
  if (probe === 'redis') return obstacle(REDIS);
  if (probe === 'oneCore') return obstacle({ program: TASKSET });
  return undefined;
}
