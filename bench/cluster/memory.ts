// What an idle cluster of three replicas and each further client cost, resident. Runs in a process of its own, with --expose-gc,
// and prints one JSON line: whatever else the process did before would be in the figure.

import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { open } from 'viewstamp';
import { median } from '#dist/cli/statistics.js';
import type { ClientsBoot } from './memory.worker.js';

export interface MemoryReport {
  readonly processBytes: number;
  /** Three replicas, the supervisor and the opener's client, idle. */
  readonly clusterBytes: number;
  /** One more client in a thread that exists anyway. */
  readonly clientBytes: number;
  readonly clients: number;
}

const CLIENTS = 60;
const SETTLE_MS = 400;
const SAMPLES = 5;

/** Median of a few samples after collecting garbage: pages come and go. */
async function resident(): Promise<number> {
  await sleep(SETTLE_MS);
  const samples: number[] = [];
  for (let sample = 0; sample < SAMPLES; sample++) {
    globalThis.gc?.();
    await sleep(20);
    samples.push(process.memoryUsage.rss());
  }
  return median(samples);
}

async function measure(): Promise<MemoryReport> {
  const processBytes = await resident();
  await using cluster = await open({ name: 'memory' });
  await cluster.kv.set('first', 1);
  const withCluster = await resident();
  const links = Array.from({ length: CLIENTS }, () => cluster.share());
  const boot: ClientsBoot = { links: links.map(({ data }) => data) };
  const worker = new Worker(new URL('./memory.worker.js', import.meta.url), {
    workerData: boot,
    transferList: links.flatMap(({ transfer }) => transfer),
  });
  const says = async (word: string): Promise<void> => {
    for (;;) {
      const heard = await new Promise((resolve, reject) => {
        worker.once('message', resolve);
        worker.once('error', reject);
      });
      if (heard === word) return;
    }
  };
  // The thread and its modules first: only what the clients add is theirs. One client is the thread's warm-up.
  await says('warm');
  const withThread = await resident();
  const attached = says('attached');
  worker.postMessage('attach');
  await attached;
  const withClients = await resident();
  const left = says('left');
  worker.postMessage('leave');
  await left;
  return {
    processBytes,
    clusterBytes: withCluster - processBytes,
    clientBytes: (withClients - withThread) / (CLIENTS - 1),
    clients: CLIENTS - 1,
  };
}

process.stdout.write(`${JSON.stringify(await measure())}\n`);
