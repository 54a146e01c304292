// One replica's place in the cluster, which outlives its threads: the thread of the moment, what it shares with the others, what
// it last said of itself. It starts and watches one thread at a time; what its end means is the supervisor's affair.

import { MessageChannel, type Worker } from 'node:worker_threads';
import { type Configuration, primaryOf, roleOf } from '../../protocol/configuration.js';
import type { ReplicaId } from '../../protocol/types.js';
import { type MeshMemory, ReplicaBlock, ReplicaCounters } from '../../transport/mesh.js';
import type { ReplicaState, ReplicaStatus } from '../api.js';
import {
  type ReplicaBoot,
  type ReplicaControl,
  type ReplicaNotice,
  STATUS_CODES,
  type StopPoint,
} from '../boot.js';
import { type Connection, connect, type Port } from '../control.js';
import { VrError } from '../errors.js';
import { CrashCounter } from './loss.js';
import { spawnReplica } from './spawn.js';

/** How long a replica may take to give its digest before status goes without. */
const DIGEST_WAIT_MS = 1000;

/** Whoever wants to hear of a seat's threads. */
export interface SeatObserver {
  onNotice(seat: Seat, message: ReplicaNotice): void;
  /** The thread threw: it is about to end. */
  onError(seat: Seat): void;
  /** H7: no instruction of that start can run any more. */
  onExit(seat: Seat, start: number): void;
}

export class Seat {
  readonly id: ReplicaId;
  readonly block: ReplicaBlock;
  readonly counters: ReplicaCounters;
  readonly crashes: CrashCounter = new CrashCounter();
  worker: Worker | null = null;
  control: Connection<ReplicaControl> | null = null;
  /** As shown to users: `normal` only once its log is executed. */
  state: ReplicaState = 'down';
  /** Why its thread ended, as far as it said. */
  error: unknown = undefined;
  /** Only with faults: where its next thread is to stop. */
  nextStop: StopPoint | null = null;
  readonly #observer: SeatObserver;

  constructor(mesh: MeshMemory, id: ReplicaId, observer: SeatObserver) {
    this.id = id;
    this.block = new ReplicaBlock(mesh, id);
    this.counters = new ReplicaCounters(mesh, id);
    this.#observer = observer;
  }

  /** The protocol's state as the thread publishes it: a notice of it may still be under way. */
  get present(): ReplicaState {
    return (this.worker === null ? undefined : STATUS_CODES[this.block.status]) ?? 'down';
  }

  /** Leads the view that it is in. */
  leads(configuration: Configuration): boolean {
    return (
      this.present === 'normal' && primaryOf(configuration, this.counters.get('view')) === this.id
    );
  }

  /** H1: only after the exit event of the thread before. Resolves when the new one runs. */
  launch(
    boot: Omit<ReplicaBoot, 'id' | 'start' | 'notices' | 'stopAt'>,
    thread: { readonly name: string; readonly heapMiB: number },
  ): Promise<void> {
    const start = this.block.start + 1;
    this.block.start = start;
    // It was the thread before that was to stand still.
    this.block.paused = false;
    this.error = undefined;
    const stopAt = this.nextStop;
    this.nextStop = null;
    const { port1, port2 } = new MessageChannel();
    const worker = spawnReplica({
      name: thread.name,
      // A successor is to be there soon; its log is read, not written, for a while.
      data: {
        ...boot,
        id: this.id,
        start,
        notices: port2,
        pretouchBytes: start === 1 ? boot.pretouchBytes : 0,
        ...(stopAt === null ? {} : { stopAt }),
      } satisfies ReplicaBoot,
      transfer: [port2],
      heapMiB: thread.heapMiB,
    });
    this.worker = worker;
    const ended = (): VrError => this.crashed();
    this.control = connect<ReplicaControl>(calling(worker, this.block), ended);
    port1.on('message', (message: ReplicaNotice) => this.#observer.onNotice(this, message));
    worker.on('error', (error) => {
      this.error = error;
      this.#observer.onError(this);
    });
    return new Promise((resolve, reject) => {
      worker.once('online', resolve);
      worker.once('exit', () => {
        port1.close();
        this.control?.fail(ended());
        this.worker = null;
        this.control = null;
        this.block.exited = start;
        this.block.status = STATUS_CODES.indexOf('down');
        this.#observer.onExit(this, start);
        reject(ended());
      });
    });
  }

  crashed(): VrError {
    const why = this.error instanceof Error ? `: ${this.error.message}` : '';
    return new VrError('VR_REPLICA_CRASHED', `replica ${this.id} has ended${why}`, {
      retryable: true,
      details: { replica: this.id },
    });
  }

  async status(configuration: Configuration): Promise<ReplicaStatus> {
    const { counters } = this;
    const witness = roleOf(configuration, this.id) === 'witness';
    const answer = witness ? null : await this.#digest();
    return {
      id: this.id,
      role: witness ? 'witness' : this.leads(configuration) ? 'primary' : 'backup',
      state: this.state,
      paused: this.worker !== null && this.block.paused,
      view: counters.get('view'),
      start: this.block.start,
      opNumber: counters.get('opNumber'),
      commitNumber: counters.get('commitNumber'),
      appliedNumber: answer?.applied ?? counters.get('appliedNumber'),
      logBytes: counters.get('logBytes'),
      storeBytes: counters.get('storeBytes'),
      digest: answer?.digest ?? '',
    };
  }

  async #digest(): Promise<{ applied: number; digest: string } | null> {
    const { control } = this;
    if (control === null || this.block.paused) return null;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<null>((resolve) => {
      timer = setTimeout(() => resolve(null), DIGEST_WAIT_MS);
    });
    const answer = control.remote.digest().catch(() => null);
    const first = await Promise.race([answer, late]);
    clearTimeout(timer);
    return first;
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
