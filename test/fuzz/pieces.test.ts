// Long messages in pieces: whatever pieces come in whatever order, a message comes out only when exactly its pieces came, one behind
// the other; damage is a BadFrame; and after all of that the next message arrives.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { frameCode } from '../../src/transport/kinds.js';
import { BadFrame } from '../../src/transport/msgpack.js';
import {
  Assembly,
  isPiece,
  MESSAGE_BYTES_MAX,
  PIECE_OVERHEAD_BYTES,
  writePiece,
} from '../../src/transport/piece.js';
import { inputs, PROPERTY, TIMEOUT_MS } from './counts.js';
import { damaged, hits } from './damage.js';

const timeout = TIMEOUT_MS;

function pieceOf(first: boolean, total: number, part: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(PIECE_OVERHEAD_BYTES + part.length);
  writePiece({ bytes, view: new DataView(bytes.buffer), at: 0 }, { first, total, bytes: part });
  return bytes;
}

/** As a link does: what is no piece is not for the assembly, and a message that came is let go. */
function add(assembly: Assembly, bytes: Uint8Array): Uint8Array | BadFrame | null {
  const view = new DataView(bytes.buffer);
  if (!isPiece(frameCode(view, 0, bytes.length), bytes.length)) return null;
  const range = { from: 0, to: bytes.length };
  assembly.completes(view, range);
  try {
    const frame = assembly.add(bytes, view, range);
    if (frame === null) return null;
    const message = frame.bytes.slice(0, frame.length);
    assembly.clear();
    return message;
  } catch (error) {
    if (error instanceof BadFrame) return error;
    throw error;
  }
}

const piece = fc.record({
  first: fc.boolean(),
  total: fc.constantFrom(8, 20, 21, 40, 7, MESSAGE_BYTES_MAX + 1),
  bytes: fc.oneof(fc.nat(24), fc.constantFrom(8, 10, 20, 40)),
});

test('any sequence of whole pieces: the message that they make, or none', { timeout }, () => {
  let arrived = 0;
  let refused = 0;
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 20 }), (list) => {
      const assembly = new Assembly();
      // What should be under way: its length and the bytes so far.
      let total = 0;
      let have: number[] | null = null;
      for (const [index, one] of list.entries()) {
        const part = new Uint8Array(one.bytes).fill(index + 1);
        const found = add(assembly, pieceOf(one.first, one.total, part));
        if (one.first) {
          total = one.total;
          have = total < 8 || total > MESSAGE_BYTES_MAX ? null : [];
        }
        if (have === null || one.total !== total || have.length + part.length > total) {
          have = null;
          expect(found).toBeInstanceOf(BadFrame);
          refused++;
          continue;
        }
        have = [...have, ...part];
        if (have.length < total) expect(found).toBe(null);
        else {
          expect(found === null || found instanceof BadFrame ? found : [...found]).toEqual(have);
          have = null;
          arrived++;
        }
      }
      assembly.clear();
    }),
    PROPERTY,
  );
  expect(arrived).toBeGreaterThan(0);
  expect(refused).toBeGreaterThan(0);
});

test('damaged pieces: nothing but a BadFrame, and the next message arrives', { timeout }, () => {
  const whole = Uint8Array.from({ length: 300 }, (_, at) => at);
  const pieces = [whole.subarray(0, 120), whole.subarray(120, 296), whole.subarray(296)].map(
    (part, index) => pieceOf(index === 0, whole.length, part),
  );
  const source = fc.nat(pieces.length - 1);
  const one = fc.tuple(source, source, fc.option(hits, { freq: 2 }));
  fc.assert(
    fc.property(fc.array(one, { maxLength: 6 }), (list) => {
      const assembly = new Assembly();
      for (const [at, other, strikes] of list) {
        const bytes = pieces[at] as Uint8Array;
        add(assembly, strikes ? damaged(bytes, strikes, pieces[other] as Uint8Array) : bytes);
      }
      const arrived = pieces.map((bytes) => add(assembly, bytes));
      expect(arrived.slice(0, 2)).toEqual([null, null]);
      expect(Buffer.compare(arrived[2] as Uint8Array, whole)).toBe(0);
      assembly.clear();
    }),
    inputs(0.5),
  );
});
