// Everything that a run does, drawn from its seed before it begins: the group, its limits, the weather, and a list of faults with
// their times. Each kind of fault is off in half of the seeds, so that the others can do what it would hide (swarm testing). A plan
// can be cut down - fewer faults, less weather, fewer calls - and still means the same otherwise, which is how a failing seed is
// made short.

import type { ClientTiming } from '../../protocol/client/state.js';
import { DEFAULT_CLIENT_TIMING } from '../../protocol/client/state.js';
import { faultsTolerated } from '../../protocol/configuration.js';
import type { Durability } from '../../protocol/durability.js';
import type { ProtocolLimits, ProtocolTiming } from '../../protocol/limits.js';
import { DEFAULT_TIMING, TICK_MS } from '../../protocol/limits.js';
import type { CallsPlan } from './calls.js';
import { Dice } from './dice.js';
import type { WeatherPlan } from './weather.js';

/** Kinds that last for a whole run. */
export const WEATHERS = ['loss', 'delay', 'slowLink', 'duplicate', 'replay', 'reorder'] as const;
/** Kinds that begin and end. */
export const EPISODES = [
  'partition',
  'deposed',
  'flapping',
  'clog',
  'swizzle',
  'crash',
  'crashAtEffect',
  'crashInRepair',
  'restart',
  'pause',
  'clockRate',
  'clockStep',
  'smallRings',
  'overload',
  'clientDeath',
  'falseHint',
  'slowApply',
  'stepDown',
  'killAll',
  'diskLost',
  'diskRot',
  'slowDisk',
  'failingFlush',
] as const;

export type WeatherKind = (typeof WEATHERS)[number];
export type EpisodeKind = (typeof EPISODES)[number];
export type FaultKind = WeatherKind | EpisodeKind;
export const FAULT_KINDS: readonly FaultKind[] = [...WEATHERS, ...EPISODES];

/** One fault: when it begins and ends, in ticks, and the seed of whatever else it draws. */
export interface Episode {
  readonly kind: EpisodeKind;
  readonly at: number;
  readonly ticks: number;
  readonly seed: number;
}

export interface Plan {
  readonly seed: number;
  readonly replicas: number;
  readonly witnesses: number;
  readonly clients: number;
  readonly hints: boolean;
  readonly durability: Durability;
  /** Ticks that a flush takes. */
  readonly flushTicks: number;
  readonly limits: Partial<ProtocolLimits>;
  readonly timing: ProtocolTiming;
  /** By replica: how fast the clock goes that its leases are measured with. */
  readonly leaseRates: readonly number[];
  readonly clientTiming: ClientTiming;
  readonly kinds: readonly FaultKind[];
  readonly weather: WeatherPlan;
  readonly episodes: readonly Episode[];
  /** Ticks of the first phase, with faults. */
  readonly storm: number;
  /** A quarter of it without: [from, to). */
  readonly quiet: readonly [number, number];
  /** Requests of all clients in the first phase: per tick, and in all at most. */
  readonly requestsPerTick: number;
  readonly requestsMax: number;
  readonly calls: CallsPlan;
  /** Second phase: a majority is healed and the others stay broken for good; null: everybody is healed. */
  readonly lasting: boolean;
}

/** What of a plan is left out. */
export interface Cuts {
  /** Indexes of the episodes that stay. */
  readonly episodes?: readonly number[];
  readonly without?: readonly FaultKind[];
  readonly requests?: number;
  /** Ticks of the first phase. */
  readonly storm?: number;
}

export const SEED_MAX: number = 2 ** 32 - 1;

const SIZES = [1, 2, 3, 3, 3, 3, 3, 4, 5, 5, 5, 6, 7];
const DURABILITIES: readonly Durability[] = ['memory', 'memory', 'memory', 'sync', 'sync', 'async'];
const EPISODES_MAX = 4;
/** Overload multiplies what is asked for; a run stays short all the same. */
const REQUESTS_MAX = 1500;
/** 10 s in rounds of 2.5 ms. */
const REPLAY_ROUNDS = 4000;

export function drawPlan(seed: number): Plan {
  const dice = new Dice(Math.imul(seed, 0x9e3779b1) ^ 0x51ed270b);
  const kinds = FAULT_KINDS.filter(() => dice.chance(0.5));
  const replicas = dice.pick(SIZES);
  const witnesses = dice.chance(0.4) ? dice.below(faultsTolerated(replicas) + 1) : 0;
  const storm = dice.between(200, 900);
  const quietFrom = Math.floor((storm * dice.below(4)) / 4);
  const limits = drawLimits(dice);
  const quick = dice.chance(0.6);
  const durability = dice.pick(DURABILITIES);
  const timing = quick ? quickTiming(dice) : DEFAULT_TIMING;
  const lease = drawLease(seed, { kinds, replicas, viewTimeout: timing.viewTimeout });
  return {
    seed,
    replicas,
    witnesses,
    clients: dice.between(1, 6),
    hints: dice.chance(0.6),
    durability,
    flushTicks: durability === 'memory' ? 0 : dice.pick([0, 0, 1, 3, 8]),
    limits,
    timing: { ...timing, ...lease.timing },
    leaseRates: lease.rates,
    clientTiming: quick
      ? { retry: dice.between(15, 40), retryMax: 60, notPrimary: 3, local: 6 }
      : DEFAULT_CLIENT_TIMING,
    kinds,
    weather: drawWeather(dice, kinds),
    episodes: drawEpisodes(dice, kinds, storm),
    storm,
    quiet: [quietFrom, quietFrom + Math.floor(storm / 4)],
    requestsPerTick: dice.between(100, 400) / storm,
    requestsMax: REQUESTS_MAX,
    calls: {
      keys: dice.between(1, 4),
      batch: dice.between(1, 6),
      reads: dice.below(50) / 100,
      local: lease.local,
      atomic: dice.chance(0.5) ? 0.1 : 0,
    },
    lasting: dice.chance(1 / 3),
  };
}

/** As drawn, without what `cuts` leaves out. */
export function cutPlan(plan: Plan, cuts: Cuts): Plan {
  const without = new Set<FaultKind>(cuts.without ?? []);
  const kept = cuts.episodes === undefined ? null : new Set(cuts.episodes);
  const kinds = plan.kinds.filter((kind) => !without.has(kind));
  const storm = Math.min(plan.storm, cuts.storm ?? plan.storm);
  const { weather } = plan;
  return {
    ...plan,
    kinds,
    storm,
    requestsMax: Math.min(plan.requestsMax, cuts.requests ?? plan.requestsMax),
    episodes: plan.episodes.filter(
      ({ kind, at }, index) =>
        (kept === null || kept.has(index)) && !without.has(kind) && at < storm,
    ),
    weather: {
      ...weather,
      loss: without.has('loss') ? 0 : weather.loss,
      delay: without.has('delay') ? 0 : weather.delay,
      slowLink: weather.slowLink && !without.has('slowLink'),
      duplicate: without.has('duplicate') ? 0 : weather.duplicate,
      replay: without.has('replay') ? 0 : weather.replay,
      reorder: weather.reorder && !without.has('reorder'),
    },
  };
}

function drawLimits(dice: Dice): Partial<ProtocolLimits> {
  const limits: { -readonly [K in keyof ProtocolLimits]?: ProtocolLimits[K] } = {
    batchMax: dice.pick([1, 2, 8, 64]),
    tailEntries: dice.below(9),
  };
  if (dice.chance(0.5)) {
    limits.window = dice.between(2, 8);
    limits.messageBytes = dice.pick([256, 1024, 8192]);
    limits.sessionWindow = dice.between(2, 8);
  }
  // Rows are evicted while their clients live.
  if (dice.chance(0.25)) limits.maxSessions = dice.between(2, 5);
  if (dice.chance(0.25)) limits.sessionReplyBytes = dice.between(64, 512);
  if (dice.chance(0.15)) limits.queueMax = dice.between(2, 20);
  if (dice.chance(0.2)) limits.waitingReads = dice.between(1, 8);
  if (dice.chance(0.2)) limits.batchBytes = dice.between(256, 2048);
  if (dice.chance(0.05)) limits.logBytes = dice.between(8, 40) * 1024;
  if (dice.chance(0.2)) limits.lingerUs = 20_000;
  // A small log: who is away for a moment has to come back by pages.
  if (dice.chance(0.6)) {
    limits.checkpointEvery = dice.pick([4, 4, 8, 16, 64]);
    limits.retain = dice.pick([0, 0, 4, 16]);
    if (dice.chance(0.3)) limits.checkpointBytes = dice.between(1, 8) * 1024;
  }
  return limits;
}

/** Word of an exit that is not true is the one thing that leases do not stand (RD10). */
function drawLease(
  seed: number,
  about: { kinds: readonly FaultKind[]; replicas: number; viewTimeout: number },
): {
  timing: Pick<ProtocolTiming, 'leaseMs' | 'clockDrift'>;
  rates: number[];
  local: number;
} {
  // Dice of its own: what else a seed means does not depend on leases.
  const dice = new Dice(Math.imul(seed, 0x85ebca6b) ^ 0x27d4eb2f);
  const on = dice.chance(0.7) && !about.kinds.includes('falseHint');
  const clockDrift = dice.pick([0, 0, 0.05, 0.2]);
  const leaseMs = Math.ceil(about.viewTimeout * TICK_MS * dice.pick([0.2, 0.6, 0.6, 1.5]));
  const rates = Array.from(
    { length: about.replicas },
    () => 1 + (clockDrift * dice.between(-100, 100)) / 100,
  );
  const local = dice.pick([0, 0.3, 0.7]);
  return { timing: { leaseMs: on ? leaseMs : 0, clockDrift }, rates, local };
}

/** Short timers, so that a run sees many view changes. */
function quickTiming(dice: Dice): ProtocolTiming {
  return {
    heartbeat: 2,
    viewTimeout: dice.between(10, 30),
    prepareResend: 4,
    transferRetry: 4,
    transferRetryMax: 32,
    startViewRequest: 2,
    recoveryResend: 2,
    recoveryResendMax: 16,
    downExpiry: 100,
    calm: 150,
    pin: dice.pick([4, 20, 100]),
    coldWait: 20,
    retryAfterMs: 20,
    readWait: 3,
    leaseMs: 0,
    clockDrift: 0,
  };
}

function drawWeather(dice: Dice, kinds: readonly FaultKind[]): WeatherPlan {
  const on = (kind: FaultKind): boolean => kinds.includes(kind);
  const draw = {
    loss: dice.pick([0.02, 0.1, 0.3]),
    delay: dice.pick([1, 4, 12, 40]),
    duplicate: dice.pick([0.05, 0.5]),
    replay: dice.pick([40, 400, REPLAY_ROUNDS]),
    clients: dice.chance(0.5),
  };
  return {
    loss: on('loss') ? draw.loss : 0,
    delay: on('delay') ? draw.delay : 0,
    slowLink: on('slowLink'),
    duplicate: on('duplicate') ? draw.duplicate : 0,
    replay: on('replay') ? draw.replay : 0,
    reorder: on('reorder'),
    clients: draw.clients,
  };
}

function drawEpisodes(dice: Dice, kinds: readonly FaultKind[], storm: number): Episode[] {
  const episodes: Episode[] = [];
  for (const kind of EPISODES) {
    const count = dice.between(1, EPISODES_MAX);
    if (!kinds.includes(kind)) continue;
    for (let at = 0; at < count; at++)
      episodes.push({
        kind,
        at: dice.below(storm),
        ticks: dice.chance(0.3) ? dice.between(1, 8) : dice.between(8, 150),
        seed: dice.seed(),
      });
  }
  return episodes.sort((a, b) => a.at - b.at);
}
