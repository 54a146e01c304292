// What storage throws. The layer above turns it into the error that users see; this folder may not know that one.

export type StorageErrorCode =
  /** Another process, or another thread of this one, has the directory. */
  | 'VR_DIR_LOCKED'
  /** Written by a version whose format this one does not know. */
  | 'VR_VERSION_MISMATCH'
  /** The disk is full, or refuses to write, or to flush. */
  | 'VR_DISK'
  /** What is on the disk is not what was written there. */
  | 'VR_CORRUPT_LOG'
  /** The caller asks for what cannot be: another cluster's directory, an entry that does not fit. */
  | 'VR_CONFIG';

export const STORAGE_ERROR_CODES: readonly StorageErrorCode[] = [
  'VR_DIR_LOCKED',
  'VR_VERSION_MISMATCH',
  'VR_DISK',
  'VR_CORRUPT_LOG',
  'VR_CONFIG',
];

export class StorageError extends Error {
  override readonly name = 'StorageError';
  readonly code: StorageErrorCode;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: StorageErrorCode,
    message: string,
    details: Readonly<Record<string, unknown>> = {},
    cause?: unknown,
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.details = details;
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
