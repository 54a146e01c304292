// The loops in WebAssembly beside the store without them: the same requests give the same replies, the same pages and the same images,
// whatever is plain in them and whatever is not, and however the memory grows meanwhile.

import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { expect, test, vi } from 'vitest';
import { hashKey } from '../../src/service/byte-table.js';
import type { Kernel } from '../../src/service/kernel/kernel.js';
import * as codec from '../../src/service/operation.js';
import { Services, type ServicesOptions } from '../../src/service/services.js';
import { call, dice, filled } from './world.js';

type Roll = (n: number) => number;

function keyOfWords(...words: number[]): Uint8Array {
  return new Uint8Array(Int32Array.from(words).buffer);
}

/** Keys of two words whose hashes are the same, and the key of one word whose hash would be 0. */
const ODD_KEYS: readonly Uint8Array[] = [
  ...[1, 2, 3].map((first) => {
    const mixed = Math.imul(Math.imul(8, 0x9e3779b1) ^ first, 0x85ebca6b);
    return keyOfWords(first, mixed ^ (mixed >>> 15) ^ 77);
  }),
  keyOfWords(Math.imul(4, 0x9e3779b1)),
];

test('the odd keys are what they are said to be', () => {
  const [one, two, three, zero] = ODD_KEYS.map((key) =>
    hashKey(new DataView(key.buffer), 0, key.length),
  );
  expect([two, three, zero]).toEqual([one, one, 1]);
});

/** Of any length, the impossible ones too; the same few again and again. */
function drawKey(roll: Roll): Uint8Array {
  if (roll(150) === 0) return filled([0, 1024, 1025, 3000][roll(4)] as number);
  const number = roll(120);
  return ODD_KEYS[number] ?? filled(1 + (number % 41), number);
}

function drawValue(roll: Roll): Uint8Array {
  const length = roll(60) === 0 ? roll(20_000) : [16, 40, 120, 301][roll(4)];
  return filled(roll((length ?? 0) + 1), roll(1000));
}

function operation(
  code: number,
  condition: number,
  extra: number | null,
  parts: readonly Uint8Array[],
): Buffer {
  const [key, , value] = parts;
  const head = Buffer.alloc(codec.OPERATION_HEADER + (extra === null ? 0 : 8));
  head.writeUInt8(code, 0);
  head.writeUInt8(condition, 1);
  head.writeUInt16LE(key?.length ?? 0, 2);
  head.writeUInt32LE(value?.length ?? 0, 4);
  if (extra !== null) head.writeDoubleLE(extra, codec.OPERATION_HEADER);
  return Buffer.concat([head, ...parts]);
}

const NONE = new Uint8Array(0);

function write(roll: Roll, plain: number): Buffer {
  const key = drawKey(roll);
  const value = drawValue(roll);
  if (roll(100) < plain) return operation(codec.OP_SET, codec.IF_ALWAYS, null, [key, NONE, value]);
  switch (roll(6)) {
    case 0:
      return operation(codec.OP_SET, codec.SKIPPED, null, [key, NONE, value]);
    case 1:
      return operation(codec.OP_SET, codec.IF_REVISION, roll(50), [key, NONE, value]);
    case 2:
      return operation(codec.OP_SET, 1 + roll(2), null, [key, NONE, value]);
    case 3:
      return operation(codec.OP_DELETE, roll(3), null, [key, NONE, NONE]);
    case 4:
      return operation(codec.OP_INCR, codec.IF_ALWAYS, roll(70_000), [filled(5, roll(9)), NONE]);
    default:
      return operation(codec.OP_CAS, codec.IF_ALWAYS, roll(2) - 1, [key, NONE, value]);
  }
}

function read(roll: Roll, plain: number): Buffer {
  const code = roll(100) < plain ? codec.OP_GET : codec.OP_GET + roll(3);
  return operation(code, codec.IF_ALWAYS, null, [drawKey(roll)]);
}

function request(flags: number, operations: readonly Buffer[]): Buffer {
  const head = Buffer.alloc(codec.REQUEST_HEADER);
  head.writeUInt8(codec.SERVICE_KV, 0);
  head.writeUInt8(flags, 1);
  head.writeUInt32LE(operations.length, 4);
  return Buffer.concat([head, ...operations]);
}

function pagesOf(services: Services): Buffer {
  const { heap } = services.kv;
  return Buffer.concat(Array.from({ length: heap.pageCount() }, (_, page) => heap.page(page)));
}

function imageOf(services: Services, op: number): Buffer {
  const count = services.pageCount(op, 0);
  return Buffer.concat(Array.from({ length: count }, (_, page) => services.page(op, 0, page)));
}

/** Two stores that are given the same. */
class Pair {
  readonly plain: Services;
  readonly fast: Services;
  /** Operations that the loops executed. */
  executed = 0;
  readonly #images: number[] = [];
  #op = 0;

  constructor(options: ServicesOptions) {
    this.plain = new Services(options);
    this.fast = new Services({ ...options, kernel: true });
    this.#count(this.fast.kv.heap.kernel as Kernel);
  }

  #count(kernel: Kernel): void {
    const writes = kernel.writes.bind(kernel);
    const reads = kernel.reads.bind(kernel);
    kernel.writes = (...args) => {
      const at = writes(...args);
      this.executed += kernel.done;
      return at;
    };
    kernel.reads = (...args) => {
      const at = reads(...args);
      this.executed += kernel.done;
      return at;
    };
  }

  both(bytes: Uint8Array, kind: 'apply' | 'read'): void {
    const fast = call(this.fast, bytes, kind);
    if (!Buffer.from(call(this.plain, bytes, kind)).equals(fast))
      throw new Error('the replies differ');
  }

  freeze(): void {
    this.#images.push(++this.#op);
    this.plain.freeze(this.#op);
    this.fast.freeze(this.#op);
  }

  release(): void {
    const op = this.#images.shift();
    if (op === undefined) return;
    this.#compareImage(op);
    this.plain.release(op);
    this.fast.release(op);
  }

  rollBack(): void {
    const op = this.#images[0];
    if (op === undefined) return;
    const content = [{ count: this.plain.pageCount(op, 0), pages: new Map() }];
    this.plain.restore(op, content);
    this.fast.restore(op, content);
    this.#images.length = 0;
  }

  #compareImage(op: number): void {
    const changed = (services: Services): boolean[] =>
      Array.from({ length: services.pageCount(op, 0) }, (_, page) => services.changed(op, 0, page));
    if (!imageOf(this.plain, op).equals(imageOf(this.fast, op)))
      throw new Error(`image ${op} differs`);
    expect(changed(this.fast)).toEqual(changed(this.plain));
  }

  compare(): void {
    for (const op of this.#images) this.#compareImage(op);
    if (!pagesOf(this.plain).equals(pagesOf(this.fast))) throw new Error('the pages differ');
    expect(this.fast.digest()).toBe(this.plain.digest());
    expect(this.fast.kv.revision).toBe(this.plain.kv.revision);
  }
}

const steps = fc.array(
  fc.record({
    type: fc.constantFrom('write', 'write', 'write', 'read', 'atomic', 'freeze', 'release', 'back'),
    seed: fc.nat(),
    operations: fc.integer({ min: 1, max: 120 }),
    /** Of a hundred operations. */
    plain: fc.constantFrom(100, 97, 60),
  }),
  { maxLength: 25 },
);

const stores = fc.record({
  storeBytes: fc.constantFrom(80 << 10, 300_000, 8 << 20),
  segmentBytes: fc.constantFrom(64 << 10, 256 << 10),
  pageBytes: fc.constantFrom(256, 4096),
});

test('any requests: the same replies, pages and images with the loops and without', () => {
  let executed = 0;
  fc.assert(
    fc.property(stores, steps, (options, list) => {
      const pair = new Pair(options);
      for (const { type, seed, operations, plain } of list) {
        const roll = dice(seed);
        const writes = () => Array.from({ length: operations }, () => write(roll, plain));
        if (type === 'freeze') pair.freeze();
        else if (type === 'release') pair.release();
        else if (type === 'back') pair.rollBack();
        else if (type === 'read') {
          const reads = Array.from({ length: operations }, () => read(roll, plain));
          pair.both(request(0, reads), 'read');
        } else pair.both(request(type === 'atomic' ? codec.FLAG_ATOMIC : 0, writes()), 'apply');
      }
      pair.compare();
      executed += pair.executed;
    }),
    { numRuns: 150 },
  );
  expect(executed).toBeGreaterThan(1000);
});

test('a length that ends nowhere, in any operation of a request, is refused by both and changes nothing', () => {
  const lengths = [0, 100, 0x7fff_ffff, 0x8000_0000, 0xffff_ff00, 0xffff_fff0, 0xffff_ffff];
  const pair = new Pair({ storeBytes: 300_000 });
  pair.both(sets(8, 30, 1), 'apply');
  const before = pair.fast.digest();
  for (const kind of ['apply', 'read'] as const)
    for (let at = 0; at < 8; at++)
      for (const length of lengths) {
        const bytes = kind === 'apply' ? sets(8, 30, 2) : gets(8);
        const operationBytes = (bytes.length - codec.REQUEST_HEADER) / 8;
        bytes.writeUInt32LE(length, codec.REQUEST_HEADER + at * operationBytes + 4);
        if (kind === 'read' && length === 0) continue;
        pair.both(bytes, kind);
        expect(pair.fast.digest()).toBe(before);
      }
});

/** Sets that are all of other keys. */
function sets(count: number, valueBytes: number, seed: number): Buffer {
  const operations = Array.from({ length: count }, (_, at) => {
    const value = filled(valueBytes, seed + at);
    return operation(codec.OP_SET, codec.IF_ALWAYS, null, [Buffer.from(`key:${at}`), NONE, value]);
  });
  return request(0, operations);
}

function gets(count: number): Buffer {
  const operations = Array.from({ length: count }, (_, at) =>
    operation(codec.OP_GET, codec.IF_ALWAYS, null, [Buffer.from(`key:${at}`)]),
  );
  return request(0, operations);
}

test('growth over many segments, chains of buckets, and every length a value can be overwritten with', () => {
  const pair = new Pair({ storeBytes: 64 << 20, segmentBytes: 1 << 20 });
  const count = 20_000;
  pair.both(sets(count, 64, 1), 'apply');
  expect(pair.fast.kv.heap.words.length).toBeGreaterThan(2);
  pair.executed = 0;
  for (let from = 0; from < 3; from++) pair.both(sets(2000, 50 + from, from), 'apply');
  pair.both(gets(2000), 'read');
  // The first write to a page is not theirs.
  expect(pair.executed).toBeGreaterThan(7900);
  for (let length = 0; length < 320; length++) pair.both(sets(16, length, length), 'apply');
  pair.both(gets(64), 'read');
  pair.compare();
});

test('every page is touched before it is written', () => {
  const pair = new Pair({ storeBytes: 4 << 20, pageBytes: 256 });
  const count = 1500;
  for (let round = 0; round < 8; round++) {
    pair.both(sets(count, 60 + round, round), 'apply');
    pair.compare();
    pair.freeze();
    pair.both(sets(500 + round, 60 + round, round), 'apply');
    pair.compare();
    if (round > 1) pair.release();
  }
  expect(pair.executed).toBeGreaterThan(2 * count);
});

test('an answer stops where it would become too large, with the loops as without', () => {
  const most = codec.READ_REPLY_BYTES - codec.READ_RESULT_HEADER;
  const valueBytes = 900;
  const before = Math.floor(most / (5 + valueBytes));
  const left = most - before * (5 + valueBytes) - 5;
  for (const last of [left, left + 1]) {
    const pair = new Pair({ storeBytes: 16 << 20 });
    pair.both(sets(before + 20, last, 1), 'apply');
    pair.both(sets(before, valueBytes, 2), 'apply');
    pair.both(gets(before + 20), 'read');
    expect(pair.executed).toBeGreaterThan(1000);
    pair.compare();
  }
});

test('a store is restored from pages of its own and of a larger one, while its memory grows', () => {
  const options = { storeBytes: 16 << 20, segmentBytes: 64 << 10 };
  const large = new Pair(options);
  large.both(sets(2000, 64, 1), 'apply');
  const small = new Pair(options);
  small.both(sets(300, 64, 1), 'apply');
  const own = small.fast.kv.heap;
  const { heap } = large.plain.kv;
  const pages = new Map<number, Uint8Array>();
  let kept = 0;
  for (let page = 0; page < heap.pageCount(); page++) {
    const wanted = heap.page(page);
    const has = page < own.pageCount() ? own.page(page) : null;
    if (has !== null && Buffer.from(has).equals(wanted)) kept++;
    pages.set(page, has !== null && Buffer.from(has).equals(wanted) ? has : wanted);
  }
  expect(kept).toBeGreaterThan(0);
  small.fast.restore(null, [{ count: heap.pageCount(), pages }]);
  expect(pagesOf(small.fast).equals(pagesOf(large.plain))).toBe(true);
  const again = sets(2000, 60, 2);
  expect(Buffer.from(call(small.fast, again, 'apply'))).toEqual(
    Buffer.from(call(large.plain, again, 'apply')),
  );
  expect(small.fast.digest()).toBe(large.plain.digest());
});

test('a store that does not fit into one memory, or is asked to do without, has no loops and works', () => {
  expect(new Services({ storeBytes: 1 << 20 }).kv.heap.kernel).toBeNull();
  const huge = new Services({ storeBytes: 2 ** 32, kernel: true });
  expect(huge.kv.heap.kernel).toBeNull();
  const most = new Services({ storeBytes: 2 ** 32 - (4 << 20), kernel: true });
  expect(most.kv.heap.kernel).not.toBeNull();
  for (const services of [huge, most]) {
    call(services, sets(100, 10, 1), 'apply');
    call(services, sets(100, 12, 2), 'apply');
  }
  expect(huge.digest()).toBe(most.digest());
});

test('where no memory is to be had for the loops, a store works without them', () => {
  const Memory = class {
    constructor() {
      throw new RangeError('could not allocate memory');
    }
  };
  vi.stubGlobal('WebAssembly', { Memory });
  try {
    const services = new Services({ storeBytes: 1 << 20, kernel: true });
    expect(services.kv.heap.kernel).toBeNull();
    const reference = new Services({ storeBytes: 1 << 20 });
    for (const request of [sets(100, 10, 1), sets(100, 12, 2)])
      expect(call(services, request, 'apply')).toEqual(call(reference, request, 'apply'));
    expect(services.digest()).toBe(reference.digest());
  } finally {
    vi.unstubAllGlobals();
  }
});

test('the module that is imported is what its source makes', () => {
  execFileSync(process.execPath, ['tooling/kernel.mjs', '--check'], { stdio: 'pipe' });
}, 60_000);
