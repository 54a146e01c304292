// Exit codes of the command line and the one error for wrong usage. Scripts decide by the code, people by the message; stack
// traces are for neither.

import { VrError, type VrErrorCode } from '../index.js';
import { StorageError } from '../storage/errors.js';

export const EXIT_FAILED = 1;
export const EXIT_USAGE = 2;
/** A limit that the run was to keep. */
export const EXIT_THRESHOLD = 3;
export const EXIT_SAFETY = 4;
export const EXIT_UNAVAILABLE = 5;

const EXIT_OF: { readonly [C in VrErrorCode]?: number } = {
  VR_CONFIG: EXIT_USAGE,
  VR_NO_QUORUM: EXIT_UNAVAILABLE,
  VR_UNSUPPORTED: EXIT_UNAVAILABLE,
  VR_DIR_LOCKED: EXIT_UNAVAILABLE,
  VR_VERSION_MISMATCH: EXIT_UNAVAILABLE,
  VR_DISK: EXIT_UNAVAILABLE,
  VR_CORRUPT_LOG: EXIT_SAFETY,
};

/** Wrong usage: found before anything ran. */
export class UsageError extends Error {
  override readonly name: string = 'UsageError';
}

/** The exit code that an error of a command stands for. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError) return EXIT_USAGE;
  if (VrError.is(error) || error instanceof StorageError) return EXIT_OF[error.code] ?? EXIT_FAILED;
  return EXIT_FAILED;
}

/** One line for people. */
export function messageOf(error: unknown): string {
  if (VrError.is(error) || error instanceof StorageError) return `${error.message} (${error.code})`;
  return error instanceof Error ? error.message : String(error);
}
