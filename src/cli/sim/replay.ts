// One seed again: its line, its faults, and when it fails its end, message by message; made short, the least part of it that still
// fails. Everything here is data, so that a thread can do it.

import type { MistakeName } from '../../protocol/mutations.js';
import { lineOf } from '../../simulation/swarm/line.js';
import {
  type Cuts,
  cutPlan,
  drawPlan,
  type Episode,
  type FaultKind,
  WEATHERS,
} from '../../simulation/swarm/plan.js';
import { flagsOf, shrink } from '../../simulation/swarm/shrink.js';
import { type RunReport, simulate } from '../../simulation/swarm/simulate.js';
import { UsageError } from '../usage.js';

const SHRINK_MS = 60_000;
const TICK_MS = 10;

export interface ReplayOptions {
  readonly storm?: number;
  readonly requests?: number;
  readonly faults?: readonly number[];
  readonly without?: readonly FaultKind[];
}

/** A fault that was played, by the number that --faults knows it by. */
interface Fault {
  readonly index: number;
  readonly kind: FaultKind;
  readonly atMs: number;
  readonly forMs: number;
}

export interface Replayed {
  readonly seed: number;
  readonly mistake: MistakeName | null;
  readonly line: string;
  /** Kinds of faults that were left. */
  readonly kinds: readonly FaultKind[];
  readonly faults: readonly Fault[];
  readonly virtualMs: number;
  readonly operations: number;
  readonly requests: number;
  readonly messages: number;
  readonly views: number;
  readonly hash: string;
  /** null: nothing was wrong. */
  readonly failure: RunReport['failure'];
  /** The command that repeats it. */
  readonly again: string;
}

/** @throws UsageError for a fault that the seed does not have. */
export function replay(
  seed: number,
  mistake: MistakeName | null,
  options: ReplayOptions = {},
): Replayed {
  checkFaults(seed, options.faults ?? []);
  const cuts = cutsOf(options);
  return toldOf(simulate({ seed, cuts, mutations: mutationsOf(mistake) }), cuts, mistake);
}

/** Of a seed that fails, the least that was found within a minute. */
export function replayShort(seed: number, mistake: MistakeName | null): Replayed {
  const mutations = mutationsOf(mistake);
  const whole = simulate({ seed, mutations });
  if (whole.failure === null) return toldOf(whole, {}, mistake);
  const deadline = performance.now() + SHRINK_MS;
  const { report, cuts } = shrink(whole, {
    mutations,
    expired: () => performance.now() > deadline,
  });
  return toldOf(report, cuts, mistake);
}

/** The command that repeats a seed. */
export function againOf(seed: number, mistake: MistakeName | null, cuts: Cuts = {}): string {
  return `viewstamp sim ${flagsOf(seed, cuts)}${mistake === null ? '' : ` --mistake ${mistake}`}`;
}

export function replayText({ line, faults, failure, again }: Replayed): string {
  const lines = [
    line,
    ...faults.map(
      ({ index, kind, atMs, forMs }) => `  ${index}: at ${atMs} ms: ${kind} for ${forMs} ms`,
    ),
  ];
  if (failure !== null) lines.push(failure.trace, '', failure.message, `again: ${again}`);
  return lines.join('\n');
}

export function replayJson(replayed: Replayed): string {
  return JSON.stringify({ kind: 'viewstamp.replay', schemaVersion: 1, ...replayed }, null, 2);
}

function mutationsOf(mistake: MistakeName | null): { readonly [name: string]: true } {
  return mistake === null ? {} : { [mistake]: true };
}

function cutsOf(options: ReplayOptions): Cuts {
  const { storm, requests, faults, without } = options;
  return {
    ...(storm === undefined ? {} : { storm: Math.round(storm / TICK_MS) }),
    ...(requests === undefined ? {} : { requests }),
    ...(faults === undefined ? {} : { episodes: faults }),
    ...(without === undefined ? {} : { without }),
  };
}

function checkFaults(seed: number, wanted: readonly number[]): void {
  const last = drawPlan(seed).episodes.length - 1;
  const wrong = wanted.find((index) => index > last);
  if (wrong === undefined) return;
  const has = last < 0 ? 'no faults that begin and end' : `faults 0 to ${last}`;
  throw new UsageError(`--faults ${wrong}: seed ${seed} has ${has}`);
}

/** The faults that `cuts` leave, with their places in the whole plan. */
function numbered(seed: number, cuts: Cuts): Fault[] {
  const whole = drawPlan(seed);
  const left = new Set<Episode>(cutPlan(whole, cuts).episodes);
  return whole.episodes.flatMap((episode, index) =>
    left.has(episode)
      ? {
          index,
          kind: episode.kind,
          atMs: episode.at * TICK_MS,
          forMs: episode.ticks * TICK_MS,
        }
      : [],
  );
}

function toldOf(report: RunReport, cuts: Cuts, mistake: MistakeName | null): Replayed {
  const { seed, plan, virtualMs, operations, requests, messages, views, hash, failure } = report;
  const faults = numbered(seed, cuts);
  // Where faults were taken away one by one, their kinds are still those of the seed.
  const lasting: readonly FaultKind[] = WEATHERS;
  const kinds = plan.kinds.filter(
    (kind) => lasting.includes(kind) || faults.some((fault) => fault.kind === kind),
  );
  return {
    seed,
    mistake,
    line: lineOf({ ...report, plan: { ...plan, kinds } }),
    kinds,
    faults,
    ...{ virtualMs, operations, requests, messages, views, hash, failure },
    again: againOf(seed, mistake, cuts),
  };
}
