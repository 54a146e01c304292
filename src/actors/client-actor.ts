// The client of one thread: it gathers calls into requests, moves them through the session of the protocol's client half, and
// settles promises. It lives in the event loop of its thread: calls of one turn form one request; while replies flow it polls,
// then it sleeps on its doorbell. No rule of the protocol stands here.

import { ClientSession, DEFAULT_CLIENT_TIMING } from '../protocol/client.js';
import type { ClientEffect, ClientEvent } from '../protocol/client-event.js';
import { TICK_MS } from '../protocol/limits.js';
import type { ServerMessage } from '../protocol/message.js';
import type { ClientId } from '../protocol/types.js';
import { OP_GET, OP_GET_ITEM, OP_HAS } from '../service/operation.js';
import { EVERYTHING, InLink, OutLink, type PollLimit } from '../transport/link.js';
import { ClusterBlock, clientDoorbell, ReplicaBlock, writeClientId } from '../transport/mesh.js';
import { RingReader, RingWriter } from '../transport/ring.js';
import type { ClientBoot } from './boot.js';
import type { ReadCall, Submission, WriteCall } from './calls.js';
import type { ValueCodec } from './codecs.js';
import { type Outcome, VrError } from './errors.js';
import { ReadGather, WriteGather } from './gather.js';
import { random32 } from './random.js';
import { RequestBuffers } from './request-buffers.js';

/** Gathered operations of one sort that do not wait for the end of the turn: more of them the more are open already. */
const FLUSH_OPERATIONS = 128;
const FLUSH_SHARE = 1 / 8;
/** Looks for further answers before a smaller flush: the calls that they bring about go along. */
const GATHER_ROUNDS = 4;
const POLL_LIMIT: PollLimit = { ...EVERYTHING, frames: 64 };
/** Requests whose reads may be open at once. */
const READS_MAX = 64;
/** Ticks between two looks for calls whose time is over. */
const EXPIRE_EVERY_TICKS = 2;
/** Attempts to end the session when closing, in milliseconds. */
const GOODBYE_MS = 1000;

interface ReplicaLinks {
  readonly in: InLink;
  readonly out: OutLink;
}

export class ClientActor {
  readonly boot: ClientBoot;
  /** Of requests; they come back when the request is answered. */
  readonly buffers: RequestBuffers = new RequestBuffers();
  readonly #session: ClientSession;
  readonly #links: readonly ReplicaLinks[];
  readonly #doorbell: ReturnType<typeof clientDoorbell>;
  readonly #cluster: ClusterBlock;
  readonly #room: number[];
  readonly #writes: WriteGather;
  readonly #reads: readonly ReadGather[];
  /** Sealed, in order, not given to the session yet. */
  #queue: Submission[] = [];
  readonly #open: (Submission | null)[] = [];
  readonly #freeTokens: number[] = [];
  #openCount = 0;
  #operationsOpen = 0;
  #operationsQueued = 0;
  #operationsGathered = 0;
  #flushScheduled = false;
  #gatherRounds = 0;
  #parked = false;
  #polling = false;
  #timer: NodeJS.Timeout | null = null;
  #tickedMs = 0;
  #ticks = 0;
  #now = 0;
  #ended: ((outcome: Outcome) => VrError) | null = null;
  #logFull = false;
  #opened: (() => void) | null = null;
  #closed: (() => void) | null = null;
  #idle: (() => void) | null = null;
  #closing = false;
  resent = 0;

  constructor(boot: ClientBoot) {
    this.boot = boot;
    const { link, mesh, settings } = boot;
    this.#doorbell = clientDoorbell(link);
    this.#cluster = new ClusterBlock(mesh);
    this.#links = link.requests.map((requests, id) => ({
      out: new OutLink(new RingWriter(requests), new ReplicaBlock(mesh, id).doorbell),
      in: new InLink(new RingReader(link.replies[id] as SharedArrayBuffer)),
    }));
    this.#room = this.#links.map(() => 0);
    this.#writes = new WriteGather(settings, this.buffers);
    this.#reads = [OP_GET, OP_GET_ITEM, OP_HAS].map(
      (code) => new ReadGather(settings, this.buffers, code),
    );
    this.#session = new ClientSession({
      freshClientId: () => {
        const clientId = freshClientId();
        writeClientId(link, clientId);
        return clientId;
      },
      freshNonce: () => random32() + (random32() & 0x1f_ffff) * 2 ** 32,
      replicas: boot.replicas,
      actives: boot.actives,
      timing: DEFAULT_CLIENT_TIMING,
      sessionWindow: settings.sessionWindow,
      sessionReplyBytes: settings.sessionReplyBytes,
      readsMax: READS_MAX,
      random: random32,
    });
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
      this.#park();
    });
  }

  #onEnd: ((error: VrError) => void) | null = null;

  // ── calls ──

  /** Deadline of a call that is made now. */
  deadline(timeoutMs: number): number {
    if (!this.#flushScheduled) this.#now = performance.now();
    return Math.ceil(this.#now + timeoutMs);
  }

  get writes(): WriteGather {
    return this.#writes;
  }

  reads(code: number): ReadGather {
    return this.#reads[code - OP_GET] as ReadGather;
  }

  /** @returns why a call cannot be taken now, or null. */
  refusal(operations: number, write: boolean): VrError | null {
    if (this.#ended !== null) return this.#ended('not-executed');
    if (this.#closing) return closedError('not-executed');
    const { callsWaiting, logBytes } = this.boot.settings;
    if (write && this.#logFull) return logFullError(logBytes, 'not-executed');
    const waiting = this.#operationsQueued + this.#operationsGathered;
    if (waiting + operations > callsWaiting && waiting > 0)
      return new VrError(
        'VR_OVERLOADED',
        `limits.callsWaiting = ${callsWaiting} calls wait to be sent`,
        {
          retryable: true,
          details: { limit: 'callsWaiting', callsWaiting },
        },
      );
    return null;
  }

  /** `call` was written into the gather: it goes with the others of this turn. */
  gatheredWrite(call: WriteCall): void {
    this.#writes.add(call);
    this.#operationsGathered++;
    if (this.#writes.full) this.#sealWrites();
    this.#schedule(this.#writes.count);
  }

  /** The same for an operation of kind `code` whose call has no options of its own. @returns its promise. */
  joinedWrite(code: number, timeoutMs: number): Promise<unknown> {
    const promise = this.#writes.join(code, this.deadline(timeoutMs));
    this.#operationsGathered++;
    if (this.#writes.full) this.#sealWrites();
    this.#schedule(this.#writes.count);
    return promise;
  }

  joinedRead(gather: ReadGather, codec: ValueCodec, timeoutMs: number): Promise<unknown> {
    const promise = gather.join(codec, this.deadline(timeoutMs));
    this.#gathered(gather);
    return promise;
  }

  gatheredRead(gather: ReadGather, call: ReadCall): void {
    gather.add(call);
    this.#gathered(gather);
  }

  #gathered(gather: ReadGather): void {
    this.#operationsGathered++;
    if (gather.full) {
      // A read follows the writes that were called before it (RD0).
      this.#sealWrites();
      this.#sealReads(gather);
    }
    this.#schedule(gather.count);
  }

  /** Sends `submission` behind everything called before it. */
  submit(submissions: readonly Submission[]): void {
    this.#sealAll();
    for (const submission of submissions) this.#enqueue(submission);
    this.#schedule(Number.POSITIVE_INFINITY);
  }

  #schedule(gathered: number): void {
    if (gathered >= this.#enough && this.#queue.length === 0 && this.#session.canSubmit(0)) {
      this.#flush();
      this.#park();
      this.#keepTime();
      return;
    }
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    // Runs when the microtasks of this turn are done: calls made by the promises just settled go along.
    process.nextTick(() => this.#endOfTurn());
  }

  get #enough(): number {
    return Math.max(FLUSH_OPERATIONS, this.#operationsOpen * FLUSH_SHARE);
  }

  #endOfTurn(): void {
    this.#flushScheduled = false;
    if (
      this.#operationsGathered < this.#enough &&
      this.#gatherRounds++ < GATHER_ROUNDS &&
      this.#hasData() &&
      this.#receive() > 0
    ) {
      this.#schedule(0);
      return;
    }
    this.#gatherRounds = 0;
    this.#flush();
    this.#park();
    this.#keepTime();
  }

  #sealWrites(): void {
    if (this.#writes.count === 0) return;
    this.#operationsGathered -= this.#writes.count;
    this.#enqueue(this.#writes.seal());
  }

  #sealReads(gather: ReadGather): void {
    if (gather.count === 0) return;
    this.#operationsGathered -= gather.count;
    this.#enqueue(gather.seal());
  }

  #sealAll(): void {
    this.#sealWrites();
    for (const gather of this.#reads) this.#sealReads(gather);
  }

  #enqueue(submission: Submission): void {
    this.#queue.push(submission);
    this.#operationsQueued += submission.operations;
  }

  // ── sending ──

  /** Gives the session what it can take, in order, and writes what the rings can take. */
  #flush(): void {
    if (this.#ended !== null) {
      this.#failWaiting();
      return;
    }
    if (this.#queue.length === 0) this.#sealAll();
    this.#submitQueued();
    if (this.#queue.length === 0) this.#sealAll();
    this.#send();
  }

  #send(): void {
    this.#submitQueued();
    for (const link of this.#links) if (link.out.busy) link.out.pump();
    if (this.#session.wantsFlush) {
      for (let id = 0; id < this.#links.length; id++)
        this.#room[id] = this.#links[id]?.out.room() ?? 0;
      this.#step({ type: 'flush', room: this.#room });
    }
    for (const link of this.#links) link.out.flush();
  }

  #submitQueued(): void {
    const { callsInFlight } = this.boot.settings;
    let taken = 0;
    for (const submission of this.#queue) {
      const { read, operations } = submission;
      if (submission.abandoned) {
        taken++;
        this.#operationsQueued -= operations;
        continue;
      }
      const fits = this.#operationsOpen === 0 || this.#operationsOpen + operations <= callsInFlight;
      if (
        !fits ||
        !(read ? this.#session.canRead() : this.#session.canSubmit(submission.replyBytes))
      )
        break;
      taken++;
      this.#operationsQueued -= operations;
      this.#operationsOpen += operations;
      this.#openCount++;
      const token = this.#freeTokens.pop() ?? this.#open.length;
      this.#open[token] = submission;
      const { body, replyBytes } = submission;
      submission.sent = true;
      this.#step(
        read ? { type: 'read', token, body } : { type: 'submit', token, body, replyBytes },
      );
    }
    if (taken > 0) this.#queue = this.#queue.slice(taken);
    if (this.#openCount === 0 && this.#queue.length === 0) this.#idle?.();
  }

  #step(event: ClientEvent): void {
    for (const effect of this.#session.step(event)) this.#perform(effect);
  }

  #perform(effect: ClientEffect): void {
    switch (effect.type) {
      case 'send':
        this.#links[effect.to]?.out.send(effect.message);
        break;
      case 'settle':
        this.#settle(effect.token, effect.outcome);
        break;
      case 'opened':
        this.#opened?.();
        this.#opened = null;
        break;
      case 'logFull':
        this.#logFull = effect.full;
        if (effect.full) this.#failUnsentWrites();
        // A session is an entry too: nobody can join a cluster whose log is full.
        if (effect.full && this.#opened !== null)
          this.#endWith((outcome) => logFullError(this.boot.settings.logBytes, outcome));
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

  #settle(token: number, outcome: Extract<ClientEffect, { type: 'settle' }>['outcome']): void {
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
    this.buffers.give(submission.body);
    if (this.#openCount === 0 && this.#queue.length === 0) this.#idle?.();
  }

  // ── receiving ──

  #hasData(): boolean {
    for (const link of this.#links) if (link.in.hasData()) return true;
    return this.#cluster.end !== 'running' && this.#ended === null;
  }

  /** Sleeps on the doorbell unless something is already there. */
  #park(): void {
    // A promise that waits for ever would keep the rings of a closed client in memory.
    if (this.#parked || this.#polling || this.#ended !== null) return;
    const sleep = this.#doorbell.park(() => this.#hasData());
    if (sleep === null) {
      this.#poll();
      return;
    }
    this.#parked = true;
    void sleep.then(() => {
      this.#parked = false;
      if (this.#ended !== null) return;
      this.#receive();
      this.#poll();
    });
  }

  /** Goes on in the next turn of the event loop, so that timers and input of the user get theirs. */
  #poll(): void {
    if (this.#polling) return;
    this.#polling = true;
    setImmediate(() => {
      this.#polling = false;
      if (this.#ended !== null) return;
      if (this.#receive() > 0) this.#poll();
      else this.#park();
    });
  }

  #receive(): number {
    let count = 0;
    for (let id = 0; id < this.#links.length; id++) {
      const link = this.#links[id] as ReplicaLinks;
      count += link.in.poll(POLL_LIMIT, null, (message) =>
        this.#step({ type: 'message', from: id, message: message as ServerMessage }),
      );
    }
    this.#checkEnd();
    // What was queued goes now; calls made by the promises that were settled follow when those have run.
    if (count > 0 && this.#ended === null) this.#send();
    return count;
  }

  #checkEnd(): void {
    const end = this.#cluster.end;
    if (end === 'running' || this.#ended !== null) return;
    this.#endWith(end === 'lost' ? lostError : closedError);
  }

  /** Nothing will be answered any more. */
  #endWith(error: (outcome: Outcome) => VrError): void {
    this.#ended = error;
    for (const [token, submission] of this.#open.entries()) {
      if (submission === null) continue;
      this.#open[token] = null;
      submission.fail(error(submission.outcome));
    }
    this.#openCount = 0;
    this.#operationsOpen = 0;
    this.#failWaiting();
    this.#onEnd?.(error('not-executed'));
    this.#opened = null;
    this.#idle?.();
    this.#closed?.();
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    this.#doorbell.wake();
  }

  /** Ends at once, whatever is open: opening failed, or the other side is gone. */
  abandon(why: 'closed' | 'lost'): void {
    if (this.#ended === null) this.#endWith(why === 'lost' ? lostError : closedError);
  }

  #failWaiting(): void {
    this.#sealAll();
    const error = this.#ended ?? closedError;
    for (const submission of this.#queue) submission.fail(error(submission.outcome));
    this.#queue = [];
    this.#operationsQueued = 0;
  }

  /** BP6: what has no number yet fails; what has one is repeated. */
  #failUnsentWrites(): void {
    this.#sealAll();
    const { logBytes } = this.boot.settings;
    for (const submission of this.#queue)
      if (!submission.read) submission.fail(logFullError(logBytes, submission.outcome));
    this.#queue = this.#queue.filter((submission) => submission.read);
    this.#operationsQueued = operationsIn(this.#queue);
  }

  // ── time ──

  get #busy(): boolean {
    return (
      this.#openCount > 0 ||
      this.#queue.length > 0 ||
      this.#operationsGathered > 0 ||
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
    if (this.#receive() > 0 && this.#parked) this.#doorbell.wake();
    if (this.#ended !== null) return;
    const count = Math.min(10, Math.floor((now - this.#tickedMs) / TICK_MS));
    if (count > 0) {
      this.#tickedMs = now;
      const unread = this.#links[this.#session.primary]?.out.unread() ?? false;
      this.#step({ type: 'tick', count, unread });
    }
    if (this.#ticks++ % EXPIRE_EVERY_TICKS === 0) this.#expire(now);
    this.#flush();
    this.#park();
  }

  #expire(now: number): void {
    for (const submission of this.#open)
      if (submission !== null && submission.deadline <= now) submission.expire(now);
    for (const submission of this.#queue) if (submission.deadline <= now) submission.expire(now);
    this.#writes.expire(now);
    for (const gather of this.#reads) gather.expire(now);
    this.#dropAbandoned();
  }

  /** What nobody waits for must not use up `callsWaiting` while nothing can be sent. */
  #dropAbandoned(): void {
    if (!this.#queue.some((submission) => submission.abandoned)) return;
    this.#queue = this.#queue.filter((submission) => !submission.abandoned);
    this.#operationsQueued = operationsIn(this.#queue);
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
    if (this.#ended === null && (this.#openCount > 0 || this.#queue.length > 0))
      await within(drainMs, (done) => {
        this.#idle = done;
      });
    if (this.#ended === null && this.#openCount === 0 && this.#queue.length === 0)
      await within(GOODBYE_MS, (done) => {
        this.#closed = () => {
          said = this.#ended === null;
          done();
        };
        this.#step({ type: 'close' });
        this.#flush();
        this.#park();
        this.#keepTime();
      });
    this.#closed = null;
    // Settles the sleeping promise too, so that nothing of this client stays behind.
    this.#endWith(closedError);
    return said;
  }
}

function operationsIn(queue: readonly Submission[]): number {
  return queue.reduce((sum, submission) => sum + submission.operations, 0);
}

/** Settles when `start`'s callback is called, or after `ms`. */
function within(ms: number, start: (done: () => void) => void): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    start(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}

function closedError(outcome: Outcome): VrError {
  return new VrError('VR_CLOSED', 'the client or its cluster is closed', { outcome });
}

function lostError(outcome: Outcome): VrError {
  return new VrError(
    'VR_NO_QUORUM',
    'more than f replicas were lost; in memory mode the data is gone',
    {
      outcome,
      details: { permanent: true },
    },
  );
}

function evictedError(): VrError {
  return new VrError('VR_SESSION_EXPIRED', 'the session was evicted while the request was open', {
    outcome: 'unknown',
  });
}

function resultLostError(): VrError {
  return new VrError('VR_RESULT_LOST', 'executed, but its result was dropped for its size', {
    outcome: 'executed',
  });
}

function logFullError(logBytes: number, outcome: Outcome): VrError {
  return new VrError('VR_OVERLOADED', `the log has reached limits.logBytes = ${logBytes}`, {
    outcome,
    details: { limit: 'logBytes', logBytes },
  });
}

function freshClientId(): ClientId {
  return [random32(), random32(), random32(), (random32() | 1) >>> 0];
}
