// The clients of a replica, seen from its thread: a pair of rings each. Requests are read in turns, as long as the core can take what
// comes; replies that find no room wait in order, up to a bound, and beyond it the client's resend asks again (BP1c).

import type { ClientMessage, Message, MessageKind, ServerMessage } from '../../protocol/message.js';
import type { ClientAddress, ReplicaId } from '../../protocol/types.js';
import { InLink, OutLink, type PollLimit } from '../../transport/link.js';
import { type ClientLinkMemory, clientDoorbell } from '../../transport/mesh.js';
import { RingReader } from '../../transport/ring.js';
import type { ActorParts } from './stop-points.js';

/** Replies that wait for room in a client's ring: its window, and as many reads again (BP1c). */
const REPLIES_WAITING_MAX = 4096;

interface Connection {
  readonly address: ClientAddress;
  readonly requests: InLink;
  readonly replies: OutLink;
  /** In order, behind what no longer fitted. */
  waiting: ServerMessage[];
}

export class ClientConnections {
  /** Replies given up because too many waited. */
  dropped = 0;
  readonly #replica: ReplicaId;
  readonly #parts: ActorParts;
  readonly #accept: (kind: MessageKind) => boolean;
  readonly #all: Connection[] = [];
  readonly #byAddress = new Map<ClientAddress, Connection>();
  #turn = 0;

  /** `accept`: whether the core takes a message of this kind now; others stay unread (N1). */
  constructor(replica: ReplicaId, parts: ActorParts, accept: (kind: MessageKind) => boolean) {
    this.#replica = replica;
    this.#parts = parts;
    this.#accept = accept;
  }

  add(address: ClientAddress, link: ClientLinkMemory): void {
    const requests = link.requests[this.#replica];
    const replies = link.replies[this.#replica];
    if (!requests || !replies)
      throw new Error(`no rings between ${this.#replica} and client ${address}`);
    const connection: Connection = {
      address,
      requests: new InLink(new RingReader(requests)),
      replies: new OutLink(this.#parts.writer(replies), clientDoorbell(link)),
      waiting: [],
    };
    this.#all.push(connection);
    this.#byAddress.set(address, connection);
  }

  /** @returns whether there was such a client */
  remove(address: ClientAddress): boolean {
    const connection = this.#byAddress.get(address);
    if (connection === undefined) return false;
    this.#byAddress.delete(address);
    this.#all.splice(this.#all.indexOf(connection), 1);
    return true;
  }

  /** N3: round-robin, and only as long as the core can take what comes. @returns how many messages there were */
  poll(limit: PollLimit, take: (address: ClientAddress, message: ClientMessage) => void): number {
    const count = this.#all.length;
    let work = 0;
    for (let turn = 0; turn < count; turn++) {
      const client = this.#all[(this.#turn + turn) % count];
      if (client === undefined) continue;
      work += client.requests.poll(limit, this.#accept, (message: Message) =>
        take(client.address, message as ClientMessage),
      );
    }
    if (count > 0) this.#turn = (this.#turn + 1) % count;
    return work;
  }

  /** Something lies in a ring that the core would take. */
  get ready(): boolean {
    return this.#all.some((client) => client.requests.ready(this.#accept));
  }

  /** Something written waits for room: nobody rings when there is some. */
  get waitsForRoom(): boolean {
    return this.#all.some((client) => client.waiting.length > 0 || client.replies.busy);
  }

  /** Long messages and waiting replies go on where there is room. @returns how many moved */
  pump(): number {
    let moved = 0;
    for (const client of this.#all) {
      if (client.replies.busy && client.replies.pump()) moved++;
      let sent = 0;
      while (
        sent < client.waiting.length &&
        client.replies.send(client.waiting[sent] as ServerMessage)
      )
        sent++;
      if (sent > 0) client.waiting = client.waiting.slice(sent);
      moved += sent;
    }
    return moved;
  }

  reply(address: ClientAddress, message: ServerMessage): void {
    const client = this.#byAddress.get(address);
    if (client !== undefined) this.#send(client, message);
  }

  announce(message: ServerMessage): void {
    for (const client of this.#all) this.#send(client, message);
  }

  /** BP1c: never waits. */
  #send(client: Connection, message: ServerMessage): void {
    if (client.waiting.length === 0 && client.replies.send(message)) return;
    if (client.waiting.length >= REPLIES_WAITING_MAX) {
      this.dropped++;
      return;
    }
    const kept =
      message.kind === 'readReply' ? { ...message, result: message.result.slice() } : message;
    client.waiting.push(kept);
  }

  flush(): void {
    for (const client of this.#all) client.replies.flush();
  }

  /** Both ends of every link, for the account of traffic. */
  forEach(visit: (inbound: InLink, outbound: OutLink) => void): void {
    for (const client of this.#all) visit(client.requests, client.replies);
  }
}
