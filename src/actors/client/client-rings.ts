// The rings between one client and all replicas, as links. They carry messages both ways; what these mean, and when to look for
// them, is the client's affair.

import type { RingPositions } from '../../protocol/client/reading-watch.js';
import type { ClientMessage, Message } from '../../protocol/message.js';
import type { ReplicaId } from '../../protocol/types.js';
import { EVERYTHING, InLink, OutLink, type PollLimit } from '../../transport/link.js';
import { ReplicaBlock } from '../../transport/mesh.js';
import { RingReader, RingWriter } from '../../transport/ring.js';
import type { ClientBoot } from '../boot.js';

const POLL_LIMIT: PollLimit = { ...EVERYTHING, frames: 64 };

interface ReplicaLinks {
  readonly in: InLink;
  readonly out: OutLink;
}

export class ClientRings {
  readonly #links: readonly ReplicaLinks[];
  readonly #room: number[];

  constructor({ link, mesh }: ClientBoot) {
    this.#links = link.requests.map((requests, id) => {
      const { doorbell } = new ReplicaBlock(mesh, id);
      return {
        out: new OutLink(new RingWriter(requests), doorbell),
        in: new InLink(new RingReader(link.replies[id] as SharedArrayBuffer), doorbell),
      };
    });
    this.#room = this.#links.map(() => 0);
  }

  get replicas(): number {
    return this.#links.length;
  }

  send(to: ReplicaId, message: ClientMessage): void {
    this.#links[to]?.out.send(message);
  }

  /** Moves long messages on. */
  pump(): void {
    for (const link of this.#links) if (link.out.busy) link.out.pump();
  }

  /** Bytes that may be written, by replica; the array is used again. */
  room(): readonly number[] {
    for (let id = 0; id < this.#links.length; id++)
      this.#room[id] = this.#links[id]?.out.room() ?? 0;
    return this.#room;
  }

  /** Every replica is to ring when it has read on: for what found too little room. */
  askForRoom(): void {
    for (const { out } of this.#links) out.askForRoom();
  }

  /** A replica has read on for which a long message waits; or any of them, where something was `refused`. */
  told(refused: boolean): boolean {
    for (const { out } of this.#links) if ((refused || out.busy) && out.told) return true;
    return false;
  }

  /** Publishes what was sent. */
  flush(): void {
    for (const link of this.#links) link.out.flush();
  }

  /** How far the replica has read what was written for it. */
  positions(id: ReplicaId): RingPositions {
    return (this.#links[id] as ReplicaLinks).out.positions();
  }

  hasData(): boolean {
    for (const link of this.#links) if (link.in.hasData()) return true;
    return false;
  }

  /** Hands out messages of replica `from`. @returns the number of records consumed. */
  poll(from: ReplicaId, handler: (message: Message) => void): number {
    return (this.#links[from] as ReplicaLinks).in.poll(POLL_LIMIT, null, handler);
  }
}
