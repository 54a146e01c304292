// Parsers of flag values for commander: whatever a parser of units.ts finds wrong is reported with the flag's name. And the one
// check of flags against each other that several commands share.

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

/** @throws UsageError when more than f of 2f+1 replicas would be witnesses. */
export function checkWitnesses(flags: {
  readonly replicas: number;
  readonly witnesses: number;
}): void {
  const most = Math.floor((flags.replicas - 1) / 2);
  if (flags.witnesses > most)
    throw new UsageError(
      `--witnesses ${flags.witnesses} are too many for --replicas ${flags.replicas}: from 0 to ${most} are allowed`,
    );
}

/** A flag that may be repeated. */
export function values<T>(parse: (text: string) => T): (text: string, before?: T[]) => T[] {
  const single = value(parse);
  return (text, before = []) => [...before, single(text)];
}
