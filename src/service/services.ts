// The services of a replica behind one StateMachine: the first byte of a request says whose it is.

import type { ApplyContext, ResultSink, StateMachine } from '../protocol/state-machine.js';
import { KeyValueService } from './kv.js';
import { RESULT_MALFORMED, SERVICE_ECHO, SERVICE_KV, WRITE_RESULT_HEADER } from './operation.js';

export interface ServicesOptions {
  /** Limit of the state in bytes (DT6). */
  readonly storeBytes: number;
}

export class Services implements StateMachine {
  readonly kv: KeyValueService;
  /** Requests executed and reads served since start. */
  requests = 0;
  reads = 0;

  constructor(options: ServicesOptions) {
    this.kv = new KeyValueService(options.storeBytes);
  }

  get usedBytes(): number {
    return this.kv.heap.usedBytes;
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
    else unknown(sink);
  }

  read(bytes: Uint8Array, from: number, to: number, sink: ResultSink): void {
    this.reads++;
    const service = from < to ? bytes[from] : 0;
    if (service === SERVICE_KV) this.kv.read(bytes, from, to, sink);
    else if (service === SERVICE_ECHO) echo(bytes, from, to, sink);
    else unknown(sink);
  }

  digest(): string {
    return this.kv.heap.digest();
  }
}

/** Everything behind the service's byte comes back. */
function echo(bytes: Uint8Array, from: number, to: number, sink: ResultSink): void {
  const length = to - from - 1;
  const at = sink.reserve(length);
  sink.bytes.set(bytes.subarray(from + 1, to), at);
  sink.length += length;
}

function unknown(sink: ResultSink): void {
  const at = sink.reserve(WRITE_RESULT_HEADER);
  sink.bytes.fill(0, at, at + WRITE_RESULT_HEADER);
  sink.bytes[at] = RESULT_MALFORMED;
  sink.length += WRITE_RESULT_HEADER;
}
