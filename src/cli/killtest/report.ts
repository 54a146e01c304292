// What a kill test found, in lines for people and as one JSON object.

import type { Environment } from '../environment.js';
import { median } from '../statistics.js';
import { formatCount, formatMillis } from '../units.js';
import { EXIT_FAILED, EXIT_SAFETY } from '../usage.js';
import type { EioResult } from './eio.js';
import type { RoundResult, SeriesResult } from './series.js';

export interface KillOutcome extends SeriesResult {
  readonly env: Environment;
  readonly options: Readonly<Record<string, unknown>>;
  readonly elapsedMs: number;
}

export function roundLine(round: RoundResult): string {
  const { acked, unknown, lost, recoveredMs, wholeMs, lastKeptMs, firstLostMs } = round;
  const after = formatMillis(Math.round(round.killedAfterMs));
  const parts = round.early
    ? [`round ${round.round}: killed ${after} after its start, before any load`]
    : [
        `round ${round.round}: killed after ${after}`,
        `${formatCount(acked)} acknowledged`,
        `${unknown} unknown`,
        `${formatCount(lost)} lost`,
      ];
  if (lost > 0 && lastKeptMs !== null)
    parts.push(`kept until ${formatMillis(Math.round(lastKeptMs))} before the kill`);
  if (lost > 0 && firstLostMs !== null)
    parts.push(`lost from ${formatMillis(Math.round(firstLostMs))} before`);
  if (recoveredMs !== null && wholeMs !== null)
    parts.push(
      `recovered in ${formatMillis(Math.round(recoveredMs))} (all of them in ${formatMillis(Math.round(wholeMs))})`,
    );
  return parts.join(', ');
}

function summarize({ rounds, violations }: KillOutcome) {
  const sum = (value: (round: RoundResult) => number): number =>
    rounds.reduce((total, round) => total + value(round), 0);
  const told = (value: (round: RoundResult) => number | null): number[] =>
    rounds.flatMap((round) => value(round) ?? []);
  const lossy = rounds.filter(({ lost }) => lost > 0);
  const losses = lossy.flatMap(({ lastKeptMs }) => lastKeptMs ?? []);
  const recovered = told(({ recoveredMs }) => recoveredMs);
  return {
    kills: rounds.length,
    early: rounds.filter(({ early }) => early).length,
    acked: sum(({ acked }) => acked),
    unknown: sum(({ unknown }) => unknown),
    lost: sum(({ lost }) => lost),
    roundsWithLoss: lossy.length,
    lossMedianMs: median(losses),
    lossWorstMs: Math.max(0, ...losses),
    firstLostWorstMs: Math.max(0, ...lossy.flatMap(({ firstLostMs }) => firstLostMs ?? [])),
    recoveredMedianMs: median(recovered),
    recoveredWorstMs: Math.max(0, ...recovered),
    violations: violations.length,
  };
}

export function killLines(outcome: KillOutcome): string[] {
  const found = summarize(outcome);
  const lines = [
    `${found.kills} kills (${found.early} before any load) in ${formatMillis(outcome.elapsedMs)}: ${formatCount(found.acked)} acknowledged, ${found.unknown} unknown, ${formatCount(found.lost)} lost; recovered in ${formatMillis(Math.round(found.recoveredMedianMs))} (median), ${formatMillis(Math.round(found.recoveredWorstMs))} (worst)`,
  ];
  if (found.lost > 0)
    lines.push(
      `losses in ${found.roundsWithLoss} rounds: from the last write that was kept to the kill ${formatMillis(Math.round(found.lossMedianMs))} (median), ${formatMillis(Math.round(found.lossWorstMs))} (worst); the oldest lost one was acknowledged ${formatMillis(Math.round(found.firstLostWorstMs))} before the kill`,
    );
  for (const violation of outcome.violations) lines.push(`VIOLATION: ${violation}`);
  if (outcome.failure !== null) lines.push(`ended early: ${outcome.failure}`);
  if (outcome.violations.length === 0 && outcome.failure === null) lines.push('no violation');
  return lines;
}

export function killJson(outcome: KillOutcome): string {
  const { env, options, elapsedMs, rounds, violations, failure } = outcome;
  const document = {
    kind: 'viewstamp.killtest',
    schemaVersion: 1,
    env,
    options,
    elapsedMs,
    summary: summarize(outcome),
    rounds,
    violations,
    failure,
  };
  return JSON.stringify(document, null, 2);
}

export function eioLines(result: EioResult, wrong: readonly string[]): string[] {
  const { replica, role, crash, states, before, after, audit } = result;
  return [
    `replica ${replica} (${role}): every flush of its store fails with EIO`,
    `  ${crash === null ? 'it did not stop' : `it stopped: ${crash.message} (${crash.code})`}`,
    `  ${formatCount(before)} acknowledged until then, ${formatCount(after)} more within the next moments; ${states.map((state, id) => `replica ${id} ${state}`).join(', ')}`,
    `  after a kill and a restart with a disk that is well: ${formatCount(audit.acked)} acknowledged, ${audit.unknown} unknown, ${audit.lost} lost`,
    ...wrong.map((what) => `  VIOLATION: ${what}`),
  ];
}

export function exitCodeOf({ violations, failure }: KillOutcome): number {
  if (violations.length > 0) return EXIT_SAFETY;
  return failure === null ? 0 : EXIT_FAILED;
}
