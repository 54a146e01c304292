// What a benchmark found, as a table for people and CSV for sheets (bench-document.ts: JSON for programs). Figures that a busy machine
// makes doubtful are marked, not hidden.

import type { RecordableHistogram } from 'node:perf_hooks';
import type { EntrySizes } from '../index.js';
import {
  type BenchFlags,
  type BenchPlan,
  type Configuration,
  configurationName,
} from './bench-plan.js';
import { CAPACITY_GOOD, type Gated } from './capacity.js';
import { describeEntries, sumOfEntries } from './entries.js';
import type { Environment } from './environment.js';
import { latencyHistogram } from './load.js';
import { csv, table } from './output.js';
import type { Backlog } from './pace.js';
import type { ClusterRunResult } from './run.js';
import { type Latency, latencyOf, median, spread } from './statistics.js';
import { STOLEN_MOST } from './stolen.js';
import { formatCount, formatMicros, formatMix, formatValueSizes } from './units.js';

/** Runs that differ by more than this are marked. */
const SPREAD_DOUBTFUL = 0.1;

export interface MeasuredRun extends Gated<ClusterRunResult> {
  readonly configuration: Configuration;
  readonly run: number;
}

export interface ConfigurationSummary extends Configuration {
  readonly runs: number;
  readonly opsPerSecond: number;
  /** (max - min) / median of the runs. */
  readonly spread: number;
  readonly cpuNsPerOp: number;
  readonly latency: Latency;
  readonly operations: number;
  readonly errors: number;
  readonly firstError: string | null;
  readonly misses: number;
  /** Operations per second that were to be started; null: a closed loop. */
  readonly rate: number | null;
  /** In operations: sums, and the longest of all runs. */
  readonly backlog: Backlog;
  /** Of all runs together. */
  readonly entries: EntrySizes;
  readonly capacity: number;
  /** Reasons to doubt the figures; empty: none. */
  readonly doubtful: readonly string[];
}

export interface BenchReport {
  readonly env: Environment;
  /** What was typed behind `viewstamp`. */
  readonly command: readonly string[];
  readonly flags: BenchFlags;
  readonly plan: BenchPlan;
  readonly runs: readonly MeasuredRun[];
}

/** Of all runs of a configuration, nanoseconds. */
export function mergedHistogram(
  report: BenchReport,
  configuration: Configuration,
): RecordableHistogram {
  const histogram = latencyHistogram();
  for (const run of report.runs)
    if (run.configuration === configuration) histogram.add(run.result.histogram);
  return histogram;
}

function summarize(report: BenchReport, configuration: Configuration): ConfigurationSummary {
  const runs = report.runs.filter((run) => run.configuration === configuration);
  const rates = runs.map((run) => run.result.opsPerSecond);
  const sum = (figure: (result: ClusterRunResult) => number): number =>
    runs.reduce((total, run) => total + figure(run.result), 0);
  const capacity = Math.min(...runs.map((run) => Math.min(run.capacityBefore, run.capacityAfter)));
  const doubtful: string[] = [];
  const { env } = report;
  if (env.loadAverage > env.cores)
    doubtful.push(`load average ${env.loadAverage.toFixed(1)} on ${env.cores} cores`);
  if (capacity < CAPACITY_GOOD) doubtful.push(`capacity ${capacity.toFixed(2)} of 2 threads`);
  const stolen = Math.max(...runs.map((run) => run.stolen ?? 0));
  if (stolen > STOLEN_MOST)
    doubtful.push(`${(stolen * 100).toFixed(0)} % of a run's time was given to others by the host`);
  if (spread(rates) > SPREAD_DOUBTFUL)
    doubtful.push(`spread ${(spread(rates) * 100).toFixed(0)} %`);
  const dropped = sum((result) => result.backlog.dropped);
  if (dropped > 0)
    doubtful.push(
      `${formatCount(dropped)} operations dropped that found no room in the backlog, and are in no latency`,
    );
  return {
    ...configuration,
    runs: runs.length,
    opsPerSecond: median(rates),
    spread: spread(rates),
    cpuNsPerOp: median(runs.map((run) => run.result.cpuNsPerOp)),
    latency: latencyOf(mergedHistogram(report, configuration)),
    operations: sum((result) => result.operations),
    errors: sum((result) => result.errors),
    firstError: runs.find((run) => run.result.firstError !== null)?.result.firstError ?? null,
    misses: sum((result) => result.misses),
    rate: report.plan.rate,
    backlog: {
      dropped,
      unsent: sum((result) => result.backlog.unsent),
      most: Math.max(...runs.map((run) => run.result.backlog.most)),
    },
    entries: sumOfEntries(runs.map((run) => run.result.entries)),
    capacity,
    doubtful,
  };
}

export function summaries(report: BenchReport): ConfigurationSummary[] {
  return report.plan.configurations.map((configuration) => summarize(report, configuration));
}

function workloadName(flags: BenchFlags): string {
  if (flags.input !== undefined) return 'input';
  const sizes = `${formatValueSizes(flags.valueSize)}B`;
  if (flags.workload !== undefined) return `${flags.workload} ${sizes}`;
  const keys = flags.dist === undefined || flags.dist === 'uniform' ? '' : `${flags.dist} `;
  return `${formatMix(flags.mix)} ${keys}${sizes}`;
}

/** A point of the sweep in words; what it shares with all others is left out. */
export function nameOf(flags: BenchFlags, point: Configuration): string {
  const fsync = flags.data === undefined ? '' : `fsync ${point.fsync}, `;
  return fsync + configurationName(point);
}

export function benchTable(report: BenchReport): string {
  const { flags, plan } = report;
  const onDisk = flags.data !== undefined;
  const rows = summaries(report).map((row) => [
    workloadName(flags),
    `${plan.clients}×${plan.pipeline}`,
    ...(onDisk ? [row.fsync] : []),
    String(row.batch),
    String(row.window),
    formatMicros(row.lingerMicros),
    ...(row.rate === null ? [] : [formatCount(row.rate)]),
    formatCount(row.opsPerSecond) + (row.doubtful.length > 0 ? ' ?' : ''),
    row.runs > 1 ? `${(row.spread * 100).toFixed(1)}%` : '-',
    `${row.cpuNsPerOp.toFixed(0)}`,
    formatMicros(row.latency.p50Us),
    formatMicros(row.latency.p90Us),
    formatMicros(row.latency.p99Us),
    formatMicros(row.latency.p999Us),
    formatMicros(row.latency.maxUs),
    formatCount(row.errors),
  ]);
  const head = [
    'workload',
    'clients×pipe',
    ...(onDisk ? ['fsync'] : []),
    'batch',
    'window',
    'linger',
    ...(plan.rate === null ? [] : ['wanted/s']),
    'ops/s',
    '±',
    'CPU-ns/op',
    'p50',
    'p90',
    'p99',
    'p99.9',
    'max',
    'errors',
  ];
  return [table(head, rows), ...notes(report)].join('\n');
}

/** What the table cannot say in a cell. */
export function notes(report: BenchReport): string[] {
  const lines: string[] = [];
  const rows = summaries(report);
  for (const row of rows) {
    const name = nameOf(report.flags, row);
    if (row.doubtful.length > 0) lines.push(`? ${name}: doubtful, ${row.doubtful.join(', ')}`);
    if (row.operations === 0) lines.push(`${name}: nothing was measured`);
    if (row.firstError !== null) lines.push(`${name}: first error: ${row.firstError}`);
    lines.push(`${name}: ${describeEntries(row.entries)}`);
    if (row.rate !== null) lines.push(...backlogNotes(name, row.rate, row));
    const inMemory = rows.find((other) => other.fsync === 'memory' && isSamePoint(other, row));
    if (row.fsync !== 'memory' && inMemory !== undefined && inMemory.opsPerSecond > 0)
      lines.push(
        `${name}: ${(row.opsPerSecond / inMemory.opsPerSecond).toFixed(2)} of the operations/s in memory`,
      );
  }
  const what = report.flags.api === 'pipeline' ? 'pipeline' : 'operation';
  const from = report.plan.rate === null ? 'submit' : 'when it was due';
  lines.push(`latency is of one ${what}, from ${from} to answer`);
  if (report.plan.rate !== null)
    lines.push('CPU time contains that of load threads which look at the clock to be in time');
  return lines;
}

function backlogNotes(name: string, rate: number, row: ConfigurationSummary): string[] {
  const { dropped, unsent, most } = row.backlog;
  if (dropped + most === 0) return [];
  const lines = [
    `${name}: ${formatCount(row.opsPerSecond)} of ${formatCount(rate)} operations/s; up to ${formatCount(most)} waited to be sent`,
  ];
  if (unsent > 0)
    lines.push(
      `${name}: ${formatCount(unsent)} operations not sent when the time was up; latency contains what they had waited`,
    );
  return lines;
}

/** But for how durable they are. */
function isSamePoint(a: Configuration, b: Configuration): boolean {
  return a.batch === b.batch && a.window === b.window && a.lingerMicros === b.lingerMicros;
}

const CSV_HEAD = [
  'workload',
  'api',
  'replicas',
  'witnesses',
  'clients',
  'pipeline',
  'threads',
  'batch',
  'window',
  'linger_us',
  'fsync',
  'rate_per_s',
  'runs',
  'ops_per_s',
  'spread_pct',
  'cpu_ns_per_op',
  'p50_us',
  'p90_us',
  'p99_us',
  'p999_us',
  'max_us',
  'operations',
  'errors',
  'dropped',
  'unsent',
  'capacity',
  'doubtful',
] as const;

export function benchCsv(report: BenchReport): string {
  const { flags, plan } = report;
  const rows = summaries(report).map((row) => [
    workloadName(flags),
    plan.api,
    flags.replicas,
    flags.witnesses,
    plan.clients,
    plan.pipeline,
    flags.threads,
    row.batch,
    row.window,
    row.lingerMicros,
    row.fsync,
    row.rate ?? '',
    row.runs,
    Math.round(row.opsPerSecond),
    (row.spread * 100).toFixed(1),
    Math.round(row.cpuNsPerOp),
    row.latency.p50Us,
    row.latency.p90Us,
    row.latency.p99Us,
    row.latency.p999Us,
    row.latency.maxUs,
    row.operations,
    row.errors,
    row.backlog.dropped,
    row.backlog.unsent,
    row.capacity.toFixed(2),
    row.doubtful.join('; '),
  ]);
  return csv(CSV_HEAD, rows);
}
