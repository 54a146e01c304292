// What the flags of `viewstamp sim` mean.

import { MISTAKES, type MistakeName } from '../../protocol/mutations.js';
import { FAULT_KINDS, type FaultKind, SEED_MAX } from '../../simulation/swarm/plan.js';
import { parseCount, parseList } from '../units.js';
import { UsageError } from '../usage.js';

export interface SeedRange {
  readonly first: number;
  readonly count: number;
}

const SEEDS_MAX = 10_000_000;
/** Of the pairs of letters of two names, how many both have: one letter wrong, or a word too much. */
const ALIKE = 0.6;
const SUGGESTIONS_MOST = 3;

/** `6000`: so many; `1..300`: from the first to the last. @throws UsageError */
export function parseSeeds(text: string): SeedRange | number {
  const parts = text.split('..');
  if (parts.length === 1) return parseCount(text, { least: 1, most: SEEDS_MAX });
  const [from = '', to = '', ...more] = parts;
  if (more.length > 0) throw new UsageError(`'${text}' is not a count or a range like 1..300`);
  const first = parseCount(from, { least: 0, most: SEED_MAX });
  const last = parseCount(to, { least: 0, most: SEED_MAX });
  if (last < first) throw new UsageError(`'${text}' is a range that ends before it starts`);
  if (last - first >= SEEDS_MAX) throw new UsageError(`'${text}' has more than ${SEEDS_MAX} seeds`);
  return { first, count: last - first + 1 };
}

/** `0,3,7`, or `none`. @throws UsageError */
export function parseFaults(text: string): number[] {
  if (text === 'none') return [];
  return parseList(text, (item) => parseCount(item, { least: 0, most: 1000 }));
}

/** `loss,crash` @throws UsageError */
export function parseWithout(text: string): FaultKind[] {
  return parseList(text, (item) => {
    const kind = FAULT_KINDS.find((known) => known === item);
    if (kind === undefined)
      throw new UsageError(`'${item}' is no kind of fault: ${FAULT_KINDS.join(', ')}`);
    return kind;
  });
}

/** @throws UsageError with the names that look like it; with all of them where none does. */
export function parseMistake(text: string): MistakeName {
  const names = Object.keys(MISTAKES) as MistakeName[];
  const name = names.find((known) => known === text);
  if (name !== undefined) return name;
  const near = names
    .map((known) => ({ known, alike: likeness(text, known) }))
    .filter(({ alike }) => alike >= ALIKE)
    .sort((a, b) => b.alike - a.alike)
    .slice(0, SUGGESTIONS_MOST)
    .map(({ known }) => known);
  throw new UsageError(
    near.length > 0
      ? `no mistake has this name. Did you mean ${near.join(' or ')}? --help names all`
      : `Allowed choices are ${names.join(', ')}`,
  );
}

/** From 0 to 1. */
function likeness(a: string, b: string): number {
  const pairs = (name: string): Set<string> =>
    new Set(Array.from(name.toLowerCase(), (letter, at) => letter + (name[at + 1] ?? '')));
  const [one, other] = [pairs(a), pairs(b)];
  const shared = [...one].filter((pair) => other.has(pair)).length;
  return (2 * shared) / (one.size + other.size);
}
