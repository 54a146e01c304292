// Conditions under which a benchmark fails beside an earlier one: `throughput<-10%,p99>+20%`. Each compares one figure with the same
// figure of the baseline; a change without its sign or without `%` is refused, for it could mean two things.

import type { ConfigurationSummary } from './bench-report.js';
import { formatCount, formatMicros } from './units.js';
import { UsageError } from './usage.js';

export const METRIC_NAMES = ['throughput', 'cpu', 'p50', 'p90', 'p99', 'p99.9', 'max'] as const;
export type MetricName = (typeof METRIC_NAMES)[number];

interface Metric {
  /** 0 where nothing was measured. */
  readonly of: (summary: ConfigurationSummary) => number;
  readonly format: (figure: number) => string;
}

export const METRICS: Readonly<Record<MetricName, Metric>> = {
  throughput: { of: (row) => row.opsPerSecond, format: formatCount },
  cpu: { of: (row) => row.cpuNsPerOp, format: formatCount },
  p50: { of: (row) => row.latency.p50Us, format: formatMicros },
  p90: { of: (row) => row.latency.p90Us, format: formatMicros },
  p99: { of: (row) => row.latency.p99Us, format: formatMicros },
  'p99.9': { of: (row) => row.latency.p999Us, format: formatMicros },
  max: { of: (row) => row.latency.maxUs, format: formatMicros },
};

export interface Condition {
  readonly metric: MetricName;
  readonly than: '<' | '>';
  /** Of the baseline's figure: -0.1 is a tenth less. */
  readonly change: number;
  /** As it was typed. */
  readonly text: string;
}

const EXAMPLE = 'like throughput<-10% or p99>+20%';

/** @throws UsageError */
export function parseFailIf(text: string): Condition[] {
  const conditions: Condition[] = [];
  for (const part of text.split(',').map((item) => item.trim())) {
    const condition = parseCondition(part);
    const { metric, than } = condition;
    if (conditions.some((other) => other.metric === metric && other.than === than))
      throw new UsageError(`'${text}' says ${metric}${than} twice`);
    conditions.push(condition);
  }
  return conditions;
}

function parseCondition(text: string): Condition {
  const match = /^([^<>]*)([<>])(.*)$/.exec(text);
  if (match === null) throw new UsageError(`'${text}' is not a condition, ${EXAMPLE}`);
  const [, name = '', than = '', change = ''] = match;
  const metric = METRIC_NAMES.find((known) => known === name.trim());
  if (metric === undefined)
    throw new UsageError(`'${name}' of '${text}' is not one of ${METRIC_NAMES.join(', ')}`);
  const percent = /^([+-]\d+(?:\.\d+)?)%$/.exec(change.trim())?.[1];
  if (percent === undefined)
    throw new UsageError(`'${change}' of '${text}' is not a change with its sign, ${EXAMPLE}`);
  const share = Number(percent) / 100;
  if (than === '<' ? share <= -1 : share < -1)
    throw new UsageError(`'${text}' says nothing: no figure falls by more than 100 %`);
  return { metric, than: than === '<' ? '<' : '>', change: share, text };
}

/** `ratio`: the figure now over that of the baseline. */
export function holds(condition: Condition, ratio: number): boolean {
  const change = ratio - 1;
  return condition.than === '<' ? change < condition.change : change > condition.change;
}
