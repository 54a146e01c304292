// Requests with the calls and lanes that they carry.

import type { LocalLevel } from '../../protocol/client-event.js';
import { ReadResult, WriteResult } from '../../service/result-reader.js';
import { type Outcome, VrError } from '../errors.js';
import {
  type Call,
  type Holder,
  type ReadCall,
  type Submission,
  timedOut,
  type WriteCall,
} from './calls.js';
import type { ReadLane, ReadPart, Withdrawing, WriteLane } from './lane.js';

/** Whoever waits for one request. */
interface Waiting<C extends Call, L> {
  readonly calls: readonly C[];
  readonly lanes: readonly L[];
}

type AnyWaiting = Waiting<Call, WriteLane | ReadLane>;

export function allDone({ calls, lanes }: AnyWaiting): boolean {
  for (const call of calls) if (!call.done) return false;
  for (const lane of lanes) if (!lane.done) return false;
  return true;
}

/** @returns the next deadline. */
function nextDeadline({ calls, lanes }: AnyWaiting): number {
  let deadline = Number.POSITIVE_INFINITY;
  for (const call of calls) if (!call.done) deadline = Math.min(deadline, call.deadline);
  for (const lane of lanes) if (!lane.done) deadline = Math.min(deadline, lane.deadline);
  return deadline;
}

export function expireWaiting(
  { calls, lanes }: AnyWaiting,
  nowMs: number,
  request: Withdrawing,
): void {
  for (const call of calls)
    if (!call.done && call.deadline <= nowMs) call.fail(timedOut(call.giveUp()));
  for (const lane of lanes) lane.expire(nowMs, request);
}

function failAll({ calls, lanes }: AnyWaiting, error: VrError): void {
  for (const call of calls) call.fail(error);
  for (const lane of lanes) lane.fail(error);
}

function malformed(): VrError {
  return new VrError('VR_UNSUPPORTED', 'the service refused the form of the request');
}

const NO_LANES: readonly never[] = [];

/** Calls gathered into one writing request, or one atomic batch. */
export class WriteSubmission implements Submission, Holder {
  readonly read = false;
  readonly level = null;
  readonly body: Uint8Array;
  readonly replyBytes: number;
  readonly operations: number;
  deadline: number;
  readonly #waiting: Waiting<WriteCall, WriteLane>;
  readonly #atomic: boolean;
  readonly #holder: (Holder & Withdrawing) | null;
  #sent = false;

  /** `holder` null: an atomic batch, which has one caller: when that one gives up, all of it is abandoned. */
  constructor(
    what: { body: Uint8Array; replyBytes: number; operations: number; atomic: boolean },
    waiting: { calls: readonly WriteCall[]; lanes?: readonly WriteLane[] },
    holder: (Holder & Withdrawing) | null,
  ) {
    this.#holder = holder;
    this.body = what.body;
    this.replyBytes = what.replyBytes;
    this.operations = what.operations;
    this.#atomic = what.atomic;
    this.#waiting = { calls: waiting.calls, lanes: waiting.lanes ?? NO_LANES };
    this.deadline = nextDeadline(this.#waiting);
    if (holder === null) for (const call of waiting.calls) call.holder = this;
  }

  get sent(): boolean {
    return this.#sent;
  }

  set sent(sent: boolean) {
    this.#sent = sent;
    if (this.#holder !== null) this.#holder.sent = sent;
  }

  get abandoned(): boolean {
    return allDone(this.#waiting);
  }

  get outcome(): Outcome {
    return this.#sent ? 'unknown' : 'not-executed';
  }

  skip(): void {}

  skipRun(first: number, count: number): void {
    this.#holder?.skipRun(first, count);
  }

  settle(bytes: Uint8Array): null {
    // Lanes look at it later, when the ring's memory is used again.
    const copy = bytes.slice();
    const result = new WriteResult(copy, this.#atomic);
    if (result.malformed) {
      this.fail(malformed());
      return null;
    }
    for (const call of this.#waiting.calls) call.settle(result, call.place);
    for (const lane of this.#waiting.lanes) lane.settle(result);
    return null;
  }

  fail(error: VrError): void {
    failAll(this.#waiting, error);
  }

  expire(nowMs: number): void {
    expireWaiting(this.#waiting, nowMs, this);
    this.deadline = nextDeadline(this.#waiting);
  }
}

/** Calls gathered into one reading request, all of one code. */
export class ReadSubmission implements Submission, Holder {
  readonly read = true;
  readonly level: LocalLevel | null;
  sent = false;
  readonly replyBytes = 0;
  readonly body: Uint8Array;
  deadline: number;
  readonly #code: number;
  readonly #waiting: Waiting<ReadCall, ReadLane>;
  /** Operations in `body`: those from place `from` to `to` of what was gathered. */
  readonly #from: number;
  readonly #to: number;

  constructor(
    what: { body: Uint8Array; code: number; from: number; to: number; level: LocalLevel | null },
    waiting: { calls: readonly ReadCall[]; lanes: readonly ReadLane[] },
  ) {
    this.body = what.body;
    this.#code = what.code;
    this.level = what.level;
    this.#from = what.from;
    this.#to = what.to;
    this.#waiting = waiting;
    this.deadline = nextDeadline(waiting);
    for (const call of waiting.calls) call.holder = this;
  }

  get operations(): number {
    return this.#to - this.#from;
  }

  get abandoned(): boolean {
    return allDone(this.#waiting);
  }

  get outcome(): Outcome {
    return this.sent ? 'unknown' : 'not-executed';
  }

  /** A read that nobody waits for changes nothing. */
  skip(): void {}

  skipRun(): void {}

  settle(bytes: Uint8Array): Submission | null {
    const copy = Buffer.from(bytes);
    const result = new ReadResult(copy, this.#code);
    const answered = result.malformed ? 0 : result.count;
    if (answered === 0) {
      this.fail(malformed());
      return null;
    }
    const from = this.#from;
    const part: ReadPart = { from, count: answered, result, bytes: copy };
    const end = from + answered;
    const { calls, lanes } = this.#waiting;
    for (const call of calls) if (call.place < end) call.settle(part, call.place - from);
    for (const lane of lanes) lane.settle(part);
    if (end === this.#to) return null;
    return new ReadSubmission(
      {
        body: restOfRead(this.body, answered),
        code: this.#code,
        from: end,
        to: this.#to,
        level: this.level,
      },
      {
        calls: calls.filter((call) => call.place >= end),
        lanes: lanes.filter((lane) => lane.first + lane.count > end),
      },
    );
  }

  fail(error: VrError): void {
    failAll(this.#waiting, error);
  }

  expire(nowMs: number): void {
    expireWaiting(this.#waiting, nowMs, this);
    this.deadline = nextDeadline(this.#waiting);
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
