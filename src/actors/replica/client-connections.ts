// The clients of a replica, seen from its thread: a pair of rings each. Requests are read in turns, as long as the core can take what
// comes; replies that find no room wait in order, up to a bound, and beyond it the client's resend asks again (BP1c).

import type { Event } from '../../protocol/effect.js';
import type { ClientMessage, Message, MessageKind, ServerMessage } from '../../protocol/message.js';
import type { ClientAddress, ReplicaId } from '../../protocol/types.js';
import { emptyAsked } from '../../transport/asked-frames.js';
import { InLink, OutLink, type PollLimit, type Taker } from '../../transport/link.js';
import { type ClientLinkMemory, clientDoorbell } from '../../transport/mesh.js';
import { RingReader } from '../../transport/ring.js';
import type { ActorParts } from './stop-points.js';

/** Replies that wait for room in a client's ring: its window, and as many reads again (BP1c). */
const REPLIES_WAITING_MAX = 4096;

/** What clients make of a replica. */
type Asking = Extract<Event, { readonly type: 'client' | 'request' | 'read' }>;

interface Connection {
  readonly address: ClientAddress;
  readonly requests: InLink;
  readonly replies: OutLink;
  readonly take: (message: Message) => void;
  readonly taker: Taker;
  /** In order, behind what no longer fitted. */
  waiting: ServerMessage[];
  /** Among those to be flushed; among those with something that waits for room. */
  written: boolean;
  stuck: boolean;
}

export class ClientConnections {
  /** Replies given up because too many waited. */
  dropped = 0;
  readonly #replica: ReplicaId;
  readonly #parts: ActorParts;
  readonly #accept: (kind: MessageKind) => boolean;
  readonly #take: (event: Asking) => void;
  readonly #asked = emptyAsked();
  readonly #all: Connection[] = [];
  // Few of many at a time: a pass does not look at all of them again and again.
  readonly #written: Connection[] = [];
  #stuck: Connection[] = [];
  readonly #byAddress = new Map<ClientAddress, Connection>();
  /** Behind whoever was served last. */
  #turn = 0;

  /** `accept`: whether the core takes a message of this kind now; others stay unread (N1). */
  constructor(
    replica: ReplicaId,
    parts: ActorParts,
    accept: (kind: MessageKind) => boolean,
    take: (event: Asking) => void,
  ) {
    this.#replica = replica;
    this.#parts = parts;
    this.#accept = accept;
    this.#take = take;
  }

  add(address: ClientAddress, link: ClientLinkMemory): void {
    const requests = link.requests[this.#replica];
    const replies = link.replies[this.#replica];
    if (!requests || !replies)
      throw new Error(`no rings between ${this.#replica} and client ${address}`);
    const doorbell = clientDoorbell(link);
    const connection: Connection = {
      address,
      requests: new InLink(new RingReader(requests), doorbell),
      replies: new OutLink(this.#parts.writer(replies), doorbell),
      take: (message) => this.#take({ type: 'client', address, message: message as ClientMessage }),
      taker: this.#takerOf(address),
      waiting: [],
      written: false,
      stuck: false,
    };
    this.#all.push(connection);
    this.#byAddress.set(address, connection);
  }

  /** An event says nothing that changes: what was asked stands in a record of all of them. */
  #takerOf(address: ClientAddress): Taker {
    const asked = this.#asked;
    const request: Asking = { type: 'request', address, request: asked.request };
    const read: Asking = { type: 'read', address, read: asked.read };
    return {
      asked,
      onRequest: () => this.#take(request),
      onRead: () => this.#take(read),
    };
  }

  /** @returns whether there was such a client */
  remove(address: ClientAddress): boolean {
    const connection = this.#byAddress.get(address);
    if (connection === undefined) return false;
    this.#byAddress.delete(address);
    this.#all.splice(this.#all.indexOf(connection), 1);
    this.#stuck = this.#stuck.filter((other) => other !== connection);
    return true;
  }

  /**
   * N3: round-robin, and only as long as the core can take what comes. It begins behind whoever was served last: the core may refuse
   * for many polls between two messages, and a turn that went on meanwhile could come to the same client each time.
   * @returns how many messages there were
   */
  poll(limit: PollLimit): number {
    const all = this.#all;
    const count = all.length;
    if (count === 0) return 0;
    let work = 0;
    let at = this.#turn % count;
    for (let left = count; left > 0; left--) {
      const { requests, take, taker } = all[at] as Connection;
      const taken = requests.poll(limit, this.#accept, take, taker);
      if (++at === count) at = 0;
      if (taken === 0) continue;
      work += taken;
      this.#turn = at;
    }
    return work;
  }

  /** Something lies in a ring that the core would take, or waits for room that has come. */
  get ready(): boolean {
    for (const { requests } of this.#all) if (requests.ready(this.#accept)) return true;
    for (const { replies } of this.#stuck) if (replies.told) return true;
    return false;
  }

  /** Long messages and waiting replies go on where there is room. @returns how many moved */
  pump(): number {
    if (this.#stuck.length === 0) return 0;
    let moved = 0;
    for (const client of this.#stuck) moved += this.#pump(client);
    this.#stuck = this.#stuck.filter((client) => {
      client.stuck = client.waiting.length > 0 || client.replies.busy;
      return client.stuck;
    });
    return moved;
  }

  #pump(client: Connection): number {
    let moved = client.replies.busy && client.replies.pump() ? 1 : 0;
    moved += this.#sendWaiting(client);
    if (client.waiting.length > 0) {
      client.replies.askForRoom();
      moved += this.#sendWaiting(client);
    }
    if (moved > 0) this.#noteWritten(client);
    return moved;
  }

  #sendWaiting(client: Connection): number {
    let sent = 0;
    while (
      sent < client.waiting.length &&
      client.replies.send(client.waiting[sent] as ServerMessage)
    )
      sent++;
    if (sent > 0) client.waiting = client.waiting.slice(sent);
    return sent;
  }

  #noteWritten(client: Connection): void {
    if (client.written) return;
    client.written = true;
    this.#written.push(client);
  }

  #noteStuck(client: Connection): void {
    if (client.stuck) return;
    client.stuck = true;
    this.#stuck.push(client);
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
    if (client.waiting.length === 0 && client.replies.send(message)) {
      this.#noteWritten(client);
      if (client.replies.busy) this.#noteStuck(client);
      return;
    }
    if (client.waiting.length >= REPLIES_WAITING_MAX) {
      this.dropped++;
      return;
    }
    const kept =
      message.kind === 'readReply' ? { ...message, result: message.result.slice() } : message;
    client.waiting.push(kept);
    this.#noteStuck(client);
  }

  flush(): void {
    const written = this.#written;
    for (const client of written) {
      client.written = false;
      client.replies.flush();
    }
    if (written.length > 0) written.length = 0;
  }

  /** Both ends of every link, for the account of traffic. */
  forEach(visit: (inbound: InLink, outbound: OutLink) => void): void {
    for (const client of this.#all) visit(client.requests, client.replies);
  }
}
