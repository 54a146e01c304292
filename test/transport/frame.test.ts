// The codec: every kind survives the way there and back, two foreign decoders read what is written by hand, and bytes that
// are not a frame are a BadFrame that says so.

import { decode } from '@msgpack/msgpack';
import fc from 'fast-check';
import { Packr } from 'msgpackr';
import { describe, expect, test } from 'vitest';
import type { Message, MessageKind } from '../../src/protocol/message.js';
import { frameBytes, readFrame, writeFrame } from '../../src/transport/frame.js';
import { frameKind } from '../../src/transport/kinds.js';
import { BadFrame } from '../../src/transport/msgpack.js';
import { fieldsOf, PADDING } from './fields.js';
import { anyMessage, MESSAGE_KINDS, MESSAGES, plain } from './messages.js';

const foreign = new Packr({ useRecords: false, int64AsType: 'auto' } as object);

interface Encoded {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly from: number;
  readonly to: number;
}

/** The frame of `message` in shared memory, between bytes that are not its own. */
function encode(message: Message, from = 64): Encoded {
  const length = frameBytes(message);
  const memory = new SharedArrayBuffer(from + length + 64);
  const bytes = new Uint8Array(memory).fill(0xa5);
  const view = new DataView(memory);
  writeFrame(message, bytes, view, from);
  expect(bytes.subarray(0, from).every((byte) => byte === 0xa5)).toBe(true);
  expect(bytes.subarray(from + length).every((byte) => byte === 0xa5)).toBe(true);
  return { bytes, view, from, to: from + length };
}

function read(encoded: Encoded): Message {
  return readFrame(encoded.bytes, encoded.view, encoded);
}

function outcome(encoded: Encoded): Message | BadFrame {
  try {
    return read(encoded);
  } catch (error) {
    if (error instanceof BadFrame) return error;
    throw error;
  }
}

describe('every kind of message', () => {
  test.each(MESSAGE_KINDS)('%s round-trips', (kind) => {
    fc.assert(
      fc.property(MESSAGES[kind], (message) => {
        const encoded = encode(message);
        expect(frameKind(encoded.view, encoded.from, encoded.to - encoded.from)).toBe(kind);
        expect(plain(read(encoded))).toEqual(plain(message));
      }),
      { numRuns: 60 },
    );
  });

  test('the list of kinds is whole: a frame of each exists', () => {
    const kinds: Record<MessageKind, true> = Object.fromEntries(
      MESSAGE_KINDS.map((kind) => [kind, true]),
    ) as Record<MessageKind, true>;
    expect(Object.keys(kinds)).toHaveLength(27);
  });
});

describe('two foreign decoders see the documented fields', () => {
  const byHand = MESSAGE_KINDS.filter((kind) =>
    fc.sample(MESSAGES[kind], { numRuns: 1, seed: 1 }).every((one) => fieldsOf(one) !== null),
  );

  test('sixteen kinds are written by hand', () => {
    expect(byHand).toEqual([
      'prepare',
      'commit',
      'prepareOk',
      'doViewChange',
      'startView',
      'newState',
      'checkpointMeta',
      'getNodes',
      'nodes',
      'getPages',
      'pages',
      'request',
      'read',
      'localRead',
      'reply',
      'readReply',
    ]);
  });

  test.each(byHand)('%s', (kind) => {
    fc.assert(
      fc.property(MESSAGES[kind], (message) => {
        const { bytes, from, to } = encode(message);
        const own = Buffer.from(bytes.slice(from, to));
        const expected = fieldsOf(message);
        matches(foreign.unpack(own), expected);
        matches(decode(own), expected);
      }),
      { numRuns: 60 },
    );
  });

  /** `expected` with padding as any byte string of fewer than eight zeros. */
  function matches(found: unknown, expected: unknown): void {
    if (expected === PADDING) {
      expect(found).toBeInstanceOf(Uint8Array);
      expect([...(found as Uint8Array)].every((byte) => byte === 0)).toBe(true);
      expect((found as Uint8Array).length).toBeLessThan(8);
    } else if (expected instanceof Uint8Array) {
      expect([...(found as Uint8Array)]).toEqual([...expected]);
    } else if (Array.isArray(expected)) {
      expect(found).toHaveLength(expected.length);
      expected.forEach((field, index) => {
        matches((found as unknown[])[index], field);
      });
    } else expect(found).toBe(expected);
  }

  test('cold frames about checkpoints: header, then the fields in order', () => {
    const header = { clusterId: 9, gen: 1, epoch: 2, view: 3, from: 4 };
    const root = [5, -6, 7, -8] as const;
    const ask: Message = { kind: 'getCheckpoint', ...header, reqId: 2 ** 40, minOp: 1024 };
    const tell: Message = { kind: 'checkpointRoot', ...header, cpOp: 1024, root };
    for (const [message, expected] of [
      [ask, [19, 9, 1, 2, 3, 4, 2 ** 40, 1024]],
      [tell, [25, 9, 1, 2, 3, 4, 1024, [...root]]],
    ] as const) {
      const { bytes, from, to } = encode(message);
      matches(foreign.unpack(Buffer.from(bytes.slice(from, to))), expected);
      matches(decode(bytes.slice(from, to)), expected);
    }
  });

  test('cold frames are plain arrays to both', () => {
    for (const kind of MESSAGE_KINDS.filter((each) => !byHand.includes(each))) {
      const [message] = fc.sample(MESSAGES[kind], { numRuns: 1, seed: 7 });
      const { bytes, from, to } = encode(message as Message);
      const own = Buffer.from(bytes.slice(from, to));
      expect(foreign.unpack(own)).toEqual(decode(own));
      expect(Array.isArray(decode(own))).toBe(true);
    }
  });
});

test('bodies lie on multiples of 8, in whatever company', () => {
  fc.assert(
    fc.property(anyMessage, (message) => {
      const decoded = read(encode(message));
      const bodies =
        'body' in decoded
          ? [decoded.body]
          : 'result' in decoded
            ? [decoded.result]
            : 'entries' in decoded
              ? decoded.entries.map((entry) => entry.body)
              : [];
      for (const body of bodies) expect(body.byteOffset % 8).toBe(0);
    }),
  );
});

test('a long body arrives whole from every alignment', () => {
  const memory = Uint8Array.from({ length: 50_000 }, (_, at) => (at * 31) >> 3);
  for (let shift = 0; shift < 9; shift++) {
    const body = memory.subarray(shift, shift + 40_001);
    const [base] = fc.sample(MESSAGES.request, { numRuns: 1, seed: 3 });
    const message = { ...(base as Extract<Message, { kind: 'request' }>), body };
    const decoded = read(encode(message)) as Extract<Message, { kind: 'request' }>;
    expect(Buffer.compare(Buffer.from(decoded.body), Buffer.from(body))).toBe(0);
  }
});

describe('what is not a frame is a BadFrame', () => {
  test.each(MESSAGE_KINDS)('%s, cut anywhere', (kind) => {
    for (const message of fc.sample(MESSAGES[kind], { numRuns: 8, seed: 13 })) {
      const { bytes, from, to } = encode(message);
      for (let length = 0; length < to - from; length++) {
        // No memory behind it: looking there throws something else.
        const cut = bytes.slice(from, from + length);
        const encoded = { bytes: cut, view: new DataView(cut.buffer), from: 0, to: length };
        if (!(outcome(encoded) instanceof BadFrame))
          expect.fail(`${length} bytes of ${to - from} are a message`);
      }
    }
  });

  test('every truncation', () => {
    fc.assert(
      fc.property(anyMessage, fc.double({ min: 0, max: 1, noNaN: true }), (message, share) => {
        const encoded = encode(message);
        const length = Math.floor(share * (encoded.to - encoded.from));
        if (length === encoded.to - encoded.from) return;
        expect(outcome({ ...encoded, to: encoded.from + length })).toBeInstanceOf(BadFrame);
      }),
      { numRuns: 500 },
    );
  });

  test('every addition', () => {
    fc.assert(
      fc.property(anyMessage, fc.integer({ min: 1, max: 40 }), (message, more) => {
        const encoded = encode(message);
        expect(outcome({ ...encoded, to: encoded.to + more })).toBeInstanceOf(BadFrame);
      }),
      { numRuns: 200 },
    );
  });

  test('changed bytes give a BadFrame or a whole message, never anything else', () => {
    let bad = 0;
    fc.assert(
      fc.property(
        anyMessage,
        fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { minLength: 1, maxLength: 4 }),
        (message, changes) => {
          const encoded = encode(message);
          const length = encoded.to - encoded.from;
          // Most of the structure is at the front, so half of the changes go there.
          changes.forEach(([at, value], index) => {
            const span = index % 2 === 0 ? Math.min(length, 100) : length;
            encoded.bytes[encoded.from + (at % span)] = value;
          });
          const result = outcome(encoded);
          if (result instanceof BadFrame) {
            bad++;
            expect(result.message).not.toBe('');
            return;
          }
          // Whole: it can be written and read again.
          expect(plain(read(encode(result)))).toEqual(plain(result));
        },
      ),
      { numRuns: 3000 },
    );
    expect(bad).toBeGreaterThan(300);
  });

  test('random bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 0, maxLength: 200 }), (noise) => {
        const memory = new SharedArrayBuffer(256);
        const bytes = new Uint8Array(memory);
        bytes.set(noise);
        const encoded = { bytes, view: new DataView(memory), from: 0, to: noise.length };
        const result = outcome(encoded);
        if (!(result instanceof BadFrame))
          expect(plain(read(encode(result)))).toEqual(plain(result));
      }),
      { numRuns: 2000 },
    );
  });

  test.each([
    ['a map', { a: 1 }],
    ['nothing', []],
    ['an unknown kind', [99, 1, 2]],
    ['a date', [16, new Date(), 0, 1]],
    ['a big integer', [16, 2n ** 60n, 0, 1]],
    ['a regular expression', [16, 0, /x/, 1]],
    ['a nested array', [16, [1], 0, 1]],
    ['a fraction', [16, 0, 1.5, 1]],
    ['a negative number', [16, 0, -1, 1]],
    ['text', [16, 0, '1', 1]],
    ['too few fields', [16, 0, 1]],
    ['too many fields', [16, 0, 1, 1, 1]],
    ['a hot kind in a cold frame', [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]],
    ['a status out of range', [15, 0, 0, null, 3]],
    ['a chain of three', [7, 0, 0, 0, 0, 0, 1, 0, 1, 2, [1, 2, 3], 9]],
    ['a checkpoint below none', [19, 0, 0, 0, 0, 0, 1, -1]],
    ['a checkpoint of no request', [19, 0, 0, 0, 0, 0, 1]],
    ['a root of three', [25, 0, 0, 0, 0, 0, 1024, [1, 2, 3]]],
    ['no root', [25, 0, 0, 0, 0, 0, 1024, null]],
    ['a root behind which more comes', [25, 0, 0, 0, 0, 0, 1024, [1, 2, 3, 4], 0]],
    ['a chain that is no words', [7, 0, 0, 0, 0, 0, 1, 0, 1, 2, [1, 2, 3, 2 ** 40], 9]],
  ])('%s from a foreign encoder', (_, value) => {
    const packed = new Packr({ moreTypes: true, useRecords: false }).pack(value);
    const bytes = new Uint8Array(packed);
    const view = new DataView(bytes.buffer);
    expect(outcome({ bytes, view, from: 0, to: bytes.length })).toBeInstanceOf(BadFrame);
  });

  test('a cold kind of absurd length', () => {
    const packed = new Packr({ useRecords: false }).pack([16, 0, 1, 'x'.repeat(4000)]);
    const bytes = new Uint8Array(packed);
    const view = new DataView(bytes.buffer);
    const result = outcome({ bytes, view, from: 0, to: bytes.length });
    expect((result as BadFrame).message).toMatch(/a cold frame of \d+ bytes/);
  });

  test('the codec works on after a bad frame', () => {
    const view = new DataView(new ArrayBuffer(8));
    const bytes = new Uint8Array(view.buffer).fill(0x91);
    expect(outcome({ bytes, view, from: 0, to: 8 })).toBeInstanceOf(BadFrame);
    const message: Message = { kind: 'viewStarted', epoch: 0, view: 3, primaryId: 1 };
    expect(read(encode(message))).toEqual(message);
  });
});
