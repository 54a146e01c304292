// The one error type that users see. `outcome` answers the question that matters after a failed write.

export type VrErrorCode =
  | 'VR_TIMEOUT'
  | 'VR_ABORTED'
  | 'VR_CLOSED'
  | 'VR_NO_QUORUM'
  | 'VR_OVERLOADED'
  | 'VR_SESSION_EXPIRED'
  | 'VR_RESULT_LOST'
  | 'VR_STORE_FULL'
  | 'VR_REQUEST_TOO_LARGE'
  | 'VR_WRONG_TYPE'
  | 'VR_OUT_OF_RANGE'
  | 'VR_KEY_INVALID'
  | 'VR_VALUE_TOO_LARGE'
  | 'VR_CODEC'
  | 'VR_REPLICA_CRASHED'
  | 'VR_CONFIG'
  | 'VR_DIR_LOCKED'
  | 'VR_VERSION_MISMATCH'
  | 'VR_CORRUPT_LOG'
  | 'VR_DISK'
  | 'VR_UNSUPPORTED';

/** Was the operation executed? `unknown`: it was sent, stays open, and runs once or never. */
export type Outcome = 'not-executed' | 'executed' | 'unknown';

export interface VrErrorOptions {
  readonly outcome?: Outcome;
  readonly retryable?: boolean;
  readonly details?: Readonly<Record<string, unknown>>;
  readonly cause?: unknown;
}

/**
 * Everything this library throws or rejects with.
 *
 * @example
 * try { await kv.set('', 1); } catch (error) { if (VrError.is(error, 'VR_KEY_INVALID')) ... }
 */
export class VrError extends Error {
  override readonly name: string = 'VrError';
  readonly code: VrErrorCode;
  readonly outcome: Outcome;
  /** The same call may succeed later, unchanged; one whose outcome is 'unknown' may have run by then. */
  readonly retryable: boolean;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: VrErrorCode, message: string, options: VrErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.outcome = options.outcome ?? 'not-executed';
    this.retryable = options.retryable ?? false;
    this.details = options.details ?? {};
    if (code === 'VR_ABORTED') this.name = 'AbortError';
  }

  static is(error: unknown, code?: VrErrorCode): error is VrError {
    return error instanceof VrError && (code === undefined || error.code === code);
  }
}

/** Of an end that no replica comes back from by itself. */
export const PERMANENT_LOSS: string =
  'more than f replicas were lost; in memory the data is gone, with durability it is what the directory has: close the cluster and open it again';
