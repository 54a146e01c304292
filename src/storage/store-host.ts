// Starts and stops the thread that writes one replica's store. It outlives the threads of the replica, which hand over to it through
// shared memory and may be ended at any instant.

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { messageOf, StorageError } from './errors.js';
import type { ExitGuard } from './exit-guard.js';
import type { ReplicaFiles } from './files.js';
import { type Bell, HandoverControl, handoverMemory, QUEUE_BYTES_DEFAULT } from './handover.js';
import type { FlushMode } from './store-writer.js';

/** What a thread of the replica needs to hand over; give it in its `workerData`. */
export interface StoreLink {
  readonly memory: SharedArrayBuffer;
  readonly bell: Bell | null;
  readonly files: ReplicaFiles;
  readonly mode: FlushMode;
}

export interface StoreHostOptions {
  readonly files: ReplicaFiles;
  readonly mode: FlushMode;
  /** How long to gather before a flush, in modes `interval` and `none`. @default 50 */
  readonly intervalMs?: number;
  /** The same for every store and directory of the process. */
  readonly guard: ExitGuard;
  /** The replica's doorbell, rung when something was flushed. */
  readonly bell?: Bell;
  /** Where the store begins to say that it is full (P9); what was handed over is written all the same. @default unlimited */
  readonly capacityBytes?: number;
  /** Power of two; the longest entry takes at most a quarter. @default 16 MiB */
  readonly queueBytes?: number;
}

export interface StoreBoot {
  readonly link: StoreLink;
  readonly guard: SharedArrayBuffer;
  readonly files: ReplicaFiles;
  readonly mode: FlushMode;
  readonly intervalMs: number;
  readonly capacityBytes: number;
}

export const INTERVAL_MS_DEFAULT = 50;

export class StoreHost {
  readonly link: StoreLink;
  /** Resolves when the thread has ended: null after `stop`, else why it failed. */
  readonly ended: Promise<StorageError | null>;
  readonly #control: HandoverControl;

  /** @throws {StorageError} VR_CONFIG */
  constructor(options: StoreHostOptions) {
    const file = new URL('./store.worker.js', import.meta.url);
    if (!existsSync(fileURLToPath(file)))
      throw new StorageError('VR_CONFIG', `the thread's file ${fileURLToPath(file)} is missing`);
    const { files, mode, guard } = options;
    const memory = handoverMemory(options.queueBytes ?? QUEUE_BYTES_DEFAULT);
    this.link = { memory, bell: options.bell ?? null, files, mode };
    this.#control = new HandoverControl(memory);
    const boot: StoreBoot = {
      link: this.link,
      guard: guard.memory,
      files,
      mode,
      intervalMs: options.intervalMs ?? INTERVAL_MS_DEFAULT,
      capacityBytes: options.capacityBytes ?? Number.POSITIVE_INFINITY,
    };
    const worker = new Worker(file, { name: 'store', workerData: boot, execArgv: [] });
    this.ended = new Promise((resolve) => {
      worker.on('error', (error) => this.#control.fail('VR_DISK', messageOf(error)));
      worker.once('exit', () => {
        resolve(this.#control.failure);
        // Whoever hands over from now on shall not wait for nobody.
        this.#control.fail('VR_DISK', 'the store was stopped');
      });
    });
  }

  /** Writes and flushes what was handed over, and ends the thread. No thread of the replica may run any more. */
  async stop(): Promise<StorageError | null> {
    this.#control.stop();
    return this.ended;
  }
}
