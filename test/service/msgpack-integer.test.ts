import { decode, encode } from '@msgpack/msgpack';
import fc from 'fast-check';
import { Packr, Unpackr } from 'msgpackr';
import { expect, test } from 'vitest';
import { INTEGER_BYTES_MAX, readInteger, writeInteger } from '../../src/service/msgpack-integer.js';

const EDGES = [0, 31, 32, 127, 128, 255, 256, 65535, 65536, 2 ** 31, 2 ** 32 - 1, 2 ** 32];
const integer = fc.oneof(
  fc.maxSafeInteger(),
  fc.integer({ min: -70_000, max: 70_000 }),
  fc
    .constantFrom(...EDGES, 33, 129, 32769, 2 ** 31 + 1, Number.MAX_SAFE_INTEGER)
    .chain((edge) => fc.constantFrom(edge, -edge)),
);

function written(value: number): Uint8Array {
  const bytes = new Uint8Array(INTEGER_BYTES_MAX);
  return bytes.subarray(0, writeInteger(new DataView(bytes.buffer), 0, value));
}

function read(bytes: Uint8Array): number | null {
  return readInteger(
    new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength),
    0,
    bytes.length,
  );
}

test('a counter is a plain number to every decoder, and reads back', () => {
  const unpackr = new Unpackr({ useRecords: false });
  fc.assert(
    fc.property(integer, (value) => {
      const bytes = written(value);
      const number = value === 0 ? 0 : value;
      expect(decode(bytes)).toBe(number);
      expect(unpackr.unpack(bytes)).toBe(number);
      expect(read(bytes)).toBe(number);
    }),
    { numRuns: 2000 },
  );
});

test('a counter has the bytes that a client would write for the same number', () => {
  const packr = new Packr({ useRecords: false });
  fc.assert(
    fc.property(integer, (value) => {
      const number = value === 0 ? 0 : value;
      expect(Buffer.from(written(number)).equals(packr.pack(number))).toBe(true);
    }),
    { numRuns: 2000 },
  );
});

test('every encoding of an integer is read, and nothing else', () => {
  fc.assert(
    fc.property(integer, (value) => {
      expect(read(encode(value === 0 ? 0 : value))).toBe(value === 0 ? 0 : value);
      expect(read(encode(BigInt(value), { useBigInt64: true }))).toBe(value === 0 ? 0 : value);
    }),
    { numRuns: 1000 },
  );
  expect(read(Uint8Array.of(0xca, 0x41, 0x20, 0, 0))).toBe(10);
  for (const other of [
    1.5,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    2 ** 53,
    '5',
    null,
    true,
    [1],
    {},
  ])
    expect(read(encode(other))).toBeNull();
  expect(read(encode(2n ** 60n, { useBigInt64: true }))).toBeNull();
  expect(read(encode(-(2n ** 60n), { useBigInt64: true }))).toBeNull();
  expect(read(new Uint8Array(0))).toBeNull();
  expect(read(Uint8Array.of(1, 2))).toBeNull();
  expect(read(Uint8Array.of(0xcd, 1))).toBeNull();
  expect(read(Uint8Array.of(0xcf, 1, 2, 3))).toBeNull();
});
