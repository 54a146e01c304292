// The supervisor: starts replicas, tells the survivors at once when one is gone, starts its successor, and ends what hangs. It
// owns what must outlive a replica's thread: rings, promise registers, the list of clients. On a thread of its own, so that a busy
// user thread cannot delay it. It decides nothing about the protocol.

import { randomBytes } from 'node:crypto';
import { MessageChannel, type MessagePort, type Worker } from 'node:worker_threads';
import {
  type Configuration,
  makeConfiguration,
  primaryOf,
  quorumSize,
} from '../protocol/configuration.js';
import type { ViewReason } from '../protocol/effect.js';
import type { ReplicaId } from '../protocol/types.js';
import {
  allocateClientLink,
  allocateMesh,
  ClusterBlock,
  clientDoorbell,
  type MeshMemory,
  ReplicaBlock,
  ReplicaCounters,
} from '../transport/mesh.js';
import type { ClusterStatus, ReplicaState, ReplicaStatus, ViewInfo } from './api.js';
import {
  type AttachedClient,
  type ClientBoot,
  type ClusterCounts,
  type ClusterEvent,
  type ReplicaBoot,
  type ReplicaControl,
  type ReplicaNotice,
  STATUS_CODES,
  type SupervisorBoot,
} from './boot.js';
import { type Connection, connect, offer, type Port } from './control.js';
import { VrError } from './errors.js';
import { assessLoss, CrashCounter } from './loss.js';
import { spawnReplica } from './spawn.js';
import { endSession } from './undertaker.js';
import { HangDetector } from './watchdog.js';

const CHECK_MS = 100;
/** Time for a view to form before too few survivors count as lost (H8). */
const LOSS_GRACE_MS = 1000;
/** How long a replica may take to give its digest before status goes without. */
const DIGEST_WAIT_MS = 1000;

interface Seat {
  readonly id: ReplicaId;
  readonly block: ReplicaBlock;
  readonly counters: ReplicaCounters;
  readonly crashes: CrashCounter;
  worker: Worker | null;
  control: Connection<ReplicaControl> | null;
  state: ReplicaState;
  /** Why its thread ended, as far as it said. */
  error: unknown;
}

interface Member {
  readonly client: AttachedClient;
  readonly name: string;
  leaving: boolean;
}

export class Supervisor {
  readonly #boot: SupervisorBoot;
  readonly #configuration: Configuration;
  readonly #mesh: MeshMemory;
  readonly #cluster: ClusterBlock;
  readonly #seats: Seat[];
  readonly #clusterId: number;
  readonly #clients = new Map<number, Member>();
  readonly #hangs: HangDetector;
  readonly #changed = new Set<() => void>();
  #nextAddress = 1;
  #stopping = false;
  #soonSince = -1;
  #serving: ViewInfo | null = null;
  #leftAt = -1;
  #leaveReason: ViewReason | null = null;
  #restarts = 0;
  #viewChanges = 0;
  #quorumLost = false;
  #timer: NodeJS.Timeout | null = null;

  constructor(boot: SupervisorBoot) {
    const { settings } = boot;
    this.#boot = boot;
    this.#configuration = makeConfiguration(
      settings.replicas,
      settings.witnesses,
      settings.storeBytes,
    );
    this.#mesh = allocateMesh({ replicas: settings.replicas, ringBytes: settings.ringBytes });
    this.#cluster = new ClusterBlock(this.#mesh);
    this.#clusterId = randomBytes(6).readUIntBE(0, 6);
    this.#seats = this.#configuration.members.map((member) => ({
      id: member.id,
      block: new ReplicaBlock(this.#mesh, member.id),
      counters: new ReplicaCounters(this.#mesh, member.id),
      crashes: new CrashCounter(),
      worker: null,
      control: null,
      state: 'down',
      error: undefined,
    }));
    this.#hangs = new HangDetector(settings.hangMs);
  }

  /** Starts all replicas; resolves when a primary serves. @throws {VrError} when too few of them can run */
  async start(): Promise<void> {
    const online = this.#seats.map((seat) => this.#startReplica(seat));
    await Promise.all(online);
    this.#cluster.start();
    this.#timer = setInterval(() => this.#check(), CHECK_MS);
    await this.#until(() => this.#serving !== null || this.#hopeless);
    if (this.#serving === null) throw crashed(this.#seats.find((seat) => seat.worker === null));
  }

  /** Too few threads run, and none of the others will be started again. */
  get #hopeless(): boolean {
    const running = this.#seats.filter((seat) => seat.worker !== null).length;
    return running < quorumSize(this.#seats.length);
  }

  // ── replicas ──

  /** H1: the successor begins only after the exit event of its predecessor. Resolves when the thread runs. */
  #startReplica(seat: Seat): Promise<void> {
    const { settings } = this.#boot;
    const start = seat.block.start + 1;
    seat.block.start = start;
    seat.error = undefined;
    const { port1, port2 } = new MessageChannel();
    const boot: ReplicaBoot = {
      id: seat.id,
      configuration: this.#configuration,
      clusterId: this.#clusterId,
      start,
      limits: settings.limits,
      timing: settings.timing,
      // A successor is to be there soon; its log is read, not written, for a while.
      pretouchBytes: start === 1 ? settings.logPretouchBytes : 0,
      mesh: this.#mesh,
      clients: [...this.#clients.values()].map((member) => member.client),
      notices: port2,
      faults: this.#boot.faults,
    };
    const worker = spawnReplica({
      name: `viewstamp ${settings.name} replica ${seat.id}`,
      data: boot,
      transfer: [port2],
      heapMiB: settings.replicaHeapMiB,
    });
    seat.worker = worker;
    const ended = (): VrError => crashed(seat);
    seat.control = connect<ReplicaControl>(calling(worker, seat.block), ended);
    port1.on('message', (message: ReplicaNotice) => this.#onNotice(seat, message));
    worker.on('error', (error) => {
      seat.error = error;
      this.#suspect(seat);
    });
    return new Promise((resolve, reject) => {
      worker.once('online', resolve);
      worker.once('exit', () => {
        port1.close();
        seat.control?.fail(ended());
        this.#onExit(seat, start);
        reject(ended());
      });
    });
  }

  /** H7: peers look for a new primary while the thread is still being torn down, which takes tens of milliseconds. */
  #suspect(seat: Seat): void {
    seat.block.suspected = seat.block.start;
    for (const other of this.#seats) other.block.doorbell.wake();
  }

  async #terminate(seat: Seat): Promise<void> {
    if (seat.worker === null) return;
    this.#suspect(seat);
    this.#setState(seat, 'down');
    await seat.worker.terminate();
  }

  /** H7: no instruction of that start can run any more. */
  #onExit(seat: Seat, start: number): void {
    seat.block.exited = start;
    seat.block.status = STATUS_CODES.indexOf('down');
    seat.worker = null;
    seat.control = null;
    this.#wakeAll();
    if (this.#leftAt < 0 && this.#serving?.primary === seat.id) this.#leave('crash');
    this.#setState(seat, 'down');
    if (this.#stopping) return;
    const looping = seat.crashes.crashed(performance.now());
    const restarting = this.#boot.settings.autoRestart && !looping && !this.#lost;
    const error = seat.error ?? new Error('the thread was terminated');
    this.#tell({
      type: 'replicacrash',
      detail: { replica: seat.id, error: plain(error), restarting },
    });
    if (restarting) this.#restart(seat);
    this.#checkLoss();
    this.#wake();
  }

  /** `wake`, not `ring`: the thread that ended may have been killed while it rang one of these bells. */
  #wakeAll(): void {
    for (const seat of this.#seats) seat.block.doorbell.wake();
    this.#wakeClients();
  }

  #restart(seat: Seat): void {
    this.#restarts++;
    // Its end is another exit event, which is dealt with there.
    this.#startReplica(seat).catch(() => undefined);
    this.#tellCounts();
    for (const other of this.#seats) other.block.doorbell.wake();
  }

  get #lost(): boolean {
    return this.#cluster.end === 'lost';
  }

  #onNotice(seat: Seat, message: ReplicaNotice): void {
    // What it still had to say when it was ended is no news any more.
    if (message.start !== seat.block.start || message.start <= seat.block.suspected) return;
    const { notice } = message;
    switch (notice.kind) {
      case 'status':
        if (notice.status === 'view-change' && notice.view > (this.#serving?.view ?? -1))
          this.#leave(notice.reason ?? 'higher-view');
        if (notice.status === 'normal') seat.crashes.becameNormal();
        // Normal by the protocol; to its users it is still on the way until its log is executed.
        if (notice.status === 'normal' && !notice.caughtUp) this.#setState(seat, 'recovering');
        else this.#setState(seat, notice.status);
        break;
      case 'caughtUp':
        this.#setState(seat, 'normal');
        break;
      case 'serving':
        this.#onServing(seat, notice.view);
        break;
      case 'logPressure': {
        const { usedBytes, limitBytes, full } = notice;
        this.#tell({
          type: 'logpressure',
          detail: { replica: seat.id, usedBytes, limitBytes, full },
        });
        break;
      }
    }
  }

  #leave(reason: ViewReason): void {
    if (this.#leftAt < 0) this.#leftAt = performance.now();
    if (this.#leaveReason === null || this.#leaveReason === 'higher-view')
      this.#leaveReason = reason;
  }

  #onServing(seat: Seat, view: number): void {
    const info: ViewInfo = { epoch: 0, view, primary: seat.id };
    const first = this.#serving === null;
    this.#serving = info;
    if (!first) {
      this.#viewChanges++;
      this.#tellCounts();
      const tookMs = this.#leftAt < 0 ? 0 : performance.now() - this.#leftAt;
      const reason = this.#leaveReason ?? 'higher-view';
      this.#tell({ type: 'viewchange', detail: { ...info, reason, tookMs } });
    }
    this.#leftAt = -1;
    this.#leaveReason = null;
    this.#wake();
  }

  #setState(seat: Seat, to: ReplicaState): void {
    const from = seat.state;
    if (from === to) return;
    seat.state = to;
    this.#tell({ type: 'replicastate', detail: { replica: seat.id, from, to } });
    this.#noteQuorum();
    this.#wake();
  }

  /** Replicas that remember: by the state that their threads publish, not by the one shown to users. */
  get #reachable(): number {
    const remembering = ['normal', 'view-change'];
    return this.#seats.filter((seat) => remembering.includes(presentState(seat))).length;
  }

  #noteQuorum(): void {
    const reachable = this.#reachable;
    const needed = quorumSize(this.#seats.length);
    const lost = reachable < needed;
    // Before anybody served there was no quorum to lose.
    if (lost === this.#quorumLost || this.#serving === null || this.#stopping) return;
    this.#quorumLost = lost;
    if (lost) this.#tell({ type: 'quorumlost', detail: { reachable, needed, permanent: false } });
    else this.#tell({ type: 'quorumrestored', detail: {} });
  }

  // ── watching ──

  #check(): void {
    const now = performance.now();
    this.#hangs.beginCheck(now);
    for (const seat of this.#seats) {
      const { worker, block } = seat;
      if (worker === null) continue;
      const start = block.start;
      const hung = this.#hangs.observe(
        seat.id,
        { start, passes: block.passes, paused: block.paused },
        now,
      );
      if (!hung) continue;
      seat.error = new Error(`the thread made no pass for ${this.#boot.settings.hangMs} ms`);
      void this.#terminate(seat);
    }
    this.#checkLoss();
  }

  /** H8: said once, and final: nothing restarts empty. */
  #checkLoss(): void {
    if (this.#stopping || this.#lost || this.#serving === null) return;
    const loss = assessLoss({
      // As the threads publish it themselves: a notice of who has just become normal may still be under way.
      states: this.#seats.map(presentState),
      quorum: quorumSize(this.#seats.length),
      primaryNormal: this.#seats.some(
        (seat) =>
          presentState(seat) === 'normal' &&
          primaryOf(this.#configuration, seat.counters.get('view')) === seat.id,
      ),
    });
    const now = performance.now();
    if (loss === 'none') this.#soonSince = -1;
    else if (this.#soonSince < 0) this.#soonSince = now;
    const final = loss === 'now' || (loss === 'soon' && now - this.#soonSince >= LOSS_GRACE_MS);
    if (final) this.#declareLoss();
  }

  #declareLoss(): void {
    this.#cluster.end = 'lost';
    this.#wakeClients();
    const reachable = this.#reachable;
    const needed = quorumSize(this.#seats.length);
    this.#tell({ type: 'quorumlost', detail: { reachable, needed, permanent: true } });
    this.#wake();
  }

  #wakeClients(): void {
    for (const member of this.#clients.values()) clientDoorbell(member.client.link).wake();
  }

  #tell(event: ClusterEvent): void {
    this.#boot.events.postMessage(event);
  }

  /** For `metrics()`, which cannot ask. */
  #tellCounts(): void {
    const counts: ClusterCounts = {
      viewChanges: this.#viewChanges,
      restarts: this.#restarts,
      clients: this.#clients.size,
    };
    this.#boot.events.postMessage({ counts });
  }

  #wake(): void {
    for (const check of [...this.#changed]) check();
  }

  #until(condition: () => boolean): Promise<void> {
    if (condition()) return Promise.resolve();
    return new Promise((resolve) => {
      const check = (): void => {
        if (!condition()) return;
        this.#changed.delete(check);
        resolve();
      };
      this.#changed.add(check);
    });
  }

  // ── clients ──

  /** Rings for one more client; the replicas poll them from now on. @throws {VrError} VR_OVERLOADED */
  addClient(name: string): ClientBoot {
    const { settings } = this.#boot;
    if (this.#stopping) throw new VrError('VR_CLOSED', 'the cluster is closed');
    if (this.#clients.size >= settings.clients)
      throw new VrError(
        'VR_OVERLOADED',
        `the cluster has limits.clients = ${settings.clients} clients already`,
        {
          retryable: true,
          details: { limit: 'clients', clients: settings.clients },
        },
      );
    const link = allocateClientLink({ replicas: settings.replicas, ringBytes: settings.ringBytes });
    const client: AttachedClient = { address: this.#nextAddress++, link };
    this.#clients.set(client.address, { client, name, leaving: false });
    this.#tellCounts();
    for (const seat of this.#seats)
      void seat.control?.remote.addClient(client).catch(() => undefined);
    return {
      address: client.address,
      clusterName: settings.name,
      replicas: settings.replicas,
      actives: settings.replicas - settings.witnesses,
      mesh: this.#mesh,
      link,
      settings: settings.client,
    };
  }

  /** `clean`: the client has ended its session itself. */
  async removeClient(address: number, clean: boolean): Promise<void> {
    const member = this.#clients.get(address);
    if (member === undefined || member.leaving) return;
    member.leaving = true;
    const { link } = member.client;
    if (!clean) await endSession(this.#mesh, link, () => this.#stopping || this.#lost);
    this.#clients.delete(address);
    if (!this.#stopping) this.#tellCounts();
    for (const seat of this.#seats)
      void seat.control?.remote.removeClient(address).catch(() => undefined);
  }

  /** Serves a shared link: one client for as long as the port lives. */
  adopt(port: MessagePort): void {
    let address = 0;
    const link = {
      connect: (name: string): ClientBoot => {
        if (address !== 0)
          throw new VrError(
            'VR_CONFIG',
            'this link was used before: share() makes one for each client',
          );
        const boot = this.addClient(name);
        address = boot.address;
        return boot;
      },
      status: (): Promise<ClusterStatus> => this.status(),
      leave: (clean: boolean): Promise<void> => this.removeClient(address, clean),
    };
    port.on('close', () => {
      // The thread has ended, or let go without a word: its session must not stay.
      if (address !== 0) void this.removeClient(address, false);
    });
    offer(link, port as unknown as Port);
  }

  // ── administration ──

  #seat(id: number): Seat {
    const seat = typeof id === 'number' ? this.#seats[id] : undefined;
    if (seat === undefined)
      throw new VrError(
        'VR_CONFIG',
        `replica must be from 0 to ${this.#seats.length - 1}, got ${id}`,
        {
          details: { replica: id },
        },
      );
    return seat;
  }

  async kill(id: number): Promise<void> {
    await this.#terminate(this.#seat(id));
  }

  setPaused(id: number, paused: boolean): void {
    const { block } = this.#seat(id);
    block.paused = paused;
    block.doorbell.ring();
  }

  async restart(id: number): Promise<void> {
    const seat = this.#seat(id);
    if (this.#lost) throw permanentLoss();
    const start = seat.block.start;
    if (seat.worker !== null) this.#checkBudget(seat);
    await this.#terminate(seat);
    await this.#until(() => seat.worker === null || seat.block.start > start);
    if (seat.block.start === start) this.#restart(seat);
    await this.#until(
      () => (seat.block.start > start && seat.state === 'normal') || this.#lost || this.#stopping,
    );
    if (this.#lost) throw permanentLoss();
  }

  /** A restart forgets everything: it waits until a quorum of the others has it all. */
  #checkBudget(seat: Seat): void {
    const normal = this.#seats.filter((other) => other !== seat && other.state === 'normal').length;
    const needed = quorumSize(this.#seats.length);
    if (normal >= needed) return;
    throw new VrError(
      'VR_NO_QUORUM',
      `a restart of replica ${seat.id} needs ${needed} other normal replicas, there are ${normal}`,
      { retryable: true, details: { replica: seat.id, needed, normal } },
    );
  }

  async stepDown(): Promise<ViewInfo> {
    const before = this.#serving;
    if (before === null)
      throw new VrError('VR_NO_QUORUM', 'no primary serves', { retryable: true });
    if (
      this.#seats.filter((seat) => seat.state === 'normal').length < quorumSize(this.#seats.length)
    )
      throw new VrError('VR_NO_QUORUM', 'too few replicas are normal for a view change', {
        retryable: true,
      });
    await this.#seat(before.primary).control?.remote.stepDown();
    await this.#until(
      () => (this.#serving?.view ?? 0) > before.view || this.#lost || this.#stopping,
    );
    if (this.#lost) throw permanentLoss();
    return this.#serving ?? before;
  }

  /** Only with faults: see ReplicaControl. */
  fault(id: number, kind: 'hang' | 'exhaustHeap'): void {
    void this.#seat(id)
      .control?.remote[kind]()
      .catch(() => undefined);
  }

  async status(): Promise<ClusterStatus> {
    const replicas = await Promise.all(this.#seats.map((seat) => this.#replicaStatus(seat)));
    const quorum = quorumSize(replicas.length);
    const normal = replicas.filter((replica) => replica.state === 'normal').length;
    const { epoch, view, primary } = this.#serving ?? { epoch: 0, view: 0, primary: 0 };
    const healthy = !this.#lost && this.#leftAt < 0 && normal >= quorum;
    const clients = this.#clients.size;
    return { epoch, view, primary, healthy, quorum, replicas, clients };
  }

  async #replicaStatus(seat: Seat): Promise<ReplicaStatus> {
    const { counters, block } = seat;
    const witness = this.#configuration.members[seat.id]?.role === 'witness';
    const view = counters.get('view');
    const leads =
      primaryOf(this.#configuration, view) === seat.id && presentState(seat) === 'normal';
    const answer = witness ? null : await digestOf(seat);
    return {
      id: seat.id,
      role: witness ? 'witness' : leads ? 'primary' : 'backup',
      state: seat.state,
      view,
      start: block.start,
      opNumber: counters.get('opNumber'),
      commitNumber: counters.get('commitNumber'),
      appliedNumber: answer?.applied ?? counters.get('appliedNumber'),
      logBytes: counters.get('logBytes'),
      storeBytes: counters.get('storeBytes'),
      digest: answer?.digest ?? '',
    };
  }

  async close(): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    if (this.#timer !== null) clearInterval(this.#timer);
    if (!this.#lost) this.#cluster.end = 'closed';
    this.#wakeClients();
    await Promise.all(this.#seats.map((seat) => seat.worker?.terminate()));
    this.#wake();
    this.#boot.events.close();
  }
}

/** A replica's thread sleeps without its event loop: every message to it says so. */
function calling(worker: Worker, block: ReplicaBlock): Port {
  return {
    postMessage: (message, transfer) => {
      worker.postMessage(message, transfer as never[]);
      block.askForTurn();
    },
    on: (event, listener) => worker.on(event, listener),
    off: (event, listener) => worker.off(event, listener),
  };
}

function presentState(seat: Seat): ReplicaState {
  return (seat.worker === null ? undefined : STATUS_CODES[seat.block.status]) ?? 'down';
}

function crashed(seat: Seat | undefined): VrError {
  const why = seat?.error instanceof Error ? `: ${seat.error.message}` : '';
  return new VrError('VR_REPLICA_CRASHED', `replica ${seat?.id} has ended${why}`, {
    retryable: true,
    details: { replica: seat?.id },
  });
}

function permanentLoss(): VrError {
  return new VrError(
    'VR_NO_QUORUM',
    'more than f replicas were lost; in memory mode the data is gone',
    {
      details: { permanent: true },
    },
  );
}

/** Errors of threads travel as plain errors: their classes may not be known on the other side. */
function plain(error: unknown): Error {
  if (!(error instanceof Error)) return new Error(String(error));
  const copy = new Error(error.message);
  copy.name = error.name;
  if (error.stack !== undefined) copy.stack = error.stack;
  return copy;
}

async function digestOf(seat: Seat): Promise<{ applied: number; digest: string } | null> {
  const { control } = seat;
  if (control === null || seat.block.paused) return null;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), DIGEST_WAIT_MS);
  });
  const answer = control.remote.digest().catch(() => null);
  const first = await Promise.race([answer, late]);
  clearTimeout(timer);
  return first;
}
