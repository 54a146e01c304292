// A failover runs code that its threads have never run: compiling it then would take longer than the failover itself. So every
// replica plays one through beside its work: the real actors of three replicas, in private memory, in one thread. What a
// thread has rehearsed is compiled; nothing else of it remains.

import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { type Configuration, makeConfiguration } from '../../protocol/configuration.js';
import type { Message } from '../../protocol/message.js';
import type { ClientId, Digest64, ReplicaId } from '../../protocol/types.js';
import { OperationWriter } from '../../service/operation-writer.js';
import { STORE_BYTES_MIN } from '../../service/paged-heap.js';
import { EVERYTHING, InLink, OutLink } from '../../transport/link.js';
import {
  allocateClientLink,
  allocateMesh,
  type ClientLinkMemory,
  ClusterBlock,
  type MeshMemory,
  ReplicaBlock,
} from '../../transport/mesh.js';
import { RingReader, RingWriter } from '../../transport/ring.js';
import type { ReplicaBoot } from '../boot.js';
import { ReplicaActor } from './replica-actor.js';

const REPLICAS = 3;
const RING_BYTES = 64 << 10;
const STORE_BYTES = 2 * STORE_BYTES_MIN;
/** So many primaries die. */
const DEATHS = 2;
/** Rounds in which everybody makes one pass: of a loaded cluster, of a view change, of a recovery. */
const LOADED = 6;
const REQUESTS_PER_ROUND = 4;
const ELECTION = 8;
const RECOVERY = 12;
const KEYS = 32;
const VALUE = new Uint8Array(16);
const CLIENT: ClientId = [0, 0, 0, 1];

/** Takes a tenth of a second, in some seventy steps of a few milliseconds. @throws what the protocol's own assertions find */
export function* rehearse(boot: ReplicaBoot, digest64: Digest64): Generator<undefined, void> {
  const stage = new Stage(boot, digest64);
  for (let id = 0; id < REPLICAS; id++) {
    yield;
    stage.start(id);
  }
  for (let death = 0; death < DEATHS; death++) {
    yield* stage.load(LOADED);
    const dead = stage.killPrimary();
    yield* stage.rounds(ELECTION);
    yield* stage.load(LOADED);
    stage.start(dead);
    yield* stage.rounds(RECOVERY);
  }
}

class Stage {
  readonly #boot: ReplicaBoot;
  readonly #digest64: Digest64;
  readonly #configuration: Configuration = makeConfiguration(REPLICAS, 0, STORE_BYTES);
  readonly #mesh: MeshMemory = allocateMesh({ replicas: REPLICAS, ringBytes: RING_BYTES });
  readonly #notices: MessagePort;
  readonly #caller: Caller;
  readonly #actors: (ReplicaActor | null)[] = [];

  constructor(boot: ReplicaBoot, digest64: Digest64) {
    this.#boot = boot;
    this.#digest64 = digest64;
    const { port1, port2 } = new MessageChannel();
    // Closes both ends: nobody is to hear of it.
    port2.close();
    this.#notices = port1;
    this.#caller = new Caller(this.#mesh);
    new ClusterBlock(this.#mesh).start();
  }

  start(id: ReplicaId): void {
    const block = new ReplicaBlock(this.#mesh, id);
    block.start += 1;
    const boot: ReplicaBoot = {
      ...this.#boot,
      id,
      configuration: this.#configuration,
      start: block.start,
      pretouchBytes: 0,
      disk: null,
      mesh: this.#mesh,
      clients: [{ address: 1, link: this.#caller.link }],
      notices: this.#notices,
    };
    this.#actors[id] = new ReplicaActor(boot, this.#digest64);
  }

  killPrimary(): ReplicaId {
    const id = this.#primary;
    const block = new ReplicaBlock(this.#mesh, id);
    this.#actors[id] = null;
    block.suspected = block.start;
    this.#round();
    block.exited = block.start;
    return id;
  }

  *load(rounds: number): Generator<undefined, void> {
    for (let round = 0; round < rounds; round++) {
      yield;
      this.#caller.call(this.#primary);
      this.#round();
    }
  }

  *rounds(count: number): Generator<undefined, void> {
    for (let round = 0; round < count; round++) {
      yield;
      this.#round();
    }
  }

  #round(): void {
    for (const actor of this.#actors)
      if (actor !== null && actor.pass() === 0 && !actor.hasData()) actor.beforePark();
    this.#caller.hear();
  }

  get #primary(): ReplicaId {
    const views = this.#actors.map((actor) => actor?.replica.state.view ?? 0);
    return Math.max(...views) % REPLICAS;
  }
}

/** A client's messages, by hand: what it forgets to repeat is not missed here. */
class Caller {
  readonly link: ClientLinkMemory = allocateClientLink({
    replicas: REPLICAS,
    ringBytes: RING_BYTES,
  });
  readonly #out: readonly OutLink[];
  readonly #in: readonly InLink[];
  readonly #writer = new OperationWriter();
  #session = 0;
  #sent = 0;
  #answered = 0;
  #reads = 0;

  constructor(mesh: MeshMemory) {
    this.#out = this.link.requests.map(
      (ring, id) => new OutLink(new RingWriter(ring), new ReplicaBlock(mesh, id).doorbell),
    );
    this.#in = this.link.replies.map((ring) => new InLink(new RingReader(ring)));
  }

  call(primary: ReplicaId): void {
    const out = this.#out[primary] as OutLink;
    const common = { clientId: CLIENT, epoch: 0, seenView: 0 } as const;
    if (this.#session === 0) out.send({ kind: 'register', ...common, nonce: 1 });
    else {
      const session = this.#session;
      for (let at = 0; at < REQUESTS_PER_ROUND; at++) {
        const body = this.#write(at);
        const acked = this.#answered;
        out.send({ kind: 'request', ...common, session, requestNumber: ++this.#sent, acked, body });
      }
      const body = this.#read();
      const afterRequest = this.#answered;
      out.send({ kind: 'read', ...common, session, afterRequest, readId: ++this.#reads, body });
    }
    out.flush();
  }

  #write(request: number): Uint8Array {
    this.#writer.reset();
    for (let key = 0; key < KEYS; key++) this.#writer.set(`${request} ${key}`, VALUE);
    this.#writer.delete(`${request} 0`);
    this.#writer.incr(`${request} n`, 1);
    return this.#writer.finish(false);
  }

  #read(): Uint8Array {
    this.#writer.reset();
    for (let key = 0; key < KEYS; key++) this.#writer.get(`0 ${key}`);
    return this.#writer.finish(false);
  }

  hear(): void {
    for (const from of this.#in) from.poll(EVERYTHING, null, (message) => this.#note(message));
  }

  #note(message: Message): void {
    if (message.kind !== 'reply') return;
    this.#session = message.session;
    this.#answered = Math.max(this.#answered, message.requestNumber);
    this.#sent = Math.max(this.#sent, this.#answered);
  }
}
