// The hash chain over the log (protocol.md 1.5): equal chain at equal op means equal prefix, so one comparison of 16 bytes
// stands for a comparison of two logs. The 64-bit digest is handed in; the body is hashed once per replica.

import type { Entry, EntryKind } from './message.js';
import type { Chain, Digest64, EpochNumber, OpNumber, ViewNumber } from './types.js';

const KIND_CODES: Record<EntryKind, number> = { batch: 0 };

/** What of an entry is hashed besides its body. */
export interface EntryHeader {
  readonly op: OpNumber;
  readonly epoch: EpochNumber;
  readonly view: ViewNumber;
  readonly ts: number;
  readonly seed: number;
  readonly kind: EntryKind;
  readonly count: number;
}

// Offsets in the hashed block: seed of the hash, previous chain, header, length and digest of the body.
const AT_PREVIOUS = 4;
const AT_OP = 20;
const AT_EPOCH = 28;
const AT_VIEW = 32;
const AT_TS = 36;
const AT_SEED = 44;
const AT_KIND = 48;
const AT_COUNT = 52;
const AT_LENGTH = 56;
const AT_DIGEST = 60;
const BLOCK_BYTES = 72;

export class ChainHasher {
  readonly #digest64: Digest64;
  readonly #block = new Uint8Array(BLOCK_BYTES);
  readonly #view = new DataView(this.#block.buffer);
  readonly #out = new Uint32Array(2);

  constructor(digest64: Digest64) {
    this.#digest64 = digest64;
  }

  /** chain(0): logs of different clusters never link. */
  origin(clusterId: number): Chain {
    this.#block.fill(0);
    this.#view.setFloat64(AT_DIGEST, clusterId, true);
    return this.#finish();
  }

  /** chain(op) from chain(op - 1), the header and the body. */
  next(previous: Chain, header: EntryHeader, body: Uint8Array): Chain {
    const view = this.#view;
    for (let word = 0; word < 4; word++)
      view.setInt32(AT_PREVIOUS + 4 * word, previous[word] as number, true);
    view.setFloat64(AT_OP, header.op, true);
    view.setUint32(AT_EPOCH, header.epoch, true);
    view.setUint32(AT_VIEW, header.view, true);
    view.setFloat64(AT_TS, header.ts, true);
    view.setUint32(AT_SEED, header.seed, true);
    view.setUint32(AT_KIND, KIND_CODES[header.kind], true);
    view.setUint32(AT_COUNT, header.count, true);
    view.setUint32(AT_LENGTH, body.length, true);
    this.#digest64(body, 0, body.length, this.#out);
    view.setUint32(AT_DIGEST, this.#out[0] as number, true);
    view.setUint32(AT_DIGEST + 4, this.#out[1] as number, true);
    return this.#finish();
  }

  /** True when `entry` really follows `previous`. */
  links(previous: Chain, entry: Entry): boolean {
    const chain = this.next(previous, entry, entry.body);
    for (let word = 0; word < 4; word++) if (chain[word] !== entry.chain[word]) return false;
    return true;
  }

  /** 128 bits from two 64-bit hashes of the block under different seeds. */
  #finish(): Chain {
    const out = this.#out;
    this.#view.setUint32(0, 1, true);
    this.#digest64(this.#block, 0, BLOCK_BYTES, out);
    const low = (out[0] as number) | 0;
    const high = (out[1] as number) | 0;
    this.#view.setUint32(0, 2, true);
    this.#digest64(this.#block, 0, BLOCK_BYTES, out);
    return [low, high, (out[0] as number) | 0, (out[1] as number) | 0];
  }
}
