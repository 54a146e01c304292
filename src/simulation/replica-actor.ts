// A simulated replica: it makes its passes as the worker does (messages, tick, endOfPass, effects, execute, effects, idle; SP2).
// It knows the core and the network, nothing of scenarios.

import { assert } from '../protocol/assert.js';
import { describeMessage } from '../protocol/describe.js';
import type { Effect, Event, Hint, Notice } from '../protocol/effect.js';
import type { ClientMessage, Message, ReplicaMessage } from '../protocol/message.js';
import type { Replica } from '../protocol/replica.js';
import type { StoredCheckpoint } from '../protocol/restart.js';
import type { StateMachine } from '../protocol/state-machine.js';
import type { Stamp } from '../protocol/types.js';
import { copyMessage, overwrite } from './copies.js';
import { type Disk, storedCheckpoint } from './disk.js';
import { CLIENT_BASE, type Network, type Ring } from './network.js';

/** Messages taken from the rings in one pass. */
const TURN = 64;
/** SP3: at most 100 ms become ticks in one pass. */
const TICKS_PER_PASS = 10;
const EXECUTE_BUDGET = 16;
/** Pages hashed per pass: few, so that much happens while a checkpoint is in the making. */
const CHECKPOINT_BUDGET = 4;
/** Late enough that a clock may go back by hours. */
const CLOCK_START_US = 1e12;

type StoreEffect = Extract<
  Effect,
  { type: 'append' | 'switch' | 'saveCheckpoint' | 'collect' | 'wipe' }
>;

/** The thread was killed between two effects. */
export class Killed extends Error {}

export interface Host<M extends StateMachine> {
  readonly network: Network;
  readonly tick: number;
  readonly clientAddresses: readonly number[];
  /** Milliseconds of a replica's own clock, by default now. */
  clock(id: number, round?: number): number;
  trace(line: () => string): void;
  /** After each step, with those of its effects that are performed. */
  stepped(actor: ReplicaActor<M>, event: Event, effects: readonly Effect[]): void;
  register(id: number, stamp: Stamp): void;
  /** When it is about to be said. */
  sending(actor: ReplicaActor<M>, message: ReplicaMessage): void;
}

export class ReplicaActor<M extends StateMachine> {
  readonly id: number;
  readonly start: number;
  readonly replica: Replica;
  readonly machine: M | null;
  readonly disk: Disk | null;
  readonly #host: Host<M>;
  readonly hints: Hint[] = [];
  readonly notices: Notice[] = [];
  paused = false;
  /** Added to the clock that feeds entry timestamps. */
  skewUs = 0;
  /** Ticks of this replica per tick of true time. */
  clockRate = 1;
  /** Ticks that an `execute` with something to do takes. */
  slowTicks = 0;
  /** The next pass is interrupted for so many ticks before it executes: the thread lost its core. */
  stallTicks = 0;
  #stalledUntil: number | null = null;
  /** Effects until the thread is killed. */
  killAfter: number = Number.POSITIVE_INFINITY;
  /** Ticks that a flush takes. */
  flushTicks = 0;
  /** Transactions that the present flush covers, and when it is over. */
  #flushing = 0;
  #flushedAt = 0;
  #outbox: { to: number; message: Message }[] = [];
  #lastTick: number;
  #tickRest = 0;
  #asleepUntil = 0;
  #dirty = true;
  /** The client whose message was taken last, by its key; -1: none yet. */
  #lastServed = -1;

  constructor(
    host: Host<M>,
    at: { id: number; start: number; replica: Replica; machine: M | null; disk: Disk | null },
  ) {
    this.#host = host;
    this.id = at.id;
    this.start = at.start;
    this.replica = at.replica;
    this.machine = at.machine;
    this.disk = at.disk;
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
        this.#host.sending(this, effect.message);
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
      default:
        this.#store(effect);
        return;
    }
  }

  #store(effect: StoreEffect): void {
    const { disk, replica } = this;
    const { state } = replica;
    assert(disk !== null, `a replica in memory wants ${effect.type}`);
    switch (effect.type) {
      case 'append':
        disk.append(state, effect.series, effect.fromOp, effect.toOp);
        return;
      case 'switch':
        disk.switch(state, effect.adopted === null ? null : this.#checkpoint(effect.adopted));
        return;
      case 'saveCheckpoint':
        disk.saveCheckpoint(this.#checkpoint(effect.op));
        return;
      case 'collect':
        disk.collect(state);
        return;
      case 'wipe':
        disk.wipe();
        return;
    }
  }

  #checkpoint(op: number): StoredCheckpoint {
    const pages = this.machine?.pages ?? null;
    assert(pages !== null, 'a witness has no checkpoint');
    return storedCheckpoint(this.replica.state, pages, op);
  }

  /** Flushes go on while the thread works; one serves all that was stored when it began (P10). */
  #flushDisk(): void {
    const { disk } = this;
    const { tick } = this.#host;
    if (disk === null || tick < this.#flushedAt) return;
    for (const news of disk.flush(this.#flushing)) {
      if (news === null) continue;
      this.#dirty = true;
      if (news.kind === 'checkpoint') this.#step({ type: 'checkpointStored', op: news.op });
      else this.#step({ type: 'stored', series: news.series, op: news.op });
    }
    this.#flushing = disk.unflushed;
    if (this.#flushing > 0) this.#flushedAt = tick + this.flushTicks;
  }

  #publish(): void {
    for (const { to, message } of this.#outbox) {
      this.#host.trace(() => `R${this.id} -> ${actorName(to)}: ${describeMessage(message)}`);
      this.#host.network.post(this.id, to, message);
    }
    this.#outbox = [];
  }

  pass(): void {
    const { network, tick } = this.#host;
    if (this.paused || tick < this.#asleepUntil) return;
    if (this.#stalledUntil !== null) {
      if (tick < this.#stalledUntil) return;
      this.#stalledUntil = null;
      this.#execute(1);
      return;
    }
    const elapsed = (tick - this.#lastTick) * this.clockRate + this.#tickRest;
    const due = Math.floor(elapsed);
    const { replica } = this;
    const busy = replica.hasWork || replica.checkpointing || (this.disk?.unflushed ?? 0) > 0;
    const calm = !this.#dirty && due === 0 && this.hints.length === 0 && !busy;
    if (calm && !network.hasMail(this.id)) return;
    this.#flushDisk();
    const began = network.round;
    let taken = this.#takeFromReplicas();
    this.#lastTick = tick;
    this.#tickRest = elapsed - due;
    // Between the two, as on real threads: what the others said counts before the time does (SP3).
    if (due > 0) this.#step({ type: 'tick', count: Math.min(due, TICKS_PER_PASS) });
    taken += this.#takeFromClients();
    const unread = network.mail(this.id).some(({ from }) => from < CLIENT_BASE);
    const room: number[] = [];
    for (const member of replica.state.configuration.members)
      room[member.id] = network.room(this.id, member.id);
    const nowUs = CLOCK_START_US + tick * 10_000 + this.skewUs;
    this.#step({
      type: 'endOfPass',
      nowUs,
      room,
      drainedAt: unread ? null : this.#drainedAt(began),
    });
    this.#publish();
    if (this.stallTicks > 0 && replica.hasWork) {
      this.#stalledUntil = tick + this.stallTicks;
      this.stallTicks = 0;
      return;
    }
    this.#execute(taken);
  }

  /** Rings have no delay: what is still under way here is not read yet. */
  #drainedAt(began: number): number {
    const { network } = this.#host;
    return this.#host.clock(this.id, Math.min(began, network.oldestFromReplicas(this.id)));
  }

  /** The second half of a pass. */
  #execute(taken: number): void {
    const { replica } = this;
    const { tick } = this.#host;
    const worked = replica.hasWork;
    if (worked) {
      const before = replica.state.applied;
      this.#step({ type: 'execute', budget: EXECUTE_BUDGET, reads: EXECUTE_BUDGET });
      this.#publish();
      if (replica.state.applied > before) this.#asleepUntil = tick + this.slowTicks;
    }
    if (replica.checkpointing) {
      this.#step({ type: 'checkpoint', budget: CHECKPOINT_BUDGET });
      this.#publish();
    }
    const idle = taken === 0 && !worked && !replica.lingering;
    if (idle && this.#dirty) {
      this.#step({ type: 'idle' });
      this.#publish();
    }
    this.#dirty = !idle;
  }

  #takeFromReplicas(): number {
    const { network } = this.#host;
    let taken = 0;
    for (const hint of this.hints.splice(0)) {
      this.#host.trace(() => `R${this.id} is told ${JSON.stringify(hint)}`);
      this.#step({ type: 'hint', hint });
      taken++;
    }
    for (const ring of network.mail(this.id)) {
      if (ring.from >= CLIENT_BASE) continue;
      for (let left = TURN; left > 0; left--) {
        const message = ring.take();
        if (message === undefined) break;
        this.#receive(message, (copy) => ({ type: 'message', message: copy as ReplicaMessage }));
        taken++;
      }
    }
    return taken;
  }

  /** In turns, as far as the replica takes what lies in front (N1, N3). */
  #takeFromClients(): number {
    const mail = this.#host.network.mail(this.id);
    const clients = this.#inTurns(mail.filter(({ from }) => from >= CLIENT_BASE));
    let taken = 0;
    for (let turn = 0, moved = true; moved && turn < TURN; turn++) {
      moved = false;
      for (const ring of clients) {
        if (!this.#takeFromClient(ring)) continue;
        moved = true;
        this.#lastServed = ring.from;
      }
      if (moved) taken++;
    }
    return taken;
  }

  /** Whoever was served last comes last (N3). */
  #inTurns(clients: Ring[]): readonly Ring[] {
    clients.sort((one, other) => one.from - other.from);
    const next = clients.findIndex(({ from }) => from > this.#lastServed);
    return next < 0 ? clients : [...clients.slice(next), ...clients.slice(0, next)];
  }

  #takeFromClient(ring: Ring): boolean {
    const { first } = ring;
    if (first === undefined) return false;
    const { replica } = this;
    const wanted = replica.takes(first.kind);
    if (!wanted) return false;
    ring.take();
    const address = ring.from - CLIENT_BASE;
    this.#receive(first, (copy) => ({ type: 'client', address, message: copy as ClientMessage }));
    return true;
  }

  #receive(message: Message, wrap: (copy: Message) => Event): void {
    const copy = copyMessage(message);
    this.#step(wrap(copy));
    overwrite(copy);
  }
}

export function actorName(key: number): string {
  return key >= CLIENT_BASE ? `client@${key - CLIENT_BASE}` : `R${key}`;
}
