// The result of a benchmark for programs: one JSON document with everything that its figures depend on, so that another one can be
// compared with it or be drawn beside it.

import { createHash } from 'node:crypto';
import type { Consistency, EntrySizes } from '../index.js';
import type { BaselineComparison } from './baseline.js';
import type { BenchFlags, BenchPlan, Configuration } from './bench-plan.js';
import {
  type BenchReport,
  type ConfigurationSummary,
  mergedHistogram,
  summaries,
} from './bench-report.js';
import type { Environment } from './environment.js';
import type { InputOperation } from './input.js';
import type { LoadApi } from './load.js';
import type { Backlog } from './pace.js';
import { type Latency, latencyOf } from './statistics.js';
import type { WorkloadShape } from './workload.js';

export const KIND = 'viewstamp.bench';
export const SCHEMA_VERSION = 1;

/** What is measured: equal for two runs of the same command. */
export interface MeasuredShape {
  readonly cluster: ClusterDocument;
  readonly load: LoadDocument;
  readonly configurations: readonly Configuration[];
}

export interface ClusterDocument {
  readonly replicas: number;
  readonly witnesses: number;
  /** Not there: as `open()` has it. */
  readonly leaseMs?: number;
}

export interface LoadDocument {
  readonly api: LoadApi;
  readonly clients: number;
  readonly pipeline: number;
  readonly threads: number;
  readonly warmUpMs: number;
  /** What was asked for. */
  readonly pretouch: number | 'auto';
  /** What it came to. */
  readonly pretouchBytes: number;
  readonly operations: number | null;
  readonly durationMs: number | null;
  readonly rate: number | null;
  readonly backlog: number | null;
  readonly flushIntervalMs?: number;
  /** Of reads; not there: linearizable. */
  readonly consistency?: Consistency;
  readonly input?: true;
  readonly inputSha256?: string;
  readonly mix?: WorkloadShape['mix'];
  readonly distribution?: WorkloadShape['distribution'];
  readonly keyBytes?: number;
  readonly valueBytes?: WorkloadShape['valueBytes'];
  readonly keyspace?: number;
  readonly seed?: number;
}

export interface RunDocument extends Configuration {
  readonly run: number;
  readonly operations: number;
  readonly errors: number;
  readonly misses: number;
  readonly elapsedMs: number;
  readonly opsPerSecond: number;
  readonly cpuNsPerOp: number;
  readonly backlog: Backlog;
  readonly capacityBefore: number;
  readonly capacityAfter: number;
  /** Share of the time of all cores that the host gave to others meanwhile; null: the system does not tell. */
  readonly stolen: number | null;
  readonly latency: Latency;
  readonly entries: EntrySizes;
  /** [milliseconds since the beginning, operations per second since the sample before]. */
  readonly timeline: readonly (readonly [number, number])[];
}

export interface HistogramDocument extends Configuration {
  readonly unit: 'us';
  /** [percentile, microseconds], of all runs, as fine as they allow. */
  readonly percentiles: readonly (readonly [number, number])[];
}

export interface BenchDocument extends Omit<MeasuredShape, 'configurations'> {
  readonly kind: typeof KIND;
  readonly schemaVersion: typeof SCHEMA_VERSION;
  /** What was typed behind `viewstamp`. */
  readonly command: readonly string[];
  readonly env: Environment;
  readonly runs: readonly RunDocument[];
  readonly summary: readonly ConfigurationSummary[];
  readonly histogram: readonly HistogramDocument[];
  readonly comparison?: BaselineComparison;
}

/** What `flags` ask for, before anything is measured. */
export function shapeOf(flags: BenchFlags, plan: BenchPlan): MeasuredShape {
  return {
    cluster: {
      replicas: flags.replicas,
      witnesses: flags.witnesses,
      ...(flags.lease === undefined ? {} : { leaseMs: flags.lease }),
    },
    load: {
      api: plan.api,
      clients: plan.clients,
      pipeline: plan.pipeline,
      threads: flags.threads,
      warmUpMs: plan.warmUpMs,
      pretouch: flags.pretouch ?? 'auto',
      pretouchBytes: plan.pretouchBytes,
      operations: plan.operations,
      durationMs: plan.durationMs,
      rate: plan.rate,
      backlog: plan.backlog,
      ...(flags.data === undefined ? {} : { flushIntervalMs: flags.interval }),
      ...(flags.consistency === undefined ? {} : { consistency: flags.consistency }),
      ...(plan.source.type === 'workload'
        ? plan.source.shape
        : { input: true, inputSha256: digestOf(plan.source.operations) }),
    },
    configurations: plan.configurations,
  };
}

/** Tells two files of operations apart, not their spaces. */
function digestOf(operations: readonly InputOperation[]): string {
  const hash = createHash('sha256');
  for (const operation of operations) hash.update(`${JSON.stringify(operation)}\n`);
  return hash.digest('hex');
}

export function benchDocument(
  report: BenchReport,
  comparison: BaselineComparison | null,
): BenchDocument {
  const { flags, plan, env, command } = report;
  const { cluster, load } = shapeOf(flags, plan);
  return {
    kind: KIND,
    schemaVersion: SCHEMA_VERSION,
    command,
    env,
    cluster,
    load,
    runs: report.runs.map(({ configuration, run, result, ...conditions }) => ({
      ...configuration,
      run,
      operations: result.operations,
      errors: result.errors,
      misses: result.misses,
      elapsedMs: result.elapsedMs,
      opsPerSecond: result.opsPerSecond,
      cpuNsPerOp: result.cpuNsPerOp,
      backlog: result.backlog,
      ...conditions,
      latency: latencyOf(result.histogram),
      entries: result.entries,
      timeline: result.timeline.map(
        ({ atMs, opsPerSecond }) => [Math.round(atMs), Math.round(opsPerSecond)] as const,
      ),
    })),
    summary: summaries(report),
    histogram: plan.configurations.map((configuration) => ({
      ...configuration,
      unit: 'us',
      percentiles: percentiles(report, configuration),
    })),
    ...(comparison === null ? {} : { comparison }),
  };
}

function percentiles(report: BenchReport, configuration: Configuration): [number, number][] {
  const histogram = mergedHistogram(report, configuration);
  if (histogram.count === 0) return [];
  return [...histogram.percentiles].map(([percentile, nanoseconds]) => [
    percentile,
    Math.round(nanoseconds / 100) / 10,
  ]);
}
