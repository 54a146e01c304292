// The yardstick: the same generator, operation codec, store and result reader on one thread, and nothing in between. No promise, no
// thread, no copy, no turn of the event loop: what is left is what the work itself costs.

import { codecFor } from '#dist/actors/client/codecs.js';
import { Memory, MemoryPool } from '#dist/actors/client/memory-pool.js';
import { OperationSorts, ResultPart, Results } from '#dist/actors/client/pipeline-results.js';
import { PIPELINE_AUTO } from '#dist/cli/bench-plan.js';
import {
  CANONICAL,
  GET,
  type OperationSink,
  Workload,
  type WorkloadShape,
} from '#dist/cli/workload.js';
import { makeSink } from '#dist/protocol/core.js';
import type { ApplyContext, ResultSink } from '#dist/protocol/state-machine.js';
import { VALUE_BYTES_MAX } from '#dist/service/operation.js';
import { OperationWriter } from '#dist/service/operation-writer.js';
import { Services } from '#dist/service/services.js';
import type { Contender, Round, RoundTimes, Running } from './contender.js';
import { measureHere } from './rounds.js';

const CONTEXT: ApplyContext = {
  gen: 0,
  op: 1,
  idx: 0,
  ts: 0,
  seed: 0,
  clientId: [0, 0, 0, 1],
  session: 1,
};
const STORE_BYTES = 2 ** 30;
const FIRST_BYTES = 64 << 10;

const BYTES = codecFor('bytes');

/** What a sink holds, for results to read: made anew when the sink has grown. */
class SinkMemory {
  readonly #sink: ResultSink;
  #memory: Memory;

  constructor(sink: ResultSink) {
    this.#sink = sink;
    this.#memory = new Memory(Buffer.from(sink.bytes.buffer), true);
  }

  get memory(): Memory {
    const { buffer } = this.#sink.bytes;
    if (this.#memory.bytes.buffer !== buffer) this.#memory = new Memory(Buffer.from(buffer), true);
    return this.#memory;
  }
}

/** Pipelines against a store in the same thread. */
export class UnreplicatedStore implements OperationSink<Uint8Array> {
  readonly #services = new Services({ storeBytes: STORE_BYTES, kernel: true });
  readonly #writes = new OperationWriter(undefined, FIRST_BYTES);
  readonly #reads = new OperationWriter(undefined, FIRST_BYTES);
  readonly #writeSink = makeSink(FIRST_BYTES);
  readonly #readSink = makeSink(FIRST_BYTES);
  readonly #writeResults = new SinkMemory(this.#writeSink);
  readonly #readResults = new SinkMemory(this.#readSink);
  readonly #memory = new MemoryPool();
  #sorts = new OperationSorts();

  get(key: string): void {
    this.#sorts.addRead();
    this.#reads.get(key);
  }

  set(key: string, value: Uint8Array): void {
    this.#sorts.addWrite();
    this.#writes.set(key, value);
  }

  delete(key: string): void {
    this.#sorts.addWrite();
    this.#writes.delete(key);
  }

  incr(key: string, by = 1): void {
    this.#sorts.addWrite();
    this.#writes.incr(key, by);
  }

  /** Executes what was added; the results are valid until the next call. */
  submit(): Results<Uint8Array> {
    const writes = this.#writes.finish(false);
    this.#writeSink.length = 0;
    this.#services.apply(CONTEXT, writes, 0, writes.length, this.#writeSink);
    this.#writes.reset();
    const reads = this.#reads.finish(false);
    this.#readSink.length = 0;
    this.#services.read(reads, 0, reads.length, this.#readSink);
    this.#reads.reset();
    const sorts = this.#sorts;
    this.#sorts = new OperationSorts();
    const parts = {
      writes: [new ResultPart(this.#writeResults.memory, 0, sorts.writes)],
      reads: [new ResultPart(this.#readResults.memory, 0, sorts.reads)],
    };
    return new Results(parts, sorts, BYTES, this.#memory);
  }
}

class SameThread {
  readonly #store = new UnreplicatedStore();
  readonly #workload: Workload;
  readonly #kinds = new Uint8Array(PIPELINE_AUTO);
  readonly #value = new Uint8Array(VALUE_BYTES_MAX);
  #bytesRead = 0;

  constructor(shape: WorkloadShape) {
    this.#workload = new Workload(shape);
  }

  async fill(): Promise<void> {
    await this.#workload.prefill(PIPELINE_AUTO, async (fill) => {
      fill(this.#store);
      this.#store.submit();
    });
  }

  /** One pipeline: draw, encode, execute, look at every result. */
  #pipeline(): void {
    const count = this.#workload.fill(this.#store, PIPELINE_AUTO, this.#kinds);
    const results = this.#store.submit();
    for (let index = 0; index < count; index++) {
      if (!results.ok(index)) throw new Error('an operation failed');
      if (this.#kinds[index] !== GET) continue;
      const bytes = results.copyValue(index, this.#value);
      if (bytes < 0) throw new Error('a get found nothing');
      this.#bytesRead += bytes;
    }
  }

  run(times: RoundTimes): Round {
    const round = measureHere(times, () => this.#pipeline());
    const reads = (this.#workload.shape.mix.get ?? 0) > 0;
    if (reads && this.#bytesRead === 0) throw new Error('nothing was read');
    return round;
  }
}

export async function startUnreplicated(shape: WorkloadShape = CANONICAL): Promise<Running> {
  const same = new SameThread(shape);
  await same.fill();
  return {
    round: async (times) => same.run(times),
    close: async () => {},
  };
}

export const UNREPLICATED: Contender = {
  id: 'unreplicated',
  name: 'unreplicated, one thread',
  start: () => startUnreplicated(),
};
