// The links of one replica to the others: a stream that was deferred for lack of room is not forgotten, and nobody looks in vain.

import { expect, test } from 'vitest';
import type { ReplicaBoot } from '../../src/actors/boot.js';
import { PeerConnections } from '../../src/actors/replica/peer-connections.js';
import { PLAIN_PARTS } from '../../src/actors/replica/stop-points.js';
import { makeConfiguration } from '../../src/protocol/configuration.js';
import type { Prepare } from '../../src/protocol/message.js';
import { EVERYTHING } from '../../src/transport/link.js';
import { allocateMesh, type MeshMemory, ReplicaBlock } from '../../src/transport/mesh.js';

const RING_BYTES = 64 << 10;
const chain = [1, 2, 3, 4] as const;

function connections(mesh: MeshMemory, id: number): PeerConnections {
  const configuration = makeConfiguration(3, 0, 1 << 20);
  return new PeerConnections({ id, configuration, mesh } as ReplicaBoot, PLAIN_PARTS);
}

function prepare(op: number, length: number): Prepare {
  const common = { epoch: 0, view: 0, seed: 9, kind: 'batch' as const, count: 1, chain };
  return {
    ...{ kind: 'prepare', clusterId: 1, gen: 0, epoch: 0, view: 0, from: 0, start: 1, first: op },
    ...{ prevChain: chain, commitMax: 0, stableOp: 0, hbSeq: op, doubtMs: 0 },
    entries: [{ ...common, op, ts: op, body: new Uint8Array(length) }],
  };
}

/** Replica 0 with a full ring to replica 1, and replica 1. */
function full(length: number): {
  readonly sender: PeerConnections;
  readonly receiver: PeerConnections;
  readonly block: ReplicaBlock;
} {
  const mesh = allocateMesh({ replicas: 3, ringBytes: RING_BYTES });
  const sender = connections(mesh, 0);
  for (let op = 1; (sender.room()[1] ?? 0) > 0; op++) sender.send(1, prepare(op, length));
  sender.flush();
  return { sender, receiver: connections(mesh, 1), block: new ReplicaBlock(mesh, 0) };
}

test.each([1000, 10_000, 100_000])('entries of %i bytes: who has no room is rung', (length) => {
  const { sender, receiver, block } = full(length);
  expect(sender.room()).toEqual([0, 0, expect.any(Number)]);
  expect(sender.ready).toBe(false);
  expect(block.doorbell.park(() => sender.ready)).toBeInstanceOf(Promise);
  expect(receiver.poll(EVERYTHING, () => undefined)).toBeGreaterThan(0);
  expect(block.doorbell.ring()).toBe(false); // that has happened
  expect(sender.ready).toBe(true);
  // What it was told is used up by the next pass.
  sender.pump();
  sender.flush();
  sender.room();
  expect(sender.ready).toBe(false);
});

test('with room for a stream nobody is asked', () => {
  const mesh = allocateMesh({ replicas: 3, ringBytes: RING_BYTES });
  const sender = connections(mesh, 0);
  const receiver = connections(mesh, 1);
  sender.room();
  sender.send(1, prepare(1, 100));
  sender.flush();
  const { doorbell } = new ReplicaBlock(mesh, 0);
  void doorbell.park(() => sender.ready);
  receiver.poll(EVERYTHING, () => undefined);
  expect(sender.ready).toBe(false);
  expect(doorbell.ring()).toBe(true); // it still slept
});

test('BP1: what finds no room is dropped, and counted', () => {
  const { sender, receiver } = full(1000);
  const { dropped } = sender;
  while (sender.dropped === dropped) sender.send(1, prepare(1, 1000));
  sender.send(1, prepare(2, 1000));
  expect(sender.dropped).toBe(dropped + 2);
  sender.flush();
  receiver.poll(EVERYTHING, () => undefined);
  sender.send(1, prepare(3, 1000));
  expect(sender.dropped).toBe(dropped + 2);
});
