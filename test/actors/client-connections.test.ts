// A replica's replies to a client that reads slowly: they wait in order, and the client rings when it has read on.

import { expect, test } from 'vitest';
import { ClientConnections } from '../../src/actors/replica/client-connections.js';
import { PLAIN_PARTS } from '../../src/actors/replica/stop-points.js';
import type { Reply } from '../../src/protocol/message.js';
import { EVERYTHING, InLink } from '../../src/transport/link.js';
import { allocateClientLink, allocateMesh, ReplicaBlock } from '../../src/transport/mesh.js';
import { RingReader } from '../../src/transport/ring.js';

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
