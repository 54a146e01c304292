// The stage: a group, its clients and virtual time, in one thread. What may happen to whom is decided by whoever stands on it: a
// story that somebody wrote, or a run that was drawn from a seed.

import { DEFAULT_CLIENT_TIMING } from '../protocol/client/state.js';
import type { ClientOutcome } from '../protocol/client-event.js';
import { primaryOf } from '../protocol/configuration.js';
import type { Notice } from '../protocol/effect.js';
import { TICK_MS } from '../protocol/limits.js';
import type { ReplicaState } from '../protocol/state.js';
import type { StateMachine } from '../protocol/state-machine.js';
import type { StoryOptions, Who } from './cast.js';
import { ClientActor, type ClientHost, type Submission } from './client-actor.js';
import { seeded } from './seeded.js';
import { Threads } from './threads.js';

/** Passes of everybody in one tick. */
export const ROUNDS_PER_TICK = 4;

export abstract class Stage<M extends StateMachine, C extends Submission>
  extends Threads<M>
  implements ClientHost<C>
{
  readonly random: () => number;
  readonly clients: ClientActor<C>[] = [];
  readonly allClients: ClientActor<C>[] = [];
  tick = 0;
  #addresses = 0;
  #lastPrimary = 0;

  constructor(options: StoryOptions) {
    super(options);
    this.random = seeded(options.seed ?? 1);
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

  // ── the cast ──

  /** Present primary: it leads the highest view in which anybody leads; else the last one that did. */
  get primary(): number {
    let best = -1;
    for (const actor of this.actors) {
      if (actor === undefined) continue;
      const { status, view, id } = actor.replica.state;
      if (status === 'normal' && primaryOf(this.configuration, view) === id && view > best) {
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

  /** Milliseconds of a replica's own clock: true time, at its own rate. */
  clock(id: number, round: number = this.network.round): number {
    return trueMsOf(round) * (this.options.leaseRates?.[id] ?? 1);
  }

  get trueMs(): number {
    return trueMsOf(this.network.round);
  }

  // ── clients ──

  get clientAddresses(): readonly number[] {
    return this.clients.map((client) => client.address);
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

  abstract issued(call: C): void;
  abstract settled(call: C, outcome: ClientOutcome): void;
}

function trueMsOf(round: number): number {
  return (round * TICK_MS) / ROUNDS_PER_TICK;
}
