// A replica and its clients: replies to one that reads slowly wait in order, and the client rings when it has read on; requests are
// taken in turns.

import { expect, test } from 'vitest';
import { ClientConnections } from '../../src/actors/replica/client-connections.js';
import { PLAIN_PARTS } from '../../src/actors/replica/stop-points.js';
import type { ClientMessage, Reply } from '../../src/protocol/message.js';
import { EVERYTHING, InLink, OutLink } from '../../src/transport/link.js';
import { allocateClientLink, allocateMesh, ReplicaBlock } from '../../src/transport/mesh.js';
import { RingReader, RingWriter } from '../../src/transport/ring.js';

const RING_BYTES = 64 << 10;
const ADDRESS = 5;

function reply(requestNumber: number, length: number): Reply {
  return {
    ...{ kind: 'reply', clientId: [1, 2, 3, 4], session: 5, requestNumber, gen: 0, epoch: 0 },
    ...{ view: 1, op: 2, idx: 3, code: 'ok', nonce: 0, result: new Uint8Array(length) },
  };
}

test.each([
  { length: 1000, count: 200 },
  { length: 100_000, count: 1 },
  { length: 40_000, count: 12 },
])('$count replies of $length bytes, and nobody else ever wakes the replica', async (replies) => {
  const { doorbell } = new ReplicaBlock(allocateMesh({ replicas: 1, ringBytes: RING_BYTES }), 0);
  const link = allocateClientLink({ replicas: 1, ringBytes: RING_BYTES });
  const connections = new ClientConnections(
    0,
    PLAIN_PARTS,
    () => true,
    () => undefined,
  );
  connections.add(ADDRESS, link);
  const found: number[] = [];
  const client = new InLink(new RingReader(link.replies[0] as SharedArrayBuffer), doorbell);
  const read = (): void => {
    const limit = { ...EVERYTHING, bytes: RING_BYTES / 2 };
    client.poll(limit, null, (message) => found.push((message as Reply).requestNumber));
  };
  const numbers = Array.from({ length: replies.count }, (_, at) => at);
  for (const at of numbers) connections.reply(ADDRESS, reply(at, replies.length));
  connections.flush();
  let sleeps = 0;
  let turn = 0;
  while (found.length < replies.count) {
    connections.pump();
    connections.flush();
    // What came between this and the sleep is seen, and else the sleep is ended.
    if (turn++ % 2 === 1) read();
    const sleep = doorbell.park(() => connections.ready);
    if (sleep === null) continue;
    sleeps++;
    read();
    if (found.length < replies.count) await sleep;
  }
  expect(found).toEqual(numbers);
  expect(sleeps).toBeGreaterThan(0);
  connections.pump();
  expect(connections.ready).toBe(false);
});

test.each([1, 2, 3, 4])(
  'N3: of four clients that ask without end each is served as often, with room for one in each %i polls',
  (period) => {
    const served: number[] = [];
    let room = false;
    const take = (address: number): void => {
      served.push(address);
      room = false;
    };
    const connections = new ClientConnections(
      0,
      PLAIN_PARTS,
      () => room,
      ({ address }) => take(address),
    );
    const { doorbell } = new ReplicaBlock(allocateMesh({ replicas: 1, ringBytes: RING_BYTES }), 0);
    for (const address of [1, 2, 3, 4]) {
      const link = allocateClientLink({ replicas: 1, ringBytes: RING_BYTES });
      const requests = new OutLink(new RingWriter(link.requests[0] as SharedArrayBuffer), doorbell);
      for (let readId = 1; readId <= 50; readId++) requests.send(read(readId));
      requests.flush();
      connections.add(address, link);
    }
    for (let poll = 1; served.length < 100; poll++) {
      if (poll % period === 0) room = true;
      connections.poll(EVERYTHING);
    }
    expect([1, 2, 3, 4].map((own) => served.filter((address) => address === own).length)).toEqual([
      25, 25, 25, 25,
    ]);
  },
);

function read(readId: number): ClientMessage {
  return {
    ...{ kind: 'read', clientId: [1, 2, 3, 4], session: 5, afterRequest: 0, readId, epoch: 0 },
    ...{ seenView: 0, body: new Uint8Array(8) },
  };
}
