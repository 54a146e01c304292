// Values of users as msgpack and back. What comes back equals what went in: -0 stays -0, a BigInt a BigInt; and what msgpack has no form
// for is refused with its place. Strings and numbers take a short way past the general codec, always to the same bytes, for
// compare-and-set compares bytes.

import { Packr, Unpackr } from 'msgpackr';
import { readInteger, writeInteger } from '../../service/msgpack-integer.js';
import { msgpackTextHeader } from '../../service/operation-writer.js';
import { wellFormed } from '../../service/utf8.js';
import { refusedValue, undecodable } from './codec-errors.js';

/** Structures deeper than this are refused; a cyclic one is infinitely deep. */
const DEPTH_MAX = 100;
const INT64_MIN = -(2n ** 63n);
const UINT64_MAX = 2n ** 64n - 1n;
const FLOAT64 = 0xcb;
const UINT64 = 0xcf;
const INT64 = 0xd3;
const FLOAT_BYTES = 9;

const OPTIONS = {
  useRecords: false,
  structuredClone: false,
  moreTypes: false,
  variableMapSize: true,
  copyBuffers: true,
} as const;
const packr = new Packr(OPTIONS);
const unpackr = new Unpackr({ ...OPTIONS, mapsAsObjects: true });

/** Why a value cannot be stored. Its path is put together on the way out: one that is fine needs none. */
class Flaw {
  readonly why: string;
  path = '';

  constructor(why: string) {
    this.why = why;
  }

  within(step: string): this {
    this.path = step + this.path;
    return this;
  }
}

const MALFORMED = 'is not well-formed Unicode';

/** How often -0 was seen since the thread began: whoever compares two readings knows whether there was one in between. */
let negativeZeros = 0;

function flawOf(value: unknown, depth: number): Flaw | null {
  switch (typeof value) {
    case 'string':
      return wellFormed(value) ? null : new Flaw(MALFORMED);
    case 'number':
      if (value === 0 && 1 / value < 0) negativeZeros++;
      return null;
    case 'function':
    case 'symbol':
      return new Flaw(`is a ${typeof value}`);
    case 'bigint':
      return value < INT64_MIN || value > UINT64_MAX ? new Flaw('does not fit into 64 bits') : null;
    case 'object':
      return value === null ? null : flawOfObject(value, depth);
    default:
      return null;
  }
}

function flawOfObject(value: object, depth: number): Flaw | null {
  if (depth > DEPTH_MAX) return new Flaw(`is cyclic or deeper than ${DEPTH_MAX}`);
  if (Array.isArray(value)) return flawOfArray(value, depth);
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return flawOfInstance(value);
  if (Object.getOwnPropertySymbols(value).length > 0) return symbolKey(value);
  // `for in` needs no array of the keys. What somebody has added to all objects is not stored, whatever it is.
  for (const key in value) {
    if (!wellFormed(key)) return new Flaw(`has a key that ${MALFORMED}`);
    if (key === '__proto__') return new Flaw('has a field named __proto__');
    const flaw = flawOf((value as Record<string, unknown>)[key], depth + 1);
    if (flaw !== null && Object.hasOwn(value, key)) return flaw.within(`.${key}`);
  }
  return null;
}

/** Only its elements are stored: whatever else it has would be gone, and a hole would become an element. */
function flawOfArray(value: readonly unknown[], depth: number): Flaw | null {
  const { length } = value;
  let count = 0;
  for (const key in value) {
    if (count++ < length) continue;
    if (Object.hasOwn(value, key)) return new Flaw(`is an array with a field '${key}'`);
    break;
  }
  if (count < length) return new Flaw('is an array with holes');
  if (Object.getOwnPropertySymbols(value).length > 0) return symbolKey(value);
  for (let at = 0; at < length; at++) {
    const flaw = flawOf(value[at], depth + 1);
    if (flaw !== null) return flaw.within(`[${at}]`);
  }
  return null;
}

/** Of bytes and dates; other instances would come back as something else. */
function flawOfInstance(value: object): Flaw | null {
  if (value instanceof Uint8Array || value instanceof Date) return null;
  return new Flaw(`is a ${value.constructor?.name ?? 'special object'}, not plain data`);
}

function symbolKey(value: object): Flaw {
  return new Flaw(`has a key that is a symbol: ${String(Object.getOwnPropertySymbols(value)[0])}`);
}

/** The same bytes as the packer's, but for -0, which that one takes for 0: containers by hand, what they hold piece by piece. */
function packed(value: unknown): Uint8Array {
  if (typeof value === 'number') return Uint8Array.from(encodeNumber(value));
  if (Array.isArray(value))
    return Buffer.concat([containerHeader(0x90, 0xdc, value.length), ...value.map(packed)]);
  if (
    typeof value !== 'object' ||
    value === null ||
    value instanceof Uint8Array ||
    value instanceof Date
  )
    return packr.pack(value);
  const fields = Object.entries(value);
  const pieces = fields.flatMap(([key, item]) => [packr.pack(key), packed(item)]);
  return Buffer.concat([containerHeader(0x80, 0xde, fields.length), ...pieces]);
}

/** `short` takes up to 15 elements; `long` stands before 16 bits, and the next one before 32. */
function containerHeader(short: number, long: number, count: number): Uint8Array {
  if (count < 16) return Uint8Array.of(short | count);
  const bytes = Buffer.alloc(count < 0x10000 ? 3 : 5);
  bytes[0] = count < 0x10000 ? long : long + 1;
  bytes.writeUIntBE(count, 1, bytes.length - 1);
  return bytes;
}

/** @throws {VrError} VR_CODEC */
export function checkText(codec: string, text: string): void {
  if (!wellFormed(text)) throw refusedValue(codec, `the value ${MALFORMED}`);
}

const number = Buffer.alloc(FLOAT_BYTES);
const numberView = new DataView(number.buffer, number.byteOffset, number.byteLength);

/** The result may share memory with that of the next call. @throws {VrError} VR_CODEC */
export function encodeMsgpack(value: unknown): Uint8Array {
  if (typeof value === 'string') return encodeText(value);
  if (typeof value === 'number') return encodeNumber(value);
  if (value === undefined)
    throw refusedValue('msgpack', 'undefined means absent; delete the key instead');
  const before = negativeZeros;
  const flaw = flawOf(value, 0);
  if (flaw !== null) throw refusedValue('msgpack', `the value${flaw.path} ${flaw.why}`);
  try {
    return negativeZeros === before ? packr.pack(value) : packed(value);
  } catch (error) {
    throw refusedValue('msgpack', error instanceof Error ? error.message : String(error), error);
  }
}

function encodeNumber(value: number): Uint8Array {
  if (Number.isSafeInteger(value) && !Object.is(value, -0))
    return number.subarray(0, writeInteger(numberView, 0, value));
  numberView.setUint8(0, FLOAT64);
  numberView.setFloat64(1, value);
  return number;
}

function encodeText(value: string): Uint8Array {
  checkText('msgpack', value);
  const text = Buffer.from(value, 'utf8');
  const header = msgpackTextHeader(text.length);
  const bytes = Buffer.allocUnsafe(header + text.length);
  writeTextHeader(bytes, header, text.length);
  text.copy(bytes, header);
  return bytes;
}

function writeTextHeader(bytes: Buffer, header: number, length: number): void {
  if (header === 1) bytes[0] = 0xa0 | length;
  else if (header === 2) bytes.writeUInt16BE(0xd900 | length, 0);
  else if (header === 3) {
    bytes[0] = 0xda;
    bytes.writeUInt16BE(length, 1);
  } else {
    bytes[0] = 0xdb;
    bytes.writeUInt32BE(length, 1);
  }
}

/** @throws {VrError} VR_CODEC */
export function decodeMsgpack(bytes: Buffer, from: number, to: number): unknown {
  const type = bytes[from] ?? 0xc1;
  if (type >= 0xa0 && type < 0xc0) return bytes.toString('utf8', from + 1, to);
  if (type === 0xd9) return bytes.toString('utf8', from + 2, to);
  if (type === 0xda) return bytes.toString('utf8', from + 3, to);
  if (type === 0xdb) return bytes.toString('utf8', from + 5, to);
  // Numbers are written as floats from 33 bits on: integers of 64 bits are BigInts, at the top as well as inside.
  if (type !== FLOAT64 && type !== UINT64 && type !== INT64) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const integer = readInteger(view, from, to);
    if (integer !== null) return integer;
  }
  try {
    return unpackr.unpack(bytes.subarray(from, to));
  } catch (error) {
    throw undecodable('msgpack', error);
  }
}
