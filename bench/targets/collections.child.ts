// Loads a cluster with pipelines under `--trace-gc`, in a process of its own: the trace is one of the whole process, on its standard
// output. Collections that are asked for mark where the time begins and ends, and which threads are no replicas (collections.ts).

import { setFlagsFromString } from 'node:v8';
import type { Worker } from 'node:worker_threads';
import type { RoundTimes } from '../cluster/contender.js';
import { LoadedCluster, PIPELINES } from '../cluster/replicated.js';
import { answerParent } from './child.js';

export interface TraceRequest {
  readonly times: RoundTimes;
  readonly logBytes: number;
}

export interface Traced {
  /** Between the marks. */
  readonly milliseconds: number;
}

/** Shows in the trace that this thread is no replica. */
async function snapshot(worker: Worker): Promise<void> {
  const stream = await worker.getHeapSnapshot();
  stream.destroy();
}

/** Needs `--expose-gc`. */
function mark(): number {
  if (globalThis.gc === undefined) throw new Error('node was started without --expose-gc');
  globalThis.gc();
  return performance.now();
}

// Of the threads that this one starts: the supervisor, which starts the replicas.
const workers: Worker[] = [];
process.on('worker', (worker) => workers.push(worker));

await answerParent(async ({ times, logBytes }: TraceRequest): Promise<Traced> => {
  const { warmUpMs, measureMs } = times;
  const running = await new LoadedCluster(0, logBytes).start(PIPELINES);
  await running.round({ warmUpMs, measureMs: 1 });
  setFlagsFromString('--trace-gc');
  for (const worker of workers) await snapshot(worker);
  const begin = mark();
  await running.round({ warmUpMs: 0, measureMs });
  const milliseconds = mark() - begin;
  setFlagsFromString('--no-trace-gc');
  await running.close();
  return { milliseconds };
});
