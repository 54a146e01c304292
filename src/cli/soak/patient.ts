// What a fault does to a cluster, as seen from outside: which replicas are not normal, which threads ended, and how long a request
// has to wait meanwhile.

import { setTimeout as sleep } from 'node:timers/promises';
import type { Cluster, ReplicaState } from '../../index.js';

const PROBE_PAUSE_MS = 2;
const PROBE_KEY = 'probe';

export class Patient {
  readonly #cluster: Cluster;
  readonly #states: ReplicaState[];
  readonly #crashed: Set<number> = new Set();
  readonly #subscriptions: Disposable[];
  /** Threads that ended since the beginning. */
  crashes = 0;
  /** When the last one of them did. */
  crashedAt = 0;
  #news = (): void => undefined;

  constructor(cluster: Cluster, replicas: number) {
    this.#cluster = cluster;
    this.#states = new Array<ReplicaState>(replicas).fill('recovering');
    this.#subscriptions = [
      cluster.on('replicastate', ({ replica, to }) => {
        this.#states[replica] = to;
        this.#news();
      }),
      cluster.on('replicacrash', ({ replica }) => {
        this.crashes++;
        this.crashedAt = performance.now();
        this.#crashed.add(replica);
        this.#news();
      }),
      cluster.on('quorumlost', () => this.#news()),
    ];
  }

  /** Forgets who has crashed so far. */
  begin(): void {
    this.#crashed.clear();
  }

  hasCrashed(replica: number): boolean {
    return this.#crashed.has(replica);
  }

  get normal(): boolean {
    return this.#states.every((state) => state === 'normal');
  }

  /** Waits for events. @returns whether it became true in time. */
  async until(condition: () => boolean, withinMs: number): Promise<boolean> {
    const deadline = performance.now() + withinMs;
    while (!condition()) {
      const left = deadline - performance.now();
      if (left <= 0) return false;
      const heard = new Promise<void>((resolve) => {
        this.#news = resolve;
      });
      const timer = new AbortController();
      await Promise.race([
        heard,
        sleep(left, undefined, { signal: timer.signal }).catch(() => undefined),
      ]);
      timer.abort();
    }
    return true;
  }

  /** Events may still be under way: asks once more, until what it is told is that all are normal. */
  async whole(withinMs: number): Promise<boolean> {
    const deadline = performance.now() + withinMs;
    for (;;) {
      if (!(await this.until(() => this.normal, deadline - performance.now()))) return false;
      const { healthy, replicas } = await this.#cluster.status({ timeoutMs: 10_000 });
      for (const { id, state } of replicas) this.#states[id] = state;
      if (healthy && this.normal) return true;
      if (performance.now() > deadline) return false;
      await sleep(5);
    }
  }

  describe(): string {
    return this.#states.map((state, id) => `replica ${id} ${state}`).join(', ');
  }

  [Symbol.dispose](): void {
    for (const subscription of this.#subscriptions) subscription[Symbol.dispose]();
  }
}

/** Small requests one after the other, for as long as it is not stopped. */
export class Prober {
  /** The longest that one of them had to wait for its answer. */
  worstMs = 0;
  readonly #done: Promise<void>;
  #stopping = false;

  constructor(cluster: Cluster) {
    this.#done = this.#run(cluster);
  }

  async #run(cluster: Cluster): Promise<void> {
    while (!this.#stopping) {
      const at = performance.now();
      // One that fails had to wait as long, and is asked again.
      await cluster.kv.set(PROBE_KEY, 0).catch(() => undefined);
      this.worstMs = Math.max(this.worstMs, performance.now() - at);
      await sleep(PROBE_PAUSE_MS);
    }
  }

  /** @returns the longest wait, in milliseconds. */
  async stop(): Promise<number> {
    this.#stopping = true;
    await this.#done;
    return this.worstMs;
  }
}
