// A client thread of a process that will be killed: it attaches and runs its writers until it is no more.

import { workerData } from 'node:worker_threads';
import { attach, type ClusterLink } from '../../index.js';
import { keySpace } from '../soak/keys.js';
import { Lane } from '../soak/lane.js';
import { Appender, type LaneStart } from './appender.js';
import { JournalWriter } from './journal.js';

export interface ClientTask {
  readonly link: ClusterLink;
  /** Where its journal goes. */
  readonly fd: number;
  /** Its place among so many `threads`. */
  readonly thread: number;
  readonly threads: number;
  readonly appenders: readonly LaneStart[];
  /** Clients that meet on few keys, and their prefix. */
  readonly lanes: number;
  readonly prefix: string;
  readonly seed: number;
}

const task = workerData as ClientTask;
const journal = new JournalWriter(task.fd);
const client = await attach(task.link);

async function append(start: LaneStart): Promise<void> {
  const appender = new Appender(client.kv, journal, start);
  for (;;) await appender.append();
}

async function mingle(index: number): Promise<void> {
  const number = task.thread * task.lanes + index;
  const lane = new Lane(client.kv.namespace(task.prefix), journal, {
    space: keySpace(task.threads),
    thread: task.thread,
    client: number,
    seed: task.seed + number,
  });
  while (await lane.call());
}

await Promise.all([
  ...task.appenders.map(append),
  ...Array.from({ length: task.lanes }, (_, index) => mingle(index)),
]);
