import fc from 'fast-check';
import { expect, test } from 'vitest';
import { StorageError } from '../../src/storage/errors.js';
import {
  HandoverControl,
  HandoverReader,
  HandoverWriter,
  handoverMemory,
  QUEUE_BYTES_MIN,
} from '../../src/storage/handover.js';

function pair() {
  const memory = handoverMemory(QUEUE_BYTES_MIN);
  return { memory, writer: new HandoverWriter(memory), reader: new HandoverReader(memory, null) };
}

function offer(writer: HandoverWriter, kind: number, payload: Uint8Array): boolean {
  const at = writer.claim(kind, payload.length);
  if (at < 0) return false;
  writer.bytes.set(payload, at);
  return true;
}

function payloadOf(reader: HandoverReader): Buffer {
  return Buffer.from(reader.bytes.subarray(reader.at, reader.at + reader.length));
}

test('the queue is a bounded FIFO, across its end and for every length', () => {
  const length = fc.oneof(fc.integer({ min: 0, max: 60 }), fc.integer({ min: 0, max: 16_376 }));
  const step = fc.record({ puts: fc.array(length, { maxLength: 8 }), takes: fc.nat({ max: 8 }) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const { writer, reader } = pair();
      const model: { kind: number; payload: Buffer }[] = [];
      let kind = 0;
      for (const { puts, takes } of steps) {
        for (const bytes of puts) {
          kind++;
          const payload = Buffer.alloc(bytes, kind);
          if (offer(writer, kind, payload)) model.push({ kind, payload });
          else expect(model.length).toBeGreaterThan(0);
        }
        writer.publish();
        for (let take = 0; take < takes; take++) {
          const expected = model.shift();
          expect(reader.peek()).toBe(expected !== undefined);
          if (expected === undefined) break;
          expect(reader.kind).toBe(expected.kind);
          expect(payloadOf(reader).equals(expected.payload)).toBe(true);
          reader.take();
          if (take % 2 === 0) reader.release();
        }
        reader.release();
      }
    }),
  );
});

test('nothing is seen before it is published, nor what an ended thread left unpublished', () => {
  const { memory, writer, reader } = pair();
  offer(writer, 1, Buffer.from('one'));
  expect(reader.peek()).toBe(false);
  writer.publish();
  offer(writer, 2, Buffer.from('never'));
  const successor = new HandoverWriter(memory);
  offer(successor, 3, Buffer.from('three'));
  successor.publish();
  const kinds: number[] = [];
  while (reader.peek()) {
    kinds.push(reader.kind);
    reader.take();
  }
  expect(kinds).toEqual([1, 3]);
});

test('what was taken and not released is shown again', () => {
  const { writer, reader } = pair();
  for (const kind of [1, 2, 3]) offer(writer, kind, Buffer.alloc(10));
  writer.publish();
  reader.peek();
  reader.take();
  reader.release();
  reader.peek();
  reader.take();
  expect(reader.taken).toBe(24);
  reader.rewind();
  expect(reader.taken).toBe(0);
  reader.peek();
  expect(reader.kind).toBe(2);
});

test('an answer, a refusal and a failure reach who waits for them', () => {
  const { memory, writer, reader } = pair();
  const first = writer.newRequest();
  reader.answer(first);
  writer.await(first);
  const second = new HandoverWriter(memory).newRequest();
  expect(second).not.toBe(first);
  reader.answer(second, new StorageError('VR_DISK', 'no room'));
  expect(() => writer.await(second)).toThrow(
    expect.objectContaining({ code: 'VR_DISK', message: 'no room' }),
  );
  const control = new HandoverControl(memory);
  expect(control.failure).toBeNull();
  reader.fail('VR_CORRUPT_LOG', 'gone');
  control.fail('VR_DISK', 'later');
  expect(control.failure).toMatchObject({ code: 'VR_CORRUPT_LOG', message: 'gone' });
  expect(() => writer.await(writer.newRequest())).toThrow('gone');
  expect(() => writer.awaitRoom()).toThrow('gone');
});

test('P9: while the disk is full nobody waits for an answer', () => {
  const { writer, reader } = pair();
  reader.publishFull(2);
  const full = expect.objectContaining({ code: 'VR_DISK', details: { full: true } });
  const request = writer.newRequest();
  expect(() => writer.await(request)).toThrow(full);
  expect(() => writer.awaitRoom()).toThrow(full);
  reader.publishFull(1);
  reader.answer(request);
  writer.await(request);
  expect(writer.full).toBe(true);
  reader.publishFull(0);
  expect(writer.full).toBe(false);
});

test('the bell rings for what the replica waits for', () => {
  const bell = { memory: new SharedArrayBuffer(16), at: 2 };
  const words = new Int32Array(bell.memory);
  const memory = handoverMemory(QUEUE_BYTES_MIN);
  const reader = new HandoverReader(memory, bell);
  const writer = new HandoverWriter(memory);
  const rings = (action: () => void) => {
    words[2] = 1;
    action();
    return words[2] === 0;
  };
  expect(rings(() => reader.publishFlushed(2 ** 33 + 7))).toBe(true);
  expect(writer.flushedLow).toBe(7);
  expect(rings(() => reader.publishCheckpoint(5))).toBe(true);
  expect(rings(() => reader.publishFull(1))).toBe(true);
  expect(writer.full).toBe(true);
  expect(rings(() => reader.publishFull(1))).toBe(false);
  expect(rings(() => reader.fail('VR_DISK', ''))).toBe(true);
});

test('a queue has a power of two of bytes', () => {
  for (const bytes of [0, QUEUE_BYTES_MIN / 2, QUEUE_BYTES_MIN + 8, 2 ** 31])
    expect(() => handoverMemory(bytes)).toThrow(expect.objectContaining({ code: 'VR_CONFIG' }));
});

test('a stop ends every sleep', () => {
  const { memory, reader } = pair();
  new HandoverControl(memory).stop();
  expect(reader.stopping).toBe(true);
  expect(reader.urgent).toBe(true);
  reader.sleep(1e6);
  reader.pause(1e6);
  reader.rest(1e6);
});
