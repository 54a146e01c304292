// A pass after a long sleep, with a real actor and time by hand: what clients ask for counts from now, and what the others said
// counts before the time does (SP3).

import { MessageChannel } from 'node:worker_threads';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { openSettings } from '../../src/actors/options.js';
import { loadDigest } from '../../src/actors/replica/digest.js';
import { ReplicaActor } from '../../src/actors/replica/replica-actor.js';
import { makeConfiguration } from '../../src/protocol/configuration.js';
import { TICK_MS } from '../../src/protocol/limits.js';
import { ANY_AGE, type LocalRead } from '../../src/protocol/message.js';
import { OutLink } from '../../src/transport/link.js';
import {
  allocateClientLink,
  allocateMesh,
  ClusterBlock,
  ReplicaBlock,
} from '../../src/transport/mesh.js';
import { RingWriter } from '../../src/transport/ring.js';
import { CLUSTER, commit } from '../protocol/solo.js';

const REPLICAS = 3;
const PRIMARY = 0;
const BACKUP = 1;
const RING_BYTES = 64 << 10;
const digest64 = await loadDigest();

let nowMs: number;
beforeEach(() => {
  nowMs = 1000;
  vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
});
afterEach(() => {
  vi.restoreAllMocks();
});

/** Of something that this replica has not executed yet. */
const READ: LocalRead = {
  ...{ kind: 'localRead', clientId: [1, 2, 3, 4], session: 0, afterRequest: 0, readId: 1 },
  ...{ epoch: 0, seenView: 0, tokenGen: 0, tokenOp: 9, maxStaleMs: ANY_AGE },
  body: new Uint8Array(8),
};

test('RD8: a read at a backup that slept long waits from now for what its reader has seen', () => {
  const settings = openSettings({ limits: { ringBytes: RING_BYTES } });
  const mesh = allocateMesh({ replicas: REPLICAS, ringBytes: RING_BYTES });
  const link = allocateClientLink({ replicas: REPLICAS, ringBytes: RING_BYTES });
  const { port1, port2 } = new MessageChannel();
  port2.close();
  const { doorbell } = new ReplicaBlock(mesh, BACKUP);
  for (const id of [PRIMARY, BACKUP]) new ReplicaBlock(mesh, id).start = 1;
  const outLink = (ring: SharedArrayBuffer | null | undefined): OutLink =>
    new OutLink(new RingWriter(ring as SharedArrayBuffer), doorbell);
  const actor = new ReplicaActor(
    {
      ...{ id: BACKUP, clusterId: CLUSTER, disk: null, start: 1, pretouchBytes: 0, faults: false },
      configuration: makeConfiguration(REPLICAS, 0, settings.storeBytes),
      limits: settings.limits,
      timing: settings.timing,
      mesh,
      clients: [{ address: 1, link }],
      notices: port1,
    },
    digest64,
  );
  new ClusterBlock(mesh).start();
  const primary = outLink(mesh.rings[PRIMARY]?.[BACKUP]);
  actor.pass();
  primary.send(commit());
  primary.flush();
  actor.pass();
  actor.beforePark();
  expect(actor.replica.followsAtRest).toBe(true);
  expect(actor.sleepMs).toBeGreaterThan(settings.timing.readWait * TICK_MS);
  nowMs += actor.sleepMs;
  const requests = outLink(link.requests[BACKUP]);
  requests.send(READ);
  requests.flush();
  actor.pass();
  expect(actor.replica.state.localReads).toHaveLength(1);
  expect(actor.replica.followsAtRest).toBe(false);
  nowMs += settings.timing.readWait * TICK_MS;
  actor.pass();
  expect(actor.replica.state.localReads).toHaveLength(0);
  port1.close();
});
