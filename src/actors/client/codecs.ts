// The encodings of values: msgpack, which is the default, JSON, text, bytes, and those of users. What cannot be stored is refused before
// it is sent.

import { markAsUntransferable } from 'node:worker_threads';
import {
  msgpackTextHeader,
  type OperationWriter,
  plainTextHeader,
  type Refusal,
} from '../../service/operation-writer.js';
import type { Codec, Encoding, Key } from '../api.js';
import { VrError } from '../errors.js';
import { refusedValue, undecodable } from './codec-errors.js';
import { checkText, decodeMsgpack, encodeMsgpack } from './msgpack-values.js';

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

const msgpack: ValueCodec = {
  counts: true,
  name: 'msgpack',
  views: false,
  encode: encodeMsgpack,
  decode: decodeMsgpack,
  writeSet(writer, key, value) {
    if (typeof value !== 'string') return writer.set(key, encodeMsgpack(value));
    checkText('msgpack', value);
    return writer.setText(key, value, msgpackTextHeader);
  },
};

const utf8: ValueCodec = {
  counts: false,
  name: 'utf8',
  views: false,
  encode(value) {
    if (typeof value !== 'string')
      throw refusedValue('utf8', `a string is needed, got ${typeof value}`);
    checkText('utf8', value);
    return Buffer.from(value, 'utf8');
  },
  decode: (bytes, from, to) => bytes.toString('utf8', from, to),
  writeSet(writer, key, value) {
    if (typeof value !== 'string')
      throw refusedValue('utf8', `a string is needed, got ${typeof value}`);
    checkText('utf8', value);
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
      throw refusedValue(codec.name, error instanceof Error ? error.message : String(error), error);
    }
    if (!(bytes instanceof Uint8Array))
      throw refusedValue(codec.name, 'encode must return a Uint8Array');
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
  throw refusedValue('bytes', `a Uint8Array is needed, got ${typeof value}`);
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
