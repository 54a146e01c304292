// The other replicas, seen from one replica's thread: a pair of rings each, and the words in which the supervisor says what became
// of their threads. What a message or a hint means is the core's affair.

import type { Hint } from '../../protocol/effect.js';
import type { Message, ReplicaMessage } from '../../protocol/message.js';
import type { ReplicaId } from '../../protocol/types.js';
import { InLink, OutLink, type PollLimit } from '../../transport/link.js';
import { ReplicaBlock } from '../../transport/mesh.js';
import { RingReader } from '../../transport/ring.js';
import type { ReplicaBoot } from '../boot.js';
import type { ActorParts } from './stop-points.js';

interface PeerConnection {
  readonly id: ReplicaId;
  readonly in: InLink;
  readonly out: OutLink;
  readonly block: ReplicaBlock;
  /** Its ring had no room for a stream, and it was asked to tell when there is some. */
  full: boolean;
  /** Highest exit and start of its thread that the core was told. */
  exited: number;
  suspected: number;
  start: number;
}

export class PeerConnections {
  /** Messages that found no room: some rule repeats them. */
  dropped = 0;
  readonly #all: readonly PeerConnection[];
  readonly #room: number[];
  /** The last poll left nothing unread. */
  drained = false;

  constructor(boot: ReplicaBoot, parts: ActorParts) {
    const { members } = boot.configuration;
    this.#all = members
      .filter((member) => member.id !== boot.id)
      .map((member) => connect(boot, parts, member.id));
    this.#room = members.map(() => 0);
  }

  blockOf(id: ReplicaId): ReplicaBlock | undefined {
    return this.#find(id)?.block;
  }

  #find(id: ReplicaId): PeerConnection | undefined {
    return this.#all.find((peer) => peer.id === id);
  }

  /** @returns how many messages there were */
  poll(limit: PollLimit, handler: (message: Message) => void): number {
    let work = 0;
    this.drained = true;
    for (const peer of this.#all) {
      work += peer.in.poll(limit, null, handler);
      if (peer.in.hasData()) this.drained = false;
    }
    return work;
  }

  send(to: ReplicaId, message: ReplicaMessage): void {
    if (this.#find(to)?.out.send(message) === false) this.dropped++;
  }

  /** Long messages go on where there is room. @returns how many moved */
  pump(): number {
    let moved = 0;
    for (const { out } of this.#all) if (out.busy && out.pump()) moved++;
    return moved;
  }

  /** Bytes of entries that may be streamed to each, by its id (BP1b); the array is used again. */
  room(): readonly number[] {
    for (const peer of this.#all) {
      const { out } = peer;
      let room = out.room();
      if (room === 0 && !out.busy) {
        out.askForRoom();
        room = out.room();
      }
      peer.full = room === 0;
      this.#room[peer.id] = room;
    }
    return this.#room;
  }

  flush(): void {
    for (const peer of this.#all) peer.out.flush();
  }

  /** There is something to take, to tell the core, or to write where there was no room. */
  get ready(): boolean {
    for (const peer of this.#all)
      if (
        peer.in.hasData() ||
        peer.block.exited > peer.exited ||
        (peer.block.suspected > peer.suspected && peer.block.suspected >= peer.block.start) ||
        peer.block.start > peer.start ||
        ((peer.full || peer.out.busy) && peer.out.told)
      )
        return true;
    return false;
  }

  /** HH1, HH4: what the supervisor knows for certain about the other threads. @returns how much was new */
  hints(tell: (hint: Hint) => void): number {
    let told = 0;
    for (const peer of this.#all) {
      const { id } = peer;
      const { exited, start, suspected } = peer.block;
      // Of an earlier start than the running one it says nothing any more.
      if (suspected > peer.suspected && suspected >= start) {
        peer.suspected = suspected;
        tell({ kind: 'suspect', id, start: suspected });
        told++;
      }
      if (exited > peer.exited) {
        peer.exited = exited;
        tell({ kind: 'exited', id, start: exited });
        told++;
      }
      if (start > peer.start) {
        peer.start = start;
        tell({ kind: 'started', id, start });
        told++;
      }
    }
    return told;
  }

  /** Both ends of every link, for the account of traffic. */
  forEach(visit: (inbound: InLink, outbound: OutLink) => void): void {
    for (const peer of this.#all) visit(peer.in, peer.out);
  }
}

function connect(boot: ReplicaBoot, parts: ActorParts, id: ReplicaId): PeerConnection {
  const { mesh } = boot;
  const inbound = mesh.rings[id]?.[boot.id];
  const outbound = mesh.rings[boot.id]?.[id];
  if (!inbound || !outbound) throw new Error(`no rings between ${boot.id} and ${id}`);
  const block = new ReplicaBlock(mesh, id);
  return {
    id,
    in: new InLink(new RingReader(inbound), block.doorbell),
    out: new OutLink(parts.writer(outbound), block.doorbell),
    block,
    full: false,
    exited: block.exited,
    suspected: block.suspected,
    start: block.start,
  };
}
