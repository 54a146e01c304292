// What a benchmark found, as a table for people, JSON for programs and CSV for sheets. Figures that a busy machine makes doubtful
// are marked, not hidden.

import type { BenchFlags, BenchPlan, Configuration } from './bench-plan.js';
import { CAPACITY_GOOD } from './capacity.js';
import type { RunResult } from './drive.js';
import type { Environment } from './environment.js';
import { latencyHistogram } from './load.js';
import { csv, table } from './output.js';
import { type Latency, latencyOf, median, spread } from './statistics.js';
import { formatCount, formatMicros, formatMix, formatSizeRange } from './units.js';

export const SCHEMA_VERSION = 1;
/** Runs that differ by more than this are marked. */
const SPREAD_DOUBTFUL = 0.1;

export interface MeasuredRun {
  readonly configuration: Configuration;
  readonly run: number;
  readonly result: RunResult;
  readonly capacityBefore: number;
  readonly capacityAfter: number;
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
  readonly capacity: number;
  /** Reasons to doubt the figures; empty: none. */
  readonly doubtful: readonly string[];
}

export interface BenchReport {
  readonly env: Environment;
  readonly flags: BenchFlags;
  readonly plan: BenchPlan;
  readonly runs: readonly MeasuredRun[];
}

function summarize(report: BenchReport, configuration: Configuration): ConfigurationSummary {
  const runs = report.runs.filter((run) => run.configuration === configuration);
  const rates = runs.map((run) => run.result.opsPerSecond);
  const histogram = latencyHistogram();
  for (const run of runs) histogram.add(run.result.histogram);
  const sum = (figure: (result: RunResult) => number): number =>
    runs.reduce((total, run) => total + figure(run.result), 0);
  const capacity = Math.min(...runs.map((run) => Math.min(run.capacityBefore, run.capacityAfter)));
  const doubtful: string[] = [];
  const { env } = report;
  if (env.loadAverage > env.cores)
    doubtful.push(`load average ${env.loadAverage.toFixed(1)} on ${env.cores} cores`);
  if (capacity < CAPACITY_GOOD) doubtful.push(`capacity ${capacity.toFixed(2)} of 2 threads`);
  if (spread(rates) > SPREAD_DOUBTFUL)
    doubtful.push(`spread ${(spread(rates) * 100).toFixed(0)} %`);
  return {
    ...configuration,
    runs: runs.length,
    opsPerSecond: median(rates),
    spread: spread(rates),
    cpuNsPerOp: median(runs.map((run) => run.result.cpuNsPerOp)),
    latency: latencyOf(histogram),
    operations: sum((result) => result.operations),
    errors: sum((result) => result.errors),
    firstError: runs.find((run) => run.result.firstError !== null)?.result.firstError ?? null,
    misses: sum((result) => result.misses),
    capacity,
    doubtful,
  };
}

export function summaries(report: BenchReport): ConfigurationSummary[] {
  return report.plan.configurations.map((configuration) => summarize(report, configuration));
}

function workloadName(flags: BenchFlags): string {
  if (flags.input !== undefined) return 'input';
  return `${formatMix(flags.mix)} ${formatSizeRange(flags.valueSize)}B`;
}

/** A point of the sweep in words; what it shares with all others is left out. */
export function nameOf(flags: BenchFlags, point: Configuration): string {
  const fsync = flags.data === undefined ? '' : `fsync ${point.fsync}, `;
  return `${fsync}batch ${point.batch}, window ${point.window}, linger ${formatMicros(point.lingerMicros)}`;
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
    formatCount(row.opsPerSecond) + (row.doubtful.length > 0 ? ' ?' : ''),
    row.runs > 1 ? `${(row.spread * 100).toFixed(1)}%` : '-',
    `${row.cpuNsPerOp.toFixed(0)}`,
    formatMicros(row.latency.p50Us),
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
    'ops/s',
    '±',
    'CPU-ns/op',
    'p50',
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
    const inMemory = rows.find((other) => other.fsync === 'memory' && isSamePoint(other, row));
    if (row.fsync !== 'memory' && inMemory !== undefined && inMemory.opsPerSecond > 0)
      lines.push(
        `${name}: ${(row.opsPerSecond / inMemory.opsPerSecond).toFixed(2)} of the operations/s in memory`,
      );
  }
  const what = report.flags.api === 'pipeline' ? 'pipeline' : 'operation';
  lines.push(`latency is of one ${what}, from submit to answer`);
  return lines;
}

/** But for how durable they are. */
function isSamePoint(a: Configuration, b: Configuration): boolean {
  return a.batch === b.batch && a.window === b.window && a.lingerMicros === b.lingerMicros;
}

export function benchJson(report: BenchReport): string {
  const { flags, plan, env } = report;
  const rows = summaries(report);
  const document = {
    kind: 'viewstamp.bench',
    schemaVersion: SCHEMA_VERSION,
    env,
    cluster: { replicas: flags.replicas, witnesses: flags.witnesses },
    load: {
      api: plan.api,
      clients: plan.clients,
      pipeline: plan.pipeline,
      threads: flags.threads,
      warmUpMs: plan.warmUpMs,
      pretouchBytes: plan.pretouchBytes,
      operations: plan.operations,
      durationMs: plan.durationMs,
      ...(flags.data === undefined ? {} : { flushIntervalMs: flags.interval }),
      ...(flags.input === undefined
        ? {
            mix: flags.mix,
            keyBytes: flags.keySize,
            valueBytes: flags.valueSize,
            keyspace: flags.keyspace,
            seed: flags.seed,
          }
        : { input: true }),
    },
    runs: report.runs.map((run) => ({
      ...run.configuration,
      run: run.run,
      operations: run.result.operations,
      errors: run.result.errors,
      misses: run.result.misses,
      elapsedMs: run.result.elapsedMs,
      opsPerSecond: run.result.opsPerSecond,
      cpuNsPerOp: run.result.cpuNsPerOp,
      capacityBefore: run.capacityBefore,
      capacityAfter: run.capacityAfter,
      latency: latencyOf(run.result.histogram),
    })),
    summary: rows,
    histogram: plan.configurations.map((configuration) => ({
      ...configuration,
      unit: 'us',
      percentiles: percentiles(report, configuration),
    })),
  };
  return JSON.stringify(document, null, 2);
}

/** [percentile, microseconds], as fine as the runs allow. */
function percentiles(report: BenchReport, configuration: Configuration): [number, number][] {
  const histogram = latencyHistogram();
  for (const run of report.runs)
    if (run.configuration === configuration) histogram.add(run.result.histogram);
  if (histogram.count === 0) return [];
  return [...histogram.percentiles].map(([percentile, nanoseconds]) => [
    percentile,
    Math.round(nanoseconds / 100) / 10,
  ]);
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
    row.capacity.toFixed(2),
    row.doubtful.join('; '),
  ]);
  return csv(CSV_HEAD, rows);
}
