// A violation in words for a person: the operation for which there is no place, and those around it.

import type { Stuck } from './search.js';
import type { Table } from './table.js';
import type { KeyStep, Operation } from './types.js';

const LINES_MAX = 24;
/** Of those that ended before the first one shown was called. */
const BEFORE_MAX = 6;
/** Operations that had yet to find a value. */
const FINDERS_MAX = 2;

export function describeStep({ key, input, output }: KeyStep): string {
  const text = JSON.stringify;
  const result = output === undefined ? '' : ` -> ${text(output)}`;
  switch (input.type) {
    case 'set':
      return `set ${key} ${text(input.value)}`;
    case 'incr':
      return `incr ${key} ${input.by}${result}`;
    case 'cas':
      return `cas ${key} ${text(input.expected)} ${text(input.value)}${result}`;
    default:
      return `${input.type} ${key}${result}`;
  }
}

function line({ client, call, end, steps }: Operation): string {
  const until = end === Number.POSITIVE_INFINITY ? 'unknown' : `${end}`;
  return `  client ${client} [${call}, ${until}] ${steps.map(describeStep).join('; ')}`;
}

/** `culprits` and `later` are shown whatever else there is no room for; `around` are what the culprits are to be seen with. */
export function explain(
  headline: string,
  culprits: readonly Operation[],
  around: readonly Operation[],
  later: readonly Operation[] = [],
): string {
  const from = Math.min(...culprits.map(({ call }) => call));
  const to = Math.max(...culprits.map(({ call }) => call));
  const shown = new Set([...culprits, ...later]);
  const overlapping = around.filter(({ call, end }) => call <= to && end >= from && end < Infinity);
  for (const operation of overlapping) if (shown.size < LINES_MAX) shown.add(operation);
  const earlier = around.filter(({ end }) => end < from).sort((a, b) => b.end - a.end);
  for (const operation of earlier.slice(0, BEFORE_MAX))
    if (shown.size < LINES_MAX) shown.add(operation);
  const open = around.filter(({ call, end }) => end === Infinity && call <= to);
  for (const operation of open) if (shown.size < LINES_MAX) shown.add(operation);
  const lines = [...shown].sort((a, b) => a.call - b.call).map(line);
  return [headline, ...lines].join('\n');
}

export function explainStuck(table: Table, stuck: Stuck): string {
  const { move, keys, states, open, missed } = stuck;
  const culprits = new Set([move, ...open].map(({ source }) => source.source));
  let headline = keys.map((key) => table.keys[key]).join(', ');
  headline += `: no order explains "${move.source.source.steps.map(describeStep).join('; ')}"`;
  if (states.length > 0) headline += `; with the orders tried: ${states.join(' | ')}`;
  let later: Operation[] = [];
  if (missed !== null) {
    const value = JSON.stringify(table.values[missed.value]);
    headline += `; ${table.keys[missed.key]} = ${value} had yet to be found`;
    const finders = table.moves.filter(
      ({ source, legs }) =>
        source.known &&
        source.source.end >= move.source.source.call &&
        legs.some(({ observes }) => observes === missed.value),
    );
    later = finders.slice(-FINDERS_MAX).map(({ source }) => source.source);
  }
  const around = table.moves
    .filter(({ legs }) => legs.some(({ key }) => keys.includes(key)))
    .map(({ source }) => source.source);
  return explain(headline, [...culprits], around, later);
}
