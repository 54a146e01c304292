// Fixed-width msgpack, written and read in place. Every value has one encoding, so every field of a frame stands at an offset
// that depends on nothing but lengths of byte strings; and any msgpack decoder can read the result. Nothing here knows a message.

/** A frame that is not what it should be; the receiver drops and counts it. */
export class BadFrame extends Error {
  override readonly name = 'BadFrame';
}

const ARRAY16 = 0xdc;
const UINT32 = 0xce;
const INT32 = 0xd2;
const FLOAT64 = 0xcb;
const BIN32 = 0xc6;
const NIL = 0xc0;

export const ARRAY_BYTES = 3;
export const INT_BYTES = 5;
export const FLOAT_BYTES = 9;
export const BIN_HEADER_BYTES = 5;
export const NIL_BYTES = 1;

/** Below this a byte loop beats the call of `set`. */
const SHORT_COPY_BYTES = 32;

/** Writes into memory that somebody else claimed; never checks for room. */
export class MsgpackWriter {
  #bytes: Uint8Array = new Uint8Array(0);
  #view: DataView = new DataView(new ArrayBuffer(0));
  #at = 0;

  /** Begin at `at` of `bytes`, which `view` covers as well. */
  begin(bytes: Uint8Array, view: DataView, at: number): void {
    this.#bytes = bytes;
    this.#view = view;
    this.#at = at;
  }

  get position(): number {
    return this.#at;
  }

  array(count: number): void {
    this.#view.setUint8(this.#at, ARRAY16);
    this.#view.setUint16(this.#at + 1, count);
    this.#at += ARRAY_BYTES;
  }

  /** Unsigned, below 2^32. */
  uint(value: number): void {
    this.#view.setUint8(this.#at, UINT32);
    this.#view.setUint32(this.#at + 1, value);
    this.#at += INT_BYTES;
  }

  /** Signed 32 bits. */
  int(value: number): void {
    this.#view.setUint8(this.#at, INT32);
    this.#view.setInt32(this.#at + 1, value);
    this.#at += INT_BYTES;
  }

  /** Any number; integers below 2^53 are exact. */
  float(value: number): void {
    this.#view.setUint8(this.#at, FLOAT64);
    this.#view.setFloat64(this.#at + 1, value);
    this.#at += FLOAT_BYTES;
  }

  nil(): void {
    this.#view.setUint8(this.#at, NIL);
    this.#at += NIL_BYTES;
  }

  bin(value: Uint8Array): void {
    const { length } = value;
    this.#view.setUint8(this.#at, BIN32);
    this.#view.setUint32(this.#at + 1, length);
    this.#at += BIN_HEADER_BYTES;
    if (length < SHORT_COPY_BYTES)
      for (let byte = 0; byte < length; byte++)
        this.#bytes[this.#at + byte] = value[byte] as number;
    else this.#bytes.set(value, this.#at);
    this.#at += length;
  }
}

/** Reads a frame in place and refuses everything but the expected type at each position. */
export class MsgpackReader {
  #bytes: Uint8Array = new Uint8Array(0);
  #view: DataView = new DataView(new ArrayBuffer(0));
  #at = 0;
  #end = 0;

  begin(bytes: Uint8Array, view: DataView, range: { from: number; to: number }): void {
    this.#bytes = bytes;
    this.#view = view;
    this.#at = range.from;
    this.#end = range.to;
  }

  #expect(type: number, size: number, what: string): number {
    const at = this.#at;
    if (at + size > this.#end) throw new BadFrame(`the frame ends inside ${what}`);
    const found = this.#view.getUint8(at);
    if (found !== type)
      throw new BadFrame(
        `expected ${what} (0x${type.toString(16)}), found 0x${found.toString(16)}`,
      );
    this.#at = at + size;
    return at + 1;
  }

  /** @returns the number of elements. */
  array(what: string): number {
    return this.#view.getUint16(this.#expect(ARRAY16, ARRAY_BYTES, what));
  }

  /** An array of exactly `count` elements. */
  tuple(count: number, what: string): void {
    const found = this.array(what);
    if (found !== count) throw new BadFrame(`${what} has ${found} fields instead of ${count}`);
  }

  uint(what: string): number {
    return this.#view.getUint32(this.#expect(UINT32, INT_BYTES, what));
  }

  int(what: string): number {
    return this.#view.getInt32(this.#expect(INT32, INT_BYTES, what));
  }

  /** An integer from 0 to 2^53 - 1. */
  whole(what: string): number {
    const value = this.#view.getFloat64(this.#expect(FLOAT64, FLOAT_BYTES, what));
    if (!Number.isSafeInteger(value) || value < 0)
      throw new BadFrame(`${what} must be a whole number, found ${value}`);
    return value;
  }

  /** A view into the frame: valid as long as the frame is. */
  bin(what: string): Uint8Array {
    const at = this.#expect(BIN32, BIN_HEADER_BYTES, what);
    const length = this.#view.getUint32(at);
    const from = at + 4;
    if (from + length > this.#end)
      throw new BadFrame(`${what} of ${length} bytes passes the end of the frame`);
    this.#at = from + length;
    return this.#bytes.subarray(from, from + length);
  }

  /** True, and past it, when the next value is nil. */
  nil(): boolean {
    if (this.#at >= this.#end || this.#view.getUint8(this.#at) !== NIL) return false;
    this.#at += NIL_BYTES;
    return true;
  }

  end(): void {
    if (this.#at !== this.#end)
      throw new BadFrame(`${this.#end - this.#at} bytes behind the message`);
  }
}
