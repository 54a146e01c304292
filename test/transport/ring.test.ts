// The ring on one thread, next to a queue that is too simple to be wrong.

import fc from 'fast-check';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { ProtocolViolation } from '../../src/protocol/assert.js';
import {
  RECORD_HEADER_BYTES,
  RING_HEAD_AT,
  RING_HEADER_BYTES,
  RING_TAIL_AT,
  recordSpace,
} from '../../src/transport/layout.js';
import { RingReader, RingWriter, ringMemoryBytes } from '../../src/transport/ring.js';
import { unread } from './unread.js';

const CAPACITY = 4096;
const FRAME_MAX = CAPACITY / 4 - RECORD_HEADER_BYTES;

function memoryAt(position = 0): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(ringMemoryBytes(CAPACITY));
  const words = new Int32Array(memory);
  words[RING_TAIL_AT / 4] = position;
  words[RING_HEAD_AT / 4] = position;
  return memory;
}

function tailOf(memory: SharedArrayBuffer): number {
  return Atomics.load(new Int32Array(memory), RING_TAIL_AT / 4);
}

function recordsOf(memory: SharedArrayBuffer): Buffer {
  return Buffer.from(new Uint8Array(memory).slice(RING_HEADER_BYTES));
}

function headOf(memory: SharedArrayBuffer): number {
  return Atomics.load(new Int32Array(memory), RING_HEAD_AT / 4);
}

function put(writer: RingWriter, length: number, fill: number): boolean {
  const at = writer.claim(length);
  if (at < 0) return false;
  writer.bytes.fill(fill, at, at + length);
  return true;
}

function take(reader: RingReader): { length: number; fill: number } | null {
  if (!reader.peek()) return null;
  expect(reader.verify()).toBe(true);
  const { offset, length } = reader;
  const frame = reader.bytes.subarray(offset, offset + length);
  const fill = frame[0] ?? 0;
  expect(frame.every((byte) => byte === fill)).toBe(true);
  reader.consume();
  return { length, fill };
}

function takeAll(reader: RingReader): { length: number; fill: number }[] {
  const all: { length: number; fill: number }[] = [];
  for (let one = take(reader); one !== null; one = take(reader)) all.push(one);
  reader.release();
  return all;
}

afterEach(() => {
  vi.restoreAllMocks();
});

describe('against a model', () => {
  type Step =
    | { do: 'claim'; length: number }
    | { do: 'publish' }
    | { do: 'consume' }
    | { do: 'release' }
    | { do: 'newProducer' }
    | { do: 'newConsumer' };
  const step: fc.Arbitrary<Step> = fc.oneof(
    {
      weight: 8,
      arbitrary: fc.nat({ max: FRAME_MAX }).map((length) => ({ do: 'claim' as const, length })),
    },
    {
      weight: 4,
      arbitrary: fc.nat({ max: 40 }).map((length) => ({ do: 'claim' as const, length })),
    },
    { weight: 5, arbitrary: fc.constant({ do: 'publish' as const }) },
    { weight: 8, arbitrary: fc.constant({ do: 'consume' as const }) },
    { weight: 4, arbitrary: fc.constant({ do: 'release' as const }) },
    { weight: 1, arbitrary: fc.constant({ do: 'newProducer' as const }) },
    { weight: 1, arbitrary: fc.constant({ do: 'newConsumer' as const }) },
  );

  // Positions of all signs, and one that is about to wrap around 2^31 and 2^32.
  test.each([0, 4096 - 8, 2 ** 31 - 64, -64, -(2 ** 31)])('from position %i', (position) => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 200 }), (steps) => {
        const memory = memoryAt(position);
        let writer = new RingWriter(memory);
        let reader = new RingReader(memory);
        let next = 1;
        type Frame = { length: number; fill: number };
        let claimed: Frame[] = [];
        let published: Frame[] = [];
        let consumed: Frame[] = [];
        for (const one of steps) {
          switch (one.do) {
            case 'claim': {
              const before = writer.free();
              next = (next % 250) + 1;
              const fill = next;
              if (put(writer, one.length, fill)) {
                claimed.push({ length: one.length, fill: one.length === 0 ? 0 : fill });
                expect(before - writer.free()).toBeGreaterThanOrEqual(recordSpace(one.length));
              } else {
                // A refusal is honest: there is less than the record and the loss at the end, which is below a record.
                expect(before).toBeLessThan(2 * recordSpace(one.length));
                expect(writer.free()).toBe(before);
              }
              break;
            }
            case 'publish':
              expect(writer.publish()).toBe(claimed.length > 0);
              published.push(...claimed);
              claimed = [];
              break;
            case 'consume': {
              const expected = published.shift() ?? null;
              expect(reader.hasData()).toBe(expected !== null);
              const found = take(reader);
              expect(found && { ...found, fill: found.length === 0 ? 0 : found.fill }).toEqual(
                expected,
              );
              if (expected !== null) consumed.push(expected);
              break;
            }
            case 'release':
              reader.release();
              consumed = [];
              expect(unread(writer)).toBe(published.length > 0);
              break;
            case 'newProducer': // what was claimed and not published never was (H5)
              writer = new RingWriter(memory);
              claimed = [];
              break;
            case 'newConsumer': // what was consumed and not released comes again (BP4)
              reader = new RingReader(memory);
              published = [...consumed, ...published];
              consumed = [];
              break;
          }
        }
        expect(reader.corrupt).toBe(0);
      }),
      { numRuns: 120 },
    );
  });
});

describe('room', () => {
  test('a full ring refuses and changes nothing; one release makes room', () => {
    const memory = memoryAt();
    const writer = new RingWriter(memory);
    const reader = new RingReader(memory);
    let sent = 0;
    while (put(writer, FRAME_MAX, 1 + sent)) sent++;
    expect(sent).toBe(4);
    writer.publish();
    const tail = tailOf(memory);
    expect(writer.claim(0)).toBe(-1);
    expect(writer.publish()).toBe(false);
    expect(tailOf(memory)).toBe(tail);
    expect(take(reader)?.fill).toBe(1);
    expect(writer.claim(FRAME_MAX)).toBe(-1); // consumed, but not released
    reader.release();
    expect(writer.claim(FRAME_MAX)).toBeGreaterThan(0);
  });

  test('a frame above a quarter of the ring is a mistake of the caller', () => {
    const writer = new RingWriter(memoryAt());
    expect(writer.frameMax).toBe(FRAME_MAX);
    expect(() => writer.claim(FRAME_MAX + 1)).toThrow(ProtocolViolation);
    expect(writer.publish()).toBe(false);
  });

  test('what does not fit before the end begins at the start, and the end is skipped', () => {
    const memory = memoryAt(CAPACITY - 24);
    const writer = new RingWriter(memory);
    const reader = new RingReader(memory);
    expect(writer.claim(100)).toBe(RECORD_HEADER_BYTES);
    writer.bytes.fill(7, RECORD_HEADER_BYTES, RECORD_HEADER_BYTES + 100);
    writer.publish();
    expect(takeAll(reader)).toEqual([{ length: 100, fill: 7 }]);
    expect(headOf(memory)).toBe(CAPACITY + recordSpace(100));
    expect(writer.free()).toBe(CAPACITY);
  });

  test('a record that ends exactly at the end leaves no marker', () => {
    const memory = memoryAt(CAPACITY - 64);
    const writer = new RingWriter(memory);
    const reader = new RingReader(memory);
    put(writer, 64 - RECORD_HEADER_BYTES, 1);
    put(writer, 1, 2);
    writer.publish();
    expect(takeAll(reader).map((frame) => frame.fill)).toEqual([1, 2]);
    expect(headOf(memory)).toBe(CAPACITY + recordSpace(1));
  });

  test('the longest frame: up to the end of the ring, else behind it, and a claim of it succeeds', () => {
    fc.assert(
      fc.property(
        fc.nat({ max: CAPACITY / 8 - 1 }),
        fc.nat({ max: CAPACITY / 8 }),
        fc.integer({ min: 1, max: 300 }),
        (start, used, least) => {
          const memory = memoryAt(start * 8);
          const words = new Int32Array(memory);
          words[RING_TAIL_AT / 4] = start * 8 + used * 8;
          const writer = new RingWriter(memory);
          const length = writer.longest(least, 0);
          if (length < 0) return;
          expect(length).toBeGreaterThanOrEqual(least);
          expect(writer.claim(length)).toBeGreaterThan(0);
        },
      ),
      { numRuns: 500 },
    );
  });

  test('a producer that waits for room is told by the release that makes some', () => {
    const memory = memoryAt();
    const writer = new RingWriter(memory);
    const reader = new RingReader(memory);
    put(writer, 100, 1);
    put(writer, 100, 2);
    put(writer, 100, 3);
    writer.publish();
    take(reader);
    expect(reader.release()).toBe(false); // nobody has asked
    expect(writer.told).toBe(true);
    writer.askForRoom();
    expect(writer.told).toBe(false);
    expect(reader.release()).toBe(false); // nothing consumed, nothing to tell
    expect(writer.told).toBe(false);
    take(reader);
    expect(reader.release()).toBe(true);
    expect(writer.told).toBe(true);
    take(reader);
    expect(reader.release()).toBe(false); // once is enough
  });

  test('with nobody waiting, a release costs one store and one look', () => {
    const memory = memoryAt();
    const writer = new RingWriter(memory);
    const reader = new RingReader(memory);
    put(writer, 100, 1);
    writer.publish();
    take(reader);
    const names = ['store', 'load', 'exchange', 'compareExchange', 'notify'] as const;
    const spies = names.map((name) => vi.spyOn(Atomics, name));
    try {
      reader.release();
      expect(spies.map((spy) => spy.mock.calls.length)).toEqual([1, 1, 0, 0, 0]);
    } finally {
      for (const spy of spies) spy.mockRestore();
    }
  });

  test.each([0, 1000, 2048, 4095, 4097, 2 ** 29])(
    'a capacity of %i is refused by name',
    (bytes) => {
      const memory = { byteLength: RING_HEADER_BYTES + bytes } as SharedArrayBuffer;
      expect(() => new RingWriter(memory)).toThrow(`got ${bytes}`);
      expect(() => new RingReader(memory)).toThrow(RangeError);
    },
  );
});

describe('H5: what a reader can see', () => {
  test('nothing before publish, everything by one store of the tail, which is the last write', () => {
    const memory = memoryAt(CAPACITY - 512);
    const writer = new RingWriter(memory);
    const view = new DataView(memory, RING_HEADER_BYTES);
    const frames: { at: number; length: number; fill: number }[] = [];
    for (const [length, fill] of [
      [100, 1],
      [700, 2],
      [3, 3],
    ] as const) {
      const at = writer.claim(length);
      expect(new RingReader(memory).peek()).toBe(false);
      writer.bytes.fill(fill, at, at + length);
      expect(new RingReader(memory).peek()).toBe(false);
      frames.push({ at, length, fill });
    }
    const stores: number[] = [];
    let atStore: Buffer = Buffer.alloc(0);
    const realStore = Atomics.store;
    vi.spyOn(Atomics, 'store').mockImplementation(((
      words: Int32Array,
      at: number,
      value: number,
    ) => {
      stores.push(at);
      atStore = recordsOf(memory);
      // At the very moment of the store all records and their lengths are in memory.
      for (const frame of frames) {
        expect(view.getInt32(frame.at - RECORD_HEADER_BYTES, true)).toBe(frame.length);
        for (let byte = 0; byte < frame.length; byte++)
          expect(view.getUint8(frame.at + byte)).toBe(frame.fill);
      }
      return realStore(words, at, value);
    }) as typeof Atomics.store);
    expect(writer.publish()).toBe(true);
    expect(stores).toEqual([RING_TAIL_AT / 4]);
    expect(recordsOf(memory).equals(atStore)).toBe(true);
    vi.restoreAllMocks();
    expect(takeAll(new RingReader(memory)).map((frame) => frame.fill)).toEqual([1, 2, 3]);
  });

  test('a batch is given back by one store of the head', () => {
    const memory = memoryAt();
    const writer = new RingWriter(memory);
    const reader = new RingReader(memory);
    for (let frame = 0; frame < 10; frame++) put(writer, 10, frame);
    writer.publish();
    const store = vi.spyOn(Atomics, 'store');
    takeAll(reader);
    expect(store.mock.calls.map(([, at]) => at)).toEqual([RING_HEAD_AT / 4]);
  });

  test('a producer killed between claim and publish leaves nothing; its successor goes on mid-stream', () => {
    const memory = memoryAt(CAPACITY - 40);
    const reader = new RingReader(memory);
    const dead = new RingWriter(memory);
    put(dead, 200, 1);
    dead.publish();
    put(dead, 300, 2); // never published
    dead.claim(50);
    const successor = new RingWriter(memory);
    expect(take(reader)?.fill).toBe(1);
    expect(take(reader)).toBe(null);
    put(successor, 20, 3);
    successor.publish();
    expect(take(reader)).toEqual({ length: 20, fill: 3 });
    expect(reader.corrupt).toBe(0);
  });

  test('BP4: the successor of a consumer meets again what was not released', () => {
    const memory = memoryAt();
    const writer = new RingWriter(memory);
    for (const fill of [1, 2, 3]) put(writer, 10, fill);
    writer.publish();
    const dead = new RingReader(memory);
    take(dead);
    dead.release();
    take(dead);
    expect(takeAll(new RingReader(memory)).map((frame) => frame.fill)).toEqual([2, 3]);
  });

  test.each([-2, -1, FRAME_MAX + 1, 2 ** 30, 500])(
    'a length word of %i is skipped and counted, not followed',
    (length) => {
      const memory = memoryAt();
      const writer = new RingWriter(memory);
      const reader = new RingReader(memory);
      put(writer, 10, 1);
      put(writer, 10, 2);
      writer.publish();
      new DataView(memory, RING_HEADER_BYTES).setInt32(0, length, true);
      expect(reader.peek()).toBe(false);
      expect(reader.corrupt).toBe(1);
      reader.release();
      expect(unread(writer)).toBe(false);
      put(writer, 10, 3);
      writer.publish();
      expect(take(reader)?.fill).toBe(3);
    },
  );
});
