// The columns of a log beside an array of entries: whatever is pushed, dropped and truncated, both hold the same, over many chunks.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { EntryList } from '../../src/protocol/entry-list.js';
import type { Entry } from '../../src/protocol/message.js';

const SEGMENT = new Uint8Array(4096).map((_, at) => at);

/** Of every third the body lies in the segment, of the others it is an array of its own. */
function entry(op: number): Entry {
  const body = op % 3 === 0 ? SEGMENT.subarray(op % 4000, (op % 4000) + (op % 90)) : bodyOf(op);
  return {
    op,
    epoch: op % 5,
    view: op % 7,
    ts: 1.7e15 + op,
    seed: (op * 2_654_435_761) % 2 ** 32,
    kind: 'batch',
    count: 1 + (op % 500),
    body,
    chain: [op, -op, 0x7fff_ffff - op, -0x8000_0000 + op],
  };
}

function bodyOf(op: number): Uint8Array {
  return new Uint8Array(op % 50).fill(op);
}

/** A list and what it should hold. */
class Both {
  list = new EntryList();
  entries: Entry[] = [];
  #op = 0;

  push(count: number): void {
    for (let left = count; left > 0; left--) {
      const next = entry(++this.#op);
      this.list.push(next, SEGMENT);
      this.entries.push(next);
    }
  }

  drop(count: number): void {
    this.list.drop(count);
    this.entries.splice(0, count);
  }

  truncate(length: number): void {
    this.list.truncate(length);
    this.entries.length = length;
  }

  /** Everything at both ends, every hundredth between. */
  check(): void {
    const { list, entries } = this;
    expect(list.length).toBe(entries.length);
    for (const [index, expected] of entries.entries()) {
      if (index > 3 && index < entries.length - 3 && index % 100 !== 0) continue;
      expect(list.get(index)).toEqual(expected);
      expect(list.chainAt(index)).toEqual(expected.chain);
      expect([list.tsAt(index), list.bodyBytesAt(index)]).toEqual([
        expected.ts,
        expected.body.length,
      ]);
    }
    for (const outside of [-1, entries.length]) expect(() => list.get(outside)).toThrow('no entry');
  }
}

const steps = fc.array(
  fc.tuple(
    fc.constantFrom('push', 'push', 'drop', 'truncate', 'clone'),
    fc.oneof(fc.nat(20), fc.nat(3000)),
  ),
  { maxLength: 30 },
);

test('any sequence of pushes, drops and truncations; a clone goes its own way', () => {
  fc.assert(
    fc.property(steps, (list) => {
      const both = new Both();
      for (const [type, count] of list) {
        const { length } = both.entries;
        if (type === 'push') both.push(count);
        else if (type === 'drop') both.drop(Math.min(count, length));
        else if (type === 'truncate') both.truncate(Math.max(0, length - count));
        else {
          const original = both.list;
          both.list = original.clone();
          original.truncate(0);
        }
        both.check();
      }
    }),
    { numRuns: 60 },
  );
});

test('equal chains and nothing else make two lists hold the same', () => {
  const long = new Both();
  long.push(2500);
  const late = new Both();
  late.push(2500);
  expect(late.list.chains()).toEqual(long.list.chains());
  late.drop(1500);
  expect(late.list.chains()).toEqual(long.list.chains().subarray(4 * 1500));
  late.truncate(999);
  expect(late.list.chains()).toEqual(long.list.chains().subarray(4 * 1500, 4 * 2499));
  expect([...late.list].map(({ op }) => op)).toEqual(late.entries.map(({ op }) => op));
});
