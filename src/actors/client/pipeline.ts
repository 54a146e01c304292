// The fast path: operations written straight into request bytes, one promise for all of them, results read in place. A pipeline
// is split where a request would become too large; writes and reads travel in requests of their own (reads never enter the log).

import type { LocalLevel } from '../../protocol/client-event.js';
import { READ_RESULT_HEADER, RESULT_MALFORMED } from '../../service/operation.js';
import { OperationWriter, type Refusal } from '../../service/operation-writer.js';
import { WriteResult } from '../../service/result-reader.js';
import type { Key, Pipeline, ReadOptions } from '../api.js';
import { type ClientDefaults, checkCall, levelOf, timeout } from '../call-options.js';
import { type Outcome, VrError } from '../errors.js';
import { aborted, Call, type Submission, timedOut } from './calls.js';
import type { ClientActor } from './client-actor.js';
import type { ValueCodec } from './codecs.js';
import { READ, type ReadPart, Results, WRITE, type WritePart } from './pipeline-results.js';
import { restOfRead } from './submissions.js';

const REQUEST_BYTES_AIM = 64 << 10;
const FIRST_BYTES = 256;
/** Arrays of so few bytes need no memory of their own. */
const FIRST_SORTS = 64;

/** One promise over all requests of a pipeline. */
class PipelineCall extends Call {
  readonly writes: WritePart[] = [];
  readonly reads: ReadPart[] = [];
  open = 0;
  /** One of its requests may have reached a replica. */
  started = false;
  readonly #finish: () => unknown;

  constructor(
    finish: (call: PipelineCall) => unknown,
    resolve: (value: never) => void,
    reject: (error: unknown) => void,
  ) {
    super(resolve, reject);
    this.#finish = () => finish(this);
  }

  /** Requests that are not sent yet follow no more; about the others nothing is known. */
  override giveUp(): Outcome {
    return this.started ? 'unknown' : 'not-executed';
  }

  partDone(): void {
    this.open--;
    if (this.open === 0) this.resolve(this.#finish());
  }
}

class PipelinePart implements Submission {
  readonly body: Uint8Array;
  readonly read: boolean;
  readonly level: LocalLevel | null;
  readonly replyBytes: number;
  readonly operations: number;
  readonly deadline: number;
  #sent = false;
  readonly #call: PipelineCall;
  readonly #first: number;

  constructor(
    what: Sealed,
    how: { readonly read: boolean; readonly level: LocalLevel | null },
    call: PipelineCall,
  ) {
    this.body = what.body;
    this.read = how.read;
    this.replyBytes = what.replyBytes;
    this.operations = what.operations;
    this.#first = what.first;
    this.level = how.level;
    this.#call = call;
    this.deadline = call.deadline;
    call.open++;
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
    // Private memory: the ring's is reused, and results are read whenever the user likes.
    const copy = Buffer.from(bytes);
    if (!this.read) {
      const result = new WriteResult(copy, false);
      if (result.malformed) {
        this.fail(new VrError('VR_UNSUPPORTED', 'the service refused the form of the request'));
        return null;
      }
      this.#call.writes.push({ first: this.#first, result });
      this.#call.partDone();
      return null;
    }
    const malformed = copy.length < READ_RESULT_HEADER || copy[0] === RESULT_MALFORMED;
    const answered = malformed ? 0 : copy.readUInt32LE(4);
    if (answered === 0) {
      this.fail(new VrError('VR_UNSUPPORTED', 'the service refused the form of the request'));
      return null;
    }
    this.#call.reads.push({ first: this.#first, count: answered, bytes: copy });
    let rest: PipelinePart | null = null;
    if (answered < this.operations)
      rest = new PipelinePart(
        {
          body: restOfRead(this.body, answered),
          replyBytes: 0,
          operations: this.operations - answered,
          first: this.#first + answered,
        },
        this,
        this.#call,
      );
    this.#call.partDone();
    return rest;
  }

  fail(error: VrError): void {
    this.#call.fail(error);
  }

  expire(nowMs: number): void {
    if (this.#call.deadline <= nowMs) this.#call.fail(timedOut(this.#call.giveUp()));
  }
}

const WRITING = { read: false, level: null };

interface Sealed {
  readonly body: Uint8Array;
  readonly replyBytes: number;
  readonly operations: number;
  readonly first: number;
}

export class OperationPipeline<V> implements Pipeline<V> {
  readonly #actor: ClientActor;
  readonly #codec: ValueCodec;
  readonly #prefix: (key: Key) => Key;
  readonly #defaults: ClientDefaults;
  readonly #refuse: (refusal: Refusal, key: Key) => VrError;
  readonly #writer: OperationWriter;
  readonly #reader: OperationWriter;
  readonly #maxOps: number;
  readonly #replyBytesMax: number;
  #sorts = new Uint8Array(FIRST_SORTS);
  #size = 0;
  #writes = 0;
  #reads = 0;
  #sealedWrites: Sealed[] = [];
  #sealedReads: Sealed[] = [];

  constructor(options: {
    actor: ClientActor;
    codec: ValueCodec;
    prefix: (key: Key) => Key;
    defaults: ClientDefaults;
    refuse: (refusal: Refusal, key: Key) => VrError;
  }) {
    const { settings } = options.actor.boot;
    this.#actor = options.actor;
    this.#codec = options.codec;
    this.#prefix = options.prefix;
    this.#defaults = options.defaults;
    this.#refuse = options.refuse;
    this.#writer = new OperationWriter(settings, FIRST_BYTES, options.actor.buffers);
    this.#reader = new OperationWriter(settings, FIRST_BYTES, options.actor.buffers);
    this.#maxOps = settings.maxOps;
    this.#replyBytesMax = settings.sessionReplyBytes / 4;
  }

  get size(): number {
    return this.#size;
  }

  set(key: Key, value: V): this {
    return this.#wrote(this.#codec.writeSet(this.#writer, this.#prefix(key), value), key);
  }

  delete(key: Key): this {
    return this.#wrote(this.#writer.delete(this.#prefix(key)), key);
  }

  incr(key: Key, by = 1): this {
    if (!Number.isSafeInteger(by)) throw notAnInteger(by);
    return this.#wrote(this.#writer.incr(this.#prefix(key), by), key);
  }

  get(key: Key): this {
    const refusal = this.#reader.get(this.#prefix(key));
    if (refusal !== null) throw this.#refuse(refusal, key);
    this.#note(READ);
    this.#reads++;
    if (this.#reader.count >= this.#maxOps || this.#reader.byteLength >= REQUEST_BYTES_AIM)
      this.#sealReads();
    return this;
  }

  #wrote(refusal: Refusal | null, key: Key): this {
    if (refusal !== null) throw this.#refuse(refusal, key);
    this.#note(WRITE);
    this.#writes++;
    const writer = this.#writer;
    if (
      writer.count >= this.#maxOps ||
      writer.byteLength >= REQUEST_BYTES_AIM ||
      writer.replyBytesMax >= this.#replyBytesMax
    )
      this.#sealWrites();
    return this;
  }

  #note(sort: number): void {
    if (this.#size === this.#sorts.length) {
      const grown = new Uint8Array(this.#sorts.length * 4);
      grown.set(this.#sorts);
      this.#sorts = grown;
    }
    this.#sorts[this.#size++] = sort;
  }

  #sealWrites(): void {
    const { count, replyBytesMax } = this.#writer;
    if (count === 0) return;
    const first = this.#writes - count;
    this.#sealedWrites.push({
      body: this.#writer.take(false),
      replyBytes: replyBytesMax,
      operations: count,
      first,
    });
  }

  #sealReads(): void {
    const { count } = this.#reader;
    if (count === 0) return;
    const first = this.#reads - count;
    this.#sealedReads.push({
      body: this.#reader.take(false),
      replyBytes: 0,
      operations: count,
      first,
    });
  }

  async submit(options?: ReadOptions): Promise<Results<V>> {
    // Before anything is taken out: a refused call leaves the pipeline as it was.
    checkCall(options, ['consistency']);
    const timeoutMs = timeout(options?.timeoutMs, this.#defaults.timeoutMs);
    const { viewTimeoutMs } = this.#actor.boot.settings;
    const level = levelOf(options?.consistency, this.#defaults.level, viewTimeoutMs);
    this.#sealWrites();
    this.#sealReads();
    const sorts = this.#sorts.slice(0, this.#size);
    const writes = this.#sealedWrites;
    const reads = this.#sealedReads;
    this.#sealedWrites = [];
    this.#sealedReads = [];
    const operations = this.#size;
    this.#size = 0;
    this.#writes = 0;
    this.#reads = 0;
    return await new Promise((resolve, reject) => {
      if (options?.signal?.aborted) {
        reject(aborted(options.signal, 'not-executed'));
        return;
      }
      const refusal = this.#actor.refusal(operations, writes.length > 0);
      if (refusal !== null) {
        reject(refusal);
        return;
      }
      const finish = (call: PipelineCall): unknown =>
        new Results<V>({ writes: call.writes, reads: call.reads, sorts, codec: this.#codec });
      const call = new PipelineCall(finish, resolve as (value: never) => void, reject);
      call.deadline = this.#actor.deadline(timeoutMs);
      call.follow(options);
      const parts: PipelinePart[] = [];
      for (const sealed of writes) parts.push(new PipelinePart(sealed, WRITING, call));
      const reading = { read: true, level };
      for (const sealed of reads) parts.push(new PipelinePart(sealed, reading, call));
      if (parts.length === 0) {
        call.open = 1;
        call.partDone();
        return;
      }
      this.#actor.submit(parts);
    });
  }
}

export function notAnInteger(by: unknown): VrError {
  return new VrError(
    'VR_OUT_OF_RANGE',
    `by must be an integer within +-(2^53 - 1), got ${String(by)}`,
    {
      details: { by },
    },
  );
}
