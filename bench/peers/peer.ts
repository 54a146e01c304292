// What viewstamp is compared with: a system, what it promises about the data, and one or more ways to load it. The promises stand
// beside the figures, for speed without them compares nothing.

import type { LoadAnswer, LoadApi, LoadShape, LoadTarget } from '#dist/cli/load.js';
import { CANONICAL, type OperationCalls, Workload } from '#dist/cli/workload.js';
import type { Entrant, Running } from '../cluster/contender.js';
import { measureTarget } from '../cluster/rounds.js';
import { cpuOf, type Program, type Server, type Servers } from './servers.js';

export type PeerId = 'viewstamp' | 'redis' | 'etcd' | 'nats' | 'lmdb' | 'map' | 'naive';

export interface Guarantees {
  readonly copies: number;
  /** Copies that hold a write when it is acknowledged. */
  readonly acknowledged: number;
  /** Answers are as if operations were executed one by one, also when something fails. */
  readonly linearizable: boolean;
  /** What may end without anything acknowledged being lost, and without anybody doing anything. */
  readonly survives: string;
  /** What may end, with all copies at once, without anything acknowledged being lost. */
  readonly durable: string;
  /** What the cells leave out. */
  readonly note: string;
}

export interface Peer {
  readonly id: PeerId;
  readonly guarantees: Guarantees;
  /** What has to be installed; undefined: nothing. */
  readonly program?: Program;
  /** Starts what it consists of. @returns one entrant for each way to load it */
  open(servers: Servers): Promise<readonly PeerEntrant[]>;
}

export interface PeerEntrant extends Entrant {
  /** Unique among the entrants of all peers. */
  readonly id: string;
}

/** Operations kept open where each has a promise of its own and a message over a socket. */
export const CALLS_IN_FLIGHT = 1024;
/** No more than a transaction of etcd takes. */
const FILL_BATCH = 100;

/** A store, or a pipeline of one, that does what the canonical workload asks for and nothing else. */
export abstract class GetsAndSets {
  abstract get(key: string): unknown;
  abstract set(key: string, value: Uint8Array): unknown;

  delete(): never {
    throw new Error('the canonical workload deletes nothing');
  }

  incr(): never {
    throw new Error('the canonical workload counts nothing');
  }
}

/** What a pipeline was answered, by place: bytes where a get found something. An error would have failed the whole. */
export class Values implements LoadAnswer {
  readonly #values: readonly (Uint8Array | number | null | undefined)[];

  constructor(values: readonly (Uint8Array | number | null | undefined)[]) {
    this.#values = values;
  }

  ok(): boolean {
    return true;
  }

  copyValue(i: number, target: Uint8Array): number {
    const value = this.#values[i];
    if (!(value instanceof Uint8Array)) return -1;
    target.set(value);
    return value.length;
  }

  error(): undefined {}
}

class Calls extends GetsAndSets {
  readonly sent: Promise<unknown>[] = [];
  readonly #store: OperationCalls<Uint8Array>;

  constructor(store: OperationCalls<Uint8Array>) {
    super();
    this.#store = store;
  }

  get(key: string): void {
    this.sent.push(this.#store.get(key));
  }

  set(key: string, value: Uint8Array): void {
    this.sent.push(this.#store.set(key, value));
  }
}

/** Sets every key once, the way the store is loaded. */
function fill(store: PeerStore, api: LoadApi): Promise<void> {
  const pipeline = api === 'pipeline' ? store.pipeline() : undefined;
  return new Workload(CANONICAL).prefill(FILL_BATCH, (add) => {
    if (pipeline !== undefined) {
      add(pipeline);
      return pipeline.submit();
    }
    const calls = new Calls(store);
    add(calls);
    return Promise.all(calls.sent);
  });
}

/** Connections to a store that runs in processes of its own. */
export interface PeerStore extends LoadTarget<Uint8Array> {
  close(): Promise<void>;
}

/** One way to load such a store. */
export function loaded(options: {
  readonly id: string;
  readonly name: string;
  readonly shape: LoadShape;
  readonly members: readonly Server[];
  readonly connect: () => Promise<PeerStore>;
}): PeerEntrant {
  const { id, name, shape, members, connect } = options;
  const start = async (): Promise<Running> => {
    const target = await connect();
    const source = new Workload(CANONICAL);
    try {
      await fill(target, shape.api);
    } catch (error) {
      await target.close();
      throw error;
    }
    return {
      round: (times) => measureTarget({ target, source, shape, times, cpuNs: cpuOf(members) }),
      close: () => target.close(),
    };
  };
  return { id, name, start };
}
