// The results of a pipeline, read in place: looking at them in the order of the operations costs no more than the walk, and no object
// is made until somebody asks for a value. For any other order the walk is marked every so often.

import {
  CHANGED,
  CONDITION_FAILED,
  COUNTED,
  READ_RESULT_HEADER,
  UNCHANGED,
} from '../../service/operation.js';
import { WriteResult } from '../../service/result-reader.js';
import type { PipelineResult } from '../api.js';
import { VrError } from '../errors.js';
import { statusError } from './calls.js';
import type { ValueCodec } from './codecs.js';
import { Memory, type MemoryPool } from './memory-pool.js';

/** Bytes of the first bits: up to 64 an array lives in the heap of its thread. */
const FIRST_SORTS = 64;

/** Which operations of a pipeline read and which write, in their order: a bit each, and none as long as all are of one sort. */
export class OperationSorts {
  count = 0;
  reads = 0;
  /** Null: all are of one sort. 1: reads. */
  bits: Uint8Array | null = null;

  get writes(): number {
    return this.count - this.reads;
  }

  addRead(): void {
    const at = this.count++;
    if (this.reads++ === at) return;
    const bits = this.#room(at);
    bits[at >> 3] = (bits[at >> 3] as number) | (1 << (at & 7));
  }

  addWrite(): void {
    const at = this.count++;
    if (this.reads === 0) return;
    const mixed = this.bits !== null;
    const bits = this.#room(at);
    if (!mixed)
      for (let i = 0; i < at; i++) bits[i >> 3] = (bits[i >> 3] as number) | (1 << (i & 7));
  }

  #room(at: number): Uint8Array {
    const before = this.bits;
    if (before !== null && at >> 3 < before.length) return before;
    const bits = new Uint8Array(Math.max(FIRST_SORTS, (at >> 1) & ~7));
    if (before !== null) bits.set(before);
    this.bits = bits;
    return bits;
  }
}

/** The answer to one request, in private memory. */
export class ResultPart {
  readonly memory: Memory;
  readonly from: number;
  /** Ordinal of its first operation among those of its sort. */
  readonly first: number;
  /** Operations answered. */
  readonly count: number;
  #writes: WriteResult | null = null;

  /** It lies in the room of `memory` that was taken last. */
  constructor(memory: Memory, first: number, count: number) {
    this.memory = memory;
    this.from = memory.from;
    this.first = first;
    this.count = count;
  }

  /** Of a request that wrote. */
  get writes(): WriteResult {
    const { bytes, view } = this.memory;
    this.#writes ??= new WriteResult(bytes, false, this.from, view);
    return this.#writes;
  }
}

const OK = new Uint8Array(256);
for (const status of [CHANGED, UNCHANGED, COUNTED, CONDITION_FAILED]) OK[status] = 1;

/** Operations between two marks of the walk. */
const MARK_EVERY = 64;
/** Words of a mark: read, readPart, from. */
const MARK_WORDS = 3;
const LENGTH_BYTES = 4;
/** Longer values are copied by the engine. */
const SHORT_COPY_BYTES = 256;
const NO_BYTES = new Uint8Array(0);
const NO_MEMORY = new Memory(Buffer.alloc(0), true);
const NO_WRITES = new WriteResult(NO_BYTES, false);

const NO_PARTS: readonly never[] = [];
/** In place of the number of operations that can be asked for. */
const RELEASED = -1;

export class Results<V> implements PipelineResult<V> {
  readonly count: number;
  readonly #bits: Uint8Array | null;
  readonly #onlyReads: boolean;
  readonly #codec: ValueCodec;
  readonly #memory: MemoryPool;
  #writes: readonly ResultPart[];
  #reads: readonly ResultPart[];
  #end: number;
  // The walk: #read reads lie before operation #at. The answer to the next one begins at #from of its part.
  #at = 0;
  #read = 0;
  #readPart = 0;
  /** Ordinal of the first read behind this part. */
  #readsEnd = 0;
  #from = 0;
  #bytes: Buffer = NO_MEMORY.bytes;
  #view: DataView = NO_MEMORY.view;
  #writePart = 0;
  #writesFirst = 0;
  #result: WriteResult = NO_WRITES;
  #marks: Uint32Array | null = null;
  #target: Uint8Array = NO_BYTES;
  #targetBytes = 0;
  #targetView: DataView | null = null;
  /** A value that was handed out may view the memory. */
  #viewed = false;

  /** @internal */
  constructor(
    parts: { readonly writes: ResultPart[] | null; readonly reads: ResultPart[] | null },
    sorts: OperationSorts,
    codec: ValueCodec,
    memory: MemoryPool,
  ) {
    this.count = sorts.count;
    this.#bits = sorts.bits;
    this.#onlyReads = sorts.writes === 0;
    this.#codec = codec;
    this.#memory = memory;
    this.#writes = inOrder(parts.writes);
    this.#reads = inOrder(parts.reads);
    this.#end = sorts.count;
    this.#openReads(0);
  }

  /** Requests that read: one of them is one snapshot. */
  get snapshots(): number {
    return this.#reads.length;
  }

  release(): void {
    if (this.#end === RELEASED) return;
    this.#end = RELEASED;
    if (!this.#viewed) {
      for (const { memory } of this.#writes) this.#memory.give(memory);
      for (const { memory } of this.#reads) this.#memory.give(memory);
    }
    this.#writes = NO_PARTS;
    this.#reads = NO_PARTS;
    this.#result = NO_WRITES;
    this.#bytes = NO_MEMORY.bytes;
    this.#view = NO_MEMORY.view;
  }

  [Symbol.dispose](): void {
    this.release();
  }

  // ── the walk ──

  #openReads(place: number): void {
    this.#readPart = place;
    const part = this.#reads[place];
    if (part === undefined) return;
    this.#bytes = part.memory.bytes;
    this.#view = part.memory.view;
    this.#from = part.from + READ_RESULT_HEADER;
    this.#readsEnd = part.first + part.count;
  }

  #goTo(i: number): void {
    if (i === this.#at && i < this.#end) return;
    if (!(i >= 0 && i < this.#end && Number.isInteger(i))) throw this.#refusal(i);
    if (i < this.#at || (this.#marks !== null && i - this.#at > MARK_EVERY)) this.#jump(i);
    while (this.#at < i) this.#step();
  }

  #refusal(i: number): VrError {
    if (this.#end === RELEASED)
      return new VrError('VR_CONFIG', 'the results were released: nothing can be read any more');
    return new VrError('VR_CONFIG', `operation must be from 0 to ${this.count - 1}, got ${i}`);
  }

  #step(): void {
    if (!this.#readsAt(this.#at++)) return;
    this.#from += this.#bytes[this.#from] === 0 ? 1 : 1 + LENGTH_BYTES + this.#length();
    if (++this.#read === this.#readsEnd) this.#openReads(this.#readPart + 1);
  }

  #length(): number {
    return this.#view.getUint32(this.#from + 1, true);
  }

  /** To the last mark at or before `i`. */
  #jump(i: number): void {
    this.#marks ??= this.#mark();
    this.#restore(this.#marks, Math.floor(i / MARK_EVERY));
  }

  #mark(): Uint32Array {
    const marks = new Uint32Array(Math.ceil(this.count / MARK_EVERY) * MARK_WORDS);
    this.#at = 0;
    this.#read = 0;
    this.#openReads(0);
    for (; this.#at < this.count; this.#step()) {
      if (this.#at % MARK_EVERY !== 0) continue;
      const mark = (this.#at / MARK_EVERY) * MARK_WORDS;
      marks.set([this.#read, this.#readPart, this.#from], mark);
    }
    return marks;
  }

  #restore(marks: Uint32Array, mark: number): void {
    const at = mark * MARK_WORDS;
    this.#at = mark * MARK_EVERY;
    this.#read = marks[at] as number;
    this.#openReads(marks[at + 1] as number);
    this.#from = marks[at + 2] as number;
  }

  #readsAt(i: number): boolean {
    const bits = this.#bits;
    return bits === null ? this.#onlyReads : ((bits[i >> 3] as number) & (1 << (i & 7))) !== 0;
  }

  #isRead(i: number): boolean {
    this.#goTo(i);
    return this.#readsAt(i);
  }

  /** The results of the request of the write under the cursor. */
  #written(): WriteResult {
    const place = this.#at - this.#read - this.#writesFirst;
    return place >= 0 && place < this.#result.count ? this.#result : this.#openWrites();
  }

  #openWrites(): WriteResult {
    const write = this.#at - this.#read;
    let at = write < this.#writesFirst ? 0 : this.#writePart;
    while (write >= endOf(this.#writes[at] as ResultPart)) at++;
    this.#writePart = at;
    const part = this.#writes[at] as ResultPart;
    this.#writesFirst = part.first;
    this.#result = part.writes;
    return this.#result;
  }

  /** Place in its request of the write under the cursor. */
  #place(): number {
    return this.#at - this.#read - this.#writesFirst;
  }

  #status(): number {
    return this.#written().status(this.#place());
  }

  // ── what users ask ──

  ok(i: number): boolean {
    return this.#isRead(i) || OK[this.#status()] === 1;
  }

  value(i: number): V | number | undefined {
    if (!this.#isRead(i)) {
      const result = this.#written();
      const place = this.#place();
      return result.status(place) === COUNTED ? result.extra(place) : undefined;
    }
    if (this.#bytes[this.#from] === 0) return undefined;
    this.#viewed ||= this.#codec.views;
    const from = this.#from + 1 + LENGTH_BYTES;
    return this.#codec.decode(this.#bytes, from, from + this.#length()) as V;
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
    const bytes = this.#bytes;
    // A view of the target is worth its while from the second value on. A target can grow with its buffer.
    if (this.#target !== target || this.#targetBytes !== target.length) {
      this.#target = target;
      this.#targetBytes = target.length;
      this.#targetView = null;
      for (let at = 0; at < length; at++) target[offset + at] = bytes[from + at] as number;
      return;
    }
    this.#targetView ??= new DataView(target.buffer, target.byteOffset, target.byteLength);
    const view = this.#targetView;
    const source = this.#view;
    const words = length & ~3;
    for (let at = 0; at < words; at += 4)
      view.setInt32(offset + at, source.getInt32(from + at, true), true);
    for (let at = words; at < length; at++) target[offset + at] = bytes[from + at] as number;
  }

  revision(i: number): number | undefined {
    if (this.#isRead(i)) return undefined;
    return this.#written().revision(this.#place());
  }

  error(i: number): Error | undefined {
    if (this.#isRead(i)) return undefined;
    return statusError(this.#status()) ?? undefined;
  }
}

function inOrder(parts: ResultPart[] | null): readonly ResultPart[] {
  if (parts === null) return NO_PARTS;
  return parts.length > 1 ? parts.sort((a, b) => a.first - b.first) : parts;
}

function endOf(part: ResultPart): number {
  return part.first + part.count;
}
