// The echo service: everything behind the service's byte comes back, and nothing is kept. With no bytes it is the ping that
// measures one round of replication.

import type { ResultSink } from '../protocol/state-machine.js';

export function echo(bytes: Uint8Array, from: number, to: number, sink: ResultSink): void {
  const length = to - from - 1;
  const at = sink.reserve(length);
  sink.bytes.set(bytes.subarray(from + 1, to), at);
  sink.length += length;
}
