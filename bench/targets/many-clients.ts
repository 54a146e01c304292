// Requests of one operation from many clients: what a primary makes of callers that have nothing to combine.

import { attach, type Client, type Kv, open } from 'viewstamp';
import type { LoadPipeline, LoadShape, LoadTarget } from '#dist/cli/load.js';
import { pretouchBytes } from '#dist/cli/run.js';
import { CANONICAL, Workload } from '#dist/cli/workload.js';
import type { Running } from '../cluster/contender.js';
import { measureTarget } from '../cluster/rounds.js';

const CLIENTS = 32;
/** What one client keeps open: its window. */
const PER_CLIENT = 32;
/** One operation each: calls that a client combines would be one request, pipelines never are. */
const SHAPE: LoadShape = { api: 'pipeline', slots: CLIENTS * PER_CLIENT, batch: 1 };

/** Its pipelines, or calls, are those of the clients in turn. */
class Turns implements LoadTarget<Uint8Array> {
  readonly #stores: readonly Kv<Uint8Array>[];
  #next = 0;

  constructor(clients: readonly Client[]) {
    this.#stores = clients.map(({ kv }) => kv.namespace<Uint8Array>('', { encoding: 'bytes' }));
  }

  get #store(): Kv<Uint8Array> {
    return this.#stores[this.#next++ % this.#stores.length] as Kv<Uint8Array>;
  }

  get(key: string): Promise<unknown> {
    return this.#store.get(key);
  }

  set(key: string, value: Uint8Array): Promise<unknown> {
    return this.#store.set(key, value);
  }

  delete(key: string): Promise<unknown> {
    return this.#store.delete(key);
  }

  incr(key: string, by?: number): Promise<unknown> {
    return this.#store.incr(key, by);
  }

  pipeline(): LoadPipeline<Uint8Array> {
    return this.#store.pipeline();
  }
}

/** `logBytes`: of each replica's log, resident before. */
export async function startManyClients(logBytes: number): Promise<Running> {
  const cluster = await open({
    name: 'many clients',
    batch: { window: PER_CLIENT },
    limits: { clients: CLIENTS + 1, logPretouchBytes: pretouchBytes(logBytes) },
  });
  const clients = await Promise.all(
    Array.from({ length: CLIENTS }, () => attach(cluster.share().data)),
  );
  const target = new Turns(clients);
  const source = new Workload(CANONICAL);
  await Promise.all(
    source.keys.map((key, index) =>
      target.set(key, source.values[index % source.values.length] as Uint8Array),
    ),
  );
  return {
    round: (times) => measureTarget({ target, source, shape: SHAPE, times }),
    close: async () => {
      for (const client of clients) await client.close();
      await cluster.close();
    },
  };
}
