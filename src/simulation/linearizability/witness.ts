// Whether one given order explains a history: the definition itself, in one pass. Who knows in which order a system executed need
// not search, and a search need not be believed.

import { applyStep, type Value } from './register.js';
import type { Operation } from './types.js';

/**
 * `order`: every operation of known outcome, and whichever of the others took effect, in the order in which they are said to
 * have done so. @returns why that order does not explain the history, or null when it does.
 */
export function whyNot(
  history: readonly Operation[],
  order: readonly Operation[],
  initial: ReadonlyMap<string, string> = new Map(),
): string | null {
  const placed = new Set(order);
  if (placed.size !== order.length) return 'an operation took effect twice';
  for (const operation of history)
    if (operation.end !== Number.POSITIVE_INFINITY && !placed.has(operation))
      return `${text(operation)} was answered and never took effect`;
  const values = new Map<string, Value>(initial);
  let latest: Operation | null = null;
  for (const operation of order) {
    if (latest !== null && operation.end < latest.call)
      return `${text(operation)} had ended before ${text(latest)} was called, and took effect after it`;
    if (latest === null || operation.call > latest.call) latest = operation;
    for (const step of operation.steps) {
      const before = values.get(step.key) ?? null;
      const after = applyStep(step, before);
      if (after === undefined)
        return `${text(operation)} found '${step.key}' = ${before ?? 'absent'}`;
      values.set(step.key, after);
    }
  }
  return null;
}

function text({ client, call, end, steps }: Operation): string {
  const what = steps.map(({ key, input, output }) => {
    const given =
      'value' in input ? ` '${input.value}'` : input.type === 'incr' ? ` ${input.by}` : '';
    return `${input.type} ${key}${given} -> ${output === undefined ? '?' : String(output)}`;
  });
  return `'${what.join('; ')}' of client ${client} [${call}, ${end}]`;
}
