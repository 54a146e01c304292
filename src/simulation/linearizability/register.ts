// One key as a sequential object: what a step does, and what all steps of one operation on that key come to together.

import type { KeyStep } from './types.js';

export type Value = string | null;

const DECIMAL = /^(?:0|-?[1-9][0-9]*)$/;

/** NaN for what `incr` is not defined on. */
export function numberOf(value: Value): number {
  if (value === null) return 0;
  if (!DECIMAL.test(value)) return Number.NaN;
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : Number.NaN;
}

/** The value after a step; undefined if the step cannot have its output there. */
export function applyStep({ input, output }: KeyStep, value: Value): Value | undefined {
  const free = output === undefined;
  switch (input.type) {
    case 'get':
      return free || output === value ? value : undefined;
    case 'set':
      return input.value;
    case 'delete':
      return free || output === (value !== null) ? null : undefined;
    case 'incr': {
      const sum = numberOf(value) + input.by;
      return Number.isSafeInteger(sum) && (free || output === sum) ? String(sum) : undefined;
    }
    case 'cas': {
      const meets = value === input.expected;
      if (!free && output !== meets) return undefined;
      return meets ? input.value : value;
    }
  }
}

/** Values from which adding `by` gives `sum`: absent counts as 0. */
export function addends(sum: number, by: number): Value[] {
  const before = sum - by;
  if (!Number.isSafeInteger(before)) return [];
  return before === 0 ? ['0', null] : [String(before)];
}

/**
 * What an operation asks of one key and does to it. Where its outputs do not determine this, `program` has the steps and the
 * other fields mean nothing.
 */
export interface KeyPart {
  readonly key: string;
  /** The only values it can find; null: any that is not excluded. A part with such a list always leaves a value of its own. */
  readonly allowed: readonly Value[] | null;
  readonly excluded: readonly Value[];
  /** Undefined: leaves what it found. */
  readonly result: Value | undefined;
  readonly program: readonly KeyStep[] | null;
}

/** Null: no value explains the outputs. `steps` all have the same key. */
export function keyPart(key: string, steps: readonly KeyStep[]): KeyPart | null {
  let allowed: Value[] | null = null;
  const excluded: Value[] = [];
  let current: Value | undefined;
  for (const step of steps) {
    const { input, output } = step;
    if (current !== undefined) {
      current = applyStep(step, current);
      if (current === undefined) return null;
      continue;
    }
    switch (input.type) {
      case 'get':
        if (output === undefined) break;
        if (typeof output !== 'string' && output !== null) return null;
        allowed = [output];
        current = output;
        break;
      case 'set':
        current = input.value;
        break;
      case 'delete':
        if (output === false) allowed = [null];
        else if (output === true) excluded.push(null);
        else if (output !== undefined) return null;
        current = null;
        break;
      case 'incr':
        if (output === undefined) return loose(key, steps);
        if (typeof output !== 'number' || !Number.isSafeInteger(output)) return null;
        allowed = addends(output, input.by);
        current = String(output);
        break;
      case 'cas':
        if (output === undefined) return loose(key, steps);
        if (output === true) {
          allowed = [input.expected];
          current = input.value;
        } else if (output === false) excluded.push(input.expected);
        else return null;
        break;
    }
  }
  if (allowed === null) return { key, allowed, excluded, result: current, program: null };
  allowed = allowed.filter((value) => !excluded.includes(value));
  if (allowed.length === 0) return null;
  return { key, allowed, excluded: [], result: current, program: null };
}

function loose(key: string, steps: readonly KeyStep[]): KeyPart {
  return { key, allowed: null, excluded: [], result: undefined, program: steps };
}

/** Neither asks nor does anything. */
export function isIdle(part: KeyPart): boolean {
  if (part.program !== null || part.allowed !== null || part.excluded.length > 0) return false;
  return part.result === undefined;
}
