// Thread entry of a replica: boot record, actor, duty cycle. A throw anywhere ends the thread, and the supervisor sees it.

import { availableParallelism } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { spinBudgetMicros } from '../../transport/idle.js';
import { ReplicaBlock } from '../../transport/mesh.js';
import type { ReplicaBoot, ReplicaControl } from '../boot.js';
import { offer, type Port } from '../control.js';
import { loadDigest } from './digest.js';
import { runDutyCycle } from './duty-cycle.js';
import { rehearse } from './rehearsal.js';
import { ReplicaActor } from './replica-actor.js';
import { PLAIN_PARTS, StopPoints } from './stop-points.js';

const boot = workerData as ReplicaBoot;
const digest64 = await loadDigest();
const points = boot.faults ? new StopPoints(boot) : null;
if (boot.stopAt !== undefined) points?.arm(boot.stopAt, 1);
const actor = new ReplicaActor(boot, digest64, points ?? PLAIN_PARTS);
points?.watch(actor.replica);

const block = new ReplicaBlock(boot.mesh, boot.id);
const control: ReplicaControl = {
  addClient: (client) => actor.addClient(client.address, client.link),
  removeClient: (address) => actor.removeClient(address),
  stepDown: () => actor.stepDown(),
  digest: () => actor.digest(),
  fault: (kind, times) => {
    if (points === null) return;
    if (kind === 'hang') for (;;);
    if (kind === 'exhaustHeap') exhaustHeap();
    else if (kind === 'diverge') actor.diverge();
    else points.arm(kind, times);
  },
};

function exhaustHeap(): never {
  const kept: unknown[] = [];
  for (;;) kept.push(new Array(1000).fill(kept.length));
}

if (parentPort === null) throw new Error('a replica runs on a thread of its own');
offer(control, parentPort as unknown as Port);

const threads = boot.configuration.members.length + 2;
await runDutyCycle({
  actor,
  block,
  spinMicros: spinBudgetMicros(threads, availableParallelism()),
  aside: rehearse(boot, digest64),
});
