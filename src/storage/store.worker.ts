// Thread entry of a store. The thread runs until it is asked to stop; whoever ends it before that risks the whole process, see
// `ExitGuard`.

import { workerData } from 'node:worker_threads';
import { ExitGuard } from './exit-guard.js';
import { HandoverReader } from './handover.js';
import type { StoreBoot } from './store-host.js';
import { StoreThread } from './store-thread.js';
import { StoreWriter } from './store-writer.js';

const boot = workerData as StoreBoot;
const queue = new HandoverReader(boot.link.memory, boot.link.bell);
const guard = new ExitGuard(boot.guard);
const { files, mode, intervalMs, capacityBytes } = boot;
const writer = new StoreWriter({ files, mode, guard });
new StoreThread({
  queue,
  writer,
  guard,
  intervalMs: mode === 'batch' ? 0 : intervalMs,
  flushes: mode !== 'none',
  capacityBytes,
}).run();
