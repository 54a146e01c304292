// The stage: a group, its registers, its clients and virtual time, in one thread. It runs the invariants after every step of
// every replica and keeps a trace for the day when one breaks. What may happen to whom is decided by whoever stands on it: a
// story that somebody wrote, or a run that was drawn from a seed.

import { Divergence, StoreContradicted } from '../protocol/assert.js';
import { DEFAULT_CLIENT_TIMING } from '../protocol/client.js';
import type { ClientOutcome } from '../protocol/client-event.js';
import { type Configuration, makeConfiguration, primaryOf } from '../protocol/configuration.js';
import { describeReplica } from '../protocol/describe.js';
import type { Durability } from '../protocol/durability.js';
import type { Effect, Event, Hint, Notice } from '../protocol/effect.js';
import { Invariants } from '../protocol/invariants.js';
import { DEFAULT_LIMITS, DEFAULT_TIMING, TICK_MS } from '../protocol/limits.js';
import type { ReplicaMessage } from '../protocol/message.js';
import { Replica } from '../protocol/replica.js';
import type { Stored } from '../protocol/restart.js';
import type { ReplicaState } from '../protocol/state.js';
import type { StateMachine } from '../protocol/state-machine.js';
import type { Stamp } from '../protocol/types.js';
import { type Cast, resolve, type StoryOptions, type Who } from './cast.js';
import { ClientActor, type ClientHost, type Submission } from './client-actor.js';
import { checkDisclosure, Disk } from './disk.js';
import { Network } from './network.js';
import { type Host, Killed, ReplicaActor } from './replica-actor.js';
import { digest64, seeded } from './seeded.js';

/** Passes of everybody in one tick. */
export const ROUNDS_PER_TICK = 4;
const TRACE_LINES = 60;

export abstract class Stage<M extends StateMachine, C extends Submission>
  implements Host<M>, ClientHost<C>, Cast
{
  readonly options: StoryOptions;
  readonly network: Network;
  readonly random: () => number;
  readonly replicas: number;
  invariants: Invariants;
  /** Running ones; undefined: crashed. */
  readonly actors: (ReplicaActor<M> | undefined)[] = [];
  readonly clients: ClientActor<C>[] = [];
  readonly allClients: ClientActor<C>[] = [];
  /** Promise registers and start counters: they survive their threads (H1, H2). */
  readonly registers: (Stamp | null)[] = [];
  readonly starts: number[] = [];
  readonly disks: (Disk | null)[] = [];
  /** Raised when all start again from disks that may have lost acknowledged entries (H6). */
  gen = 0;
  #cold = false;
  /** All threads were killed at once, and this one has not started again since. */
  readonly #orphans = new Set<number>();
  /** Highest start of each that the host has revoked. */
  readonly #revoked = new Map<number, number>();
  readonly #configuration: Configuration;
  readonly #trace: (() => string)[] = [];
  readonly skews: Map<number, number> = new Map();
  /** What replicas said that ended because their state differs (CP8). */
  readonly halted: Map<number, string> = new Map();
  tick = 0;
  #addresses = 0;
  #lastPrimary = 0;

  constructor(options: StoryOptions) {
    this.options = options;
    this.replicas = options.replicas ?? 3;
    const seed = options.seed ?? 1;
    this.random = seeded(seed);
    this.network = new Network(seeded(seed ^ 0x5eed));
    this.#configuration = makeConfiguration(this.replicas, options.witnesses ?? 0, 2 ** 30);
    this.invariants = this.#newInvariants();
    for (let id = 0; id < this.replicas; id++) {
      this.disks.push(this.durability === 'memory' ? null : new Disk());
      this.registers.push(null);
      this.starts.push(0);
      this.actors.push(undefined);
    }
  }

  #newInvariants(): Invariants {
    const { replicas, limits, options } = this;
    return new Invariants({ replicas, limits, diverges: options.diverges === true });
  }

  /** Starts everybody; called last by the constructor of whoever stands on the stage. */
  protected begin(): void {
    const { options } = this;
    for (let id = 0; id < this.replicas; id++) this.boot(id);
    for (let index = 0; index < (options.clients ?? 1); index++) this.attachClient(index);
    if (this.clients.length > 0 && options.quiet !== true) {
      this.until(() => this.clients.every((client) => client.session.canSubmit(0)), 200);
      this.run(2);
    }
  }

  get limits(): typeof DEFAULT_LIMITS {
    return { ...DEFAULT_LIMITS, ...this.options.limits };
  }

  get timing(): typeof DEFAULT_TIMING {
    return { ...DEFAULT_TIMING, ...this.options.timing };
  }

  get actives(): number {
    return this.replicas - (this.options.witnesses ?? 0);
  }

  get durability(): Durability {
    return this.options.durability ?? 'memory';
  }

  get hints(): boolean {
    return this.options.hints !== false;
  }

  get clientAddresses(): readonly number[] {
    return this.clients.map((client) => client.address);
  }

  // ── the cast ──

  /** Present primary: it leads the highest view in which anybody leads; else the last one that did. */
  get primary(): number {
    let best = -1;
    for (const actor of this.actors) {
      if (actor === undefined) continue;
      const { status, view, id } = actor.replica.state;
      if (status === 'normal' && primaryOf(this.#configuration, view) === id && view > best) {
        best = view;
        this.#lastPrimary = id;
      }
    }
    return this.#lastPrimary;
  }

  /** Highest view that any running replica is in. */
  get view(): number {
    return Math.max(...this.states.map((state) => state.view));
  }

  get states(): ReplicaState[] {
    return this.actors.flatMap((actor) => (actor === undefined ? [] : [actor.replica.state]));
  }

  one(who: Who): number {
    const [id] = resolve(this, who);
    if (id === undefined) throw new Error(`nobody is called '${String(who)}'`);
    return id;
  }

  actor(who: Who): ReplicaActor<M> {
    const actor = this.actors[this.one(who)];
    if (actor === undefined) throw this.failure(`${String(who)} is not running`);
    return actor;
  }

  state(who: Who): ReplicaState {
    return this.actor(who).replica.state;
  }

  notices(who: Who): Notice[] {
    return this.actor(who).notices;
  }

  client(index: number): ClientActor<C> {
    const client = this.clients[index];
    if (client === undefined) throw new Error(`there is no client ${index}`);
    return client;
  }

  get calls(): C[] {
    return this.allClients.flatMap((client) => client.calls);
  }

  // ── time ──

  run(ticks: number): void {
    for (let round = 0; round < ticks * ROUNDS_PER_TICK; round++) this.#round();
  }

  until(condition: () => boolean, ticks = 3000, what = 'the condition'): void {
    for (let round = 0; round < ticks * ROUNDS_PER_TICK; round++) {
      if (condition()) return;
      this.#round();
    }
    if (!condition()) throw this.failure(`${what} did not come true in ${ticks} ticks`);
  }

  /** Until every call of a living client is answered. */
  settle(ticks = 3000): void {
    const open = (): boolean => this.calls.some((call) => call.code === null && !call.abandoned);
    this.until(() => !open(), ticks, 'an answer to every call');
    this.run(2);
  }

  /** Until somebody leads `view` or a later one, by default later than now, and serves. */
  newView(view: number = this.view + 1, ticks = 3000): void {
    this.until(
      () => this.states.some((state) => state.serving && state.view >= view && !state.abdicating),
      ticks,
      `view ${view}`,
    );
  }

  /** Until all that run are normal in one view. */
  together(ticks = 3000): void {
    const { states } = this;
    this.until(
      () =>
        this.states.every((state) => state.status === 'normal' && state.view === this.view) &&
        this.states.length === states.length,
      ticks,
      'one view of all',
    );
  }

  #round(): void {
    this.network.advance();
    if (this.network.round % ROUNDS_PER_TICK === 0) this.tick++;
    const order = this.actors.map((_, id) => id);
    if (this.options.shuffle === true)
      for (let at = order.length - 1; at > 0; at--) {
        const other = this.random() % (at + 1);
        [order[at], order[other]] = [order[other] ?? 0, order[at] ?? 0];
      }
    for (const id of order) this.#pass(id);
    for (const client of this.clients) client.pass();
    this.guard(-1, () => this.afterRound());
  }

  protected afterRound(): void {
    this.invariants.betweenSteps();
  }

  #pass(id: number): void {
    this.guard(id, () => this.actors[id]?.pass());
  }

  guard(id: number, action: () => void): void {
    try {
      action();
    } catch (error) {
      if (error instanceof Killed) this.crash(id);
      else if (error instanceof StoreContradicted) this.#rejoin(id);
      else if (error instanceof Divergence && this.options.diverges === true) this.#halt(id, error);
      else throw error instanceof Error ? this.withTrace(error) : error;
    }
  }

  #halt(id: number, error: Divergence): void {
    this.halted.set(id, error.message);
    this.crash(id);
  }

  /** E42: the host gives the store up, and the replica recovers. */
  #rejoin(id: number): void {
    this.crash(id);
    this.disks[id]?.wipe();
    this.restart(id);
  }

  /** Milliseconds of a replica's own clock: true time, at its own rate. */
  clock(id: number): number {
    const trueMs = (this.network.round * TICK_MS) / ROUNDS_PER_TICK;
    return trueMs * (this.options.leaseRates?.[id] ?? 1);
  }

  // ── threads ──

  boot(id: number): void {
    const start = (this.starts[id] ?? 0) + 1;
    this.starts[id] = start;
    const machine = id < this.actives ? this.makeMachine() : null;
    const replica = new Replica({
      id,
      configuration: this.#configuration,
      clusterId: 7,
      gen: this.gen,
      start,
      durability: this.durability,
      stored: this.#stored(id),
      cold: this.#cold && this.durability === 'async',
      register: this.registers[id] ?? null,
      limits: this.limits,
      timing: this.timing,
      alone: this.#orphans.delete(id),
      clock: () => this.clock(id),
      revoked: () => (this.#revoked.get(id) ?? 0) >= start,
      random: seeded((this.options.seed ?? 1) * 1009 + id * 31 + start),
      digest64,
      stateMachine: machine,
      ...(this.options.mutations === undefined ? {} : { mutations: this.options.mutations }),
      ...(this.options.marks === undefined ? {} : { marks: this.options.marks }),
    });
    const disk = this.disks[id] ?? null;
    const actor = new ReplicaActor(this, { id, start, replica, machine, disk });
    actor.flushTicks = this.options.flushTicks ?? 0;
    actor.skewUs = this.skews.get(id) ?? 0;
    this.actors[id] = actor;
    this.guard(id, () => actor.event({ type: 'boot' }));
  }

  /** The thread ends with all its memory. What it sent stays under way, unless it is `mute`. */
  crash(who: Who, options: { mute?: boolean; hint?: boolean; kept?: number } = {}): number {
    const id = this.one(who);
    const actor = this.actors[id];
    if (actor === undefined) return id;
    this.trace(() => `R${id} crashes (start ${actor.start})`);
    this.actors[id] = undefined;
    this.disks[id]?.crash(options.kept ?? 0);
    this.invariants.crashed(id);
    if (options.mute === true) this.network.discard((envelope) => envelope.from === id);
    if (options.hint ?? this.hints) this.tell('R_', { kind: 'exited', id, start: actor.start });
    return id;
  }

  /** P4: complete with sync, or when nobody has anything better; else a hint (R1). */
  #stored(id: number): Stored | null {
    const image = this.disks[id]?.read() ?? null;
    return image === null ? null : { ...image, trusted: this.durability === 'sync' || this.#cold };
  }

  /** The process, or the machine, stops: of each store any prefix remains that has all that was flushed. */
  killAll(kept: (id: number, unflushed: number) => number = () => 0): void {
    for (let id = 0; id < this.replicas; id++) {
      const unflushed = this.disks[id]?.unflushed ?? 0;
      this.crash(id, { mute: true, hint: false, kept: kept(id, unflushed) });
      this.#orphans.add(id);
    }
  }

  /** All start again from their disks; those in `without` have lost theirs, or come later. */
  coldStart(without: { lost?: readonly number[]; later?: readonly number[] } = {}): void {
    if (this.durability === 'async') {
      this.gen++;
      // What was acknowledged may be gone: another history begins.
      this.invariants = this.#newInvariants();
      this.invariants.remember(this.registers);
    }
    this.#cold = true;
    for (const id of without.lost ?? []) this.disks[id]?.wipe();
    for (let id = 0; id < this.replicas; id++)
      if (without.later?.includes(id) !== true) this.boot(id);
    this.#cold = without.later !== undefined;
  }

  restart(who: Who): number {
    const id = this.one(who);
    if (this.actors[id] !== undefined) return id;
    this.trace(() => `R${id} restarts`);
    this.boot(id);
    if (this.hints) this.tell('R_', { kind: 'started', id, start: this.starts[id] ?? 0 });
    return id;
  }

  /** Killed after `effects` more effects, between any two of them; frames not yet published are lost. */
  killAfter(who: Who, effects: number): void {
    this.actor(who).killAfter = effects;
  }

  stepDown(): void {
    this.tell('A0', { kind: 'stepDown' });
  }

  /** One event for one replica, outside its passes. */
  event(who: Who, event: Event): void {
    const actor = this.actor(who);
    this.guard(actor.id, () => actor.event(event));
  }

  pause(who: Who): number {
    const actor = this.actor(who);
    actor.paused = true;
    return actor.id;
  }

  resume(who: Who): void {
    this.actor(who).paused = false;
  }

  slowApply(who: Who, ticks: number): void {
    for (const id of resolve(this, who)) this.actor(id).slowTicks = ticks;
  }

  /** The next pass with something to execute stops before that, for so many ticks. */
  stall(who: Who, ticks: number): void {
    for (const id of resolve(this, who)) this.actor(id).stallTicks = ticks;
  }

  skewClock(who: Who, us: number): void {
    for (const id of resolve(this, who)) {
      this.skews.set(id, us);
      const actor = this.actors[id];
      if (actor !== undefined) actor.skewUs = us;
    }
  }

  /** The host sees that a thread will not go on, and takes its lease from it before it says so. */
  revoke(who: Who): void {
    const { id, start } = this.actor(who);
    this.#revoked.set(id, start);
    this.tell('R_', { kind: 'suspect', id, start, revoked: true });
  }

  tell(who: Who, hint: Hint): void {
    for (const id of resolve(this, who)) {
      if ('id' in hint && hint.id === id) continue;
      this.actors[id]?.hints.push(hint);
    }
  }

  attachClient(index: number): ClientActor<C> {
    const address = this.#addresses++;
    const client = new ClientActor<C>(this, {
      index,
      address,
      actives: this.actives,
      timing: { ...DEFAULT_CLIENT_TIMING, ...this.options.clientTiming },
      limits: this.limits,
      random: seeded((this.options.seed ?? 1) * 7919 + address * 104729),
      readsMax: 64,
      ignoreReplyBytes: this.options.ignoreReplyBytes === true,
    });
    this.clients[index] = client;
    this.allClients.push(client);
    return client;
  }

  /** The client's thread ends; a new one takes its place, with a new id (CL5). */
  crashClient(index: number): ClientActor<C> {
    const old = this.client(index);
    for (const call of old.calls) if (call.code === null) call.abandoned = true;
    for (const actor of this.actors)
      if (actor !== undefined) this.event(actor.id, { type: 'detach', address: old.address });
    return this.attachClient(index);
  }

  // ── what the actors tell ──

  register(id: number, stamp: Stamp): void {
    this.registers[id] = stamp;
  }

  abstract issued(call: C): void;
  abstract settled(call: C, outcome: ClientOutcome): void;
  protected abstract makeMachine(): M;

  /** I21: what a message says is on disk when it is sent (P2). */
  sending(actor: ReplicaActor<M>, message: ReplicaMessage): void {
    if (actor.disk !== null) checkDisclosure(actor.disk, this.durability, message);
  }

  stepped(actor: ReplicaActor<M>, _event: Event, effects: readonly Effect[]): void {
    this.invariants.afterStep(actor.replica.state, effects);
  }

  trace(line: () => string): void {
    const { tick } = this;
    this.#trace.push(() => `${tick} ${line()}`);
    if (this.#trace.length > TRACE_LINES * 2) this.#trace.splice(0, TRACE_LINES);
  }

  withTrace(error: Error): Error {
    if (!error.message.includes('\n  trace:'))
      error.message += `\n  trace:\n  ${this.#trace
        .slice(-TRACE_LINES)
        .map((line) => line())
        .join('\n  ')}\n  ${this.states.map(describeReplica).join('\n  ')}`;
    return error;
  }

  failure(message: string): Error {
    return this.withTrace(new Error(message));
  }
}
