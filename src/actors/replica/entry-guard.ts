// Long entries of a Prepare are covered by their hash chain and nothing else. To the core a broken link is a bug, for which it ends
// the replica; a byte that changed in shared memory should cost a frame. So the links are looked at before the core sees the
// message. The digests of the bodies, which are the work in it, are kept for the core, which asks for the same again.

import { ChainHasher } from '../../protocol/chain.js';
import type { Prepare } from '../../protocol/message.js';
import type { Digest64 } from '../../protocol/types.js';
import { reliesOnChain } from '../../transport/frame.js';

/** Of a body: what it is, and the words of its digest. */
interface Known {
  bytes: Uint8Array;
  low: number;
  high: number;
}

const NO_BYTES = new Uint8Array(0);

export class EntryGuard {
  /** Messages whose entries were not what their sender sent. */
  broken = 0;
  /** For the core: does not compute again what was just computed here. */
  readonly digest64: Digest64;
  readonly #hasher: ChainHasher;
  /** Of the message looked at last, in the order of its entries; records that are used again. */
  readonly #known: Known[] = [];
  #count = 0;
  /** The core asks in the same order, though not for entries that it has. */
  #next = 0;
  /** Under examination. */
  #body: Uint8Array = NO_BYTES;

  constructor(digest64: Digest64) {
    this.digest64 = (bytes, from, to, out) => {
      if (!this.#recall(bytes, out)) digest64(bytes, from, to, out);
    };
    this.#hasher = new ChainHasher((bytes, from, to, out) => {
      digest64(bytes, from, to, out);
      if (bytes === this.#body) this.#note(bytes, out);
    });
  }

  /** Whether the core may have the message. Call `forget` when it has dealt with it: the bytes are used again. */
  intact(message: Prepare): boolean {
    if (!reliesOnChain(message)) return true;
    let below = message.prevChain;
    for (const entry of message.entries) {
      this.#body = entry.body;
      if (!this.#hasher.links(below, entry)) {
        this.broken++;
        return false;
      }
      below = entry.chain;
    }
    return true;
  }

  forget(): void {
    for (let at = 0; at < this.#count; at++) (this.#known[at] as Known).bytes = NO_BYTES;
    this.#count = 0;
    this.#next = 0;
    this.#body = NO_BYTES;
  }

  #recall(bytes: Uint8Array, out: Uint32Array): boolean {
    for (let at = this.#next; at < this.#count; at++) {
      const known = this.#known[at] as Known;
      if (known.bytes !== bytes) continue;
      this.#next = at + 1;
      out[0] = known.low;
      out[1] = known.high;
      return true;
    }
    return false;
  }

  #note(bytes: Uint8Array, out: Uint32Array): void {
    const known = this.#known[this.#count];
    // As signed words: an unsigned one is a double from 2^31 on.
    const low = (out[0] as number) | 0;
    const high = (out[1] as number) | 0;
    if (known === undefined) this.#known.push({ bytes, low, high });
    else {
      known.bytes = bytes;
      known.low = low;
      known.high = high;
    }
    this.#count++;
  }
}
