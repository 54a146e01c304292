// Frames between shared memory and messages: by hand, and by msgpackr with the same fields. msgpackr writes into memory of its own and
// must not read shared memory (on Node 20 that costs microseconds), so what it makes is copied in, and what it reads is copied out.

import { Packr, Unpackr } from 'msgpackr';
import type { Message, Prepare, PrepareOk, Request } from '#dist/protocol/message.js';
import type { Chain } from '#dist/protocol/types.js';
import { frameBytes, readFrame, writeFrame } from '#dist/transport/frame.js';
import type { Piece, Started } from './piece.js';

/** Frames of one call. */
const FRAMES = 64;
const CHAIN: Chain = [5, 6, 7, 8];
const HEADER = { clusterId: 1, gen: 0, epoch: 0, view: 3 } as const;

function shared(bytes: number): Uint8Array {
  return new Uint8Array(new SharedArrayBuffer(bytes)).fill(7);
}

const PREPARE: Prepare = {
  kind: 'prepare',
  ...HEADER,
  from: 0,
  start: 1,
  first: 42,
  prevChain: CHAIN,
  entries: [
    {
      op: 42,
      epoch: 0,
      view: 3,
      ts: 1,
      seed: 2,
      kind: 'batch',
      count: 1,
      body: shared(32 << 10),
      chain: CHAIN,
    },
  ],
  commitMax: 41,
  stableOp: 0,
  hbSeq: 9,
  doubtMs: 0,
};
const PREPARE_OK: PrepareOk = {
  kind: 'prepareOk',
  ...HEADER,
  from: 1,
  op: 42,
  chain: CHAIN,
  cpOp: 0,
  cpRoot: [0, 0, 0, 0],
  hbEcho: 9,
};
const REQUEST: Request = {
  kind: 'request',
  clientId: [0, 0, 0, 1],
  session: 4096,
  requestNumber: 17,
  acked: 16,
  epoch: 0,
  seenView: 3,
  body: shared(64),
};

const MESSAGES: readonly (readonly [string, Message])[] = [
  ['Prepare of 32 KiB', PREPARE],
  ['PrepareOk', PREPARE_OK],
  ['Request of 64 B', REQUEST],
];

class Pieces {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #message: Message;
  readonly #length: number;
  readonly #packr = new Packr({ useRecords: false });
  readonly #unpackr = new Unpackr({ useRecords: false, int64AsType: 'number' });
  readonly #private: Buffer;

  constructor(message: Message) {
    this.#message = message;
    this.#length = frameBytes(message);
    // Twice: msgpackr takes more for some numbers, and pads.
    this.#bytes = new Uint8Array(new SharedArrayBuffer(2 * this.#length));
    this.#view = new DataView(this.#bytes.buffer);
    this.#private = Buffer.alloc(this.#length);
    this.#write();
  }

  #write(): void {
    writeFrame(this.#message, this.#bytes, this.#view, 0);
  }

  #unpack(): unknown {
    const { length } = this.#private;
    this.#private.set(this.#bytes.subarray(0, length));
    return this.#unpackr.unpack(this.#private);
  }

  byHand(): { write: Started; read: Started } {
    const range = { from: 0, to: this.#length };
    return {
      write: repeated(() => this.#write()),
      read: repeated(() => readFrame(this.#bytes, this.#view, range)),
    };
  }

  byMsgpackr(): { write: Started; read: Started } {
    const fields = this.#unpack();
    return {
      write: repeated(() => this.#bytes.set(this.#packr.pack(fields))),
      read: repeated(() => this.#unpack()),
    };
  }
}

function repeated(one: () => unknown): Started {
  return {
    count: FRAMES,
    run: () => {
      for (let left = FRAMES; left > 0; left--) one();
    },
  };
}

export function frames(): Piece[] {
  return MESSAGES.flatMap(([what, message]) => [
    { name: `frame: write a ${what}`, start: () => new Pieces(message).byHand().write },
    { name: `frame: read a ${what}`, start: () => new Pieces(message).byHand().read },
    {
      name: `frame, msgpackr: write a ${what}`,
      start: () => new Pieces(message).byMsgpackr().write,
    },
    {
      name: `frame, msgpackr: read a ${what}`,
      start: () => new Pieces(message).byMsgpackr().read,
    },
  ]);
}
