// Parsers of flag values for commander: whatever a parser of units.ts finds wrong is reported with the flag's name. And what
// several commands share: the flags of a directory, and a check of flags against each other.

import { type Command, InvalidArgumentError, Option } from 'commander';
import { parseMillis } from './units.js';
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

export const FSYNC_MODES = ['batch', 'interval', 'none'] as const;
export type FsyncMode = (typeof FSYNC_MODES)[number];

/** An item of a list. @throws UsageError */
export function fsyncMode(text: string): FsyncMode {
  return oneOf(text, FSYNC_MODES);
}

/** @throws UsageError */
export function oneOf<T extends string>(text: string, choices: readonly T[]): T {
  const choice = choices.find((known) => known === text);
  if (choice === undefined) throw new UsageError(`'${text}' is not one of ${choices.join(', ')}`);
  return choice;
}

const INTERVAL_MOST_MS = 10_000;

/** `--interval`, of the modes that do not flush before they acknowledge. */
export function intervalOption(): Option {
  return new Option('--interval <time>', 'how often to flush with --fsync interval')
    .argParser(value((text) => parseMillis(text, { least: 1, most: INTERVAL_MOST_MS })))
    .default(50, '50ms');
}

/** Modes in which `--interval` means something. */
const BY_THE_CLOCK: readonly string[] = ['interval', 'none'];

/**
 * Flags of a disk that would do nothing. `modes`: of `--fsync`, as far as they are known; `inMemory`: there is no disk.
 * @throws UsageError
 */
export function refuseIdleDiskFlags(
  command: Command,
  { modes, inMemory }: { modes: readonly string[]; inMemory: boolean },
): void {
  const given = (flag: string): boolean => command.getOptionValueSource(flag) === 'cli';
  for (const flag of ['fsync', 'interval'])
    if (inMemory && given(flag))
      throw new UsageError(`--${flag} needs a directory: give one with --data`);
  if (given('interval') && !modes.some((mode) => BY_THE_CLOCK.includes(mode)))
    throw new UsageError(
      `--interval needs --fsync interval or none: ${modes.join(', ')} flushes before it acknowledges`,
    );
}
