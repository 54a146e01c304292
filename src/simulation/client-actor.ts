// A simulated client: the client's half of the protocol with a queue of calls before it. What a call means is its owner's.

import type { ClientTiming } from '../protocol/client/state.js';
import { ClientSession } from '../protocol/client.js';
import type { ClientOutcome, LocalLevel } from '../protocol/client-event.js';
import { describeMessage } from '../protocol/describe.js';
import type { ProtocolLimits } from '../protocol/limits.js';
import { copyMessage, overwrite } from './copies.js';
import { CLIENT_BASE, type Network } from './network.js';

/** Messages taken from one ring in one pass. */
const TURN = 64;

/** One request, from its issue to its outcome. */
export interface Submission {
  readonly kind: 'write' | 'read';
  readonly body: Uint8Array;
  /** Bytes of its reply at most (CS6). */
  readonly replyBytes: number;
  /** Session that it was submitted in; 0 before. */
  session: number;
  /** null while it is open. */
  code: ClientOutcome['code'] | null;
  /** Its client died with it. */
  abandoned: boolean;
  /** Of a read that any active may answer. */
  readonly level?: LocalLevel;
}

export interface ClientHost<C extends Submission> {
  readonly network: Network;
  readonly tick: number;
  readonly replicas: number;
  trace(line: () => string): void;
  /** The session takes `call` now. */
  issued(call: C): void;
  /** `call.code` is known; the result of 'ok' must be read now. */
  settled(call: C, outcome: ClientOutcome): void;
}

export interface ClientActorOptions {
  readonly index: number;
  readonly address: number;
  readonly actives: number;
  readonly timing: ClientTiming;
  readonly limits: ProtocolLimits;
  readonly random: () => number;
  readonly readsMax: number;
  /** The client does not bound the bytes of open replies (CS6). */
  readonly ignoreReplyBytes: boolean;
}

export class ClientActor<C extends Submission> {
  readonly index: number;
  readonly address: number;
  readonly session: ClientSession;
  readonly calls: C[] = [];
  readonly waiting: C[] = [];
  readonly #open = new Map<number, C>();
  readonly #host: ClientHost<C>;
  paused = false;
  closed = false;
  resent = 0;
  logFull = false;
  evictions = 0;
  #lastTick: number;
  #token = 0;

  constructor(host: ClientHost<C>, at: ClientActorOptions) {
    this.#host = host;
    this.index = at.index;
    this.address = at.address;
    this.#lastTick = host.tick;
    const { random } = at;
    this.session = new ClientSession({
      freshClientId: () => [random(), random(), random(), random()],
      freshNonce: () => random() * 2 ** 20 + (random() % 2 ** 20) + 1,
      replicas: host.replicas,
      actives: at.actives,
      timing: at.timing,
      sessionWindow: at.limits.sessionWindow,
      sessionReplyBytes: at.ignoreReplyBytes
        ? Number.MAX_SAFE_INTEGER
        : at.limits.sessionReplyBytes,
      readsMax: at.readsMax,
      home: at.index,
      random,
    });
    this.step({ type: 'open' });
  }

  /** Queued; it is submitted as soon as the session has room. */
  enqueue(call: C): C {
    this.calls.push(call);
    this.waiting.push(call);
    return call;
  }

  /** Submitted and not answered. */
  get openCalls(): number {
    return this.#open.size;
  }

  /** In the order of issue: a write that must wait holds back the reads behind it (RD0). */
  #submit(): void {
    for (;;) {
      const call = this.waiting[0];
      if (call === undefined) return;
      const { session } = this;
      if (call.kind === 'write' ? !session.canSubmit(call.replyBytes) : !session.canRead()) return;
      this.waiting.shift();
      const token = ++this.#token;
      this.#open.set(token, call);
      call.session = session.session;
      this.#host.issued(call);
      const { body, replyBytes } = call;
      this.step(
        call.kind === 'write'
          ? { type: 'submit', token, body, replyBytes }
          : { type: 'read', token, body, level: call.level ?? null },
      );
    }
  }

  close(): void {
    this.step({ type: 'close' });
  }

  step(event: Parameters<ClientSession['step']>[0]): void {
    const { network } = this.#host;
    const key = CLIENT_BASE + this.address;
    for (const effect of this.session.step(event)) {
      if (effect.type === 'send') {
        const { to, message } = effect;
        this.#host.trace(() => `C${this.index} -> R${to}: ${describeMessage(message)}`);
        network.post(key, to, copyMessage(message));
      } else if (effect.type === 'settle') this.#settle(effect.token, effect.outcome);
      else if (effect.type === 'closed') this.closed = true;
      else if (effect.type === 'resent') this.resent++;
      else if (effect.type === 'logFull') this.logFull = effect.full;
    }
  }

  #settle(token: number, outcome: ClientOutcome): void {
    const call = this.#open.get(token);
    if (call === undefined) throw new Error(`token ${token} was settled twice`);
    this.#open.delete(token);
    call.code = outcome.code;
    if (outcome.code === 'evicted') this.evictions++;
    this.#host.settled(call, outcome);
  }

  pass(): void {
    const { network, tick, replicas } = this.#host;
    if (this.paused) return;
    const key = CLIENT_BASE + this.address;
    for (const ring of network.mail(key)) {
      for (let left = TURN; left > 0; left--) {
        const message = ring.take();
        if (message === undefined) break;
        const copy = copyMessage(message);
        this.step({ type: 'message', from: ring.from, message: copy as never });
        overwrite(copy);
      }
    }
    const due = tick - this.#lastTick;
    this.#lastTick = tick;
    if (due > 0) {
      const { written, read } = network.ring(key, this.session.primary);
      this.step({ type: 'tick', count: due, ring: { written, read } });
    }
    this.#submit();
    if (!this.session.wantsFlush) return;
    const room: number[] = [];
    for (let id = 0; id < replicas; id++) room[id] = network.room(key, id);
    this.step({ type: 'flush', room });
  }
}
