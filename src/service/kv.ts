// The key-value service: walks the operations of a request and executes them on the byte table. No object and no string is made
// per operation. Every operation happens whole or changes nothing, not even the layout (DT6); an atomic batch does so as a whole. Where
// an operation may fail half way - near the limit, or in a batch - the heap remembers what was there and puts it back.

import { assert } from '../protocol/assert.js';
import type { ResultSink } from '../protocol/state-machine.js';
import { Allocator } from './allocator.js';
import { ByteTable } from './byte-table.js';
import { INTEGER_BYTES_MAX, readInteger, writeInteger } from './msgpack-integer.js';
import * as codec from './operation.js';
import { type HeapOptions, PagedHeap, UNIT_BYTES } from './paged-heap.js';
import { KEY_WORD, Records, recordBytes } from './record.js';
import { type Span, spanOf, viewOf } from './span.js';

/** In the root: the store's counter of changes, a float64 behind the words of allocator and table. */
const REVISION_DOUBLE = 168;
/** What an operation may allocate besides its record: one overflow bucket. */
const OVERFLOW_UNITS = 8;

const NO_BYTES = new Uint8Array(0);

export class KeyValueService {
  readonly heap: PagedHeap;
  readonly #allocator: Allocator;
  readonly #table: ByteTable;
  readonly #records: Records;
  readonly #reply: Span = spanOf(NO_BYTES);
  readonly #scratch: Span = spanOf(new Uint8Array(INTEGER_BYTES_MAX + 3));
  readonly #revisions = { revision: 0, created: 0 };
  #atomic = false;
  /** Revision of the next change. */
  #revision = 0;
  #changed = false;
  /** Where the next extra goes in the reply. */
  #extrasAt = 0;
  // The operation under the cursor.
  readonly #key: Span = spanOf(NO_BYTES);
  readonly #value: Span = spanOf(NO_BYTES);
  readonly #expected: Span = spanOf(NO_BYTES);
  #code = 0;
  #condition = 0;
  #skipped = false;
  /** The operation's number: asked at first, told in the reply in the end. */
  #extra = 0;
  #end = 0;

  constructor(options: HeapOptions) {
    const heap = new PagedHeap(options);
    this.heap = heap;
    this.#allocator = new Allocator(heap);
    this.#table = new ByteTable({ heap, allocator: this.#allocator, keyWord: KEY_WORD });
    this.#records = new Records(heap, this.#allocator);
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

  /** Replaces the state by an image: the pages of another store's heap. */
  load(pages: readonly Uint8Array[]): void {
    this.heap.load(pages);
    this.#table.reload();
  }

  // ── walking a request ──

  #look(bytes: Uint8Array): void {
    if (this.#key.bytes === bytes) return;
    const view = viewOf(bytes);
    for (const span of [this.#key, this.#value, this.#expected]) {
      span.bytes = bytes;
      span.view = view;
    }
  }

  /** @returns the number of operations, -1 when `bytes[from..to)` is not exactly one request of the kind. */
  #open(bytes: Uint8Array, from: number, to: number, reads: boolean): number {
    this.#look(bytes);
    const first = from + codec.REQUEST_HEADER;
    if (first > to) return -1;
    const { view } = this.#key;
    const flags = view.getUint8(from + 1);
    if (flags > (reads ? 0 : codec.FLAG_ATOMIC) || view.getUint16(from + 2) !== 0) return -1;
    const count = view.getUint32(from + 4, true);
    if (count * codec.OPERATION_HEADER > to - first) return -1;
    // Checked as a whole before anything happens: a request is never half executed for its form.
    let at = first;
    for (let i = 0; i < count; i++) {
      if (at + codec.OPERATION_HEADER > to) return -1;
      this.#parse(at, to);
      if (this.#end > to || !(reads ? this.#isRead() : this.#isWrite())) return -1;
      at = this.#end;
    }
    this.#atomic = flags === codec.FLAG_ATOMIC;
    return at === to ? count : -1;
  }

  /** Reads the operation at `at`, whose header is there; an `#end` beyond `to` says that the rest is not. */
  #parse(at: number, to: number): void {
    const { view } = this.#key;
    const code = view.getUint8(at);
    const flags = view.getUint8(at + 1);
    const condition = flags & ~codec.SKIPPED;
    this.#skipped = (flags & codec.SKIPPED) !== 0;
    this.#code = code;
    this.#condition = condition;
    const keyBytes = view.getUint16(at + 2, true);
    const valueBytes = view.getUint32(at + 4, true);
    let next = at + codec.OPERATION_HEADER;
    let expected = 0;
    if (code === codec.OP_INCR || code === codec.OP_CAS || condition === codec.IF_REVISION) {
      if (next + 8 > to) {
        this.#end = to + 1;
        return;
      }
      this.#extra = view.getFloat64(next, true);
      next += 8;
      if (code === codec.OP_CAS && this.#extra > 0) expected = this.#extra;
    }
    this.#key.from = next;
    this.#key.length = keyBytes;
    next += keyBytes + expected;
    this.#value.from = next;
    this.#value.length = valueBytes;
    this.#end = next + valueBytes;
  }

  #isRead(): boolean {
    const code = this.#code;
    if (code < codec.OP_GET || code > codec.OP_HAS) return false;
    return this.#condition === codec.IF_ALWAYS && this.#value.length === 0;
  }

  #isWrite(): boolean {
    switch (this.#code) {
      case codec.OP_SET:
        return this.#condition <= codec.IF_REVISION;
      case codec.OP_DELETE:
        return this.#condition <= codec.IF_REVISION && this.#value.length === 0;
      case codec.OP_INCR:
        if (this.#condition !== codec.IF_ALWAYS || this.#value.length !== 0) return false;
        return Number.isSafeInteger(this.#extra);
      case codec.OP_CAS:
        if (this.#condition !== codec.IF_ALWAYS) return false;
        return Number.isInteger(this.#extra) && this.#extra >= -1;
      default:
        return false;
    }
  }

  #keyIsValid(): boolean {
    return this.#key.length > 0 && this.#key.length <= codec.KEY_BYTES_MAX;
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
    const { view } = this.#reply;
    const before = this.revision;
    view.setUint32(base, codec.RESULT_OK, true);
    view.setUint32(base + 4, count, true);
    view.setFloat64(base + 8, before, true);
    this.#extrasAt = base + codec.WRITE_RESULT_HEADER + count;
    this.#revision = before + 1;
    this.#changed = false;
    if (this.#atomic) this.#batch(from + codec.REQUEST_HEADER, to, base, count);
    else {
      const done = this.#run(from + codec.REQUEST_HEADER, to, base, count);
      assert(done === count, `operation ${done} of ${count} stopped a request that is not atomic`);
      if (this.#changed) this.#setRevision(this.#revision - 1);
    }
    sink.length = this.#extrasAt;
  }

  #lookAtReply(sink: ResultSink): void {
    if (this.#reply.bytes === sink.bytes) return;
    this.#reply.bytes = sink.bytes;
    this.#reply.view = viewOf(sink.bytes);
  }

  /** @returns how many operations were executed: the first failure ends an atomic batch. */
  #run(first: number, to: number, base: number, count: number): number {
    const { view } = this.#reply;
    const statuses = base + codec.WRITE_RESULT_HEADER;
    let at = first;
    for (let i = 0; i < count; i++) {
      this.#parse(at, to);
      at = this.#end;
      const status = this.#execute();
      view.setUint8(statuses + i, status);
      if (status === codec.CHANGED) continue;
      if (codec.hasExtra(status)) {
        view.setFloat64(this.#extrasAt, this.#extra, true);
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
    const { bytes, view } = this.#reply;
    const statuses = base + codec.WRITE_RESULT_HEADER;
    const status = view.getUint8(statuses + failed);
    bytes.fill(codec.NOT_APPLIED, statuses, statuses + count);
    view.setUint8(statuses + failed, status);
    view.setUint8(base, codec.RESULT_ABORTED);
    this.#extrasAt = statuses + count;
    if (!codec.hasExtra(status)) return;
    view.setFloat64(this.#extrasAt, this.#extra, true);
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

  #execute(): number {
    if (this.#skipped) return codec.UNCHANGED;
    if (!this.#keyIsValid()) return codec.KEY_INVALID;
    if (this.#value.length > codec.VALUE_BYTES_MAX) return codec.VALUE_TOO_LARGE;
    const hash = ByteTable.hash(this.#key);
    const record = this.#table.find(this.#key, hash);
    switch (this.#code) {
      case codec.OP_SET:
        if (this.#condition !== codec.IF_ALWAYS && !this.#holds(record))
          return codec.CONDITION_FAILED;
        return this.#store(record, hash, this.#value);
      case codec.OP_DELETE:
        if (this.#condition !== codec.IF_ALWAYS && !this.#holds(record))
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
    if (this.#condition === codec.IF_ABSENT) holds = record === 0;
    else if (this.#condition === codec.IF_REVISION) holds = holds && stored === this.#extra;
    if (!holds) this.#extra = stored;
    return holds;
  }

  #countChange(): void {
    this.#changed = true;
    if (!this.#atomic) this.#revision++;
  }

  #store(record: number, hash: number, value: Span): number {
    const bytes = recordBytes(this.#key.length, value.length);
    if (record !== 0 && this.#records.fits(record, bytes)) {
      this.#records.overwrite(record, value, this.#revision);
      this.#countChange();
      return codec.CHANGED;
    }
    // A batch can be rolled back anyway. Alone, an operation pays for that only where it may fail.
    const units = Math.ceil(bytes / UNIT_BYTES) + OVERFLOW_UNITS;
    const careful = !this.#atomic && !this.#allocator.hasRoom(units, units);
    if (careful) this.#beginUndo();
    const stored = this.#place(record, hash, value, bytes);
    if (careful && !stored) this.#rollback();
    else if (careful) this.heap.endUndo();
    if (!stored) return codec.STORE_FULL;
    this.#countChange();
    return codec.CHANGED;
  }

  /** Puts key and value into a new block. @returns false when the heap is full: something may have changed then. */
  #place(record: number, hash: number, value: Span, bytes: number): boolean {
    const revisions = this.#revisions;
    revisions.revision = this.#revision;
    revisions.created = record === 0 ? this.#revision : this.#records.created(record);
    // The old block goes first, so that the new one may take its place.
    if (record !== 0) this.#allocator.free(record);
    const block = this.#allocator.allocate(bytes);
    if (block === 0) return false;
    this.#records.write(block, this.#key, value, revisions);
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
      scratch.from = 0;
      this.#records.copyOut(record, scratch);
      const stored = readInteger(scratch.view, 0, length);
      if (stored === null) return codec.WRONG_TYPE;
      value = stored;
    }
    const sum = value + this.#extra;
    if (!Number.isSafeInteger(sum)) return codec.OUT_OF_RANGE;
    scratch.length = writeInteger(scratch.view, 0, sum);
    const status = this.#store(record, hash, scratch);
    if (status !== codec.CHANGED) return status;
    this.#extra = sum;
    return codec.COUNTED;
  }

  #swap(record: number, hash: number): number {
    const expected = this.#expected;
    if (this.#extra >= 0) {
      expected.from = this.#key.from + this.#key.length;
      expected.length = this.#extra;
    }
    const same =
      this.#extra < 0 ? record === 0 : record !== 0 && this.#records.sameValue(record, expected);
    if (same) return this.#store(record, hash, this.#value);
    this.#extra = record === 0 ? 0 : this.#records.revision(record);
    return codec.CONDITION_FAILED;
  }

  // ── reads ──

  read(bytes: Uint8Array, from: number, to: number, sink: ResultSink): void {
    const count = this.#open(bytes, from, to, true);
    if (count < 0) {
      malformed(sink);
      return;
    }
    const base = sink.reserve(codec.READ_RESULT_HEADER);
    sink.length += codec.READ_RESULT_HEADER;
    let answered = 0;
    for (let at = from + codec.REQUEST_HEADER; answered < count; answered++) {
      this.#parse(at, to);
      at = this.#end;
      if (!this.#answer(sink, sink.length - base)) break;
    }
    this.#lookAtReply(sink);
    this.#reply.view.setUint32(base, codec.RESULT_OK, true);
    this.#reply.view.setUint32(base + 4, answered, true);
  }

  /** @returns false when the answer would become too large: the client asks for the rest. */
  #answer(sink: ResultSink, soFar: number): boolean {
    const record = this.#keyIsValid() ? this.#table.find(this.#key, ByteTable.hash(this.#key)) : 0;
    if (record === 0 || this.#code === codec.OP_HAS) {
      if (soFar + 1 > codec.READ_REPLY_BYTES) return false;
      const at = sink.reserve(1); // may replace `bytes`
      sink.bytes[at] = record === 0 ? 0 : 1;
      sink.length += 1;
      return true;
    }
    const valueBytes = this.#records.valueBytes(record);
    const header = this.#code === codec.OP_GET_ITEM ? 1 + 16 + 4 : 1 + 4;
    if (soFar + header + valueBytes > codec.READ_REPLY_BYTES) return false;
    // Room for a whole word at the end, which the copy may fill.
    const at = sink.reserve(header + valueBytes + 3);
    this.#lookAtReply(sink);
    const reply = this.#reply;
    reply.view.setUint8(at, 1);
    if (this.#code === codec.OP_GET_ITEM) {
      reply.view.setFloat64(at + 1, this.#records.revision(record), true);
      reply.view.setFloat64(at + 9, this.#records.created(record), true);
    }
    reply.view.setUint32(at + header - 4, valueBytes, true);
    reply.from = at + header;
    this.#records.copyOut(record, reply);
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
