// The decoder of messages, below the checksum that keeps damage from it: whatever the bytes, it gives a message that can be
// written again, or a BadFrame; it looks at nothing outside of the frame, and remembers nothing of a bad one.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Message } from '../../src/protocol/message.js';
import { frameBytes, readFrame, writeFrame } from '../../src/transport/frame.js';
import { KINDS } from '../../src/transport/kinds.js';
import { BadFrame } from '../../src/transport/msgpack.js';
import { copyOf, MESSAGE_KINDS, MESSAGES, plain } from '../transport/messages.js';
import { inputs, TIMEOUT_MS } from './counts.js';
import { damaged, hits, surrounded } from './damage.js';

const timeout = TIMEOUT_MS;
/** The byte that frames begin with unless they are cold. */
const HOT = 0xdc;
/** So much of a frame is damaged bit by bit: behind it there are more entries, hashes or pages of the same sort. */
const BITS_BYTES_MAX = 600;

function written(message: Message): Uint8Array {
  const bytes = new Uint8Array(frameBytes(message));
  writeFrame(message, bytes, new DataView(bytes.buffer), 0);
  return bytes;
}

function readAt(memory: Uint8Array, from: number, length: number): Message | BadFrame {
  try {
    const message = readFrame(memory, new DataView(memory.buffer), { from, to: from + length });
    return copyOf(message);
  } catch (error) {
    if (error instanceof BadFrame) return error;
    throw error;
  }
}

/** By value, or by what is wrong. */
function same(a: unknown, b: unknown): boolean {
  if (a instanceof BadFrame || b instanceof BadFrame)
    return a instanceof BadFrame && b instanceof BadFrame && a.message === b.message;
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b) === 0;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null)
    return Object.is(a, b);
  const names = Object.keys(a);
  return (
    names.length === Object.keys(b).length &&
    names.every((name) =>
      same((a as Record<string, unknown>)[name], (b as Record<string, unknown>)[name]),
    )
  );
}

/** Fields of four words, each signed. */
const CHAINS: ReadonlySet<string> = new Set(['chain', 'prevChain', 'cpChain', 'cpRoot', 'root']);

/** Numbers are words in a chain, else whole and not negative; byte strings are within the frame by `same`. */
function wellFormed(value: unknown, name: string): boolean {
  if (typeof value === 'number')
    return name === 'chain' ? (value | 0) === value : Number.isSafeInteger(value) && value >= 0;
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return true;
  const chain = CHAINS.has(name);
  if (chain && (!Array.isArray(value) || value.length !== 4)) return false;
  return Object.entries(value).every(([field, item]) =>
    wellFormed(item, chain ? 'chain' : Array.isArray(value) ? name : field),
  );
}

/** Decodes `bytes` alone and among others; checks everything that holds of any bytes. */
function decoded(bytes: Uint8Array): Message | BadFrame {
  const alone = readAt(bytes, 0, bytes.length); // reading past the end throws a RangeError here
  const among = readAt(surrounded(bytes, 64), 64, bytes.length);
  if (!same(alone, among)) expect(plain(among)).toEqual(plain(alone));
  if (alone instanceof BadFrame) {
    expect(alone.message).not.toBe('');
    return alone;
  }
  if (!wellFormed(alone, '')) expect(plain(alone)).toBe('a message');
  // What is written by hand has one length; msgpackr also reads numbers that are longer than need be.
  if (bytes[0] === HOT) expect(frameBytes(alone)).toBe(bytes.length);
  const again = readAt(written(alone), 0, frameBytes(alone));
  if (!same(again, alone)) expect(plain(again)).toEqual(plain(alone));
  return alone;
}

const CORPUS = MESSAGE_KINDS.flatMap((kind) =>
  fc.sample(MESSAGES[kind], { numRuns: 40, seed: 11 }).map((message) => ({
    kind,
    bytes: written(message),
  })),
);
/** One frame of each kind, and what it must still mean after any damage was met. */
const WITNESSES = MESSAGE_KINDS.map((kind) => {
  const message = fc.sample(MESSAGES[kind], { numRuns: 1, seed: 5 })[0] as Message;
  return { message: copyOf(message), bytes: written(message) };
});
const which = fc.nat(CORPUS.length - 1);

test('damaged frames of every kind: a message or a BadFrame, and the next frame is read as ever', {
  timeout,
}, () => {
  const seen = new Map(KINDS.map((kind) => [kind, { accepted: 0, refused: 0 }]));
  fc.assert(
    fc.property(which, which, hits, (one, other, list) => {
      const source = CORPUS[one] as (typeof CORPUS)[number];
      const bytes = damaged(source.bytes, list, (CORPUS[other] as typeof source).bytes);
      const count = seen.get(source.kind);
      if (count !== undefined)
        count[decoded(bytes) instanceof BadFrame ? 'refused' : 'accepted'] += 1;
      const witness = WITNESSES[one % WITNESSES.length] as (typeof WITNESSES)[number];
      const after = readAt(witness.bytes, 0, witness.bytes.length);
      if (!same(after, witness.message)) expect(plain(after)).toEqual(plain(witness.message));
    }),
    inputs(),
  );
  // Damage that is always refused, or never, would show nothing.
  for (const [kind, { accepted, refused }] of seen)
    expect({ kind, both: accepted > 0 && refused > 0 }).toEqual({ kind, both: true });
});

test.each(MESSAGE_KINDS)(
  '%s with any one bit turned: a message or a BadFrame',
  { timeout },
  (kind) => {
    for (const message of fc.sample(MESSAGES[kind], { numRuns: 2, seed: 17 })) {
      const bytes = Math.min(frameBytes(message), BITS_BYTES_MAX);
      for (let bit = 0; bit < 8 * bytes; bit++) {
        const turned = written(message);
        turned[bit >> 3] = (turned[bit >> 3] as number) ^ (1 << (bit & 7));
        decoded(turned);
      }
    }
  },
);

test('random bytes behind the opening of every kind', { timeout }, () => {
  const opening = fc
    .tuple(fc.nat(KINDS.length + 2), fc.nat(22), fc.boolean())
    .map(([code, fields, hot]) =>
      hot ? [HOT, 0, fields, 0xce, 0, 0, 0, code] : [0x90 | (fields & 15), code],
    );
  // Bytes that begin a value are what a decoder gets lost in: random ones are mostly small integers.
  const byte = fc.oneof(fc.nat(255), fc.constantFrom(0xc0, 0xc4, 0xc6, 0xcb, 0xce, 0xcf, 0xd2));
  fc.assert(
    fc.property(opening, fc.array(byte, { maxLength: 200 }), (head, rest) => {
      decoded(Uint8Array.from([...head, ...rest]));
    }),
    inputs(0.5),
  );
});

test('msgpack of all sorts in place of the fields of a cold frame', { timeout }, () => {
  // Extensions, records, nested arrays and lengths beyond the end, as tokens.
  const token = fc.oneof(
    fc.nat(255).map((value) => [value]),
    fc.constantFrom([0xd4, 0x72, 0x40], [0xd6, 0x69, 0, 0, 0, 1], [0xc7, 5, 0x74], [0xd6, 0xff]),
    fc.constantFrom([0xdd, 0xff, 0xff, 0xff, 0xff], [0xdf, 0x7f, 0xff, 0xff, 0xff], [0x91], [0x81]),
    fc.constantFrom([0xd4, 0x65, 0x93], [0xc8, 0xff, 0xff, 0x78], [0xdb, 0, 0, 1, 0], [0xd4, 0, 1]),
    fc.nat(0xffff_ffff).map((word) => [0xce, word >>> 24, word >>> 16, word >>> 8, word]),
  );
  const cold = CORPUS.filter(({ bytes }) => bytes[0] !== HOT);
  fc.assert(
    fc.property(
      fc.nat(cold.length - 1),
      fc.nat(15),
      fc.array(token, { maxLength: 16 }),
      (one, fields, tokens) => {
        const { bytes } = cold[one] as (typeof cold)[number];
        decoded(Uint8Array.from([0x90 | fields, bytes[1] ?? 0, ...tokens.flat()]));
        const witness = WITNESSES.find(({ bytes: whole }) => whole[0] !== HOT);
        if (witness === undefined) throw new Error('no cold kind');
        expect(same(readAt(witness.bytes, 0, witness.bytes.length), witness.message)).toBe(true);
      },
    ),
    inputs(0.5),
  );
});
