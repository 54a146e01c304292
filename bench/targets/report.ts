// What a run of the targets says: each figure beside what it must be and what it aims at, and the verdict on all.

import { CAPACITY_GOOD } from '#dist/cli/capacity.js';
import { table } from '#dist/cli/output.js';
import { formatLimit, type Judged } from './bounds.js';

/** Stands at what was measured while the machine was busy. */
const DOUBT = '?';
/** `capacity`: work of two threads over work of one, before the first round and after each. */
export function isDoubtful(capacity: readonly number[]): boolean {
  return !capacity.every((value) => value >= CAPACITY_GOOD);
}

/** Rounds, from 1, before or after which the machine was busy. */
function doubtfulRounds(capacity: readonly number[]): number[] {
  return capacity
    .slice(1)
    .flatMap((_, at) => (isDoubtful(capacity.slice(at, at + 2)) ? at + 1 : []));
}

/** Nothing, or a line that says so. */
export function describeDoubt(capacity: readonly number[]): string[] {
  if (!isDoubtful(capacity)) return [];
  return [
    `${DOUBT} doubtful: capacity was below ${CAPACITY_GOOD} before or after rounds ${doubtfulRounds(capacity).join(', ')}`,
  ];
}

function verdictOf({ mustMet, aimMet }: Judged): string {
  if (mustMet === false) return 'FAIL';
  if (aimMet === true) return 'aim';
  return mustMet === true ? 'pass' : '-';
}

export function judgedTable(judged: readonly Judged[], doubtful: boolean): string {
  const head = ['figure', 'measured', 'must', 'aim', 'verdict'];
  const rows = judged.map((one) => [
    one.target === null ? one.what : `${one.target}  ${one.what}`,
    `${one.value.toFixed(2)}${one.unit}`,
    formatLimit(one.must, one.unit),
    formatLimit(one.aim, one.unit),
    doubtful ? `${verdictOf(one)} ${DOUBT}` : verdictOf(one),
  ]);
  return table(head, rows);
}

/** The last lines: what fell short of a must, what of an aim. */
export function describeVerdict(judged: readonly Judged[]): string {
  const targets = (some: readonly Judged[]): string =>
    [...new Set(some.map(({ target }) => target))].join(', ');
  const short = judged.filter(({ mustMet }) => mustMet === false);
  const below = judged.filter(({ mustMet, aimMet }) => mustMet !== false && aimMet === false);
  const lines = [
    short.length === 0
      ? 'every must is met'
      : `${targets(short)}: below what must be reached\n${short.map(line).join('\n')}`,
  ];
  if (below.length > 0) lines.push(`${targets(below)}: short of the aim`);
  return lines.join('\n');
}

function line({ target, what, value, unit, must }: Judged): string {
  return `  ${target}  ${what}: ${value.toFixed(2)}${unit}, must be ${formatLimit(must, unit)}`;
}
