// The way of most calls: a lane is a run of operations of one request that were called without options of their own, in one turn.
// It has one promise, from which that of each call is derived; promises derived from one are settled in the order in which they were
// derived, so a cursor says whose turn it is. A call costs no object but its promise, and answers are looked at when it settles.

import type { WriteResult } from '../../service/result-reader.js';
import type { Key } from '../api.js';
import type { Outcome, VrError } from '../errors.js';
import { type ReadAnswer, readOutcome, timedOut, writeOutcome } from './calls.js';
import type { ValueCodec } from './codecs.js';

/** What can take unsent operations back. */
export interface Withdrawing {
  readonly sent: boolean;
  /** Withdraws `count` operations from place `first` on. */
  skipRun(first: number, count: number): void;
}

abstract class Lane {
  /** Place in the request of its first operation. */
  readonly first: number;
  /** Whole milliseconds on the monotonic clock, the same for all. */
  readonly deadline: number;
  done = false;
  protected cursor = 0;
  readonly #promise: Promise<void>;
  #resolve!: () => void;
  #reject!: (error: unknown) => void;

  constructor(first: number, deadline: number) {
    this.first = first;
    this.deadline = deadline;
    this.#promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  abstract get count(): number;
  protected abstract readonly next: () => unknown;

  /** The promise of one more call. */
  protected derive(): Promise<unknown> {
    return this.#promise.then(this.next);
  }

  protected answered(): void {
    if (this.done) return;
    this.done = true;
    this.#resolve();
  }

  fail(error: VrError): void {
    if (this.done) return;
    this.done = true;
    this.#reject(error);
  }

  /** Ends it when its time is over. */
  expire(nowMs: number, request: Withdrawing): void {
    if (this.done || this.deadline > nowMs) return;
    let outcome: Outcome = 'unknown';
    if (!request.sent) {
      request.skipRun(this.first, this.count);
      outcome = 'not-executed';
    }
    this.fail(timedOut(outcome));
  }
}

export class WriteLane extends Lane {
  /** Code of each operation. */
  readonly #codes: number[] = [];
  #result: WriteResult | null = null;

  get count(): number {
    return this.#codes.length;
  }

  add(code: number): Promise<unknown> {
    this.#codes.push(code);
    return this.derive();
  }

  /** `result` is over memory that stays; lanes of one request may share it, for their calls settle one lane after the other. */
  settle(result: WriteResult): void {
    this.#result = result;
    this.answered();
  }

  protected readonly next = (): unknown => {
    const at = this.cursor++;
    return writeOutcome(this.#codes[at] as number, this.#result as WriteResult, this.first + at);
  };
}

/** The answers of one request from place `from` on: a large answer comes in several. */
export interface ReadPart extends ReadAnswer {
  readonly from: number;
  readonly count: number;
}

export class ReadLane extends Lane {
  readonly #code: number;
  readonly #codecs: ValueCodec[] = [];
  /** Only for what is said of one that cannot be decoded. */
  readonly #keys: Key[] = [];
  readonly #parts: ReadPart[] = [];
  #part = 0;

  constructor(first: number, deadline: number, code: number) {
    super(first, deadline);
    this.#code = code;
  }

  get count(): number {
    return this.#codecs.length;
  }

  add(codec: ValueCodec, key: Key): Promise<unknown> {
    this.#codecs.push(codec);
    this.#keys.push(key);
    return this.derive();
  }

  /** Takes its share of `part`; ends with the last share. */
  settle(part: ReadPart): void {
    const end = part.from + part.count;
    if (this.first >= end || this.first + this.count <= part.from) return;
    this.#parts.push(part);
    if (this.first + this.count <= end) this.answered();
  }

  protected readonly next = (): unknown => {
    const at = this.cursor++;
    const place = this.first + at;
    let part = this.#parts[this.#part] as ReadPart;
    if (place >= part.from + part.count) part = this.#parts[++this.#part] as ReadPart;
    const codec = this.#codecs[at] as ValueCodec;
    return readOutcome(this.#code, part, place - part.from, codec, this.#keys[at] as Key);
  };
}
