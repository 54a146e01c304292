// The key-value service at work on requests: what is left of an operation where nothing is replicated.

import { formatCount } from '#dist/cli/units.js';
import { CANONICAL, Workload, type WorkloadShape } from '#dist/cli/workload.js';
import { makeSink } from '#dist/protocol/core.js';
import type { ApplyContext } from '#dist/protocol/state-machine.js';
import { OP_GET } from '#dist/service/operation.js';
import { OperationWriter } from '#dist/service/operation-writer.js';
import { ReadResult } from '#dist/service/result-reader.js';
import { Services } from '#dist/service/services.js';
import type { Piece } from './piece.js';

/** Operations per request. */
export const BATCH = 512;
const FIRST_BYTES = 64 << 10;
const STORE_BYTES = 2 ** 30;
const CONTEXT: ApplyContext = {
  gen: 0,
  op: 1,
  idx: 0,
  ts: 0,
  seed: 0,
  clientId: [0, 0, 0, 1],
  session: 1,
};
const kinds = new Uint8Array(BATCH);

/** Requests of sets or of gets, each of other keys. */
export function requestsOf(
  kind: 'get' | 'set',
  count: number,
  operations: number,
  shape: WorkloadShape = CANONICAL,
): Uint8Array[] {
  const workload = new Workload({ ...shape, mix: { [kind]: 1 } });
  return Array.from({ length: count }, () => {
    const writer = new OperationWriter(undefined, FIRST_BYTES);
    workload.fill(writer, operations, kinds);
    return writer.take(false);
  });
}

/** A store that is given its requests in turn. */
export class Store {
  readonly services = new Services({ storeBytes: STORE_BYTES, kernel: true });
  readonly sink = makeSink(FIRST_BYTES);
  readonly #requests: readonly Uint8Array[];
  #turn = 0;

  constructor(requests: readonly Uint8Array[]) {
    this.#requests = requests;
  }

  #next(): Uint8Array {
    this.sink.length = 0;
    return this.#requests[this.#turn++ % this.#requests.length] as Uint8Array;
  }

  apply(): void {
    const request = this.#next();
    this.services.apply(CONTEXT, request, 0, request.length, this.sink);
  }

  read(): void {
    const request = this.#next();
    this.services.read(request, 0, request.length, this.sink);
  }
}

const REQUESTS = 64;

/** Of gets that all find something. */
function filled(): Store {
  const one = new Store(requestsOf('get', REQUESTS, BATCH));
  const workload = new Workload(CANONICAL);
  const writer = new OperationWriter(undefined, FIRST_BYTES);
  workload.keys.forEach((key, at) => {
    writer.set(key, workload.values[at % workload.values.length] as Uint8Array);
  });
  const request = writer.take(false);
  one.services.apply(CONTEXT, request, 0, request.length, one.sink);
  return one;
}

export function store(): Piece[] {
  const keys = formatCount(CANONICAL.keyspace);
  return [
    {
      name: `store: execute a set, ${keys} keys`,
      start: () => {
        const one = new Store(requestsOf('set', REQUESTS, BATCH));
        return { count: BATCH, run: () => one.apply() };
      },
    },
    {
      name: `store: answer a get, ${keys} keys`,
      start: () => {
        const one = filled();
        return { count: BATCH, run: () => one.read() };
      },
    },
    {
      name: `store: answer a get and read the answer, ${keys} keys`,
      start: () => {
        const one = filled();
        return {
          count: BATCH,
          run: () => {
            one.read();
            const { bytes, length } = one.sink;
            const result = new ReadResult(bytes.subarray(0, length), OP_GET);
            for (let at = 0; at < result.count; at++)
              if (!result.present(at)) throw new Error('a key is not there');
          },
        };
      },
    },
  ];
}
