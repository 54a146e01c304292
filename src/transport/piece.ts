// Pieces: how a message that is longer than a record may be travels. Each piece is a frame of its own, [code, first, total,
// nil, bytes]; a first piece discards an unfinished predecessor, so a sender that died half way leaves nothing behind. When a piece
// is sent is the link's affair.

import type { MessageKind } from '../protocol/message.js';
import { frameKind, OPENING_BYTES } from './kinds.js';
import {
  ARRAY_BYTES,
  BadFrame,
  BIN_BYTES,
  lastBinAt,
  NIL_BYTES,
  nilAt,
  putArray,
  putBin,
  putNil,
  putUint,
  tupleAt,
  UINT_BYTES,
  uintAt,
} from './msgpack.js';

/** Beyond the codes of messages. */
const PIECE_CODE = 0xff;
const FIELDS = 5;
const FIRST = ARRAY_BYTES + UINT_BYTES;
const TOTAL = FIRST + UINT_BYTES;
const FILLER = TOTAL + UINT_BYTES;
/** The filler makes this a multiple of BODY_ALIGNMENT, so that pieces of such lengths are copied word by word. */
const BYTES = FILLER + NIL_BYTES;
export const PIECE_OVERHEAD_BYTES: number = BYTES + BIN_BYTES;
/** Longest message at all: an entry with one request of 2 MiB, with slack for a tail beside it. */
export const MESSAGE_BYTES_MAX: number = (2 << 20) + (512 << 10);

interface Span {
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

/** A frame in memory of its own. */
export interface Frame extends Span {
  readonly length: number;
}

/** Private memory for one long message. One spare buffer is kept per thread, so that long messages cost no page faults each. */
let spare: Span | null = null;

export function takeBuffer(length: number): Span {
  const kept = spare;
  if (kept !== null && kept.bytes.length >= length) {
    spare = null;
    return kept;
  }
  const bytes = new Uint8Array(length);
  return { bytes, view: new DataView(bytes.buffer) };
}

export function giveBuffer(buffer: Span): void {
  if (spare === null || spare.bytes.length < buffer.bytes.length) spare = buffer;
}

export function writePiece(
  target: { readonly bytes: Uint8Array; readonly view: DataView; readonly at: number },
  piece: { readonly first: boolean; readonly total: number; readonly bytes: Uint8Array },
): void {
  const { bytes, view, at } = target;
  putArray(view, at, FIELDS);
  putUint(view, at + ARRAY_BYTES, PIECE_CODE);
  putUint(view, at + FIRST, piece.first ? 1 : 0);
  putUint(view, at + TOTAL, piece.total);
  putNil(view, at + FILLER);
  putBin(bytes, view, at + BYTES, piece.bytes);
}

/** `code`: of a frame of `length` bytes. */
export function isPiece(code: number, length: number): boolean {
  return code === PIECE_CODE && length >= PIECE_OVERHEAD_BYTES;
}

/** Collects the pieces of one message at a time. */
export class Assembly {
  #buffer: Span | null = null;
  #have = 0;
  #total = 0;

  /** Kind of the message that the piece in `range` would complete, or null if it completes none. */
  completes(view: DataView, range: { from: number; to: number }): MessageKind | null {
    const { from, to } = range;
    const first = view.getUint32(from + FIRST + 1) === 1;
    const part = to - from - PIECE_OVERHEAD_BYTES;
    if (first)
      return part === view.getUint32(from + TOTAL + 1)
        ? frameKind(view, from + PIECE_OVERHEAD_BYTES, part)
        : null;
    if (this.#buffer === null || this.#have + part !== this.#total) return null;
    return frameKind(this.#buffer.view, 0, this.#have);
  }

  /**
   * Takes the piece in `range`.
   * @returns the whole message when this was its last piece, else null. It is valid until `clear`.
   * @throws {BadFrame}
   */
  add(bytes: Uint8Array, view: DataView, range: { from: number; to: number }): Frame | null {
    const { from, to } = range;
    tupleAt(view, from, FIELDS, 'a piece');
    const first = uintAt(view, from + FIRST, 'first') === 1;
    const total = uintAt(view, from + TOTAL, 'total');
    nilAt(view, from + FILLER, 'filler');
    const part = lastBinAt(bytes, view, { at: from + BYTES, to }, 'piece');
    if (first) this.#begin(total);
    // Else the end of a message whose beginning was lost with its sender, or with its first reader.
    if (this.#buffer === null) throw new BadFrame('a piece without its predecessors');
    if (total !== this.#total || this.#have + part.length > total) {
      this.clear();
      throw new BadFrame(`a piece of another message of ${total} bytes`);
    }
    this.#buffer.bytes.set(part, this.#have);
    this.#have += part.length;
    return this.#have < total ? null : { ...this.#buffer, length: total };
  }

  #begin(total: number): void {
    this.clear();
    if (total > MESSAGE_BYTES_MAX || total < OPENING_BYTES)
      throw new BadFrame(`a message of ${total} bytes in pieces`);
    this.#buffer = takeBuffer(total);
    this.#total = total;
  }

  /** Forgets the message under way, or the one handed out. */
  clear(): void {
    if (this.#buffer !== null) giveBuffer(this.#buffer);
    this.#buffer = null;
    this.#have = 0;
    this.#total = 0;
  }
}
