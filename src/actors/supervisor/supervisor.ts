// The supervisor: starts replicas, tells the survivors at once when one is gone, starts its successor, and ends what hangs. It
// owns what must outlive a replica's thread: rings, promise registers, the list of clients. On a thread of its own, so that a busy
// user thread cannot delay it. It decides nothing about the protocol.

import { randomBytes } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { type Configuration, makeConfiguration } from '../../protocol/configuration.js';
import { allocateMesh, ClusterBlock, type MeshMemory } from '../../transport/mesh.js';
import type { ReplicaState } from '../api.js';
import type { ClusterCounts, ClusterEvent, ReplicaNotice, SupervisorBoot } from '../boot.js';
import { VrError } from '../errors.js';
import { replicaId } from '../option-checks.js';
import { plain } from '../plain-error.js';
import { loadDigest } from '../replica/digest.js';
import { Administration } from './administration.js';
import { Changes } from './changes.js';
import { ClientRegistry } from './client-registry.js';
import type { ClusterDisk } from './cluster-disk.js';
import { Faults } from './faults.js';
import { permanentLoss, QuorumWatch } from './quorum-watch.js';
import { Seat } from './seat.js';
import { ServingView } from './serving-view.js';
import { HangDetector } from './watchdog.js';

const CHECK_MS = 100;
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
  readonly administration: Administration;
  readonly faults: Faults | null;
  readonly #hangs: HangDetector;
  readonly #changes = new Changes();
  readonly #view = new ServingView();
  readonly #quorum: QuorumWatch;
  #stopping = false;
  #unreadable = false;
  #restarts = 0;
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
    this.#quorum = new QuorumWatch(this.#configuration, this.#seats);
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
      status: () => this.administration.status(),
    });
    this.#hangs = new HangDetector(settings.hangMs);
    const host = {
      mesh: this.#mesh,
      configuration: this.#configuration,
      seats: this.#seats,
      clients: this.clients,
      view: this.#view,
      quorum: this.#quorum,
      changes: this.#changes,
      seat: (id: number) => this.#seat(id),
      assertAlive: ({ id }: Seat) => this.#disk?.assertAlive(id),
      terminate: (seat: Seat) => this.#terminate(seat),
      restart: (seat: Seat) => this.#restart(seat),
      isLost: () => this.#lost,
      isStopping: () => this.#stopping,
    };
    this.administration = new Administration(host);
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
    const served = (): boolean => this.#view.info !== null;
    await this.#changes.until(() => served() || this.#quorum.hopeless || this.#unreadable);
    if (served()) return;
    if (this.#unreadable) throw this.#quorum.tooFewStores();
    const gone = this.#seats.find((seat) => seat.worker === null);
    throw gone?.crashed() ?? permanentLoss();
  }

  async #openDisk(): Promise<void> {
    const { settings, guard } = this.#boot;
    if (settings.disk === null) return;
    // Its database takes longer to load than all the rest of this thread, and without a directory nobody needs it.
    const disk = await import('./cluster-disk.js');
    this.#disk = new disk.ClusterDisk({
      settings: settings.disk,
      configuration: this.#configuration,
      clusterId: this.#clusterId,
      digest64: await loadDigest(),
      mesh: this.#mesh,
      guard,
    });
    this.#clusterId = this.#disk.clusterId;
    const dead = this.#seats.filter((seat) => this.#disk?.isDead(seat.id));
    if (this.#seats.length - dead.length < this.#quorum.needed)
      throw new VrError(
        'VR_CORRUPT_LOG',
        `the registers of replicas ${dead.map(({ id }) => id).join(', ')} cannot be read: these ids are dead, and the others are no quorum`,
        { details: { dead: dead.map(({ id }) => id) } },
      );
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
    if (!this.#view.isLeft && this.#view.info?.primary === seat.id)
      this.#view.leave('crash', performance.now());
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
    this.#changes.tell();
  }

  /** `wake`, not `ring`: the thread that ended may have been killed while it rang one of these bells. */
  #wakeAll(): void {
    for (const seat of this.#seats) seat.block.doorbell.wake();
    this.clients.wakeAll();
  }

  async #succeed(seat: Seat): Promise<void> {
    const { start } = seat.block;
    const served = (): boolean => !this.#view.isLeft || this.#lost || this.#stopping;
    await this.#changes.until(served, SUCCESSOR_WAIT_MS);
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
        if (notice.status === 'view-change' && notice.view > (this.#view.info?.view ?? -1))
          this.#view.leave(notice.reason ?? 'higher-view', performance.now());
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

  #onServing(seat: Seat, view: number): void {
    const info = { epoch: 0, view, primary: seat.id };
    const change = this.#view.begin(info, performance.now());
    if (change !== null) {
      this.#tellCounts();
      this.#tell({ type: 'viewchange', detail: change });
    }
    this.#changes.tell();
  }

  #setState(seat: Seat, to: ReplicaState): void {
    const from = seat.state;
    if (from === to) return;
    seat.state = to;
    this.#tell({ type: 'replicastate', detail: { replica: seat.id, from, to } });
    const news = this.#stopping ? null : this.#quorum.news();
    if (news !== null) this.#tell(news);
    this.#changes.tell();
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

  #checkStores(now: number): void {
    if (this.#disk === null || this.#view.info !== null || this.#stopping) return;
    if (!this.#quorum.unreadable(now)) return;
    this.#unreadable = true;
    this.#changes.tell();
  }

  /** H8: said once, and final: nothing restarts empty. */
  #checkLoss(): void {
    if (this.#stopping || this.#lost || this.#view.info === null) return;
    // Every thread comes back with what it had (P4).
    if (this.#boot.settings.disk?.fsync === 'batch') return;
    if (this.#quorum.isGone(performance.now())) this.#declareLoss();
  }

  #declareLoss(): void {
    this.#cluster.end = 'lost';
    this.clients.wakeAll();
    const { reachable, needed } = this.#quorum;
    this.#tell({ type: 'quorumlost', detail: { reachable, needed, permanent: true } });
    this.#changes.tell();
  }

  #tell(event: ClusterEvent): void {
    this.#boot.events.postMessage(event);
  }

  /** For `metrics()`, which cannot ask. */
  #tellCounts(): void {
    const counts: ClusterCounts = {
      viewChanges: this.#view.changes,
      restarts: this.#restarts,
      clients: this.clients.size,
    };
    this.#boot.events.postMessage({ counts });
  }

  #seat(id: number): Seat {
    return this.#seats[replicaId(id, this.#seats.length)] as Seat;
  }

  async close(): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    if (this.#timer !== null) clearInterval(this.#timer);
    if (!this.#lost) this.#cluster.end = 'closed';
    const whole = this.#seats.every((seat) => seat.present === 'normal');
    this.clients.wakeAll();
    await Promise.all(this.#seats.map((seat) => seat.worker?.terminate()));
    await this.#disk?.close(whole);
    this.#changes.tell();
    this.#boot.events.close();
  }
}
