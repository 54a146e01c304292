// Where calls of one turn of the event loop come together: operations are written one behind the other into the bytes of one
// request, their calls stand beside it in the same order.

import { OperationWriter, skipOperation } from '../service/operation-writer.js';
import {
  type Holder,
  type ReadCall,
  ReadSubmission,
  timedOut,
  type WriteCall,
  WriteSubmission,
} from './calls.js';
import type { ClientSettings } from './options.js';

/** A request is sealed once it has so many bytes, so that it fits into an entry beside others. */
const REQUEST_BYTES_AIM = 64 << 10;
const FIRST_BYTES = 8 << 10;

class RequestHolder implements Holder {
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
}

export class WriteGather {
  readonly writer: OperationWriter;
  readonly #maxOps: number;
  readonly #replyBytesMax: number;
  #calls: WriteCall[] = [];
  #holder: RequestHolder;

  constructor(settings: ClientSettings) {
    this.writer = new OperationWriter(settings, FIRST_BYTES);
    this.#maxOps = settings.maxOps;
    // A quarter of the budget of replies, so that several requests can be open.
    this.#replyBytesMax = settings.sessionReplyBytes / 4;
    this.#holder = new RequestHolder(this.writer);
  }

  get count(): number {
    return this.#calls.length;
  }

  get full(): boolean {
    const { writer } = this;
    return (
      this.#calls.length >= this.#maxOps ||
      writer.byteLength >= REQUEST_BYTES_AIM ||
      writer.replyBytesMax >= this.#replyBytesMax
    );
  }

  /** The operation that was just written belongs to `call`; `call.offset` says where it begins. */
  add(call: WriteCall): void {
    call.holder = this.#holder;
    this.#calls.push(call);
  }

  seal(): WriteSubmission {
    const replyBytes = this.writer.replyBytesMax;
    const operations = this.#calls.length;
    const body = this.writer.take(false);
    const holder = this.#holder;
    holder.sealed(body);
    const submission = new WriteSubmission(
      { body, replyBytes, operations, atomic: false },
      this.#calls,
      holder,
    );
    this.#calls = [];
    this.#holder = new RequestHolder(this.writer);
    return submission;
  }

  expire(nowMs: number): void {
    for (const call of this.#calls)
      if (call.deadline <= nowMs && !call.done) call.fail(timedOut(call.giveUp()));
  }
}

export class ReadGather {
  readonly code: number;
  readonly writer: OperationWriter;
  readonly #maxOps: number;
  #calls: ReadCall[] = [];

  constructor(settings: ClientSettings, code: number) {
    this.code = code;
    this.writer = new OperationWriter(settings, FIRST_BYTES);
    this.#maxOps = settings.maxOps;
  }

  get count(): number {
    return this.#calls.length;
  }

  get full(): boolean {
    return this.#calls.length >= this.#maxOps || this.writer.byteLength >= REQUEST_BYTES_AIM;
  }

  add(call: ReadCall): void {
    this.#calls.push(call);
  }

  seal(): ReadSubmission {
    const submission = new ReadSubmission(this.writer.take(false), this.code, this.#calls);
    this.#calls = [];
    return submission;
  }

  expire(nowMs: number): void {
    for (const call of this.#calls)
      if (call.deadline <= nowMs && !call.done) call.fail(timedOut('not-executed'));
  }
}
