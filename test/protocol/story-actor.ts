// The actors of a story: a replica that makes its passes as the worker does (messages, tick, endOfPass, effects, execute,
// effects, idle; SP2), and a client with its queue of calls. They know the core and the network, nothing of scenarios.

import { ClientSession, type ClientTiming } from '../../src/protocol/client.js';
import type { ClientOutcome } from '../../src/protocol/client-event.js';
import { describeMessage } from '../../src/protocol/describe.js';
import type { Effect, Event, Hint, Notice } from '../../src/protocol/effect.js';
import type { ProtocolLimits } from '../../src/protocol/limits.js';
import type { ClientMessage, Message, ReplicaMessage } from '../../src/protocol/message.js';
import type { Replica } from '../../src/protocol/replica.js';
import type { Stamp } from '../../src/protocol/types.js';
import { operation, parseResult, type StoryMachine } from './story-machine.js';
import { CLIENT_BASE, copyMessage, type Network, overwrite } from './story-network.js';

/** Messages taken from the rings in one pass. */
const TURN = 64;
/** SP3: at most 100 ms become ticks in one pass. */
const TICKS_PER_PASS = 10;
const EXECUTE_BUDGET = 16;

/** The thread was killed between two effects. */
export class Killed extends Error {}

export interface Host {
  readonly network: Network;
  readonly tick: number;
  readonly clientAddresses: readonly number[];
  trace(line: () => string): void;
  /** After each step, with those of its effects that are performed. */
  stepped(actor: ReplicaActor, event: Event, effects: readonly Effect[]): void;
  register(id: number, stamp: Stamp): void;
}

export class ReplicaActor {
  readonly id: number;
  readonly start: number;
  readonly replica: Replica;
  readonly machine: StoryMachine | null;
  readonly #host: Host;
  readonly hints: Hint[] = [];
  readonly notices: Notice[] = [];
  paused = false;
  /** Added to the clock that feeds entry timestamps. */
  skewUs = 0;
  /** Ticks that an `execute` with something to do takes. */
  slowTicks = 0;
  /** Effects until the thread is killed. */
  killAfter: number = Number.POSITIVE_INFINITY;
  #outbox: { to: number; message: Message }[] = [];
  #lastTick: number;
  #asleepUntil = 0;
  #dirty = true;

  constructor(
    host: Host,
    at: { id: number; start: number; replica: Replica; machine: StoryMachine | null },
  ) {
    this.#host = host;
    this.id = at.id;
    this.start = at.start;
    this.replica = at.replica;
    this.machine = at.machine;
    this.#lastTick = host.tick;
  }

  /** One event by itself; what it sends is published at once. */
  event(event: Event): void {
    this.#step(event);
    this.#publish();
    this.#dirty = true;
  }

  #step(event: Event): void {
    const { id } = this;
    const effects = this.replica.step(event);
    const performed = effects.length > this.killAfter ? effects.slice(0, this.killAfter) : effects;
    this.#host.stepped(this, event, performed);
    for (const effect of performed) this.#perform(effect);
    this.killAfter -= performed.length;
    if (performed.length < effects.length) throw new Killed(`R${id} was killed`);
  }

  #perform(effect: Effect): void {
    switch (effect.type) {
      case 'writeRegister':
        this.#host.register(this.id, { epoch: effect.epoch, view: effect.view });
        return;
      case 'send':
        this.#outbox.push({ to: effect.to, message: effect.message });
        return;
      case 'reply':
        this.#outbox.push({
          to: CLIENT_BASE + effect.address,
          message: copyMessage(effect.message),
        });
        return;
      case 'announce':
        for (const address of this.#host.clientAddresses)
          this.#outbox.push({ to: CLIENT_BASE + address, message: effect.message });
        return;
      case 'notice':
        this.notices.push(effect.notice);
        return;
    }
  }

  #publish(): void {
    for (const { to, message } of this.#outbox) {
      this.#host.trace(() => `R${this.id} -> ${name(to)}: ${describeMessage(message)}`);
      this.#host.network.post(this.id, to, message);
    }
    this.#outbox = [];
  }

  pass(): void {
    const { network, tick } = this.#host;
    if (this.paused || tick < this.#asleepUntil) return;
    const due = tick - this.#lastTick;
    const { replica } = this;
    const calm = !this.#dirty && due === 0 && this.hints.length === 0 && !replica.hasWork;
    if (calm && !network.hasMail(this.id)) return;
    const taken = this.#takeMail();
    this.#lastTick = tick;
    if (due > 0) this.#step({ type: 'tick', count: Math.min(due, TICKS_PER_PASS) });
    const room: number[] = [];
    for (const member of replica.state.configuration.members)
      room[member.id] = network.room(this.id, member.id);
    this.#step({ type: 'endOfPass', nowUs: 1e9 + tick * 10_000 + this.skewUs, room });
    this.#publish();
    const worked = replica.hasWork;
    if (worked) {
      const before = replica.state.applied;
      this.#step({ type: 'execute', budget: EXECUTE_BUDGET });
      this.#publish();
      if (replica.state.applied > before) this.#asleepUntil = tick + this.slowTicks;
    }
    const idle = taken === 0 && !worked && !replica.lingering;
    if (idle && this.#dirty) {
      this.#step({ type: 'idle' });
      this.#publish();
    }
    this.#dirty = !idle;
  }

  /** Rings of replicas first, then clients in turns, as far as the replica takes what lies in front (N1, N3). */
  #takeMail(): number {
    const { network } = this.#host;
    let taken = 0;
    for (const from of network.senders(this.id)) {
      if (from >= CLIENT_BASE) continue;
      const ring = network.ring(from, this.id);
      for (let left = TURN; left > 0; left--) {
        const message = ring.shift()?.message;
        if (message === undefined) break;
        this.#receive(message, (copy) => ({ type: 'message', message: copy as ReplicaMessage }));
        taken++;
      }
    }
    for (const hint of this.hints.splice(0)) {
      this.#host.trace(() => `R${this.id} is told ${JSON.stringify(hint)}`);
      this.#step({ type: 'hint', hint });
      taken++;
    }
    const clients = network.senders(this.id).filter((from) => from >= CLIENT_BASE);
    for (let turn = 0, moved = true; moved && turn < TURN; turn++) {
      moved = false;
      for (const from of clients) if (this.#takeFromClient(from)) moved = true;
      if (moved) taken++;
    }
    return taken;
  }

  #takeFromClient(from: number): boolean {
    const ring = this.#host.network.ring(from, this.id);
    const first = ring[0];
    if (first === undefined) return false;
    const { replica } = this;
    const wanted = first.message.kind === 'read' ? replica.takesReads : replica.takesRequests;
    if (!wanted) return false;
    ring.shift();
    const address = from - CLIENT_BASE;
    this.#receive(first.message, (copy) => ({
      type: 'client',
      address,
      message: copy as ClientMessage,
    }));
    return true;
  }

  #receive(message: Message, wrap: (copy: Message) => Event): void {
    const copy = copyMessage(message);
    this.#step(wrap(copy));
    overwrite(copy);
  }
}

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

function name(key: number): string {
  return key >= CLIENT_BASE ? `client@${key - CLIENT_BASE}` : `R${key}`;
}
