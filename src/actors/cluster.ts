// open() and attach(): handles on what runs elsewhere. The supervisor's thread owns the cluster; a handle holds the client of
// its own thread, a control connection, and the events.

import { MessageChannel, type MessagePort, type Worker } from 'node:worker_threads';
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
import type { ClientBoot, ClusterEvent, SupervisorBoot } from './boot.js';
import { ClientActor } from './client-actor.js';
import { type Connection, connect, type Port } from './control.js';
import { EchoClient } from './echo-client.js';
import { VrError } from './errors.js';
import { KvClient } from './kv-client.js';
import { checkEnvironment, clientDefaults, openSettings, type Settings } from './options.js';
import { spawnSupervisor } from './spawn.js';
import type { SupervisorControl } from './supervisor-control.js';

const DRAIN_MS = 5000;
const CONTROL_TIMEOUT_MS = 30_000;

/** What a client may ask over its link, whether it opened the cluster or joined it. */
interface LinkControl {
  connect(name: string): ClientBoot;
  status(): Promise<ClusterStatus>;
  leave(): Promise<void>;
}

function closed(): VrError {
  return new VrError('VR_CLOSED', 'the cluster is closed');
}

/** A control call under the caller's deadline and signal; the call itself goes on. */
async function limited<T>(
  work: Promise<T>,
  options: CallOptions | undefined,
  fallbackMs: number,
): Promise<T> {
  const { signal } = options ?? {};
  const ms = options?.timeoutMs ?? fallbackMs;
  if (signal?.aborted)
    throw new VrError('VR_ABORTED', 'the call was aborted', { cause: signal.reason });
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
    return limited(this.#status(), options, this.timeoutMs);
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
  #counts = { viewChanges: 0, restarts: 0, clients: 1 };
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
    events.on('message', (event: ClusterEvent) => this.#onEvent(event));
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
      kill: (replica) => this.#ask(() => remote.kill(replica)),
      pause: (replica) => this.#ask(() => remote.setPaused(replica, true)),
      resume: (replica) => this.#ask(() => remote.setPaused(replica, false)),
      restart: (replica, options) =>
        limited(
          this.#ask(() => remote.restart(replica)),
          options,
          CONTROL_TIMEOUT_MS,
        ),
      stepDown: (options) =>
        limited(
          this.#ask(() => remote.stepDown()),
          options,
          CONTROL_TIMEOUT_MS,
        ),
    };
  }

  #onEvent(event: ClusterEvent): void {
    if (event.type === 'viewchange') this.#counts.viewChanges++;
    if (event.type === 'replicacrash' && event.detail.restarting) this.#counts.restarts++;
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
    const { port1, port2 } = new MessageChannel();
    this.#worker.postMessage({ link: port1 }, [port1]);
    const data = { viewstamp: 1, port: port2, name: options.name ?? 'attached' };
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

  close(options: CloseOptions = {}): Promise<void> {
    this.#closing ??= this.#close(options.drainMs ?? DRAIN_MS);
    return this.#closing;
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

async function joinAsOpener(started: Started): Promise<ClusterHandle> {
  const { remote } = started.control;
  await remote.start();
  const boot = await remote.addClient('opener');
  const actor = new ClientActor(boot);
  const handle = new ClusterHandle(started, actor);
  await actor.open();
  return handle;
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
  try {
    const abort = new Promise<never>((_, reject) => {
      onAbort = () =>
        reject(new VrError('VR_ABORTED', 'opening was aborted', { cause: signal?.reason }));
      signal?.addEventListener('abort', onAbort, { once: true });
    });
    return await Promise.race([joinAsOpener(started), abort]);
  } catch (error) {
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
  const control = connect<LinkControl>(port as unknown as Port, closed);
  const ask = limited(
    control.remote.connect(options.name ?? name ?? 'attached'),
    signalOf(options),
    CONTROL_TIMEOUT_MS,
  );
  const boot = await ask;
  const actor = new ClientActor(boot);
  const timeoutMs = clientDefaults(options, boot.settings.timeoutMs);
  await actor.open();
  let closing: Promise<void> | null = null;
  const leave = async (close: CloseOptions | undefined): Promise<void> => {
    await actor.close(close?.drainMs ?? DRAIN_MS);
    await limited(control.remote.leave(), undefined, DRAIN_MS).catch(() => undefined);
    port.close();
  };
  return new ClientHandle(actor, {
    timeoutMs,
    status: () => control.remote.status(),
    leave: (close) => {
      closing ??= leave(close);
      return closing;
    },
  });
}

function signalOf(options: ClientOptions): CallOptions {
  return options.signal === undefined ? {} : { signal: options.signal };
}
