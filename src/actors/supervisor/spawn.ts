// The only place that starts threads. A bundled package has no worker file beside it, which is said in plain words.

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type ResourceLimits, Worker } from 'node:worker_threads';
import { VrError } from '../errors.js';

/** Large enough that a replica under load collects rarely; small enough to stay in the caches of most machines. */
const YOUNG_GENERATION_MIB = 48;

export interface SpawnOptions {
  readonly name: string;
  readonly data: unknown;
  readonly transfer: readonly unknown[];
  readonly heapMiB?: number;
}

/**
 * Of the flags of the process only what a thread needs: a debugger would stop it, a script would run twice, and those of the engine
 * (`--max-old-space-size`), which hold for all threads anyway, no thread may be started with.
 */
function threadArguments(): string[] {
  return process.execArgv.filter((flag) => flag === '--enable-source-maps');
}

function start(file: URL, options: SpawnOptions): Worker {
  if (!existsSync(fileURLToPath(file)))
    throw new VrError(
      'VR_UNSUPPORTED',
      `the thread's file ${fileURLToPath(file)} is missing: mark viewstamp as external in your bundler`,
      { details: { file: file.href } },
    );
  const resourceLimits: ResourceLimits = {};
  if (options.heapMiB !== undefined) {
    resourceLimits.maxOldGenerationSizeMb = options.heapMiB;
    resourceLimits.maxYoungGenerationSizeMb = YOUNG_GENERATION_MIB;
  }
  return new Worker(file, {
    name: options.name,
    workerData: options.data,
    transferList: options.transfer as never[],
    execArgv: threadArguments(),
    resourceLimits,
  });
}

export function spawnReplica(options: SpawnOptions): Worker {
  return start(new URL('../replica/replica.worker.js', import.meta.url), options);
}

export function spawnSupervisor(options: SpawnOptions): Worker {
  return start(new URL('./supervisor.worker.js', import.meta.url), options);
}
