// Redis: a primary with two replicas and `WAIT 1` at the end of each pipeline, so that a write is answered when two of three hold it.
// That is the most it promises, and less than a quorum protocol does: nobody agrees on who the primary is.

import type { LoadPipeline } from '#dist/cli/load.js';
import { GetsAndSets, loaded, type Peer, type PeerStore, Values } from './peer.js';
import { RespConnection } from './resp.js';
import { freePorts, type Servers } from './servers.js';

const PROGRAM = { name: 'redis-server', package: 'redis-server' };
const REPLICAS = 2;
/** WAIT holds up its connection: each pipeline in flight has one of its own, as many as were found best for its length. */
const WAYS = [
  { length: 1, connections: 64 },
  { length: 64, connections: 32 },
  { length: 512, connections: 8 },
];
const WAIT_MS = Buffer.from('5000');

class WaitingPipeline extends GetsAndSets implements LoadPipeline<Uint8Array> {
  readonly #connection: RespConnection;

  constructor(connection: RespConnection) {
    super();
    this.#connection = connection;
  }

  get(key: string): void {
    this.#connection.add('GET', key);
  }

  set(key: string, value: Uint8Array): void {
    this.#connection.add('SET', key, value);
  }

  async submit(): Promise<Values> {
    this.#connection.add('WAIT', '1', WAIT_MS);
    const replies = await this.#connection.send();
    const acknowledged = replies.pop();
    if (typeof acknowledged !== 'number' || acknowledged < 1)
      throw new Error('no replica of Redis acknowledged the writes');
    return new Values(replies);
  }
}

class RedisStore extends GetsAndSets implements PeerStore {
  readonly #connections: readonly RespConnection[];
  #next = 0;

  constructor(connections: readonly RespConnection[]) {
    super();
    this.#connections = connections;
  }

  get(): never {
    throw new Error('Redis is loaded with pipelines');
  }

  set(): never {
    return this.get();
  }

  pipeline(): WaitingPipeline {
    const at = this.#next++ % this.#connections.length;
    return new WaitingPipeline(this.#connections[at] as RespConnection);
  }

  async close(): Promise<void> {
    for (const connection of this.#connections) connection.close();
  }
}

async function connectStore(port: number, connections: number): Promise<RedisStore> {
  const ports = Array.from({ length: connections }, () => port);
  return new RedisStore(await Promise.all(ports.map(RespConnection.connect)));
}

/** @throws while not all replicas follow. */
async function checkReplicas(port: number): Promise<void> {
  const connection = await RespConnection.connect(port);
  try {
    connection.add('INFO', 'replication');
    const [text] = await connection.send();
    const online = String(text).match(/^slave\d+:.*state=online/gm) ?? [];
    if (online.length < REPLICAS) throw new Error(`${online.length} replicas of Redis follow`);
  } finally {
    connection.close();
  }
}

async function startMembers(servers: Servers) {
  const ports = await freePorts(1 + REPLICAS);
  const [primary] = ports as [number, ...number[]];
  const members = ports.map((port) =>
    servers.start(PROGRAM, [
      ...['--port', String(port), '--bind', '127.0.0.1', '--dir', servers.directory],
      ...['--save', '', '--appendonly', 'no', '--repl-diskless-sync-delay', '0'],
      // Under load a replica falls behind for a moment; by default it would be cut off for that.
      ...['--client-output-buffer-limit', 'replica 0 0 0'],
      ...(port === primary ? [] : ['--replicaof', `127.0.0.1 ${primary}`]),
    ]),
  );
  await servers.ready(members, () => checkReplicas(primary));
  return { members, primary };
}

export const REDIS: Peer = {
  id: 'redis',
  program: PROGRAM,
  guarantees: {
    copies: 1 + REPLICAS,
    acknowledged: 2,
    linearizable: false,
    survives: 'nothing',
    durable: 'no',
    note: 'WAIT 1 waits for one replica, but nobody agrees on a primary: a failover, by hand or by sentinels, can lose what was acknowledged',
  },
  open: async (servers) => {
    const { members, primary } = await startMembers(servers);
    return WAYS.map(({ length, connections }) =>
      loaded({
        id: `redis-${length}`,
        name: `Redis, WAIT 1, ${length === 1 ? 'an operation' : `pipelines of ${length}`}`,
        shape: { api: 'pipeline', slots: connections, batch: length },
        members,
        connect: () => connectStore(primary, connections),
      }),
    );
  },
};
