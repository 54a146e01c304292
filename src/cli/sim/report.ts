// What a simulation came to, for people and for programs.

import type { MistakeName } from '../../protocol/mutations.js';
import { COUNTERS, type Counter, DIRECTED_ONLY } from '../../simulation/swarm/simulate.js';
import { table } from '../output.js';
import { formatCount, formatMillis } from '../units.js';
import type { SeedRange } from './flags.js';
import type { SimFailure, SimPart } from './part.js';

export interface SimSum {
  seeds: number;
  operations: number;
  requests: number;
  messages: number;
  views: number;
  virtualMs: number;
  undecided: number;
  readonly failures: SimFailure[];
  readonly counters: Map<Counter, number>;
}

export interface SimReport {
  readonly range: SeedRange;
  readonly threads: number;
  readonly mistake: MistakeName | null;
  readonly seconds: number;
  readonly sum: SimSum;
}

const FAILURES_SHOWN = 10;
/** Below, seconds say more. */
const HOURS_LEAST = 0.1;

export function emptySum(): SimSum {
  return {
    seeds: 0,
    operations: 0,
    requests: 0,
    messages: 0,
    views: 0,
    virtualMs: 0,
    undecided: 0,
    failures: [],
    counters: new Map(COUNTERS.map((name) => [name, 0])),
  };
}

export function addPart(sum: SimSum, part: SimPart): void {
  sum.seeds += part.seeds;
  sum.operations += part.operations;
  sum.requests += part.requests;
  sum.messages += part.messages;
  sum.views += part.views;
  sum.virtualMs += part.virtualMs;
  sum.undecided += part.undecided;
  sum.failures.push(...part.failures);
  for (const name of COUNTERS)
    sum.counters.set(name, (sum.counters.get(name) ?? 0) + (part.counters[name] ?? 0));
}

function neverTaken(sum: SimSum): Counter[] {
  return COUNTERS.filter(
    (name) => !DIRECTED_ONLY.includes(name) && (sum.counters.get(name) ?? 0) === 0,
  );
}

export function simTable(report: SimReport): string {
  const { sum, seconds, range } = report;
  const failures = sum.failures.toSorted((a, b) => a.seed - b.seed);
  const hours = sum.virtualMs / 3_600_000;
  const rows: [string, string][] = [
    ['seeds', `${range.first}..${range.first + range.count - 1}`],
    ...(report.mistake === null
      ? []
      : [['mistake switched on', report.mistake] as [string, string]]),
    ['played', formatCount(sum.seeds)],
    ['client operations', formatCount(sum.operations)],
    [
      'virtual time',
      `${hours < HOURS_LEAST ? formatMillis(sum.virtualMs) : `${hours.toFixed(2)} h`} (${(sum.virtualMs / 1000 / seconds).toFixed(0)} x real)`,
    ],
    ['messages', formatCount(sum.messages)],
    ['views', formatCount(sum.views)],
    ['violations', formatCount(failures.length)],
    ['undecided histories', formatCount(sum.undecided)],
    [
      'took',
      `${seconds.toFixed(1)} s on ${report.threads} thread${report.threads === 1 ? '' : 's'}`,
    ],
  ];
  const never = neverTaken(sum);
  const counters = [...sum.counters].sort((a, b) => a[1] - b[1]);
  return [
    table(['simulation', ''], rows),
    table(
      ['rare path', 'taken'],
      counters.map(([name, count]) => [name, formatCount(count)]),
    ),
    never.length === 0 ? 'every rare path was taken' : `never taken: ${never.join(', ')}`,
    ...failures.slice(0, FAILURES_SHOWN).map(({ seed, message }) => `seed ${seed}: ${message}`),
    ...(failures.length > FAILURES_SHOWN
      ? [`... and ${failures.length - FAILURES_SHOWN} more`]
      : []),
  ].join('\n');
}

export function simJson(report: SimReport): string {
  const { sum, ...rest } = report;
  const { counters, failures, ...figures } = sum;
  const whole = {
    kind: 'viewstamp.sim',
    schemaVersion: 1,
    ...rest,
    ...figures,
    violations: failures.length,
    failures,
    counters: Object.fromEntries(counters),
    neverTaken: neverTaken(sum),
  };
  return JSON.stringify(whole, null, 2);
}
