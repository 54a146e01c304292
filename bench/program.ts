// What the benchmarks have in common as programs: flags, exit codes, and what a signal ends.

import { type Command, CommanderError } from 'commander';
import { outputFile } from '#dist/cli/output.js';
import { EXIT_USAGE, exitCodeOf, messageOf, UsageError } from '#dist/cli/usage.js';

const SIGNALS = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

/** Of `--json`. @throws UsageError */
export function jsonFile(text: string): string {
  const { path, format } = outputFile(text);
  if (format !== 'json') throw new UsageError(`'${text}' must end in .json`);
  return path;
}

/** How long one turn may be measured. */
export const SECONDS = { least: 0.05, most: 60 } as const;

/** Of `--seconds`. @throws UsageError */
export function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (text.trim() === '' || !(seconds >= SECONDS.least && seconds <= SECONDS.most))
    throw new UsageError(
      `'${text}' is not a number of seconds from ${SECONDS.least} to ${SECONDS.most}`,
    );
  return seconds;
}

/** There is nothing to drain: what servers and children hold is of no use, and they end with this process. */
export function endOnSignals(): void {
  for (const [name, code] of Object.entries(SIGNALS))
    process.once(name, () => {
      process.stderr.write(`ended by ${name}\n`);
      process.exit(code);
    });
}

/** @returns the exit code: that of `run`, or what an error stands for. */
export async function runProgram<F>(
  program: Command,
  run: (flags: F, words: readonly string[]) => Promise<number>,
): Promise<number> {
  let exitCode = 0;
  program.exitOverride().action(async () => {
    exitCode = await run(program.opts() as F, program.args);
  });
  try {
    await program.parseAsync(process.argv);
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE;
    process.stderr.write(`error: ${messageOf(error)}\n`);
    return exitCodeOf(error);
  }
  return exitCode;
}
