// The threads of a group: they boot, are killed between any two effects, and start again from what outlives them. The invariants run
// after every step of every replica, and a trace is kept for the day when one breaks.

import { Divergence, StoreContradicted } from '../protocol/assert.js';
import { type Configuration, makeConfiguration } from '../protocol/configuration.js';
import { describeReplica } from '../protocol/describe.js';
import type { Durability } from '../protocol/durability.js';
import type { Effect, Event, Hint } from '../protocol/effect.js';
import { Invariants } from '../protocol/invariants.js';
import { DEFAULT_LIMITS, DEFAULT_TIMING } from '../protocol/limits.js';
import type { ReplicaMessage } from '../protocol/message.js';
import { Replica } from '../protocol/replica.js';
import type { Stored } from '../protocol/restart.js';
import type { ReplicaState } from '../protocol/state.js';
import type { StateMachine } from '../protocol/state-machine.js';
import type { Stamp } from '../protocol/types.js';
import { type Cast, resolve, type StoryOptions, type Who } from './cast.js';
import { checkDisclosure, Disk } from './disk.js';
import { Network } from './network.js';
import { type Host, Killed, ReplicaActor } from './replica-actor.js';
import { digest64, seeded } from './seeded.js';

const TRACE_LINES = 60;

export abstract class Threads<M extends StateMachine> implements Host<M>, Cast {
  readonly options: StoryOptions;
  readonly network: Network;
  readonly replicas: number;
  invariants: Invariants;
  /** Running ones; undefined: crashed. */
  readonly actors: (ReplicaActor<M> | undefined)[] = [];
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
  protected readonly configuration: Configuration;
  readonly #trace: (() => string)[] = [];
  readonly skews: Map<number, number> = new Map();
  /** What replicas said that ended because their state differs (CP8). */
  readonly halted: Map<number, string> = new Map();

  constructor(options: StoryOptions) {
    this.options = options;
    this.replicas = options.replicas ?? 3;
    this.network = new Network(seeded((options.seed ?? 1) ^ 0x5eed));
    this.configuration = makeConfiguration(this.replicas, options.witnesses ?? 0, 2 ** 30);
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

  abstract readonly tick: number;
  abstract readonly primary: number;
  abstract readonly clients: readonly { readonly address: number }[];
  abstract readonly clientAddresses: readonly number[];
  /** Milliseconds of a replica's own clock. */
  abstract clock(id: number): number;
  protected abstract makeMachine(): M;

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

  // ── lives ──

  boot(id: number): void {
    const start = (this.starts[id] ?? 0) + 1;
    this.starts[id] = start;
    const machine = id < this.actives ? this.makeMachine() : null;
    const replica = new Replica({
      id,
      configuration: this.configuration,
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

  // ── what happens to a thread ──

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
    this.tell('R_', { kind: 'suspect', id, start });
  }

  tell(who: Who, hint: Hint): void {
    for (const id of resolve(this, who)) {
      if ('id' in hint && hint.id === id) continue;
      this.actors[id]?.hints.push(hint);
    }
  }

  // ── what the actors tell ──

  register(id: number, stamp: Stamp): void {
    this.registers[id] = stamp;
  }

  /** I21: what a message says is on disk when it is sent (P2). */
  sending(actor: ReplicaActor<M>, message: ReplicaMessage): void {
    if (actor.disk !== null) checkDisclosure(actor.disk, this.durability, message);
  }

  protected isRevoked({ id, start }: ReplicaActor<M>): boolean {
    return (this.#revoked.get(id) ?? 0) >= start;
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
