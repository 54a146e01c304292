// The ring next to an array: whatever the order of claims, publications and releases, and whoever takes over, what comes out is what
// went in, byte for byte. Over damaged memory some of it is missing, and nothing else happens.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RING_HEADER_BYTES, recordSpace } from '../../src/transport/layout.js';
import { RingReader, RingWriter } from '../../src/transport/ring.js';
import { dice } from '../service/world.js';
import { unread } from '../transport/unread.js';
import { inputs, PROPERTY, TIMEOUT_MS } from './counts.js';
import { Bench, CAPACITY, contentOf, FRAME_MAX, type Frame } from './ring-bench.js';

const timeout = TIMEOUT_MS;

type Step =
  | { readonly do: 'claim'; readonly length: number }
  | { readonly do: 'claimLongest'; readonly least: number; readonly reserve: number }
  | { readonly do: 'publish' | 'release' | 'newProducer' | 'newConsumer' | 'fillUp' }
  | { readonly do: 'consume'; readonly count: number };

const plain = (what: 'publish' | 'release' | 'newProducer' | 'newConsumer' | 'fillUp') =>
  fc.constant({ do: what } as const);
const length = fc.oneof(
  fc.nat(60),
  fc.nat(FRAME_MAX),
  fc.constantFrom(0, 1, 7, 8, 9, FRAME_MAX - 1, FRAME_MAX),
);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: length.map((value) => ({ do: 'claim', length: value }) as const) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('claimLongest' as const),
      least: fc.integer({ min: 1, max: 300 }),
      reserve: fc.constantFrom(0, 256),
    }),
  },
  { weight: 5, arbitrary: plain('publish') },
  { weight: 7, arbitrary: fc.nat(8).map((count) => ({ do: 'consume', count }) as const) },
  { weight: 4, arbitrary: plain('release') },
  { weight: 1, arbitrary: plain('fillUp') },
  { weight: 1, arbitrary: plain('newProducer') },
  { weight: 1, arbitrary: plain('newConsumer') },
);
/** Any multiple of 8 that 32 bits hold, those around the wrap more often. */
const position = fc.oneof(
  fc.integer({ min: -(2 ** 28), max: 2 ** 28 - 1 }).map((words) => words * 8),
  fc.constantFrom(0, 2 ** 31 - 8, 2 ** 31 - CAPACITY, -(2 ** 31), -8, -CAPACITY, CAPACITY - 8),
);

test('H5, BP4: any sequence of steps, from any position, through wraps and successors', {
  timeout,
}, () => {
  fc.assert(
    fc.property(position, fc.array(step, { minLength: 1, maxLength: 120 }), (at, steps) => {
      const bench = new Bench(at);
      for (const one of steps) run(bench, one);
      bench.publish();
      while (bench.published.length > 0) bench.takeExpected();
      bench.reader.release();
      expect(bench.writer.free()).toBe(CAPACITY);
      expect(unread(bench.writer)).toBe(false);
      expect(bench.reader.corrupt).toBe(0);
    }),
    PROPERTY,
  );
});

function run(bench: Bench, one: Step): void {
  const { writer, reader } = bench;
  switch (one.do) {
    case 'claim':
      bench.put(one.length);
      return;
    case 'claimLongest': {
      const longest = writer.longest(one.least, one.reserve);
      expect(longest).toBe(bench.longest(one.least, one.reserve));
      if (longest < 0) return;
      expect(writer.longest(longest, one.reserve)).toBe(longest);
      expect(bench.put(longest)).toBe(true);
      return;
    }
    case 'fillUp': {
      let size = FRAME_MAX;
      while (size > 0) if (!bench.put(size)) size >>>= 1;
      return;
    }
    case 'publish':
      bench.publish();
      return;
    case 'consume':
      for (let left = one.count; left > 0; left--) bench.takeExpected();
      return;
    case 'release':
      expect(reader.unreleased === 0).toBe(bench.consumed.length === 0);
      reader.release();
      bench.consumed = [];
      expect(unread(writer)).toBe(bench.published.length > 0);
      return;
    case 'newProducer': // what was claimed and not published never was
      bench.writer = new RingWriter(bench.memory);
      bench.claimed.length = 0;
      return;
    case 'newConsumer': // what was consumed and not released comes again
      bench.reader = new RingReader(bench.memory);
      bench.published = [...bench.consumed, ...bench.published];
      bench.consumed = [];
  }
}

test('2.1: damaged memory loses frames, never changes their order, and the ring goes on', {
  timeout,
}, () => {
  const sizes = fc.array(fc.nat(400), { minLength: 1, maxLength: 12 });
  const strikes = fc.array(fc.tuple(fc.nat(CAPACITY - 1), fc.nat(255)), {
    minLength: 1,
    maxLength: 12,
  });
  let lost = 0;
  fc.assert(
    fc.property(position, sizes, strikes, fc.nat(), (at, list, hits, seed) => {
      const bench = new Bench(at);
      for (const size of list) bench.put(size);
      bench.publish();
      const sent = [...bench.published];
      const bytes = new Uint8Array(bench.memory, RING_HEADER_BYTES);
      for (const [offset, value] of hits) bytes[offset] = value;
      const roll = dice(seed);
      if (roll(4) === 0) new Int32Array(bytes.buffer, RING_HEADER_BYTES).fill(roll(2000) - 50);
      let next = 0;
      let seen = 0;
      for (let found = bench.take(); found !== null; found = bench.take()) {
        if (found === false) seen++;
        expect(bench.reader.corrupt).toBeGreaterThanOrEqual(seen);
        if (found === false) continue;
        const frame = found;
        while (next < sent.length && Buffer.compare(frame, contentOf(sent[next] as Frame)) !== 0)
          next++;
        expect(next).toBeLessThan(sent.length); // a frame that was sent, and after the one before it
        next++;
      }
      bench.reader.release();
      expect(bench.writer.free()).toBe(CAPACITY);
      if (bench.reader.corrupt > 0) lost++;
      bench.published = [];
      for (const size of [0, 100, FRAME_MAX]) bench.put(size);
      bench.publish();
      for (let left = 3; left > 0; left--) bench.takeExpected();
    }),
    inputs(0.25),
  );
  expect(lost).toBeGreaterThan(0);
});

test('2.1: what an earlier lap left in the ring does not pass for a record', () => {
  const bench = new Bench(0);
  const lap = (): void => {
    for (let left = 4; left > 0; left--) bench.put(FRAME_MAX);
    bench.publish();
  };
  lap();
  const bytes = new Uint8Array(bench.memory, RING_HEADER_BYTES);
  const earlier = bytes.slice();
  for (let left = 4; left > 0; left--) bench.takeExpected();
  bench.reader.release();
  lap();
  bytes.set(earlier);
  for (let left = 4; left > 0; left--) expect(bench.take()).toBe(false);
  expect(bench.reader.corrupt).toBe(4);
});

/** A ring with `sizes` published in it, whose record number `index` says that it has `length` bytes. */
function lying(sizes: readonly number[], index: number, length: number): Bench {
  const bench = new Bench(0);
  for (const size of sizes) bench.put(size);
  bench.publish();
  const at = sizes.slice(0, index).reduce((sum, size) => sum + recordSpace(size), 0);
  new DataView(bench.memory, RING_HEADER_BYTES).setInt32(at, length, true);
  return bench;
}

const FULL = [FRAME_MAX, FRAME_MAX, FRAME_MAX, FRAME_MAX];
test.each([
  ['a frame longer than any', FULL, 1, FRAME_MAX + 1],
  ['a frame of all the ring', FULL, 0, CAPACITY],
  ['a wrap at the start of the ring', FULL, 0, -1],
  ['a wrap with nothing published behind the end', [10, 10, 10], 1, -1],
  ['a number that is neither length nor wrap', FULL, 2, -2],
])(
  '2.1: %s is counted, and what follows it until the tail is skipped',
  (_, sizes, index, length) => {
    const bench = lying(sizes, index, length);
    for (let before = 0; before < index; before++) bench.takeExpected();
    expect(bench.take()).toBe(null);
    expect(bench.reader.corrupt).toBe(1);
    bench.reader.release();
    expect(bench.writer.free()).toBe(CAPACITY);
    bench.published = [];
    bench.put(100);
    bench.publish();
    bench.takeExpected();
  },
);
