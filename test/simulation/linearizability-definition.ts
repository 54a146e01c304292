// The definition of linearizability, word for word and for small histories only: some order of all operations with a known
// outcome and of any of the others, in which none comes before one that ended before it was called, gives each its outputs.

import type { KeyStep, Operation } from '../../src/simulation/linearizability.js';

type Contents = ReadonlyMap<string, string>;

export function linearizableByDefinition(
  history: readonly Operation[],
  initial: Contents = new Map(),
): boolean {
  return extend(history, initial);
}

function extend(left: readonly Operation[], contents: Contents): boolean {
  if (left.every(({ end }) => end === Infinity)) return true;
  return left.some((next) => {
    if (left.some(({ end }) => end < next.call)) return false;
    const after = perform(next.steps, contents);
    return (
      after !== null &&
      extend(
        left.filter((other) => other !== next),
        after,
      )
    );
  });
}

function perform(steps: readonly KeyStep[], before: Contents): Contents | null {
  const contents = new Map(before);
  for (const { key, input, output } of steps) {
    const value = contents.get(key) ?? null;
    let result: unknown;
    if (input.type === 'get') result = value;
    else if (input.type === 'set') {
      result = output;
      contents.set(key, input.value);
    } else if (input.type === 'delete') {
      result = contents.delete(key);
    } else if (input.type === 'incr') {
      const number = Number(value ?? '0');
      if (value !== null && String(number) !== value) return null;
      result = number + input.by;
      contents.set(key, String(result));
    } else {
      result = value === input.expected;
      if (result) contents.set(key, input.value);
    }
    if (output !== undefined && output !== result) return null;
  }
  return contents;
}
