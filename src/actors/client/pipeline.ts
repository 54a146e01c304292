// The fast path: operations written straight into request bytes, one promise for all of them, results read in place. A pipeline
// is split where a request would become too large; writes and reads travel in requests of their own (reads never enter the log).
// Many a pipeline has one operation: nothing is made that this one does not need.

import type { LocalLevel } from '../../protocol/client-event.js';
import {
  READ_RESULT_HEADER,
  RESULT_MALFORMED,
  WRITE_RESULT_HEADER,
} from '../../service/operation.js';
import { OperationWriter, type Refusal } from '../../service/operation-writer.js';
import type { Key, Pipeline, ReadOptions } from '../api.js';
import { type ClientDefaults, checkCall, levelOf, timeout } from '../call-options.js';
import { type Outcome, VrError } from '../errors.js';
import { aborted, Call, type Submission, timedOut } from './calls.js';
import type { ClientActor } from './client-actor.js';
import { checkIncrement, type ValueCodec } from './codecs.js';
import type { KeySpace } from './key-space.js';
import type { MemoryPool } from './memory-pool.js';
import { OperationSorts, ResultPart, Results } from './pipeline-results.js';
import { restOfRead } from './submissions.js';

const REQUEST_BYTES_AIM = 64 << 10;
const FIRST_BYTES = 256;
const OPTION_NAMES = ['consistency'];
const NONE: readonly never[] = [];

/** What the pipelines of one store have in common. */
export interface PipelineHost {
  readonly actor: ClientActor;
  readonly codec: ValueCodec;
  readonly keys: KeySpace;
  readonly defaults: ClientDefaults;
}

/** One promise over all requests of a pipeline. */
class PipelineCall extends Call {
  open = 0;
  /** One of its requests may have reached a replica. */
  started = false;
  readonly memory: MemoryPool;
  readonly #codec: ValueCodec;
  readonly #sorts: OperationSorts;
  #writes: ResultPart[] | null = null;
  #reads: ResultPart[] | null = null;

  constructor(
    host: PipelineHost,
    sorts: OperationSorts,
    resolve: (value: never) => void,
    reject: (error: unknown) => void,
  ) {
    super(resolve, reject);
    this.memory = host.actor.results;
    this.#codec = host.codec;
    this.#sorts = sorts;
  }

  /** Requests that are not sent yet follow no more; about the others nothing is known. */
  override giveUp(): Outcome {
    return this.started ? 'unknown' : 'not-executed';
  }

  answered(part: ResultPart, read: boolean): void {
    if (read) this.#reads = added(this.#reads, part);
    else this.#writes = added(this.#writes, part);
    this.open--;
    this.finishIfDone();
  }

  finishIfDone(): void {
    if (this.open > 0) return;
    const parts = { writes: this.#writes, reads: this.#reads };
    this.resolve(new Results(parts, this.#sorts, this.#codec, this.memory));
  }
}

class PipelinePart implements Submission {
  readonly body: Uint8Array;
  readonly read: boolean;
  readonly replyBytes: number;
  readonly operations: number;
  level: LocalLevel | null = null;
  /** Ordinal of its first operation among those of its sort. */
  readonly #first: number;
  #sent = false;
  /** From `begin` on; nobody looks at it before. */
  #call!: PipelineCall;

  constructor(body: Uint8Array, read: boolean, operations: Operations) {
    this.body = body;
    this.read = read;
    this.replyBytes = operations.replyBytes;
    this.operations = operations.count;
    this.#first = operations.first;
  }

  begin(call: PipelineCall, level: LocalLevel | null): this {
    this.#call = call;
    this.level = level;
    call.open++;
    return this;
  }

  get deadline(): number {
    return this.#call.deadline;
  }

  get sent(): boolean {
    return this.#sent;
  }

  set sent(sent: boolean) {
    this.#sent = sent;
    if (sent) this.#call.started = true;
  }

  get abandoned(): boolean {
    return this.#call.done;
  }

  get outcome(): Outcome {
    return this.#call.giveUp();
  }

  settle(bytes: Uint8Array): Submission | null {
    const call = this.#call;
    if (call.done) return null;
    const whole = bytes.length >= (this.read ? READ_RESULT_HEADER : WRITE_RESULT_HEADER);
    if (!whole || bytes[0] === RESULT_MALFORMED) return this.#refused();
    // Private memory: the ring's is reused, and results are read whenever the user likes.
    const memory = call.memory.take(bytes.length);
    const { from } = memory;
    memory.bytes.set(bytes, from);
    const answered = memory.view.getUint32(from + 4, true);
    if (answered === 0) return this.#refused();
    const rest = this.read && answered < this.operations ? this.#rest(answered) : null;
    call.answered(new ResultPart(memory, this.#first, answered), this.read);
    return rest;
  }

  #refused(): null {
    this.fail(new VrError('VR_UNSUPPORTED', 'the service refused the form of the request'));
    return null;
  }

  /** What a read that was answered in part has still to ask. */
  #rest(answered: number): PipelinePart {
    const rest = {
      count: this.operations - answered,
      first: this.#first + answered,
      replyBytes: 0,
    };
    const body = restOfRead(this.body, answered);
    return new PipelinePart(body, true, rest).begin(this.#call, this.level);
  }

  fail(error: VrError): void {
    this.#call.fail(error);
  }

  expire(nowMs: number): void {
    if (this.#call.deadline <= nowMs) this.#call.fail(timedOut(this.#call.giveUp()));
  }
}

/** Those of one request. */
interface Operations {
  readonly count: number;
  readonly first: number;
  readonly replyBytes: number;
}

/** Nearly always the only one, and an array that is made with its element has no room to spare. */
function added<T>(list: T[] | null, item: T): T[] {
  if (list === null) return [item];
  list.push(item);
  return list;
}

export class OperationPipeline<V> implements Pipeline<V> {
  readonly #host: PipelineHost;
  readonly #codec: ValueCodec;
  readonly #keys: KeySpace;
  // Many a pipeline has only reads, or only writes.
  #writer: OperationWriter | null = null;
  #reader: OperationWriter | null = null;
  #sorts = new OperationSorts();
  #sealedWrites: PipelinePart[] | null = null;
  #sealedReads: PipelinePart[] | null = null;

  constructor(host: PipelineHost) {
    this.#host = host;
    this.#codec = host.codec;
    this.#keys = host.keys;
  }

  get size(): number {
    return this.#sorts.count;
  }

  set(key: Key, value: V): this {
    const writer = this.#writing();
    return this.#wrote(writer, this.#codec.writeSet(writer, this.#keys.whole(key), value), key);
  }

  delete(key: Key): this {
    const writer = this.#writing();
    return this.#wrote(writer, writer.delete(this.#keys.whole(key)), key);
  }

  incr(key: Key, by = 1): this {
    checkIncrement(this.#codec, by);
    const writer = this.#writing();
    return this.#wrote(writer, writer.incr(this.#keys.whole(key), by), key);
  }

  get(key: Key): this {
    const reader = this.#reading();
    const refusal = reader.get(this.#keys.whole(key));
    if (refusal !== null) throw this.#keys.refused(refusal, key);
    this.#sorts.addRead();
    const { maxOps } = this.#host.actor.boot.settings;
    if (reader.count >= maxOps || reader.byteLength >= REQUEST_BYTES_AIM) this.#sealReads();
    return this;
  }

  #writing(): OperationWriter {
    this.#writer ??= this.#newWriter();
    return this.#writer;
  }

  #reading(): OperationWriter {
    this.#reader ??= this.#newWriter();
    return this.#reader;
  }

  #newWriter(): OperationWriter {
    const { actor } = this.#host;
    return new OperationWriter(actor.boot.settings, FIRST_BYTES, actor.buffers);
  }

  #wrote(writer: OperationWriter, refusal: Refusal | null, key: Key): this {
    if (refusal !== null) throw this.#keys.refused(refusal, key);
    this.#sorts.addWrite();
    const { maxOps, sessionReplyBytes } = this.#host.actor.boot.settings;
    if (
      writer.count >= maxOps ||
      writer.byteLength >= REQUEST_BYTES_AIM ||
      writer.replyBytesMax >= sessionReplyBytes / 4
    )
      this.#sealWrites();
    return this;
  }

  #sealWrites(): void {
    const writer = this.#writer;
    if (writer === null || writer.count === 0) return;
    const { count, replyBytesMax: replyBytes } = writer;
    const operations = { count, first: this.#sorts.writes - count, replyBytes };
    const part = new PipelinePart(writer.take(false), false, operations);
    this.#sealedWrites = added(this.#sealedWrites, part);
  }

  #sealReads(): void {
    const reader = this.#reader;
    if (reader === null || reader.count === 0) return;
    const { count } = reader;
    const operations = { count, first: this.#sorts.reads - count, replyBytes: 0 };
    const part = new PipelinePart(reader.take(false), true, operations);
    this.#sealedReads = added(this.#sealedReads, part);
  }

  /** What is refused is so by the promise: an executor that throws rejects. */
  submit(options?: ReadOptions): Promise<Results<V>> {
    return new Promise((resolve, reject) => this.#submit(options, resolve as Resolve, reject));
  }

  #submit(options: ReadOptions | undefined, resolve: Resolve, reject: Reject): void {
    const { actor, defaults } = this.#host;
    let { timeoutMs, level } = defaults;
    if (options !== undefined) {
      // Before anything is taken out: a refused call leaves the pipeline as it was.
      checkCall(options, OPTION_NAMES);
      timeoutMs = timeout(options.timeoutMs, timeoutMs);
      level = levelOf(options.consistency, level, actor.boot.settings.viewTimeoutMs);
    }
    this.#sealWrites();
    this.#sealReads();
    const [sorts, writes, reads] = [this.#sorts, this.#sealedWrites, this.#sealedReads];
    this.#sorts = new OperationSorts();
    this.#sealedWrites = null;
    this.#sealedReads = null;
    if (options?.signal?.aborted) throw aborted(options.signal, 'not-executed');
    const refusal = actor.refusal(sorts.count, writes !== null);
    if (refusal !== null) throw refusal;
    const call = new PipelineCall(this.#host, sorts, resolve, reject);
    if (sorts.count === 0) {
      call.finishIfDone();
      return;
    }
    call.deadline = actor.deadline(timeoutMs);
    call.follow(options);
    for (const part of writes ?? NONE) part.begin(call, null);
    for (const part of reads ?? NONE) part.begin(call, level);
    actor.submit(
      writes === null || reads === null ? (writes ?? reads ?? NONE) : [...writes, ...reads],
    );
  }
}

type Resolve = (value: never) => void;
type Reject = (error: unknown) => void;
