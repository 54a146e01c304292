// One copy, in the thread that uses it: a Map, and LMDB. No other thread sees a Map; LMDB is shared by every process that opens it.

import { join } from 'node:path';
import { open } from 'lmdb';
import { PIPELINE_AUTO } from '#dist/cli/bench-plan.js';
import { CANONICAL, Workload } from '#dist/cli/workload.js';
import type { Running } from '../cluster/contender.js';
import { measureHere } from '../cluster/rounds.js';
import { GetsAndSets, type Peer } from './peer.js';

interface Store {
  /** The value is valid until the next call. */
  get(key: string): Uint8Array | undefined;
  set(key: string, value: Uint8Array): unknown;
  /** Runs `body`, as one transaction where there is such a thing. */
  batch(body: () => void): void;
  close(): Promise<void>;
}

/** Looks at what it gets, as the generator does with the answers of other peers. */
class Reading extends GetsAndSets {
  readonly #store: Store;
  bytesRead = 0;

  constructor(store: Store) {
    super();
    this.#store = store;
  }

  get(key: string): void {
    const value = this.#store.get(key);
    if (value === undefined) throw new Error('a get found nothing');
    this.bytesRead += value.length;
  }

  set(key: string, value: Uint8Array): void {
    this.#store.set(key, value);
  }
}

async function runHere(store: Store): Promise<Running> {
  const source = new Workload(CANONICAL);
  const sink = new Reading(store);
  const kinds = new Uint8Array(PIPELINE_AUTO);
  await source.prefill(PIPELINE_AUTO, async (fill) => store.batch(() => fill(sink)));
  const body = (): void => {
    source.fill(sink, PIPELINE_AUTO, kinds);
  };
  return {
    round: async (times) => {
      const round = measureHere(times, () => store.batch(body));
      if (sink.bytesRead === 0) throw new Error('nothing was read');
      return round;
    },
    close: () => store.close(),
  };
}

function openMap(): Store {
  const map = new Map<string, Uint8Array>();
  return {
    get: (key) => map.get(key),
    set: (key, value) => map.set(key, value),
    batch: (body) => body(),
    close: async () => {},
  };
}

function openLmdb(directory: string): Store {
  const db = open<Uint8Array, string>({
    path: join(directory, 'lmdb'),
    encoding: 'binary',
    noSync: true,
    // A third less processor time here.
    useWritemap: true,
  });
  return {
    get: (key) => db.getBinaryFast(key),
    set: (key, value) => db.putSync(key, value),
    batch: (body) => db.transactionSync(body),
    close: () => db.close(),
  };
}

export const MAP: Peer = {
  id: 'map',
  guarantees: {
    copies: 1,
    acknowledged: 1,
    linearizable: true,
    survives: '-',
    durable: '-',
    note: 'of one thread: no other one sees it; values are neither encoded nor copied',
  },
  open: async () => [{ id: 'map', name: 'Map', start: () => runHere(openMap()) }],
};

export const LMDB: Peer = {
  id: 'lmdb',
  guarantees: {
    copies: 1,
    acknowledged: 1,
    linearizable: true,
    survives: '-',
    durable: 'kill -9',
    note: 'one writer at a time over all processes; not flushed: when the machine stops the file may be damaged',
  },
  open: async (servers) => [
    {
      id: 'lmdb',
      name: `LMDB, transactions of ${PIPELINE_AUTO}`,
      start: () => runHere(openLmdb(servers.directory)),
    },
  ],
};
