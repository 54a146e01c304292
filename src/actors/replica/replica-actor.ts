// A replica on its thread: polls rings, steps the core, performs its effects in their order. One pass is SP2: drain, tick, end
// of pass, publish; then execute a bounded number of entries, publish again. No rule of the protocol stands here.

import { readFileSync, readlinkSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { touchedSegments } from '../../protocol/arena.js';
import { roleOf } from '../../protocol/configuration.js';
import type { Effect } from '../../protocol/effect.js';
import { TICK_MS } from '../../protocol/limits.js';
import { head } from '../../protocol/log.js';
import type { ClientMessage, Message, ReplicaMessage } from '../../protocol/message.js';
import { Replica } from '../../protocol/replica.js';
import type { ClientAddress, Digest64, ReplicaId } from '../../protocol/types.js';
import { InLink, OutLink, type PollLimit } from '../../transport/link.js';
import {
  type ClientLinkMemory,
  ClusterBlock,
  ReplicaBlock,
  ReplicaCounters,
} from '../../transport/mesh.js';
import { RingReader } from '../../transport/ring.js';
import { type ReplicaBoot, STATUS_CODES } from '../boot.js';
import { random32 } from '../random.js';
import { ClientConnections } from './client-connections.js';
import { EntryGuard } from './entry-guard.js';
import { Pauses, TimedServices } from './pauses.js';
import { ReplicaDisk } from './replica-disk.js';
import { type ActorParts, PLAIN_PARTS } from './stop-points.js';

/** Taken from one ring per pass: bounds a pass, so that the phases of different entries overlap. */
const POLL_LIMIT: PollLimit = { frames: 64, bytes: 256 << 10 };
/** Entries executed per pass (SP2), and the time for it: entries may be large, and the code of a young thread is slow. */
const EXECUTE_PER_PASS = 16;
const EXECUTE_MS = 2;
/** Entries between two looks at the clock. */
const EXECUTE_STEP = 2;
/** Elapsed time that may become ticks in one pass (SP3). */
const TICKS_PER_PASS_MS = 100;
/** Pages hashed between two looks at the clock, and the time for it in one pass (CP1). */
const CHECKPOINT_STEP = 8;
const CHECKPOINT_MS = 0.5;
/** Passes between two looks at the thread's CPU time. */
const CPU_EVERY_PASSES = 256;

interface PeerConnection {
  readonly id: ReplicaId;
  readonly in: InLink;
  readonly out: OutLink;
  readonly block: ReplicaBlock;
  /** Highest exit and start of its thread that the core was told. */
  exited: number;
  suspected: number;
  start: number;
}

export class ReplicaActor {
  readonly replica: Replica;
  readonly #boot: ReplicaBoot;
  readonly #parts: ActorParts;
  readonly #guard: EntryGuard;
  readonly #block: ReplicaBlock;
  readonly #cluster: ClusterBlock;
  readonly #counters: ReplicaCounters;
  readonly #services: TimedServices | null;
  readonly #disk: ReplicaDisk | null;
  readonly #peers: PeerConnection[];
  readonly #clients: ClientConnections;
  readonly #room: number[];
  readonly #onMessage: (message: Message) => void;
  readonly #onClientMessage: (address: ClientAddress, message: ClientMessage) => void;
  #tickedMs: number;
  #entries = 0;
  #passes = 0;
  #sleeps = 0;
  #readsOnLease = 0;
  #fetched = { pages: 0, bytes: 0 };
  readonly #pauses = new Pauses();
  #cpuFile: string | null;

  constructor(boot: ReplicaBoot, digest64: Digest64, parts: ActorParts = PLAIN_PARTS) {
    const { id, configuration, mesh } = boot;
    this.#boot = boot;
    this.#parts = parts;
    this.#guard = new EntryGuard(digest64);
    this.#block = parts.block(mesh, id);
    this.#cluster = new ClusterBlock(mesh);
    this.#counters = new ReplicaCounters(mesh, id);
    const active = roleOf(configuration, id) === 'active';
    const { storeBytes } = configuration;
    this.#services = active ? new TimedServices({ storeBytes }, this.#pauses) : null;
    this.#peers = configuration.members
      .filter((member) => member.id !== id)
      .map((member) => this.#connectPeer(member.id));
    this.#room = configuration.members.map(() => 0);
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
      reusesLogMemory: true,
      entries: (requests, bytes) => this.#counters.entries.count(requests, bytes),
    });
    const { replica } = this;
    this.#disk?.attach(replica);
    this.#clients = new ClientConnections(id, parts, (kind) => replica.takes(kind));
    this.#onMessage = (message) => this.#take(message as ReplicaMessage);
    this.#onClientMessage = (address, message) =>
      this.#perform(replica.step({ type: 'client', address, message }));
    for (const client of boot.clients) this.addClient(client.address, client.link);
    this.#tickedMs = performance.now();
    this.#cpuFile = threadStatFile();
    const damage = this.#disk?.damage ?? null;
    if (damage !== null) this.#perform([{ type: 'notice', notice: { kind: 'damaged', damage } }]);
    this.#perform(replica.step({ type: 'boot' }));
    this.#flush();
    this.#publishStatus();
  }

  #connectPeer(id: ReplicaId): PeerConnection {
    const { mesh } = this.#boot;
    const inbound = mesh.rings[id]?.[this.#boot.id];
    const outbound = mesh.rings[this.#boot.id]?.[id];
    if (!inbound || !outbound) throw new Error(`no rings between ${this.#boot.id} and ${id}`);
    const block = new ReplicaBlock(mesh, id);
    return {
      id,
      in: new InLink(new RingReader(inbound)),
      out: new OutLink(this.#parts.writer(outbound), block.doorbell),
      block,
      exited: block.exited,
      suspected: block.suspected,
      start: block.start,
    };
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
    this.#passes++;
    if (this.#block.paused) return 0;
    const began = performance.now();
    let work = this.#hints();
    for (const peer of this.#peers) work += peer.in.poll(POLL_LIMIT, null, this.#onMessage);
    work += this.#clients.poll(POLL_LIMIT, this.#onClientMessage);
    work += this.#tick();
    work += this.#pollDisk();
    work += this.#pump();
    for (const peer of this.#peers) this.#room[peer.id] = peer.out.room();
    const nowUs = Math.floor((performance.timeOrigin + performance.now()) * 1000);
    this.#perform(this.replica.step({ type: 'endOfPass', nowUs, room: this.#room }));
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
    this.#publishStatus();
    this.#pauses.passed(performance.now() - began);
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
      this.#perform(replica.step({ type: 'execute', budget: EXECUTE_STEP }));
      if (performance.now() >= until) break;
    }
    this.#entries += replica.state.applied - before;
  }

  /** What must be said before sleep (HB7). */
  beforePark(): number {
    if (this.#block.paused) return 0;
    this.#sleeps++;
    this.#perform(this.replica.step({ type: 'idle' }));
    this.#flush();
    return 0;
  }

  /** False: there is nothing to do until somebody rings. */
  hasData(): boolean {
    if (this.#block.paused) return false;
    const { replica } = this;
    if (replica.hasWork || replica.lingering || replica.checkpointing) return true;
    if (this.#disk?.busy === true) return true;
    for (const peer of this.#peers)
      if (
        peer.in.hasData() ||
        peer.block.exited > peer.exited ||
        (peer.block.suspected > peer.suspected && peer.block.suspected >= peer.block.start) ||
        peer.block.start > peer.start
      )
        return true;
    return this.#clients.ready;
  }

  /** True while something written waits for room in a ring: nobody rings when there is some. */
  get waitsForRoom(): boolean {
    return this.#peers.some((peer) => peer.out.busy) || this.#clients.waitsForRoom;
  }

  #take(message: ReplicaMessage): void {
    if (message.kind !== 'prepare' || this.#guard.intact(message))
      this.#perform(this.replica.step({ type: 'message', message }));
    this.#guard.forget();
  }

  /** HH1, HH4: what the supervisor knows for certain about the other threads. */
  #hints(): number {
    let told = 0;
    for (const peer of this.#peers) {
      const { exited, start, suspected } = peer.block;
      // Of an earlier start than the running one it says nothing any more.
      if (suspected > peer.suspected && suspected >= start) {
        peer.suspected = suspected;
        const hint = { kind: 'suspect', id: peer.id, start: suspected, revoked: true } as const;
        this.#perform(this.replica.step({ type: 'hint', hint }));
        told++;
      }
      if (exited > peer.exited) {
        peer.exited = exited;
        const hint = { kind: 'exited', id: peer.id, start: exited } as const;
        this.#perform(this.replica.step({ type: 'hint', hint }));
        told++;
      }
      if (start > peer.start) {
        peer.start = start;
        const hint = { kind: 'started', id: peer.id, start } as const;
        this.#perform(this.replica.step({ type: 'hint', hint }));
        told++;
      }
    }
    return told;
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

  /** Long messages and waiting replies go on where there is room. */
  #pump(): number {
    let moved = 0;
    for (const peer of this.#peers) if (peer.out.busy && peer.out.pump()) moved++;
    moved += this.#clients.pump();
    return moved;
  }

  #perform(effects: readonly Effect[]): void {
    for (const effect of effects) {
      switch (effect.type) {
        case 'writeRegister':
          this.#disk?.writeRegister(effect);
          this.#block.writeRegister(effect);
          break;
        case 'send':
          this.#peers.find((peer) => peer.id === effect.to)?.out.send(effect.message);
          break;
        case 'reply':
          this.#clients.reply(effect.address, effect.message);
          if (effect.leased === true) this.#readsOnLease++;
          break;
        case 'announce':
          this.#clients.announce(effect.message);
          break;
        case 'notice': {
          const { id, start, notices } = this.#boot;
          const { notice } = effect;
          if (notice.kind === 'fetched') {
            this.#fetched.pages += notice.pages;
            this.#fetched.bytes += notice.bytes;
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
    for (const peer of this.#peers) peer.out.flush();
    this.#clients.flush();
  }

  #publishStatus(): void {
    const { state } = this.replica;
    this.#block.status = STATUS_CODES.indexOf(state.status);
    const counters = this.#counters;
    counters.set('passes', this.#passes);
    counters.set('entriesExecuted', this.#entries);
    counters.set('requestsExecuted', this.#services?.requests ?? 0);
    counters.set('readsExecuted', this.#services?.reads ?? 0);
    counters.set('readsOnLease', this.#readsOnLease);
    counters.set('opNumber', head(state.log));
    counters.set('commitNumber', state.commit);
    counters.set('appliedNumber', state.applied);
    counters.set('view', state.view);
    counters.set('logBytes', state.log.bytes);
    counters.set('storeBytes', this.#services?.usedBytes ?? 0);
    counters.set('sleeps', this.#sleeps);
    counters.set('logStart', state.log.start);
    counters.set('checkpointOp', state.checkpoints[state.checkpoints.length - 1]?.op ?? 0);
    if (this.#passes % CPU_EVERY_PASSES === 0) this.publishTraffic();
  }

  /** The slower half of the counters; also called by the owner's timer. */
  publishTraffic(): void {
    const totals = {
      framesIn: 0,
      framesOut: 0,
      bytesIn: 0,
      bytesOut: 0,
      framesDropped: this.#clients.dropped,
      framesCorrupt: this.#guard.broken,
      pagesFetched: this.#fetched.pages,
      bytesFetched: this.#fetched.bytes,
      ...this.#pauses.summary,
    };
    const add = (inbound: InLink, outbound: OutLink): void => {
      totals.framesIn += inbound.framesIn;
      totals.bytesIn += inbound.bytesIn;
      totals.framesOut += outbound.framesOut;
      totals.bytesOut += outbound.bytesOut;
      totals.framesDropped += outbound.dropped + inbound.bad;
      totals.framesCorrupt += inbound.corrupt;
    };
    for (const peer of this.#peers) add(peer.in, peer.out);
    this.#clients.forEach(add);
    for (const [name, value] of Object.entries(totals))
      this.#counters.set(name as keyof typeof totals, value);
    if (this.#cpuFile !== null) this.#counters.set('cpuNs', readCpuNs(this.#cpuFile));
  }
}

/** Where Linux counts this thread's CPU time; null elsewhere. */
function threadStatFile(): string | null {
  try {
    const thread = readlinkSync('/proc/thread-self');
    return `/proc/${thread}/schedstat`;
  } catch {
    return null;
  }
}

function readCpuNs(file: string): number {
  try {
    return Number(readFileSync(file, 'latin1').split(' ')[0]);
  } catch {
    return 0;
  }
}
