// The results of a pipeline, read in place: looking at them in the order of the operations costs no more than the walk, and no object
// is made until somebody asks for a value. For any other order the walk is marked every so often.

import {
  CHANGED,
  CONDITION_FAILED,
  COUNTED,
  READ_RESULT_HEADER,
  UNCHANGED,
} from '../../service/operation.js';
import type { WriteResult } from '../../service/result-reader.js';
import type { PipelineResult } from '../api.js';
import { VrError } from '../errors.js';
import { statusError } from './calls.js';
import type { ValueCodec } from './codecs.js';

/** Sorts of operations: each has its own requests. */
export const WRITE = 0;
export const READ = 1;

/** Results of one request; `first` is the ordinal of its first operation among those of its sort. */
export interface WritePart {
  readonly first: number;
  readonly result: WriteResult;
}

export interface ReadPart {
  readonly first: number;
  /** Operations answered. */
  readonly count: number;
  readonly bytes: Buffer;
}

const OK = new Uint8Array(256);
for (const status of [CHANGED, UNCHANGED, COUNTED, CONDITION_FAILED]) OK[status] = 1;

/** Operations between two marks of the walk. */
const MARK_EVERY = 64;
/** Words of a mark: write, writePart, read, readPart, from. */
const MARK_WORDS = 5;
const LENGTH_BYTES = 4;
/** Longer values are copied by the engine. */
const SHORT_COPY_BYTES = 256;
const NO_BYTES = new Uint8Array(0);
const NO_VIEW = new DataView(NO_BYTES.buffer);

export class Results<V> implements PipelineResult<V> {
  readonly count: number;
  readonly #sorts: Uint8Array;
  readonly #writes: readonly WritePart[];
  readonly #reads: readonly ReadPart[];
  readonly #codec: ValueCodec;
  // The walk: operation #at is write number #write, or read number #read whose answer begins at #from of its part.
  #at = 0;
  #write = 0;
  #writePart = 0;
  #read = 0;
  #readPart = 0;
  #from = READ_RESULT_HEADER;
  /** Bytes of the current part of the reads. */
  #bytes: Uint8Array = NO_BYTES;
  #view: DataView = NO_VIEW;
  #marks: Uint32Array | null = null;
  #target: Uint8Array = NO_BYTES;
  #targetView: DataView = NO_VIEW;

  /** @internal */
  constructor(what: {
    writes: WritePart[];
    reads: ReadPart[];
    sorts: Uint8Array;
    codec: ValueCodec;
  }) {
    this.count = what.sorts.length;
    this.#sorts = what.sorts;
    this.#codec = what.codec;
    const byFirst = (a: { first: number }, b: { first: number }): number => a.first - b.first;
    this.#writes = what.writes.sort(byFirst);
    this.#reads = what.reads.sort(byFirst);
    this.#openReads(0);
  }

  /** Requests that read: one of them is one snapshot. */
  get snapshots(): number {
    return this.#reads.length;
  }

  #openReads(part: number): void {
    this.#readPart = part;
    const bytes = this.#reads[part]?.bytes;
    if (bytes === undefined) return;
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  // ── the walk ──

  #goTo(i: number): void {
    if (i === this.#at && i < this.count) return;
    if (!(i >= 0 && i < this.count && Number.isInteger(i)))
      throw new VrError('VR_CONFIG', `operation must be from 0 to ${this.count - 1}, got ${i}`);
    if (i < this.#at || (this.#marks !== null && i - this.#at > MARK_EVERY)) this.#jump(i);
    while (this.#at < i) this.#step();
  }

  #step(): void {
    if (this.#sorts[this.#at++] === WRITE) {
      this.#write++;
      const part = this.#writes[this.#writePart];
      if (part !== undefined && this.#write - part.first >= part.result.count) this.#writePart++;
      return;
    }
    this.#read++;
    this.#from += this.#bytes[this.#from] === 0 ? 1 : 1 + LENGTH_BYTES + this.#length();
    const part = this.#reads[this.#readPart];
    if (part === undefined || this.#read - part.first < part.count) return;
    this.#openReads(this.#readPart + 1);
    this.#from = READ_RESULT_HEADER;
  }

  #length(): number {
    return this.#view.getUint32(this.#from + 1, true);
  }

  /** To the last mark at or before `i`. */
  #jump(i: number): void {
    this.#marks ??= this.#mark();
    const mark = Math.floor(i / MARK_EVERY);
    this.#restore(this.#marks.subarray(mark * MARK_WORDS), mark * MARK_EVERY);
  }

  #mark(): Uint32Array {
    const marks = new Uint32Array(Math.ceil(this.count / MARK_EVERY) * MARK_WORDS);
    this.#restore([0, 0, 0, 0, READ_RESULT_HEADER], 0);
    for (; this.#at < this.count; this.#step()) {
      if (this.#at % MARK_EVERY !== 0) continue;
      marks.set(
        [this.#write, this.#writePart, this.#read, this.#readPart, this.#from],
        (this.#at / MARK_EVERY) * MARK_WORDS,
      );
    }
    return marks;
  }

  #restore(mark: ArrayLike<number>, at: number): void {
    this.#at = at;
    [this.#write, this.#writePart, this.#read] = [mark[0], mark[1], mark[2]] as [
      number,
      number,
      number,
    ];
    this.#openReads(mark[3] as number);
    this.#from = mark[4] as number;
  }

  #isRead(i: number): boolean {
    this.#goTo(i);
    return this.#sorts[i] === READ;
  }

  /** Of the operation under the cursor. */
  #writeAt(): { result: WriteResult; at: number } {
    const part = this.#writes[this.#writePart];
    if (part === undefined) throw new Error(`no result for write ${this.#write}`);
    return { result: part.result, at: this.#write - part.first };
  }

  #status(): number {
    const { result, at } = this.#writeAt();
    return result.status(at);
  }

  // ── what users ask ──

  ok(i: number): boolean {
    return this.#isRead(i) || OK[this.#status()] === 1;
  }

  value(i: number): V | number | undefined {
    if (!this.#isRead(i)) {
      const { result, at } = this.#writeAt();
      return result.status(at) === COUNTED ? result.extra(at) : undefined;
    }
    if (this.#bytes[this.#from] === 0) return undefined;
    const from = this.#from + 1 + LENGTH_BYTES;
    return this.#codec.decode(this.#bytes as Buffer, from, from + this.#length()) as V;
  }

  copyValue(i: number, target: Uint8Array, offset = 0): number {
    if (!this.#isRead(i))
      throw new VrError('VR_CONFIG', `operation ${i} is not a get: it has no stored bytes`);
    if (this.#bytes[this.#from] === 0) return -1;
    const length = this.#length();
    if (!(offset >= 0 && offset + length <= target.length && Number.isInteger(offset)))
      throw new VrError(
        'VR_CONFIG',
        `the value has ${length} bytes, and the target ${target.length} from offset ${offset} on`,
        { details: { bytes: length, offset, room: target.length - offset } },
      );
    const from = this.#from + 1 + LENGTH_BYTES;
    if (length > SHORT_COPY_BYTES) target.set(this.#bytes.subarray(from, from + length), offset);
    else this.#copyShort(from, length, target, offset);
    return length;
  }

  /** Word by word: for what is mostly copied, cheaper than making a view of it. */
  #copyShort(from: number, length: number, target: Uint8Array, offset: number): void {
    // A target can grow with its buffer.
    if (this.#target !== target || this.#targetView.byteLength !== target.length) {
      this.#target = target;
      this.#targetView = new DataView(target.buffer, target.byteOffset, target.byteLength);
    }
    const source = this.#view;
    const view = this.#targetView;
    const words = length & ~3;
    for (let at = 0; at < words; at += 4)
      view.setInt32(offset + at, source.getInt32(from + at, true), true);
    for (let at = words; at < length; at++) target[offset + at] = this.#bytes[from + at] as number;
  }

  revision(i: number): number | undefined {
    if (this.#isRead(i)) return undefined;
    const { result, at } = this.#writeAt();
    return result.revision(at);
  }

  error(i: number): Error | undefined {
    if (this.#isRead(i)) return undefined;
    return statusError(this.#status()) ?? undefined;
  }
}
