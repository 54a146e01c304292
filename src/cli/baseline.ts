// An earlier result of `viewstamp bench` beside the present one: read and checked before anything runs, compared figure by figure
// afterwards. Only a result of the same configuration is taken: a ratio of two different loads is not a regression.

import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { type BenchDocument, KIND, type MeasuredShape, SCHEMA_VERSION } from './bench-document.js';
import { type Configuration, configurationName } from './bench-plan.js';
import type { ConfigurationSummary } from './bench-report.js';
import { type Condition, holds, METRIC_NAMES, METRICS, type MetricName } from './fail-if.js';
import { table } from './output.js';
import { UsageError } from './usage.js';

export interface Baseline {
  readonly path: string;
  readonly document: BenchDocument;
}

export interface ComparedFigure {
  readonly metric: MetricName;
  readonly baseline: number;
  readonly now: number;
  /** Now over baseline. */
  readonly ratio: number;
}

export interface ComparedPoint {
  readonly point: Configuration;
  readonly figures: readonly ComparedFigure[];
  /** Conditions that hold. */
  readonly failed: readonly Condition[];
}

export interface BaselineComparison {
  readonly points: readonly ComparedPoint[];
  /** What makes the two hard to compare; empty: nothing that is known. */
  readonly doubts: readonly string[];
}

/** What changes figures without being asked for. */
const ENVIRONMENT = ['cpu', 'cores', 'platform', 'node'] as const;
/** Follows the memory that happens to be free; what the user says of it is compared. */
const NOT_COMPARED: ReadonlySet<string> = new Set(['pretouchBytes']);

/** Of one point among others. */
function pointName(point: Configuration): string {
  return `${point.fsync}, ${configurationName(point)}`;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Whether `value` has the figures of a summary that a comparison looks at, none of them 0. */
function isSummary(value: unknown): value is ConfigurationSummary {
  if (!isRecord(value) || !isRecord(value['latency'])) return false;
  const summary = value as unknown as ConfigurationSummary;
  return METRIC_NAMES.every((metric) => {
    const figure: unknown = METRICS[metric].of(summary);
    return typeof figure === 'number' && figure > 0;
  });
}

/** @throws UsageError when it cannot be read, is no result of a benchmark, or one without figures. */
export function readBaseline(path: string): Baseline {
  const wrong = (what: string): UsageError => new UsageError(`--baseline ${path}: ${what}`);
  let document: unknown;
  try {
    document = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw wrong((error as Error).message);
  }
  if (!isRecord(document) || document['kind'] !== KIND)
    throw wrong('not a result of viewstamp bench, as --format json and --output x.json write it');
  if (document['schemaVersion'] !== SCHEMA_VERSION)
    throw wrong(
      `schemaVersion ${String(document['schemaVersion'])}, this version reads ${SCHEMA_VERSION}`,
    );
  const { env, cluster, load, summary } = document;
  if (!isRecord(env) || !isRecord(cluster) || !isRecord(load) || !Array.isArray(summary))
    throw wrong('not a whole result: env, cluster, load or summary is missing');
  if (summary.length === 0 || !summary.every(isSummary))
    throw wrong('nothing was measured in it, or figures are missing');
  if (summary.some((row) => row.errors !== 0)) throw wrong('operations failed in it');
  return { path, document: document as unknown as BenchDocument };
}

/** @throws UsageError that names the first thing in which `now` differs. */
export function checkSameShape({ path, document }: Baseline, now: MeasuredShape): void {
  const differs = (what: string, before: unknown, after: unknown): UsageError =>
    new UsageError(
      `--baseline ${path} is of another configuration: ${what} was ${shown(before)}, and is ${shown(after)} now`,
    );
  for (const part of ['cluster', 'load'] as const) {
    const before: Readonly<Record<string, unknown>> = { ...document[part] };
    const after: Readonly<Record<string, unknown>> = { ...now[part] };
    for (const name of new Set([...Object.keys(after), ...Object.keys(before)]))
      if (!NOT_COMPARED.has(name) && !isDeepStrictEqual(before[name], after[name]))
        throw differs(`${part}.${name}`, before[name], after[name]);
  }
  const points = (all: readonly Configuration[]): string[] => all.map(pointName);
  const before = points(document.summary);
  const after = points(now.configurations);
  if (!isDeepStrictEqual([...before].sort(), [...after].sort()))
    throw differs('the sweep', before.join('; '), after.join('; '));
}

function shown(value: unknown): string {
  if (value === undefined) return 'not there';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** `now`: of the same shape as the baseline, and without errors. */
export function compareWith(
  { document }: Baseline,
  now: Pick<BenchDocument, 'env' | 'summary'>,
  conditions: readonly Condition[],
): BaselineComparison {
  const points = now.summary.map((row) => {
    const name = pointName(row);
    const before = document.summary.find((other) => pointName(other) === name);
    if (before === undefined) throw new Error(`the baseline has no ${name}`);
    const figures = METRIC_NAMES.map((metric) => {
      const baseline = METRICS[metric].of(before);
      const figure = METRICS[metric].of(row);
      return { metric, baseline, now: figure, ratio: figure / baseline };
    });
    const failed = conditions.filter((condition) =>
      figures.some(({ metric, ratio }) => metric === condition.metric && holds(condition, ratio)),
    );
    const { fsync, batch, window, lingerMicros } = row;
    return { point: { fsync, batch, window, lingerMicros }, figures, failed };
  });
  const doubts = ENVIRONMENT.filter((name) => document.env[name] !== now.env[name]).map(
    (name) => `the baseline's ${name} was ${document.env[name]}, and is ${now.env[name]} now`,
  );
  return { points, doubts };
}

export function isMissed(comparison: BaselineComparison): boolean {
  return comparison.points.some((point) => point.failed.length > 0);
}

export function comparisonTable({ points, doubts }: BaselineComparison): string {
  const several = points.length > 1;
  const rows = points.flatMap((compared) =>
    compared.figures.map(({ metric, baseline, now, ratio }) => {
      const { format } = METRICS[metric];
      const failed = compared.failed.filter((condition) => condition.metric === metric);
      return [
        ...(several ? [pointName(compared.point)] : []),
        metric === 'cpu' ? 'CPU-ns/op' : metric,
        format(baseline),
        format(now),
        ratio.toFixed(2),
        failed.length > 0 ? `FAILED ${failed.map(({ text }) => text).join(', ')}` : '',
      ];
    }),
  );
  const head = [...(several ? ['configuration'] : []), 'figure', 'baseline', 'now', 'ratio', ''];
  return [table(head, rows), ...doubts.map((doubt) => `? ${doubt}`)].join('\n');
}
