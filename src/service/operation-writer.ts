// Writes operations straight into the bytes of a request: no object per operation. Reads and writes go into requests of their
// own, for reads never enter the log. Whatever is refused leaves the request as it was.

import {
  FLAG_ATOMIC,
  IF_ABSENT,
  IF_ALWAYS,
  IF_PRESENT,
  IF_REVISION,
  KEY_BYTES_MAX,
  OP_CAS,
  OP_DELETE,
  OP_GET,
  OP_GET_ITEM,
  OP_HAS,
  OP_INCR,
  OP_SET,
  OPERATION_HEADER,
  REQUEST_HEADER,
  SERVICE_KV,
  SKIPPED,
  VALUE_BYTES_MAX,
  WRITE_RESULT_HEADER,
} from './operation.js';
import { utf8Bytes, utf8BytesMax, wellFormed, writeUtf8 } from './utf8.js';
import { viewOf } from './words.js';
import { FRESH_MEMORY, type WriterMemory } from './writer-memory.js';

/** Why an operation was not written. */
export type Refusal = 'key-empty' | 'key-malformed' | 'key-too-long' | 'value-too-long';

export type WriteCondition =
  | { readonly type: 'absent' }
  | { readonly type: 'present' }
  | { readonly type: 'revision'; readonly revision: number };

export interface WriterLimits {
  readonly keyBytes: number;
  readonly valueBytes: number;
}

export const WRITER_LIMITS: WriterLimits = { keyBytes: KEY_BYTES_MAX, valueBytes: VALUE_BYTES_MAX };

const FIRST_BYTES = 256;
const NEXT_BYTES_MAX: number = 128 << 10;
const EXTRA_BYTES = 8;

const NO_BYTES = new Uint8Array(0);
const NO_VIEW: DataView = viewOf(NO_BYTES);

export class OperationWriter {
  readonly #limits: WriterLimits;
  readonly #memory: WriterMemory;
  // Nothing until the first operation is written: many a pipeline has only reads, or only writes.
  #bytes: Uint8Array = NO_BYTES;
  #view: DataView = NO_VIEW;
  #firstBytes: number;
  /** The request begins here, and must end before `#end`. */
  #start = 0;
  #end = 0;
  #at = REQUEST_HEADER;
  #count = 0;
  #replyBytes = WRITE_RESULT_HEADER;

  constructor(
    limits: WriterLimits = WRITER_LIMITS,
    firstBytes: number = FIRST_BYTES,
    memory: WriterMemory = FRESH_MEMORY,
  ) {
    this.#limits = limits;
    this.#memory = memory;
    this.#firstBytes = firstBytes;
  }

  /** Operations written since `reset`. */
  get count(): number {
    return this.#count;
  }

  /** Bytes of the request so far. */
  get byteLength(): number {
    return this.#at - this.#start;
  }

  /** Largest result that a service can give to what was written (CS6); of no meaning for reads. */
  get replyBytesMax(): number {
    return this.#replyBytes;
  }

  reset(): void {
    this.#at = this.#start + REQUEST_HEADER;
    this.#count = 0;
    this.#replyBytes = WRITE_RESULT_HEADER;
  }

  /** Withdraws the operation that began at `offset`; it keeps its place in the result. */
  skip(offset: number): void {
    skipOperation(this.#bytes, this.#start + offset);
  }

  /** Withdraws `count` operations from the `first` on. */
  skipRun(first: number, count: number): void {
    skipRun(this.#body(), first, count);
  }

  /** The finished request; it views this writer's memory, which stays the writer's. */
  finish(atomic: boolean): Uint8Array {
    this.#reserve(0);
    this.#header(atomic);
    return this.#body();
  }

  /** The finished request, in memory that is not the writer's any more; the writer begins anew. */
  take(atomic: boolean): Uint8Array {
    const bytes = this.finish(atomic);
    this.#memory.trim(this.#bytes, this.#at, this.#end);
    // The next one will be as large as this one was, unless that was an exception.
    this.#firstBytes = Math.min(1 << (32 - Math.clz32(bytes.length)), NEXT_BYTES_MAX);
    this.#bytes = NO_BYTES;
    this.#view = NO_VIEW;
    this.#start = 0;
    this.#end = 0;
    this.reset();
    return bytes;
  }

  #body(): Uint8Array {
    // All views are of one shape; `#bytes` may be a Buffer or not.
    const { buffer, byteOffset } = this.#view;
    return new Uint8Array(buffer, byteOffset + this.#start, this.#at - this.#start);
  }

  #header(atomic: boolean): void {
    const view = this.#view;
    view.setUint8(this.#start, SERVICE_KV);
    view.setUint8(this.#start + 1, atomic ? FLAG_ATOMIC : 0);
    view.setUint16(this.#start + 2, 0);
    view.setUint32(this.#start + 4, this.#count, true);
  }

  #reserve(bytes: number): void {
    if (this.#at + bytes > this.#end) this.#grow(bytes);
  }

  #grow(bytes: number): void {
    const before = this.#bytes;
    const fresh = before === NO_BYTES;
    const [start, at] = [this.#start, this.#at];
    const aim = fresh ? this.#firstBytes : (this.#end - start) * 2;
    const room = this.#memory.take(Math.max(at - start + bytes, aim));
    this.#bytes = room.bytes;
    this.#view = room.view;
    this.#start = room.from;
    this.#end = room.to;
    this.#at = room.from + at - start;
    if (fresh) return;
    room.bytes.set(before.subarray(start, at), room.from);
    this.#memory.give(before);
  }

  /** Writes the key at `at`. @returns its length, or -1 when it has no UTF-8. */
  #key(key: string | Uint8Array, at: number): number {
    if (typeof key !== 'string') {
      this.#bytes.set(key, at);
      return key.length;
    }
    const { length } = key;
    if (this.#writeAscii(key, at)) return length;
    // Half a surrogate pair would become another character: different keys would be the same bytes.
    if (!wellFormed(key)) return -1;
    return writeUtf8(key, this.#bytes, at) - at;
  }

  /** @returns false, with rubbish written, at the first four characters that are not all ASCII. */
  #writeAscii(text: string, at: number): boolean {
    const view = this.#view;
    const { length } = text;
    let index = 0;
    for (const end = length & ~3; index < end; index += 4) {
      const first = text.charCodeAt(index);
      const second = text.charCodeAt(index + 1);
      const third = text.charCodeAt(index + 2);
      const fourth = text.charCodeAt(index + 3);
      if ((first | second | third | fourth) >= 0x80) return false;
      view.setInt32(at + index, first | (second << 8) | (third << 16) | (fourth << 24), true);
    }
    for (; index < length; index++) {
      const code = text.charCodeAt(index);
      if (code >= 0x80) return false;
      view.setUint8(at + index, code);
    }
    return true;
  }

  #checkKey(key: string | Uint8Array): Refusal | null {
    if (key.length === 0) return 'key-empty';
    // A string is never shorter in bytes than in code units.
    return key.length > this.#limits.keyBytes ? 'key-too-long' : null;
  }

  /** Opens an operation: header room, optional extra, key. @returns where the value goes, or a refusal. */
  #open(
    code: number,
    condition: number,
    key: string | Uint8Array,
    extra: number | null,
    valueBytes: number,
  ): number | Refusal {
    const refusal = this.#checkKey(key);
    if (refusal !== null) return refusal;
    const keyMax = typeof key === 'string' ? utf8BytesMax(key) : key.length;
    this.#reserve(OPERATION_HEADER + EXTRA_BYTES + keyMax + valueBytes);
    const start = this.#at;
    const keyAt = start + OPERATION_HEADER + (extra === null ? 0 : EXTRA_BYTES);
    const keyBytes = this.#key(key, keyAt);
    if (keyBytes < 0) return 'key-malformed';
    if (keyBytes > this.#limits.keyBytes) return 'key-too-long';
    const view = this.#view;
    // Two bytes and two of length, in one access: each has its price.
    view.setInt32(start, code | (condition << 8) | (keyBytes << 16), true);
    view.setInt32(start + 4, valueBytes, true);
    if (extra !== null) view.setFloat64(start + OPERATION_HEADER, extra, true);
    return keyAt + keyBytes;
  }

  #close(end: number, replyBytes: number): null {
    this.#at = end;
    this.#count++;
    this.#replyBytes += replyBytes;
    return null;
  }

  set(key: string | Uint8Array, value: Uint8Array, condition?: WriteCondition): Refusal | null {
    if (value.length > this.#limits.valueBytes) return 'value-too-long';
    const extra = condition?.type === 'revision' ? condition.revision : null;
    const at = this.#open(OP_SET, conditionCode(condition), key, extra, value.length);
    if (typeof at === 'string') return at;
    this.#bytes.set(value, at);
    return this.#close(at + value.length, condition === undefined ? 1 : 1 + EXTRA_BYTES);
  }

  /** A set whose value is the UTF-8 of `text` behind `prefix` bytes (the header of a msgpack string, say). */
  setText(
    key: string | Uint8Array,
    text: string,
    prefix: (bytes: number) => number,
  ): Refusal | null {
    const most = utf8BytesMax(text) + 5;
    const at = this.#open(OP_SET, IF_ALWAYS, key, null, most);
    if (typeof at === 'string') return at;
    // Nearly all texts are ASCII: one pass writes them, and only what is not is measured first.
    let headerBytes = prefix(text.length);
    let textBytes = text.length;
    if (!this.#writeAscii(text, at + headerBytes)) {
      textBytes = utf8Bytes(text);
      headerBytes = prefix(textBytes);
      writeUtf8(text, this.#bytes, at + headerBytes);
    }
    const valueBytes = headerBytes + textBytes;
    if (valueBytes > this.#limits.valueBytes) return 'value-too-long';
    writeTextHeader(this.#view, at, headerBytes, textBytes);
    this.#view.setUint32(this.#at + 4, valueBytes, true);
    return this.#close(at + valueBytes, 1);
  }

  delete(key: string | Uint8Array, condition?: WriteCondition): Refusal | null {
    const extra = condition?.type === 'revision' ? condition.revision : null;
    const at = this.#open(OP_DELETE, conditionCode(condition), key, extra, 0);
    if (typeof at === 'string') return at;
    return this.#close(at, condition === undefined ? 1 : 1 + EXTRA_BYTES);
  }

  /** `by` must be a safe integer. */
  incr(key: string | Uint8Array, by: number): Refusal | null {
    const at = this.#open(OP_INCR, IF_ALWAYS, key, by, 0);
    if (typeof at === 'string') return at;
    return this.#close(at, 1 + EXTRA_BYTES);
  }

  /** `expected` undefined: absent. */
  cas(
    key: string | Uint8Array,
    expected: Uint8Array | undefined,
    value: Uint8Array,
  ): Refusal | null {
    if (value.length > this.#limits.valueBytes) return 'value-too-long';
    const expectedBytes = expected === undefined ? 0 : expected.length;
    const extra = expected === undefined ? -1 : expectedBytes;
    const at = this.#open(OP_CAS, IF_ALWAYS, key, extra, value.length + expectedBytes);
    if (typeof at === 'string') return at;
    this.#view.setUint32(this.#at + 4, value.length, true);
    if (expected !== undefined) this.#bytes.set(expected, at);
    this.#bytes.set(value, at + expectedBytes);
    return this.#close(at + expectedBytes + value.length, 1 + EXTRA_BYTES);
  }

  get(key: string | Uint8Array): Refusal | null {
    return this.#readOf(OP_GET, key);
  }

  getItem(key: string | Uint8Array): Refusal | null {
    return this.#readOf(OP_GET_ITEM, key);
  }

  has(key: string | Uint8Array): Refusal | null {
    return this.#readOf(OP_HAS, key);
  }

  #readOf(code: number, key: string | Uint8Array): Refusal | null {
    const at = this.#open(code, IF_ALWAYS, key, null, 0);
    if (typeof at === 'string') return at;
    return this.#close(at, 1);
  }

  /** Appends operation bytes written by another writer; `count` and `replyBytes` as that one says. */
  append(from: OperationWriter): void {
    const begin = from.#start + REQUEST_HEADER;
    const length = from.#at - begin;
    this.#reserve(length);
    this.#bytes.set(from.#bytes.subarray(begin, from.#at), this.#at);
    this.#at += length;
    this.#count += from.#count;
    this.#replyBytes += from.#replyBytes - WRITE_RESULT_HEADER;
  }
}

/** Withdraws the operation at `offset` of a request that was not sent yet. */
export function skipOperation(body: Uint8Array, offset: number): void {
  body[offset + 1] = (body[offset + 1] as number) | SKIPPED;
}

/** Withdraws `count` operations of a request that was not sent yet, from the `first` on. */
export function skipRun(body: Uint8Array, first: number, count: number): void {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  let at = REQUEST_HEADER;
  for (let i = 0; i < first + count; i++) {
    const next = operationEnd(view, at);
    if (i >= first) skipOperation(body, at);
    at = next;
  }
}

function operationEnd(view: DataView, at: number): number {
  const code = view.getUint8(at);
  const condition = view.getUint8(at + 1) & ~SKIPPED;
  const bytes = OPERATION_HEADER + view.getUint16(at + 2, true) + view.getUint32(at + 4, true);
  if (code !== OP_INCR && code !== OP_CAS && condition !== IF_REVISION) return at + bytes;
  const expected = code === OP_CAS ? Math.max(0, view.getFloat64(at + OPERATION_HEADER, true)) : 0;
  return at + bytes + EXTRA_BYTES + expected;
}

function conditionCode(condition: WriteCondition | undefined): number {
  switch (condition?.type) {
    case 'absent':
      return IF_ABSENT;
    case 'present':
      return IF_PRESENT;
    case 'revision':
      return IF_REVISION;
    default:
      return IF_ALWAYS;
  }
}

/** Header of a msgpack string of `textBytes`, in the given number of bytes (0: plain text, no header). */
function writeTextHeader(view: DataView, at: number, headerBytes: number, textBytes: number): void {
  if (headerBytes === 1) view.setUint8(at, 0xa0 | textBytes);
  else if (headerBytes === 2) view.setUint16(at, 0xd900 | textBytes);
  else if (headerBytes === 3) {
    view.setUint8(at, 0xda);
    view.setUint16(at + 1, textBytes);
  } else if (headerBytes === 5) {
    view.setUint8(at, 0xdb);
    view.setUint32(at + 1, textBytes);
  }
}

/** Header length of a msgpack string. */
export function msgpackTextHeader(textBytes: number): number {
  if (textBytes < 32) return 1;
  if (textBytes < 0x100) return 2;
  return textBytes < 0x10000 ? 3 : 5;
}

/** No header: the value is the text. */
export function plainTextHeader(): number {
  return 0;
}
