// The shared memory of a cluster: who is connected with whom, and the words that outlive a thread.

import { describe, expect, test } from 'vitest';
import { ProtocolViolation } from '../../src/protocol/assert.js';
import {
  CACHE_LINE_PAIR_BYTES,
  METRICS,
  METRICS_BYTES,
  REPLICA_BLOCK_BYTES,
  REPLICA_WORDS,
} from '../../src/transport/layout.js';
import {
  allocateClientLink,
  allocateMesh,
  ClusterBlock,
  clientDoorbell,
  PLACES,
  ReplicaBlock,
  ReplicaCounters,
  readClientId,
  writeClientId,
} from '../../src/transport/mesh.js';
import { RingReader, RingWriter } from '../../src/transport/ring.js';

const mesh = () => allocateMesh({ replicas: 3, ringBytes: 64 << 10 });

describe('allocation', () => {
  test('a ring for every ordered pair, each its own, all empty and of the size asked for', () => {
    const { rings } = mesh();
    const seen = new Set<SharedArrayBuffer>();
    for (let from = 0; from < 3; from++)
      for (let to = 0; to < 3; to++) {
        const ring = rings[from]?.[to] ?? null;
        expect(ring === null).toBe(from === to);
        if (ring === null) continue;
        seen.add(ring);
        expect(new RingWriter(ring).free()).toBe(64 << 10);
        expect(new RingReader(ring).hasData()).toBe(false);
      }
    expect(seen.size).toBe(6);
  });

  test('the record can be cloned and still names the same memory', () => {
    const memory = mesh();
    const copy = structuredClone(memory);
    new ReplicaBlock(memory, 1).writeRegister({ epoch: 0, view: 5 });
    expect(new ReplicaBlock(copy, 1).readRegister()).toEqual({ epoch: 0, view: 5 });
  });

  test('a client has a ring to and from every replica', () => {
    const link = allocateClientLink({ replicas: 3, ringBytes: 64 << 10 });
    const all = [...link.requests, ...link.replies];
    expect(new Set(all).size).toBe(6);
    for (const ring of all) expect(new RingWriter(ring).capacity).toBe(64 << 10);
    const bell = clientDoorbell(link);
    const sleep = bell.park(() => false);
    expect(clientDoorbell(structuredClone(link)).ring()).toBe(true);
    return sleep;
  });

  test('words, doorbells and counters do not overlap', () => {
    const words = Object.values(REPLICA_WORDS);
    expect(new Set(words).size).toBe(words.length);
    expect(REPLICA_WORDS.register % 2).toBe(0);
    expect((Math.max(...words) + 2) * 4).toBeLessThanOrEqual(REPLICA_BLOCK_BYTES);
    // What others write is away from what the owner writes in every pass.
    expect((REPLICA_WORDS.passes - REPLICA_WORDS.doorbell) * 4).toBeGreaterThanOrEqual(
      CACHE_LINE_PAIR_BYTES,
    );
    expect(METRICS.length * 8).toBeLessThanOrEqual(METRICS_BYTES);
  });
});

describe('R0: the promise register', () => {
  test('is empty at first, holds the largest stamps, and is read from any thread', () => {
    const memory = mesh();
    const register = new ReplicaBlock(memory, 2);
    expect(register.readRegister()).toBe(null);
    for (const stamp of [
      { epoch: 0, view: 0 },
      { epoch: 0, view: 1 },
      { epoch: 0, view: 0xffffffff },
      { epoch: 1, view: 0 },
      { epoch: 2 ** 30, view: 7 },
    ]) {
      register.writeRegister(stamp);
      expect(new ReplicaBlock(memory, 2).readRegister()).toEqual(stamp);
      expect(new ReplicaBlock(memory, 1).readRegister()).toBe(null);
    }
  });

  test('only grows: writing a lower stamp is a broken promise (H2)', () => {
    const register = new ReplicaBlock(mesh(), 0);
    register.writeRegister({ epoch: 1, view: 3 });
    register.writeRegister({ epoch: 1, view: 3 });
    expect(() => register.writeRegister({ epoch: 1, view: 2 })).toThrow(ProtocolViolation);
    expect(() => register.writeRegister({ epoch: 0, view: 9 })).toThrow(ProtocolViolation);
    expect(register.readRegister()).toEqual({ epoch: 1, view: 3 });
  });
});

test('H1: a start counter only grows', () => {
  const block = new ReplicaBlock(mesh(), 0);
  block.start = 1;
  block.start = 2;
  expect(() => {
    block.start = 2;
  }).toThrow(ProtocolViolation);
  expect(block.start).toBe(2);
});

test('the words of a replica are independent of each other and of other replicas', () => {
  const memory = mesh();
  const [a, b] = [new ReplicaBlock(memory, 0), new ReplicaBlock(memory, 1)];
  a.start = 3;
  a.exited = 2;
  a.paused = true;
  a.status = 4;
  a.countPass();
  a.countPass();
  a.writeRegister({ epoch: 0, view: 8 });
  expect([a.start, a.exited, a.paused, a.status, a.passes]).toEqual([3, 2, true, 4, 2]);
  expect([b.start, b.exited, b.paused, b.status, b.passes]).toEqual([0, 0, false, 0, 0]);
  expect(b.readRegister()).toBe(null);
  a.paused = false;
  expect(a.paused).toBe(false);
  expect(a.doorbell.ring()).toBe(false);
});

test('H9: the start word, and how a cluster ends', () => {
  const memory = mesh();
  const cluster = new ClusterBlock(memory);
  expect([cluster.started, cluster.end]).toEqual([false, 'running']);
  new ClusterBlock(memory).start();
  cluster.end = 'lost';
  expect([cluster.started, new ClusterBlock(memory).end]).toEqual([true, 'lost']);
});

test('CS8: the id of a client can be read when its thread is gone', () => {
  const link = allocateClientLink({ replicas: 1, ringBytes: 4096 });
  expect(readClientId(link)).toEqual([0, 0, 0, 0]);
  writeClientId(link, [1, 2 ** 31, 0xffffffff, 4]);
  expect(readClientId(structuredClone(link))).toEqual([1, 2 ** 31, 0xffffffff, 4]);
});

test('counters are apart by replica and by name', () => {
  const memory = mesh();
  const counters = [0, 1, 2].map((id) => new ReplicaCounters(memory, id));
  METRICS.forEach((metric, index) => {
    counters.forEach((one, id) => {
      one.put(PLACES[metric], id * 1000 + index);
    });
  });
  METRICS.forEach((metric, index) => {
    counters.forEach((one, id) => {
      expect(one.get(metric)).toBe(id * 1000 + index);
    });
  });
});
