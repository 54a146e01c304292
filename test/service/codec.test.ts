import fc from 'fast-check';
import { expect, test } from 'vitest';
import { makeSink } from '../../src/protocol/core.js';
import * as codec from '../../src/service/operation.js';
import {
  msgpackTextHeader,
  OperationWriter,
  plainTextHeader,
} from '../../src/service/operation-writer.js';
import { ReadResult, WriteResult } from '../../src/service/result-reader.js';
import { addOp, bytes, CONTEXT, call, dice, filled, type Op, Store, text } from './world.js';

test('keys are the UTF-8 of the string; a string that has none is refused', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', minLength: 1, maxLength: 300 }), (key) => {
      const utf8 = new TextEncoder().encode(key);
      const byString = new OperationWriter();
      const byBytes = new OperationWriter();
      expect(byString.get(key)).toBe(byBytes.get(utf8));
      if (utf8.length <= codec.KEY_BYTES_MAX)
        expect(text(byString.take(false))).toBe(text(byBytes.take(false)));
    }),
    { numRuns: 1000 },
  );
  const lone = new OperationWriter();
  for (const key of ['a\ud800b', '\udc00', 'ä\ud83d']) expect(lone.get(key)).toBe('key-malformed');
  expect(lone.count).toBe(0);
});

test('text written in place is what an encoder would have made of it', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 400 }), fc.boolean(), (value, plain) => {
      const utf8 = Buffer.from(value, 'utf8');
      const header = [
        [0xa0 | utf8.length],
        [0xd9, utf8.length],
        [0xda, utf8.length >> 8, utf8.length & 255],
      ][utf8.length < 32 ? 0 : utf8.length < 256 ? 1 : 2] as number[];
      const whole = plain ? utf8 : Buffer.concat([bytes(...header), utf8]);
      const inPlace = new OperationWriter();
      expect(inPlace.setText('k', value, plain ? plainTextHeader : msgpackTextHeader)).toBeNull();
      const asBytes = new OperationWriter();
      asBytes.set('k', whole);
      expect(text(inPlace.take(false))).toBe(text(asBytes.take(false)));
    }),
    { numRuns: 1000 },
  );
});

test('what is too long or empty is refused, and the request stays as it was', () => {
  const writer = new OperationWriter({ keyBytes: 10, valueBytes: 100 });
  writer.set('a', filled(100));
  const before = text(writer.finish(false).slice());
  const { count, byteLength, replyBytesMax } = writer;
  expect(writer.set('', filled(1))).toBe('key-empty');
  expect(writer.get(new Uint8Array(0))).toBe('key-empty');
  expect(writer.delete('12345678901')).toBe('key-too-long');
  expect(writer.incr('üüüüüü', 1)).toBe('key-too-long');
  expect(writer.has(new Uint8Array(11))).toBe('key-too-long');
  expect(writer.set('k', filled(101))).toBe('value-too-long');
  expect(writer.cas('k', undefined, filled(101))).toBe('value-too-long');
  expect(writer.setText('k', 'x'.repeat(101), plainTextHeader)).toBe('value-too-long');
  expect(text(writer.finish(false).slice())).toBe(before);
  expect({ count, byteLength, replyBytesMax }).toEqual({
    count: writer.count,
    byteLength: writer.byteLength,
    replyBytesMax: writer.replyBytesMax,
  });
  expect(writer.cas('k', filled(500), filled(3))).toBeNull();
});

test('writers can be joined, and taken bytes stay as they are', () => {
  const roll = dice(1);
  const all = new OperationWriter();
  const first = new OperationWriter();
  const second = new OperationWriter();
  for (let n = 0; n < 300; n++) {
    const op: Op = { type: 'set', key: `key${n}`, value: filled(roll(100), n) };
    addOp(all, op);
    addOp(n < 120 ? first : second, op);
  }
  first.append(second);
  expect(first.replyBytesMax).toBe(all.replyBytesMax);
  expect(first.count).toBe(300);
  const taken = all.take(false);
  const copy = text(taken);
  expect(text(first.take(false))).toBe(copy);
  for (let n = 0; n < 300; n++) all.set('other', filled(60));
  expect(text(taken)).toBe(copy);
});

test('results: statuses, revisions and numbers in any order of access', () => {
  const store = new Store();
  store.one({ type: 'set', key: 'text', value: filled(20) });
  const writer = new OperationWriter();
  const ops: Op[] = [
    { type: 'set', key: 'a', value: bytes(1) },
    { type: 'incr', key: 'n', by: 7 },
    { type: 'incr', key: 'text', by: 1 },
    { type: 'delete', key: 'missing' },
    { type: 'cas', key: 'text', expected: bytes(0), value: bytes(1) },
    { type: 'incr', key: 'n', by: -2 },
    { type: 'delete', key: 'a' },
    { type: 'incr', key: 'n', by: Number.MAX_SAFE_INTEGER },
    { type: 'incr', key: 'n', by: -6 },
  ];
  for (const op of ops) addOp(writer, op);
  const result = new WriteResult(call(store.services, writer.take(false), 'apply'), false);
  const statuses = [
    codec.CHANGED,
    codec.COUNTED,
    codec.WRONG_TYPE,
    codec.UNCHANGED,
    codec.CONDITION_FAILED,
    codec.COUNTED,
    codec.CHANGED,
    codec.OUT_OF_RANGE,
    codec.COUNTED,
  ];
  const revisions = [2, 3, undefined, undefined, undefined, 4, 5, undefined, 6];
  const extras = new Map([
    [1, 7],
    [4, 1],
    [5, 5],
    [8, -1],
  ]);
  const roll = dice(5);
  for (const order of [[...ops.keys()], [...ops.keys()].reverse(), ops.map(() => roll(ops.length))])
    for (const i of order) {
      expect(result.status(i)).toBe(statuses[i]);
      expect(result.revision(i)).toBe(revisions[i]);
      if (extras.has(i)) expect(result.extra(i)).toBe(extras.get(i));
    }
});

test('reads: values in any order of access, absent keys, revisions, has', () => {
  const store = new Store();
  for (let n = 0; n < 50; n++)
    if (n % 3 !== 0) store.one({ type: 'set', key: `k${n}`, value: filled(n * 7, n) });
  for (const [name, code] of [
    ['get', codec.OP_GET],
    ['getItem', codec.OP_GET_ITEM],
    ['has', codec.OP_HAS],
  ] as const) {
    const writer = new OperationWriter();
    for (let n = 0; n < 50; n++) writer[name](`k${n}`);
    const result = new ReadResult(call(store.services, writer.take(false), 'read'), code);
    expect(result.count).toBe(50);
    const roll = dice(9);
    for (let step = 0; step < 200; step++) {
      const n = step < 50 ? step : roll(50);
      expect(result.present(n)).toBe(n % 3 !== 0);
      if (n % 3 === 0 || name === 'has') continue;
      const at = result.valueAt(n);
      expect(text(result.bytes.slice(at, at + result.valueBytes(n)))).toBe(text(filled(n * 7, n)));
      if (name === 'getItem') expect(result.revision(n)).toBe(result.createdRevision(n));
    }
  }
});

test('a read whose answer would be too large stops early and says where; one largest value always fits', () => {
  const store = new Store({ storeBytes: 16 << 20, segmentBytes: 2 << 20 });
  const sizes = [600_000, 500_000, 100, codec.VALUE_BYTES_MAX, 70_000, 10, codec.VALUE_BYTES_MAX];
  for (const [n, size] of sizes.entries())
    store.one({ type: 'set', key: `k${n}`, value: filled(size, n) });
  const answered: number[] = [];
  for (let next = 0; next < sizes.length; ) {
    const writer = new OperationWriter();
    for (let n = next; n < sizes.length; n++) writer.getItem(`k${n}`);
    const reply = call(store.services, writer.take(false), 'read');
    expect(reply.length).toBeLessThanOrEqual(codec.READ_REPLY_BYTES);
    const result = new ReadResult(reply, codec.OP_GET_ITEM);
    for (let i = 0; i < result.count; i++) {
      expect(result.valueBytes(i)).toBe(sizes[next + i]);
      expect(result.bytes[result.valueAt(i) + 9]).toBe(filled(10, next + i)[9]);
    }
    answered.push(result.count);
    next += result.count;
  }
  expect(answered).toEqual([3, 1, 2, 1]);
});

const request = (...ops: Op[]): Uint8Array => {
  const writer = new OperationWriter();
  for (const op of ops) addOp(writer, op);
  return writer.take(false);
};
const readRequest = (): Uint8Array => {
  const writer = new OperationWriter();
  writer.get('a');
  writer.getItem('bb');
  writer.has('ccc');
  return writer.take(false);
};
const WRITES: Op[] = [
  { type: 'set', key: 'a', value: filled(9) },
  { type: 'set', key: 'b', value: filled(9), condition: { type: 'revision', revision: 4 } },
  { type: 'cas', key: 'c', expected: filled(5), value: filled(6) },
  { type: 'incr', key: 'n', by: 5 },
  { type: 'delete', key: 'a', condition: { type: 'present' } },
];

function expectMalformed(store: Store, bad: Uint8Array, kind: 'apply' | 'read'): void {
  const { digest } = store;
  const reply = call(store.services, bad, kind);
  expect(reply.length).toBe(codec.WRITE_RESULT_HEADER);
  const result = kind === 'apply' ? new WriteResult(reply, false) : new ReadResult(reply, 0);
  expect(result.malformed).toBe(true);
  expect(result.count).toBe(0);
  expect(store.digest).toBe(digest);
}

test('malformed: every truncation and every excess of a request is answered, without a partial effect', () => {
  const store = new Store();
  store.one({ type: 'set', key: 'a', value: filled(3) });
  for (const [whole, kind] of [
    [request(...WRITES), 'apply'],
    [readRequest(), 'read'],
  ] as const) {
    for (let length = 1; length < whole.length; length++)
      expectMalformed(store, whole.slice(0, length), kind);
    expectMalformed(store, Uint8Array.from([...whole, 0]), kind);
  }
  expectMalformed(store, new Uint8Array(0), 'apply');
  expectMalformed(store, new Uint8Array(0), 'read');
});

test('malformed: unknown services, flags, codes, conditions, numbers and lengths beyond the end', () => {
  const store = new Store();
  const change = (whole: Uint8Array, at: number, value: number): Uint8Array =>
    whole.map((byte, index) => (index === at ? value : byte));
  const set = request({ type: 'set', key: 'a', value: filled(9) });
  for (const service of [0, 3, 255]) {
    expectMalformed(store, change(set, 0, service), 'apply');
    expectMalformed(store, change(readRequest(), 0, service), 'read');
  }
  const first = codec.REQUEST_HEADER;
  expectMalformed(store, change(set, 1, 2), 'apply');
  expectMalformed(store, change(set, 2, 1), 'apply');
  for (const code of [0, 5, codec.OP_GET, codec.OP_HAS, 255])
    expectMalformed(store, change(set, first, code), 'apply');
  expectMalformed(store, set, 'read');
  expectMalformed(store, readRequest(), 'apply');
  expectMalformed(store, change(readRequest(), 1, codec.FLAG_ATOMIC), 'read');
  expectMalformed(store, change(readRequest(), first + 1, codec.IF_PRESENT), 'read');
  expectMalformed(store, change(set, first + 1, 4), 'apply');
  expectMalformed(store, change(set, first + 3, 255), 'apply');
  expectMalformed(store, change(set, first + 7, 255), 'apply');
  expectMalformed(store, change(set, 7, 255), 'apply');
  const withNumber = (op: Op, number: number): Uint8Array => {
    const bad = request(op);
    new DataView(bad.buffer, bad.byteOffset).setFloat64(
      first + codec.OPERATION_HEADER,
      number,
      true,
    );
    return bad;
  };
  const incr: Op = { type: 'incr', key: 'n', by: 1 };
  const cas: Op = { type: 'cas', key: 'n', expected: filled(4), value: filled(4) };
  for (const number of [0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53])
    expectMalformed(store, withNumber(incr, number), 'apply');
  for (const number of [0.5, Number.NaN, Number.POSITIVE_INFINITY, 1e300, -2, 400])
    expectMalformed(store, withNumber(cas, number), 'apply');
});

test('malformed: random damage never throws, and equal bytes have equal effects', () => {
  fc.assert(
    fc.property(fc.nat(), fc.nat(255), fc.nat(), fc.nat(255), (at1, byte1, at2, byte2) => {
      const stores = [new Store({ storeBytes: 1 << 20 }), new Store({ storeBytes: 1 << 20 })];
      for (const whole of [request(...WRITES), readRequest()]) {
        const bad = whole.slice();
        bad[at1 % bad.length] = byte1;
        bad[at2 % bad.length] = byte2;
        for (const kind of ['apply', 'read'] as const) {
          const [a, b] = stores.map((store) => text(call(store.services, bad, kind)));
          expect(a).toBe(b);
        }
      }
      expect(stores[0]?.digest).toBe(stores[1]?.digest);
    }),
    { numRuns: 1000 },
  );
}, 60_000);

test('keys and values beyond the limits are refused one by one, the same on every replica', () => {
  const store = new Store({ storeBytes: 16 << 20, segmentBytes: 4 << 20 });
  const wide = new OperationWriter({ keyBytes: 5000, valueBytes: 4 << 20 });
  wide.set('ok', bytes(1));
  wide.set('x'.repeat(1025), bytes(1));
  wide.set('large', new Uint8Array((1 << 20) + 1));
  wide.set('ok', bytes(2));
  const bad = wide.take(false);
  const result = new WriteResult(call(store.services, bad, 'apply'), false);
  expect([0, 1, 2, 3].map((i) => result.status(i))).toEqual([
    codec.CHANGED,
    codec.KEY_INVALID,
    codec.VALUE_TOO_LARGE,
    codec.CHANGED,
  ]);
  expect(result.revision(3)).toBe(2);
  const empty = request({ type: 'set', key: 'k', value: bytes() }).slice();
  const emptyKey = Uint8Array.from([...empty.slice(0, -1)]);
  emptyKey[codec.REQUEST_HEADER + 2] = 0;
  expect(new WriteResult(call(store.services, emptyKey, 'apply'), false).status(0)).toBe(
    codec.KEY_INVALID,
  );
  wide.get('x'.repeat(1025));
  const read = new ReadResult(call(store.services, wide.take(false), 'read'), codec.OP_GET);
  expect(read.present(0)).toBe(false);
});

test('an operation withdrawn before it is sent does nothing and keeps its place in the result', () => {
  const store = new Store();
  const ops: Op[] = [
    ...WRITES.map((op) => ({ ...op })),
    { type: 'set', key: 'last', value: bytes(1) },
  ];
  const writer = new OperationWriter();
  const offsets = ops.map((op) => {
    const offset = writer.byteLength;
    addOp(writer, op);
    return offset;
  });
  const { digest } = store;
  for (const offset of offsets.slice(0, -1)) writer.skip(offset);
  const body = writer.take(false);
  const result = new WriteResult(call(store.services, body, 'apply'), false);
  expect(ops.map((_, i) => result.status(i))).toEqual([
    ...WRITES.map(() => codec.UNCHANGED),
    codec.CHANGED,
  ]);
  expect(result.revision(ops.length - 1)).toBe(1);
  expect(store.services.kv.keys).toBe(1);
  expect(store.digest).not.toBe(digest);
});

test('echo gives its bytes back, ping gives none, and neither leaves a trace', () => {
  const store = new Store();
  const { digest } = store;
  for (const kind of ['apply', 'read'] as const) {
    const body = filled(5000);
    const echoed = call(store.services, Uint8Array.from([codec.SERVICE_ECHO, ...body]), kind);
    expect(text(echoed)).toBe(text(body));
    expect(call(store.services, bytes(codec.SERVICE_ECHO), kind).length).toBe(0);
  }
  expect(store.digest).toBe(digest);
});

test('results go behind what the sink holds already', () => {
  const store = new Store();
  const sink = makeSink(0);
  for (let n = 0; n < 100; n++) {
    const from = sink.length;
    const body = request({ type: 'set', key: `k${n}`, value: filled(n) });
    store.services.apply(CONTEXT, body, 0, body.length, sink);
    const result = new WriteResult(sink.bytes.slice(from, sink.length), false);
    expect(result.revision(0)).toBe(n + 1);
  }
});
