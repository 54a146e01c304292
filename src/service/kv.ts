// The key-value service: walks the operations of a request and executes them on the byte table. No object and no string is made
// per operation. Every operation either happens whole or changes nothing (DT6), and an atomic batch does so as a whole: what it
// replaces stays in place, unlinked, until its last operation has succeeded.

import type { ResultSink } from '../protocol/state-machine.js';
import { ByteTable, type KeySource } from './byte-table.js';
import { readInteger, writeInteger } from './msgpack-integer.js';
import {
  CHANGED,
  CONDITION_FAILED,
  COUNTED,
  FLAG_ATOMIC,
  IF_ABSENT,
  IF_ALWAYS,
  IF_PRESENT,
  IF_REVISION,
  KEY_BYTES_MAX,
  KEY_INVALID,
  NOT_APPLIED,
  OP_CAS,
  OP_DELETE,
  OP_GET,
  OP_GET_ITEM,
  OP_HAS,
  OP_INCR,
  OP_SET,
  OPERATION_HEADER,
  OUT_OF_RANGE,
  READ_REPLY_BYTES,
  READ_RESULT_HEADER,
  REQUEST_HEADER,
  RESULT_ABORTED,
  RESULT_MALFORMED,
  RESULT_OK,
  STORE_FULL,
  UNCHANGED,
  VALUE_BYTES_MAX,
  VALUE_TOO_LARGE,
  WRITE_RESULT_HEADER,
  WRONG_TYPE,
} from './operation.js';
import { PagedHeap } from './paged-heap.js';

/** Longest msgpack integer. */
const INTEGER_BYTES = 9;
const SHORT_VALUE_BYTES = 160;

/** One step of an atomic batch: which record came, which went; 0 for none. */
interface Undo {
  readonly added: number;
  readonly removed: number;
}

export class KeyValueService {
  readonly heap: PagedHeap;
  readonly table: ByteTable;
  readonly #source: KeySource = {
    bytes: new Uint8Array(0),
    view: new DataView(new ArrayBuffer(0)),
  };
  readonly #scratch: KeySource;
  readonly #undo: Undo[] = [];
  #atomic = false;
  #revision = 0;
  #sinkBytes: Uint8Array = new Uint8Array(0);
  #sinkView: DataView = new DataView(new ArrayBuffer(0));
  // The operation under the cursor.
  #code = 0;
  #condition = 0;
  #keyAt = 0;
  #keyBytes = 0;
  #valueAt = 0;
  #valueBytes = 0;
  #extra = 0;
  #end = 0;

  constructor(storeBytes: number) {
    this.heap = new PagedHeap(storeBytes);
    this.table = new ByteTable(this.heap);
    const scratch = new Uint8Array(INTEGER_BYTES + 7);
    this.#scratch = { bytes: scratch, view: new DataView(scratch.buffer) };
  }

  /** After the heap's pages were replaced. */
  reopen(): void {
    this.table.reopen();
  }

  #begin(bytes: Uint8Array): void {
    if (
      this.#source.bytes.buffer !== bytes.buffer ||
      this.#source.bytes.byteOffset !== bytes.byteOffset ||
      this.#source.bytes.length !== bytes.length
    )
      this.#source.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#source.bytes = bytes;
  }

  /** The operation at `at`. @returns false when its bytes do not fit into `to`. */
  #parse(at: number, to: number): boolean {
    const { view } = this.#source;
    if (at + OPERATION_HEADER > to) return false;
    this.#code = view.getUint8(at);
    this.#condition = view.getUint8(at + 1);
    this.#keyBytes = view.getUint16(at + 2, true);
    this.#valueBytes = view.getUint32(at + 4, true);
    let next = at + OPERATION_HEADER;
    if (this.#code === OP_INCR || this.#code === OP_CAS || this.#condition === IF_REVISION) {
      if (next + 8 > to) return false;
      this.#extra = view.getFloat64(next, true);
      next += 8;
    }
    this.#keyAt = next;
    next += this.#keyBytes;
    if (this.#code === OP_CAS && this.#extra > 0) next += this.#extra;
    this.#valueAt = next;
    this.#end = next + this.#valueBytes;
    return this.#end <= to && next <= to;
  }

  /** True when `bytes[from..to)` holds exactly `count` operations of the right sort with sane fields. */
  #wellFormed(from: number, to: number, count: number, reads: boolean): boolean {
    let at = from;
    for (let i = 0; i < count; i++) {
      if (!this.#parse(at, to)) return false;
      if (reads) {
        if (this.#code < OP_GET || this.#code > OP_HAS) return false;
      } else if (this.#code < OP_SET || this.#code > OP_CAS || this.#condition > IF_REVISION)
        return false;
      if (this.#code === OP_INCR && !Number.isSafeInteger(this.#extra)) return false;
      if (this.#code === OP_CAS && (!Number.isInteger(this.#extra) || this.#extra < -1))
        return false;
      at = this.#end;
    }
    return at === to;
  }

  #viewOfSink(sink: ResultSink): DataView {
    if (this.#sinkBytes !== sink.bytes) {
      this.#sinkBytes = sink.bytes;
      this.#sinkView = new DataView(
        sink.bytes.buffer,
        sink.bytes.byteOffset,
        sink.bytes.byteLength,
      );
    }
    return this.#sinkView;
  }

  #malformed(sink: ResultSink): void {
    const at = sink.reserve(WRITE_RESULT_HEADER);
    sink.bytes.fill(0, at, at + WRITE_RESULT_HEADER);
    sink.bytes[at] = RESULT_MALFORMED;
    sink.length += WRITE_RESULT_HEADER;
  }

  #count(from: number, to: number): number {
    if (from + REQUEST_HEADER > to) return -1;
    return this.#source.view.getUint32(from + 4, true);
  }

  // ── writes ──

  apply(bytes: Uint8Array, from: number, to: number, sink: ResultSink): void {
    this.#begin(bytes);
    const count = this.#count(from, to);
    const first = from + REQUEST_HEADER;
    // Checked as a whole before anything happens: a request is never half executed for its form.
    if (
      count < 0 ||
      count * OPERATION_HEADER > to - first ||
      !this.#wellFormed(first, to, count, false)
    ) {
      this.#malformed(sink);
      return;
    }
    this.#atomic = ((bytes[from + 1] as number) & FLAG_ATOMIC) !== 0;
    this.#revision = this.table.revision;
    const base = sink.reserve(WRITE_RESULT_HEADER + count + 8 * count);
    const view = this.#viewOfSink(sink);
    sink.bytes.fill(0, base, base + 8);
    view.setUint32(base + 4, count, true);
    view.setFloat64(base + 8, this.#revision, true);
    const statuses = base + WRITE_RESULT_HEADER;
    let extras = statuses + count;
    let at = first;
    let failed = -1;
    for (let i = 0; i < count; i++) {
      this.#parse(at, to);
      at = this.#end;
      const status = this.#execute();
      sink.bytes[statuses + i] = status;
      if (status === CONDITION_FAILED || status === COUNTED) {
        view.setFloat64(extras, this.#extra, true);
        extras += 8;
      }
      if (this.#atomic && status > UNCHANGED && status !== COUNTED) {
        failed = i;
        break;
      }
    }
    if (this.#atomic) extras = this.#endBatch({ sink, base, count, failed, extras });
    else if (this.#revision !== this.table.revision) this.table.revision = this.#revision;
    sink.length += extras - base;
  }

  /** All or nothing. @returns the end of the result. */
  #endBatch(at: {
    sink: ResultSink;
    base: number;
    count: number;
    failed: number;
    extras: number;
  }): number {
    const { sink, base, count, failed } = at;
    const statuses = base + WRITE_RESULT_HEADER;
    if (failed < 0) {
      const changed = this.#undo.length > 0;
      for (const step of this.#undo) if (step.removed !== 0) this.heap.free(step.removed);
      this.#undo.length = 0;
      if (changed) this.table.revision += 1;
      sink.bytes[base] = RESULT_OK;
      return at.extras;
    }
    for (let step = this.#undo.pop(); step !== undefined; step = this.#undo.pop()) {
      if (step.added !== 0) {
        this.table.unlink(step.added);
        this.heap.free(step.added);
      }
      if (step.removed !== 0) this.table.link(step.removed);
    }
    // Only what failed keeps its status, and its extra where it has one.
    const extra = this.#extra;
    const status = sink.bytes[statuses + failed] as number;
    sink.bytes.fill(NOT_APPLIED, statuses, statuses + count);
    sink.bytes[statuses + failed] = status;
    sink.bytes[base] = RESULT_ABORTED;
    if (status !== CONDITION_FAILED) return statuses + count;
    this.#viewOfSink(sink).setFloat64(statuses + count, extra, true);
    return statuses + count + 8;
  }

  #execute(): number {
    const length = this.#keyBytes;
    if (length === 0 || length > KEY_BYTES_MAX) return KEY_INVALID;
    if (this.#valueBytes > VALUE_BYTES_MAX) return VALUE_TOO_LARGE;
    const hash = ByteTable.hash(this.#source, this.#keyAt, length);
    const record = this.table.find(this.#source, this.#keyAt, length, hash);
    switch (this.#code) {
      case OP_SET:
        if (!this.#holds(record)) return CONDITION_FAILED;
        return this.#store(record, hash, this.#source, this.#valueAt, this.#valueBytes);
      case OP_DELETE:
        if (!this.#holds(record)) return CONDITION_FAILED;
        return this.#remove(record);
      case OP_INCR:
        return this.#count1(record, hash);
      default:
        return this.#swap(record, hash);
    }
  }

  /** Checks the operation's condition; where it fails, the extra becomes the stored revision. */
  #holds(record: number): boolean {
    const stored = record === 0 ? 0 : this.table.revisionOf(record);
    let holds = true;
    if (this.#condition === IF_ABSENT) holds = record === 0;
    else if (this.#condition === IF_PRESENT) holds = record !== 0;
    else if (this.#condition === IF_REVISION) holds = record !== 0 && stored === this.#extra;
    if (!holds) this.#extra = stored;
    return holds || this.#condition === IF_ALWAYS;
  }

  #nextRevision(): number {
    if (this.#atomic) return this.#revision + 1;
    return ++this.#revision;
  }

  #store(
    record: number,
    hash: number,
    value: KeySource,
    valueAt: number,
    valueBytes: number,
  ): number {
    const { table } = this;
    if (record !== 0 && !this.#atomic && table.fits(record, valueBytes)) {
      table.writeValue(record, {
        bytes: value.bytes,
        view: value.view,
        from: valueAt,
        length: valueBytes,
      });
      table.setRevisions(record, this.#nextRevision(), table.createdOf(record));
      return CHANGED;
    }
    const added = table.allocate(this.#keyBytes, valueBytes);
    if (added === 0) return STORE_FULL;
    const { bytes, view } = this.#source;
    table.writeKey(added, { bytes, view, from: this.#keyAt, length: this.#keyBytes, hash });
    table.writeValue(added, {
      bytes: value.bytes,
      view: value.view,
      from: valueAt,
      length: valueBytes,
    });
    const revision = this.#nextRevision();
    table.setRevisions(added, revision, record === 0 ? revision : table.createdOf(record));
    if (record !== 0) table.unlink(record);
    table.link(added);
    this.#replaced(added, record);
    return CHANGED;
  }

  #replaced(added: number, removed: number): void {
    if (this.#atomic) this.#undo.push({ added, removed });
    else if (removed !== 0) this.heap.free(removed);
  }

  #remove(record: number): number {
    if (record === 0) return UNCHANGED;
    this.table.unlink(record);
    this.#nextRevision();
    this.#replaced(0, record);
    return CHANGED;
  }

  /** Adds to a counter; its bytes stay the shortest msgpack integer. */
  #count1(record: number, hash: number): number {
    let value = 0;
    if (record !== 0) {
      const bytes = this.heap.bytesOf(record);
      const at = this.table.valueOffset(record);
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      const stored = readInteger(view, at, at + this.table.valueBytes(record));
      if (stored === null) return WRONG_TYPE;
      value = stored;
    }
    const sum = value + this.#extra;
    if (!Number.isSafeInteger(sum)) return OUT_OF_RANGE;
    const length = writeInteger(this.#scratch.view, 0, sum);
    const status = this.#store(record, hash, this.#scratch, 0, length);
    if (status !== CHANGED) return status;
    this.#extra = sum;
    return COUNTED;
  }

  #swap(record: number, hash: number): number {
    const expected = this.#extra;
    const same = expected < 0 ? record === 0 : record !== 0 && this.#sameValue(record, expected);
    if (!same) {
      this.#extra = record === 0 ? 0 : this.table.revisionOf(record);
      return CONDITION_FAILED;
    }
    return this.#store(record, hash, this.#source, this.#valueAt, this.#valueBytes);
  }

  #sameValue(record: number, length: number): boolean {
    if (this.table.valueBytes(record) !== length) return false;
    const bytes = this.heap.bytesOf(record);
    const at = this.table.valueOffset(record);
    const from = this.#keyAt + this.#keyBytes;
    for (let i = 0; i < length; i++)
      if (bytes[at + i] !== this.#source.bytes[from + i]) return false;
    return true;
  }

  // ── reads ──

  read(bytes: Uint8Array, from: number, to: number, sink: ResultSink): void {
    this.#begin(bytes);
    const count = this.#count(from, to);
    const first = from + REQUEST_HEADER;
    if (
      count < 0 ||
      count * OPERATION_HEADER > to - first ||
      !this.#wellFormed(first, to, count, true)
    ) {
      this.#malformed(sink);
      return;
    }
    const base = sink.reserve(READ_RESULT_HEADER);
    sink.bytes.fill(0, base, base + READ_RESULT_HEADER);
    sink.length += READ_RESULT_HEADER;
    let answered = 0;
    for (let at = first; answered < count; answered++) {
      this.#parse(at, to);
      at = this.#end;
      if (!this.#answer(sink, sink.length - base)) break;
    }
    this.#viewOfSink(sink).setUint32(base + 4, answered, true);
  }

  /** @returns false when the answer would become too large: the client asks for the rest. */
  #answer(sink: ResultSink, soFar: number): boolean {
    const length = this.#keyBytes;
    const valid = length > 0 && length <= KEY_BYTES_MAX;
    const hash = valid ? ByteTable.hash(this.#source, this.#keyAt, length) : 0;
    const record = valid ? this.table.find(this.#source, this.#keyAt, length, hash) : 0;
    if (record === 0 || this.#code === OP_HAS) {
      if (soFar + 1 > READ_REPLY_BYTES) return false;
      const at = sink.reserve(1);
      sink.bytes[at] = record === 0 ? 0 : 1;
      sink.length += 1;
      return true;
    }
    const valueBytes = this.table.valueBytes(record);
    const items = this.#code === OP_GET_ITEM ? 16 : 0;
    const needed = 1 + items + 4 + valueBytes;
    if (soFar > READ_RESULT_HEADER && soFar + needed > READ_REPLY_BYTES) return false;
    // Room for whole words behind the value, which the copy below may touch.
    const at = sink.reserve(needed + 4);
    const view = this.#viewOfSink(sink);
    sink.bytes[at] = 1;
    if (items > 0) {
      view.setFloat64(at + 1, this.table.revisionOf(record), true);
      view.setFloat64(at + 9, this.table.createdOf(record), true);
    }
    view.setUint32(at + 1 + items, valueBytes, true);
    this.#copyOut(record, valueBytes, sink.bytes, view, at + 5 + items);
    sink.length += needed;
    return true;
  }

  #copyOut(record: number, length: number, bytes: Uint8Array, view: DataView, at: number): void {
    const offset = this.table.valueOffset(record);
    if (length > SHORT_VALUE_BYTES) {
      bytes.set(this.heap.bytesOf(record).subarray(offset, offset + length), at);
      return;
    }
    // The value is word-aligned in its record and its block ends on a word: whole words may be copied past its end.
    const words = this.heap.wordsOf(record);
    const word = offset >>> 2;
    for (let done = 0; done < length; done += 4)
      view.setInt32(at + done, words[word + (done >>> 2)] as number, true);
  }
}
