// The supervisor: starts replicas, tells the survivors at once when one is gone, starts its successor, and ends what hangs. It
// owns what must outlive a replica's thread: rings, promise registers, the list of clients. On a thread of its own, so that a busy
// user thread cannot delay it. It decides nothing about the protocol.

import { randomBytes } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { type Configuration, makeConfiguration, quorumSize } from '../../protocol/configuration.js';
import type { ViewReason } from '../../protocol/effect.js';
import { allocateMesh, ClusterBlock, type MeshMemory } from '../../transport/mesh.js';
import type { ClusterStatus, ReplicaState, ViewInfo } from '../api.js';
import type {
  ClusterCounts,
  ClusterEvent,
  PlainError,
  ReplicaNotice,
  SupervisorBoot,
} from '../boot.js';
import { VrError } from '../errors.js';
import { loadDigest } from '../replica/digest.js';
import { ClientRegistry } from './client-registry.js';
import { ClusterDisk } from './cluster-disk.js';
import { Faults } from './faults.js';
import { assessLoss } from './loss.js';
import { Seat } from './seat.js';
import { HangDetector } from './watchdog.js';

const CHECK_MS = 100;
/** Time for a view to form before too few survivors count as lost (H8). */
const LOSS_GRACE_MS = 1000;
/** Time for the threads of a restarted cluster to read their stores before too few readable ones count as lost. */
const UNREADABLE_MS = 3000;
/**
 * A successor recovers from a primary that serves. Until there is one, the start of its thread, which takes a core for a tenth
 * of a second, would only be in the way of those who elect it; but it may be needed for that as well.
 */
const SUCCESSOR_WAIT_MS = 100;

export class Supervisor {
  readonly #boot: SupervisorBoot;
  readonly #configuration: Configuration;
  readonly #mesh: MeshMemory;
  readonly #cluster: ClusterBlock;
  readonly #seats: Seat[];
  #clusterId: number;
  #disk: ClusterDisk | null = null;
  readonly clients: ClientRegistry;
  readonly faults: Faults | null;
  readonly #hangs: HangDetector;
  readonly #changed = new Set<() => void>();
  #stopping = false;
  #soonSince = -1;
  #blankSince = -1;
  #unreadable = false;
  #serving: ViewInfo | null = null;
  #leftAt = -1;
  #leaveReason: ViewReason | null = null;
  #restarts = 0;
  #viewChanges = 0;
  #hadQuorum = false;
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
    const observer = {
      onNotice: (seat: Seat, message: ReplicaNotice) => this.#onNotice(seat, message),
      onError: (seat: Seat) => this.#suspect(seat),
      onExit: (seat: Seat) => this.#onExit(seat),
    };
    this.#seats = this.#configuration.members.map(
      (member) => new Seat(this.#mesh, member.id, observer),
    );
    const tellCounts = (): void => {
      if (!this.#stopping) this.#tellCounts();
    };
    this.clients = new ClientRegistry(settings, this.#mesh, {
      ended: () => this.#stopping || this.#lost,
      onJoined: (client) => {
        tellCounts();
        for (const seat of this.#seats)
          void seat.control?.remote.addClient(client).catch(() => undefined);
      },
      onLeft: (address) => {
        tellCounts();
        for (const seat of this.#seats)
          void seat.control?.remote.removeClient(address).catch(() => undefined);
      },
      status: () => this.status(),
    });
    this.#hangs = new HangDetector(settings.hangMs);
    const host = {
      mesh: this.#mesh,
      clients: this.clients,
      seat: (id: number) => this.#seat(id),
      terminate: (seat: Seat) => this.#terminate(seat),
    };
    this.faults = boot.faults ? new Faults(host) : null;
  }

  /** Starts all replicas; resolves when a primary serves. @throws {VrError} when too few of them can run */
  async start(): Promise<void> {
    try {
      await this.#begin();
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async #begin(): Promise<void> {
    await this.#openDisk();
    const living = this.#seats.filter((seat) => this.#disk?.isDead(seat.id) !== true);
    const online = living.map((seat) => this.#startReplica(seat));
    await Promise.all(online);
    this.#cluster.start();
    this.#timer = setInterval(() => this.#check(), CHECK_MS);
    await this.#until(() => this.#serving !== null || this.#hopeless || this.#unreadable);
    if (this.#serving !== null) return;
    if (this.#unreadable) throw this.#tooFewStores();
    const gone = this.#seats.find((seat) => seat.worker === null);
    throw gone?.crashed() ?? permanentLoss();
  }

  async #openDisk(): Promise<void> {
    const { settings, guard } = this.#boot;
    if (settings.disk === null) return;
    this.#disk = new ClusterDisk({
      settings: settings.disk,
      configuration: this.#configuration,
      clusterId: this.#clusterId,
      digest64: await loadDigest(),
      mesh: this.#mesh,
      guard,
    });
    this.#clusterId = this.#disk.clusterId;
    const dead = this.#seats.filter((seat) => this.#disk?.isDead(seat.id));
    if (this.#seats.length - dead.length < quorumSize(this.#seats.length))
      throw new VrError(
        'VR_CORRUPT_LOG',
        `the registers of replicas ${dead.map(({ id }) => id).join(', ')} cannot be read: these ids are dead, and the others are no quorum`,
        { details: { dead: dead.map(({ id }) => id) } },
      );
  }

  #tooFewStores(): VrError {
    const whole = this.#seats.filter(remembers).map(({ id }) => id);
    const needed = quorumSize(this.#seats.length);
    return new VrError(
      'VR_CORRUPT_LOG',
      `${needed} stores are needed and ${whole.length} could be read: the others are damaged or lost, so nobody can say what was acknowledged`,
      { details: { whole, needed } },
    );
  }

  /** Too few threads run, and none of the others will be started again. */
  get #hopeless(): boolean {
    const running = this.#seats.filter((seat) => seat.worker !== null).length;
    return running < quorumSize(this.#seats.length);
  }

  // ── replicas ──

  /** Resolves when the thread runs. */
  async #startReplica(seat: Seat): Promise<void> {
    const { settings, faults } = this.#boot;
    const disk = this.#disk?.launch(seat.id, seat.block.start + 1) ?? null;
    return seat.launch(
      {
        configuration: this.#configuration,
        clusterId: this.#clusterId,
        disk,
        limits: settings.limits,
        timing: settings.timing,
        pretouchBytes: settings.logPretouchBytes,
        mesh: this.#mesh,
        clients: this.clients.clients,
        faults,
      },
      {
        name: `viewstamp ${settings.name} replica ${seat.id}`,
        heapMiB: settings.replicaHeapMiB,
      },
    );
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
  #onExit(seat: Seat): void {
    this.#wakeAll();
    if (this.#leftAt < 0 && this.#serving?.primary === seat.id) this.#leave('crash');
    this.#setState(seat, 'down');
    if (this.#stopping) return;
    if (seat.error instanceof Error && seat.error.name === 'StoreContradicted')
      this.#disk?.giveUp(seat.id);
    const looping = seat.crashes.crashed(performance.now());
    // CP8: started again it would come to the same state by the same code, or hide what happened.
    const diverged = seat.error instanceof Error && seat.error.name === 'Divergence';
    const failed = (seat.error as { code?: string } | undefined)?.code === 'VR_DISK';
    const restarting =
      this.#boot.settings.autoRestart && !looping && !this.#lost && !diverged && !failed;
    const error = seat.error ?? new Error('the thread was terminated');
    this.#tell({
      type: 'replicacrash',
      detail: { replica: seat.id, error: plain(error), restarting },
    });
    if (diverged)
      this.#tell({
        type: 'divergence',
        detail: { replica: seat.id, message: (error as Error).message },
      });
    if (restarting) void this.#succeed(seat);
    this.#checkLoss();
    this.#wake();
  }

  /** `wake`, not `ring`: the thread that ended may have been killed while it rang one of these bells. */
  #wakeAll(): void {
    for (const seat of this.#seats) seat.block.doorbell.wake();
    this.#wakeClients();
  }

  async #succeed(seat: Seat): Promise<void> {
    const { start } = seat.block;
    const served = (): boolean => this.#leftAt < 0 || this.#lost || this.#stopping;
    await this.#until(served, SUCCESSOR_WAIT_MS);
    // Somebody may have asked for a restart meanwhile.
    if (seat.block.start === start && !this.#lost && !this.#stopping) this.#restart(seat);
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
    if ('stoppedAt' in message) {
      seat.error = new Error(`stopped at ${message.stoppedAt}`);
      void this.#terminate(seat);
      return;
    }
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
      case 'damaged':
        this.#tell({
          type: 'storedamaged',
          detail: { replica: seat.id, message: notice.damage },
        });
        break;
      case 'fetched': {
        const { op, pages, bytes, of } = notice;
        this.#tell({ type: 'statetransfer', detail: { replica: seat.id, op, pages, bytes, of } });
        break;
      }
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
    return this.#seats.filter(remembers).length;
  }

  #noteQuorum(): void {
    const reachable = this.#reachable;
    const needed = quorumSize(this.#seats.length);
    const lost = reachable < needed;
    // Before there was a quorum there is none to lose.
    this.#hadQuorum ||= !lost;
    if (lost === this.#quorumLost || !this.#hadQuorum || this.#stopping) return;
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
    this.#checkStores(now);
  }

  /** More than f stores cannot be used, so no view can form (E37, L4). */
  #checkStores(now: number): void {
    if (this.#disk === null || this.#serving !== null || this.#stopping) return;
    const running = this.#seats.filter((seat) => seat.worker !== null);
    const blank = running.filter((seat) => seat.present === 'recovering');
    const enough = running.length - blank.length >= quorumSize(this.#seats.length);
    if (enough || blank.length + this.#reachable < running.length) this.#blankSince = -1;
    else if (this.#blankSince < 0) this.#blankSince = now;
    if (this.#blankSince < 0 || now - this.#blankSince < UNREADABLE_MS) return;
    this.#unreadable = true;
    this.#wake();
  }

  /** H8: said once, and final: nothing restarts empty. */
  #checkLoss(): void {
    if (this.#stopping || this.#lost || this.#serving === null) return;
    // Every thread comes back with what it had (P4).
    if (this.#boot.settings.disk?.fsync === 'batch') return;
    const loss = assessLoss({
      // As the threads publish it themselves: a notice of who has just become normal may still be under way.
      states: this.#seats.map((seat) => seat.present),
      quorum: quorumSize(this.#seats.length),
      primaryNormal: this.#seats.some((seat) => seat.leads(this.#configuration)),
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
    this.clients.wakeAll();
  }

  #tell(event: ClusterEvent): void {
    this.#boot.events.postMessage(event);
  }

  /** For `metrics()`, which cannot ask. */
  #tellCounts(): void {
    const counts: ClusterCounts = {
      viewChanges: this.#viewChanges,
      restarts: this.#restarts,
      clients: this.clients.size,
    };
    this.#boot.events.postMessage({ counts });
  }

  #wake(): void {
    for (const check of [...this.#changed]) check();
  }

  /** `mostMs`: resolves then in any case. */
  #until(condition: () => boolean, mostMs = Number.POSITIVE_INFINITY): Promise<void> {
    if (condition()) return Promise.resolve();
    return new Promise((resolve) => {
      let timer: NodeJS.Timeout | undefined;
      const end = (): void => {
        clearTimeout(timer);
        this.#changed.delete(check);
        resolve();
      };
      const check = (): void => {
        if (condition()) end();
      };
      this.#changed.add(check);
      if (Number.isFinite(mostMs)) timer = setTimeout(end, mostMs);
    });
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
    this.#disk?.assertAlive(id);
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

  async status(): Promise<ClusterStatus> {
    const replicas = await Promise.all(this.#seats.map((seat) => seat.status(this.#configuration)));
    const quorum = quorumSize(replicas.length);
    const normal = replicas.filter((replica) => replica.state === 'normal').length;
    const { epoch, view, primary } = this.#serving ?? { epoch: 0, view: 0, primary: 0 };
    const healthy = !this.#lost && this.#leftAt < 0 && normal >= quorum;
    const clients = this.clients.names;
    return { epoch, view, primary, healthy, quorum, replicas, clients };
  }

  async close(): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    if (this.#timer !== null) clearInterval(this.#timer);
    if (!this.#lost) this.#cluster.end = 'closed';
    const whole = this.#seats.every((seat) => seat.present === 'normal');
    this.#wakeClients();
    await Promise.all(this.#seats.map((seat) => seat.worker?.terminate()));
    await this.#disk?.close(whole);
    this.#wake();
    this.#boot.events.close();
  }
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
/** What of an error passes between threads; a code makes a `VrError` of it again. */
function plain(error: unknown): PlainError {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error) };
  const { name, message, stack } = error;
  const { code } = error as { code?: unknown };
  return {
    name,
    message,
    ...(stack === undefined ? {} : { stack }),
    ...(typeof code === 'string' ? { code } : {}),
  };
}

/** Remembers what it promised and logged. */
function remembers(seat: Seat): boolean {
  return seat.present === 'normal' || seat.present === 'view-change';
}
