// One run of a plan: a first phase with faults, a second one in which a majority is healed and everything must be answered. The real
// core, the real services and the real client half, in one thread, in virtual time.

import type { ClientOutcome } from '../../protocol/client-event.js';
import { faultsTolerated, primaryOf } from '../../protocol/configuration.js';
import type { Effect, Event } from '../../protocol/effect.js';
import type { MarkSink } from '../../protocol/marks.js';
import type { ReplicaMessage } from '../../protocol/message.js';
import type { Mutations } from '../../protocol/mutations.js';
import type { OpNumber, SessionNumber } from '../../protocol/types.js';
import type { ClientActor } from '../client-actor.js';
import { Fingerprint } from '../fingerprint.js';
import { RecordingMachine } from '../recording-machine.js';
import type { ReplicaActor } from '../replica-actor.js';
import { digest64 } from '../seeded.js';
import { Stage } from '../stage.js';
import { CallFactory, type SimulatedCall, understand } from './calls.js';
import { Dice } from './dice.js';
import { beginEpisode } from './episodes.js';
import { breakForGood } from './lasting.js';
import type { Episode, Plan } from './plan.js';
import { type Clocked, checkEcho } from './promises.js';
import { ReadFloors } from './read-floors.js';
import { SimulatedWeather } from './weather.js';

const STORE_BYTES = 1 << 20;
/** A client does not queue more; what comes beyond is not asked for. */
const WAITING_MAX = 64;

interface Task {
  at: number;
  readonly period: number;
  readonly until: number;
  readonly action: () => void;
}

export interface RunOptions {
  readonly mutations?: Mutations;
  readonly marks?: MarkSink;
}

export class Run extends Stage<RecordingMachine, SimulatedCall> {
  readonly plan: Plan;
  readonly weather: SimulatedWeather;
  readonly fingerprint: Fingerprint = new Fingerprint();
  /** Digests of the requests that each session submitted, in order. */
  readonly submitted: Map<SessionNumber, number[]> = new Map();
  /** Members that are broken for good (second phase). */
  readonly broken: Set<number> = new Set();
  loadFactor = 1;
  clientsDied = 0;
  restarts = 0;
  readonly #dice: Dice;
  readonly #factory: CallFactory;
  /** I11, by applied op: of everything that went in and came out, and of the pages. */
  readonly #summaries = new Map<OpNumber, number>();
  readonly #pages = new Map<OpNumber, string>();
  readonly #word = new Uint32Array(2);
  readonly #doomed = new Set<number>();
  readonly #open: { episode: Episode; end: () => void }[] = [];
  #tasks: Task[] = [];
  #order = 0;
  /** Highest op that each client has seen. */
  readonly #seen = new Map<number, number>();
  readonly #floors: ReadFloors;
  #due = 0;
  #asked = 0;

  constructor(plan: Plan, options: RunOptions = {}) {
    const { seed, replicas, witnesses, clients, hints, limits, timing, clientTiming } = plan;
    const { durability, flushTicks, leaseRates } = plan;
    super({
      seed,
      replicas,
      witnesses,
      clients,
      hints,
      durability,
      flushTicks,
      limits,
      timing,
      leaseRates,
      clientTiming,
      shuffle: true,
      quiet: true,
      ...options,
    });
    this.plan = plan;
    this.#floors = new ReadFloors(leaseRates);
    this.#dice = new Dice(seed ^ 0x2545f491);
    const levels = new Dice(seed ^ 0x1f83d9ab);
    this.#factory = new CallFactory(plan.calls, new Dice(seed ^ 0x3c6ef372), levels);
    this.weather = new SimulatedWeather(plan.weather, replicas, new Dice(seed ^ 0x1b873593));
    this.network.weather = this.weather;
    this.begin();
  }

  // ── what the stage asks ──

  protected override makeMachine(): RecordingMachine {
    return new RecordingMachine(STORE_BYTES);
  }

  override issued(call: SimulatedCall): void {
    call.began = ++this.#order;
    const seen = call.level?.session === false ? 0 : (this.#seen.get(call.client) ?? 0);
    call.floorOp = Math.max(seen, this.#floors.floor(call.level, this.trueMs));
    if (call.kind === 'read') return;
    const submitted = this.submitted.get(call.session) ?? [];
    this.submitted.set(call.session, submitted);
    call.number = submitted.push(call.digest) - 1;
  }

  /** I13, I14, RD9: whoever asks for what he has seen, or for what is committed, is shown no less. */
  #checkSeen(call: SimulatedCall, op: number): void {
    const { client, kind, level, floorOp } = call;
    if (kind === 'read' && op < floorOp) {
      const asked = level === undefined ? 'linearizable' : JSON.stringify(level);
      throw new Error(
        `I13, I14: a read of client ${client} ran at ${op} instead of ${floorOp} (${asked})`,
      );
    }
    this.#seen.set(client, Math.max(this.#seen.get(client) ?? 0, op));
  }

  override settled(call: SimulatedCall, outcome: ClientOutcome): void {
    this.fingerprint.word(call.client);
    if (outcome.code !== 'ok') return;
    call.ended = ++this.#order;
    if (call.kind === 'read') call.number = outcome.op;
    this.#checkSeen(call, outcome.op);
    understand(call, outcome.result);
    digest64(outcome.result, 0, outcome.result.length, this.#word);
    this.fingerprint.word(this.#word[0] as number);
  }

  /** RD3: an echo is a promise. */
  override sending(actor: ReplicaActor<RecordingMachine>, message: ReplicaMessage): void {
    super.sending(actor, message);
    const primary = this.actors[primaryOf(this.configuration, message.view)];
    if (message.kind !== 'prepareOk' || primary === undefined || this.isRevoked(primary)) return;
    checkEcho(message, this.#clocked(actor), this.#clocked(primary), this.timing);
  }

  #clocked({ id, replica }: ReplicaActor<RecordingMachine>): Clocked {
    return { state: replica.state, rate: this.plan.leaseRates[id] ?? 1 };
  }

  override stepped(
    actor: ReplicaActor<RecordingMachine>,
    event: Event,
    effects: readonly Effect[],
  ): void {
    super.stepped(actor, event, effects);
    const { state } = actor.replica;
    this.#floors.committed(state.commitMax, this.trueMs);
    this.fingerprint.step(actor.id, event, effects, state);
    if (event.type !== 'execute' || actor.machine === null) return;
    this.#compare(actor.machine, state.applied);
  }

  #compare(machine: RecordingMachine, applied: OpNumber): void {
    const { summary } = machine;
    const known = this.#summaries.get(applied);
    if (known === undefined) this.#summaries.set(applied, summary);
    else if (known !== summary) throw new Error(`I11: two states after op ${applied}`);
    for (const [op, digest] of machine.pageDigests) {
      machine.pageDigests.delete(op);
      const pages = this.#pages.get(op);
      if (pages === undefined) this.#pages.set(op, digest);
      else if (pages !== digest) throw new Error(`I11: other pages after op ${op}`);
    }
  }

  // ── first phase ──

  storm(): void {
    const { plan } = this;
    const [quietFrom, quietTo] = plan.quiet;
    const episodes = [...plan.episodes];
    const end = this.tick + plan.storm;
    const start = this.tick;
    while (this.tick < end) {
      const now = this.tick - start;
      const quiet = now >= quietFrom && now < quietTo;
      if (quiet && this.weather.stormy) this.#calm();
      this.weather.stormy = !quiet;
      while ((episodes[0]?.at ?? Number.POSITIVE_INFINITY) <= now) {
        const episode = episodes.shift();
        if (episode !== undefined && !quiet) this.#begin(episode);
      }
      this.#endDue();
      this.#runTasks();
      this.#load();
      this.run(1);
    }
  }

  #begin(episode: Episode): void {
    this.trace(() => `— ${episode.kind} for ${episode.ticks} ticks`);
    const end = beginEpisode(this, { ...episode, at: this.tick });
    this.#open.push({ episode: { ...episode, at: this.tick }, end });
  }

  #endDue(): void {
    for (let at = this.#open.length - 1; at >= 0; at--) {
      const open = this.#open[at];
      if (open === undefined || this.tick < open.episode.at + open.episode.ticks) continue;
      this.#open.splice(at, 1);
      this.trace(() => `— end of ${open.episode.kind}`);
      open.end();
    }
  }

  /** Every fault ends; whoever is down stays down. */
  #calm(): void {
    for (const { end } of this.#open.splice(0)) end();
    this.#tasks = [];
    this.weather.unclogAll();
    this.weather.mendAll();
  }

  /** In `ticks` from now. */
  after(ticks: number, action: () => void): void {
    this.#tasks.push({ at: this.tick + ticks, period: 0, until: this.tick + ticks, action });
  }

  /** Each `period` ticks for `ticks`. */
  every(period: number, ticks: number, action: () => void): void {
    this.#tasks.push({ at: this.tick + period, period, until: this.tick + ticks, action });
  }

  #runTasks(): void {
    const due = this.#tasks.filter((task) => task.at <= this.tick);
    if (due.length === 0) return;
    for (const task of due) {
      task.action();
      task.at = task.period > 0 ? task.at + task.period : Number.POSITIVE_INFINITY;
    }
    this.#tasks = this.#tasks.filter((task) => task.at <= task.until);
  }

  /** Calls arrive evenly, by chance spread over the clients; a full queue turns them away. */
  #load(): void {
    const { requestsPerTick, requestsMax } = this.plan;
    this.#due += requestsPerTick * this.loadFactor;
    for (; this.#due >= 1; this.#due--) {
      if (++this.#asked > requestsMax) continue;
      const client = this.client(this.#dice.below(this.clients.length));
      if (client.waiting.length < WAITING_MAX)
        this.#ask(client, this.#factory.draw(client.address));
    }
  }

  #ask(client: ClientActor<SimulatedCall>, call: SimulatedCall): void {
    digest64(call.body, 0, call.body.length, this.#word);
    call.digest = this.#word[0] as number;
    client.enqueue(call);
  }

  // ── what faults do ──

  /** Without memory, or about to be: down, or recovering, and without a disk that has all that was acknowledged (P4). */
  get faulty(): Set<number> {
    const faulty = new Set(this.#doomed);
    for (const [id, actor] of this.actors.entries()) {
      const blank = actor === undefined && !this.#remembers(id);
      if (blank || actor?.replica.state.status === 'recovering') faulty.add(id);
    }
    return faulty;
  }

  #remembers(id: number): boolean {
    return this.durability === 'sync' && (this.disks[id]?.read() ?? null) !== null;
  }

  /** True when its thread may end now. */
  mayEnd(id: number): boolean {
    return this.actors[id] !== undefined && (this.#remembers(id) || this.mayLose(id));
  }

  /** True when `id` may lose its memory now. */
  mayLose(id: number): boolean {
    const faulty = this.faulty;
    if (this.actors[id] === undefined) return false;
    return faulty.has(id) || faulty.size < faultsTolerated(this.replicas);
  }

  /** It will be killed at one of its next effects. */
  doom(id: number): void {
    this.#doomed.add(id);
  }

  override crash(
    who: number | string,
    options: { mute?: boolean; hint?: boolean; kept?: number } = {},
  ): number {
    const disk = this.disks[this.one(who)] ?? null;
    const kept = disk === null ? 0 : this.#dice.below(disk.unflushed + 1);
    const id = super.crash(who, { kept, ...options });
    this.#doomed.delete(id);
    return id;
  }

  override restart(who: number): number {
    // What was to kill it in its last life does not reach it.
    if (this.actors[who] === undefined) this.restarts++;
    else this.killAfter(who, Number.POSITIVE_INFINITY);
    this.#doomed.delete(who);
    return super.restart(who);
  }

  wake(id: number): void {
    const actor = this.actors[id];
    if (actor !== undefined) actor.paused = false;
  }

  override slowApply(who: number, ticks: number): void {
    const actor = this.actors[who];
    if (actor !== undefined) actor.slowTicks = ticks;
  }

  override stall(who: number, ticks: number): void {
    const actor = this.actors[who];
    if (actor !== undefined) actor.stallTicks = ticks;
  }

  setClockRate(id: number, rate: number): void {
    const actor = this.actors[id];
    if (actor !== undefined) actor.clockRate = rate;
  }

  killClient(index: number): void {
    this.clientsDied++;
    this.crashClient(index);
  }

  // ── second phase ──

  /** Everything heals, except a minority that stays broken in a way of its own where the plan says so. */
  heal(): void {
    this.#calm();
    this.loadFactor = 1;
    this.weather.stormy = false;
    for (let id = 0; id < this.replicas; id++) {
      this.wake(id);
      this.slowApply(id, 0);
      this.stall(id, 0);
      this.setClockRate(id, 1);
      const actor = this.actors[id];
      if (actor !== undefined) actor.killAfter = Number.POSITIVE_INFINITY;
    }
    this.#doomed.clear();
    for (const client of this.clients) client.paused = false;
    this.network.clearDepths();
    if (this.plan.lasting) breakForGood(this, this.#dice);
    for (let id = 0; id < this.replicas; id++)
      if (this.actors[id] === undefined && !this.broken.has(id)) this.restart(id);
  }

  /** Every living client writes to each counter and reads everything. */
  askClosing(): void {
    for (const client of this.clients)
      for (const call of this.#factory.closing(client.address)) this.#ask(client, call);
  }

  get core(): ReplicaActor<RecordingMachine>[] {
    return this.actors.flatMap((actor) =>
      actor === undefined || this.broken.has(actor.id) ? [] : [actor],
    );
  }

  get logIsFull(): boolean {
    return this.states.some((state) => state.pressure === 'full');
  }
}
