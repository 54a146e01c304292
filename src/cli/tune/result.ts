// What a search found, for people and for programs: the frontier, the proposal as options to paste, and how far both can be
// trusted.

import { inspect } from 'node:util';
import type { OpenOptions } from '../../index.js';
import { benchDocument } from '../bench-document.js';
import { type Configuration, readingOptions } from '../bench-plan.js';
import { type BenchReport, nameOf, summaries } from '../bench-report.js';
import { CAPACITY_GOOD, isBusy } from '../capacity.js';
import { table } from '../output.js';
import { median } from '../statistics.js';
import { STOLEN_MOST } from '../stolen.js';
import { formatCount, formatMicros, formatMillis } from '../units.js';
import { frontierPlot } from './plot.js';
import { type Estimate, frontier, type Objective } from './search.js';

export interface Tuned {
  /** Of everything that was measured. */
  readonly report: BenchReport;
  /** What the numbers of candidates mean. */
  readonly candidates: readonly Configuration[];
  readonly objective: Objective;
  readonly budgetMs: number;
  readonly elapsedMs: number;
  /** The first run of the process is the only one: there was no time for another. */
  readonly firstRunOnly: boolean;
  /** More is not allowed. */
  readonly budgetMostMs: number;
  /** Whether every candidate of the first look was measured. */
  readonly complete: boolean;
  readonly estimates: readonly Estimate[];
  readonly proposal: Estimate | null;
}

/** What suits the lists that are searched where none are given. */
const BUDGET_SENSIBLE_MS = 60_000;

const OBJECTIVE_WORDS: Readonly<Record<Objective, string>> = {
  throughput: 'most throughput',
  p99: 'least p99',
  knee: 'the knee',
};

function configurationOf(tuned: Tuned, estimate: Estimate): Configuration {
  return tuned.candidates[estimate.candidate] as Configuration;
}

/** What to give to `open()`. */
function optionsOf({ report: { flags } }: Tuned, point: Configuration): OpenOptions {
  const { batch, window, lingerMicros } = point;
  return {
    ...(flags.replicas === 3 ? {} : { replicas: flags.replicas }),
    ...(flags.witnesses === 0 ? {} : { witnesses: flags.witnesses }),
    ...readingOptions(flags),
    batch: { maxOps: batch, window, lingerMicros },
  };
}

function frontierTable(tuned: Tuned): string {
  const { report, estimates, proposal } = tuned;
  const doubtful = new Set(
    summaries(report)
      .map((row, index) => (row.doubtful.length > 0 ? report.plan.configurations[index] : null))
      .filter((point) => point !== null),
  );
  const rows = frontier(estimates).map((estimate) => {
    const point = configurationOf(tuned, estimate);
    return [
      estimate.candidate === proposal?.candidate ? '◆' : '',
      String(point.batch),
      String(point.window),
      formatMicros(point.lingerMicros),
      formatCount(estimate.opsPerSecond) + (doubtful.has(point) ? ' ?' : ''),
      formatMicros(estimate.p99Us),
      String(estimate.runs),
    ];
  });
  return table(['', 'batch', 'window', 'linger', 'ops/s', 'p99', 'runs'], rows);
}

function proposalLines(tuned: Tuned): string[] {
  const { report, objective, proposal } = tuned;
  if (proposal === null) return ['nothing is proposed: no candidate answered without errors'];
  const point = configurationOf(tuned, proposal);
  const { slots, batch } = report.plan.run(point, '').load;
  const open = `${slots * Math.max(1, report.flags.threads)} open at a time`;
  const { opsPerSecond, p99Us, runs } = proposal;
  const what = OBJECTIVE_WORDS[objective];
  return [
    `${tuned.complete ? `For ${what}` : `Best of ${triedOf(tuned)}, for ${what}`} (median of ${runs === 1 ? 'one run' : `${runs} runs`}): ${formatCount(opsPerSecond)} operations/s, p99 ${formatMicros(p99Us)}`,
    '',
    `open(${inspect(optionsOf(tuned, point), { breakLength: 100 })});`,
    '',
    report.plan.api === 'pipeline'
      ? `It was measured with pipelines of length ${batch}, ${open}.`
      : `It was measured with a promise per operation, ${open}.`,
  ];
}

export function tuneTable(tuned: Tuned): string {
  const { estimates, proposal } = tuned;
  const answered = estimates.filter(({ opsPerSecond }) => opsPerSecond > 0);
  const chart = frontierPlot(answered, { frontier: frontier(answered), proposal });
  return [
    // Above all that looks like a result.
    ...(tuned.complete ? [] : [preliminary(tuned), '']),
    ...(answered.length === 0 ? [] : [frontierTable(tuned)]),
    ...(chart === null ? [] : ['', chart, '']),
    ...proposalLines(tuned),
    '',
    ...circumstances(tuned),
  ].join('\n');
}

function triedOf({ estimates, candidates }: Tuned): string {
  return `${estimates.length} of ${candidates.length} combinations tried`;
}

/** In one line, what the search did not get to, and what would help. */
function preliminary(tuned: Tuned): string {
  const { budgetMs, budgetMostMs } = tuned;
  const enoughMs = Math.min(budgetMostMs, Math.max(BUDGET_SENSIBLE_MS, 2 * budgetMs));
  const more = enoughMs > budgetMs ? `--budget ${formatMillis(enoughMs)} or ` : '';
  return `? preliminary: only ${triedOf(tuned)}, ${formatMillis(budgetMs)} were too short for a first look; give ${more}fewer values of --batch, --window and --linger`;
}

/** How the search went, and what speaks against its result. */
export function tuneNotes(tuned: Tuned): string[] {
  return [...(tuned.complete ? [] : [preliminary(tuned)]), ...circumstances(tuned)];
}

function circumstances(tuned: Tuned): string[] {
  const { report, candidates, estimates, elapsedMs } = tuned;
  const { runs } = report;
  const capacities = runs.map((run) => Math.min(run.capacityBefore, run.capacityAfter));
  const busy = runs.filter(isBusy).length;
  const lines = [
    `${estimates.length} of ${candidates.length} combinations measured in ${formatMillis(elapsedMs)}, runs: ${runs.length}; capacity of two threads ${Math.min(...capacities).toFixed(2)} to ${Math.max(...capacities).toFixed(2)}, median ${median(capacities).toFixed(2)}`,
  ];
  if (busy > 0)
    lines.push(
      `? the machine was busy (capacity below ${CAPACITY_GOOD}, or over ${STOLEN_MOST * 100} % of its time given to others) during ${busy} of ${runs.length} runs, which count only where a combination has no others`,
    );
  if (tuned.firstRunOnly)
    lines.push(
      '? there was time for the first run of the process only, which is slower than those that follow: give more with --budget',
    );
  for (const row of summaries(report))
    if (row.errors > 0) lines.push(`${nameOf(report.flags, row)} failed: ${row.firstError}`);
  return lines;
}

export function tuneJson(tuned: Tuned): string {
  const shown = (estimate: Estimate): object => {
    const { runs, opsPerSecond, p99Us } = estimate;
    return { ...configurationOf(tuned, estimate), runs, opsPerSecond, p99Us };
  };
  const { objective, budgetMs, elapsedMs, firstRunOnly, complete, estimates, proposal } = tuned;
  const document = {
    ...benchDocument(tuned.report, null),
    kind: 'viewstamp.tune',
    objective,
    budgetMs,
    elapsedMs,
    firstRunOnly,
    complete,
    combinations: tuned.candidates.length,
    proposal: proposal === null ? null : shown(proposal),
    options: proposal === null ? null : optionsOf(tuned, configurationOf(tuned, proposal)),
    frontier: frontier(estimates).map(shown),
  };
  return JSON.stringify(document, null, 2);
}
