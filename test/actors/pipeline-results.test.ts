// Results of pipelines without a cluster: the answers of several requests as one list in the order of the operations, in any order of
// asking, and what becomes of their memory.

import { expect, test } from 'vitest';
import { codecFor } from '../../src/actors/client/codecs.js';
import { type Memory, MemoryPool } from '../../src/actors/client/memory-pool.js';
import { OperationSorts, ResultPart, Results } from '../../src/actors/client/pipeline-results.js';
import type { Codec } from '../../src/index.js';
import { CHANGED, COUNTED, UNCHANGED } from '../../src/service/operation.js';
import { seeded } from '../../src/simulation/seeded.js';

const BYTES = codecFor('bytes');
/** As a codec of a user may: its values are the memory that it was given. */
const VIEWS = codecFor({
  name: 'views',
  encode: (value: Uint8Array) => value,
  decode: (bytes: Uint8Array) => bytes,
} as Codec<unknown>);

type Operation = { read: Uint8Array | undefined } | { wrote: number; extra: number };

function keep(pool: MemoryPool, bytes: Buffer, first: number, count: number): ResultPart {
  const memory = pool.take(bytes.length);
  memory.bytes.set(bytes, memory.from);
  return new ResultPart(memory, first, count);
}

function readAnswer(values: (Uint8Array | undefined)[]): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt32LE(values.length, 4);
  const answers = values.flatMap((value) => {
    if (value === undefined) return [Buffer.from([0])];
    const length = Buffer.alloc(5, 1);
    length.writeUInt32LE(value.length, 1);
    return [length, value];
  });
  return Buffer.concat([header, ...answers]);
}

function writeAnswer(base: number, writes: { wrote: number; extra: number }[]): Buffer {
  const header = Buffer.alloc(16);
  header.writeUInt32LE(writes.length, 4);
  header.writeDoubleLE(base, 8);
  const extras = writes
    .filter(({ wrote }) => wrote === COUNTED)
    .map(({ extra }) => {
      const bytes = Buffer.alloc(8);
      bytes.writeDoubleLE(extra);
      return bytes;
    });
  return Buffer.concat([header, Buffer.from(writes.map(({ wrote }) => wrote)), ...extras]);
}

/** Answered in requests of `size` operations each, which come in any order. */
function resultsOf(
  operations: Operation[],
  options: { pool: MemoryPool; size: number; codec?: typeof BYTES; shuffle?: () => number },
): Results<unknown> {
  const { pool, size, codec = BYTES, shuffle = () => 0 } = options;
  const sorts = new OperationSorts();
  const reads: (Uint8Array | undefined)[] = [];
  const writes: { wrote: number; extra: number }[] = [];
  for (const operation of operations)
    if ('read' in operation) {
      sorts.addRead();
      reads.push(operation.read);
    } else {
      sorts.addWrite();
      writes.push(operation);
    }
  const parts: { writes: ResultPart[]; reads: ResultPart[] } = { writes: [], reads: [] };
  let base = 0;
  for (let at = 0; at < writes.length; at += size) {
    const some = writes.slice(at, at + size);
    parts.writes.push(keep(pool, writeAnswer(base, some), at, some.length));
    base += some.filter(({ wrote }) => wrote !== UNCHANGED).length;
  }
  for (let at = 0; at < reads.length; at += size) {
    const some = reads.slice(at, at + size);
    parts.reads.push(keep(pool, readAnswer(some), at, some.length));
  }
  for (const list of [parts.writes, parts.reads]) list.sort(() => (shuffle() % 2) * 2 - 1);
  const { writes: w, reads: r } = parts;
  return new Results(
    { writes: w.length === 0 ? null : w, reads: r.length === 0 ? null : r },
    sorts,
    codec,
    pool,
  );
}

function drawn(dice: () => number, count: number, reads: number): Operation[] {
  return Array.from({ length: count }, () => {
    if (dice() % 100 < reads)
      return { read: dice() % 5 === 0 ? undefined : new Uint8Array(dice() % 300).fill(dice()) };
    return { wrote: [CHANGED, UNCHANGED, COUNTED][dice() % 3] as number, extra: dice() };
  });
}

test('any operation can be asked for at any time, however requests were cut and answered', () => {
  const dice = seeded(3);
  const pool = new MemoryPool();
  for (const [count, share] of [
    [1, 0],
    [1, 100],
    [40, 100],
    [70, 0],
    [400, 50],
    [500, 2],
    [500, 98],
  ] as const) {
    const operations = drawn(dice, count, share);
    const results = resultsOf(operations, { pool, size: 1 + (dice() % 200), shuffle: dice });
    let revision = 0;
    const revisions = operations.map((operation) =>
      'wrote' in operation && operation.wrote !== UNCHANGED ? ++revision : undefined,
    );
    const target = new Uint8Array(400);
    const asked = Array.from({ length: count }, () => dice() % count);
    for (const i of [...operations.keys(), ...asked, count - 1, 0]) {
      const operation = operations[i] as Operation;
      expect(results.ok(i)).toBe(true);
      if ('read' in operation) {
        const length = results.copyValue(i, target, 3);
        expect(length).toBe(operation.read?.length ?? -1);
        if (operation.read !== undefined)
          expect(Buffer.compare(target.subarray(3, 3 + length), operation.read)).toBe(0);
        if (i % 7 === 0) expect(results.value(i)).toEqual(operation.read);
        expect(results.revision(i)).toBeUndefined();
      } else {
        if (i % 7 === 0)
          expect(results.value(i)).toBe(operation.wrote === COUNTED ? operation.extra : undefined);
        expect(results.revision(i)).toBe(revisions[i]);
      }
    }
    results.release();
  }
});

/** Memory that the pool gives for as many bytes as an answer of `values` has. */
function next(pool: MemoryPool, values: Uint8Array[]): Memory {
  return pool.take(readAnswer(values).length);
}

test('memory is used again after the release, once, and not before', () => {
  const pool = new MemoryPool();
  const values = [new Uint8Array(5000).fill(1)];
  const results = resultsOf([{ read: values[0] }], { pool, size: 1 });
  const value = results.value(0) as Uint8Array;
  const meanwhile = next(pool, values);
  meanwhile.bytes.fill(9);
  expect(results.value(0)).toEqual(values[0]);
  results.release();
  results.release();
  const again = next(pool, values);
  expect(again === meanwhile).toBe(false);
  expect(again.bytes[8 + 5]).toBe(1);
  again.bytes.fill(9);
  expect(value).toEqual(values[0]);
  expect(next(pool, values) === again).toBe(false);
});

test('all requests of a pipeline give theirs back', () => {
  const pool = new MemoryPool();
  const operations = Array.from({ length: 8 }, (_, i) => ({ read: new Uint8Array(3000).fill(i) }));
  const results = resultsOf(operations, { pool, size: 2 });
  expect(results.snapshots).toBe(4);
  results[Symbol.dispose]();
  const { length } = readAnswer([new Uint8Array(3000), new Uint8Array(3000)]);
  const taken = Array.from({ length: 5 }, () => pool.take(length).bytes[8 + 5]);
  expect(taken.slice(0, 4).sort()).toEqual([0, 2, 4, 6]);
});

test('what a codec of the user has looked at is not used again; what was only copied is', () => {
  const values = [new Uint8Array(5000).fill(1)];
  for (const looked of [true, false]) {
    const pool = new MemoryPool();
    const results = resultsOf([{ read: values[0] }], { pool, size: 1, codec: VIEWS });
    const { buffer } = results.value(0) as Uint8Array;
    if (looked) {
      results.release();
      expect(next(pool, values).bytes.buffer === buffer).toBe(false);
      continue;
    }
    const other = resultsOf([{ read: values[0] }], { pool, size: 1, codec: VIEWS });
    other.copyValue(0, new Uint8Array(5000));
    other.release();
    expect(next(pool, values).bytes[8 + 5]).toBe(1);
  }
});

test('after the release everything but the count is refused', () => {
  const pool = new MemoryPool();
  const results = resultsOf(drawn(seeded(1), 200, 50), { pool, size: 50 });
  results.ok(150);
  results.ok(3);
  results.release();
  expect(results.count).toBe(200);
  const refusal = expect.objectContaining({
    name: 'VrError',
    code: 'VR_CONFIG',
    message: expect.stringContaining('released'),
  });
  for (const i of [0, 3, 150, 200, -1]) {
    for (const ask of ['ok', 'value', 'revision', 'error'] as const)
      expect(() => results[ask](i)).toThrow(refusal);
    expect(() => results.copyValue(i, new Uint8Array(9))).toThrow(refusal);
  }
  const empty = resultsOf([], { pool, size: 1 });
  expect(() => empty.ok(0)).toThrow(/from 0 to -1/);
  empty.release();
  expect(() => empty.ok(0)).toThrow(refusal);
});
