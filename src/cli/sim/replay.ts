// One seed again: its line, and when it fails its end, message by message; with `shrink` the shortest part of it that still fails.

import type { Mutations } from '../../protocol/mutations.js';
import { lineOf } from '../../simulation/swarm/line.js';
import type { Cuts, FaultKind } from '../../simulation/swarm/plan.js';
import { flagsOf, shrink } from '../../simulation/swarm/shrink.js';
import { type RunReport, simulate } from '../../simulation/swarm/simulate.js';
import { EXIT_SAFETY } from '../usage.js';

const SHRINK_MS = 60_000;
const TICK_MS = 10;

export interface ReplayOptions {
  readonly storm?: number;
  readonly requests?: number;
  readonly faults?: readonly number[];
  readonly without?: readonly FaultKind[];
  readonly shrink?: boolean;
  /** Where to say it; default: standard output. */
  readonly to?: (text: string) => void;
}

export function replay(seed: number, options: ReplayOptions, mutations: Mutations): number {
  const say = options.to ?? ((text: string) => void process.stdout.write(`${text}\n`));
  let cuts = cutsOf(options);
  let report = simulate({ seed, cuts, mutations });
  if (report.failure !== null && options.shrink === true) {
    const deadline = performance.now() + SHRINK_MS;
    const short = shrink(report, { mutations, expired: () => performance.now() > deadline });
    ({ cuts, report } = short);
  }
  say(lineOf(report));
  for (const line of scheduleOf(report)) say(line);
  if (report.failure === null) return 0;
  say(report.failure.trace);
  say(`\n${report.failure.message}`);
  const mistake = Object.keys(mutations).map((name) => ` --mistake ${name}`);
  say(`again: viewstamp sim ${flagsOf(seed, cuts)}${mistake.join('')}`);
  return EXIT_SAFETY;
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

/** When which fault began, of those that were left. */
function scheduleOf({ plan }: RunReport): string[] {
  return plan.episodes.map(
    ({ kind, at, ticks }) => `  at ${at * TICK_MS} ms: ${kind} for ${ticks * TICK_MS} ms`,
  );
}
