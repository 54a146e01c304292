// The thread that attaches clients for memory.ts: one to warm up, the others when told. Each runs one write and one read, so that
// its rings are touched as in use.

import { parentPort, workerData } from 'node:worker_threads';
import { attach, type Client, type ClusterLink } from 'viewstamp';

export interface ClientsBoot {
  readonly links: readonly ClusterLink[];
}

const { links } = workerData as ClientsBoot;
const clients: Client[] = [];

async function join(link: ClusterLink): Promise<void> {
  const client = await attach(link);
  clients.push(client);
  const key = `client:${clients.length}`;
  await client.kv.set(key, clients.length);
  await client.kv.get(key);
}

const [first, ...others] = links;
if (first !== undefined) await join(first);
globalThis.gc?.();
parentPort?.postMessage('warm');
parentPort?.on('message', async (order: 'attach' | 'leave') => {
  if (order === 'attach') {
    for (const link of others) await join(link);
    globalThis.gc?.();
    parentPort?.postMessage('attached');
    return;
  }
  for (const client of clients) await client.close();
  parentPort?.postMessage('left');
  parentPort?.close();
});
