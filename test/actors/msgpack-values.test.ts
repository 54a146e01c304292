// What comes back equals what went in, to the byte: compare-and-set compares bytes. What would not is refused, with its place.

import { Unpackr } from 'msgpackr';
import { describe, expect, test } from 'vitest';
import { decodeMsgpack, encodeMsgpack } from '../../src/actors/client/msgpack-values.js';

/** `toStrictEqual` tells -0 from 0, a BigInt from a number, a hole from undefined. */
function roundTrip(value: unknown): unknown {
  const bytes = Buffer.from(encodeMsgpack(value));
  return decodeMsgpack(bytes, 0, bytes.length);
}

const NUMBERS = [
  ...[0, -0, 1, -1, 127, 128, -32, -33, 2 ** 31, -(2 ** 31), 2 ** 32 - 1, 2 ** 32, -(2 ** 40)],
  ...[2 ** 53 - 1, 2 ** 53, -(2 ** 53), 2 ** 63, 1.5, 1e300, -1e-300, Number.MIN_VALUE],
  ...[Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
  ...[
    0n,
    1n,
    -1n,
    2n ** 31n,
    2n ** 53n,
    -(2n ** 53n),
    2n ** 63n - 1n,
    -(2n ** 63n),
    2n ** 64n - 1n,
  ],
];

describe.each(NUMBERS.map((number) => [Object.is(number, -0) ? '-0' : String(number), number]))(
  '%s',
  (_, number) => {
    test('alone, in an array, in a field, deep inside, beside others', () => {
      for (const value of [
        number,
        [number],
        { field: number },
        [{ deep: [1, [number, 'x'], { again: number }] }, 0, -0, 5n, new Date(7), null],
      ])
        expect(roundTrip(value)).toStrictEqual(value);
    });

    test('the same bytes each time, and the value that any decoder reads', () => {
      const first = Buffer.from(encodeMsgpack([number]));
      expect(Buffer.from(encodeMsgpack(roundTrip([number])))).toStrictEqual(first);
      expect(first.subarray(1)).toStrictEqual(Buffer.from(encodeMsgpack(number)));
      expect(new Unpackr().unpack(first)).toStrictEqual([number]);
    });
  },
);

test('bytes, dates and objects without a prototype beside a -0', () => {
  const bare = Object.assign(Object.create(null), { zero: -0 });
  expect(roundTrip([bare, Uint8Array.of(1, 2), new Date(1_500_000_000_001)])).toStrictEqual([
    { zero: -0 },
    Buffer.from([1, 2]),
    new Date(1_500_000_000_001),
  ]);
});

test.each([0, 1, 15, 16, 17, 65_535])(
  'a -0 behind %i others changes the bytes of none of them',
  (count) => {
    const others = Array.from(
      { length: count },
      (_, i) => [i, `${i}`, { i }, null, i % 3 > 0][i % 5],
    );
    const list = [...others, undefined];
    const object = Object.fromEntries(list.map((item, i) => [`key ${i}`, item]));
    for (const [withZero, without] of [
      [[list, -0], [list]],
      [[object, -0], [object]],
    ] as const) {
      const bytes = Buffer.from(encodeMsgpack(withZero));
      expect(bytes[0]).toBe(0x92);
      expect(bytes.subarray(-9).toString('hex')).toBe('cb8000000000000000');
      expect(bytes.subarray(1, -9).equals(encodeMsgpack(without).subarray(1))).toBe(true);
    }
  },
);

const inner = Symbol('inner');
const REFUSED: [string, unknown, string][] = [
  ['a symbol for a key', { [inner]: 1 }, 'the value has a key that is a symbol: Symbol(inner)'],
  [
    'one deep inside',
    { list: [0, { [inner]: 1 }] },
    'the value.list[1] has a key that is a symbol: Symbol(inner)',
  ],
  [
    'a symbol for a key of an array',
    Object.assign([1], { [inner]: 1 }),
    'the value has a key that is a symbol: Symbol(inner)',
  ],
  [
    'an array with a field',
    { found: /b(?<rest>.)/.exec('abc') },
    "the value.found is an array with a field 'index'",
  ],
  [
    'an empty array with a field',
    Object.assign([], { a: 1 }),
    "the value is an array with a field 'a'",
  ],
  // biome-ignore lint/suspicious/noSparseArray: it is what is to be refused
  ['an array with a hole', [1, [2, , 3]], 'the value[1] is an array with holes'],
  ['a function', { a: [() => 1] }, 'the value.a[0] is a function'],
  ['a BigInt of 65 bits', [2n ** 64n], 'the value[0] does not fit into 64 bits'],
  [
    'a key that is no text',
    { a: { '\ud800': 1 } },
    'the value.a has a key that is not well-formed',
  ],
  ['text that is none', [{ a: '\udc00' }], 'the value[0].a is not well-formed Unicode'],
  ['an instance', { a: new (class Thing {})() }, 'the value.a is a Thing, not plain data'],
];

test.each(REFUSED)('%s is refused by its place', (_what, value, message) => {
  expect(() => encodeMsgpack(value)).toThrow(
    expect.objectContaining({ code: 'VR_CODEC', message: expect.stringContaining(message) }),
  );
});

test('what a program adds to all arrays and objects is its own affair', () => {
  const prototypes = [Array.prototype, Object.prototype] as unknown as Record<string, unknown>[];
  for (const prototype of prototypes) prototype['added'] = () => 1;
  try {
    expect(roundTrip({ a: [1, { b: -0 }], c: [] })).toStrictEqual({ a: [1, { b: -0 }], c: [] });
  } finally {
    for (const prototype of prototypes) delete prototype['added'];
  }
});
