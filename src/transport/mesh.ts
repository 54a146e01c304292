// The shared memory of a cluster: which rings exist, which words, who owns what. Everything is allocated here and handed to
// threads as one record that can be cloned; untouched pages cost no resident memory.

import { violated } from '../protocol/assert.js';
import type { ClientId, ReplicaId, Stamp, StartNumber } from '../protocol/types.js';
import { Doorbell } from './doorbell.js';
import { ENTRY_COUNTERS_BYTES, EntryCounters } from './entry-counters.js';
import {
  CLIENT_BLOCK_BYTES,
  CLIENT_WORDS,
  CLUSTER_ENDS,
  CLUSTER_WORDS,
  type ClusterEnd,
  METRICS,
  METRICS_BYTES,
  type Metric,
  REPLICA_BLOCK_BYTES,
  REPLICA_WORDS,
} from './layout.js';
import { ringMemoryBytes } from './ring.js';

export interface MeshMemory {
  readonly replicas: number;
  readonly ringBytes: number;
  /** rings[from][to], null on the diagonal. */
  readonly rings: readonly (readonly (SharedArrayBuffer | null)[])[];
  /** One block per replica, REPLICA_WORDS in each. */
  readonly blocks: SharedArrayBuffer;
  /** METRICS of each replica. */
  readonly metrics: SharedArrayBuffer;
  /** EntryCounters of each replica. */
  readonly entries: SharedArrayBuffer;
  /** CLUSTER_WORDS: what everybody has to know at once. */
  readonly cluster: SharedArrayBuffer;
}

/** What one client shares with all replicas. */
export interface ClientLinkMemory {
  /** Client to replica, by replica id. */
  readonly requests: readonly SharedArrayBuffer[];
  /** Replica to client, by replica id. */
  readonly replies: readonly SharedArrayBuffer[];
  /** CLIENT_WORDS: the client's doorbell, and its present id for whoever has to end its session. */
  readonly words: SharedArrayBuffer;
}

function allocateRing(capacity: number): SharedArrayBuffer {
  return new SharedArrayBuffer(ringMemoryBytes(capacity));
}

export function allocateMesh(options: { replicas: number; ringBytes: number }): MeshMemory {
  const { replicas, ringBytes } = options;
  const ids = Array.from({ length: replicas }, (_, id) => id);
  return {
    replicas,
    ringBytes,
    rings: ids.map((from) => ids.map((to) => (from === to ? null : allocateRing(ringBytes)))),
    blocks: new SharedArrayBuffer(replicas * REPLICA_BLOCK_BYTES),
    metrics: new SharedArrayBuffer(replicas * METRICS_BYTES),
    entries: new SharedArrayBuffer(replicas * ENTRY_COUNTERS_BYTES),
    cluster: new SharedArrayBuffer(8),
  };
}

export function allocateClientLink(options: {
  replicas: number;
  ringBytes: number;
}): ClientLinkMemory {
  const ids = Array.from({ length: options.replicas });
  return {
    requests: ids.map(() => allocateRing(options.ringBytes)),
    replies: ids.map(() => allocateRing(options.ringBytes)),
    words: new SharedArrayBuffer(CLIENT_BLOCK_BYTES),
  };
}

export function clientDoorbell(link: ClientLinkMemory): Doorbell {
  return new Doorbell(new Int32Array(link.words), CLIENT_WORDS.doorbell);
}

/** The id that the client registered last: its session outlives its thread, and must be ended by somebody (CS8). */
export function readClientId(link: ClientLinkMemory): ClientId {
  const words = new Uint32Array(link.words, CLIENT_WORDS.clientId * 4, 4);
  return [words[0] ?? 0, words[1] ?? 0, words[2] ?? 0, words[3] ?? 0];
}

export function writeClientId(link: ClientLinkMemory, clientId: ClientId): void {
  new Uint32Array(link.words, CLIENT_WORDS.clientId * 4, 4).set(clientId);
}

/** The words of the whole cluster. */
export class ClusterBlock {
  readonly #words: Int32Array;

  constructor(memory: MeshMemory) {
    this.#words = new Int32Array(memory.cluster);
  }

  /** H9: the replicas' timers begin when this is set. */
  get started(): boolean {
    return Atomics.load(this.#words, CLUSTER_WORDS.started) === 1;
  }

  start(): void {
    Atomics.store(this.#words, CLUSTER_WORDS.started, 1);
  }

  get end(): ClusterEnd {
    return CLUSTER_ENDS[Atomics.load(this.#words, CLUSTER_WORDS.end)] ?? 'running';
  }

  /** Only the supervisor; ring every client's doorbell afterwards. */
  set end(end: ClusterEnd) {
    Atomics.store(this.#words, CLUSTER_WORDS.end, CLUSTER_ENDS.indexOf(end));
  }
}

/** The words of one replica, as the replica, its peers and the supervisor see them. */
export class ReplicaBlock {
  readonly doorbell: Doorbell;
  readonly #words: Int32Array;
  readonly #register: BigInt64Array;

  constructor(memory: MeshMemory, id: ReplicaId) {
    const at = id * REPLICA_BLOCK_BYTES;
    this.#words = new Int32Array(memory.blocks, at, REPLICA_BLOCK_BYTES / 4);
    this.#register = new BigInt64Array(memory.blocks, at + REPLICA_WORDS.register * 4, 1);
    this.doorbell = new Doorbell(this.#words, REPLICA_WORDS.doorbell);
  }

  /** R0: the highest stamp ever revealed, or null when this id never promised anything. */
  readRegister(): Stamp | null {
    const value = Atomics.load(this.#register, 0);
    if (value === 0n) return null;
    const stamp = value - 1n;
    return { epoch: Number(stamp >> 32n), view: Number(stamp & 0xffffffffn) };
  }

  /** One atomic store, before anything that carries `stamp` is published; it only grows (H2). */
  writeRegister(stamp: Stamp): void {
    const value = 1n + (BigInt(stamp.epoch) << 32n) + BigInt(stamp.view);
    const before = Atomics.load(this.#register, 0);
    if (!(value >= before)) violated(`the register would fall from ${before} to ${value}`);
    Atomics.store(this.#register, 0, value);
  }

  get start(): StartNumber {
    return Atomics.load(this.#words, REPLICA_WORDS.start);
  }

  /** H1: only the supervisor, before it creates the thread. */
  set start(start: StartNumber) {
    if (!(start > this.start)) violated(`start ${start} after ${this.start}`);
    Atomics.store(this.#words, REPLICA_WORDS.start, start);
  }

  /** Highest start that has ended for certain. */
  get exited(): StartNumber {
    return Atomics.load(this.#words, REPLICA_WORDS.exited);
  }

  /** H7: only the supervisor, from the thread's exit event. */
  set exited(start: StartNumber) {
    Atomics.store(this.#words, REPLICA_WORDS.exited, start);
  }

  /** Highest start that the supervisor believes to be ending. */
  get suspected(): StartNumber {
    return Atomics.load(this.#words, REPLICA_WORDS.suspected);
  }

  /** H7: a `suspect` hint, given before the exit is certain; it can only cost time. */
  set suspected(start: StartNumber) {
    Atomics.store(this.#words, REPLICA_WORDS.suspected, start);
  }

  /** Turns of the event loop asked for so far, wrapping. */
  get turns(): number {
    return Atomics.load(this.#words, REPLICA_WORDS.turns);
  }

  /** A message was posted to the thread: it must look at its event loop. */
  askForTurn(): void {
    Atomics.add(this.#words, REPLICA_WORDS.turns, 1);
    this.doorbell.wake();
  }

  get paused(): boolean {
    return Atomics.load(this.#words, REPLICA_WORDS.paused) === 1;
  }

  set paused(paused: boolean) {
    Atomics.store(this.#words, REPLICA_WORDS.paused, paused ? 1 : 0);
  }

  /** A reader at a backup waits for what this replica, the primary, knows to be committed. */
  get newsWanted(): boolean {
    return Atomics.load(this.#words, REPLICA_WORDS.newsWanted) === 1;
  }

  set newsWanted(wanted: boolean) {
    Atomics.store(this.#words, REPLICA_WORDS.newsWanted, wanted ? 1 : 0);
  }

  countPass(): void {
    Atomics.add(this.#words, REPLICA_WORDS.passes, 1);
  }

  get passes(): number {
    return Atomics.load(this.#words, REPLICA_WORDS.passes);
  }

  /** Index into the statuses of ReplicaState, as the caller defines it. */
  get status(): number {
    return Atomics.load(this.#words, REPLICA_WORDS.status);
  }

  set status(code: number) {
    Atomics.store(this.#words, REPLICA_WORDS.status, code);
  }
}

/** Where each counter stands: who writes many of them names the places, and looks nothing up. */
export const PLACES: Readonly<Record<Metric, number>> = Object.fromEntries(
  METRICS.map((metric, place) => [metric, place]),
) as Record<Metric, number>;

/** Counters of one replica: plain stores by its thread, so a reader may see a pass half counted. */
export class ReplicaCounters {
  readonly entries: EntryCounters;
  readonly #values: Float64Array;

  constructor(memory: MeshMemory, id: ReplicaId) {
    this.#values = new Float64Array(memory.metrics, id * METRICS_BYTES, METRICS.length);
    this.entries = new EntryCounters(memory.entries, id * ENTRY_COUNTERS_BYTES);
  }

  get(metric: Metric): number {
    return this.#values[PLACES[metric]] ?? 0;
  }

  /** `place`: one of {@link PLACES}. */
  put(place: number, value: number): void {
    this.#values[place] = value;
  }
}
