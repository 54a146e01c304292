// NATS: a key-value bucket of JetStream, three replicas in memory, asked at the server that leads them.

import { join } from 'node:path';
import { type KV, Kvm } from '@nats-io/kv';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { CALLS_IN_FLIGHT, GetsAndSets, loaded, type Peer, type PeerStore } from './peer.js';
import { freePorts, type Servers } from './servers.js';

const PROGRAM = { name: 'nats-server', package: 'nats-server' };
const MEMBERS = 3;
const BUCKET = 'bench';

class Bucket extends GetsAndSets implements PeerStore {
  readonly #connection: NatsConnection;
  readonly #kv: KV;

  constructor(connection: NatsConnection, kv: KV) {
    super();
    this.#connection = connection;
    this.#kv = kv;
  }

  static async connect(port: number | undefined): Promise<Bucket> {
    const connection = await connectTo(port);
    return new Bucket(connection, await new Kvm(connection).open(BUCKET));
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    return (await this.#kv.get(key))?.value;
  }

  set(key: string, value: Uint8Array): Promise<unknown> {
    return this.#kv.put(key, value);
  }

  pipeline(): never {
    throw new Error('a bucket takes one operation at a time');
  }

  close(): Promise<void> {
    return this.#connection.close();
  }
}

function serverName(index: number): string {
  return `n${index}`;
}

function connectTo(port: number | undefined): Promise<NatsConnection> {
  return connect({ servers: `127.0.0.1:${port}`, reconnect: false });
}

/** Makes the bucket. @returns the name of the server that leads it. @throws while the servers do not know each other */
async function makeBucket(port: number | undefined): Promise<string> {
  const connection = await connectTo(port);
  try {
    const kv = await new Kvm(connection).create(BUCKET, {
      replicas: MEMBERS,
      storage: 'memory',
    });
    const { streamInfo } = await kv.status();
    const { cluster } = streamInfo;
    if (cluster?.leader === undefined || cluster.replicas?.length !== MEMBERS - 1)
      throw new Error('the bucket has no leader with two followers yet');
    return cluster.leader;
  } finally {
    await connection.close();
  }
}

async function startMembers(servers: Servers) {
  const ports = await freePorts(2 * MEMBERS);
  const clientPorts = ports.slice(0, MEMBERS);
  const routes = ports.slice(MEMBERS).map((port) => `nats://127.0.0.1:${port}`);
  const members = clientPorts.map((port, index) =>
    servers.start(PROGRAM, [
      ...['--name', serverName(index), '--addr', '127.0.0.1', '--port', String(port)],
      ...['--cluster_name', 'viewstamp-peers', '--cluster', routes[index] as string],
      ...['--routes', routes.join(',')],
      ...['--jetstream', '--store_dir', join(servers.directory, `nats-${index}`)],
    ]),
  );
  const leader = await servers.ready(members, () => makeBucket(clientPorts[0]));
  const port = clientPorts.find((_, index) => serverName(index) === leader);
  return { members, port };
}

export const NATS: Peer = {
  id: 'nats',
  program: PROGRAM,
  guarantees: {
    copies: MEMBERS,
    acknowledged: 2,
    linearizable: false,
    survives: '1 process',
    durable: 'no',
    note: 'writes by Raft; any replica answers reads from what it has, which may be older',
  },
  open: async (servers) => {
    const { members, port } = await startMembers(servers);
    return [
      loaded({
        id: 'nats',
        name: 'NATS JetStream, a message per operation',
        shape: { api: 'promise', slots: CALLS_IN_FLIGHT, batch: 1 },
        members,
        connect: () => Bucket.connect(port),
      }),
    ];
  },
};
