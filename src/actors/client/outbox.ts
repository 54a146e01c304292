// The way of a client's calls, from being made to being answered: gathered, sealed into submissions, queued in order, handed to
// the session, and kept under a token until it settles them. It counts them at every stage, and ends those that nobody will
// answer. It knows no rings and no timers: when something goes is the client's affair.

import type { ClientEvent, ClientOutcome, LocalLevel } from '../../protocol/client-event.js';
import { OP_GET, OP_GET_ITEM, OP_HAS } from '../../service/operation.js';
import type { Key } from '../api.js';
import type { ClientSettings } from '../options.js';
import type { ReadCall, Submission, WriteCall } from './calls.js';
import { type Ending, evictedError, resultLostError } from './client-errors.js';
import type { ValueCodec } from './codecs.js';
import { ReadGather, WriteGather } from './gather.js';
import type { RequestBuffers } from './request-buffers.js';

/** Gathers of local reads that are kept for the next turn. */
const GATHERS_MAX = 16;

/** What the outbox asks of the session before it hands something over. */
interface Taker {
  canSubmit(replyBytes: number): boolean;
  canRead(): boolean;
}

export class Outbox {
  readonly writes: WriteGather;
  readonly #reads: readonly ReadGather[];
  /** Reads that any active may answer, by code and what they ask for; empty ones are kept up to `GATHERS_MAX`. */
  #local: ReadGather[] = [];
  readonly #settings: ClientSettings;
  readonly #callsInFlight: number;
  readonly #buffers: RequestBuffers;
  /** Sealed, in order, not given to the session yet. */
  #queue: Submission[] = [];
  /** So many of the queue's front have gone. They are cut off together: each cut moves the rest. */
  #taken = 0;
  /** By token. */
  readonly #open: (Submission | null)[] = [];
  readonly #freeTokens: number[] = [];
  #openCount = 0;
  #operationsOpen = 0;
  #operationsQueued = 0;
  #operationsGathered = 0;

  /** `buffers` get the bytes of requests back when these are answered. */
  constructor(settings: ClientSettings, buffers: RequestBuffers) {
    this.writes = new WriteGather(settings, buffers);
    this.#reads = [OP_GET, OP_GET_ITEM, OP_HAS].map(
      (code) => new ReadGather(settings, buffers, code, null),
    );
    this.#settings = settings;
    this.#callsInFlight = settings.callsInFlight;
    this.#buffers = buffers;
  }

  /** Where reads of kind `code` come together that ask for the same. */
  reads(code: number, level: LocalLevel | null): ReadGather {
    if (level === null) return this.#reads[code - OP_GET] as ReadGather;
    let gather = this.#local.find(
      (known) =>
        known.code === code &&
        known.level?.session === level.session &&
        known.level.maxStaleMs === level.maxStaleMs,
    );
    if (gather === undefined) {
      if (this.#local.length >= GATHERS_MAX)
        this.#local = this.#local.filter(({ count }) => count > 0);
      gather = new ReadGather(this.#settings, this.#buffers, code, level);
      this.#local.push(gather);
    }
    return gather;
  }

  get operationsGathered(): number {
    return this.#operationsGathered;
  }

  /** Gathered or queued. */
  get operationsWaiting(): number {
    return this.#operationsQueued + this.#operationsGathered;
  }

  get operationsOpen(): number {
    return this.#operationsOpen;
  }

  /** Something sealed has not gone yet. */
  get queued(): boolean {
    return this.#queue.length > 0;
  }

  /** Nothing that was sealed is still to be answered. */
  get idle(): boolean {
    return this.#openCount === 0 && this.#queue.length === 0;
  }

  // ── gathering ──

  /** `call`'s operation was just written into `writes`. */
  addWrite(call: WriteCall): void {
    this.writes.add(call);
    this.#wrote();
  }

  /** The same for an operation of kind `code` whose call has no options of its own. @returns its promise. */
  joinWrite(code: number, deadline: number): Promise<unknown> {
    const promise = this.writes.join(code, deadline);
    this.#wrote();
    return promise;
  }

  addRead(gather: ReadGather, call: ReadCall): void {
    gather.add(call);
    this.#read(gather);
  }

  joinRead(gather: ReadGather, codec: ValueCodec, key: Key, deadline: number): Promise<unknown> {
    const promise = gather.join(codec, key, deadline);
    this.#read(gather);
    return promise;
  }

  #wrote(): void {
    this.#operationsGathered++;
    if (this.writes.full) this.#sealWrites();
  }

  #read(gather: ReadGather): void {
    this.#operationsGathered++;
    if (!gather.full) return;
    // A read follows the writes that were called before it (RD0).
    this.#sealWrites();
    this.#sealReads(gather);
  }

  // ── queueing ──

  /** Queues `submissions` behind everything called before them. */
  push(submissions: readonly Submission[]): void {
    this.seal();
    for (const submission of submissions) this.#enqueue(submission);
  }

  /** Queues everything gathered. */
  seal(): void {
    this.#sealWrites();
    for (const gather of this.#reads) this.#sealReads(gather);
    for (const gather of this.#local) this.#sealReads(gather);
  }

  #sealWrites(): void {
    if (this.writes.count === 0) return;
    this.#operationsGathered -= this.writes.count;
    this.#enqueue(this.writes.seal());
  }

  #sealReads(gather: ReadGather): void {
    if (gather.count === 0) return;
    this.#operationsGathered -= gather.count;
    this.#enqueue(gather.seal());
  }

  #enqueue(submission: Submission): void {
    this.#queue.push(submission);
    this.#operationsQueued += submission.operations;
  }

  // ── handing over ──

  /**
   * Opens the first in the queue that somebody still waits for. Whoever begins goes on until there is none.
   * @returns what tells the session of it, or null: the queue is empty, or `taker` or `callsInFlight` lets nothing through.
   */
  next(taker: Taker): ClientEvent | null {
    while (this.#taken < this.#queue.length) {
      const submission = this.#queue[this.#taken] as Submission;
      const { read, operations } = submission;
      if (submission.abandoned) {
        this.#taken++;
        this.#operationsQueued -= operations;
        continue;
      }
      const fits =
        this.#operationsOpen === 0 || this.#operationsOpen + operations <= this.#callsInFlight;
      if (!fits || !(read ? taker.canRead() : taker.canSubmit(submission.replyBytes))) break;
      this.#taken++;
      this.#operationsQueued -= operations;
      this.#operationsOpen += operations;
      this.#openCount++;
      const token = this.#freeTokens.pop() ?? this.#open.length;
      this.#open[token] = submission;
      const { body, replyBytes } = submission;
      submission.sent = true;
      return read
        ? { type: 'read', token, body, level: submission.level }
        : { type: 'submit', token, body, replyBytes };
    }
    if (this.#taken > 0) this.#queue = this.#queue.slice(this.#taken);
    this.#taken = 0;
    return null;
  }

  /** What is left of a read that was answered in part goes first. */
  settle(token: number, outcome: ClientOutcome): void {
    const submission = this.#open[token];
    if (submission === null || submission === undefined) return;
    this.#open[token] = null;
    this.#freeTokens.push(token);
    this.#openCount--;
    this.#operationsOpen -= submission.operations;
    if (outcome.code === 'ok') {
      const rest = submission.settle(outcome.result);
      if (rest !== null) {
        this.#queue.unshift(rest);
        this.#operationsQueued += rest.operations;
      }
    } else submission.fail(outcome.code === 'evicted' ? evictedError() : resultLostError());
    // Answered: the session does not send it again.
    this.#buffers.give(submission.body);
  }

  // ── ending without an answer ──

  expire(nowMs: number): void {
    for (const submission of this.#open)
      if (submission !== null && submission.deadline <= nowMs) submission.expire(nowMs);
    for (const submission of this.#queue)
      if (submission.deadline <= nowMs) submission.expire(nowMs);
    this.writes.expire(nowMs);
    if (this.writes.abandoned) this.#sealWrites();
    for (const gather of [...this.#reads, ...this.#local]) {
      gather.expire(nowMs);
      if (gather.abandoned) this.#sealReads(gather);
    }
    this.#dropAbandoned();
  }

  /** What nobody waits for must not use up `callsWaiting` while nothing can be sent. */
  #dropAbandoned(): void {
    if (!this.#queue.some((submission) => submission.abandoned)) return;
    this.#keep((submission) => !submission.abandoned);
  }

  failAll(error: Ending): void {
    for (const [token, submission] of this.#open.entries()) {
      if (submission === null) continue;
      this.#open[token] = null;
      submission.fail(error(submission.outcome));
    }
    this.#openCount = 0;
    this.#operationsOpen = 0;
    this.failWaiting(error);
  }

  /** Whatever was not given to the session. */
  failWaiting(error: Ending): void {
    this.seal();
    for (const submission of this.#queue) submission.fail(error(submission.outcome));
    this.#queue = [];
    this.#operationsQueued = 0;
  }

  /** BP6: what has no number yet fails; what has one is repeated. */
  failWaitingWrites(error: Ending): void {
    this.seal();
    for (const submission of this.#queue)
      if (!submission.read) submission.fail(error(submission.outcome));
    this.#keep((submission) => submission.read);
  }

  #keep(wanted: (submission: Submission) => boolean): void {
    this.#queue = this.#queue.filter(wanted);
    this.#operationsQueued = this.#queue.reduce((sum, { operations }) => sum + operations, 0);
  }
}
