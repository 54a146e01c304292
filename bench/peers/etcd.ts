// etcd: three members, asked at their leader. Each operation a request of its own, or many in one transaction.

import { join } from 'node:path';
import type { LoadPipeline } from '#dist/cli/load.js';
import { EtcdClient, type Put, type RequestOp } from './etcd-client.js';
import { CALLS_IN_FLIGHT, GetsAndSets, loaded, type Peer, type PeerStore, Values } from './peer.js';
import { freePorts, type Servers } from './servers.js';

const PROGRAM = { name: 'etcd', package: 'etcd-server' };
const MEMBERS = 3;
/** Operations of a transaction; etcd allows 128. */
const TRANSACTION = 64;
const TRANSACTIONS_IN_FLIGHT = 64;
/** Of the history that etcd keeps: without a bound a long run would fill the memory. */
const REVISIONS_KEPT = 100_000;

class Transaction extends GetsAndSets implements LoadPipeline<Uint8Array> {
  readonly #client: EtcdClient;
  readonly #operations: RequestOp[] = [];
  /** By place in the pipeline, the place in the transaction. */
  readonly #places: number[] = [];
  readonly #puts = new Map<string, Put>();

  constructor(client: EtcdClient) {
    super();
    this.#client = client;
  }

  get(key: string): void {
    this.#add({ range: { key: bytesOf(key) } });
  }

  set(key: string, value: Uint8Array): void {
    // A transaction may put a key once: a second set of it takes the place of the first.
    const earlier = this.#puts.get(key);
    if (earlier !== undefined) {
      earlier.value = value;
      this.#places.push(-1);
      return;
    }
    const put = { key: bytesOf(key), value };
    this.#puts.set(key, put);
    this.#add({ put });
  }

  #add(operation: RequestOp): void {
    this.#places.push(this.#operations.push(operation) - 1);
  }

  async submit(): Promise<Values> {
    const places = this.#places.splice(0);
    this.#puts.clear();
    const values = await this.#client.transaction(this.#operations.splice(0));
    return new Values(places.map((place) => values[place]));
  }
}

class EtcdStore extends GetsAndSets implements PeerStore {
  readonly #client: EtcdClient;

  constructor(client: EtcdClient) {
    super();
    this.#client = client;
  }

  get(key: string): Promise<Uint8Array | undefined> {
    return this.#client.range({ key: bytesOf(key) });
  }

  // The generator takes an answer of undefined for a get that found nothing.
  async set(key: string, value: Uint8Array): Promise<true> {
    await this.#client.put({ key: bytesOf(key), value });
    return true;
  }

  pipeline(): Transaction {
    return new Transaction(this.#client);
  }

  async close(): Promise<void> {
    this.#client.close();
  }
}

function bytesOf(key: string): Buffer {
  return Buffer.from(key, 'latin1');
}

/** @returns the port that the leader serves clients on. @throws while there is none */
async function leaderPort(ports: readonly number[]): Promise<number> {
  for (const port of ports) {
    const client = await EtcdClient.connect(port);
    try {
      if (await client.leads()) return port;
    } finally {
      client.close();
    }
  }
  throw new Error('etcd has no leader');
}

async function startMembers(servers: Servers) {
  const ports = await freePorts(2 * MEMBERS);
  const clientPorts = ports.slice(0, MEMBERS);
  const at = (port: number | undefined): string => `http://127.0.0.1:${port}`;
  const peerPorts = ports.slice(MEMBERS);
  const all = peerPorts.map((port, index) => `m${index}=${at(port)}`).join(',');
  const members = clientPorts.map((port, index) =>
    servers.start(PROGRAM, [
      ...['--name', `m${index}`, '--data-dir', join(servers.directory, `etcd-${index}`)],
      ...['--listen-client-urls', at(port), '--advertise-client-urls', at(port)],
      ...['--listen-peer-urls', at(peerPorts[index])],
      ...['--initial-advertise-peer-urls', at(peerPorts[index])],
      ...['--initial-cluster', all, '--initial-cluster-token', 'viewstamp-peers'],
      ...['--auto-compaction-mode', 'revision'],
      ...['--auto-compaction-retention', String(REVISIONS_KEPT)],
    ]),
  );
  return { members, port: await servers.ready(members, () => leaderPort(clientPorts)) };
}

export const ETCD: Peer = {
  id: 'etcd',
  program: PROGRAM,
  guarantees: {
    copies: MEMBERS,
    acknowledged: 2,
    linearizable: true,
    survives: '1 process',
    durable: 'kill -9',
    note: 'writes by Raft, reads by read-index; its files lie in memory if there is room (/dev/shm), where flushing costs nothing',
  },
  open: async (servers) => {
    const { members, port } = await startMembers(servers);
    const connect = async (): Promise<PeerStore> => new EtcdStore(await EtcdClient.connect(port));
    return [
      loaded({
        id: 'etcd-single',
        name: 'etcd, a request per operation',
        shape: { api: 'promise', slots: CALLS_IN_FLIGHT, batch: 1 },
        members,
        connect,
      }),
      loaded({
        id: 'etcd-transactions',
        name: `etcd, transactions of ${TRANSACTION}`,
        shape: { api: 'pipeline', slots: TRANSACTIONS_IN_FLIGHT, batch: TRANSACTION },
        members,
        connect,
      }),
    ];
  },
};
