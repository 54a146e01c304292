// What waits for an answer: a submission is one request to the session, with the calls that it carries. Calls settle one by
// one, by their result, their deadline or their signal, while the submission itself stays open until the replicas answer.
// Most calls are no `Call`: what has no options of its own goes by a lane (lane.ts).

import type { LocalLevel } from '../../protocol/client-event.js';
import {
  CHANGED,
  CONDITION_FAILED,
  COUNTED,
  KEY_INVALID,
  OP_CAS,
  OP_DELETE,
  OP_GET_ITEM,
  OP_HAS,
  OP_INCR,
  OP_SET,
  OUT_OF_RANGE,
  STORE_FULL,
  UNCHANGED,
  VALUE_TOO_LARGE,
  WRONG_TYPE,
} from '../../service/operation.js';
import type { ReadResult, WriteResult } from '../../service/result-reader.js';
import type { CallOptions, CasResult, Item, Key } from '../api.js';
import { type Outcome, VrError, type VrErrorCode } from '../errors.js';
import { ofKey } from './codec-errors.js';
import type { ValueCodec } from './codecs.js';
import { follow } from './signals.js';

/** A request that is gathered or waits to be sent: an operation can still be taken out of it. */
export interface Holder {
  /** True once the request may have reached a replica. */
  sent: boolean;
  skip(offset: number): void;
}

/** One promise of a user. */
export abstract class Call {
  done: boolean = false;
  /** Whole milliseconds on the monotonic clock: fractions would cost an object per call. */
  deadline: number = 0;
  /** The request that carries the operation, and where; null: it is in none yet. */
  holder: Holder | null = null;
  offset: number = 0;
  /** Which operation of its request it is. */
  place: number = 0;
  #resolve: (value: never) => void;
  #reject: (error: unknown) => void;
  #unfollow: (() => void) | null = null;

  constructor(resolve: (value: never) => void, reject: (error: unknown) => void) {
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** Follows `options.signal` until the call settles. */
  follow(options: CallOptions | undefined): void {
    const signal = options?.signal;
    if (signal === undefined) return;
    this.#unfollow = follow(signal, () => {
      const outcome = this.giveUp();
      this.fail(aborted(signal, outcome));
    });
  }

  /** The caller does not wait any more: what was not sent is taken out. @returns what can be said about the operation. */
  giveUp(): Outcome {
    if (this.holder === null) return 'not-executed';
    if (this.holder.sent) return 'unknown';
    this.holder.skip(this.offset);
    return 'not-executed';
  }

  protected resolve(value: unknown): void {
    if (this.done) return;
    this.#end();
    this.#resolve(value as never);
  }

  fail(error: unknown): void {
    if (this.done) return;
    this.#end();
    this.#reject(error);
  }

  #end(): void {
    this.done = true;
    if (this.#unfollow !== null) this.#unfollow();
  }
}

export function aborted(signal: AbortSignal, outcome: Outcome): VrError {
  return new VrError('VR_ABORTED', 'the call was aborted', { outcome, cause: signal.reason });
}

export function timedOut(outcome: Outcome): VrError {
  const message =
    outcome === 'unknown'
      ? 'no answer in time; the request stays open and runs once or never'
      : 'the call was not sent in time';
  return new VrError('VR_TIMEOUT', message, { outcome, retryable: true });
}

const STATUS_ERRORS: Record<number, [VrErrorCode, string]> = {
  [WRONG_TYPE]: ['VR_WRONG_TYPE', 'the stored value is not an integer'],
  [OUT_OF_RANGE]: ['VR_OUT_OF_RANGE', 'the sum is outside of +-(2^53 - 1)'],
  [STORE_FULL]: ['VR_STORE_FULL', 'the store has reached limits.storeBytes; deletes still work'],
  [KEY_INVALID]: ['VR_KEY_INVALID', 'the key is empty or too long'],
  [VALUE_TOO_LARGE]: ['VR_VALUE_TOO_LARGE', 'the value is too large'],
};

/** The error that a status of an operation stands for, or null when it is none. */
export function statusError(status: number): VrError | null {
  const known = STATUS_ERRORS[status];
  if (known === undefined) return null;
  return new VrError(known[0], known[1], { retryable: status === STORE_FULL });
}

/** For callers: a delete that answers with the revision of the deletion, undefined when there was none. */
export const DELETE_AT: number = 0x100 | OP_DELETE;

/** What a writing operation of kind `code` answers to its user. @throws {VrError} what its status stands for */
export function writeOutcome(code: number, result: WriteResult, i: number): unknown {
  const status = result.status(i);
  switch (code) {
    case OP_SET:
      if (status === CHANGED) return result.revision(i);
      if (status === CONDITION_FAILED) return undefined;
      break;
    case OP_DELETE:
      if (status === CHANGED) return true;
      if (status === UNCHANGED || status === CONDITION_FAILED) return false;
      break;
    case DELETE_AT:
      if (status === CHANGED) return result.revision(i);
      if (status === UNCHANGED || status === CONDITION_FAILED) return undefined;
      break;
    case OP_INCR:
      if (status === COUNTED) return result.extra(i);
      break;
    case OP_CAS:
      if (status === CHANGED) {
        const done: CasResult = { ok: true, revision: result.revision(i) as number };
        return done;
      }
      if (status === CONDITION_FAILED) {
        const missed: CasResult = { ok: false, revision: result.extra(i) || undefined };
        return missed;
      }
      break;
  }
  throw statusError(status) ?? new Error(`status ${status} for operation ${code}`);
}

export abstract class WriteCall extends Call {
  abstract settle(result: WriteResult, i: number): void;
}

/** One writing operation with options of its own. */
export class SingleWriteCall extends WriteCall {
  readonly #code: number;

  constructor(code: number, resolve: (value: never) => void, reject: (error: unknown) => void) {
    super(resolve, reject);
    this.#code = code;
  }

  settle(result: WriteResult, i: number): void {
    try {
      this.resolve(writeOutcome(this.#code, result, i));
    } catch (error) {
      this.fail(error);
    }
  }
}

/** An atomic batch: one promise for all of its operations. */
export class BatchCall extends WriteCall {
  settle(result: WriteResult): void {
    if (!result.aborted) {
      let revision = 0;
      for (let i = 0; i < result.count; i++) revision = Math.max(revision, result.revision(i) ?? 0);
      this.resolve(revision);
      return;
    }
    for (let i = 0; i < result.count; i++) {
      const error = statusError(result.status(i));
      if (error === null) continue;
      this.fail(
        new VrError(
          error.code,
          `operation ${i} of the batch: ${error.message}; nothing was changed`,
          {
            retryable: error.retryable,
            details: { index: i },
          },
        ),
      );
      return;
    }
  }
}

/** The answer to one reading request, in private memory. */
export interface ReadAnswer {
  readonly result: ReadResult;
  readonly bytes: Buffer;
}

/** One operation that reads. */
export interface ReadWhat {
  readonly code: number;
  readonly codec: ValueCodec;
  readonly key: Key;
}

/** What a get or has answers to its user. @throws {VrError} VR_CODEC */
export function readOutcome(
  code: number,
  answer: ReadAnswer,
  i: number,
  codec: ValueCodec,
  key: Key,
): unknown {
  const { result } = answer;
  const present = result.present(i);
  if (code === OP_HAS) return present;
  if (!present) return undefined;
  const at = result.valueAt(i);
  try {
    return codec.decode(answer.bytes, at, at + result.valueBytes(i));
  } catch (error) {
    throw ofKey(error, key);
  }
}

/** One reading operation with options of its own, or one that answers with an item. */
export class ReadCall extends Call {
  readonly #what: ReadWhat;

  constructor(what: ReadWhat, resolve: (value: never) => void, reject: (error: unknown) => void) {
    super(resolve, reject);
    this.#what = what;
  }

  settle(answer: ReadAnswer, i: number): void {
    const { code, codec, key } = this.#what;
    // Decoding may fail: that is this call's error, not its neighbours'.
    try {
      const value = readOutcome(code, answer, i, codec, key);
      this.resolve(code === OP_GET_ITEM ? this.#item(answer.result, i, value) : value);
    } catch (error) {
      this.fail(error);
    }
  }

  #item(result: ReadResult, i: number, value: unknown): Item<unknown> | undefined {
    if (!result.present(i)) return undefined;
    const { key } = this.#what;
    return {
      key: typeof key === 'string' ? key : Buffer.from(key).toString('utf8'),
      value,
      revision: result.revision(i),
      createdRevision: result.createdRevision(i),
    };
  }
}

/** What the session carries under one token. */
export interface Submission {
  readonly body: Uint8Array;
  readonly read: boolean;
  /** Of a read that any active may answer; null: the primary. */
  readonly level: LocalLevel | null;
  /** Worst-case bytes of the reply to a writing request. */
  readonly replyBytes: number;
  /** Operations, for the limits on calls. */
  readonly operations: number;
  /** Earliest deadline of anybody who waits. */
  readonly deadline: number;
  /** Set when the session gets it: from then on nothing can be taken back. */
  sent: boolean;
  /** Nobody waits for it any more. While it is unsent, it must be dropped: its callers were told that it did not run. */
  readonly abandoned: boolean;
  /** What can be said about its operations if it ends without an answer now. */
  readonly outcome: Outcome;
  /** `result` may view memory that is reused after the call. @returns what is still to be asked, or null. */
  settle(result: Uint8Array): Submission | null;
  /** Everybody who waits gets `error`. */
  fail(error: VrError): void;
  /** Fails those whose time is over. */
  expire(nowMs: number): void;
}
