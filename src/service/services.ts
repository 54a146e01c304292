// The services of a replica behind one StateMachine: the first byte of a request says whose it is. Only the key-value store keeps
// state, in pages that can be read and replaced as a whole.

import type { ApplyContext, ResultSink, StateMachine } from '../protocol/state-machine.js';
import { echo } from './echo.js';
import { KeyValueService, malformed } from './kv.js';
import { SERVICE_ECHO, SERVICE_KV } from './operation.js';
import type { HeapOptions } from './paged-heap.js';

export type ServicesOptions = HeapOptions;

export class Services implements StateMachine {
  readonly kv: KeyValueService;
  /** Requests executed and reads served since start. */
  requests = 0;
  reads = 0;

  constructor(options: ServicesOptions) {
    this.kv = new KeyValueService(options);
  }

  /** Bytes of state in use, of at most `storeBytes`. */
  get usedBytes(): number {
    return this.kv.usedBytes;
  }

  apply(
    _context: ApplyContext,
    bytes: Uint8Array,
    from: number,
    to: number,
    sink: ResultSink,
  ): void {
    this.requests++;
    const service = from < to ? bytes[from] : 0;
    if (service === SERVICE_KV) this.kv.apply(bytes, from, to, sink);
    else if (service === SERVICE_ECHO) echo(bytes, from, to, sink);
    else malformed(sink);
  }

  read(bytes: Uint8Array, from: number, to: number, sink: ResultSink): void {
    this.reads++;
    const service = from < to ? bytes[from] : 0;
    if (service === SERVICE_KV) this.kv.read(bytes, from, to, sink);
    else if (service === SERVICE_ECHO) echo(bytes, from, to, sink);
    else malformed(sink);
  }

  /** Over all pages in use; those not written since the last call cost nothing. */
  digest(): string {
    return this.kv.heap.digest();
  }

  pageCount(): number {
    return this.kv.heap.pageCount();
  }

  /** A view of the page's bytes, valid until the next request. */
  page(index: number): Uint8Array {
    return this.kv.heap.page(index);
  }

  /** Replaces the state by the pages of another replica's services, whose limit is the same. */
  load(pages: readonly Uint8Array[]): void {
    this.kv.load(pages);
  }
}
