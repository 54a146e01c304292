// The client threads of a soak, as their main thread sees them: started, made to stand still, ended in the middle of their calls,
// and followed by successors that go on in the same history.

import { Worker } from 'node:worker_threads';
import type { Cluster, ClusterLink } from '../../index.js';
import { History } from './history.js';

export interface ClientTask {
  readonly link: ClusterLink;
  readonly history: SharedArrayBuffer;
  readonly words: SharedArrayBuffer;
  /** Its place among so many `threads`. */
  readonly thread: number;
  readonly threads: number;
  readonly lanes: number;
  /** Number of its first lane among all lanes there ever were. */
  readonly firstClient: number;
  readonly seed: number;
  /** Mean pause of a lane between two calls. */
  readonly pauseMs: number;
}

/** Logical clients of one thread. */
const LANES = 4;
/** A thread that nobody lets go on does so itself. */
const STILL_MS = 5000;
const STOP_MS = 30_000;

const RUN = 0;
const STILL = 1;
const STOP = 2;

/** Orders to a client thread, and whether it stands still: two words. */
export class ClientWords {
  readonly #words: Int32Array;

  constructor(memory: SharedArrayBuffer) {
    this.#words = new Int32Array(memory);
  }

  get stopping(): boolean {
    return Atomics.load(this.#words, 0) === STOP;
  }

  get freezing(): boolean {
    return Atomics.load(this.#words, 0) === STILL;
  }

  get still(): boolean {
    return Atomics.load(this.#words, 1) === 1;
  }

  order(order: 'run' | 'still' | 'stop'): void {
    Atomics.store(this.#words, 0, { run: RUN, still: STILL, stop: STOP }[order]);
    Atomics.notify(this.#words, 0);
  }

  /** In the thread: blocks it until another order comes. */
  standStill(): void {
    Atomics.store(this.#words, 1, 1);
    Atomics.wait(this.#words, 0, STILL, STILL_MS);
    Atomics.store(this.#words, 1, 0);
  }
}

interface Seat {
  readonly name: string;
  readonly history: SharedArrayBuffer;
  readonly words: SharedArrayBuffer;
  worker: Worker | null;
  /** Settles with its thread: why it ended, when it should not have. */
  ended: Promise<void>;
}

export class ClientThreads {
  /** Why a thread ended that should not have. */
  failure: unknown;
  readonly #seats: readonly Seat[];
  readonly #pauseMs: number;
  readonly #seed: number;
  #cluster: Cluster | null = null;
  #clients = 0;

  /** `rate`: calls per second of all together. */
  constructor(options: { readonly threads: number; readonly rate: number; readonly seed: number }) {
    const { threads, rate, seed } = options;
    this.#pauseMs = (1000 * threads * LANES) / rate;
    this.#seed = seed;
    this.#seats = Array.from({ length: threads }, (_, thread) => ({
      name: `soak-${thread}`,
      history: History.allocate(),
      words: new SharedArrayBuffer(8),
      worker: null,
      ended: Promise.resolve(),
    }));
  }

  get histories(): SharedArrayBuffer[] {
    return this.#seats.map((seat) => seat.history);
  }

  /** All of them, with empty histories. */
  start(cluster: Cluster): void {
    this.#cluster = cluster;
    this.#clients = 0;
    for (const [thread, seat] of this.#seats.entries()) {
      new History(seat.history).clear();
      this.#begin(seat, thread);
    }
  }

  #begin(seat: Seat, thread: number): void {
    if (this.#cluster === null) return;
    const { data, transfer } = this.#cluster.share({ name: seat.name });
    new ClientWords(seat.words).order('run');
    const task: ClientTask = {
      link: data,
      history: seat.history,
      words: seat.words,
      thread,
      threads: this.#seats.length,
      lanes: LANES,
      firstClient: this.#clients,
      seed: this.#seed,
      pauseMs: this.#pauseMs,
    };
    this.#clients += LANES;
    const worker = new Worker(new URL('./client.worker.js', import.meta.url), {
      name: seat.name,
      workerData: task,
      transferList: [...transfer],
    });
    seat.worker = worker;
    worker.once('error', (error) => {
      this.failure ??= error;
    });
    seat.ended = new Promise((resolve) => {
      worker.once('exit', () => resolve());
    });
  }

  /** Ends a thread with its calls open; another one takes its place. */
  async replace(thread: number): Promise<void> {
    const seat = this.#seat(thread);
    await seat.worker?.terminate();
    await seat.ended;
    this.#begin(seat, thread);
  }

  /** Runs `what` while the thread stands still. @returns what it returned, or null when the thread did not heed. */
  async whileStill<T>(
    thread: number,
    withinMs: number,
    what: (name: string) => Promise<T>,
  ): Promise<T | null> {
    const seat = this.#seat(thread);
    const words = new ClientWords(seat.words);
    words.order('still');
    try {
      for (let waited = 0; !words.still; waited += 2) {
        if (waited > withinMs) return null;
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
      return await what(seat.name);
    } finally {
      words.order('run');
    }
  }

  /** Lets what is open finish. @throws why a thread ended that should not have */
  async stop(): Promise<void> {
    for (const seat of this.#seats) new ClientWords(seat.words).order('stop');
    const late = setTimeout(() => {
      this.failure ??= new Error(`a client thread is not done ${STOP_MS / 1e3} s after the end`);
      void this.kill();
    }, STOP_MS);
    await Promise.all(this.#seats.map((seat) => seat.ended));
    clearTimeout(late);
    this.#cluster = null;
    if (this.failure !== undefined) throw this.failure;
  }

  /** However they are. */
  async kill(): Promise<void> {
    await Promise.all(this.#seats.map((seat) => seat.worker?.terminate()));
  }

  #seat(thread: number): Seat {
    const seat = this.#seats[thread];
    if (seat === undefined) throw new Error(`there is no client thread ${thread}`);
    return seat;
  }
}
