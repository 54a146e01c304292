// A simulated client: the client's half of the protocol with a queue of calls before it.

import { ClientSession, type ClientTiming } from '../protocol/client.js';
import type { ClientOutcome } from '../protocol/client-event.js';
import { describeMessage } from '../protocol/describe.js';
import type { ProtocolLimits } from '../protocol/limits.js';
import { CLIENT_BASE, copyMessage, overwrite } from './network.js';
import type { Host } from './replica-actor.js';
import { operation, parseResult } from './story-machine.js';

/** Messages taken from one ring in one pass. */
const TURN = 64;

export interface Call {
  readonly tag: string;
  readonly kind: 'write' | 'read';
  readonly key: string;
  readonly body: Uint8Array;
  readonly replyBytes: number;
  readonly client: number;
  /** Order of issue within the client's start. */
  readonly number: number;
  /** Highest place in the history that was known to be executed when it was issued. */
  floor: number;
  session: number;
  code: ClientOutcome['code'] | null;
  place: number;
  value: string;
  /** Its client died with it. */
  abandoned: boolean;
}

export interface ClientHost extends Host {
  readonly replicas: number;
  readonly knownPlace: number;
  settled(call: Call): void;
}

export class ClientActor {
  readonly index: number;
  readonly address: number;
  readonly session: ClientSession;
  readonly calls: Call[] = [];
  readonly waiting: Call[] = [];
  readonly #open = new Map<number, Call>();
  readonly #host: ClientHost;
  paused = false;
  closed = false;
  resent = 0;
  logFull = false;
  evictions = 0;
  #lastTick: number;
  #token = 0;

  constructor(
    host: ClientHost,
    at: {
      index: number;
      address: number;
      actives: number;
      timing: ClientTiming;
      limits: ProtocolLimits;
      random: () => number;
      readsMax: number;
      ignoreReplyBytes: boolean;
    },
  ) {
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
      random,
    });
    this.step({ type: 'open' });
  }

  /** Queued; it is submitted as soon as the session has room. */
  call(kind: Call['kind'], verb: string, key: string, argument: string, replyBytes: number): Call {
    const tag = `${this.address}.${this.calls.length}`;
    const call: Call = {
      tag,
      kind,
      key,
      body: operation(tag, verb, key, argument),
      replyBytes,
      client: this.address,
      number: this.calls.length,
      floor: this.#host.knownPlace,
      session: 0,
      code: null,
      place: 0,
      value: '',
      abandoned: false,
    };
    this.calls.push(call);
    this.waiting.push(call);
    return call;
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
      call.floor = this.#host.knownPlace;
      const { body, replyBytes } = call;
      this.step(
        call.kind === 'write'
          ? { type: 'submit', token, body, replyBytes }
          : { type: 'read', token, body },
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
    if (outcome.code === 'ok') {
      const { place, value } = parseResult(outcome.result);
      call.place = place;
      call.value = value;
    }
    this.#host.settled(call);
  }

  pass(): void {
    const { network, tick, replicas } = this.#host;
    if (this.paused) return;
    const key = CLIENT_BASE + this.address;
    for (const from of network.senders(key)) {
      const ring = network.ring(from, key);
      for (let left = TURN; left > 0 && ring.length > 0; left--) {
        const message = ring.shift()?.message;
        if (message === undefined) break;
        const copy = copyMessage(message);
        this.step({ type: 'message', from, message: copy as never });
        overwrite(copy);
      }
    }
    const due = tick - this.#lastTick;
    this.#lastTick = tick;
    if (due > 0) {
      const unread = network.ring(key, this.session.primary).length > 0;
      this.step({ type: 'tick', count: due, unread });
    }
    this.#submit();
    if (!this.session.wantsFlush) return;
    const room: number[] = [];
    for (let id = 0; id < replicas; id++) room[id] = network.room(key, id);
    this.step({ type: 'flush', room });
  }
}
