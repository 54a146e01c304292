// Naive replication, as one writes it in an afternoon: postMessage per operation to a primary thread, which forwards each to two
// backups, waits for one of them, and answers. No view change, no retry, no ordering across failures: it is here for its speed.

import { MessageChannel, Worker } from 'node:worker_threads';
import type { LoadPipeline, LoadTarget } from '#dist/cli/load.js';
import { CANONICAL, Workload } from '#dist/cli/workload.js';
import type { Contender, Running } from './contender.js';
import type { NaiveBoot, NaiveReply, NaiveRequest } from './naive.worker.js';
import { PROMISES_IN_FLIGHT } from './replicated.js';
import { measureTarget } from './rounds.js';

const WORKER = new URL('./naive.worker.js', import.meta.url);

class NaiveCluster implements LoadTarget<Uint8Array> {
  readonly #workers: Worker[] = [];
  readonly #primary: Worker;
  readonly #waiting = new Map<number, (value: NaiveReply['value']) => void>();
  #next = 0;

  constructor() {
    const toBackups = [new MessageChannel(), new MessageChannel()];
    this.#primary = this.#spawn({ role: 'primary', ports: toBackups.map(({ port1 }) => port1) });
    for (const { port2 } of toBackups) this.#spawn({ role: 'backup', ports: [port2] });
    this.#primary.on('message', ({ id, value }: NaiveReply) => {
      const resolve = this.#waiting.get(id);
      this.#waiting.delete(id);
      resolve?.(value);
    });
  }

  #spawn(boot: NaiveBoot): Worker {
    const worker = new Worker(WORKER, { workerData: boot, transferList: boot.ports });
    this.#workers.push(worker);
    return worker;
  }

  #call(op: NaiveRequest['op'], key: string, value?: Uint8Array): Promise<NaiveReply['value']> {
    return new Promise((resolve) => {
      const id = this.#next++;
      this.#waiting.set(id, resolve);
      this.#primary.postMessage({ id, op, key, value } satisfies NaiveRequest);
    });
  }

  get(key: string): Promise<NaiveReply['value']> {
    return this.#call('get', key);
  }

  set(key: string, value: Uint8Array): Promise<unknown> {
    return this.#call('set', key, value);
  }

  delete(key: string): Promise<unknown> {
    return this.#call('delete', key);
  }

  incr(): Promise<never> {
    throw new Error('the naive store has no counters');
  }

  pipeline(): LoadPipeline<Uint8Array> {
    throw new Error('the naive store takes one operation at a time');
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }
}

export const NAIVE: Contender = {
  id: 'naive',
  name: 'naive: postMessage per operation',
  start: async (): Promise<Running> => {
    const target = new NaiveCluster();
    const source = new Workload(CANONICAL);
    await Promise.all(
      source.keys.map((key, index) =>
        target.set(key, source.values[index % source.values.length] as Uint8Array),
      ),
    );
    const shape = {
      api: 'promise',
      slots: PROMISES_IN_FLIGHT,
      batch: 1,
    } as const;
    return {
      round: (times) => measureTarget({ target, source, shape, times }),
      close: () => target.close(),
    };
  },
};
