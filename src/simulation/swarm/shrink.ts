// Makes a failing run short: fewer faults, calmer weather, less load, less time, as long as it fails for the same reason.

import type { Mutations } from '../../protocol/mutations.js';
import { type Cuts, drawPlan, type FaultKind, WEATHERS } from './plan.js';
import { type RunReport, simulate } from './simulate.js';

const ATTEMPTS_MAX = 300;

export interface Shrunk {
  readonly cuts: Cuts;
  readonly report: RunReport;
  readonly attempts: number;
}

/** `expired`: asked before each attempt. @returns the shortest that was found; the whole run when nothing can go. */
export function shrink(
  first: RunReport,
  options: { readonly mutations?: Mutations; readonly expired?: () => boolean } = {},
): Shrunk {
  const reason = reasonOf(first);
  const plan = drawPlan(first.seed);
  let best: Shrunk = { cuts: {}, report: first, attempts: 0 };
  let attempts = 0;
  const fails = (cuts: Cuts): boolean => {
    if (attempts >= ATTEMPTS_MAX || options.expired?.() === true) return false;
    attempts++;
    const { mutations } = options;
    const report = simulate({
      seed: first.seed,
      cuts,
      ...(mutations === undefined ? {} : { mutations }),
    });
    if (report.failure === null || reasonOf(report) !== reason) return false;
    best = { cuts, report, attempts };
    return true;
  };
  shortenStorm(plan.storm, best, fails);
  for (const kind of plan.kinds.filter((one) => WEATHERS.some((weather) => weather === one)))
    fails({ ...best.cuts, without: [...(best.cuts.without ?? []), kind] });
  dropEpisodes(() => best.cuts, plan.episodes.length, fails);
  for (let requests = best.report.requests; requests > 1; ) {
    requests = Math.floor(requests / 2);
    if (!fails({ ...best.cuts, requests })) break;
  }
  return { ...best, attempts };
}

/** The invariant, without the figures. */
function reasonOf({ failure }: RunReport): string {
  return failure?.message.replace(/\d+/g, '#').slice(0, 40) ?? '';
}

function shortenStorm(storm: number, best: Shrunk, fails: (cuts: Cuts) => boolean): void {
  let low = 0;
  let high = storm;
  while (high - low > 8) {
    const middle = Math.floor((low + high) / 2);
    if (fails({ ...best.cuts, storm: middle })) high = middle;
    else low = middle;
  }
}

/** Halves, quarters, ... and at last single ones are left out. */
function dropEpisodes(cuts: () => Cuts, count: number, fails: (cuts: Cuts) => boolean): void {
  let kept = Array.from({ length: count }, (_, index) => index);
  for (let size = Math.ceil(count / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2))
    for (let from = 0; from < kept.length; ) {
      const rest = kept.filter((_, at) => at < from || at >= from + size);
      if (fails({ ...cuts(), episodes: rest })) kept = rest;
      else from += size;
    }
}

/** The flags of the command that repeats a run with these cuts. */
export function flagsOf(seed: number, cuts: Cuts): string {
  const flags = [`--replay ${seed}`];
  if (cuts.storm !== undefined) flags.push(`--storm ${cuts.storm * 10}ms`);
  if (cuts.requests !== undefined) flags.push(`--requests ${cuts.requests}`);
  if (cuts.episodes !== undefined)
    flags.push(`--faults ${cuts.episodes.length === 0 ? 'none' : cuts.episodes.join(',')}`);
  const without: readonly FaultKind[] = cuts.without ?? [];
  if (without.length > 0) flags.push(`--without ${without.join(',')}`);
  return flags.join(' ');
}
