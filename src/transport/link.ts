// Links: messages over a ring. An OutLink encodes in place, stages what is longer than a record and sends it in pieces over
// several passes, with small messages in between; it never waits (BP1). An InLink hands messages to the actor and leaves those
// unread that the actor cannot take now, which is the back-pressure (D25).

import { violated } from '../protocol/assert.js';
import type { RingPositions } from '../protocol/client/reading-watch.js';
import type { Message, MessageKind } from '../protocol/message.js';
import { type Asked, READ_CODE, REQUEST_CODE, readAsked } from './asked-frames.js';
import type { Doorbell } from './doorbell.js';
import { coveredBytes, frameBytes, isOrdered, readFrame, writeFrame } from './frame.js';
import { frameCode, KIND_CODES, KINDS } from './kinds.js';
import { BadFrame, BODY_ALIGNMENT } from './msgpack.js';
import {
  Assembly,
  giveBuffer,
  isPiece,
  MESSAGE_BYTES_MAX,
  PIECE_OVERHEAD_BYTES,
  takeBuffer,
  writePiece,
} from './piece.js';
import type { RingReader, RingWriter } from './ring.js';

const PREPARE: number = KIND_CODES.prepare;
/** With room for less a piece is not worth a record. */
const PIECE_BYTES_MIN = 256;
/** Share of a ring that entries and pieces leave to heartbeats, acknowledgements and the headers of records. */
const RESERVE_SHARE = 16;

export class OutLink {
  framesOut = 0;
  bytesOut = 0;
  /** Something is unpublished that its receiver should not let wait. */
  #presses = false;
  readonly #ring: RingWriter;
  readonly #doorbell: Doorbell;
  readonly #reserve: number;
  /** The long message under way: `length` bytes of it, sent up to `at`. */
  #staged: { bytes: Uint8Array; view: DataView; length: number; at: number } | null = null;

  /** `doorbell` is the receiver's. */
  constructor(ring: RingWriter, doorbell: Doorbell) {
    this.#ring = ring;
    this.#doorbell = doorbell;
    this.#reserve = ring.capacity / RESERVE_SHARE;
  }

  /** True while a long message is under way: call `pump` in every pass, and sleep unless `told`. */
  get busy(): boolean {
    return this.#staged !== null;
  }

  /**
   * Encodes `message` into the ring; visible after `flush`. A message that is longer than a record is copied and sent on by
   * `pump`. Meanwhile nothing that must keep its order, and no second long message, is accepted.
   * @returns false when there is no room: nothing was written.
   */
  send(message: Message): boolean {
    const length = frameBytes(message);
    const sent =
      (this.#staged === null || !isOrdered(message.kind)) &&
      (length > this.#ring.frameMax ? this.#stage(message, length) : this.#write(message, length));
    if (sent) {
      // Whoever waits for acknowledgements sleeps otherwise than a receiver who has all that it needs.
      if (message.kind !== 'prepareOk') this.#presses = true;
      this.framesOut++;
      this.bytesOut += length;
    }
    return sent;
  }

  #write(message: Message, length: number): boolean {
    const at = this.#ring.claim(length, coveredBytes(message.kind === 'prepare', length));
    if (at < 0) return false;
    writeFrame(message, this.#ring.bytes, this.#ring.view, at);
    return true;
  }

  #stage(message: Message, length: number): boolean {
    if (!(length <= MESSAGE_BYTES_MAX))
      violated(`${message.kind} of ${length} bytes is above every limit`);
    if (this.#staged !== null) return false;
    const { bytes, view } = takeBuffer(length);
    writeFrame(message, bytes, view, 0);
    this.#staged = { bytes, view, length, at: 0 };
    this.pump();
    return true;
  }

  /** Moves a long message on as far as there is room, and asks for more if that is not the end. @returns whether anything moved. */
  pump(): boolean {
    const moved = this.#push();
    if (this.#staged === null) return moved;
    this.askForRoom();
    return this.#push() || moved;
  }

  #push(): boolean {
    const ring = this.#ring;
    let moved = false;
    while (this.#staged !== null) {
      const staged = this.#staged;
      const left = staged.length - staged.at;
      const longest = ring.longest(PIECE_OVERHEAD_BYTES + PIECE_BYTES_MIN, this.#reserve);
      if (longest < 0) return moved;
      const space = (longest - PIECE_OVERHEAD_BYTES) & ~(BODY_ALIGNMENT - 1);
      const size = Math.min(left, space);
      const at = ring.claim(PIECE_OVERHEAD_BYTES + size);
      if (at < 0) return moved;
      const bytes = staged.bytes.subarray(staged.at, staged.at + size);
      const piece = { first: staged.at === 0, total: staged.length, bytes };
      writePiece({ bytes: ring.bytes, view: ring.view, at }, piece);
      staged.at += size;
      this.#presses = true;
      moved = true;
      if (staged.at < staged.length) continue;
      giveBuffer(staged);
      this.#staged = null;
    }
    return moved;
  }

  /**
   * Bytes of entries that may be streamed now. Positive means that one message with a body of any allowed size is
   * accepted, and after it as many as fit; 0 defers the stream (BP1b).
   */
  room(): number {
    if (this.#staged !== null) return 0;
    const { capacity, frameMax } = this.#ring;
    const free = this.#ring.free() - 2 * this.#reserve;
    // A record is contiguous, so up to a record's length is lost once, at the ring's end: a first message just below frameMax
    // needs room for two, the following ones what is left after that. A longer one goes in pieces, which waste nothing.
    return free < 2 * frameMax ? 0 : free - capacity / 4;
  }

  /** Publishes what was sent, and wakes the receiver if it sleeps. @returns whether there was anything. */
  flush(): boolean {
    if (!this.#ring.publish()) return false;
    this.#doorbell.ring(this.#presses);
    this.#presses = false;
    return true;
  }

  /**
   * The receiver is to ring the sender's doorbell when it has read on. Whoever was refused, or found too little `room`, asks, tries
   * once more, and sleeps unless `told`; a long message under way has asked.
   */
  askForRoom(): void {
    this.#ring.askForRoom();
  }

  /** The receiver has read on since it was asked, or was not asked: worth another try. */
  get told(): boolean {
    return this.#ring.told;
  }

  /** Of the ring: how much was ever written and read. The rest of a long message under way counts as a byte, unread. */
  positions(): RingPositions {
    const positions = this.#ring.positions();
    return this.#staged === null
      ? positions
      : { written: (positions.written + 1) | 0, read: positions.read };
  }
}

/** How much one poll may hand out. */
export interface PollLimit {
  readonly frames: number;
  /** No frame is begun once so many bytes were handed out. */
  readonly bytes: number;
}

export const EVERYTHING: PollLimit = {
  frames: Number.POSITIVE_INFINITY,
  bytes: Number.POSITIVE_INFINITY,
};

/** Who is asked so often that a message for each would be too much: `asked` says what, and is valid until the call returns. */
export interface Taker {
  readonly asked: Asked;
  onRequest(): void;
  onRead(): void;
}

export class InLink {
  framesIn = 0;
  bytesIn = 0;
  /** Frames that could not be read: dropped (2.1). */
  bad = 0;
  readonly #ring: RingReader;
  readonly #producer: Doorbell | null;
  readonly #assembly = new Assembly();

  /** `producer` is rung when it waits for room; without it the producer's timer has to do. */
  constructor(ring: RingReader, producer: Doorbell | null = null) {
    this.#ring = ring;
    this.#producer = producer;
  }

  /** Frames whose bytes changed in the ring: dropped like those, and repaired by whatever repeats a lost message. */
  get corrupt(): number {
    return this.#ring.corrupt;
  }

  hasData(): boolean {
    return this.#ring.hasData();
  }

  /** True when the next message could be handed out: `accept` as in `poll`. */
  ready(accept: (kind: MessageKind) => boolean): boolean {
    const ring = this.#ring;
    if (!ring.peek()) return false;
    return this.#accepted(accept, frameCode(ring.view, ring.offset, ring.length));
  }

  /**
   * Hands out messages, up to `limit`, whose kind `accept` allows, and stops at the first that it does not. Byte strings
   * in a message are valid until the handler returns. The space of everything handled is given back at the end, also
   * when the handler throws, and earlier when much was handled. With a `taker`, requests and reads go to it, unless they came in pieces.
   * @returns the number of records consumed.
   */
  poll(
    limit: PollLimit,
    accept: ((kind: MessageKind) => boolean) | null,
    handler: (message: Message) => void,
    taker: Taker | null = null,
  ): number {
    const ring = this.#ring;
    if (!ring.peek()) {
      // Of bytes that nobody can have written so it has let go.
      this.#release();
      return 0;
    }
    const { view } = ring;
    let count = 0;
    let bytes = 0;
    try {
      do {
        const from = ring.offset;
        const { length } = ring;
        const code = frameCode(view, from, length);
        if (accept !== null && !this.#accepted(accept, code)) break;
        const intact = ring.verify(coveredBytes(code === PREPARE, length));
        bytes += length;
        ring.consume();
        count++;
        if (!intact) {
          // It may have been the middle of the long message under way.
          this.#assembly.clear();
          continue;
        }
        if (taker !== null && (code === REQUEST_CODE || code === READ_CODE))
          this.#asked(code, from, from + length, taker);
        else if (isPiece(code, length)) this.#piece({ from, to: from + length }, handler);
        else this.#frame(ring, { from, to: from + length }, handler);
        if (ring.unreleased >= ring.capacity / 4) this.#release();
      } while (count < limit.frames && bytes < limit.bytes && ring.peek());
    } finally {
      this.bytesIn += bytes;
      this.#release();
    }
    return count;
  }

  #release(): void {
    if (this.#ring.release()) this.#producer?.ring();
  }

  /** Of the record that lies in front, a frame of kind `code`. */
  #accepted(accept: (kind: MessageKind) => boolean, code: number): boolean {
    const { offset, length, view } = this.#ring;
    const kind = isPiece(code, length)
      ? this.#assembly.completes(view, { from: offset, to: offset + length })
      : KINDS[code];
    // What is not ours, or not whole yet, is nothing that the actor could refuse.
    return kind === null || kind === undefined || accept(kind);
  }

  #asked(code: number, at: number, to: number, taker: Taker): void {
    try {
      readAsked(code, this.#ring, at, to, taker.asked);
    } catch (error) {
      if (!(error instanceof BadFrame)) throw error;
      this.bad++;
      return;
    }
    this.framesIn++;
    if (code === REQUEST_CODE) taker.onRequest();
    else taker.onRead();
  }

  #frame(
    memory: { readonly bytes: Uint8Array; readonly view: DataView },
    range: { from: number; to: number },
    handler: (message: Message) => void,
  ): void {
    let message: Message;
    try {
      message = readFrame(memory.bytes, memory.view, range);
    } catch (error) {
      if (!(error instanceof BadFrame)) throw error;
      this.bad++;
      return;
    }
    this.framesIn++;
    handler(message);
  }

  #piece(range: { from: number; to: number }, handler: (message: Message) => void): void {
    const { bytes, view } = this.#ring;
    try {
      const whole = this.#assembly.add(bytes, view, range);
      if (whole === null) return;
      try {
        this.#frame(whole, { from: 0, to: whole.length }, handler);
      } finally {
        this.#assembly.clear();
      }
    } catch (error) {
      if (!(error instanceof BadFrame)) throw error;
      this.bad++;
    }
  }
}
