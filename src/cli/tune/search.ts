// Which candidate is measured next, for how long, and which one is proposed: successive halving within a budget of time. All
// candidates are measured once and briefly, the better ones again and longer, beside untried neighbours of the best where the grid
// was too large for all of it, and so on; the last few alternate until the time is over. Pure: it is told what was measured and
// what the clock says.

import { median } from '../statistics.js';
import { Lattice } from './lattice.js';

export const OBJECTIVES = ['throughput', 'p99', 'knee'] as const;
/** `knee`: where throughput divided by p99 is largest; beyond it 1 % more throughput costs more than 1 % more p99. */
export type Objective = (typeof OBJECTIVES)[number];

/** What one run of a candidate found. */
export interface Measurement {
  /** 0: it failed, or answered nothing. */
  readonly opsPerSecond: number;
  readonly p99Us: number;
  /** The machine did other things meanwhile: counts only where a candidate has no better run. */
  readonly busy: boolean;
}

export interface Trial {
  readonly candidate: number;
  readonly measureMs: number;
}

/** Medians over the runs of a candidate. */
export interface Estimate {
  readonly candidate: number;
  readonly runs: number;
  readonly opsPerSecond: number;
  readonly p99Us: number;
}

export interface SearchOptions {
  /** Values of each axis; candidates are numbered with the last axis varying fastest. */
  readonly sizes: readonly number[];
  readonly objective: Objective;
  readonly budgetMs: number;
  /** What a run takes besides its measuring: a first guess, corrected by every run. */
  readonly overheadMs: number;
  /** Candidates that a first look begins with: where there is time for few, these say most. */
  readonly first?: readonly number[];
}

/** Shorter, a run says nothing; longer, another run says more. */
const MEASURE_LEAST_MS = 300;
const MEASURE_MOST_MS = 2000;
/** A candidate that would get two runs of this length gets them instead of one long one. */
const MEASURE_LONG_MS = 1000;
/** How many alternate in the end, and how often at least if time allows. */
const FINALISTS = 3;
const FINAL_ROUNDS = 3;
const KEEP = 0.4;
/** Of the time left, what the first look may take. */
const FIRST_SHARE = 0.45;
/** Candidates that were measured in bad moments only are measured again unless they are more than this share: then all moments are. */
const RETRIED_MOST = 1 / 2;
/** Neighbours in the order that a first look is made lie this share of all candidates apart: the golden section spreads them. */
const SPREAD = 0.618;

/** Larger is better; 0: nothing was answered. */
export function score(
  objective: Objective,
  figures: { readonly opsPerSecond: number; readonly p99Us: number },
): number {
  const { opsPerSecond, p99Us } = figures;
  if (opsPerSecond === 0) return 0;
  if (objective === 'throughput') return opsPerSecond;
  return objective === 'p99' ? 1 / p99Us : opsPerSecond / p99Us;
}

/** Those that no other one beats in throughput and p99 at once, by rising p99. */
export function frontier<T extends { readonly opsPerSecond: number; readonly p99Us: number }>(
  estimates: readonly T[],
): T[] {
  const rising = estimates
    .filter(({ opsPerSecond }) => opsPerSecond > 0)
    .sort((a, b) => a.p99Us - b.p99Us || b.opsPerSecond - a.opsPerSecond);
  let best = 0;
  return rising.filter(({ opsPerSecond }) => {
    const better = opsPerSecond > best;
    best = Math.max(best, opsPerSecond);
    return better;
  });
}

export class Search {
  readonly #options: SearchOptions;
  readonly #lattice: Lattice;
  readonly #runs = new Map<number, Measurement[]>();
  readonly #overheads: number[] = [];
  /** How many candidates each rung has, entrants not counted. */
  #sizes: readonly number[] = [];
  #rung = -1;
  #members: readonly number[] = [];
  /** Members of the last rung in which each was measured. */
  #settled: readonly number[] = [];
  #steps: readonly number[] = [];
  #queue: number[] = [];
  #measureMs = 0;
  #roundsLeft = 0;
  #retried = false;

  constructor(options: SearchOptions) {
    this.#options = options;
    this.#lattice = new Lattice(options.sizes);
  }

  /** @returns null: the budget is used up. `elapsedMs` of it are. */
  next(elapsedMs: number): Trial | null {
    if (this.#queue.length === 0) this.#refill(elapsedMs);
    const [candidate] = this.#queue;
    if (candidate === undefined) return null;
    const expected = elapsedMs + this.#overheadMs() + this.#measureMs;
    // Whatever the budget is, one candidate has to be measured.
    if (expected > this.#options.budgetMs && this.#runs.size > 0) return null;
    this.#queue.shift();
    return { candidate, measureMs: this.#measureMs };
  }

  /** What a trial found, and how long it took altogether. @returns which run of its candidate it was, from 1. */
  record(trial: Trial, measurement: Measurement, tookMs: number): number {
    const runs = [...(this.#runs.get(trial.candidate) ?? []), measurement];
    this.#runs.set(trial.candidate, runs);
    this.#overheads.push(Math.max(0, tookMs - trial.measureMs));
    return runs.length;
  }

  /** Of everything that was measured, in the order of the first run. */
  estimates(): Estimate[] {
    return [...this.#runs.keys()].map((candidate) => this.#estimate(candidate));
  }

  /** The best of those that were measured most; null: nothing was answered. */
  proposal(): Estimate | null {
    const from = this.#settled.length > 0 ? this.#settled : [...this.#runs.keys()];
    const [best] = this.#ranked(from);
    return best === undefined || this.#score(best) === 0 ? null : this.#estimate(best);
  }

  /** Whether every candidate of the first look was measured. */
  get complete(): boolean {
    return this.#settled.length > 0 || this.#runs.size === this.#lattice.points;
  }

  /** Whether any run is expected to end within the budget, of which `elapsedMs` are used up. */
  hasTime(elapsedMs: number): boolean {
    return elapsedMs + this.#overheadMs() + MEASURE_LEAST_MS <= this.#options.budgetMs;
  }

  #overheadMs(): number {
    return this.#overheads.length === 0 ? this.#options.overheadMs : median(this.#overheads);
  }

  #estimate(candidate: number): Estimate {
    const runs = this.#runs.get(candidate) ?? [];
    const quiet = runs.filter(({ busy }) => !busy);
    const counted = quiet.length > 0 ? quiet : runs;
    return {
      candidate,
      runs: runs.length,
      opsPerSecond: median(counted.map(({ opsPerSecond }) => opsPerSecond)),
      p99Us: median(counted.map(({ p99Us }) => p99Us)),
    };
  }

  #score(candidate: number): number {
    return score(this.#options.objective, this.#estimate(candidate));
  }

  #ranked(candidates: readonly number[]): number[] {
    const scores = new Map(candidates.map((candidate) => [candidate, this.#score(candidate)]));
    const of = (candidate: number): number => scores.get(candidate) ?? 0;
    return [...candidates].sort((a, b) => of(b) - of(a));
  }

  #refill(elapsedMs: number): void {
    if (this.#rung >= 0) {
      this.#settled = this.#members;
      if (this.#retry()) return;
    }
    if (this.#roundsLeft === 0) this.#ascend(elapsedMs);
    this.#roundsLeft--;
    this.#queue = this.#rung === 0 ? this.#firstLook() : spreadOut(this.#members);
  }

  /** @returns whether some members of this rung get the chance that a busy moment took from them. */
  #retry(): boolean {
    if (this.#retried) return false;
    this.#retried = true;
    const unlucky = this.#members.filter((member) =>
      (this.#runs.get(member) ?? []).every(({ busy }) => busy),
    );
    if (unlucky.length > this.#members.length * RETRIED_MOST) return false;
    this.#queue = unlucky;
    return unlucky.length > 0;
  }

  /** Begins the next rung. */
  #ascend(elapsedMs: number): void {
    const left = Math.max(0, this.#options.budgetMs - elapsedMs);
    this.#rung++;
    this.#retried = false;
    if (this.#rung === 0) this.#begin(left);
    else {
      const best = this.#ranked(this.#members).slice(0, this.#sizes[this.#rung]);
      // Who comes in last could not be compared often enough.
      const isLast = this.#rung === this.#sizes.length - 1;
      this.#members = isLast ? best : [...best, ...this.#entrants(best)];
    }
    const rungsLeft = this.#sizes.length - this.#rung;
    const share = rungsLeft === 1 ? 1 : this.#rung === 0 ? FIRST_SHARE : 1 / rungsLeft;
    const each = (left * share) / this.#members.length;
    const overhead = this.#overheadMs();
    const rounds = rungsLeft === 1 ? FINAL_ROUNDS : Math.floor(each / (overhead + MEASURE_LONG_MS));
    const measureMs = Math.round(each / Math.max(1, rounds) - overhead);
    this.#measureMs = Math.min(MEASURE_MOST_MS, Math.max(MEASURE_LEAST_MS, measureMs));
    // The finalists go on for as long as there is time.
    this.#roundsLeft = rungsLeft === 1 ? Number.POSITIVE_INFINITY : Math.max(1, rounds);
  }

  #begin(leftMs: number): void {
    const most = Math.floor((leftMs * FIRST_SHARE) / (this.#overheadMs() + MEASURE_LEAST_MS));
    const { points, strides } = this.#lattice.coarse(Math.max(FINALISTS, most));
    this.#members = [...new Set([...points, ...(this.#options.first ?? [])])];
    this.#steps = strides;
    this.#sizes = rungs(this.#members.length, Math.max(...strides));
  }

  /** Time may be over in the midst of it: candidate 0, the smallest of everything, is the slowest and says least. */
  #firstLook(): number[] {
    const { first = [] } = this.#options;
    const others = this.#members.filter((member) => !first.includes(member));
    return [...first, ...spreadOut(others.sort((a, b) => b - a))];
  }

  /** Untried neighbours of the best, half as far away as those of the rung before. */
  #entrants(best: readonly number[]): number[] {
    this.#steps = this.#steps.map((step) => Math.max(1, step / 2));
    const entrants = new Set(
      best
        .flatMap((member) => this.#lattice.neighbours(member, this.#steps))
        .filter((neighbour) => !this.#runs.has(neighbour)),
    );
    return [...entrants].slice(0, Math.ceil(best.length / 2));
  }
}

/** Members of every rung; between the first and the last one as many as it takes to try neighbours at every distance. */
function rungs(first: number, stride: number): number[] {
  const sizes = [first];
  // The first rung and the last one take in nobody.
  const least = stride === 1 ? 1 : Math.log2(stride) + 2;
  for (let size = first; size > FINALISTS || sizes.length < least; ) {
    size = Math.max(FINALISTS, Math.ceil(size * KEEP));
    sizes.push(size);
  }
  return sizes;
}

/** The same members, neighbours far apart: a slow minute of the machine then hits some of everything. */
function spreadOut(members: readonly number[]): number[] {
  const { length } = members;
  let step = Math.max(1, Math.round(length * SPREAD));
  while (greatestCommonDivisor(step, length) !== 1) step++;
  return members.map((_, index) => members[(index * step) % length] as number);
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
