// A replica on its thread: polls rings, steps the core, performs its effects in their order. One pass is SP2: drain, tick, end
// of pass, publish; then execute a bounded number of entries, publish again. No rule of the protocol stands here.

import { performance } from 'node:perf_hooks';
import { touchedSegments } from '../../protocol/arena.js';
import { roleOf } from '../../protocol/configuration.js';
import type { Effect, Hint } from '../../protocol/effect.js';
import { TICK_MS } from '../../protocol/limits.js';
import type { Message, ReplicaMessage } from '../../protocol/message.js';
import { Replica } from '../../protocol/replica.js';
import type { ReplicaState } from '../../protocol/state.js';
import type { ClientAddress, Digest64 } from '../../protocol/types.js';
import type { PollLimit } from '../../transport/link.js';
import {
  type ClientLinkMemory,
  ClusterBlock,
  type ReplicaBlock,
  ReplicaCounters,
} from '../../transport/mesh.js';
import { type ReplicaBoot, STATUS_CODES } from '../boot.js';
import { random32 } from '../random.js';
import { ActorCounters } from './actor-counters.js';
import { ClientConnections } from './client-connections.js';
import { CommitNews } from './commit-news.js';
import { EntryGuard } from './entry-guard.js';
import { Pauses, TimedServices } from './pauses.js';
import { PeerConnections } from './peer-connections.js';
import { ReplicaDisk } from './replica-disk.js';
import { type ActorParts, PLAIN_PARTS } from './stop-points.js';
import { ThreadTimes } from './thread-times.js';

/** Taken from one ring per pass: bounds a pass, so that the phases of different entries overlap. */
const POLL_LIMIT: PollLimit = { frames: 64, bytes: 256 << 10 };
/** Entries executed per pass (SP2), and the time for it: entries may be large, and the code of a young thread is slow. */
const EXECUTE_PER_PASS = 16;
const EXECUTE_MS = 2;
/** Entries and reads between two looks at the clock. */
const EXECUTE_STEP = 2;
const READ_STEP = 64;
/** How often an idle thread wakes for its ticks; ticks are counted from the time that has passed, so this need not be one. */
const WAKE_MS = 20;
/** The same of a backup at rest, whom heartbeats wake anyway; a fraction of the time in which it suspects its primary. */
const REST_MS = 80;
const REST_SHARE = 1 / 4;
/** Elapsed time that may become ticks in one pass (SP3). */
const TICKS_PER_PASS_MS = 100;
/** Pages hashed between two looks at the clock, and the time for it in one pass (CP1). */
const CHECKPOINT_STEP = 8;
const CHECKPOINT_MS = 0.5;

export class ReplicaActor {
  readonly replica: Replica;
  readonly #boot: ReplicaBoot;
  readonly #guard: EntryGuard;
  readonly #block: ReplicaBlock;
  readonly #cluster: ClusterBlock;
  readonly #counters: ActorCounters;
  readonly #services: TimedServices | null;
  readonly #disk: ReplicaDisk | null;
  readonly #peers: PeerConnections;
  readonly #clients: ClientConnections;
  readonly #onMessage: (message: Message) => void;
  readonly #onHint: (hint: Hint) => void;
  readonly #news: CommitNews;
  #sleepMs = WAKE_MS;
  readonly #restMs: number;
  #tickedMs: number;
  #toldStatus: ReplicaState['status'] | null = null;
  readonly #times = new ThreadTimes();
  readonly #pauses = new Pauses(this.#times);

  constructor(boot: ReplicaBoot, digest64: Digest64, parts: ActorParts = PLAIN_PARTS) {
    const { id, configuration, mesh } = boot;
    this.#boot = boot;
    const patienceMs = boot.timing.viewTimeout * TICK_MS * REST_SHARE;
    this.#restMs = Math.max(WAKE_MS, Math.min(REST_MS, patienceMs));
    this.#guard = new EntryGuard(digest64);
    this.#block = parts.block(mesh, id);
    this.#cluster = new ClusterBlock(mesh);
    const counters = new ReplicaCounters(mesh, id);
    const active = roleOf(configuration, id) === 'active';
    const { storeBytes } = configuration;
    this.#services = active ? new TimedServices({ storeBytes, kernel: true }, this.#pauses) : null;
    this.#peers = new PeerConnections(boot, parts);
    const { disk } = boot;
    this.#disk = disk === null ? null : new ReplicaDisk(boot, disk, this.#services);
    this.replica = new Replica({
      id,
      configuration,
      clusterId: boot.clusterId,
      gen: disk?.gen ?? 0,
      start: boot.start,
      register: this.#disk === null ? this.#block.readRegister() : this.#disk.promised,
      durability: disk?.durability ?? 'memory',
      stored: this.#disk?.stored ?? null,
      cold: disk?.cold === true,
      alone: disk?.first === true,
      limits: boot.limits,
      timing: boot.timing,
      random: random32,
      clock: () => performance.now(),
      // What the others read in the same word before they forget their promises.
      revoked: () => this.#block.suspected >= boot.start,
      digest64: this.#guard.digest64,
      stateMachine: this.#services,
      logSegments: touchedSegments(boot.pretouchBytes),
      reusesMemory: true,
      entries: (requests, bytes) => counters.entries.count(requests, bytes),
    });
    const { replica } = this;
    this.#counters = new ActorCounters(counters, replica.state, this.#services, this.#times);
    this.#news = new CommitNews(replica, this.#block, (other) => this.#peers.blockOf(other));
    this.#disk?.attach(replica);
    this.#clients = new ClientConnections(
      id,
      parts,
      (kind) => replica.takes(kind),
      (event) => this.#perform(replica.step(event)),
    );
    this.#onMessage = (message) => this.#take(message as ReplicaMessage);
    this.#onHint = (hint) => this.#perform(replica.step({ type: 'hint', hint }));
    for (const client of boot.clients) this.addClient(client.address, client.link);
    this.#tickedMs = performance.now();
    const damage = this.#disk?.damage ?? null;
    if (damage !== null) this.#perform([{ type: 'notice', notice: { kind: 'damaged', damage } }]);
    this.#perform(replica.step({ type: 'boot' }));
    this.#flush();
    this.#tellStatus();
    this.#counters.publish();
  }

  addClient(address: ClientAddress, link: ClientLinkMemory): void {
    this.#clients.add(address, link);
  }

  removeClient(address: ClientAddress): void {
    if (this.#clients.remove(address))
      this.#perform(this.replica.step({ type: 'detach', address }));
  }

  stepDown(): void {
    this.#perform(this.replica.step({ type: 'hint', hint: { kind: 'stepDown' } }));
    this.#flush();
  }

  /** Only with faults: a bit of the state turns, as rot or code that is not deterministic would have it. */
  diverge(): void {
    this.#services?.turnBit();
  }

  digest(): { applied: number; digest: string } {
    return { applied: this.replica.state.applied, digest: this.#services?.digest() ?? '' };
  }

  get paused(): boolean {
    return this.#block.paused;
  }

  /** SP2. @returns how much was done. */
  pass(): number {
    this.#block.countPass();
    this.#counters.passes++;
    if (this.#block.paused) return 0;
    const began = performance.now();
    let work = this.#peers.hints(this.#onHint);
    work += this.#peers.poll(POLL_LIMIT, this.#onMessage);
    // Between the two: what the others said counts before the time does (SP3), and what clients wait for counts from now, not from
    // when this thread was last awake.
    work += this.#tick();
    work += this.#clients.poll(POLL_LIMIT);
    work += this.#pollDisk();
    work += this.#peers.pump();
    work += this.#clients.pump();
    const nowUs = Math.floor((performance.timeOrigin + performance.now()) * 1000);
    const room = this.#peers.room();
    const drainedAt = this.#peers.drained ? began : null;
    this.#perform(this.replica.step({ type: 'endOfPass', nowUs, room, drainedAt }));
    this.#flush();
    if (this.replica.hasWork) {
      this.#execute();
      this.#flush();
      work++;
    }
    if (this.replica.checkpointing) {
      this.#advanceCheckpoint();
      this.#flush();
      work++;
    }
    this.#tellStatus();
    const ended = performance.now();
    this.#counters.passed(ended);
    this.#pauses.passed(ended - began);
    return work;
  }

  #pollDisk(): number {
    if (this.#disk === null) return 0;
    const events = this.#disk.poll();
    for (const event of events) this.#perform(this.replica.step(event));
    return events.length;
  }

  #advanceCheckpoint(): void {
    const { replica } = this;
    this.#pauses.checkpoint(() => {
      const until = performance.now() + CHECKPOINT_MS;
      do this.#perform(replica.step({ type: 'checkpoint', budget: CHECKPOINT_STEP }));
      while (replica.checkpointing && performance.now() < until);
    });
  }

  #execute(): void {
    const { replica } = this;
    const before = replica.state.applied;
    // Nobody is served during a view change, and everybody waits for its messages.
    const hurried = replica.state.status === 'view-change';
    const until = hurried ? 0 : performance.now() + EXECUTE_MS;
    for (let left = EXECUTE_PER_PASS; left > 0 && replica.hasWork; left -= EXECUTE_STEP) {
      this.#perform(replica.step({ type: 'execute', budget: EXECUTE_STEP, reads: READ_STEP }));
      if (performance.now() >= until) break;
    }
    this.#counters.entries += replica.state.applied - before;
  }

  /** What must be said before sleep (HB7). */
  beforePark(): number {
    this.#sleepMs = WAKE_MS;
    if (this.#block.paused) return 0;
    this.#counters.sleeps++;
    this.#counters.publish();
    this.#news.askFor();
    const patienceMs = this.#news.patienceMs(performance.now());
    this.#sleepMs = Math.min(this.replica.followsAtRest ? this.#restMs : WAKE_MS, patienceMs);
    if (patienceMs > 0) return 0;
    this.#perform(this.replica.step({ type: 'idle' }));
    this.#flush();
    this.#sleepMs = WAKE_MS;
    return 0;
  }

  get sleepMs(): number {
    return this.#sleepMs;
  }

  get rests(): boolean {
    return !this.replica.awaitsAcknowledgements;
  }

  get atEase(): boolean {
    return this.replica.state.status === 'normal' && !this.#block.paused;
  }

  /** False: there is nothing to do until somebody rings. */
  hasData(): boolean {
    if (this.#block.paused) return false;
    const { replica } = this;
    if (replica.hasWork || replica.lingering || replica.checkpointing) return true;
    if (this.#disk?.busy === true) return true;
    return this.#peers.ready || this.#clients.ready;
  }

  #take(message: ReplicaMessage): void {
    if (message.kind !== 'prepare' || this.#guard.intact(message))
      this.#perform(this.replica.step({ type: 'message', message }));
    this.#guard.forget();
  }

  /** SP3: the rings were drained first, and a long stall does not make everybody suspect at once. */
  #tick(): number {
    const now = performance.now();
    if (!this.#cluster.started) {
      this.#tickedMs = now;
      return 0;
    }
    const elapsed = Math.min(now - this.#tickedMs, TICKS_PER_PASS_MS);
    const count = Math.floor(elapsed / TICK_MS);
    if (count === 0) return 0;
    this.#tickedMs = elapsed === TICKS_PER_PASS_MS ? now : this.#tickedMs + count * TICK_MS;
    this.#perform(this.replica.step({ type: 'tick', count }));
    return 1;
  }

  #perform(effects: readonly Effect[]): void {
    for (const effect of effects) {
      switch (effect.type) {
        case 'writeRegister':
          this.#disk?.writeRegister(effect);
          this.#block.writeRegister(effect);
          break;
        case 'send':
          this.#peers.send(effect.to, effect.message);
          break;
        case 'reply':
          this.#clients.reply(effect.address, effect.message);
          if (effect.leased === true) this.#counters.readsOnLease++;
          break;
        case 'announce':
          this.#clients.announce(effect.message);
          break;
        case 'notice': {
          const { id, start, notices } = this.#boot;
          const { notice } = effect;
          if (notice.kind === 'fetched') {
            this.#counters.pagesFetched += notice.pages;
            this.#counters.bytesFetched += notice.bytes;
          }
          notices.postMessage({ id, start, notice });
          break;
        }
        default:
          if (this.#disk === null) throw new Error(`in memory, and asked to ${effect.type}`);
          this.#disk.perform(effect);
          break;
      }
    }
  }

  #flush(): void {
    this.#peers.flush();
    this.#clients.flush();
  }

  #tellStatus(): void {
    const { status } = this.replica.state;
    if (status === this.#toldStatus) return;
    this.#toldStatus = status;
    this.#block.status = STATUS_CODES.indexOf(status);
  }

  /** Also called by the owner's timer. */
  publishTraffic(): void {
    const framesDropped = this.#peers.dropped + this.#clients.dropped;
    const framesCorrupt = this.#guard.broken;
    this.#counters.publishTraffic(
      { framesDropped, framesCorrupt, ...this.#pauses.summary },
      (visit) => {
        this.#peers.forEach(visit);
        this.#clients.forEach(visit);
      },
    );
  }
}
