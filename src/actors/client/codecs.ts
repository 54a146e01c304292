// Values to bytes and back. msgpack is the default; strings, integers and their like take a short way past the general codec,
// always to the same bytes, for compare-and-set compares bytes. What cannot be stored faithfully is refused before it is sent.

import { markAsUntransferable } from 'node:worker_threads';
import { Packr, Unpackr } from 'msgpackr';
import { readInteger, writeInteger } from '../../service/msgpack-integer.js';
import {
  msgpackTextHeader,
  type OperationWriter,
  plainTextHeader,
  type Refusal,
} from '../../service/operation-writer.js';
import { wellFormed } from '../../service/utf8.js';
import type { Codec, Encoding, Key } from '../api.js';
import { VrError } from '../errors.js';

/** What the clients need of an encoding, beyond a user's Codec. */
export interface ValueCodec {
  readonly name: string;
  /** What it decodes may view the bytes that it was given. */
  readonly views: boolean;
  /** It knows the integers that counters are: those of msgpack. */
  readonly counts: boolean;
  /** @throws {VrError} VR_CODEC */
  encode(value: unknown): Uint8Array;
  /** `bytes[from..to)` is private memory; where the codec `views` it, nobody writes it any more. @throws {VrError} VR_CODEC */
  decode(bytes: Buffer, from: number, to: number): unknown;
  /** Writes a set straight into a request. @throws {VrError} VR_CODEC */
  writeSet(writer: OperationWriter, key: Key, value: unknown): Refusal | null;
}

/** Structures deeper than this are refused; a cyclic one is infinitely deep. */
const DEPTH_MAX = 100;
const INT64_MIN = -(2n ** 63n);
const UINT64_MAX = 2n ** 64n - 1n;

const OPTIONS = {
  useRecords: false,
  structuredClone: false,
  moreTypes: false,
  variableMapSize: true,
  copyBuffers: true,
} as const;
const packr = new Packr(OPTIONS);
const unpackr = new Unpackr({ ...OPTIONS, mapsAsObjects: true });

function refuse(codec: string, why: string, cause?: unknown): VrError {
  return new VrError('VR_CODEC', `${codec} cannot encode the value: ${why}`, {
    details: { encoding: codec },
    ...(cause === undefined ? {} : { cause }),
  });
}

function checkText(codec: string, text: string, path: string): void {
  if (!wellFormed(text)) throw refuse(codec, `${path} is not well-formed Unicode`);
}

/** @throws {VrError} naming the place of what msgpack would lose. */
function checkValue(value: unknown, path: string, depth: number): void {
  if (depth > DEPTH_MAX) throw refuse('msgpack', `${path} is cyclic or deeper than ${DEPTH_MAX}`);
  switch (typeof value) {
    case 'string':
      checkText('msgpack', value, path);
      return;
    case 'function':
    case 'symbol':
      throw refuse('msgpack', `${path} is a ${typeof value}`);
    case 'bigint':
      if (value < INT64_MIN || value > UINT64_MAX)
        throw refuse('msgpack', `${path} does not fit into 64 bits`);
      return;
    case 'object':
      if (value !== null) checkObject(value, path, depth);
      return;
    default:
      return;
  }
}

function checkObject(value: object, path: string, depth: number): void {
  if (value instanceof Uint8Array || value instanceof Date) return;
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) checkValue(item, `${path}[${index}]`, depth + 1);
    return;
  }
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null)
    throw refuse(
      'msgpack',
      `${path} is a ${value.constructor?.name ?? 'special object'}, not plain data`,
    );
  for (const [key, item] of Object.entries(value)) {
    checkText('msgpack', key, `a key of ${path}`);
    if (key === '__proto__') throw refuse('msgpack', `${path} has a field named __proto__`);
    checkValue(item, `${path}.${key}`, depth + 1);
  }
}

const integer = Buffer.alloc(9);
const integerView = new DataView(integer.buffer, integer.byteOffset, integer.byteLength);

function encodeMsgpack(value: unknown): Uint8Array {
  if (typeof value === 'string') {
    checkText('msgpack', value, 'the value');
    const text = Buffer.from(value, 'utf8');
    const header = msgpackTextHeader(text.length);
    const bytes = Buffer.allocUnsafe(header + text.length);
    writeTextHeader(bytes, header, text.length);
    text.copy(bytes, header);
    return bytes;
  }
  if (typeof value === 'number' && Number.isSafeInteger(value) && !Object.is(value, -0))
    return integer.subarray(0, writeInteger(integerView, 0, value));
  if (value === undefined)
    throw refuse('msgpack', 'undefined means absent; delete the key instead');
  checkValue(value, 'the value', 0);
  try {
    return packr.pack(value);
  } catch (error) {
    throw refuse('msgpack', error instanceof Error ? error.message : String(error), error);
  }
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

function decodeMsgpack(bytes: Buffer, from: number, to: number): unknown {
  const type = bytes[from] ?? 0xc1;
  if (type >= 0xa0 && type < 0xc0) return bytes.toString('utf8', from + 1, to);
  if (type === 0xd9) return bytes.toString('utf8', from + 2, to);
  if (type === 0xda) return bytes.toString('utf8', from + 3, to);
  if (type === 0xdb) return bytes.toString('utf8', from + 5, to);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const number = type === 0xcb ? null : readInteger(view, from, to);
  if (number !== null) return number;
  try {
    return unpackr.unpack(bytes.subarray(from, to));
  } catch (error) {
    throw undecodable('msgpack', error);
  }
}

function undecodable(codec: string, cause: unknown): VrError {
  return new VrError('VR_CODEC', `the stored bytes are no ${codec}`, {
    details: { encoding: codec },
    cause,
  });
}

const msgpack: ValueCodec = {
  counts: true,
  name: 'msgpack',
  views: false,
  encode: encodeMsgpack,
  decode: decodeMsgpack,
  writeSet(writer, key, value) {
    if (typeof value !== 'string') return writer.set(key, encodeMsgpack(value));
    checkText('msgpack', value, 'the value');
    return writer.setText(key, value, msgpackTextHeader);
  },
};

const utf8: ValueCodec = {
  counts: false,
  name: 'utf8',
  views: false,
  encode(value) {
    if (typeof value !== 'string') throw refuse('utf8', `a string is needed, got ${typeof value}`);
    checkText('utf8', value, 'the value');
    return Buffer.from(value, 'utf8');
  },
  decode: (bytes, from, to) => bytes.toString('utf8', from, to),
  writeSet(writer, key, value) {
    if (typeof value !== 'string') throw refuse('utf8', `a string is needed, got ${typeof value}`);
    checkText('utf8', value, 'the value');
    return writer.setText(key, value, plainTextHeader);
  },
};

/** A codec without a short way of its own. */
function plainCodec(codec: Codec<unknown>, views: boolean): ValueCodec {
  const encode = (value: unknown): Uint8Array => {
    let bytes: unknown;
    try {
      bytes = codec.encode(value);
    } catch (error) {
      throw refuse(codec.name, error instanceof Error ? error.message : String(error), error);
    }
    if (!(bytes instanceof Uint8Array)) throw refuse(codec.name, 'encode must return a Uint8Array');
    return bytes;
  };
  return {
    counts: false,
    name: codec.name,
    views,
    encode,
    decode(bytes, from, to) {
      try {
        return codec.decode(bytes.subarray(from, to));
      } catch (error) {
        throw undecodable(codec.name, error);
      }
    },
    writeSet: (writer, key, value) => writer.set(key, encode(value)),
  };
}

const json = plainCodec(
  {
    name: 'json',
    encode(value) {
      const text = JSON.stringify(value);
      if (text === undefined) throw new TypeError(`${typeof value} has no JSON form`);
      return Buffer.from(text, 'utf8');
    },
    decode: (bytes) => JSON.parse(Buffer.from(bytes).toString('utf8')),
  },
  false,
);

function checkBytes(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw refuse('bytes', `a Uint8Array is needed, got ${typeof value}`);
}

/** Up to here an array lives in the heap of its thread, and a byte loop fills it fastest. */
const HEAP_BYTES = 64;
/** Values up to here share chunks, as small Buffers do: memory of its own costs five times as much as the copy. */
const SHARED_BYTES = 2048;
const CHUNK_BYTES = 8192;
let chunk = new Uint8Array(0);
let chunkUsed = 0;

/** A copy: a value that is kept must not keep a whole reply alive. */
function copyBytes(stored: Buffer, from: number, to: number): Uint8Array {
  const length = to - from;
  if (length > HEAP_BYTES) {
    const copy = length > SHARED_BYTES ? new Uint8Array(length) : chunkOf(length);
    copy.set(stored.subarray(from, to));
    return copy;
  }
  const copy = new Uint8Array(length);
  for (let at = 0; at < length; at++) copy[at] = stored[from + at] as number;
  return copy;
}

function chunkOf(length: number): Uint8Array {
  if (chunkUsed + length > chunk.length) {
    chunk = new Uint8Array(CHUNK_BYTES);
    // Handing over one value would empty its neighbours.
    markAsUntransferable(chunk.buffer);
    chunkUsed = 0;
  }
  const copy = new Uint8Array(chunk.buffer, chunkUsed, length);
  chunkUsed += (length + 7) & ~7;
  return copy;
}

const bytes: ValueCodec = {
  // Whoever stores bytes may store those of msgpack.
  counts: true,
  name: 'bytes',
  views: false,
  encode: checkBytes,
  decode: copyBytes,
  writeSet: (writer, key, value) => writer.set(key, checkBytes(value)),
};

/** What an incr is asked to add. @throws {VrError} VR_CONFIG, VR_OUT_OF_RANGE */
export function checkIncrement(codec: ValueCodec, by: unknown): void {
  if (!codec.counts)
    throw new VrError(
      'VR_CONFIG',
      `incr needs an encoding whose integers are those of msgpack (msgpack or bytes), got ${codec.name}`,
      { details: { encoding: codec.name, allowed: ['msgpack', 'bytes'] } },
    );
  if (!Number.isSafeInteger(by))
    throw new VrError(
      'VR_OUT_OF_RANGE',
      `by must be an integer within +-(2^53 - 1), got ${String(by)}`,
      { details: { by } },
    );
}

/** @throws {VrError} VR_CONFIG */
export function codecFor(encoding: Encoding<unknown> | undefined): ValueCodec {
  switch (encoding) {
    case undefined:
    case 'msgpack':
      return msgpack;
    case 'json':
      return json;
    case 'utf8':
      return utf8;
    case 'bytes':
      return bytes;
    default:
      if (
        typeof encoding === 'object' &&
        typeof encoding?.encode === 'function' &&
        typeof encoding.decode === 'function'
      )
        return plainCodec(encoding, true);
      throw new VrError(
        'VR_CONFIG',
        `encoding must be msgpack, json, utf8, bytes or a codec, got ${String(encoding)}`,
        {
          details: { path: 'encoding' },
        },
      );
  }
}
