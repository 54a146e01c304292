// Load from threads of their own, each with its own client: attached through the link that came with the task. piscina owns the
// threads; this file owns what it is told and what it tells back. See load.task.ts for the thread's side.

import type { MessagePort } from 'node:worker_threads';
import { Piscina } from 'piscina';
import type { Cluster, ClusterLink } from '../index.js';
import type { InputOperation } from './input.js';
import type { LoadShape, StageResult } from './load.js';
import type { LoadControl } from './load-control.js';
import type { WorkloadShape } from './workload.js';

export interface LoadTask {
  readonly link: ClusterLink;
  readonly control: SharedArrayBuffer;
  readonly index: number;
  readonly generators: number;
  readonly shape: LoadShape;
  readonly quota: number;
  readonly source: LoadSource;
}

/** What every generator makes its operations from. */
export type LoadSource =
  | { readonly type: 'workload'; readonly shape: WorkloadShape }
  | {
      readonly type: 'input';
      readonly operations: readonly InputOperation[];
      readonly repeat: boolean;
    };

export interface LoadThreads {
  readonly results: Promise<StageResult[]>;
  close(): Promise<void>;
}

export function startLoadThreads(options: {
  readonly cluster: Cluster;
  readonly control: LoadControl;
  readonly threads: number;
  readonly shape: LoadShape;
  readonly quotas: readonly number[];
  readonly source: LoadSource;
}): LoadThreads {
  const { threads } = options;
  const pool = new Piscina<LoadTask, StageResult>({
    filename: new URL('./load.task.js', import.meta.url).href,
    minThreads: threads,
    maxThreads: threads,
    concurrentTasksPerWorker: 1,
  });
  const tasks = options.quotas.map((quota, index) => {
    const { data, transfer } = options.cluster.share({ name: `load-${index}` });
    const task: LoadTask = {
      link: data,
      control: options.control.shared,
      index,
      generators: threads,
      shape: options.shape,
      quota,
      source: options.source,
    };
    const transferList: MessagePort[] = transfer;
    return pool.run(task, { transferList });
  });
  return { results: Promise.all(tasks), close: () => pool.destroy() };
}
