// Pieces: how a message that is longer than a record may be travels. Each piece is a frame of its own, [kind, first, total,
// bytes]; a first piece discards an unfinished predecessor, so a sender that died half way leaves nothing behind.

import {
  ARRAY_BYTES,
  BadFrame,
  BIN_HEADER_BYTES,
  INT_BYTES,
  MsgpackReader,
  MsgpackWriter,
} from './msgpack.js';

/** Beyond the codes of messages. */
export const PIECE_CODE = 0xff;
export const PIECE_OVERHEAD_BYTES: number = ARRAY_BYTES + 3 * INT_BYTES + BIN_HEADER_BYTES;
/** Longest message at all: one request of 2 MiB in an entry, or a tail beside it. */
export const MESSAGE_BYTES_MAX: number = (2 << 20) + (512 << 10);

const writer = new MsgpackWriter();
const reader = new MsgpackReader();

export function writePiece(
  target: { bytes: Uint8Array; view: DataView; at: number },
  piece: { first: boolean; total: number; bytes: Uint8Array },
): void {
  writer.begin(target.bytes, target.view, target.at);
  writer.array(4);
  writer.uint(PIECE_CODE);
  writer.uint(piece.first ? 1 : 0);
  writer.uint(piece.total);
  writer.bin(piece.bytes);
}

/** Collects the pieces of one message at a time. */
export class Assembly {
  #bytes = new Uint8Array(0);
  #view = new DataView(this.#bytes.buffer);
  #have = 0;
  #total = 0;

  /** Offset from the start of a frame to the kind code, for a quick look. */
  static isPiece(view: DataView, at: number, length: number): boolean {
    return length >= PIECE_OVERHEAD_BYTES && view.getUint32(at + ARRAY_BYTES + 1) === PIECE_CODE;
  }

  /** True when the piece in `range` is the last one of the message under way. */
  completes(view: DataView, range: { from: number; to: number }): boolean {
    const length = range.to - range.from - PIECE_OVERHEAD_BYTES;
    const first = view.getUint32(range.from + ARRAY_BYTES + INT_BYTES + 1) === 1;
    const total = view.getUint32(range.from + ARRAY_BYTES + 2 * INT_BYTES + 1);
    return (first ? 0 : this.#have) + length === total;
  }

  /** @returns the whole message when this piece was its last one, else null. @throws {BadFrame} */
  add(
    bytes: Uint8Array,
    view: DataView,
    range: { from: number; to: number },
  ): { bytes: Uint8Array; view: DataView; length: number } | null {
    reader.begin(bytes, view, range);
    reader.tuple(4, 'a piece');
    reader.uint('kind');
    const first = reader.uint('first') === 1;
    const total = reader.uint('total');
    const part = reader.bin('piece');
    reader.end();
    if (total > MESSAGE_BYTES_MAX) throw new BadFrame(`a message of ${total} bytes in pieces`);
    if (first) {
      this.#have = 0;
      this.#total = total;
      this.#reserve(total);
    }
    const continues = this.#total === total && this.#have + part.length <= total;
    // The tail of a message whose beginning was lost with its sender.
    if (!continues || (!first && this.#have === 0)) {
      this.#total = 0;
      throw new BadFrame('a piece without its predecessors');
    }
    this.#bytes.set(part, this.#have);
    this.#have += part.length;
    if (this.#have < total) return null;
    this.#have = 0;
    this.#total = 0;
    return { bytes: this.#bytes, view: this.#view, length: total };
  }

  #reserve(total: number): void {
    if (this.#bytes.length >= total) return;
    this.#bytes = new Uint8Array(total);
    this.#view = new DataView(this.#bytes.buffer);
  }
}
