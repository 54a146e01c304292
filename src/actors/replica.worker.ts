// Thread entry of a replica: boot record, actor, duty cycle. A throw anywhere ends the thread, and the supervisor sees it.

import { availableParallelism } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { ReplicaBlock } from '../transport/mesh.js';
import type { ReplicaBoot, ReplicaControl } from './boot.js';
import { offer, type Port } from './control.js';
import { loadDigest } from './digest.js';
import { runDutyCycle } from './duty-cycle.js';
import { ReplicaActor } from './replica-actor.js';

/** About 5 microseconds where threads outnumber cores, more where each replica can have one of its own. */
const SPIN_POLLS_CROWDED = 20;
const SPIN_POLLS_ROOMY = 2000;

const boot = workerData as ReplicaBoot;
const actor = new ReplicaActor(boot, await loadDigest());

const { doorbell } = new ReplicaBlock(boot.mesh, boot.id);
const control: ReplicaControl = {
  addClient: (client) => {
    actor.addClient(client.address, client.link);
    // What it wrote before its rings were polled rang in vain.
    doorbell.wake();
  },
  removeClient: (address) => actor.removeClient(address),
  stepDown: () => actor.stepDown(),
  digest: () => actor.digest(),
  hang: () => {
    if (boot.faults) for (;;);
  },
  exhaustHeap: () => {
    if (!boot.faults) return;
    const kept: unknown[] = [];
    for (;;) kept.push(new Array(1000).fill(kept.length));
  },
};
if (parentPort === null) throw new Error('a replica runs on a thread of its own');
offer(control, parentPort as unknown as Port);

const roomy = availableParallelism() > boot.configuration.members.length + 2;
let ticks = 0;
await runDutyCycle({
  actor,
  doorbell,
  spinPolls: roomy ? SPIN_POLLS_ROOMY : SPIN_POLLS_CROWDED,
  onTick: () => {
    if (ticks++ % 5 === 0) actor.publishTraffic();
  },
});
