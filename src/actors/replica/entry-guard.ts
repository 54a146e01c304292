// Long entries of a Prepare are covered by their hash chain and nothing else. To the core a broken link is a bug, for which it ends
// the replica; a byte that changed in shared memory should cost a frame. So the links are looked at before the core sees the
// message. The digests of the bodies, which are the work in it, are kept for the core, which asks for the same again.

import { ChainHasher } from '../../protocol/chain.js';
import type { Prepare } from '../../protocol/message.js';
import type { Digest64 } from '../../protocol/types.js';
import { reliesOnChain } from '../../transport/frame.js';

export class EntryGuard {
  /** Messages whose entries were not what their sender sent. */
  broken = 0;
  /** For the core: does not compute again what was just computed here. */
  readonly digest64: Digest64;
  readonly #hasher: ChainHasher;
  /** Low and high word by byte string, of the message looked at last. */
  readonly #known = new Map<Uint8Array, readonly [number, number]>();

  constructor(digest64: Digest64) {
    this.digest64 = (bytes, from, to, out) => {
      const known = this.#known.size === 0 ? undefined : this.#known.get(bytes);
      if (known === undefined) digest64(bytes, from, to, out);
      else [out[0], out[1]] = known;
    };
    this.#hasher = new ChainHasher((bytes, from, to, out) => {
      digest64(bytes, from, to, out);
      this.#known.set(bytes, [out[0] as number, out[1] as number]);
    });
  }

  /** Whether the core may have the message. Call `forget` when it has dealt with it: the bytes are used again. */
  intact(message: Prepare): boolean {
    if (!reliesOnChain(message)) return true;
    let below = message.prevChain;
    for (const entry of message.entries) {
      if (!this.#hasher.links(below, entry)) {
        this.broken++;
        return false;
      }
      below = entry.chain;
    }
    return true;
  }

  forget(): void {
    // Clearing a map makes a new table, also of an empty one.
    if (this.#known.size > 0) this.#known.clear();
  }
}
