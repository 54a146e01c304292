// Where calls of one turn of the event loop come together: operations are written one behind the other into the bytes of one
// request; beside it stand the lanes and calls that wait for them.

import type { LocalLevel } from '../../protocol/client-event.js';
import { OperationWriter, skipOperation, skipRun } from '../../service/operation-writer.js';
import type { Key } from '../api.js';
import type { ClientSettings } from '../options.js';
import type { Holder, ReadCall, WriteCall } from './calls.js';
import type { ValueCodec } from './codecs.js';
import { ReadLane, type Withdrawing, WriteLane } from './lane.js';
import type { RequestBuffers } from './request-buffers.js';
import { allDone, expireWaiting, ReadSubmission, WriteSubmission } from './submissions.js';

/** A request is sealed once it has so many bytes, so that it fits into an entry beside others. */
const REQUEST_BYTES_AIM = 64 << 10;
const FIRST_BYTES = 256;

class RequestHolder implements Holder, Withdrawing {
  sent = false;
  #writer: OperationWriter | null;
  #body: Uint8Array | null = null;

  constructor(writer: OperationWriter) {
    this.#writer = writer;
  }

  sealed(body: Uint8Array): void {
    this.#writer = null;
    this.#body = body;
  }

  skip(offset: number): void {
    if (this.#writer !== null) this.#writer.skip(offset);
    else if (this.#body !== null) skipOperation(this.#body, offset);
  }

  skipRun(first: number, count: number): void {
    if (this.#writer !== null) this.#writer.skipRun(first, count);
    else if (this.#body !== null) skipRun(this.#body, first, count);
  }
}

export class WriteGather {
  readonly writer: OperationWriter;
  readonly #maxOps: number;
  readonly #replyBytesMax: number;
  #calls: WriteCall[] = [];
  #lanes: WriteLane[] = [];
  #lane: WriteLane | null = null;
  #holder: RequestHolder;

  constructor(settings: ClientSettings, buffers: RequestBuffers) {
    this.writer = new OperationWriter(settings, FIRST_BYTES, buffers);
    this.#maxOps = settings.maxOps;
    // A quarter of the budget of replies, so that several requests can be open.
    this.#replyBytesMax = settings.sessionReplyBytes / 4;
    this.#holder = new RequestHolder(this.writer);
  }

  get count(): number {
    return this.writer.count;
  }

  get full(): boolean {
    const { writer } = this;
    return (
      writer.count >= this.#maxOps ||
      writer.byteLength >= REQUEST_BYTES_AIM ||
      writer.replyBytesMax >= this.#replyBytesMax
    );
  }

  /** The operation that was just written belongs to `call`; `call.offset` says where it begins. */
  add(call: WriteCall): void {
    this.#lane = null;
    call.holder = this.#holder;
    call.place = this.writer.count - 1;
    this.#calls.push(call);
  }

  /** The operation that was just written is of kind `code`. @returns its call's promise. */
  join(code: number, deadline: number): Promise<unknown> {
    let lane = this.#lane;
    if (lane === null || lane.deadline !== deadline || lane.done) {
      lane = new WriteLane(this.writer.count - 1, deadline);
      this.#lane = lane;
      this.#lanes.push(lane);
    }
    return lane.add(code);
  }

  seal(): WriteSubmission {
    const { count: operations, replyBytesMax: replyBytes } = this.writer;
    const body = this.writer.take(false);
    const holder = this.#holder;
    holder.sealed(body);
    const what = { body, replyBytes, operations, atomic: false };
    const waiting = { calls: this.#calls, lanes: this.#lanes };
    this.#calls = [];
    this.#lanes = [];
    this.#lane = null;
    this.#holder = new RequestHolder(this.writer);
    return new WriteSubmission(what, waiting, holder);
  }

  expire(nowMs: number): void {
    expireWaiting({ calls: this.#calls, lanes: this.#lanes }, nowMs, this.#holder);
  }

  /** Nobody waits for any of it. */
  get abandoned(): boolean {
    return allDone({ calls: this.#calls, lanes: this.#lanes });
  }
}

/** What is unsent and only reads has no effect, whatever becomes of it. */
const UNSENT_READ: Withdrawing = { sent: false, skipRun: () => undefined };

export class ReadGather {
  readonly code: number;
  readonly level: LocalLevel | null;
  readonly writer: OperationWriter;
  readonly #maxOps: number;
  #calls: ReadCall[] = [];
  #lanes: ReadLane[] = [];
  #lane: ReadLane | null = null;

  constructor(
    settings: ClientSettings,
    buffers: RequestBuffers,
    code: number,
    level: LocalLevel | null,
  ) {
    this.code = code;
    this.level = level;
    this.writer = new OperationWriter(settings, FIRST_BYTES, buffers);
    this.#maxOps = settings.maxOps;
  }

  get count(): number {
    return this.writer.count;
  }

  get full(): boolean {
    return this.writer.count >= this.#maxOps || this.writer.byteLength >= REQUEST_BYTES_AIM;
  }

  /** The operation that was just written belongs to `call`. */
  add(call: ReadCall): void {
    this.#lane = null;
    call.place = this.writer.count - 1;
    this.#calls.push(call);
  }

  /** The operation that was just written is one of a lane. @returns its call's promise. */
  join(codec: ValueCodec, key: Key, deadline: number): Promise<unknown> {
    let lane = this.#lane;
    if (lane === null || lane.deadline !== deadline || lane.done) {
      lane = new ReadLane(this.writer.count - 1, deadline, this.code);
      this.#lane = lane;
      this.#lanes.push(lane);
    }
    return lane.add(codec, key);
  }

  seal(): ReadSubmission {
    const { count } = this.writer;
    const { code, level } = this;
    const what = { body: this.writer.take(false), code, from: 0, to: count, level };
    const waiting = { calls: this.#calls, lanes: this.#lanes };
    this.#calls = [];
    this.#lanes = [];
    this.#lane = null;
    return new ReadSubmission(what, waiting);
  }

  expire(nowMs: number): void {
    expireWaiting({ calls: this.#calls, lanes: this.#lanes }, nowMs, UNSENT_READ);
  }

  get abandoned(): boolean {
    return allDone({ calls: this.#calls, lanes: this.#lanes });
  }
}
