// Parsers of flag values for commander: whatever a parser of units.ts finds wrong is reported with the flag's name.

import { InvalidArgumentError } from 'commander';
import { UsageError } from './usage.js';

/** Turns a parser of text into one for a flag. */
export function value<T>(parse: (text: string) => T): (text: string) => T {
  return (text) => {
    try {
      return parse(text);
    } catch (error) {
      if (error instanceof UsageError) throw new InvalidArgumentError(`${error.message}.`);
      throw error;
    }
  };
}

/** A flag that may be repeated. */
export function values<T>(parse: (text: string) => T): (text: string, before?: T[]) => T[] {
  const single = value(parse);
  return (text, before = []) => [...before, single(text)];
}
