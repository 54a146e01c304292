// A story: a group of pure replicas and clients in virtual time, in one thread, with a vocabulary in which a fault scenario
// reads like its script. After every step of every replica the invariants run; `converge` ends all faults and checks that
// nothing was lost, doubled or reordered. Everything is drawn from one seed, so a run can be repeated exactly.

import type { ClientOutcome, LocalLevel } from '../protocol/client-event.js';
import type { Effect, Event } from '../protocol/effect.js';
import type { Message } from '../protocol/message.js';
import { type Faults, patternOf, resolve, type StoryOptions, type Who } from './cast.js';
import type { Submission } from './client-actor.js';
import type { RingDepth, Rule } from './network.js';
import type { ReplicaActor } from './replica-actor.js';
import { ROUNDS_PER_TICK, Stage } from './stage.js';
import { checkHistory, converged } from './story-checks.js';
import { operation, parseResult, StoryMachine, toHex } from './story-machine.js';

const READ_REPLY_BYTES = 256;

/** One operation of a story. */
export interface Call extends Submission {
  readonly tag: string;
  readonly key: string;
  readonly client: number;
  readonly number: number;
  /** Highest place in the history that was acknowledged to anybody before it was submitted; of a local read, what it asked for. */
  floor: number;
  place: number;
  value: string;
}

export class Story extends Stage<StoryMachine, Call> {
  /** I11: digest of the state after each applied op of a generation, by whoever came there first. */
  readonly #digests = new Map<string, string>();
  #knownPlace = 0;
  /** Highest place that each client has heard of. */
  readonly #seen = new Map<number, number>();

  constructor(options: StoryOptions) {
    super(options);
    this.begin();
  }

  protected override makeMachine(): StoryMachine {
    return new StoryMachine(this.options.services?.() ?? null);
  }

  override issued(call: Call): void {
    if (call.level === undefined) call.floor = this.#knownPlace;
    else call.floor = call.level.session ? (this.#seen.get(call.client) ?? 0) : 0;
  }

  override settled(call: Call, outcome: ClientOutcome): void {
    if (outcome.code !== 'ok') return;
    const { place, value } = parseResult(outcome.result);
    call.place = place;
    call.value = value;
    this.#knownPlace = Math.max(this.#knownPlace, place);
    this.#seen.set(call.client, Math.max(this.#seen.get(call.client) ?? 0, place));
  }

  override stepped(
    actor: ReplicaActor<StoryMachine>,
    event: Event,
    effects: readonly Effect[],
  ): void {
    super.stepped(actor, event, effects);
    if (event.type !== 'execute' || actor.machine === null) return;
    // I11: equal applied, equal state, sessions included.
    const { gen, applied, table } = actor.replica.state;
    const at = `${gen}.${applied}`;
    let digest = actor.machine.digest();
    for (const [session, row] of table.rows) digest += ` ${session}:${row.lastRequest}`;
    const known = this.#digests.get(at);
    if (known === undefined) this.#digests.set(at, digest);
    else if (known !== digest)
      throw new Error(`I11 R${actor.id}: '${digest}' at op ${applied}, elsewhere '${known}'`);
  }

  // ── calls ──

  put(key: string, value: string | number, client = 0): Call {
    return this.#call('write', client, 'put', key, String(value));
  }

  del(key: string, client = 0): Call {
    return this.#call('write', client, 'del', key, '');
  }

  incr(key: string, client = 0, by = 1): Call {
    return this.#call('write', client, 'incr', key, String(by));
  }

  /** A write whose reply is `bytes` long. */
  blob(bytes: number, client = 0): Call {
    return this.#call('write', client, 'blob', 'blob', String(bytes), bytes);
  }

  /** A request of the real services; its value is the result in hexadecimal. */
  raw(bytes: Uint8Array, client = 0): Call {
    return this.#call('write', client, 'raw', 'raw', toHex(bytes));
  }

  read(key: string, client = 0, level?: LocalLevel): Call {
    return this.#call('read', client, 'get', key, '', READ_REPLY_BYTES, level);
  }

  #call(
    kind: Call['kind'],
    client: number,
    verb: string,
    key: string,
    argument: string,
    replyBytes = READ_REPLY_BYTES,
    level?: LocalLevel,
  ): Call {
    const actor = this.client(client);
    const number = actor.calls.length;
    const tag = `${actor.address}.${number}`;
    return actor.enqueue({
      tag,
      kind,
      key,
      body: operation(tag, verb, key, argument),
      replyBytes,
      client: actor.address,
      number,
      floor: this.#knownPlace,
      session: 0,
      code: null,
      place: 0,
      value: '',
      abandoned: false,
      ...(level === undefined ? {} : { level }),
    });
  }

  /** A read by client 0 must see `value` now; null: absent. */
  expect(key: string, value: string | number | null): void {
    const call = this.read(key);
    this.settle();
    const wanted = value === null ? '∅' : String(value);
    if (call.value !== wanted)
      throw this.failure(`'${key}' is '${call.value}' and should be '${wanted}'`);
  }

  // ── faults ──

  drop(faults: Faults): Rule {
    return this.network.addRule('drop', patternOf(this, faults));
  }

  hold(faults: Faults): Rule {
    return this.network.addRule('hold', patternOf(this, faults));
  }

  delay(ticks: number, faults: Faults): Rule {
    return this.network.addRule('delay', patternOf(this, faults), ticks * ROUNDS_PER_TICK);
  }

  duplicate(ticks: number, faults: Faults): Rule {
    return this.network.addRule('duplicate', patternOf(this, faults), ticks * ROUNDS_PER_TICK);
  }

  record(faults: Faults): Rule {
    return this.network.addRule('record', patternOf(this, faults));
  }

  /** Lifts the fault and puts what it kept under way. */
  release(rule: Rule): number {
    rule.end();
    return this.network.release(rule);
  }

  /** Nothing passes from one side to the other; `oneWay`: only from `left` to `right`. */
  partition(left: Who, right: Who, oneWay = false): Rule[] {
    const rules = [this.drop({ from: left, to: right })];
    if (!oneWay) rules.push(this.drop({ from: right, to: left }));
    return rules;
  }

  /** Alone among replicas; clients still reach it. */
  isolate(who: Who): Rule[] {
    const inside = resolve(this, who);
    const outside = resolve(this, 'R_').filter((id) => !inside.includes(id));
    return this.partition(inside, outside);
  }

  heal(): void {
    this.network.heal();
  }

  ringDepth(from: Who | null, to: Who | null, depth: Partial<RingDepth>): void {
    const full = { bytes: 1 << 20, frames: 1 << 20, ...depth };
    for (const source of from === null ? [null] : resolve(this, from))
      for (const target of to === null ? [null] : resolve(this, to))
        this.network.setDepth(source, target, full);
  }

  inject(from: Who, to: Who, message: Message): void {
    for (const target of resolve(this, to)) this.network.inject(this.one(from), target, message);
  }

  // ── endings ──

  /** Ends every fault, restarts who is down, and checks all that must be true afterwards. */
  converge(ticks = 8000): void {
    this.heal();
    for (let id = 0; id < this.replicas; id++) {
      const actor = this.actors[id];
      if (actor === undefined) this.restart(id);
      else {
        actor.paused = false;
        actor.slowTicks = 0;
        actor.killAfter = Number.POSITIVE_INFINITY;
      }
    }
    for (const client of this.clients) client.paused = false;
    this.settle(ticks);
    this.until(() => converged(this), ticks, 'one view and equal logs');
    checkHistory(this);
  }
}

export function story(options: StoryOptions = {}): Story {
  return new Story(options);
}
