// What a soak found, judged, as a table for people and as one JSON object.

import type { Environment } from '../environment.js';
import { table } from '../output.js';
import { median } from '../statistics.js';
import { formatBytes, formatCount, formatMillis } from '../units.js';
import { EXIT_FAILED, EXIT_SAFETY, EXIT_THRESHOLD } from '../usage.js';
import type { EpochResult } from './epoch.js';
import type { Injury } from './inflict.js';
import {
  HEAP_LIMIT,
  type MemorySample,
  RESIDENT_LIMIT,
  SAMPLES_LEAST,
  type Trend,
  trend,
} from './memory.js';
import { FAULTS } from './plan.js';

export interface SoakOutcome {
  readonly env: Environment;
  readonly options: Readonly<Record<string, unknown>>;
  readonly elapsedMs: number;
  /** Clusters that came to their end. */
  readonly epochs: readonly EpochResult[];
  /** What ended the soak before its time. */
  readonly failure: string | null;
  readonly servingLimitMs: number;
  readonly logLimitBytes: number;
}

interface Line {
  readonly kind: string;
  readonly what: string;
  readonly count: number;
  /** Drawn, but its point was not reached, or there was nothing to damage. */
  readonly missed: number;
  readonly kills: number;
  readonly servingMedianMs: number;
  readonly servingWorstMs: number;
  readonly wholeMedianMs: number;
  readonly wholeWorstMs: number;
}

export interface Judgement {
  readonly lines: readonly Line[];
  readonly kills: number;
  /** Where a thread ended. A request whose frame was damaged waits for its client to send it again, about a second. */
  readonly servingWorstMs: number;
  readonly operations: number;
  readonly unknown: number;
  readonly increments: number;
  readonly lost: number;
  readonly doubled: number;
  readonly violations: readonly string[];
  readonly undecided: readonly string[];
  readonly digestsDiffer: number;
  readonly flips: number;
  readonly framesCorrupt: number;
  readonly viewChanges: number;
  readonly logBytes: number;
  readonly heap: Trend;
  readonly resident: Trend;
  readonly exitCode: number;
}

/**
 * Samples before this share of the time are warm-up: the allocator keeps a little of each of the first hundred threads that end,
 * and then no more.
 */
const WARM_UP_SHARE = 0.5;
/** A young cluster grows, as its threads touch their nurseries; so many that were closed are compared with each other. */
const CLUSTERS_MIN = 4;

export function judge(outcome: SoakOutcome): Judgement {
  const { epochs, elapsedMs } = outcome;
  const injuries = epochs.flatMap((epoch) => epoch.injuries);
  const sum = (value: (epoch: EpochResult) => number): number =>
    epochs.reduce((total, epoch) => total + value(epoch), 0);
  const warm = ({ atMs }: MemorySample): boolean => atMs >= WARM_UP_SHARE * elapsedMs;
  const between = epochs.map(({ after }) => after).filter(warm);
  const closed = between.length >= CLUSTERS_MIN;
  const samples = closed ? between : epochs.flatMap((epoch) => epoch.samples).filter(warm);
  const least = closed ? CLUSTERS_MIN : SAMPLES_LEAST;
  const found = {
    lines: FAULTS.map(({ kind, what }) =>
      lineOf(
        kind,
        what,
        injuries.filter((injury) => injury.kind === kind),
      ),
    ),
    kills: injuries.reduce((total, { kills }) => total + kills, 0),
    servingWorstMs: Math.max(
      0,
      ...injuries.filter(({ kills }) => kills > 0).map(({ servingMs }) => servingMs),
    ),
    operations: sum(({ check }) => check.operations),
    unknown: sum(({ check }) => check.unknown),
    increments: sum(({ check }) => check.acknowledgedIncrements),
    lost: sum(({ check }) => check.lost),
    doubled: sum(({ check }) => check.doubled),
    violations: epochs.flatMap(({ check }) => check.violations),
    undecided: epochs.flatMap(({ check }) => check.undecided),
    digestsDiffer: epochs.filter(({ digestsEqual }) => !digestsEqual).length,
    flips: injuries.reduce((total, { flips }) => total + flips, 0),
    framesCorrupt: injuries.reduce((total, { corrupt }) => total + corrupt, 0),
    viewChanges: sum(({ viewChanges }) => viewChanges),
    logBytes: Math.max(0, ...epochs.map(({ logBytes }) => logBytes)),
    heap: trend(
      samples.map(({ atMs, heapBytes }) => ({ atMs, bytes: heapBytes })),
      HEAP_LIMIT,
      least,
    ),
    resident: trend(
      samples.map(({ atMs, residentBytes }) => ({ atMs, bytes: residentBytes })),
      RESIDENT_LIMIT,
      least,
    ),
  };
  return { ...found, exitCode: exitCodeOf(outcome, found) };
}

function exitCodeOf(outcome: SoakOutcome, found: Omit<Judgement, 'exitCode'>): number {
  const unsafe =
    found.violations.length > 0 || found.lost > 0 || found.doubled > 0 || found.digestsDiffer > 0;
  if (unsafe) return EXIT_SAFETY;
  if (outcome.failure !== null || found.undecided.length > 0) return EXIT_FAILED;
  const within = found.servingWorstMs <= outcome.servingLimitMs;
  return within && found.heap.flat && found.resident.flat ? 0 : EXIT_THRESHOLD;
}

function lineOf(kind: string, what: string, injuries: readonly Injury[]): Line {
  const happened = injuries.filter((injury) => injury.happened);
  const serving = happened.map(({ servingMs }) => servingMs);
  const whole = happened.map(({ wholeMs }) => wholeMs);
  return {
    kind,
    what,
    count: happened.length,
    missed: injuries.length - happened.length,
    kills: injuries.reduce((total, { kills }) => total + kills, 0),
    servingMedianMs: median(serving),
    servingWorstMs: Math.max(0, ...serving),
    wholeMedianMs: median(whole),
    wholeWorstMs: Math.max(0, ...whole),
  };
}

export function soakTable(outcome: SoakOutcome): string {
  const found = judge(outcome);
  const head = ['fault', 'times', 'missed', 'kills', 'serving', 'worst', 'whole', 'worst'];
  const rows = found.lines.map((line) => [
    line.what,
    `${line.count}`,
    `${line.missed}`,
    `${line.kills}`,
    ...(line.count === 0
      ? ['', '', '', '']
      : [line.servingMedianMs, line.servingWorstMs, line.wholeMedianMs, line.wholeWorstMs].map(
          formatMillis,
        )),
  ]);
  return [table(head, rows), ...sentences(outcome, found)].join('\n');
}

function sentences(outcome: SoakOutcome, found: Judgement): string[] {
  const { epochs, servingLimitMs, logLimitBytes } = outcome;
  const lines = [
    'serving: the longest that a request had to wait between the fault and all being normal again; whole: until they were',
    `${counted(found.kills, 'replica thread')} ended in ${formatMillis(outcome.elapsedMs)} over ${counted(epochs.length, 'cluster')}, ${counted(found.viewChanges, 'view change')}`,
    `serving again after a thread has ended: worst ${formatMillis(found.servingWorstMs)}, ${verdict(found.servingWorstMs <= servingLimitMs)} (limit ${formatMillis(servingLimitMs)})`,
    `${formatCount(found.operations)} operations recorded, ${formatCount(found.unknown)} of them without an answer: ${linearizability(found)}`,
    `${formatCount(found.increments)} acknowledged increments: ${found.lost} lost, ${found.doubled} doubled`,
    `digests of the replicas: ${found.digestsDiffer === 0 ? 'equal at the end of every cluster' : `DIFFER in ${counted(found.digestsDiffer, 'cluster')}`}`,
    `${formatCount(found.flips)} bits flipped in unread frames, ${formatCount(found.framesCorrupt)} frames dropped for it by replicas`,
    `log: at most ${formatBytes(found.logBytes)} of ${formatBytes(logLimitBytes)} in one cluster`,
    memoryLine('heap after collection', found.heap),
    memoryLine('resident, less logs', found.resident),
  ];
  if (outcome.failure !== null) lines.push(`ended early: ${outcome.failure}`);
  return [...lines, ...found.violations, ...found.undecided];
}

function counted(count: number, what: string): string {
  return `${formatCount(count)} ${what}${count === 1 ? '' : 's'}`;
}

function verdict(fine: boolean): string {
  return fine ? 'fine' : 'MISSED';
}

function linearizability(found: Judgement): string {
  if (found.violations.length > 0) return `NOT LINEARIZABLE (${found.violations.length} times)`;
  return found.undecided.length > 0
    ? `UNDECIDED (${found.undecided.length} times)`
    : 'linearizable';
}

function memoryLine(what: string, line: Trend): string {
  const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(1);
  const { samples, limit } = line;
  if (!line.enough)
    return [
      `${what}:${samples === 0 ? '' : ` mean ${mib(line.meanBytes)} MiB,`}`,
      `too few samples to tell whether it grows (${samples}): let it run longer`,
    ].join(' ');
  return [
    `${what}: mean ${mib(line.meanBytes)} MiB, slope ${mib(line.bytesPerHour)} ± ${mib(line.errorPerHour)} MiB/h`,
    `or ${mib(line.growthBytes)} MiB over ${samples} samples, ${verdict(line.flat)}`,
    `(limit ${mib(limit.perHour)} MiB/h beyond ${mib(limit.bytes)} MiB)`,
  ].join(' ');
}

export function soakJson(outcome: SoakOutcome): string {
  const { env, options, elapsedMs, epochs, failure, servingLimitMs, logLimitBytes } = outcome;
  const document = {
    kind: 'viewstamp.soak',
    schemaVersion: 1,
    env,
    options,
    elapsedMs,
    servingLimitMs,
    logLimitBytes,
    failure,
    ...judge(outcome),
    clusters: epochs.map(({ injuries, check, ...epoch }) => ({
      ...epoch,
      faults: injuries.length,
      operations: check.operations,
    })),
  };
  return JSON.stringify(document, null, 2);
}
