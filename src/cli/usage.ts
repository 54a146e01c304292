// Exit codes of the command line and the one error for wrong usage. Scripts decide by the code, people by the message; stack
// traces are for neither.

import { VrError } from '../index.js';

export const EXIT_FAILED = 1;
export const EXIT_USAGE = 2;
/** A limit that the run was to keep. */
export const EXIT_THRESHOLD = 3;
export const EXIT_SAFETY = 4;
export const EXIT_UNAVAILABLE = 5;

/** Wrong usage: found before anything ran. */
export class UsageError extends Error {
  override readonly name: string = 'UsageError';
}

/** The exit code that an error of a command stands for. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError) return EXIT_USAGE;
  if (VrError.is(error)) {
    if (error.code === 'VR_CONFIG') return EXIT_USAGE;
    if (error.code === 'VR_NO_QUORUM' || error.code === 'VR_UNSUPPORTED') return EXIT_UNAVAILABLE;
  }
  return EXIT_FAILED;
}

/** One line for people. */
export function messageOf(error: unknown): string {
  if (VrError.is(error)) return `${error.message} (${error.code})`;
  return error instanceof Error ? error.message : String(error);
}
