// open(): a file of its own, so that the public types lead to nothing but public types. Those of comlink need a browser's.

import type { Cluster, OpenOptions } from './api.js';
import { openCluster } from './cluster.js';

/**
 * Starts the replicas, one worker thread each, and resolves once a primary serves requests. Failed or aborted, it ends
 * every thread it started.
 *
 * @throws {VrError} VR_CONFIG, VR_UNSUPPORTED, VR_ABORTED
 * @example
 * const cluster = await open();
 * await cluster.kv.set('user:1', { name: 'Ada' });
 */
export async function open(options: OpenOptions = {}): Promise<Cluster> {
  return await openCluster(options, false);
}
