// The key-value store as users see it: checks what it is given, writes the operation into the request of this turn, and returns
// a promise. Nothing is sent, and nothing gathered is touched, when a key or value is refused.

import type { LocalLevel } from '../../protocol/client-event.js';
import {
  OP_CAS,
  OP_DELETE,
  OP_GET,
  OP_GET_ITEM,
  OP_HAS,
  OP_INCR,
  OP_SET,
} from '../../service/operation.js';
import {
  OperationWriter,
  type Refusal,
  type WriteCondition,
} from '../../service/operation-writer.js';
import type {
  BatchOp,
  CallOptions,
  CasResult,
  Condition,
  Encoding,
  Item,
  Key,
  Kv,
  Many,
  Pipeline,
  ReadOptions,
  Revision,
} from '../api.js';
import { type ClientDefaults, checkCall, levelOf, timeout } from '../call-options.js';
import { VrError } from '../errors.js';
import { section } from '../option-checks.js';
import { aborted, BatchCall, type Call, DELETE_AT, ReadCall, SingleWriteCall } from './calls.js';
import type { ClientActor } from './client-actor.js';
import { ofKey } from './codec-errors.js';
import { checkIncrement, codecFor, type ValueCodec } from './codecs.js';
import type { KeySpace } from './key-space.js';
import { OperationPipeline, type PipelineHost } from './pipeline.js';
import { WriteSubmission } from './submissions.js';
import { type UpdateSteps, update } from './update.js';

type Resolve = (value: never) => void;

export class KvClient<V = unknown> implements Kv<V> {
  readonly #actor: ClientActor;
  readonly #defaults: ClientDefaults;
  readonly #keys: KeySpace;
  readonly #codec: ValueCodec;
  readonly #pipelines: PipelineHost;
  /** Of an update. */
  readonly #steps: UpdateSteps<V>;

  constructor(
    actor: ClientActor,
    options: { defaults: ClientDefaults; keys: KeySpace; encoding: Encoding<V> | undefined },
  ) {
    this.#actor = actor;
    this.#defaults = options.defaults;
    this.#keys = options.keys;
    const codec = codecFor(options.encoding as Encoding<unknown> | undefined);
    this.#codec = codec;
    const { defaults, keys } = options;
    this.#pipelines = { actor, codec, keys, defaults };
    this.#steps = {
      timeoutMs: defaults.timeoutMs,
      read: (key, call) => this.getItem(key, { ...call, consistency: 'linearizable' }),
      set: (key, value, call) => this.set(key, value, call),
      remove: (key, call) =>
        this.#writeCall(DELETE_AT, key, call, (writer, full) =>
          writer.delete(full, conditionOf(call)),
        ),
    };
  }

  namespace(prefix: string, options: { encoding: 'bytes' }): Kv<Uint8Array>;
  namespace(prefix: string, options: { encoding: 'utf8' }): Kv<string>;
  namespace<V2 = V>(prefix: string, options?: { encoding?: Encoding<V2> }): Kv<V2>;
  namespace<V2 = V>(prefix: string, options: { encoding?: Encoding<V2> } = {}): Kv<V2> {
    section(options, '', ['encoding']);
    return new KvClient<V2>(this.#actor, {
      defaults: this.#defaults,
      keys: this.#keys.within(prefix),
      encoding: options.encoding,
    });
  }

  /** @throws {VrError} why a call cannot be taken now */
  #admit(options: CallOptions | undefined, write: boolean, also?: readonly string[]): void {
    if (options !== undefined) {
      checkCall(options, also);
      timeout(options.timeoutMs, 1);
      if (options.signal?.aborted === true) throw aborted(options.signal, 'not-executed');
    }
    const refusal = this.#actor.refusal(1, write);
    if (refusal !== null) throw refusal;
  }

  /** Everything that can be refused was checked before: from here on the operation stands in a request. */
  #begin(call: Call, options: CallOptions | undefined): void {
    call.deadline = this.#actor.deadline(options?.timeoutMs ?? this.#defaults.timeoutMs);
    if (options !== undefined) call.follow(options);
  }

  #gatherRead(code: number, key: Key, options: ReadOptions | undefined, call: ReadCall): void {
    this.#admit(options, false, READ_NAMES);
    const gather = this.#actor.reads(code, this.#levelOf(options));
    const full = this.#keys.whole(key);
    const { writer } = gather;
    const refusal =
      code === OP_GET
        ? writer.get(full)
        : code === OP_HAS
          ? writer.has(full)
          : writer.getItem(full);
    if (refusal !== null) throw this.#keys.refused(refusal, key);
    this.#begin(call, options);
    this.#actor.gatheredRead(gather, call);
  }

  /** A get or has without options of its own: by the lane of this turn. */
  #joinRead(code: number, key: Key): Promise<unknown> {
    try {
      this.#admit(undefined, false);
      const gather = this.#actor.reads(code, this.#defaults.level);
      const full = this.#keys.whole(key);
      const refusal = code === OP_GET ? gather.writer.get(full) : gather.writer.has(full);
      if (refusal !== null) throw this.#keys.refused(refusal, key);
      return this.#actor.joinedRead(gather, this.#codec, key, this.#defaults.timeoutMs);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #levelOf(options: ReadOptions | undefined): LocalLevel | null {
    const { viewTimeoutMs } = this.#actor.boot.settings;
    return levelOf(options?.consistency, this.#defaults.level, viewTimeoutMs);
  }

  get(key: Key, options?: ReadOptions): Promise<V | undefined> {
    if (options === undefined) return this.#joinRead(OP_GET, key) as Promise<V | undefined>;
    return this.#readCall(OP_GET, key, options);
  }

  has(key: Key, options?: ReadOptions): Promise<boolean> {
    if (options === undefined) return this.#joinRead(OP_HAS, key) as Promise<boolean>;
    return this.#readCall(OP_HAS, key, options);
  }

  getItem(key: Key, options?: ReadOptions): Promise<Item<V> | undefined> {
    return this.#readCall(OP_GET_ITEM, key, options);
  }

  #readCall<R>(code: number, key: Key, options: ReadOptions | undefined): Promise<R> {
    return new Promise((resolve, reject) => {
      const what = { code, codec: this.#codec, key };
      this.#gatherRead(code, key, options, new ReadCall(what, resolve as Resolve, reject));
    });
  }

  async getMany(keys: readonly Key[], options?: ReadOptions): Promise<Many<V>> {
    checkCall(options, READ_NAMES);
    if (!Array.isArray(keys)) throw notAList('getMany', keys);
    const pipeline = new OperationPipeline<V>(this.#pipelines);
    for (const key of keys) pipeline.get(key);
    const result = await pipeline.submit(options);
    const values = keys.map((key, i) => {
      try {
        return result.value(i) as V | undefined;
      } catch (error) {
        throw ofKey(error, key);
      }
    });
    Object.defineProperty(values, 'oneSnapshot', {
      value: result.snapshots <= 1,
      enumerable: false,
    });
    result.release();
    return values as Many<V>;
  }

  set(key: Key, value: V, options: CallOptions & Condition): Promise<Revision | undefined>;
  set(key: Key, value: V, options?: CallOptions): Promise<Revision>;
  set(
    key: Key,
    value: V,
    options?: CallOptions & Partial<Condition>,
  ): Promise<Revision | undefined> {
    if (options === undefined) return this.#joinSet(key, value);
    return this.#writeCall(OP_SET, key, options, (writer, full) => {
      const condition = conditionOf(options);
      if (condition === undefined) return this.#codec.writeSet(writer, full, value);
      return writer.set(full, this.#codec.encode(value), condition);
    });
  }

  /** A set without options of its own: by the lane of this turn. */
  #joinSet(key: Key, value: V): Promise<Revision> {
    try {
      this.#admit(undefined, true);
      const { writer } = this.#actor.writes;
      const refusal = this.#codec.writeSet(writer, this.#keys.whole(key), value);
      if (refusal !== null) throw this.#keys.refused(refusal, key);
      return this.#actor.joinedWrite(OP_SET, this.#defaults.timeoutMs) as Promise<Revision>;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  delete(key: Key, options?: CallOptions & Partial<Condition>): Promise<boolean> {
    return this.#writeCall(OP_DELETE, key, options, (writer, full) =>
      writer.delete(full, conditionOf(options)),
    );
  }

  incr(key: Key, by = 1, options?: CallOptions): Promise<number> {
    return this.#writeCall(OP_INCR, key, options, (writer, full) => {
      checkIncrement(this.#codec, by);
      return writer.incr(full, by);
    });
  }

  cas(key: Key, expected: V | undefined, next: V, options?: CallOptions): Promise<CasResult> {
    return this.#writeCall(OP_CAS, key, options, (writer, full) => {
      // Encoders may share memory between calls: the first result must be kept.
      const before =
        expected === undefined ? undefined : Uint8Array.from(this.#codec.encode(expected));
      return writer.cas(full, before, this.#codec.encode(next));
    });
  }

  /** `write` must leave the writer alone when it refuses or throws. */
  #writeCall<R>(
    code: number,
    key: Key,
    options: CallOptions | undefined,
    write: (writer: OperationWriter, key: Key) => Refusal | null,
  ): Promise<R> {
    return new Promise((resolve, reject) => {
      const conditional = code === OP_SET || code === OP_DELETE || code === DELETE_AT;
      this.#admit(options, true, conditional ? CONDITION_NAMES : []);
      const { writer } = this.#actor.writes;
      const offset = writer.byteLength;
      const refusal = write(writer, this.#keys.whole(key));
      if (refusal !== null) throw this.#keys.refused(refusal, key);
      if (options === undefined) {
        resolve(this.#actor.joinedWrite(code, this.#defaults.timeoutMs) as Promise<R>);
        return;
      }
      const call = new SingleWriteCall(code, resolve as Resolve, reject);
      call.offset = offset;
      this.#begin(call, options);
      this.#actor.gatheredWrite(call);
    });
  }

  async update(
    key: Key,
    change: (current: V | undefined) => V | undefined,
    options: CallOptions & { attempts?: number } = {},
  ): Promise<Revision> {
    return await update<V>(this.#steps, key, change, options);
  }

  batch(operations: readonly BatchOp<V>[], options?: CallOptions): Promise<Revision> {
    return new Promise<Revision>((resolve, reject) => {
      if (!Array.isArray(operations)) throw notAList('batch', operations);
      this.#admit(options, true);
      const { settings } = this.#actor.boot;
      const writer = new OperationWriter(settings);
      for (const operation of operations) {
        this.#writeBatched(writer, operation);
        const { requestBytes, sessionReplyBytes } = settings;
        if (writer.byteLength > requestBytes || writer.replyBytesMax > sessionReplyBytes)
          throw new VrError(
            'VR_REQUEST_TOO_LARGE',
            `an atomic batch must fit into ${requestBytes} bytes`,
            {
              details: { limit: 'requestBytes', requestBytes, operations: operations.length },
            },
          );
      }
      if (writer.count > BATCH_OPERATIONS_MAX)
        throw new VrError(
          'VR_REQUEST_TOO_LARGE',
          `an atomic batch has at most ${BATCH_OPERATIONS_MAX} operations`,
          {
            details: { operations: writer.count },
          },
        );
      const call = new BatchCall(resolve as (value: never) => void, reject);
      this.#begin(call, options);
      const { count, replyBytesMax } = writer;
      const what = {
        body: writer.finish(true),
        replyBytes: replyBytesMax,
        operations: count,
        atomic: true,
      };
      this.#actor.submit([new WriteSubmission(what, { calls: [call] }, null)]);
    });
  }

  #writeBatched(writer: OperationWriter, operation: BatchOp<V>): void {
    if (typeof operation !== 'object' || operation === null)
      throw new VrError('VR_CONFIG', `an operation must be an object, got ${String(operation)}`);
    const key = this.#keys.whole(operation.key);
    let refusal: Refusal | null;
    switch (operation.type) {
      case 'set':
        refusal = this.#codec.writeSet(writer, key, operation.value);
        break;
      case 'delete':
        refusal = writer.delete(key);
        break;
      case 'incr': {
        const by = operation.by ?? 1;
        checkIncrement(this.#codec, by);
        refusal = writer.incr(key, by);
        break;
      }
      default:
        throw new VrError(
          'VR_CONFIG',
          `unknown operation '${(operation as { type: string }).type}' in a batch`,
          {
            details: { allowed: ['set', 'delete', 'incr'] },
          },
        );
    }
    if (refusal !== null) throw this.#keys.refused(refusal, operation.key);
  }

  pipeline(): Pipeline<V> {
    return new OperationPipeline<V>(this.#pipelines);
  }
}

/** Operations of one atomic batch: bounded, because it is executed in one go. */
const BATCH_OPERATIONS_MAX = 16_384;

const READ_NAMES = ['consistency'];
const CONDITION_NAMES = ['ifAbsent', 'ifPresent', 'ifRevision'];

function notAList(call: string, value: unknown): VrError {
  return new VrError('VR_CONFIG', `${call} needs an array, got ${typeof value}`);
}

/** A condition that is there says what it is: one without a value would be none, and overwrite what it was to protect. */
function conditionOf(
  options: (CallOptions & Partial<Condition>) | undefined,
): WriteCondition | undefined {
  if (options === undefined) return undefined;
  const given = CONDITION_NAMES.filter((name) => name in options);
  const [name] = given;
  if (name === undefined) return undefined;
  if (given.length > 1)
    throw new VrError('VR_CONFIG', 'a call takes one condition, not several', {
      details: { allowed: CONDITION_NAMES },
    });
  const value = (options as Record<string, unknown>)[name];
  const isRevision = name === 'ifRevision';
  if (isRevision ? Number.isSafeInteger(value) && Number(value) >= 0 : value === true)
    return isRevision
      ? { type: 'revision', revision: Number(value) }
      : { type: name === 'ifAbsent' ? 'absent' : 'present' };
  const wanted = isRevision ? 'a revision' : 'true';
  throw new VrError('VR_CONFIG', `${name} must be ${wanted}, got ${String(value)}`, {
    details: { path: name, value },
  });
}
