// A request is the same bytes wherever it is written, and nothing beside it is touched.

import { expect, test } from 'vitest';
import { OperationWriter, WRITER_LIMITS } from '../../src/service/operation-writer.js';
import type { WriterMemory } from '../../src/service/writer-memory.js';
import { addOp, dice, type Op, randomOp, text } from './world.js';

const UNTOUCHED = 0xa5;

/** Rooms somewhere in the middle of more memory, no larger than was asked for. */
class Islands implements WriterMemory {
  readonly rooms: { bytes: Uint8Array; view: DataView; from: number; to: number }[] = [];
  readonly trimmed: [Uint8Array, number, number][] = [];

  take(length: number) {
    const bytes = new Uint8Array(length + 64).fill(UNTOUCHED);
    const from = 3 + this.rooms.length * 2;
    const room = { bytes, view: new DataView(bytes.buffer), from, to: from + length };
    this.rooms.push(room);
    return room;
  }

  trim(bytes: Uint8Array, end: number, to: number): void {
    this.trimmed.push([bytes, end, to]);
  }

  give(): void {}

  get untouched(): boolean {
    return this.rooms.every(({ bytes, from, to }) =>
      bytes.every((byte, at) => (at >= from && at < to) || byte === UNTOUCHED),
    );
  }
}

test('requests in the middle of memory, grown, joined and with operations taken out', () => {
  const roll = dice(8);
  for (let round = 0; round < 40; round++) {
    const islands = new Islands();
    const inside = new OperationWriter(WRITER_LIMITS, 16, islands);
    const outside = new OperationWriter();
    const ops: Op[] = Array.from({ length: 1 + roll(12) }, () => randomOp(roll));
    for (const op of ops) {
      const offset = inside.byteLength;
      expect(offset).toBe(outside.byteLength);
      for (const writer of [inside, outside]) {
        addOp(writer, op);
        if (offset % 3 === 0) writer.skip(offset);
      }
    }
    const last = roll(ops.length);
    for (const writer of [inside, outside]) writer.skipRun(last, 1);
    const more = new OperationWriter(WRITER_LIMITS, 16, islands);
    addOp(more, ops[0] as Op);
    for (const writer of [inside, outside]) writer.append(more);
    expect(text(inside.finish(true))).toBe(text(outside.finish(true)));
    const taken = inside.take(false);
    expect(text(taken)).toBe(text(outside.take(false)));
    const [[bytes, end, to]] = islands.trimmed as [[Uint8Array, number, number]];
    expect(bytes.buffer).toBe(taken.buffer);
    expect(end).toBe(taken.byteOffset + taken.length);
    expect(islands.rooms.some((room) => room.bytes === bytes && room.to === to)).toBe(true);
    // The next one begins in memory of its own.
    for (const writer of [inside, outside]) addOp(writer, ops[0] as Op);
    expect(text(inside.take(false))).toBe(text(outside.take(false)));
    expect(islands.untouched).toBe(true);
  }
});

test('a character that is not ASCII is found wherever it stands', () => {
  for (const odd of ['\u007f', '\u0080', 'ü', '€', '😀', '\ud800'])
    for (let length = 0; length < 10; length++)
      for (let place = 0; place <= length; place++) {
        const key = `${'x'.repeat(place)}${odd}${'y'.repeat(length - place)}`;
        const writer = new OperationWriter();
        if (odd === '\ud800') {
          expect(writer.get(key)).toBe('key-malformed');
          continue;
        }
        const expected = new OperationWriter();
        expected.get(new TextEncoder().encode(key));
        expect(writer.get(key)).toBeNull();
        expect(text(writer.take(false))).toBe(text(expected.take(false)));
      }
});
