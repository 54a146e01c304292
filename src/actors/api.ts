// The types that users touch. Shapes follow Map, ioredis and lmdb where those have a word for the thing.

import type { MessagePort } from 'node:worker_threads';
import type { EntrySizes } from '../transport/entry-counters.js';

export type { EntrySizes };

// ── Opening ──

/**
 * What a read promises (docs/protocol.md, RD0 to RD9).
 *
 * - 'linearizable': the latest committed state, from the primary.
 * - 'session': of any replica that has executed all that this client has done and seen: its own writes, and never backwards.
 * - `{ maxStaleMs }`: of any replica that has executed all that was committed so long before you asked, in milliseconds.
 * - 'local': of any replica that is part of the group, however late it is.
 *
 * A replica that cannot say so much of itself leaves the answer to the primary.
 */
export type Consistency = 'linearizable' | 'session' | 'local' | { maxStaleMs: number };

export interface CallDefaults {
  /** Deadline over all retries, ms; it settles the promise, a request already sent stays open. @default 5_000 */
  timeoutMs?: number;
  /** Of reads. @default 'linearizable' */
  consistency?: Consistency;
}

export interface CallOptions {
  signal?: AbortSignal;
  timeoutMs?: number;
}

export interface ReadOptions extends CallOptions {
  /** @default that of the client */
  consistency?: Consistency;
}

export interface OpenOptions extends CallDefaults {
  /** Label in metrics and thread names. @default 'default' */
  name?: string;
  /** Group size, an integer from 1 to 9; 2f+1 is the useful shape, 1 and 2 tolerate no failure. @default 3 */
  replicas?: number;
  /** How many of `replicas` keep only the log, 0 to f. @default 0 */
  witnesses?: number;
  /** 'memory' survives f replica failures, not the process; with a directory the process as well. @default 'memory' */
  durability?: 'memory' | DiskOptions;
  batch?: BatchOptions;
  timing?: TimingOptions;
  limits?: LimitOptions;
  /** Entries between checkpoints, 4 to 1_000_000: at each the replicas compare their states, and old log is dropped. @default 1024 */
  checkpointEvery?: number;
  /** Restart a dead replica thread and let it recover. @default true */
  autoRestart?: boolean;
  /** Keep the process alive while open; false: only while calls are pending. @default true */
  ref?: boolean;
  /** Aborts the opening; every thread started so far is ended. */
  signal?: AbortSignal;
}

/** `timeoutMs` is that of later calls; joining has its own. */
export interface ClientOptions extends CallDefaults {
  /** In `status().clients`. @default what `share` called it */
  name?: string;
  /** How long joining may take, ms. Too late, or aborted, the client is no member, and its link is used up. @default 30_000 */
  joinTimeoutMs?: number;
  /** Keep the thread alive while joined; false: only while calls are pending. @default true */
  ref?: boolean;
  /** Aborts the joining. */
  signal?: AbortSignal;
}

export interface DiskOptions {
  /** Made where there is none; one process at a time. What it was made with - `replicas`, `witnesses`, `storeBytes` - stays. */
  dir: string | URL;
  /**
   * 'batch': flushed before anything is acknowledged. 'interval': flushed every `intervalMs`, a killed machine may lose that much.
   * 'none': never flushed by us; the death of the process loses nothing that it had written, that of the machine may lose everything.
   * @default 'batch'
   */
  fsync?: 'batch' | 'interval' | 'none';
  /** From 1 to 10_000. @default 50 */
  intervalMs?: number;
}

/** How operations are gathered into requests, and requests into entries. */
export interface BatchOptions {
  /** Operations per request and requests per entry, 1 to 4096; 'auto': as many as wait. @default 'auto' */
  maxOps?: number | 'auto';
  /** Aim for the bytes of an entry, 1 KiB to 2 MiB. @default 64 KiB */
  maxBytes?: number;
  /** Extra wait for company while nothing is in flight, 0 to 100_000. @default 0 */
  lingerMicros?: number;
  /** Entries in flight before the primary holds back, 1 to 1024. @default 32 */
  window?: number;
}

export interface TimingOptions {
  /** @default 50 */
  heartbeatMs?: number;
  /** Silence T before a view change: the failure timer is drawn from T to 1.6 T; at least 8 heartbeats. @default 500 */
  viewTimeoutMs?: number;
  /**
   * For how long the primary may answer reads by itself after the others have answered its heartbeat; 0: every read asks them. At most
   * `viewTimeoutMs`. @default 300, or 0.6 of a shorter `viewTimeoutMs`
   */
  leaseMs?: number;
  /** A replica that makes no pass for so long is ended and replaced. @default 2000 */
  hangMs?: number;
}

export interface LimitOptions {
  /** @default 1024 */
  keyBytes?: number;
  /** @default 1 MiB */
  valueBytes?: number;
  /** Calls of one client sent and not yet answered; the next ones wait. @default 16_384 */
  callsInFlight?: number;
  /** Calls of one client waiting to be sent; beyond them VR_OVERLOADED, until some have gone. @default 65_536 */
  callsWaiting?: number;
  /** @default 64 */
  clients?: number;
  /** State per replica; beyond it mutating operations give VR_STORE_FULL, deletes always work. @default 1 GiB */
  storeBytes?: number;
  /**
   * Log per replica; at 80 % an event, at the limit writes get VR_OVERLOADED until checkpoints have freed some. The request that reaches it is
   * still taken: up to 2 MiB more.
   * @default 1 GiB
   */
  logBytes?: number;
  /**
   * Bytes of entries after which there is a checkpoint, however few they are, up to `logBytes`.
   * @default four times the state, at least 28 MiB and at most a quarter of `logBytes`
   */
  checkpointBytes?: number;
  /**
   * Log per replica that is made resident before the store opens, up to 1 GiB: fresh memory costs more to touch for the
   * first time than to write. A restarted replica goes without. @default 0
   */
  logPretouchBytes?: number;
  /** Heap cap per replica thread. @default 256 */
  replicaHeapMiB?: number;
  /** Per direction and link, a power of two from 64 KiB; untouched pages cost no resident memory. @default 1 MiB */
  ringBytes?: number;
}

declare const linkBrand: unique symbol;
/** Put `data` into workerData (or post it) together with `transfer`; usable once. */
export interface ClusterLink {
  readonly [linkBrand]: 1;
}

export interface CloseOptions {
  /** How long open calls may take to finish. @default 5_000 */
  drainMs?: number;
}

/** What a client can do; a cluster is a client plus the means to run it. */
export interface Client extends AsyncDisposable {
  readonly id: string;
  readonly kv: Kv;
  readonly echo: Echo;
  /** Same client, other defaults; shares ring and session. */
  with(defaults: CallDefaults): Client;
  status(options?: CallOptions): Promise<ClusterStatus>;
  /** Waits for open calls, ends the session, frees the rings. */
  close(options?: CloseOptions): Promise<void>;
}

export interface Cluster extends Client, TypedEventTarget<ClusterEvents> {
  readonly name: string;
  /** A link for one more thread. */
  share(options?: { name?: string }): { data: ClusterLink; transfer: [MessagePort] };
  readonly admin: Admin;
  metrics(): MetricsSnapshot;
}

// ── Key-value store ──

export type Key = string | Uint8Array;
/** The store's own counter: +1 per changing operation, an atomic batch counts once. */
export type Revision = number;
export interface Item<V> {
  key: string;
  value: V;
  revision: Revision;
  createdRevision: Revision;
}
export interface Codec<T> {
  name: string;
  encode(value: T): Uint8Array;
  decode(bytes: Uint8Array): T;
}
/**
 * - 'msgpack': null, booleans, numbers, BigInts of 64 bits, strings, Date, Uint8Array (comes back as a Buffer), and arrays and plain objects of
 *   these. They come back as they went in, -0 and BigInts too; anything else is refused with VR_CODEC: instances of classes, functions, symbols,
 *   keys that are symbols, arrays with holes or with fields. Of an object, what `Object.keys` names is stored.
 * - 'json': what `JSON.stringify` makes of the value, with what that leaves out.
 * - 'utf8': strings.
 * - 'bytes': a value comes back as a Uint8Array that may view a larger buffer, as small Buffers of Node do.
 */
export type Encoding<V> =
  | 'msgpack'
  | 'json'
  | (V extends string ? 'utf8' : string extends V ? 'utf8' : never)
  | (Uint8Array extends V ? 'bytes' : never)
  | Codec<V>;
export type Condition = { ifAbsent: true } | { ifPresent: true } | { ifRevision: Revision };
export type CasResult =
  | { ok: true; revision: Revision }
  /** The stored revision; undefined: absent. Its value is a read away. */
  | { ok: false; revision: Revision | undefined };
/** In the order of the keys; `oneSnapshot` (not enumerable) is false when several reads made up the answer. */
export type Many<V> = (V | undefined)[] & { readonly oneSnapshot: boolean };

export interface Kv<V = unknown> {
  /** @returns undefined when the key is absent. */
  get(key: Key, options?: ReadOptions): Promise<V | undefined>;
  getItem(key: Key, options?: ReadOptions): Promise<Item<V> | undefined>;
  getMany(keys: readonly Key[], options?: ReadOptions): Promise<Many<V>>;
  has(key: Key, options?: ReadOptions): Promise<boolean>;
  /** With a condition: resolves undefined when it did not hold. */
  set(key: Key, value: V, options: CallOptions & Condition): Promise<Revision | undefined>;
  set(key: Key, value: V, options?: CallOptions): Promise<Revision>;
  /** @returns whether something was deleted. */
  delete(key: Key, options?: CallOptions & Partial<Condition>): Promise<boolean>;
  /** Swap when the stored value equals `expected` by its encoded bytes; undefined = absent. */
  cas(key: Key, expected: V | undefined, next: V, options?: CallOptions): Promise<CasResult>;
  /**
   * Read, compute, swap if unchanged, again on contention. Returning undefined deletes. `timeoutMs` is for all of it: when it is over before a
   * write was sent, nothing was changed (outcome 'not-executed').
   *
   * @returns the revision of the change, that of the deletion too; 0 when the key was absent and stays so.
   */
  update(
    key: Key,
    change: (current: V | undefined) => V | undefined,
    options?: CallOptions & { attempts?: number },
  ): Promise<Revision>;
  /**
   * Adds to a stored integer within +-(2^53-1), of msgpack; a missing key counts as 0, and the sum is a number, also that of a BigInt. VR_WRONG_TYPE, VR_OUT_OF_RANGE; VR_CONFIG in a
   * namespace whose encoding has other integers.
   */
  incr(key: Key, by?: number, options?: CallOptions): Promise<number>;
  /** Atomic, one revision. */
  batch(operations: readonly BatchOp<V>[], options?: CallOptions): Promise<Revision>;
  /** The fast path for many operations, not atomic. */
  pipeline(): Pipeline<V>;
  /** The same store under a key prefix and another encoding. */
  namespace(prefix: string, options: { encoding: 'bytes' }): Kv<Uint8Array>;
  namespace(prefix: string, options: { encoding: 'utf8' }): Kv<string>;
  namespace<V2 = V>(prefix: string, options?: { encoding?: Encoding<V2> }): Kv<V2>;
}

export type BatchOp<V> =
  | { type: 'set'; key: Key; value: V }
  | { type: 'delete'; key: Key }
  | { type: 'incr'; key: Key; by?: number };

/**
 * Writes straight into request bytes: no object and no promise per operation. Its writes take effect in their order; its gets are answered
 * after all writes that stand before them, and may see those behind them too. Where that matters, submit in between.
 */
export interface Pipeline<V = unknown> {
  /** Operations added since the last submit. */
  readonly size: number;
  set(key: Key, value: V): this;
  get(key: Key): this;
  delete(key: Key): this;
  incr(key: Key, by?: number): this;
  /** Sends everything added so far; the pipeline is empty afterwards and may be used again. */
  submit(options?: ReadOptions): Promise<PipelineResult<V>>;
}

/**
 * Reads the replies in place, cheapest in order; `i` counts the operations in the order in which they were added. Whoever reads many
 * results gives their memory back with `using` or `release`; without it the garbage collector does, which costs more than the reading.
 *
 * @example
 * using results = await kv.pipeline().get('a').get('b').submit();
 */
export interface PipelineResult<V = unknown> extends Disposable {
  readonly count: number;
  /** False: an incr of a wrong type or range, or a store that is full. A get of an absent key is ok. */
  ok(i: number): boolean;
  /** The value got (undefined: absent), or the number after incr. */
  value(i: number): V | number | undefined;
  /**
   * Copies the stored bytes of a get into `target` and makes no object: for loops over very many results. The bytes are
   * the value's in its encoding. @returns their number, -1 when the key is absent. @throws {VrError} VR_CONFIG when they do not fit
   */
  copyValue(i: number, target: Uint8Array, offset?: number): number;
  /** Of a set or incr that was ok. */
  revision(i: number): Revision | undefined;
  /** What `ok(i) === false` means. */
  error(i: number): Error | undefined;
  /**
   * The memory may be used for other results: from now on everything but `count` throws VrError VR_CONFIG. Values that were read
   * stay as they are; those that a `Codec` decoded may view the memory, which is left to the garbage collector then. Again: nothing happens.
   */
  release(): void;
}

export interface Echo {
  /** A value through one full replication round and back. */
  echo<T>(value: T, options?: CallOptions): Promise<T>;
  /** One replication round without service work. @returns milliseconds. */
  ping(options?: CallOptions): Promise<number>;
}

// ── Administration, events, metrics ──

export interface ViewInfo {
  epoch: number;
  view: number;
  primary: number;
}

/** Each call waits up to `timeoutMs`, by default 30_000; VR_TIMEOUT and VR_ABORTED of one that was sent end the waiting only: outcome 'unknown'. */
export interface Admin {
  /** The primary abdicates; resolves when another view serves. */
  stepDown(options?: CallOptions): Promise<ViewInfo>;
  /** Ends the replica's thread as a crash would; the supervisor starts a successor if autoRestart. */
  kill(replica: number, options?: CallOptions): Promise<void>;
  /** The thread stops making passes until `resume` or its end; the watchdog leaves it alone. */
  pause(replica: number, options?: CallOptions): Promise<void>;
  resume(replica: number, options?: CallOptions): Promise<void>;
  /** Ends the thread if it runs, starts a successor, resolves when that one is normal. */
  restart(replica: number, options?: CallOptions): Promise<void>;
}

export type ReplicaState = 'normal' | 'view-change' | 'recovering' | 'down';

export interface ReplicaStatus {
  id: number;
  role: 'primary' | 'backup' | 'witness';
  state: ReplicaState;
  /** By `admin.pause`: its thread stands still, and `state` is what it was when it did. */
  paused: boolean;
  view: number;
  /** Start counter of its thread. */
  start: number;
  opNumber: number;
  commitNumber: number;
  appliedNumber: number;
  logBytes: number;
  storeBytes: number;
  /** Of the service state; equal on executing replicas with equal appliedNumber. Empty for a witness. */
  digest: string;
}

export interface ClusterStatus extends ViewInfo {
  /**
   * A primary serves, and a quorum of replicas is normal; whoever is paused counts for neither. A thread that hangs counts until it is found out,
   * after `timing.hangMs`.
   */
  healthy: boolean;
  quorum: number;
  replicas: ReplicaStatus[];
  /** Names of the clients, in the order in which they came; the one that opened the cluster is 'opener'. */
  clients: string[];
}

export interface ClusterEvents {
  viewchange: ViewInfo & {
    reason: 'timeout' | 'crash' | 'step-down' | 'higher-view';
    tookMs: number;
  };
  replicastate: { replica: number; from: ReplicaState; to: ReplicaState };
  replicacrash: { replica: number; error: unknown; restarting: boolean };
  quorumlost: { reachable: number; needed: number; permanent: boolean };
  quorumrestored: object;
  /** The log of the primary passed 80 % of `logBytes`, or reached it. */
  logpressure: { replica: number; usedBytes: number; limitBytes: number; full: boolean };
  /** A checkpoint differs from that of the others (non-deterministic code, or damaged memory): the replica stays down. */
  divergence: { replica: number; message: string };
  /** What a replica found on its disk was not whole: it was given up, and the replica recovers from the others. */
  storedamaged: { replica: number; message: string };
  /** A replica has caught up by another one's checkpoint: `pages` of its `of`. */
  statetransfer: { replica: number; op: number; pages: number; bytes: number; of: number };
  close: object;
}

/** An unknown event, or a listener that is no function: VR_CONFIG. */
export interface TypedEventTarget<M> {
  addEventListener<K extends keyof M & string>(
    type: K,
    listener: (event: CustomEvent<M[K]>) => void,
    options?: boolean | { once?: boolean; signal?: AbortSignal },
  ): void;
  removeEventListener<K extends keyof M & string>(
    type: K,
    listener: (event: CustomEvent<M[K]>) => void,
  ): void;
  /** Sugar: returns a disposer. */
  on<K extends keyof M & string>(
    type: K,
    listener: (detail: M[K]) => void,
    options?: { once?: boolean; signal?: AbortSignal },
  ): Disposable;
}

export interface ReplicaMetrics {
  id: number;
  passes: number;
  entriesExecuted: number;
  requestsExecuted: number;
  readsExecuted: number;
  /** Requests to read that were answered without asking anybody. */
  readsOnLease: number;
  framesIn: number;
  framesOut: number;
  /** For lack of room, or because they could not be read; a reply that waits for room is none of them. */
  framesDropped: number;
  /** Frames whose bytes changed in shared memory: found by their checksum, dropped, and sent again. */
  framesCorrupt: number;
  bytesIn: number;
  bytesOut: number;
  sleeps: number;
  opNumber: number;
  commitNumber: number;
  /** CPU time of the thread, nanoseconds; 0 where the system does not tell. */
  cpuNs: number;
  /** Lowest op-number that is still in the log; what lies below is in checkpoints. */
  logStart: number;
  /** Op-number of the newest complete checkpoint; 0 before the first, and at a witness. */
  checkpointOp: number;
  /** What came from other replicas' checkpoints when this one had fallen behind, or lost its memory. */
  pagesFetched: number;
  bytesFetched: number;
  /**
   * How long a pass takes, by the clock; and what a checkpoint takes of one at a time (freezing included), on a core where the system
   * tells how long the thread waited for one (Linux), by the clock elsewhere. Since the thread started.
   */
  passP99Micros: number;
  passMaxMicros: number;
  checkpointP99Micros: number;
  checkpointMaxMicros: number;
  /**
   * How large the entries were that it made as primary since the cluster opened, also in threads before this one; those that a view
   * change took back are among them.
   */
  entriesMade: EntrySizes;
}

export interface MetricsSnapshot {
  viewChanges: number;
  restarts: number;
  clients: number;
  replicas: ReplicaMetrics[];
}
