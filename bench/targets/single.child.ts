// One operation at a time beside what waking a thread costs, in a process of its own, so that all its threads can be bound to one core.
// The same time for each, the floor first. Code gets fast by being called often, so operations are warmed up by their number: how long
// that takes is the machine's affair.

import { performance } from 'node:perf_hooks';
import { Worker } from 'node:worker_threads';
import { open } from 'viewstamp';
import type { RunResult } from '#dist/cli/drive.js';
import { latencyHistogram, recordSince } from '#dist/cli/load.js';
import { measureCluster } from '#dist/cli/run.js';
import { latencyOf } from '#dist/cli/statistics.js';
import { CANONICAL } from '#dist/cli/workload.js';
import { roundOf } from '../cluster/contender.js';
import { answerParent } from './child.js';
import { ASKED_WORD, DONE_WORD, WORDS_BYTES } from './futex.boot.js';

export interface SingleRequest {
  readonly measureMs: number;
  /** Operations before, and the time after which it begins anyway. */
  readonly warmUpOperations: number;
  readonly warmUpMs: number;
}

/** p50 of both. */
export interface SingleLatency {
  /** A set: from the call until its promise is settled. */
  readonly operationUs: number;
  /** From a thread to another and back; both sleep in Atomics.wait. */
  readonly futexUs: number;
}

/** Longer than any schedule; without an answer the other thread is gone. */
const STUCK_MS = 10_000;

async function futexUs(measureMs: number): Promise<number> {
  const words = new Int32Array(new SharedArrayBuffer(WORDS_BYTES));
  const worker = new Worker(new URL('./futex.worker.js', import.meta.url), { workerData: words });
  let asked = 0;
  const roundTrip = (): void => {
    Atomics.store(words, ASKED_WORD, ++asked);
    Atomics.notify(words, ASKED_WORD);
    if (Atomics.wait(words, DONE_WORD, asked - 1, STUCK_MS) === 'timed-out')
      throw new Error('the other thread does not answer');
  };
  const run = (milliseconds: number): number => {
    const histogram = latencyHistogram();
    const end = performance.now() + milliseconds;
    for (let at = performance.now(); at < end; at = performance.now()) {
      roundTrip();
      recordSince(histogram, at);
    }
    return latencyOf(histogram).p50Us;
  };
  await new Promise((resolve) => worker.once('online', resolve));
  roundTrip();
  run(measureMs);
  const p50 = run(measureMs);
  await worker.terminate();
  return p50;
}

async function operationUs(request: SingleRequest): Promise<number> {
  const opened = { name: 'single' };
  await using cluster = await open(opened);
  const run = (operations: number | null, durationMs: number): Promise<RunResult> =>
    measureCluster(cluster, {
      open: opened,
      load: { api: 'promise', slots: 1, batch: 1 },
      source: { type: 'workload', shape: { ...CANONICAL, mix: { set: 100 } } },
      threads: 0,
      warmUpMs: 0,
      operations,
      durationMs,
    });
  await run(request.warmUpOperations, request.warmUpMs);
  return roundOf(await run(null, request.measureMs)).p50Us;
}

await answerParent(async (request: SingleRequest): Promise<SingleLatency> => {
  const measureMs = request.measureMs / 2;
  const futex = await futexUs(measureMs);
  return { futexUs: futex, operationUs: await operationUs({ ...request, measureMs }) };
});
