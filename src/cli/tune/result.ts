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
  /** Whether every candidate of the first look was measured. */
  readonly complete: boolean;
  readonly estimates: readonly Estimate[];
  readonly proposal: Estimate | null;
}

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
  return [
    `For ${OBJECTIVE_WORDS[objective]} (median of ${runs === 1 ? 'one run' : `${runs} runs`}): ${formatCount(opsPerSecond)} operations/s, p99 ${formatMicros(p99Us)}`,
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
    ...(answered.length === 0 ? [] : [frontierTable(tuned)]),
    ...(chart === null ? [] : ['', chart, '']),
    ...proposalLines(tuned),
    '',
    ...tuneNotes(tuned),
  ].join('\n');
}

/** How the search went, and what speaks against its result. */
export function tuneNotes(tuned: Tuned): string[] {
  const { report, candidates, estimates, elapsedMs, budgetMs } = tuned;
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
  if (!tuned.complete)
    lines.push(
      `? ${formatMillis(budgetMs)} were too short for the first look: give more with --budget, or shorter lists`,
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
  const { objective, budgetMs, elapsedMs, complete, estimates, proposal } = tuned;
  const document = {
    ...benchDocument(tuned.report, null),
    kind: 'viewstamp.tune',
    objective,
    budgetMs,
    elapsedMs,
    complete,
    combinations: tuned.candidates.length,
    proposal: proposal === null ? null : shown(proposal),
    options: proposal === null ? null : optionsOf(tuned, configurationOf(tuned, proposal)),
    frontier: frontier(estimates).map(shown),
  };
  return JSON.stringify(document, null, 2);
}
