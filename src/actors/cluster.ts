// open(): a handle on what runs elsewhere. The supervisor's thread owns the cluster; the handle holds the client of its own thread, a
// control connection, and the events.

import { MessageChannel, type MessagePort, type Worker } from 'node:worker_threads';
import { quorumSize } from '../protocol/configuration.js';
import { ExitGuard, guardExit } from '../storage/exit-guard.js';
import { METRICS, type Metric } from '../transport/layout.js';
import { ReplicaCounters } from '../transport/mesh.js';
import type {
  Admin,
  CallDefaults,
  CallOptions,
  Client,
  CloseOptions,
  Cluster,
  ClusterLink,
  ClusterStatus,
  Echo,
  Kv,
  MetricsSnapshot,
  OpenOptions,
  ReplicaMetrics,
} from './api.js';
import type {
  ClusterCounts,
  ClusterEvent,
  FlipTarget,
  SupervisorBoot,
  SupervisorNews,
  ThreadFault,
} from './boot.js';
import { drainTime, linkName } from './call-options.js';
import { ClientActor } from './client/client-actor.js';
import {
  ClientHandle,
  CONTROL_TIMEOUT_MS,
  closed,
  DRAIN_MS,
  limited,
} from './client/client-handle.js';
import { type Connection, connect, type Port } from './control.js';
import { VrError } from './errors.js';
import { ClusterEventTarget } from './events.js';
import { replicaId } from './option-checks.js';
import { checkEnvironment, openSettings, type Settings } from './options.js';
import { type PlainError, whole } from './plain-error.js';
import { spawnSupervisor } from './supervisor/spawn.js';
import type { SupervisorControl } from './supervisor/supervisor-control.js';

export class ClusterHandle extends ClusterEventTarget implements Cluster {
  readonly name: string;
  readonly kv: Kv;
  readonly echo: Echo;
  readonly admin: Admin;
  readonly #worker: Worker;
  readonly #events: MessagePort;
  readonly #control: Connection<SupervisorControl>;
  readonly #client: ClientHandle;
  readonly #actor: ClientActor;
  readonly #counters: readonly ReplicaCounters[];
  #counts: ClusterCounts = { viewChanges: 0, restarts: 0, clients: 1 };
  #closing: Promise<void> | null = null;

  constructor(started: Started, actor: ClientActor) {
    super();
    const { settings, worker, events, control } = started;
    this.#worker = worker;
    this.#events = events;
    this.#control = control;
    this.#actor = actor;
    this.name = settings.name;
    this.#client = new ClientHandle(actor, {
      defaults: settings.client,
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
    // Checked here: what is no number may be something that cannot be sent.
    const ofReplica = async <T>(
      replica: unknown,
      call: (id: number) => Promise<T>,
      options?: CallOptions,
    ): Promise<T> => {
      const id = replicaId(replica, this.#counters.length);
      return await this.#command(() => call(id), options);
    };
    return {
      kill: (replica, options) => ofReplica(replica, remote.kill, options),
      pause: (replica, options) => ofReplica(replica, (id) => remote.setPaused(id, true), options),
      resume: (replica, options) =>
        ofReplica(replica, (id) => remote.setPaused(id, false), options),
      restart: (replica, options) => ofReplica(replica, remote.restart, options),
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
    const detail =
      event.type === 'replicacrash'
        ? { ...event.detail, error: whole(event.detail.error as PlainError) }
        : event.detail;
    this.dispatch(event.type, detail);
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
      const metrics: ReplicaMetrics = { id, ...rest, entriesMade: counters.entries.read() };
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

  /** Only with `faults`, see `openCluster`. `times`: a stop point counts when it has been reached so often. */
  fault(replica: number, kind: ThreadFault, times = 1): Promise<void> {
    return this.#ask(() => this.#control.remote.fault(replica, kind, times));
  }

  /** Only with `faults`: flips bytes in frames that were not read yet. @returns how many. */
  flip(target: FlipTarget, count: number): Promise<number> {
    return this.#ask(() => this.#control.remote.flip(target, count));
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
    this.dispatch('close', {});
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
  /** null: in memory. */
  readonly guard: ExitGuard | null;
}

function startSupervisor(settings: Settings, faults: boolean): Started {
  const { port1, port2 } = new MessageChannel();
  const guard = new ExitGuard(ExitGuard.memory());
  const boot: SupervisorBoot = { settings, events: port2, faults, guard: guard.memory };
  const unguard = settings.disk === null ? () => undefined : guardExit(guard);
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
  worker.on('exit', () => {
    unguard();
    control.fail(closed());
  });
  return { settings, worker, events: port1, control, guard: settings.disk === null ? null : guard };
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

/** `open` with what only tests and the soak use: `faults` lets them hurt a thread in ways that users have no name for. */
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
    // The threads that write the stores end with the supervisor, but not inside of their library.
    started.guard?.stop();
    // Threads that it started end with it.
    await started.worker.terminate();
    throw error;
  } finally {
    if (onAbort !== undefined) signal?.removeEventListener('abort', onAbort);
  }
}
