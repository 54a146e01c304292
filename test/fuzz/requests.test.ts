// The decoder of requests: what is no request is answered as such and leaves not a byte of the state different; what is one is
// executed whole, and two stores that are given the same bytes stay the same. What counts as a request says a second reader,
// written after the layout in operation.ts and as slow as it likes.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { makeSink } from '../../src/protocol/core.js';
import type { ListContent } from '../../src/protocol/state-machine.js';
import * as codec from '../../src/service/operation.js';
import { OperationWriter } from '../../src/service/operation-writer.js';
import { Services } from '../../src/service/services.js';
import {
  addOp,
  CONTEXT,
  call,
  dice,
  encodeInteger,
  filled,
  type Op,
  text,
} from '../service/world.js';
import { inputs, TIMEOUT_MS } from './counts.js';
import { damaged, hits } from './damage.js';
import { type Request, understood } from './second-reader.js';

const timeout = TIMEOUT_MS;
const OPTIONS = { storeBytes: 64 << 10, segmentBytes: 64 << 10 };
const KEYS = [
  'a',
  'ab',
  'abc',
  'counter',
  'text',
  '__proto__',
  'constructor',
  'ü',
  'x'.repeat(1024),
];

// ── results ──

/** All that were seen. */
const statuses = new Set<number>();

/** Checks a write result byte by byte. @returns how many operations changed something. */
function checkWritten(reply: Uint8Array, request: Request, before: number): number {
  const view = new DataView(reply.buffer, reply.byteOffset, reply.length);
  const count = request.codes.length;
  expect(view.getUint32(4, true)).toBe(count);
  expect(view.getFloat64(8, true)).toBe(before);
  const found = [...reply.subarray(16, 16 + count)];
  for (const status of found) statuses.add(status);
  expect(found.every((status) => status <= codec.NOT_APPLIED)).toBe(true);
  const extras = found.filter(codec.hasExtra).length;
  expect(reply.length).toBe(16 + count + 8 * extras);
  for (let at = 16 + count; at < reply.length; at += 8)
    expect(Number.isSafeInteger(view.getFloat64(at, true))).toBe(true);
  if (reply[0] === codec.RESULT_ABORTED) {
    expect(request.atomic).toBe(true);
    expect(found.filter((status) => status !== codec.NOT_APPLIED)).toHaveLength(1);
    return 0;
  }
  expect(reply[0]).toBe(codec.RESULT_OK);
  expect(found.includes(codec.NOT_APPLIED)).toBe(false);
  const changes = found.filter((s) => s === codec.CHANGED || s === codec.COUNTED).length;
  return request.atomic ? Math.min(1, changes) : changes;
}

function checkRead(reply: Uint8Array, request: Request): void {
  const view = new DataView(reply.buffer, reply.byteOffset, reply.length);
  expect([...reply.subarray(0, 4)]).toEqual([codec.RESULT_OK, 0, 0, 0]);
  expect(view.getUint32(4, true)).toBe(request.codes.length); // the whole store is below the limit of a reply
  let at = 8;
  for (const code of request.codes) {
    const present = reply[at++] as number;
    expect(present).toBeLessThanOrEqual(1);
    if (present === 0 || code === codec.OP_HAS) continue;
    if (code === codec.OP_GET_ITEM) {
      expect(view.getFloat64(at + 8, true)).toBeLessThanOrEqual(view.getFloat64(at, true));
      at += 16;
    }
    at += 4 + view.getUint32(at, true);
  }
  expect(at).toBe(reply.length);
}

// ── what is sent ──

function randomOp(roll: (n: number) => number): Op {
  const key = KEYS[roll(KEYS.length)] as string;
  const value = roll(3) === 0 ? encodeInteger(roll(1 << 20)) : filled(roll(roll(8) ? 40 : 9000));
  const condition = [
    undefined,
    { type: 'absent' as const },
    { type: 'present' as const },
    { type: 'revision' as const, revision: roll(12) },
  ][roll(4)];
  switch (roll(6)) {
    case 0:
      return { type: 'delete', key, ...(condition && { condition }) };
    case 1:
      return { type: 'incr', key, by: roll(100) - 50 };
    case 2:
      return { type: 'cas', key, expected: roll(2) ? undefined : filled(roll(30)), value };
    default:
      return { type: 'set', key, value, ...(condition && { condition }) };
  }
}

const roll = dice(17);
const CORPUS = Array.from({ length: 300 }, (_, index) => {
  const writer = new OperationWriter();
  const offsets: number[] = [];
  for (let left = roll(7); left > 0; left--) {
    offsets.push(writer.byteLength);
    if (index % 3 > 0) addOp(writer, randomOp(roll));
    else writer[(['get', 'getItem', 'has'] as const)[roll(3)] ?? 'get'](KEYS[roll(9)] ?? '');
  }
  for (const offset of offsets) if (roll(10) === 0) writer.skip(offset);
  return writer.take(index % 3 === 2);
});

/** All but full, so that some of what is sent does not fit. */
const BASE = ((): ListContent => {
  const services = new Services(OPTIONS);
  const writer = new OperationWriter();
  for (const key of KEYS) writer.set(key, filled(KEYS.indexOf(key) * 40));
  for (let n = 0; n < 16; n++) writer.set(`filling ${n}`, filled(3000, n));
  writer.set('counter', encodeInteger(Number.MAX_SAFE_INTEGER - 2));
  call(services, writer.take(false), 'apply');
  const { heap } = services.kv;
  const count = heap.pageCount();
  return {
    count,
    pages: new Map(Array.from({ length: count }, (_, page) => [page, heap.page(page)])),
  };
})();

const request = fc
  .tuple(fc.nat(CORPUS.length - 1), fc.nat(CORPUS.length - 1), fc.option(hits, { freq: 9 }))
  .map(([one, other, list]) => {
    const bytes = CORPUS[one] as Uint8Array;
    return list === null ? bytes : damaged(bytes, list, CORPUS[other] as Uint8Array);
  });

/** As `call`, but in a buffer of its own, where reading past the end throws. */
function alone(services: Services, bytes: Uint8Array, kind: 'apply' | 'read'): Uint8Array {
  const sink = makeSink(0);
  const exact = new Uint8Array(bytes);
  if (kind === 'apply') services.apply(CONTEXT, exact, 0, exact.length, sink);
  else services.read(exact, 0, exact.length, sink);
  return sink.bytes.slice(0, sink.length);
}

/** Gives `bytes` to both stores, both ways, and checks what holds of any bytes. @returns whether any was a request. */
function submit(one: Services, two: Services, bytes: Uint8Array): boolean {
  let accepted = false;
  for (const kind of ['read', 'apply'] as const) {
    const before = one.kv.revision;
    const digest = one.digest();
    const reply = call(one, bytes, kind); // in the middle of a larger buffer
    expect(text(alone(two, bytes, kind))).toBe(text(reply));
    if (bytes[0] === codec.SERVICE_ECHO) {
      expect(text(reply)).toBe(text(bytes.subarray(1)));
      expect(one.digest()).toBe(digest);
      continue;
    }
    const meant = bytes[0] === codec.SERVICE_KV ? understood(bytes, kind === 'read') : null;
    let changes = 0;
    if (meant === null) expect([...reply]).toEqual([1, ...new Array(15).fill(0)]);
    else if (kind === 'apply') changes = checkWritten(reply, meant, before);
    else checkRead(reply, meant);
    accepted ||= meant !== null;
    expect(one.kv.revision).toBe(before + changes);
    if (changes === 0) expect(one.digest()).toBe(digest);
    else expect(one.digest()).toBe(two.digest());
  }
  return accepted;
}

test('damaged requests: refused without a trace, or executed whole and alike', { timeout }, () => {
  const one = new Services(OPTIONS);
  const two = new Services({ ...OPTIONS, kernel: true });
  let accepted = 0;
  let all = 0;
  fc.assert(
    fc.property(fc.array(request, { minLength: 1, maxLength: 3 }), (list) => {
      one.restore(null, [BASE]);
      two.restore(null, [BASE]);
      for (const bytes of list) if (submit(one, two, bytes)) accepted++;
      all += list.length;
    }),
    inputs(0.5),
  );
  expect(accepted).toBeGreaterThan(all / 10);
  expect(accepted).toBeLessThan((all * 9) / 10);
});

/** An operation whose header is anything and whose length is nearly always what the header says. */
const operation = fc
  .record({
    code: fc.oneof(fc.constantFrom(1, 2, 3, 4, 16, 17, 18), fc.nat(255)),
    condition: fc.oneof(fc.constantFrom(0, 0, 1, 2, 3, 128, 131), fc.nat(255)),
    key: fc.oneof(fc.constantFrom(...KEYS), fc.constantFrom('', 'x'.repeat(1025), 'new')),
    value: fc.constantFrom(0, 0, 1, 9, 300, 5000),
    extra: fc.constantFrom(-1, 0, 1, 5, 40, -2, 0.5, Number.NaN, 2 ** 53, 1e300),
    off: fc.constantFrom(0, 0, 0, 0, 0, 0, 0, 0, -1, 1, 8),
  })
  .map(({ code, condition, key, value, extra, off }) => {
    const name = Buffer.from(key);
    const hasExtra = code === 3 || code === 4 || (condition & 0x7f) === 3;
    const expected = code === 4 && extra > 0 && extra < 1000 ? Math.floor(extra) : 0;
    const bytes = Buffer.alloc(8 + (hasExtra ? 8 : 0) + name.length + expected + value, 7);
    bytes.writeUInt8(code, 0);
    bytes.writeUInt8(condition, 1);
    bytes.writeUInt16LE(name.length, 2);
    bytes.writeUInt32LE(value, 4);
    if (hasExtra) bytes.writeDoubleLE(extra, 8);
    bytes.set(name, hasExtra ? 16 : 8);
    return off > 0
      ? Buffer.concat([bytes, Buffer.alloc(off)])
      : bytes.subarray(0, bytes.length + off);
  });

test('requests put together from any headers: each code, condition, extra and length', {
  timeout,
}, () => {
  const one = new Services(OPTIONS);
  const two = new Services({ ...OPTIONS, kernel: true });
  const most = fc.constantFrom(0, 0, 0, 0, 0, 0, -1, 1);
  fc.assert(
    fc.property(fc.nat(1), most, fc.array(operation, { maxLength: 6 }), (flags, lie, list) => {
      one.restore(null, [BASE]);
      two.restore(null, [BASE]);
      const header = [1, flags, 0, 0, Math.max(0, list.length + lie), 0, 0, 0];
      submit(one, two, Uint8Array.from([...header, ...Buffer.concat(list)]));
    }),
    inputs(0.5),
  );
  // Every outcome that an operation can have was met.
  expect([...statuses].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 9]);
});

test('the writer reads back what it withdraws: an operation skipped in a request keeps it a request', {
  timeout,
}, () => {
  const services = new Services(OPTIONS);
  const ops = fc.array(fc.nat(0xffff_ffff), { minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(ops, fc.nat(7), fc.nat(7), fc.boolean(), (seeds, from, many, atomic) => {
      services.restore(null, [BASE]);
      const digest = services.digest();
      const writer = new OperationWriter();
      for (const seed of seeds) addOp(writer, randomOp(dice(seed)));
      const first = from % seeds.length;
      const count = Math.min(many, seeds.length - first);
      writer.skipRun(first, count);
      const bytes = writer.take(atomic);
      expect(understood(bytes, false)?.codes).toHaveLength(seeds.length);
      const reply = call(services, bytes, 'apply');
      if (reply[0] !== codec.RESULT_ABORTED)
        for (let i = first; i < first + count; i++) expect(reply[16 + i]).toBe(codec.UNCHANGED);
      if (count === seeds.length) expect(services.digest()).toBe(digest);
    }),
    inputs(0.1),
  );
});
