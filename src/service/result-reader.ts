// Reads results in place. Sequential access costs nothing but the walk; random access into results with values of different
// lengths builds one table of offsets on first use.

import {
  CHANGED,
  COUNTED,
  hasExtra,
  OP_GET_ITEM,
  OP_HAS,
  READ_RESULT_HEADER,
  RESULT_ABORTED,
  RESULT_MALFORMED,
  WRITE_RESULT_HEADER,
} from './operation.js';

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Result of writing operations. Revisions are counted, not stored: every change is one more. */
export class WriteResult {
  readonly count: number;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  /** Where the statuses begin. */
  readonly #statuses: number;
  readonly #base: number;
  readonly #atomic: boolean;
  // The walk so far: changes and extras among the operations below #at.
  #at = 0;
  #changes = 0;
  #extras = 0;

  /** The result begins at `from` of `bytes`, all of which `view` covers. */
  constructor(
    bytes: Uint8Array,
    atomic: boolean,
    from: number = 0,
    view: DataView = viewOf(bytes),
  ) {
    this.#bytes = bytes;
    this.#view = view;
    this.#atomic = atomic;
    this.#statuses = from + WRITE_RESULT_HEADER;
    const whole = bytes.length >= this.#statuses;
    this.count = whole ? view.getUint32(from + 4, true) : 0;
    this.#base = whole ? view.getFloat64(from + 8, true) : 0;
  }

  get malformed(): boolean {
    return this.#bytes[this.#statuses - WRITE_RESULT_HEADER] === RESULT_MALFORMED;
  }

  get aborted(): boolean {
    return this.#bytes[this.#statuses - WRITE_RESULT_HEADER] === RESULT_ABORTED;
  }

  status(i: number): number {
    return this.#bytes[this.#statuses + i] as number;
  }

  #walk(i: number): void {
    if (i < this.#at) {
      this.#at = 0;
      this.#changes = 0;
      this.#extras = 0;
    }
    for (; this.#at < i; this.#at++) {
      const status = this.status(this.#at);
      if (status === CHANGED || status === COUNTED) this.#changes++;
      if (hasExtra(status)) this.#extras++;
    }
  }

  /** Of an operation that changed something; undefined otherwise. */
  revision(i: number): number | undefined {
    const status = this.status(i);
    if (status !== CHANGED && status !== COUNTED) return undefined;
    if (this.#atomic) return this.#base + 1;
    this.#walk(i);
    return this.#base + this.#changes + 1;
  }

  /** The new value of a counter, or the stored revision where a condition failed. */
  extra(i: number): number {
    this.#walk(i);
    return this.#view.getFloat64(this.#statuses + this.count + this.#extras * 8, true);
  }
}

/** Result of reading operations; `code` is the operation that was asked, the same for all of one request. */
export class ReadResult {
  /** Operations answered; fewer than asked when the answer would have been too large. */
  readonly count: number;
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  readonly #code: number;
  #offsets: Uint32Array | null = null;

  constructor(bytes: Uint8Array, code: number) {
    this.bytes = bytes;
    this.#view = viewOf(bytes);
    this.#code = code;
    this.count = bytes.length < READ_RESULT_HEADER ? 0 : this.#view.getUint32(4, true);
  }

  get malformed(): boolean {
    return this.bytes[0] === RESULT_MALFORMED;
  }

  #offset(i: number): number {
    if (this.#code === OP_HAS) return READ_RESULT_HEADER + i;
    this.#offsets ??= this.#index();
    return this.#offsets[i] as number;
  }

  #index(): Uint32Array {
    const offsets = new Uint32Array(this.count);
    const extra = this.#code === OP_GET_ITEM ? 16 : 0;
    let at = READ_RESULT_HEADER;
    for (let i = 0; i < this.count; i++) {
      offsets[i] = at;
      at += this.bytes[at] === 0 ? 1 : 1 + extra + 4 + this.#view.getUint32(at + 1 + extra, true);
    }
    return offsets;
  }

  present(i: number): boolean {
    return this.bytes[this.#offset(i)] === 1;
  }

  /** Start of the value in `bytes`; call `present` first. */
  valueAt(i: number): number {
    return this.#offset(i) + 1 + (this.#code === OP_GET_ITEM ? 16 : 0) + 4;
  }

  valueBytes(i: number): number {
    return this.#view.getUint32(this.valueAt(i) - 4, true);
  }

  revision(i: number): number {
    return this.#view.getFloat64(this.#offset(i) + 1, true);
  }

  createdRevision(i: number): number {
    return this.#view.getFloat64(this.#offset(i) + 9, true);
  }
}
