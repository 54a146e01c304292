// The services of a replica behind one StateMachine: the first byte of a request says whose it is. Only the key-value store keeps
// state: the pages of its heap are list 0, the one there is.

import { violated } from '../protocol/assert.js';
import type {
  ApplyContext,
  ListContent,
  PagedState,
  ResultSink,
  StateMachine,
} from '../protocol/state-machine.js';
import type { OpNumber } from '../protocol/types.js';
import { echo } from './echo.js';
import { KeyValueService, malformed } from './kv.js';
import { SERVICE_ECHO, SERVICE_KV } from './operation.js';
import type { HeapOptions, PagedHeap } from './paged-heap.js';

export type ServicesOptions = HeapOptions;

const LISTS = 1;

export class Services implements StateMachine, PagedState {
  readonly pageBytes: number;
  readonly lists: number = LISTS;
  readonly kv: KeyValueService;
  /** Requests executed and reads served since start. */
  requests = 0;
  reads = 0;

  constructor(options: ServicesOptions) {
    this.kv = new KeyValueService(options);
    this.pageBytes = this.kv.heap.pageBytes;
  }

  get pages(): PagedState {
    return this;
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

  get liveBytes(): number {
    return this.kv.heap.pageCount() * this.pageBytes;
  }

  freeze(op: OpNumber): void {
    this.kv.heap.freeze(op);
  }

  release(op: OpNumber): void {
    this.kv.heap.images.release(op);
  }

  pageCount(op: OpNumber, list: number): number {
    return heapOf(this.kv, list).images.count(op);
  }

  page(op: OpNumber, list: number, index: number): Uint8Array {
    return heapOf(this.kv, list).imagePage(op, index);
  }

  changed(op: OpNumber, list: number, index: number): boolean {
    return heapOf(this.kv, list).images.changed(op, index);
  }

  restore(from: OpNumber | null, content: readonly ListContent[]): void {
    const [kv] = content;
    if (!(kv !== undefined && content.length === LISTS))
      violated(`${content.length} lists of ${LISTS}`);
    this.kv.restore(from, kv);
  }
}

function heapOf(kv: KeyValueService, list: number): PagedHeap {
  if (list !== 0) violated(`there is no list ${list}`);
  return kv.heap;
}
