// Walks the operations of a request: one cursor, reused, whose fields describe the operation under it. It knows the form of
// operations and nothing of stores.

import * as codec from './operation.js';
import { viewOf } from './words.js';

export class OperationCursor {
  view: DataView;
  code = 0;
  condition: number = codec.IF_ALWAYS;
  skipped = false;
  /** Expected revision, what to add, or the bytes of `expected`; of no meaning for other operations. */
  extra = 0;
  keyAt = 0;
  keyBytes = 0;
  /** What a compare-and-set expects stands between key and value. */
  expectedBytes = 0;
  valueAt = 0;
  valueBytes = 0;
  /** Offset of the next operation. */
  end = 0;
  bytes: Uint8Array;

  constructor() {
    this.bytes = new Uint8Array(0);
    this.view = viewOf(this.bytes);
  }

  /**
   * Of a request in `bytes[from..to)`, of whose operations nothing is known yet: `fits` looks at those.
   * @returns how many it says it has, -1 when it is not a request of the sort.
   */
  open(bytes: Uint8Array, from: number, to: number, reads: boolean): number {
    if (this.bytes !== bytes) {
      this.bytes = bytes;
      this.view = viewOf(bytes);
    }
    const { view } = this;
    const first = from + codec.REQUEST_HEADER;
    if (first > to) return -1;
    const flags = view.getUint8(from + 1);
    if (flags > (reads ? 0 : codec.FLAG_ATOMIC) || view.getUint16(from + 2) !== 0) return -1;
    const count = view.getUint32(from + 4, true);
    return count * codec.OPERATION_HEADER > to - first ? -1 : count;
  }

  /** Whether what begins at `from` is `count` operations of the sort, and ends at `to`. */
  fits(from: number, count: number, to: number, reads: boolean): boolean {
    const { view } = this;
    const common = reads ? codec.OP_GET : codec.OP_SET;
    let at = from;
    for (let i = 0; i < count; i++) {
      if (at + codec.OPERATION_HEADER > to) return false;
      const head = view.getUint32(at, true);
      const valueBytes = view.getUint32(at + 4, true);
      if ((head & 0xffff) === common && (!reads || valueBytes === 0)) {
        at += codec.OPERATION_HEADER + (head >>> 16) + valueBytes;
        if (at > to) return false;
        continue;
      }
      this.parse(at, to);
      if (this.end > to || !(reads ? this.#isRead() : this.#isWrite())) return false;
      at = this.end;
    }
    return at === to;
  }

  /** Of the request at `from`. */
  isAtomic(from: number): boolean {
    return this.view.getUint8(from + 1) === codec.FLAG_ATOMIC;
  }

  /** Reads the operation at `at`, whose header is there; an `end` beyond `to` says that the rest is not. */
  parse(at: number, to: number): void {
    const { view } = this;
    const head = view.getUint32(at, true);
    const code = head & 0xff;
    const condition = (head >>> 8) & ~codec.SKIPPED & 0xff;
    this.code = code;
    this.condition = condition;
    this.skipped = ((head >>> 8) & codec.SKIPPED) !== 0;
    let next = at + codec.OPERATION_HEADER;
    let expected = 0;
    if (code === codec.OP_INCR || code === codec.OP_CAS || condition === codec.IF_REVISION) {
      if (next + 8 > to) {
        this.end = to + 1;
        return;
      }
      this.extra = view.getFloat64(next, true);
      next += 8;
      if (code === codec.OP_CAS && this.extra > 0) expected = this.extra;
    }
    this.keyAt = next;
    this.keyBytes = head >>> 16;
    this.expectedBytes = expected;
    this.valueAt = next + this.keyBytes + expected;
    this.valueBytes = view.getUint32(at + 4, true);
    this.end = this.valueAt + this.valueBytes;
  }

  #isRead(): boolean {
    const { code } = this;
    if (code < codec.OP_GET || code > codec.OP_HAS) return false;
    return this.condition === codec.IF_ALWAYS && this.valueBytes === 0;
  }

  #isWrite(): boolean {
    switch (this.code) {
      case codec.OP_SET:
        return this.condition <= codec.IF_REVISION;
      case codec.OP_DELETE:
        return this.condition <= codec.IF_REVISION && this.valueBytes === 0;
      case codec.OP_INCR:
        if (this.condition !== codec.IF_ALWAYS || this.valueBytes !== 0) return false;
        return Number.isSafeInteger(this.extra);
      case codec.OP_CAS:
        if (this.condition !== codec.IF_ALWAYS) return false;
        return Number.isInteger(this.extra) && this.extra >= -1;
      default:
        return false;
    }
  }

  get keyIsValid(): boolean {
    return this.keyBytes > 0 && this.keyBytes <= codec.KEY_BYTES_MAX;
  }
}
