// What waits for an answer: a submission is one request to the session, with the calls that it carries. Calls settle one by
// one, by their result, their deadline or their signal, while the submission itself stays open until the replicas answer.

import {
  CHANGED,
  CONDITION_FAILED,
  COUNTED,
  KEY_INVALID,
  OUT_OF_RANGE,
  STORE_FULL,
  UNCHANGED,
  VALUE_TOO_LARGE,
  WRONG_TYPE,
} from '../service/operation.js';
import { ReadResult, WriteResult } from '../service/result-reader.js';
import type { CallOptions, CasResult, Item, Key } from './api.js';
import type { ValueCodec } from './codecs.js';
import { type Outcome, VrError, type VrErrorCode } from './errors.js';

/** A request that is gathered or waits to be sent: an operation can still be taken out of it. */
export interface Holder {
  /** True once the request may have reached a replica. */
  sent: boolean;
  skip(offset: number): void;
}

/** One promise of a user. */
export abstract class Call {
  done: boolean = false;
  /** Milliseconds on the monotonic clock. */
  deadline: number = Number.POSITIVE_INFINITY;
  /** The request that carries the operation, and where; null: it is in none yet. */
  holder: Holder | null = null;
  offset: number = 0;
  #resolve: (value: never) => void;
  #reject: (error: unknown) => void;
  #signal: AbortSignal | null = null;
  #onAbort: (() => void) | null = null;

  constructor(resolve: (value: never) => void, reject: (error: unknown) => void) {
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** Follows `options.signal` until the call settles. */
  follow(options: CallOptions | undefined): void {
    const signal = options?.signal;
    if (signal === undefined) return;
    this.#signal = signal;
    this.#onAbort = () => {
      const outcome = this.giveUp();
      this.fail(aborted(signal, outcome));
    };
    signal.addEventListener('abort', this.#onAbort, { once: true });
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
    if (this.#onAbort !== null) this.#signal?.removeEventListener('abort', this.#onAbort);
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

export abstract class WriteCall extends Call {
  abstract settle(result: WriteResult, i: number): void;
}

export class SetCall extends WriteCall {
  settle(result: WriteResult, i: number): void {
    const status = result.status(i);
    if (status === CHANGED) this.resolve(result.revision(i));
    else if (status === CONDITION_FAILED) this.resolve(undefined);
    else this.fail(statusError(status));
  }
}

export class DeleteCall extends WriteCall {
  settle(result: WriteResult, i: number): void {
    const status = result.status(i);
    if (status === CHANGED || status === UNCHANGED || status === CONDITION_FAILED)
      this.resolve(status === CHANGED);
    else this.fail(statusError(status));
  }
}

export class IncrCall extends WriteCall {
  settle(result: WriteResult, i: number): void {
    const status = result.status(i);
    if (status === COUNTED) this.resolve(result.extra(i));
    else this.fail(statusError(status));
  }
}

export class CasCall extends WriteCall {
  settle(result: WriteResult, i: number): void {
    const status = result.status(i);
    let answer: CasResult | null = null;
    if (status === CHANGED) answer = { ok: true, revision: result.revision(i) as number };
    else if (status === CONDITION_FAILED)
      answer = { ok: false, revision: result.extra(i) || undefined };
    if (answer !== null) this.resolve(answer);
    else this.fail(statusError(status));
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

export abstract class ReadCall extends Call {
  abstract settle(result: ReadResult, i: number, bytes: Buffer): void;

  /** Decoding may fail: that is this call's error, not its neighbours'. */
  protected attempt(decode: () => unknown): void {
    try {
      this.resolve(decode());
    } catch (error) {
      this.fail(error);
    }
  }
}

export class GetCall extends ReadCall {
  readonly #codec: ValueCodec;

  constructor(
    codec: ValueCodec,
    resolve: (value: never) => void,
    reject: (error: unknown) => void,
  ) {
    super(resolve, reject);
    this.#codec = codec;
  }

  settle(result: ReadResult, i: number, bytes: Buffer): void {
    if (!result.present(i)) {
      this.resolve(undefined);
      return;
    }
    const at = result.valueAt(i);
    this.attempt(() => this.#codec.decode(bytes, at, at + result.valueBytes(i)));
  }
}

export class GetItemCall extends ReadCall {
  readonly #codec: ValueCodec;
  readonly #key: Key;

  constructor(
    what: { codec: ValueCodec; key: Key },
    resolve: (value: never) => void,
    reject: (error: unknown) => void,
  ) {
    super(resolve, reject);
    this.#codec = what.codec;
    this.#key = what.key;
  }

  settle(result: ReadResult, i: number, bytes: Buffer): void {
    if (!result.present(i)) {
      this.resolve(undefined);
      return;
    }
    const at = result.valueAt(i);
    this.attempt(() => {
      const value = this.#codec.decode(bytes, at, at + result.valueBytes(i));
      const item: Item<unknown> = {
        key: typeof this.#key === 'string' ? this.#key : Buffer.from(this.#key).toString('utf8'),
        value,
        revision: result.revision(i),
        createdRevision: result.createdRevision(i),
      };
      return item;
    });
  }
}

export class HasCall extends ReadCall {
  settle(result: ReadResult, i: number): void {
    this.resolve(result.present(i));
  }
}

/** What the session carries under one token. */
export interface Submission {
  readonly body: Uint8Array;
  readonly read: boolean;
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
  /** Fails those whose time is over. @returns the next deadline. */
  expire(nowMs: number): number;
}

function expireCalls(calls: readonly Call[], nowMs: number): number {
  let next = Number.POSITIVE_INFINITY;
  for (const call of calls) {
    if (call.done) continue;
    if (call.deadline <= nowMs) call.fail(timedOut(call.giveUp()));
    else next = Math.min(next, call.deadline);
  }
  return next;
}

function allDone(calls: readonly Call[]): boolean {
  for (const call of calls) if (!call.done) return false;
  return true;
}

function earliest(calls: readonly Call[]): number {
  let deadline = Number.POSITIVE_INFINITY;
  for (const call of calls) deadline = Math.min(deadline, call.deadline);
  return deadline;
}

/** Calls gathered into one writing request, or one atomic batch. */
export class WriteSubmission implements Submission, Holder {
  readonly read = false;
  readonly body: Uint8Array;
  readonly replyBytes: number;
  readonly operations: number;
  deadline: number;
  readonly #calls: readonly WriteCall[];
  readonly #atomic: boolean;
  #sent = false;

  readonly #holder: Holder | null;

  constructor(
    what: { body: Uint8Array; replyBytes: number; operations: number; atomic: boolean },
    calls: readonly WriteCall[],
    holder: Holder | null,
  ) {
    this.#holder = holder;
    this.body = what.body;
    this.replyBytes = what.replyBytes;
    this.operations = what.operations;
    this.#atomic = what.atomic;
    this.#calls = calls;
    this.deadline = earliest(calls);
    if (holder === null) for (const call of calls) call.holder = this;
  }

  get sent(): boolean {
    return this.#sent;
  }

  get abandoned(): boolean {
    return allDone(this.#calls);
  }

  get outcome(): Outcome {
    return this.#sent ? 'unknown' : 'not-executed';
  }

  /** An atomic batch has one caller: when that one gives up, all of it is abandoned. */
  skip(): void {}

  set sent(sent: boolean) {
    this.#sent = sent;
    if (this.#holder !== null) this.#holder.sent = sent;
  }

  settle(bytes: Uint8Array): null {
    const result = new WriteResult(bytes, this.#atomic);
    if (result.malformed) {
      this.fail(new VrError('VR_UNSUPPORTED', 'the service refused the form of the request'));
      return null;
    }
    for (let i = 0; i < this.#calls.length; i++) this.#calls[i]?.settle(result, i);
    return null;
  }

  fail(error: VrError): void {
    for (const call of this.#calls) call.fail(error);
  }

  expire(nowMs: number): number {
    this.deadline = expireCalls(this.#calls, nowMs);
    return this.deadline;
  }
}

/** Calls gathered into one reading request, all of one code. */
export class ReadSubmission implements Submission, Holder {
  readonly read = true;
  sent = false;
  readonly replyBytes = 0;
  readonly body: Uint8Array;
  deadline: number;
  readonly #code: number;
  readonly #calls: readonly ReadCall[];

  constructor(body: Uint8Array, code: number, calls: readonly ReadCall[]) {
    this.body = body;
    this.#code = code;
    this.#calls = calls;
    this.deadline = earliest(calls);
    for (const call of calls) call.holder = this;
  }

  get operations(): number {
    return this.#calls.length;
  }

  get abandoned(): boolean {
    return allDone(this.#calls);
  }

  get outcome(): Outcome {
    return this.sent ? 'unknown' : 'not-executed';
  }

  /** A read that nobody waits for changes nothing. */
  skip(): void {}

  settle(bytes: Uint8Array): Submission | null {
    const copy = Buffer.from(bytes);
    const result = new ReadResult(copy, this.#code);
    const answered = result.malformed ? 0 : result.count;
    for (let i = 0; i < answered; i++) this.#calls[i]?.settle(result, i, copy);
    if (answered === this.#calls.length) return null;
    if (answered === 0) {
      this.fail(new VrError('VR_UNSUPPORTED', 'the service refused the form of the request'));
      return null;
    }
    return new ReadSubmission(
      restOfRead(this.body, answered),
      this.#code,
      this.#calls.slice(answered),
    );
  }

  fail(error: VrError): void {
    for (const call of this.#calls) call.fail(error);
  }

  expire(nowMs: number): number {
    this.deadline = expireCalls(this.#calls, nowMs);
    return this.deadline;
  }
}

const HEADER = 8;

/** The reading request without its first `answered` operations. */
export function restOfRead(body: Uint8Array, answered: number): Uint8Array {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  let at = HEADER;
  for (let i = 0; i < answered; i++) at += HEADER + view.getUint16(at + 2, true);
  const rest = new Uint8Array(HEADER + body.length - at);
  rest.set(body.subarray(0, HEADER));
  rest.set(body.subarray(at), HEADER);
  new DataView(rest.buffer).setUint32(4, view.getUint32(4, true) - answered, true);
  return rest;
}
