// open() and attach(): handles on what runs elsewhere. The supervisor's thread owns the cluster; a handle holds the client of
// its own thread, a control connection, and the events.

import { MessageChannel, type MessagePort, type Worker } from 'node:worker_threads';
import { quorumSize } from '../protocol/configuration.js';
import { METRICS, type Metric } from '../transport/layout.js';
import { ReplicaCounters } from '../transport/mesh.js';
import type {
  Admin,
  CallDefaults,
  CallOptions,
  Client,
  ClientOptions,
  CloseOptions,
  Cluster,
  ClusterEvents,
  ClusterLink,
  ClusterStatus,
  Echo,
  Kv,
  MetricsSnapshot,
  OpenOptions,
  ReplicaMetrics,
} from './api.js';
import type {
  ClientBoot,
  ClusterCounts,
  ClusterEvent,
  SupervisorBoot,
  SupervisorNews,
} from './boot.js';
import { ClientActor } from './client-actor.js';
import { type Connection, connect, type Port } from './control.js';
import { EchoClient } from './echo-client.js';
import { VrError } from './errors.js';
import { KvClient } from './kv-client.js';
import {
  attachSettings,
  checkCall,
  checkEnvironment,
  clientDefaults,
  drainTime,
  linkName,
  openSettings,
  type Settings,
  timeout,
} from './options.js';
import { spawnSupervisor } from './spawn.js';
import type { SupervisorControl } from './supervisor-control.js';

const DRAIN_MS = 5000;
const CONTROL_TIMEOUT_MS = 30_000;

/** What a client may ask over its link, whether it opened the cluster or joined it. */
interface LinkControl {
  connect(name: string): ClientBoot;
  status(): Promise<ClusterStatus>;
  /** `clean`: the client has ended its session itself. */
  leave(clean: boolean): Promise<void>;
}

function closed(): VrError {
  return new VrError('VR_CLOSED', 'the cluster is closed');
}

/** A control call under the caller's deadline and signal; the call itself goes on. Its timer keeps the process alive. */
async function limited<T>(
  begin: () => Promise<T>,
  options: CallOptions | undefined,
  fallbackMs: number,
): Promise<T> {
  checkCall(options);
  const { signal } = options ?? {};
  const ms = timeout(options?.timeoutMs, fallbackMs);
  if (signal?.aborted)
    throw new VrError('VR_ABORTED', 'the call was aborted', { cause: signal.reason });
  const work = begin();
  return await new Promise<T>((resolve, reject) => {
    const timer = setTimeout(
      () =>
        reject(
          new VrError('VR_TIMEOUT', `no answer within ${ms} ms`, {
            outcome: 'unknown',
            retryable: true,
          }),
        ),
      ms,
    );
    const onAbort = (): void =>
      reject(
        new VrError('VR_ABORTED', 'the call was aborted', {
          outcome: 'unknown',
          cause: signal?.reason,
        }),
      );
    signal?.addEventListener('abort', onAbort, { once: true });
    work.then(resolve, reject).finally(() => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    });
  });
}

/** The part that a cluster and an attached client share. */
class ClientHandle implements Client {
  readonly kv: Kv;
  readonly echo: Echo;
  protected readonly actor: ClientActor;
  protected readonly timeoutMs: number;
  readonly #status: () => Promise<ClusterStatus>;
  readonly #leave: (options: CloseOptions | undefined) => Promise<void>;

  constructor(
    actor: ClientActor,
    options: {
      timeoutMs: number;
      status: () => Promise<ClusterStatus>;
      leave: (options: CloseOptions | undefined) => Promise<void>;
    },
  ) {
    this.actor = actor;
    this.timeoutMs = options.timeoutMs;
    this.#status = options.status;
    this.#leave = options.leave;
    this.kv = new KvClient(actor, {
      timeoutMs: options.timeoutMs,
      prefix: '',
      encoding: undefined,
    });
    this.echo = new EchoClient(actor, options.timeoutMs);
  }

  get id(): string {
    return this.actor.id;
  }

  with(defaults: CallDefaults): Client {
    const timeoutMs = clientDefaults(defaults, this.timeoutMs);
    return new ClientHandle(this.actor, { timeoutMs, status: this.#status, leave: this.#leave });
  }

  status(options?: CallOptions): Promise<ClusterStatus> {
    return limited(this.#status, options, this.timeoutMs);
  }

  close(options?: CloseOptions): Promise<void> {
    return this.#leave(options);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

class ClusterHandle implements Cluster {
  readonly name: string;
  readonly kv: Kv;
  readonly echo: Echo;
  readonly admin: Admin;
  readonly #target = new EventTarget();
  readonly #worker: Worker;
  readonly #events: MessagePort;
  readonly #control: Connection<SupervisorControl>;
  readonly #client: ClientHandle;
  readonly #actor: ClientActor;
  readonly #counters: readonly ReplicaCounters[];
  #counts: ClusterCounts = { viewChanges: 0, restarts: 0, clients: 1 };
  #closing: Promise<void> | null = null;

  constructor(started: Started, actor: ClientActor) {
    const { settings, worker, events, control } = started;
    this.#worker = worker;
    this.#events = events;
    this.#control = control;
    this.#actor = actor;
    this.name = settings.name;
    this.#client = new ClientHandle(actor, {
      timeoutMs: settings.client.timeoutMs,
      status: () => this.#ask(() => control.remote.status()),
      leave: (options) => this.close(options),
    });
    this.kv = this.#client.kv;
    this.echo = this.#client.echo;
    this.admin = this.#makeAdmin();
    this.#counters = Array.from(
      { length: settings.replicas },
      (_, id) => new ReplicaCounters(actor.boot.mesh, id),
    );
    events.on('message', (news: SupervisorNews) => {
      if ('counts' in news) this.#counts = news.counts;
      else this.#onEvent(news);
    });
    // Replicas end with the supervisor, and everything with them.
    worker.once('exit', () => {
      if (this.#closing === null) this.#onLoss(settings.replicas);
    });
    if (!settings.ref) {
      worker.unref();
      events.unref();
    }
  }

  get id(): string {
    return this.#client.id;
  }

  #ask<T>(call: () => Promise<T>): Promise<T> {
    return this.#closing === null ? call() : Promise.reject(closed());
  }

  #makeAdmin(): Admin {
    const { remote } = this.#control;
    return {
      kill: (replica) => this.#command(() => remote.kill(replica)),
      pause: (replica) => this.#command(() => remote.setPaused(replica, true)),
      resume: (replica) => this.#command(() => remote.setPaused(replica, false)),
      restart: (replica, options) => this.#command(() => remote.restart(replica), options),
      stepDown: (options) => this.#command(() => remote.stepDown(), options),
    };
  }

  #command<T>(call: () => Promise<T>, options?: CallOptions): Promise<T> {
    return limited(() => this.#ask(call), options, CONTROL_TIMEOUT_MS);
  }

  #onLoss(replicas: number): void {
    this.#actor.abandon('lost');
    const needed = quorumSize(replicas);
    this.#onEvent({ type: 'quorumlost', detail: { reachable: 0, needed, permanent: true } });
  }

  #onEvent(event: ClusterEvent): void {
    this.#target.dispatchEvent(new CustomEvent(event.type, { detail: event.detail }));
  }

  addEventListener<K extends keyof ClusterEvents & string>(
    type: K,
    listener: (event: CustomEvent<ClusterEvents[K]>) => void,
    options?: boolean | { once?: boolean; signal?: AbortSignal },
  ): void {
    this.#target.addEventListener(type, listener as (event: Event) => void, options);
  }

  removeEventListener<K extends keyof ClusterEvents & string>(
    type: K,
    listener: (event: CustomEvent<ClusterEvents[K]>) => void,
  ): void {
    this.#target.removeEventListener(type, listener as (event: Event) => void);
  }

  on<K extends keyof ClusterEvents & string>(
    type: K,
    listener: (detail: ClusterEvents[K]) => void,
    options?: { once?: boolean; signal?: AbortSignal },
  ): Disposable {
    const call = (event: CustomEvent<ClusterEvents[K]>): void => listener(event.detail);
    this.addEventListener(type, call, options);
    return { [Symbol.dispose]: () => this.removeEventListener(type, call) };
  }

  share(options: { name?: string } = {}): { data: ClusterLink; transfer: [MessagePort] } {
    if (this.#closing !== null) throw closed();
    const name = linkName(options, 'attached');
    const { port1, port2 } = new MessageChannel();
    this.#worker.postMessage({ link: port1 }, [port1]);
    const data = { viewstamp: 1, port: port2, name };
    return { data: data as unknown as ClusterLink, transfer: [port2] };
  }

  metrics(): MetricsSnapshot {
    const replicas = this.#counters.map((counters, id) => {
      const values = Object.fromEntries(
        METRICS.map((metric: Metric) => [metric, counters.get(metric)]),
      );
      const {
        appliedNumber: _a,
        view: _v,
        logBytes: _l,
        storeBytes: _s,
        ...rest
      } = values as Record<Metric, number>;
      const metrics: ReplicaMetrics = { id, ...rest };
      return metrics;
    });
    return { ...this.#counts, replicas };
  }

  with(defaults: CallDefaults): Client {
    return this.#client.with(defaults);
  }

  status(options?: CallOptions): Promise<ClusterStatus> {
    return this.#client.status(options);
  }

  /** Test-only: see `openCluster`. */
  fault(replica: number, kind: 'hang' | 'exhaustHeap'): Promise<void> {
    return this.#ask(() => this.#control.remote.fault(replica, kind));
  }

  async close(options: CloseOptions = {}): Promise<void> {
    const drainMs = drainTime(options, DRAIN_MS);
    this.#closing ??= this.#close(drainMs);
    await this.#closing;
  }

  async #close(drainMs: number): Promise<void> {
    await this.#actor.close(drainMs);
    await this.#control.remote.close().catch(() => undefined);
    this.#control.fail(closed());
    this.#events.close();
    await this.#worker.terminate();
    this.#target.dispatchEvent(new CustomEvent('close', { detail: {} }));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

interface Started {
  readonly settings: Settings;
  readonly worker: Worker;
  readonly events: MessagePort;
  readonly control: Connection<SupervisorControl>;
}

function startSupervisor(settings: Settings, faults: boolean): Started {
  const { port1, port2 } = new MessageChannel();
  const boot: SupervisorBoot = { settings, events: port2, faults };
  const worker = spawnSupervisor({
    name: `viewstamp ${settings.name}`,
    data: boot,
    transfer: [port2],
  });
  const control = connect<SupervisorControl>(worker as unknown as Port, closed);
  worker.on('error', (cause) =>
    control.fail(
      new VrError('VR_REPLICA_CRASHED', `the supervisor failed: ${String(cause)}`, { cause }),
    ),
  );
  worker.on('exit', () => control.fail(closed()));
  return { settings, worker, events: port1, control };
}

/** `begun` is told of the client as soon as there is one, so that a failed opening can end it. */
async function joinAsOpener(
  started: Started,
  begun: (actor: ClientActor) => void,
): Promise<ClusterHandle> {
  const { remote } = started.control;
  await remote.start();
  const actor = new ClientActor(await remote.addClient('opener'));
  begun(actor);
  await actor.open();
  return new ClusterHandle(started, actor);
}

/** `open` with what only tests use: `faults` lets them hang a thread or exhaust its heap. */
export async function openCluster(options: OpenOptions, faults: boolean): Promise<ClusterHandle> {
  checkEnvironment();
  const settings = openSettings(options);
  const { signal } = options;
  if (signal?.aborted)
    throw new VrError('VR_ABORTED', 'opening was aborted', { cause: signal.reason });
  const started = startSupervisor(settings, faults);
  let onAbort: (() => void) | undefined;
  let actor: ClientActor | undefined;
  try {
    const abort = new Promise<never>((_, reject) => {
      onAbort = () =>
        reject(new VrError('VR_ABORTED', 'opening was aborted', { cause: signal?.reason }));
      signal?.addEventListener('abort', onAbort, { once: true });
    });
    const joined = joinAsOpener(started, (begun) => {
      actor = begun;
    });
    return await Promise.race([joined, abort]);
  } catch (error) {
    actor?.abandon('closed');
    started.events.close();
    // Threads that it started end with it.
    await started.worker.terminate();
    throw error;
  } finally {
    if (onAbort !== undefined) signal?.removeEventListener('abort', onAbort);
  }
}

/**
 * Starts the replicas, one worker thread each, and resolves once a primary serves requests. Failed or aborted, it ends
 * every thread it started.
 *
 * @throws {VrError} VR_CONFIG, VR_UNSUPPORTED, VR_ABORTED
 * @example
 * const cluster = await open();
 * await cluster.kv.set('user:1', { name: 'Ada' });
 */
export async function open(options: OpenOptions = {}): Promise<Cluster> {
  return await openCluster(options, false);
}

interface LinkData {
  readonly viewstamp: 1;
  readonly port: MessagePort;
  readonly name: string;
}

/**
 * Joins a running cluster from another thread, over rings and with a session of its own.
 *
 * @param link what `cluster.share()` gave, transferred to this thread; each link serves one client.
 * @throws {VrError} VR_CONFIG (not a link, or used before), VR_OVERLOADED (`limits.clients`), VR_CLOSED
 */
export async function attach(link: ClusterLink, options: ClientOptions = {}): Promise<Client> {
  checkEnvironment();
  const { port, name, viewstamp } = (link ?? {}) as unknown as Partial<LinkData>;
  if (viewstamp !== 1 || port === undefined)
    throw new VrError(
      'VR_CONFIG',
      'attach needs the data of cluster.share(), with its port transferred',
      {
        details: { path: 'link' },
      },
    );
  const { name: ownName, timeoutMs } = attachSettings(options, name ?? 'attached');
  if (used.has(port))
    throw new VrError('VR_CONFIG', 'this link was used before: share() makes one for each client', {
      details: { path: 'link' },
    });
  used.add(port);
  return await join(port, { name: ownName, timeoutMs, signal: options.signal });
}

/** A closed port answers nothing, so that a second use would only time out. */
const used = new WeakSet<MessagePort>();

async function join(
  port: MessagePort,
  options: { name: string; timeoutMs: number | undefined; signal: AbortSignal | undefined },
): Promise<Client> {
  const control = connect<LinkControl>(port as unknown as Port, closed);
  const { remote } = control;
  const limits: CallOptions = options.signal === undefined ? {} : { signal: options.signal };
  let actor: ClientActor | undefined;
  try {
    const boot = await limited(() => remote.connect(options.name), limits, CONTROL_TIMEOUT_MS);
    const client = new ClientActor(boot);
    actor = client;
    // Gone without a word: the cluster was closed, or the thread that opened it has ended.
    port.on('close', () => client.abandon('closed'));
    await limited(() => client.open(), limits, CONTROL_TIMEOUT_MS);
  } catch (error) {
    actor?.abandon('closed');
    // The supervisor sees the port close, and takes back what it gave.
    port.close();
    throw error;
  }
  const { timeoutMs } = options;
  return attached(actor, { port, remote, ...(timeoutMs === undefined ? {} : { timeoutMs }) });
}

function attached(
  actor: ClientActor,
  link: { port: MessagePort; remote: Connection<LinkControl>['remote']; timeoutMs?: number },
): Client {
  const { port, remote } = link;
  let closing: Promise<void> | null = null;
  const leave = async (drainMs: number): Promise<void> => {
    const clean = await actor.close(drainMs);
    await limited(() => remote.leave(clean), undefined, DRAIN_MS).catch(() => undefined);
    port.close();
  };
  return new ClientHandle(actor, {
    timeoutMs: link.timeoutMs ?? actor.boot.settings.timeoutMs,
    status: () => (closing === null ? remote.status() : Promise.reject(closed())),
    leave: async (options) => {
      const drainMs = drainTime(options ?? {}, DRAIN_MS);
      closing ??= leave(drainMs);
      await closing;
    },
  });
}
