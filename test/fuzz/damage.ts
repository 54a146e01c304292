// Damage to bytes that were a valid encoding: what a fuzzer of formats does, but drawn by fast-check, so that what fails is made
// small. A hit is aimed at the front half of the time, for there stand the lengths.

import fc from 'fast-check';

/** What is done, where, and a number of which each way uses what it needs. */
export type Hit = readonly [way: number, at: number, value: number];

/** Types and sizes that decoders branch on. */
const TELLING_BYTES = [
  ...[0, 1, 2, 3, 4, 7, 8, 0x0f, 0x10, 0x11, 0x12, 0x1f, 0x20, 0x3f, 0x40, 0x72, 0x7f, 0x80],
  ...[0x81, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc4, 0xc6, 0xc7, 0xc9, 0xca, 0xcb, 0xcc, 0xcd],
  ...[0xce, 0xcf, 0xd0, 0xd2, 0xd3, 0xd4, 0xd6, 0xd9, 0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xe0, 0xff],
];
const TELLING_WORDS = [
  ...[0, 1, 7, 8, 9, 15, 16, 17, 39, 40, 41, 63, 64, 255, 256, 1023, 1024, 1025, 4095, 4096],
  ...[65_535, 65_536, 2 ** 20, 2 ** 20 + 1, 2 ** 21, 2 ** 24, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 8],
  ...[
    2 ** 32 - 1,
    0x3ff0_0000,
    0x4008_0000,
    0x7ff0_0000,
    0x7ff8_0000,
    0xbff0_0000,
    0xc000_0000,
    0x433f_ffff,
  ],
];

/** Replaces `count` bytes at `at` of `bytes` by `put`. */
function spliced(bytes: Uint8Array, at: number, count: number, put: Uint8Array): Uint8Array {
  const result = new Uint8Array(bytes.length - count + put.length);
  result.set(bytes.subarray(0, at));
  result.set(put, at);
  result.set(bytes.subarray(at + count), at + put.length);
  return result;
}

const pick = <T>(list: readonly T[], value: number): T => list[value % list.length] as T;
const NONE = new Uint8Array(0);

/** In place where the length stays. */
function strike(bytes: Uint8Array, [way, place, value]: Hit, other: Uint8Array): Uint8Array {
  const { length } = bytes;
  if (length === 0) return other.slice(0, value % 64);
  const at = place % (place & 1 && length > 64 ? 64 : length);
  const view = new DataView(bytes.buffer);
  const word = Math.max(0, Math.min(at, length - 4));
  const count = Math.min(length - at, value % 40);
  switch (way) {
    case 0:
      bytes[at] = (bytes[at] as number) ^ (1 << (value & 7));
      return bytes;
    case 1:
      bytes[at] = value;
      return bytes;
    case 2:
      bytes[at] = pick(TELLING_BYTES, value);
      return bytes;
    case 3: // a length that lies, in either order of bytes
    case 4:
      if (length >= 4) view.setUint32(word, pick(TELLING_WORDS, value), way === 3);
      return bytes;
    case 5: // one that lies by little
    case 6:
      if (length >= 4)
        view.setUint32(word, view.getUint32(word, way === 5) + (value % 19) - 9, way === 5);
      return bytes;
    case 7:
      return bytes.slice(0, at);
    case 8:
      return spliced(bytes, length, 0, other.subarray(0, 1 + (value % 24)));
    case 9:
      return spliced(bytes, at, count, NONE);
    case 10:
      return spliced(bytes, at, 0, bytes.slice(at, at + count));
    case 11: // the beginning of one and the end of another
      return spliced(bytes, at, length - at, other.subarray(value % (other.length + 1)));
    case 12:
      bytes.set(other.subarray(at, at + count), at);
      return bytes;
    default:
      return spliced(bytes, at, 0, Uint8Array.of(value, value >> 8, value >> 16));
  }
}
const WAYS = 14;

/** A damaged copy of `bytes`; `other` is what is spliced in. */
export function damaged(bytes: Uint8Array, hits: readonly Hit[], other: Uint8Array): Uint8Array {
  let result: Uint8Array = bytes.slice();
  for (const hit of hits) result = strike(result, hit, other);
  return result;
}

export const hits: fc.Arbitrary<Hit[]> = fc.array(
  fc.tuple(fc.nat(WAYS - 1), fc.nat(0xffff), fc.nat(0xffff_ffff)),
  { minLength: 1, maxLength: 5 },
);

/** The same bytes between others: what reads past its end finds there something else than nothing. */
export function surrounded(bytes: Uint8Array, lead: number): Uint8Array {
  const memory = new Uint8Array(lead + bytes.length + 64).fill(0xa5);
  memory.set(bytes, lead);
  return memory;
}
