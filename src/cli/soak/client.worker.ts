// A client thread of a soak: attaches, runs its lanes at their pace until told to stop, and stands still when told to.

import { setTimeout as sleep } from 'node:timers/promises';
import { workerData } from 'node:worker_threads';
import { attach } from '../../index.js';
import type { ClientTask } from './clients.js';
import { ClientWords } from './clients.js';
import { History } from './history.js';
import { keySpace } from './keys.js';
import { Lane } from './lane.js';

const task = workerData as ClientTask;
const words = new ClientWords(task.words);
const history = new History(task.history);
const space = keySpace(task.threads);
const client = await attach(task.link);

/** Pauses of random length, `task.pauseMs` in the mean. */
async function run(lane: Lane): Promise<void> {
  while (!words.stopping) {
    const called = lane.call();
    // Behind the client's own tick: the request is out, and its answer finds nobody.
    if (words.freezing) process.nextTick(() => words.standStill());
    if (!(await called)) return;
    await sleep(2 * task.pauseMs * Math.random());
  }
}

await Promise.all(
  Array.from({ length: task.lanes }, (_, lane) => {
    const number = task.firstClient + lane;
    const shape = { space, thread: task.thread, client: number, seed: task.seed + number };
    return run(new Lane(client.kv, history, shape));
  }),
);
await client.close();
