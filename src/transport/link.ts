// Links: messages over a ring. An OutLink encodes in place, stages what is longer than a record and sends it in pieces over
// several passes, with small messages in between; it never waits (BP1). An InLink hands messages to the actor and leaves those
// unread that the actor cannot take now, which is the back-pressure (D25).

import type { Message, MessageKind } from '../protocol/message.js';
import type { Doorbell } from './doorbell.js';
import { frameBytes, frameKind, readFrame, writeFrame } from './frame.js';
import { RECORD_HEADER_BYTES } from './layout.js';
import { BadFrame } from './msgpack.js';
import { Assembly, MESSAGE_BYTES_MAX, PIECE_OVERHEAD_BYTES, writePiece } from './piece.js';
import type { RingReader, RingWriter } from './ring.js';

/** Room that is kept for heartbeats and acknowledgements when an entry stream fills a ring. */
const RESERVE_BYTES = 1024;
/** Header, chain and entry fields of a message with one entry, generously. */
const ENVELOPE_BYTES = 512;

export class OutLink {
  framesOut = 0;
  bytesOut = 0;
  /** Messages refused for lack of room: some rule repeats them. */
  dropped = 0;
  readonly #ring: RingWriter;
  readonly #doorbell: Doorbell;
  readonly #pieceBytes: number;
  #staged = new Uint8Array(0);
  #stagedLength = 0;
  #stagedAt = 0;

  constructor(ring: RingWriter, doorbell: Doorbell) {
    this.#ring = ring;
    this.#doorbell = doorbell;
    this.#pieceBytes = ring.frameMax - PIECE_OVERHEAD_BYTES;
  }

  /** True while a long message is under way. */
  get busy(): boolean {
    return this.#stagedAt < this.#stagedLength;
  }

  /**
   * Encodes `message` into the ring; visible after `flush`.
   * @returns false when there is no room: nothing was written.
   */
  send(message: Message): boolean {
    const length = frameBytes(message);
    if (length > this.#ring.frameMax) return this.#stage(message, length);
    const at = this.#ring.claim(length);
    if (at < 0) {
      this.dropped++;
      return false;
    }
    writeFrame(message, this.#ring.bytes, this.#ring.view, at);
    this.framesOut++;
    this.bytesOut += length;
    return true;
  }

  #stage(message: Message, length: number): boolean {
    if (this.busy || length > MESSAGE_BYTES_MAX) {
      this.dropped++;
      return false;
    }
    if (this.#staged.length < length) this.#staged = new Uint8Array(length);
    const view = new DataView(this.#staged.buffer);
    writeFrame(message, this.#staged, view, 0);
    this.#stagedLength = length;
    this.#stagedAt = 0;
    this.framesOut++;
    this.bytesOut += length;
    this.pump();
    return true;
  }

  /** Moves a long message on as far as there is room. @returns whether anything moved. */
  pump(): boolean {
    let moved = false;
    while (this.busy) {
      const first = this.#stagedAt === 0;
      const size = Math.min(this.#pieceBytes, this.#stagedLength - this.#stagedAt);
      const at = this.#ring.claim(PIECE_OVERHEAD_BYTES + size);
      if (at < 0) return moved;
      const bytes = this.#staged.subarray(this.#stagedAt, this.#stagedAt + size);
      const { view } = this.#ring;
      writePiece(
        { bytes: this.#ring.bytes, view, at },
        { first, total: this.#stagedLength, bytes },
      );
      this.#stagedAt += size;
      moved = true;
    }
    return moved;
  }

  /**
   * Bytes of entries that may be streamed now. Positive means that one message with a body of any allowed size is
   * accepted; 0 defers the stream (BP1b).
   */
  room(): number {
    if (this.busy) return 0;
    const free = this.#ring.free() - RESERVE_BYTES;
    // A record is contiguous, so up to a record's length is lost once, before the ring's end: the first message needs room
    // for two, the following ones what is left after that.
    const record = this.#ring.frameMax + RECORD_HEADER_BYTES;
    return free < 2 * record ? 0 : Math.max(1, free - record - ENVELOPE_BYTES);
  }

  /** Publishes what was sent, and wakes the receiver if it sleeps. @returns whether there was anything. */
  flush(): boolean {
    if (!this.#ring.publish()) return false;
    this.#doorbell.ring();
    return true;
  }

  /** True while the receiver has not read everything. */
  unread(): boolean {
    return this.busy || this.#ring.unread();
  }
}

export class InLink {
  framesIn = 0;
  bytesIn = 0;
  /** Frames that could not be read: dropped (2.1). */
  bad = 0;
  readonly #ring: RingReader;
  readonly #assembly = new Assembly();

  constructor(ring: RingReader) {
    this.#ring = ring;
  }

  hasData(): boolean {
    return this.#ring.hasData();
  }

  /**
   * Hands out at most `limit` messages whose kind `accept` allows, and stops at the first that it does not. Byte strings
   * in a message are valid until the handler returns. The space of everything handled is given back at the end, also
   * when the handler throws.
   * @returns the number of records consumed.
   */
  poll(
    limit: number,
    accept: ((kind: MessageKind) => boolean) | null,
    handler: (message: Message) => void,
  ): number {
    const ring = this.#ring;
    let count = 0;
    try {
      while (count < limit && ring.peek()) {
        if (accept !== null && !this.#accepted(accept)) break;
        const from = ring.offset;
        const range = { from, to: from + ring.length };
        this.bytesIn += ring.length;
        ring.consume();
        count++;
        const message = this.#decode(range);
        if (message !== null) handler(message);
      }
    } finally {
      ring.release();
    }
    return count;
  }

  #accepted(accept: (kind: MessageKind) => boolean): boolean {
    const { offset, length, view } = this.#ring;
    if (Assembly.isPiece(view, offset, length)) {
      // Only long requests come in pieces; the last one is the request.
      return (
        !this.#assembly.completes(view, { from: offset, to: offset + length }) || accept('request')
      );
    }
    const kind = frameKind(view, offset, length);
    return kind === null || accept(kind);
  }

  #decode(range: { from: number; to: number }): Message | null {
    const { bytes, view } = this.#ring;
    try {
      if (!Assembly.isPiece(view, range.from, range.to - range.from)) {
        const message = readFrame(bytes, view, range);
        this.framesIn++;
        return message;
      }
      const whole = this.#assembly.add(bytes, view, range);
      if (whole === null) return null;
      this.framesIn++;
      return readFrame(whole.bytes, whole.view, { from: 0, to: whole.length });
    } catch (error) {
      if (!(error instanceof BadFrame)) throw error;
      this.bad++;
      return null;
    }
  }
}
