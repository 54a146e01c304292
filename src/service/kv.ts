// The key-value service: walks the operations of a request and executes them on the byte table. No object and no string is made
// per operation. Every operation happens whole or changes nothing, not even the layout (DT6); an atomic batch does so as a whole. Where
// an operation may fail half way - near the limit, or in a batch - the heap remembers what was there and puts it back. What is done
// most is done by the loops in kernel/, where the heap has them: they repeat rules of this file, of the table, of records and of pages.

import { violated } from '../protocol/assert.js';
import type { ListContent, ResultSink } from '../protocol/state-machine.js';
import { Allocator } from './allocator.js';
import { ByteTable, hashKey } from './byte-table.js';
import type { Kernel } from './kernel/kernel.js';
import { INTEGER_BYTES_MAX, readInteger, writeInteger } from './msgpack-integer.js';
import * as codec from './operation.js';
import { OperationCursor } from './operation-cursor.js';
import { type HeapOptions, PagedHeap, UNIT_BYTES } from './paged-heap.js';
import { KEY_WORD, Records, recordBytes } from './record.js';
import { viewOf } from './words.js';

/** In the root: the store's counter of changes, a float64 behind the words of allocator and table. */
const REVISION_DOUBLE = 168;
/** What an operation may allocate besides its record: one overflow bucket. */
const OVERFLOW_UNITS = 8;

export class KeyValueService {
  readonly heap: PagedHeap;
  readonly #allocator: Allocator;
  readonly #table: ByteTable;
  readonly #records: Records;
  readonly #cursor = new OperationCursor();
  /** Where the request under execution was taken by the loops. */
  #kernel: Kernel | null = null;
  #replyBytes: Uint8Array = new Uint8Array(0);
  #reply: DataView = viewOf(this.#replyBytes);
  readonly #scratch: DataView = viewOf(new Uint8Array(INTEGER_BYTES_MAX + 3));
  readonly #value = { view: this.#scratch, from: 0, length: 0 };
  readonly #revisions = { revision: 0, created: 0 };
  #atomic = false;
  /** Revision of the next change. */
  #revision = 0;
  #changed = false;
  /** Where the next extra goes in the reply, and what it is. */
  #extrasAt = 0;
  #extra = 0;

  constructor(options: HeapOptions) {
    const heap = new PagedHeap(options);
    this.heap = heap;
    this.#allocator = new Allocator(heap);
    this.#table = new ByteTable({ heap, allocator: this.#allocator, keyWord: KEY_WORD });
    this.#records = new Records(heap);
  }

  /** Bytes in use, the table included. */
  get usedBytes(): number {
    return this.#allocator.usedBytes;
  }

  get keys(): number {
    return this.#table.count;
  }

  /** +1 per changing operation, an atomic batch counts once. */
  get revision(): number {
    return (this.heap.doubles[0] as Float64Array)[REVISION_DOUBLE] as number;
  }

  #setRevision(revision: number): void {
    this.heap.touchRoot(REVISION_DOUBLE * 2, 2);
    (this.heap.doubles[0] as Float64Array)[REVISION_DOUBLE] = revision;
  }

  /** See {@link PagedHeap.restore}. */
  restore(from: number | null, content: ListContent): void {
    this.heap.restore(from, content);
    this.#table.reload();
  }

  /**
   * Checks a request as a whole before anything happens: it is never half executed for its form.
   * @returns the number of its operations, -1 when `bytes[from..to)` is not exactly one request of the sort.
   */
  #open(bytes: Uint8Array, from: number, to: number, reads: boolean): number {
    const count = this.#cursor.open(bytes, from, to, reads);
    if (count < 0) return -1;
    const { kernel } = this.heap;
    let at = from + codec.REQUEST_HEADER;
    let left = count;
    // Plain sets and gets of keys that are there are its part, where the request is worth it.
    this.#kernel = kernel?.take(bytes, at, to, count) === true ? kernel : null;
    if (this.#kernel !== null) {
      at = this.#kernel.walk(at, to, count, reads);
      left -= this.#kernel.done;
    }
    return this.#cursor.fits(at, left, to, reads) ? count : -1;
  }

  // ── writes ──

  apply(bytes: Uint8Array, from: number, to: number, sink: ResultSink): void {
    const count = this.#open(bytes, from, to, false);
    if (count < 0) {
      malformed(sink);
      return;
    }
    const base = sink.reserve(codec.WRITE_RESULT_HEADER + 9 * count);
    this.#lookAtReply(sink);
    const reply = this.#reply;
    const before = this.revision;
    reply.setUint32(base, codec.RESULT_OK, true);
    reply.setUint32(base + 4, count, true);
    reply.setFloat64(base + 8, before, true);
    this.#extrasAt = base + codec.WRITE_RESULT_HEADER + count;
    this.#revision = before + 1;
    this.#changed = false;
    this.#atomic = this.#cursor.isAtomic(from);
    if (this.#atomic) this.#batch(from + codec.REQUEST_HEADER, to, base, count);
    else {
      const done = this.#run(from + codec.REQUEST_HEADER, to, base, count);
      if (done !== count)
        violated(`operation ${done} of ${count} stopped a request that is not atomic`);
      if (this.#changed) this.#setRevision(this.#revision - 1);
    }
    sink.length = this.#extrasAt;
  }

  #lookAtReply(sink: ResultSink): void {
    if (this.#replyBytes === sink.bytes) return;
    this.#replyBytes = sink.bytes;
    this.#reply = viewOf(sink.bytes);
  }

  /** @returns how many operations were executed: the first failure ends an atomic batch. */
  #run(first: number, to: number, base: number, count: number): number {
    const cursor = this.#cursor;
    const reply = this.#reply;
    const statuses = base + codec.WRITE_RESULT_HEADER;
    const kernel = this.#atomic ? null : this.#kernel;
    let at = first;
    for (let i = 0; i < count; i++) {
      if (kernel !== null) {
        at = kernel.writes(at, count - i, this.#revision);
        const { done } = kernel;
        if (done > 0) {
          this.#replyBytes.fill(codec.CHANGED, statuses + i, statuses + i + done);
          this.#changed = true;
          this.#revision += done;
          i += done;
          if (i === count) break;
        }
      }
      cursor.parse(at, to);
      at = cursor.end;
      const status = this.#execute(cursor);
      reply.setUint8(statuses + i, status);
      if (status === codec.CHANGED) continue;
      if (codec.hasExtra(status)) {
        reply.setFloat64(this.#extrasAt, this.#extra, true);
        this.#extrasAt += 8;
      }
      if (this.#atomic && status !== codec.UNCHANGED && status !== codec.COUNTED) return i;
    }
    return count;
  }

  /** All or nothing, and one revision. */
  #batch(first: number, to: number, base: number, count: number): void {
    this.#beginUndo();
    const failed = this.#run(first, to, base, count);
    if (failed === count) {
      if (this.#changed) this.#setRevision(this.#revision);
      this.heap.endUndo();
      return;
    }
    this.#rollback();
    // Only what failed keeps its status, and its extra where it has one.
    const reply = this.#reply;
    const statuses = base + codec.WRITE_RESULT_HEADER;
    const status = reply.getUint8(statuses + failed);
    this.#replyBytes.fill(codec.NOT_APPLIED, statuses, statuses + count);
    reply.setUint8(statuses + failed, status);
    reply.setUint8(base, codec.RESULT_ABORTED);
    this.#extrasAt = statuses + count;
    if (!codec.hasExtra(status)) return;
    reply.setFloat64(this.#extrasAt, this.#extra, true);
    this.#extrasAt += 8;
  }

  #beginUndo(): void {
    this.#table.undoBegins();
    this.heap.beginUndo();
  }

  #rollback(): void {
    this.heap.rollback();
    this.#table.rolledBack();
  }

  #execute(cursor: OperationCursor): number {
    if (cursor.skipped) return codec.UNCHANGED;
    if (!cursor.keyIsValid) return codec.KEY_INVALID;
    const { view, valueAt, valueBytes } = cursor;
    if (valueBytes > codec.VALUE_BYTES_MAX) return codec.VALUE_TOO_LARGE;
    const hash = hashKey(view, cursor.keyAt, cursor.keyBytes);
    const record = this.#table.find(view, cursor.keyAt, cursor.keyBytes, hash);
    switch (cursor.code) {
      case codec.OP_SET:
        if (cursor.condition !== codec.IF_ALWAYS && !this.#holds(record))
          return codec.CONDITION_FAILED;
        return this.#store(record, hash, view, valueAt, valueBytes);
      case codec.OP_DELETE:
        if (cursor.condition !== codec.IF_ALWAYS && !this.#holds(record))
          return codec.CONDITION_FAILED;
        return this.#remove(record, hash);
      case codec.OP_INCR:
        return this.#increment(record, hash);
      default:
        return this.#swap(record, hash);
    }
  }

  /** Checks the operation's condition; where it fails, the extra becomes the stored revision. */
  #holds(record: number): boolean {
    const stored = record === 0 ? 0 : this.#records.revision(record);
    let holds = record !== 0;
    if (this.#cursor.condition === codec.IF_ABSENT) holds = record === 0;
    else if (this.#cursor.condition === codec.IF_REVISION)
      holds = holds && stored === this.#cursor.extra;
    if (!holds) this.#extra = stored;
    return holds;
  }

  #countChange(): void {
    this.#changed = true;
    if (!this.#atomic) this.#revision++;
  }

  #store(record: number, hash: number, view: DataView, from: number, length: number): number {
    const bytes = recordBytes(this.#cursor.keyBytes, length);
    if (record !== 0 && this.#records.overwrite(record, view, from, length, this.#revision)) {
      this.#countChange();
      return codec.CHANGED;
    }
    const value = this.#value;
    value.view = view;
    value.from = from;
    value.length = length;
    // A batch can be rolled back anyway. Alone, an operation pays for that only where it may fail.
    const units = Math.ceil(bytes / UNIT_BYTES) + OVERFLOW_UNITS;
    const careful = !this.#atomic && !this.#allocator.hasRoom(units, units);
    if (careful) this.#beginUndo();
    const stored = this.#place(record, hash, bytes);
    if (careful && !stored) this.#rollback();
    else if (careful) this.heap.endUndo();
    if (!stored) return codec.STORE_FULL;
    this.#countChange();
    return codec.CHANGED;
  }

  /** Puts key and value into a new block. @returns false when the heap is full: something may have changed then. */
  #place(record: number, hash: number, bytes: number): boolean {
    const revisions = this.#revisions;
    revisions.revision = this.#revision;
    revisions.created = record === 0 ? this.#revision : this.#records.created(record);
    // The old block goes first, so that the new one may take its place.
    if (record !== 0) this.#allocator.free(record);
    const block = this.#allocator.allocate(bytes);
    if (block === 0) return false;
    this.#records.write(block, this.#cursor, this.#value, revisions);
    if (record === 0) return this.#table.insert(hash, block);
    if (block !== record) this.#table.replace(hash, record, block);
    return true;
  }

  #remove(record: number, hash: number): number {
    if (record === 0) return codec.UNCHANGED;
    this.#table.remove(hash, record);
    this.#allocator.free(record);
    this.#countChange();
    return codec.CHANGED;
  }

  #increment(record: number, hash: number): number {
    const scratch = this.#scratch;
    let value = 0;
    if (record !== 0) {
      const length = this.#records.valueBytes(record);
      if (length > INTEGER_BYTES_MAX) return codec.WRONG_TYPE;
      this.#records.copyOut(record, scratch, 0);
      const stored = readInteger(scratch, 0, length);
      if (stored === null) return codec.WRONG_TYPE;
      value = stored;
    }
    const sum = value + this.#cursor.extra;
    if (!Number.isSafeInteger(sum)) return codec.OUT_OF_RANGE;
    const length = writeInteger(scratch, 0, sum);
    const status = this.#store(record, hash, scratch, 0, length);
    if (status !== codec.CHANGED) return status;
    this.#extra = sum;
    return codec.COUNTED;
  }

  #swap(record: number, hash: number): number {
    const { view, extra, keyAt, keyBytes, expectedBytes, valueAt, valueBytes } = this.#cursor;
    const same =
      extra < 0
        ? record === 0
        : record !== 0 && this.#records.sameValue(record, view, keyAt + keyBytes, expectedBytes);
    if (same) return this.#store(record, hash, view, valueAt, valueBytes);
    this.#extra = record === 0 ? 0 : this.#records.revision(record);
    return codec.CONDITION_FAILED;
  }

  // ── reads ──

  read(bytes: Uint8Array, from: number, to: number, sink: ResultSink): void {
    const cursor = this.#cursor;
    const count = this.#open(bytes, from, to, true);
    if (count < 0) {
      malformed(sink);
      return;
    }
    const base = sink.reserve(codec.READ_RESULT_HEADER);
    sink.length += codec.READ_RESULT_HEADER;
    const first = from + codec.REQUEST_HEADER;
    const kernel = this.#kernel;
    let answered = 0;
    for (let at = first; answered < count; answered++) {
      if (kernel !== null) {
        at = kernel.reads(at, count - answered, codec.READ_REPLY_BYTES - (sink.length - base));
        const { done } = kernel;
        if (done > 0) {
          const { answer } = kernel;
          const answerAt = sink.reserve(answer.length);
          sink.bytes.set(answer, answerAt);
          sink.length += answer.length;
          answered += done;
          if (answered === count) break;
        }
      }
      cursor.parse(at, to);
      at = cursor.end;
      if (!this.#answer(cursor, sink, sink.length - base)) break;
    }
    this.#lookAtReply(sink);
    this.#reply.setUint32(base, codec.RESULT_OK, true);
    this.#reply.setUint32(base + 4, answered, true);
  }

  /** @returns false when the answer would become too large: the client asks for the rest. */
  #answer(cursor: OperationCursor, sink: ResultSink, soFar: number): boolean {
    const { view, code, keyAt, keyBytes } = cursor;
    const record = cursor.keyIsValid
      ? this.#table.find(view, keyAt, keyBytes, hashKey(view, keyAt, keyBytes))
      : 0;
    if (record === 0 || code === codec.OP_HAS) {
      if (soFar + 1 > codec.READ_REPLY_BYTES) return false;
      const at = sink.reserve(1); // may replace `bytes`
      sink.bytes[at] = record === 0 ? 0 : 1;
      sink.length += 1;
      return true;
    }
    const valueBytes = this.#records.valueBytes(record);
    const header = code === codec.OP_GET_ITEM ? 1 + 16 + 4 : 1 + 4;
    if (soFar + header + valueBytes > codec.READ_REPLY_BYTES) return false;
    // Room for a whole word at the end, which the copy may fill.
    const at = sink.reserve(header + valueBytes + 3);
    this.#lookAtReply(sink);
    const reply = this.#reply;
    reply.setUint8(at, 1);
    if (code === codec.OP_GET_ITEM) {
      reply.setFloat64(at + 1, this.#records.revision(record), true);
      reply.setFloat64(at + 9, this.#records.created(record), true);
    }
    reply.setUint32(at + header - 4, valueBytes, true);
    this.#records.copyOut(record, reply, at + header);
    sink.length += header + valueBytes;
    return true;
  }
}

/** The answer to what is not a request: nothing was executed. */
export function malformed(sink: ResultSink): void {
  const at = sink.reserve(codec.WRITE_RESULT_HEADER);
  sink.bytes.fill(0, at, at + codec.WRITE_RESULT_HEADER);
  sink.bytes[at] = codec.RESULT_MALFORMED;
  sink.length += codec.WRITE_RESULT_HEADER;
}
