// Steps of the core without threads, rings or frames: a primary and one backup of a group of three, with the real service, handed each
// other's messages in this thread. The third replica is silent, for a quorum does not need it. Each stage is timed by itself, and the
// whole with its CPU time: what is left to pay for is what hosts add.

import { loadDigest } from '#dist/actors/replica/digest.js';
import { makeConfiguration } from '#dist/protocol/configuration.js';
import type { Effect, Event } from '#dist/protocol/effect.js';
import { DEFAULT_LIMITS, DEFAULT_TIMING } from '#dist/protocol/limits.js';
import type { ReplicaMessage, Request } from '#dist/protocol/message.js';
import { Replica } from '#dist/protocol/replica.js';
import type { ClientId, Digest64, ReplicaId } from '#dist/protocol/types.js';
import { Services } from '#dist/service/services.js';
import { once, type Part, type Piece } from './piece.js';
import { requestsOf } from './store.js';

const REPLICAS = 3;
const PRIMARY = 0;
const BACKUP = 1;
const STORE_BYTES = 2 ** 30;
/** Entries of one cycle: half a window. */
const ENTRIES = 16;
/** Requests that a client has open; it has acknowledged the replies of earlier ones. */
const OPEN = DEFAULT_LIMITS.sessionWindow;
/** Room in every ring: nothing is deferred. */
const ROOM = new Array<number>(REPLICAS).fill(1 << 20);
const PASS_US = 100;
/** Checkpoints cut the log often enough for it to stay in memory that it had before. */
const LIMITS = { ...DEFAULT_LIMITS, checkpointEvery: 256, retain: 64 };
const CHECKPOINT_PAGES = 64;
const BODIES = 64;

/** What the sets of an entry come in. */
interface Shape {
  readonly name: string;
  readonly requests: number;
  readonly operations: number;
}

const SHAPES: readonly Shape[] = [
  { name: 'of 1 request of 512', requests: 1, operations: 512 },
  { name: 'of 256 requests of 1', requests: 256, operations: 1 },
];

const STAGES = {
  admit: 'primary admits and cuts',
  prepare: 'backup takes the Prepare',
  acknowledge: 'primary takes the PrepareOk',
  execute: 'primary executes and replies',
} as const;
type Stage = keyof typeof STAGES;

interface Session {
  readonly clientId: ClientId;
  readonly address: number;
  readonly session: number;
  sent: number;
}

class Pair {
  readonly #primary: Replica;
  readonly #backup: Replica;
  readonly #shape: Shape;
  readonly #bodies: readonly Uint8Array[];
  readonly #sessions: readonly Session[];
  #turn = 0;
  #nowUs = 0;
  /** Milliseconds of each stage in the last cycle. */
  readonly took: Record<Stage, number> = { admit: 0, prepare: 0, acknowledge: 0, execute: 0 };

  constructor(shape: Shape, digest64: Digest64) {
    this.#shape = shape;
    this.#bodies = requestsOf('set', BODIES, shape.operations);
    this.#primary = makeReplica(PRIMARY, digest64);
    this.#backup = makeReplica(BACKUP, digest64);
    const count = Math.ceil(shape.requests / OPEN);
    this.#sessions = Array.from({ length: count }, (_, index) => this.#register(index + 1));
  }

  #register(address: number): Session {
    const clientId: ClientId = [0, 0, 0, address];
    const message = { kind: 'register', clientId, nonce: 1, epoch: 0, seenView: 0 } as const;
    this.#primary.step({ type: 'client', address, message });
    this.#replicate(this.#pass(this.#primary));
    const replies = this.#primary.step({ type: 'execute', budget: 1, reads: 1 });
    for (const effect of replies)
      if (effect.type === 'reply' && effect.message.kind === 'reply')
        return { clientId, address, session: effect.message.session, sent: 0 };
    throw new Error('a session was not opened');
  }

  #pass(replica: Replica): readonly Effect[] {
    this.#nowUs += PASS_US;
    return replica.step({
      type: 'endOfPass',
      nowUs: this.#nowUs,
      room: ROOM,
      drainedAt: null,
    });
  }

  /** What the primary says goes to the backup, and its answer back. */
  #replicate(effects: readonly Effect[]): void {
    this.#acknowledge(this.#prepare(sentTo(BACKUP, effects)));
  }

  #prepare(messages: readonly ReplicaMessage[]): readonly Effect[] {
    for (const message of messages) this.#backup.step({ type: 'message', message });
    return this.#pass(this.#backup);
  }

  #acknowledge(effects: readonly Effect[]): void {
    for (const message of sentTo(PRIMARY, effects))
      this.#primary.step({ type: 'message', message });
  }

  /** The requests of all entries of one cycle, each with where it comes from. */
  #requests(): Event[] {
    const { requests } = this.#shape;
    return Array.from({ length: ENTRIES * requests }, (_, at) => {
      const from = this.#sessions[at % this.#sessions.length] as Session;
      const { clientId, address, session } = from;
      const requestNumber = ++from.sent;
      const message: Request = {
        kind: 'request',
        clientId,
        session,
        requestNumber,
        acked: Math.max(0, requestNumber - OPEN),
        epoch: 0,
        seenView: 0,
        body: this.#bodies[this.#turn++ % this.#bodies.length] as Uint8Array,
      };
      return { type: 'client', address, message };
    });
  }

  #admit(events: readonly Event[]): ReplicaMessage[] {
    const { requests } = this.#shape;
    const messages: ReplicaMessage[] = [];
    events.forEach((event, at) => {
      this.#primary.step(event);
      if ((at + 1) % requests === 0) messages.push(...sentTo(BACKUP, this.#pass(this.#primary)));
    });
    return messages;
  }

  /** ENTRIES entries through all stages; the backup executes those that it knows to be committed. */
  cycle(): void {
    const { took } = this;
    const events = this.#requests();
    let since = performance.now();
    const lap = (stage: Stage): void => {
      const now = performance.now();
      took[stage] = now - since;
      since = now;
    };
    const prepares = this.#admit(events);
    lap('admit');
    const answer = this.#prepare(prepares);
    lap('prepare');
    this.#acknowledge(answer);
    lap('acknowledge');
    const effects = this.#primary.step({ type: 'execute', budget: ENTRIES, reads: ENTRIES });
    lap('execute');
    const replies = effects.filter(({ type }) => type === 'reply').length;
    if (replies !== events.length)
      throw new Error(`${replies} replies came to ${events.length} requests`);
    this.#backup.step({ type: 'execute', budget: ENTRIES, reads: ENTRIES });
    for (const replica of [this.#primary, this.#backup])
      while (replica.checkpointing) replica.step({ type: 'checkpoint', budget: CHECKPOINT_PAGES });
  }
}

function makeReplica(id: ReplicaId, digest64: Digest64): Replica {
  let word = id;
  const replica = new Replica({
    id,
    configuration: makeConfiguration(REPLICAS, 0, STORE_BYTES),
    clusterId: 1,
    gen: 0,
    start: 1,
    register: null,
    limits: LIMITS,
    timing: DEFAULT_TIMING,
    random: () => {
      word = (Math.imul(word, 1_664_525) + 1_013_904_223) >>> 0;
      return word;
    },
    digest64,
    stateMachine: new Services({ storeBytes: STORE_BYTES, kernel: true }),
    reusesMemory: true,
  });
  replica.step({ type: 'boot' });
  return replica;
}

function sentTo(to: ReplicaId, effects: readonly Effect[]): ReplicaMessage[] {
  return effects.flatMap((effect) =>
    effect.type === 'send' && effect.to === to ? [effect.message] : [],
  );
}

function piecesOf(shape: Shape): Piece[] {
  const pair = once(async () => new Pair(shape, await loadDigest()));
  const count = ENTRIES * shape.requests * shape.operations;
  const name = (what: string): string => `core, a set in an entry ${shape.name}: ${what}`;
  const stages = Object.entries(STAGES) as [Stage, string][];
  return [
    ...stages.map(([stage, what]) => ({
      name: name(what),
      start: async () => {
        const one = await pair();
        const run = (): Part => {
          const begin = performance.now();
          one.cycle();
          return {
            overriddenDuration: one.took[stage],
            overriddenIterationCost: performance.now() - begin,
          };
        };
        return { count, partly: true, run };
      },
    })),
    {
      name: name('all of it, executed by both'),
      start: async () => {
        const one = await pair();
        return { count, run: () => one.cycle() };
      },
    },
  ];
}

export function core(): Piece[] {
  return SHAPES.flatMap(piecesOf);
}
