// Faults that users have no name for, which live tests and the soak bring about: a thread that hangs, runs out of memory or is
// ended at a named point, and bytes that change in frames that nobody has read yet. There is none of it in a cluster of `open`.

import { setTimeout as sleep } from 'node:timers/promises';
import { RING_HEAD_AT, RING_HEADER_BYTES, RING_TAIL_AT } from '../../transport/layout.js';
import type { MeshMemory } from '../../transport/mesh.js';
import type { FlipTarget, ThreadFault } from '../boot.js';
import { random32 } from '../random.js';
import type { ClientRegistry } from './client-registry.js';
import type { Seat } from './seat.js';

/** What piles up in front of a replica in such a pause is what bytes are flipped in. */
const PILE_MS = 30;
/** A thread that does not notice so soon that it is paused is left alone. */
const PAUSE_MS = 200;
const LOOK_MS = 5;

export interface FaultsHost {
  readonly mesh: MeshMemory;
  readonly clients: ClientRegistry;
  /** @throws {VrError} VR_CONFIG */
  seat(id: number): Seat;
  terminate(seat: Seat): Promise<void>;
}

export class Faults {
  readonly #host: FaultsHost;

  constructor(host: FaultsHost) {
    this.#host = host;
  }

  /** `times`: a stop point counts when it has been reached so often. What happens only to a new thread ends this one first. */
  async fault(id: number, kind: ThreadFault, times: number): Promise<void> {
    const seat = this.#host.seat(id);
    if (kind === 'inRecovery' || kind === 'inTransfer') {
      seat.nextStop = kind;
      await this.#host.terminate(seat);
      return;
    }
    // What it does to itself it cannot answer.
    void seat.control?.remote.fault(kind, times).catch(() => undefined);
  }

  /**
   * Flips `count` bits in unread frames, as a fault of the memory would. Whoever reads them must stand still: a byte that
   * changes while its frame is read is beyond any checksum. A replica is paused for that; a client has to see to it itself.
   * @returns how many were flipped: none when everything was read.
   */
  async flip(target: FlipTarget, count: number): Promise<number> {
    const { clients, mesh, seat } = this.#host;
    if ('client' in target)
      return flipUnread(
        clients.linksOf(target.client).flatMap((link) => link.replies),
        count,
      );
    const { replica } = target;
    const { block } = seat(replica);
    const rings = [
      ...mesh.rings.flatMap((row) => row[replica] ?? []),
      ...clients.clients.flatMap(({ link }) => link.requests[replica] ?? []),
    ];
    const { passes } = block;
    // It counts a pass before it looks at the word: two of them later it stands still.
    const still = (): boolean => ((block.passes - passes) | 0) >= 2;
    block.paused = true;
    try {
      for (let waited = 0; !still() && waited < PAUSE_MS; waited += LOOK_MS) await sleep(LOOK_MS);
      if (!still()) return 0;
      await sleep(PILE_MS);
      return flipUnread(rings, count);
    } finally {
      block.paused = false;
      block.doorbell.ring();
    }
  }
}

function flipUnread(rings: readonly SharedArrayBuffer[], count: number): number {
  const filled = rings.map((ring) => new UnreadFrames(ring)).filter(({ length }) => length > 0);
  if (filled.length === 0) return 0;
  for (let flips = 0; flips < count; flips++) filled[random32() % filled.length]?.flip();
  return count;
}

/** The published part of a ring that its reader has not released; positions are no frames and stay as they are. */
class UnreadFrames {
  readonly length: number;
  readonly #from: number;
  readonly #bytes: Uint8Array;

  constructor(ring: SharedArrayBuffer) {
    const words = new Int32Array(ring, 0, RING_HEADER_BYTES / 4);
    this.#bytes = new Uint8Array(ring, RING_HEADER_BYTES);
    this.#from = Atomics.load(words, RING_HEAD_AT / 4);
    this.length = (Atomics.load(words, RING_TAIL_AT / 4) - this.#from) | 0;
  }

  flip(): void {
    const at = (this.#from + (random32() % this.length)) & (this.#bytes.length - 1);
    this.#bytes[at] = (this.#bytes[at] as number) ^ (1 << (random32() % 8));
  }
}
