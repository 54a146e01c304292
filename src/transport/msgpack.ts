// Fixed-width msgpack, written and read in place. Every value has one encoding, so that the fields of a frame stand at offsets
// known beforehand, and any msgpack decoder can read the result. Functions over an offset, because that is what the compiler
// inlines; nothing here knows a message, and nothing here checks for room: whoever calls has claimed or measured it.

import { highWord, joinWords } from '../protocol/words.js';

/** A frame that is not what it should be; the receiver drops and counts it. */
export class BadFrame extends Error {
  override readonly name = 'BadFrame';
}

export const ARRAY16 = 0xdc;
const UINT32 = 0xce;
const UINT64 = 0xcf;
const INT32 = 0xd2;
const FLOAT64 = 0xcb;
const BIN32 = 0xc6;
const BIN8 = 0xc4;
const NIL = 0xc0;

/** Widths, type byte included. */
export const ARRAY_BYTES = 3;
export const UINT_BYTES = 5;
export const INT_BYTES = 5;
export const WHOLE_BYTES = 9;
export const FLOAT_BYTES = 9;
/** Of a byte string of no length. */
export const BIN_BYTES = 5;
export const NIL_BYTES = 1;
/** Of padding: its head alone. */
export const PADDING_BYTES_MIN = 2;

/** Bytes of bodies begin at multiples of this, see `copyInto`. */
export const BODY_ALIGNMENT = 8;
const OFF_ALIGNMENT: number = BODY_ALIGNMENT - 1;

/** High word of 2^53: whole numbers stay below it, or a double could not hold them. */
const HIGH_WORD_LIMIT = 2 ** 21;
/** Below this a byte loop beats the call of `set`. */
const SHORT_COPY_BYTES = 32;
/** From here on a copy by way of the scratch beats one byte by byte. */
const SHIFTED_COPY_BYTES = 512;
const scratch = new Uint8Array(16 << 10);

export function putArray(view: DataView, at: number, count: number): void {
  view.setUint8(at, ARRAY16);
  view.setUint16(at + 1, count);
}

/** Unsigned, below 2^32. */
export function putUint(view: DataView, at: number, value: number): void {
  view.setUint8(at, UINT32);
  view.setUint32(at + 1, value);
}

/** Signed 32 bits. */
export function putInt(view: DataView, at: number, value: number): void {
  view.setUint8(at, INT32);
  view.setInt32(at + 1, value);
}

/** A whole number from 0 to 2^53 - 1. */
export function putWhole(view: DataView, at: number, value: number): void {
  view.setUint8(at, UINT64);
  view.setUint32(at + 1, highWord(value));
  view.setUint32(at + 5, value);
}

export function putFloat(view: DataView, at: number, value: number): void {
  view.setUint8(at, FLOAT64);
  view.setFloat64(at + 1, value);
}

export function putNil(view: DataView, at: number): void {
  view.setUint8(at, NIL);
}

/** Width of the padding at `at` that puts the bytes of the byte string behind it on a multiple of BODY_ALIGNMENT. */
export function paddingBytes(at: number): number {
  return PADDING_BYTES_MIN + (-(at + PADDING_BYTES_MIN + BIN_BYTES) & OFF_ALIGNMENT);
}

/** Padding is a byte string of zeros, so any decoder steps over it. */
export function putPadding(view: DataView, at: number, width: number): void {
  view.setUint8(at, BIN8);
  view.setUint8(at + 1, width - PADDING_BYTES_MIN);
  for (let byte = PADDING_BYTES_MIN; byte < width; byte++) view.setUint8(at + byte, 0);
}

/**
 * Copies `value` to `at`. Where one side is shared memory, the engine copies word by word, and byte by byte (an eighth of
 * the speed) when the two sides are not aligned alike: then it is shifted in private memory first.
 */
function copyInto(bytes: Uint8Array, at: number, value: Uint8Array): void {
  const { length } = value;
  const shift = (bytes.byteOffset + at - value.byteOffset) & OFF_ALIGNMENT;
  if (shift === 0 || length < SHIFTED_COPY_BYTES) {
    bytes.set(value, at);
    return;
  }
  const lead = (bytes.byteOffset + at) & OFF_ALIGNMENT;
  const step = scratch.length - BODY_ALIGNMENT;
  for (let from = 0; from < length; from += step) {
    const part = value.subarray(from, Math.min(length, from + step));
    scratch.set(part, lead);
    bytes.set(scratch.subarray(lead, lead + part.length), at + from);
  }
}

/** @returns the offset behind the byte string. */
export function putBin(bytes: Uint8Array, view: DataView, at: number, value: Uint8Array): number {
  const { length } = value;
  const from = at + BIN_BYTES;
  view.setUint8(at, BIN32);
  view.setUint32(at + 1, length);
  if (length >= SHORT_COPY_BYTES) copyInto(bytes, from, value);
  else for (let i = 0; i < length; i++) bytes[from + i] = value[i] as number;
  return from + length;
}

function expect(view: DataView, at: number, type: number, what: string): void {
  const found = view.getUint8(at);
  if (found !== type)
    throw new BadFrame(`expected ${what} as 0x${type.toString(16)}, found 0x${found.toString(16)}`);
}

/** @returns the number of elements. */
export function arrayAt(view: DataView, at: number, what: string): number {
  expect(view, at, ARRAY16, what);
  return view.getUint16(at + 1);
}

/** An array of exactly `count` elements. */
export function tupleAt(view: DataView, at: number, count: number, what: string): void {
  const found = arrayAt(view, at, what);
  if (found !== count) throw new BadFrame(`${what} has ${found} fields instead of ${count}`);
}

/** Number of fields of an array, and bytes up to its variable part or, without one, its end. */
export interface Shape {
  readonly fields: number;
  readonly bytes: number;
}

/** @throws {BadFrame} */
export function shapeAt(view: DataView, at: number, to: number, shape: Shape, what: string): void {
  if (to - at < shape.bytes) throw new BadFrame(`${what} in a frame of ${to - at} bytes`);
  tupleAt(view, at, shape.fields, what);
}

export function uintAt(view: DataView, at: number, what: string): number {
  expect(view, at, UINT32, what);
  return view.getUint32(at + 1);
}

export function intAt(view: DataView, at: number, what: string): number {
  expect(view, at, INT32, what);
  return view.getInt32(at + 1);
}

export function wholeAt(view: DataView, at: number, what: string): number {
  expect(view, at, UINT64, what);
  const high = view.getUint32(at + 1);
  if (high >= HIGH_WORD_LIMIT) throw new BadFrame(`${what} is above 2^53`);
  return joinWords(high, view.getUint32(at + 5));
}

/** A whole number that travels as a double. */
export function floatAt(view: DataView, at: number, what: string): number {
  expect(view, at, FLOAT64, what);
  const value = view.getFloat64(at + 1);
  if (!Number.isSafeInteger(value) || value < 0)
    throw new BadFrame(`${what} must be a whole number, found ${value}`);
  return value;
}

export function nilAt(view: DataView, at: number, what: string): void {
  expect(view, at, NIL, what);
}

/** @returns the width of the padding at `at`. */
export function paddingAt(view: DataView, at: number): number {
  expect(view, at, BIN8, 'padding');
  const count = view.getUint8(at + 1);
  if (count > OFF_ALIGNMENT) throw new BadFrame(`padding of ${count} bytes`);
  return PADDING_BYTES_MIN + count;
}

/** @returns the length of the byte string at `at`, which ends at or before `to`. */
export function binLengthAt(view: DataView, at: number, to: number, what: string): number {
  expect(view, at, BIN32, what);
  const length = view.getUint32(at + 1);
  if (at + BIN_BYTES + length > to)
    throw new BadFrame(`${what} of ${length} bytes passes the end of the frame`);
  return length;
}

/** @returns the length of the byte string at `at`, which must end exactly at `to`. */
export function lastBinLengthAt(view: DataView, at: number, to: number, what: string): number {
  const length = binLengthAt(view, at, to, what);
  const behind = to - (at + BIN_BYTES + length);
  if (behind !== 0) throw new BadFrame(`${behind} bytes behind ${what}`);
  return length;
}

/** The byte string at `at`, which must end exactly at `to`. A view: valid as long as the frame is. */
export function lastBinAt(
  bytes: Uint8Array,
  view: DataView,
  span: { at: number; to: number },
  what: string,
): Uint8Array {
  const { at, to } = span;
  return bytes.subarray(to - lastBinLengthAt(view, at, to, what), to);
}

export function uintsBytes(list: readonly number[]): number {
  return ARRAY_BYTES + list.length * UINT_BYTES;
}

/** An array of unsigned 32-bit numbers. @returns the offset behind it. */
export function putUints(view: DataView, at: number, list: readonly number[]): number {
  putArray(view, at, list.length);
  let next = at + ARRAY_BYTES;
  for (const value of list) {
    putUint(view, next, value);
    next += UINT_BYTES;
  }
  return next;
}

/** The array of `putUints`, which ends at or before `to`. */
export function uintsAt(view: DataView, span: { at: number; to: number }, what: string): number[] {
  const { at, to } = span;
  if (at + ARRAY_BYTES > to) throw new BadFrame(`the frame ends before ${what}`);
  const count = arrayAt(view, at, what);
  if (at + ARRAY_BYTES + count * UINT_BYTES > to) throw new BadFrame(`the frame ends in ${what}`);
  const list: number[] = [];
  for (let index = 0; index < count; index++)
    list.push(uintAt(view, at + ARRAY_BYTES + index * UINT_BYTES, what));
  return list;
}

/** The value that `code` stands for. */
export function choiceOf<T>(choices: readonly T[], code: number, what: string): T {
  const choice = choices[code];
  if (choice === undefined) throw new BadFrame(`unknown ${what} ${code}`);
  return choice;
}
