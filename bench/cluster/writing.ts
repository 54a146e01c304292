// Load for the measurements of checkpoints and disks: pipelines of sets over a number of keys, a fixed number of them open, without the
// harness of the other benchmarks, which measures fixed times and not fixed numbers of operations.

import { performance } from 'node:perf_hooks';
import type { Cluster, Kv } from 'viewstamp';

export const VALUE_BYTES = 100;
const PIPELINE = 500;
const OPEN = 24;
const TIMEOUT_MS = 120_000;

export class Writing {
  readonly #kv: Kv<Uint8Array>;
  readonly #value: Uint8Array;
  #next = 0;
  /** Operations acknowledged. */
  done = 0;

  constructor(cluster: Cluster, valueBytes: number) {
    this.#kv = cluster.kv.namespace<Uint8Array>('', { encoding: 'bytes' });
    this.#value = new Uint8Array(valueBytes).fill(7);
  }

  /** Sets the keys `0..keys` in turn, as long as `more` says so. @returns operations per second */
  async run(keys: number, more: (asked: number) => boolean): Promise<number> {
    const began = performance.now();
    const open = new Set<Promise<unknown>>();
    let asked = 0;
    while (more(asked)) {
      const pipeline = this.#kv.pipeline();
      for (let i = 0; i < PIPELINE; i++)
        pipeline.set(`key ${String(this.#next++ % keys).padStart(9, '0')}`, this.#value);
      asked += PIPELINE;
      const sent: Promise<unknown> = pipeline.submit({ timeoutMs: TIMEOUT_MS }).then(() => {
        this.done += PIPELINE;
        open.delete(sent);
      });
      open.add(sent);
      if (open.size >= OPEN) await Promise.race(open);
    }
    await Promise.all(open);
    return (asked / (performance.now() - began)) * 1000;
  }

  operations(count: number, keys: number): Promise<number> {
    return this.run(keys, (asked) => asked < count);
  }

  forMs(ms: number, keys: number): Promise<number> {
    const until = performance.now() + ms;
    return this.run(keys, () => performance.now() < until);
  }
}

/** All replicas normal, and those that execute in one state at one op. */
export async function untilAgreed(cluster: Cluster): Promise<void> {
  for (;;) {
    const { replicas } = await cluster.status();
    const actives = replicas.filter(({ role }) => role !== 'witness');
    const states = new Set(
      actives.map(({ appliedNumber, digest }) => `${appliedNumber} ${digest}`),
    );
    if (states.size === 1 && replicas.every(({ state }) => state === 'normal')) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
