// What the flags of `viewstamp sim` mean.

import { FAULT_KINDS, type FaultKind, SEED_MAX } from '../../simulation/swarm/plan.js';
import { parseCount, parseList } from '../units.js';
import { UsageError } from '../usage.js';

export interface SeedRange {
  readonly first: number;
  readonly count: number;
}

const SEEDS_MAX = 10_000_000;

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
