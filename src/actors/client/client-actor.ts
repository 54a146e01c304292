// The client of one thread, in the event loop of that thread: calls of one turn form one request; while replies flow it polls,
// then it sleeps on its doorbell. It moves what its outbox holds through the session of the protocol's client half and over the
// rings. No rule of the protocol stands here, and no call is kept here.

import { performance } from 'node:perf_hooks';
import type { ClientSession } from '../../protocol/client.js';
import type { ClientEffect, ClientEvent, LocalLevel } from '../../protocol/client-event.js';
import { TICK_MS } from '../../protocol/limits.js';
import type { Message, ServerMessage } from '../../protocol/message.js';
import { ClusterBlock, clientDoorbell } from '../../transport/mesh.js';
import type { Key } from '../api.js';
import type { ClientBoot } from '../boot.js';
import type { VrError } from '../errors.js';
import type { ReadCall, Submission, WriteCall } from './calls.js';
import {
  callsWaitingError,
  closedError,
  type Ending,
  logFullError,
  lostError,
} from './client-errors.js';
import { ClientRings } from './client-rings.js';
import { newSession } from './client-session.js';
import type { ValueCodec } from './codecs.js';
import type { ReadGather, WriteGather } from './gather.js';
import { MemoryPool } from './memory-pool.js';
import { Outbox } from './outbox.js';
import { RequestBuffers } from './request-buffers.js';
import { RingWatch } from './ring-watch.js';
import { within } from './within.js';

/** Gathered operations of one sort that do not wait for the end of the turn: more of them the more are open already. */
const FLUSH_OPERATIONS = 128;
const FLUSH_SHARE = 1 / 4;
/** Looks for further answers before a smaller flush: the calls that they bring about go along. */
const GATHER_ROUNDS = 4;
/** Ticks between two looks for calls whose time is over. */
const EXPIRE_EVERY_TICKS = 2;
/** Attempts to end the session when closing, in milliseconds. */
const GOODBYE_MS = 1000;

export class ClientActor {
  readonly boot: ClientBoot;
  /** Of requests; they come back when the request is answered. */
  readonly buffers: RequestBuffers = new RequestBuffers();
  /** Of results of pipelines; they come back when the user releases them. */
  readonly results: MemoryPool = new MemoryPool();
  /** An operation is written here before `gatheredWrite` or `joinedWrite`; for reads see `reads`. */
  readonly writes: WriteGather;
  readonly #outbox: Outbox;
  readonly #session: ClientSession;
  readonly #rings: ClientRings;
  /** By replica: what takes its messages. */
  readonly #takers: readonly ((message: Message) => void)[];
  // Made once: a turn of the event loop may carry one call.
  readonly #onTurnEnd = (): void => this.#endOfTurn();
  readonly #watch: RingWatch;
  readonly #cluster: ClusterBlock;
  #flushScheduled = false;
  #gatherRounds = 0;
  #timer: NodeJS.Timeout | null = null;
  #tickedMs = 0;
  #ticks = 0;
  #now = 0;
  #ended: Ending | null = null;
  #logFull = false;
  #opened: (() => void) | null = null;
  #onEnd: ((error: VrError) => void) | null = null;
  #closed: (() => void) | null = null;
  #idle: (() => void) | null = null;
  #closing = false;
  resent = 0;

  constructor(boot: ClientBoot) {
    this.boot = boot;
    this.#outbox = new Outbox(boot.settings, this.buffers);
    this.writes = this.#outbox.writes;
    this.#session = newSession(boot);
    this.#rings = new ClientRings(boot);
    this.#takers = Array.from({ length: this.#rings.replicas }, (_, from) => (message: Message) => {
      this.#step({ type: 'message', from, message: message as ServerMessage });
    });
    this.#watch = new RingWatch(clientDoorbell(boot.link), {
      ended: () => this.#ended !== null,
      hasWork: () => this.#hasData() || this.#roomCame,
      receive: () => this.#receive(),
    });
    this.#cluster = new ClusterBlock(boot.mesh);
  }

  get id(): string {
    return this.#session.clientId.map((word) => word.toString(16).padStart(8, '0')).join('');
  }

  /** Registers a session; resolves when requests can be sent. */
  open(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#opened = resolve;
      this.#onEnd = reject;
      this.#step({ type: 'open' });
      this.#keepTime();
      this.#flush();
      this.#watch.rest();
    });
  }

  // ── calls ──

  /** Deadline of a call that is made now. */
  deadline(timeoutMs: number): number {
    if (!this.#flushScheduled) this.#now = performance.now();
    return Math.ceil(this.#now + timeoutMs);
  }

  reads(code: number, level: LocalLevel | null): ReadGather {
    return this.#outbox.reads(code, level);
  }

  /** @returns why a call cannot be taken now, or null. */
  refusal(operations: number, write: boolean): VrError | null {
    if (this.#ended !== null) return this.#ended('not-executed');
    if (this.#closing) return closedError('not-executed');
    const { callsWaiting, logBytes } = this.boot.settings;
    if (write && this.#logFull) return logFullError(logBytes, 'not-executed');
    const waiting = this.#outbox.operationsWaiting;
    if (waiting + operations > callsWaiting && waiting > 0) return callsWaitingError(callsWaiting);
    return null;
  }

  /** `call` was written into the gather: it goes with the others of this turn. */
  gatheredWrite(call: WriteCall): void {
    this.#outbox.addWrite(call);
    this.#schedule(this.writes.count);
  }

  /** The same for an operation of kind `code` whose call has no options of its own. @returns its promise. */
  joinedWrite(code: number, timeoutMs: number): Promise<unknown> {
    const promise = this.#outbox.joinWrite(code, this.deadline(timeoutMs));
    this.#schedule(this.writes.count);
    return promise;
  }

  joinedRead(gather: ReadGather, codec: ValueCodec, key: Key, timeoutMs: number): Promise<unknown> {
    const promise = this.#outbox.joinRead(gather, codec, key, this.deadline(timeoutMs));
    this.#schedule(gather.count);
    return promise;
  }

  gatheredRead(gather: ReadGather, call: ReadCall): void {
    this.#outbox.addRead(gather, call);
    this.#schedule(gather.count);
  }

  /** Sends `submission` behind everything called before it. */
  submit(submissions: readonly Submission[]): void {
    this.#outbox.push(submissions);
    this.#schedule(Number.POSITIVE_INFINITY);
  }

  #schedule(gathered: number): void {
    if (gathered >= this.#enough && !this.#outbox.queued && this.#session.canSubmit(0)) {
      this.#flush();
      this.#watch.rest();
      this.#keepTime();
      return;
    }
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    // Runs when the microtasks of this turn are done: calls made by the promises just settled go along.
    process.nextTick(this.#onTurnEnd);
  }

  get #enough(): number {
    return Math.max(FLUSH_OPERATIONS, this.#outbox.operationsOpen * FLUSH_SHARE);
  }

  #endOfTurn(): void {
    this.#flushScheduled = false;
    if (
      this.#outbox.operationsGathered < this.#enough &&
      this.#gatherRounds++ < GATHER_ROUNDS &&
      this.#hasData() &&
      this.#receive() > 0
    ) {
      this.#schedule(0);
      return;
    }
    this.#gatherRounds = 0;
    this.#flush();
    this.#watch.rest();
    this.#keepTime();
  }

  // ── sending ──

  /** Gives the session what it can take, in order, and writes what the rings can take. */
  #flush(): void {
    if (this.#ended !== null) {
      this.#outbox.failWaiting(this.#ended);
      return;
    }
    if (!this.#outbox.queued) this.#outbox.seal();
    this.#submitQueued();
    if (!this.#outbox.queued) this.#outbox.seal();
    this.#send();
  }

  #send(): void {
    this.#submitQueued();
    this.#rings.pump();
    if (this.#session.wantsFlush) this.#writeDue();
    this.#rings.flush();
  }

  /** What finds no room asks for it, and looks once more. */
  #writeDue(): void {
    this.#step({ type: 'flush', room: this.#rings.room() });
    if (!this.#session.wantsFlush) return;
    this.#rings.askForRoom();
    this.#step({ type: 'flush', room: this.#rings.room() });
  }

  #submitQueued(): void {
    for (;;) {
      const event = this.#outbox.next(this.#session);
      if (event === null) break;
      this.#step(event);
    }
    if (this.#outbox.idle) this.#idle?.();
  }

  #step(event: ClientEvent): void {
    for (const effect of this.#session.step(event)) this.#perform(effect);
  }

  #perform(effect: ClientEffect): void {
    switch (effect.type) {
      case 'send':
        this.#rings.send(effect.to, effect.message);
        break;
      case 'settle':
        this.#outbox.settle(effect.token, effect.outcome);
        if (this.#outbox.idle) this.#idle?.();
        break;
      case 'opened':
        this.#opened?.();
        this.#opened = null;
        break;
      case 'logFull':
        this.#logFull = effect.full;
        if (effect.full) this.#endOfLog();
        break;
      case 'resent':
        this.resent++;
        break;
      case 'closed':
        this.#closed?.();
        break;
      case 'view':
        break;
    }
  }

  #endOfLog(): void {
    const error: Ending = (outcome) => logFullError(this.boot.settings.logBytes, outcome);
    this.#outbox.failWaitingWrites(error);
    // A session is an entry too: nobody can join a cluster whose log is full.
    if (this.#opened !== null) this.#endWith(error);
  }

  // ── receiving ──

  #hasData(): boolean {
    return this.#rings.hasData() || (this.#cluster.end !== 'running' && this.#ended === null);
  }

  get #roomCame(): boolean {
    return this.#rings.told(this.#session.wantsFlush);
  }

  #receive(): number {
    let count = 0;
    const takers = this.#takers;
    for (let id = 0; id < takers.length; id++)
      count += this.#rings.poll(id, takers[id] as (message: Message) => void);
    this.#checkEnd();
    if (this.#roomCame) count++;
    // What was queued goes now; calls made by the promises that were settled follow when those have run.
    if (count > 0 && this.#ended === null) this.#send();
    return count;
  }

  #checkEnd(): void {
    const { end } = this.#cluster;
    if (end !== 'running') this.abandon(end);
  }

  /** Nothing will be answered any more. */
  #endWith(error: Ending): void {
    this.#ended = error;
    this.#outbox.failAll(error);
    this.#onEnd?.(error('not-executed'));
    this.#opened = null;
    this.#idle?.();
    this.#closed?.();
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    this.#watch.wake();
  }

  /** Ends at once, whatever is open: opening failed, or the other side is gone. */
  abandon(why: 'closed' | 'lost'): void {
    if (this.#ended === null) this.#endWith(why === 'lost' ? lostError : closedError);
  }

  // ── time ──

  get #busy(): boolean {
    return (
      !this.#outbox.idle ||
      this.#outbox.operationsGathered > 0 ||
      this.#opened !== null ||
      this.#closed !== null
    );
  }

  /** One timer while something is pending; it also keeps the process alive, which a sleeping doorbell does not. */
  #keepTime(): void {
    if (this.#timer !== null || !this.#busy) return;
    this.#tickedMs = performance.now();
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  #tick(): void {
    if (!this.#busy) {
      if (this.#timer !== null) clearInterval(this.#timer);
      this.#timer = null;
      return;
    }
    const now = performance.now();
    this.#now = now;
    // The rings first: a thread that was blocked has answers waiting (SP3). Answers that rang nobody, because their writer
    // was killed between its two steps, leave this sleeper to itself.
    if (this.#receive() > 0) this.#watch.wake();
    if (this.#ended !== null) return;
    const count = Math.min(10, Math.floor((now - this.#tickedMs) / TICK_MS));
    if (count > 0) {
      this.#tickedMs = now;
      const ring = this.#rings.positions(this.#session.primary);
      this.#step({ type: 'tick', count, ring });
    }
    if (this.#ticks++ % EXPIRE_EVERY_TICKS === 0) this.#outbox.expire(now);
    this.#flush();
    this.#watch.rest();
  }

  // ── the end ──

  /**
   * Waits for open calls, at most `drainMs`; ends the session. What is still open then ends as VR_CLOSED.
   * @returns false when the session could not be ended: somebody else has to.
   */
  async close(drainMs: number): Promise<boolean> {
    if (this.#closing) return true;
    this.#closing = true;
    let said = false;
    this.#flush();
    if (this.#ended === null && !this.#outbox.idle)
      await within(drainMs, (done) => {
        this.#idle = done;
      });
    if (this.#ended === null && this.#outbox.idle)
      await within(GOODBYE_MS, (done) => {
        this.#closed = () => {
          said = this.#ended === null;
          done();
        };
        this.#step({ type: 'close' });
        this.#flush();
        this.#watch.rest();
        this.#keepTime();
      });
    this.#closed = null;
    // Settles the sleeping promise too, so that nothing of this client stays behind.
    this.#endWith(closedError);
    return said;
  }
}
