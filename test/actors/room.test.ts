// Long messages through small rings, with real actors on one thread and without time: the client's timer never fires, replicas
// never tick, and whoever sleeps makes its next pass when its doorbell has been rung, and not before. Who waits for room must be rung.

import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ClientActor } from '../../src/actors/client/client-actor.js';
import { ClientHandle } from '../../src/actors/client/client-handle.js';
import { openSettings } from '../../src/actors/options.js';
import { loadDigest } from '../../src/actors/replica/digest.js';
import { ReplicaActor } from '../../src/actors/replica/replica-actor.js';
import { makeConfiguration } from '../../src/protocol/configuration.js';
import { entryAt, head } from '../../src/protocol/log.js';
import { CLIENT_WORDS, REPLICA_BLOCK_BYTES, RING_WAITING_AT } from '../../src/transport/layout.js';
import {
  allocateClientLink,
  allocateMesh,
  type ClientLinkMemory,
  ReplicaBlock,
} from '../../src/transport/mesh.js';

const REPLICAS = 3;
const ASLEEP = 1;
const RESTING = 2;
const ADDRESS = 1;
const MIB = 1 << 20;
/** Turns of the event loop in which nobody was awake: what the client has to do takes fewer. */
const QUIET_TURNS = 100;

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const digest64 = await loadDigest();

/**
 * Who runs when: everybody makes one pass in turn; or each goes on until it sleeps; or, besides, the others run at the very moment
 * at which somebody falls asleep, or the client asks for room, just before that can be seen.
 */
const SCHEDULES = ['in turn', 'to its sleep', 'between look and sleep'] as const;
type Schedule = (typeof SCHEDULES)[number];

/** A thread's loop, one pass at a time. */
class Sleeper {
  readonly actor: ReplicaActor;
  stopped = false;
  readonly #words: Int32Array;
  readonly #beforeSleep: () => void;

  constructor(actor: ReplicaActor, words: Int32Array, beforeSleep: () => void) {
    this.actor = actor;
    this.#words = words;
    this.#beforeSleep = beforeSleep;
  }

  /** @returns false while it sleeps */
  pass(): boolean {
    const { actor } = this;
    if (this.stopped || Atomics.load(this.#words, 0) !== 0) return false;
    if (actor.pass() > 0 || actor.hasData()) return true;
    actor.beforePark();
    this.#beforeSleep();
    Atomics.store(this.#words, 0, actor.rests ? RESTING : ASLEEP);
    if (actor.hasData()) Atomics.store(this.#words, 0, 0);
    return true;
  }
}

class Stage {
  readonly client: ClientHandle;
  readonly sleepers: readonly Sleeper[];
  schedule: Schedule;
  readonly #actor: ClientActor;
  readonly #notices: MessagePort;
  #interrupted = false;

  constructor(ringBytes: number, schedule: Schedule) {
    this.schedule = schedule;
    const settings = openSettings({ limits: { ringBytes, storeBytes: 64 * MIB } });
    const mesh = allocateMesh({ replicas: REPLICAS, ringBytes });
    const link = allocateClientLink({ replicas: REPLICAS, ringBytes });
    const { port1, port2 } = new MessageChannel();
    port2.close();
    this.#notices = port1;
    this.sleepers = Array.from({ length: REPLICAS }, (_, id) => {
      const block = new ReplicaBlock(mesh, id);
      block.start = 1;
      const actor = new ReplicaActor(
        {
          id,
          configuration: makeConfiguration(REPLICAS, 0, settings.storeBytes),
          clusterId: 1,
          disk: null,
          start: 1,
          limits: settings.limits,
          timing: settings.timing,
          pretouchBytes: 0,
          mesh,
          clients: [{ address: ADDRESS, link }],
          notices: port1,
          faults: false,
        },
        digest64,
      );
      const words = new Int32Array(mesh.blocks, id * REPLICA_BLOCK_BYTES);
      return new Sleeper(actor, words, () => this.#interrupt());
    });
    this.#actor = new ClientActor({
      address: ADDRESS,
      clusterName: 'room',
      replicas: REPLICAS,
      actives: REPLICAS,
      mesh,
      link,
      settings: settings.client,
    });
    this.#interruptClient(link);
    const none = (): Promise<never> => Promise.reject(new Error('nobody to ask'));
    this.client = new ClientHandle(this.#actor, {
      defaults: settings.client,
      status: none,
      leave: none,
    });
  }

  /** Where the client falls asleep, and where it asks for room. */
  #interruptClient({ words, requests }: ClientLinkMemory): void {
    const store = Atomics.store as (...args: unknown[]) => unknown;
    vi.spyOn(Atomics, 'store').mockImplementation((...args: unknown[]) => {
      const [target, at, value] = args as [Int32Array, number, number];
      const memory = target.buffer as SharedArrayBuffer;
      const sleeps = memory === words && at === CLIENT_WORDS.doorbell && value === ASLEEP;
      const asks = requests.includes(memory) && at === RING_WAITING_AT / 4 && value === 1;
      if (sleeps || asks) this.#interrupt();
      return store.apply(Atomics, args) as never;
    });
  }

  #interrupt(): void {
    if (this.schedule !== 'between look and sleep' || this.#interrupted) return;
    this.#interrupted = true;
    for (const sleeper of this.sleepers) while (sleeper.pass());
    this.#interrupted = false;
  }

  /** @returns whether anybody was awake */
  #turn(): boolean {
    let awake = false;
    for (const sleeper of this.sleepers)
      while (sleeper.pass()) {
        awake = true;
        if (this.schedule === 'in turn') break;
      }
    return awake;
  }

  open(): Promise<void> {
    return this.run(this.#actor.open());
  }

  /** Until `work` is done. @throws when everybody sleeps before that */
  async run<T>(work: Promise<T>): Promise<T> {
    let done = false;
    const settled = work.finally(() => {
      done = true;
    });
    settled.catch(() => undefined);
    await this.rest(() => done);
    if (!done) throw new Error('everybody sleeps, and something is still to do');
    return await settled;
  }

  /** Until it is `enough`, or everybody sleeps. */
  async rest(enough: () => boolean = () => false): Promise<void> {
    for (let quiet = 0; !enough() && quiet < QUIET_TURNS; quiet++) {
      if (this.#turn()) quiet = 0;
      await turn();
    }
  }

  close(): void {
    this.#actor.abandon('closed');
    this.#notices.close();
  }
}

let stage: Stage | null = null;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
});

afterEach(() => {
  stage?.close();
  stage = null;
  vi.useRealTimers();
  vi.restoreAllMocks();
});

async function opened(ringBytes: number, schedule: Schedule): Promise<Stage> {
  stage = new Stage(ringBytes, schedule);
  await stage.open();
  return stage;
}

function bytesOf(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, at) => (at * 31 + (at >> 8) + seed) & 0xff);
}

/** The general comparison takes seconds for a megabyte. */
function same(found: readonly unknown[], values: readonly Uint8Array[]): void {
  expect(found).toHaveLength(values.length);
  for (const [at, value] of values.entries())
    expect(Buffer.compare(found[at] as Uint8Array, value)).toBe(0);
}

describe.each(SCHEDULES)('each runs %s', (schedule) => {
  test.each([
    { ring: 64 << 10, value: 1000 << 10 },
    { ring: 64 << 10, value: 60 << 10 },
    { ring: 1 << 20, value: 1000 << 10 },
  ])('a value of $value bytes goes through rings of $ring bytes, there and back', async (sizes) => {
    const here = await opened(sizes.ring, schedule);
    const kv = here.client.kv.namespace('', { encoding: 'bytes' });
    const value = bytesOf(sizes.value, 1);
    await here.run(kv.set('key', value));
    same([await here.run(kv.get('key'))], [value]);
  });

  test('as many calls as may be open, whose requests and answers fill every ring', async () => {
    const here = await opened(64 << 10, schedule);
    const kv = here.client.kv.namespace('', { encoding: 'bytes' });
    const values = Array.from({ length: 48 }, (_, at) => bytesOf(7000 + 1000 * at, at));
    await here.run(Promise.all(values.map((value, at) => kv.set(`${at}`, value))));
    const found = await here.run(Promise.all(values.map((_, at) => kv.get(`${at}`))));
    same(found, values);
  });

  test('reads at every level, answered by whoever is asked', async () => {
    const here = await opened(64 << 10, schedule);
    const kv = here.client.kv.namespace('', { encoding: 'bytes' });
    const values = Array.from({ length: 24 }, (_, at) => bytesOf(20_000 + at, at));
    await here.run(Promise.all(values.map((value, at) => kv.set(`${at}`, value))));
    for (const consistency of ['linearizable', 'session'] as const) {
      const reads = values.map((_, at) => kv.get(`${at}`, { consistency }));
      same(await here.run(Promise.all(reads)), values);
    }
  });

  test('requests go on as the primary takes them, although nothing is answered', async () => {
    const here = await opened(64 << 10, schedule);
    const [primary, ...backups] = here.sleepers as [Sleeper, ...Sleeper[]];
    await here.rest();
    for (const backup of backups) backup.stopped = true;
    const { log } = primary.actor.replica.state;
    const before = head(log);
    const kv = here.client.kv.namespace('', { encoding: 'bytes' });
    const count = 16;
    here.schedule = 'to its sleep';
    for (let at = 0; at < count; at++) {
      // The rings are full: the last call is the only one that finds the primary reading meanwhile.
      if (at === count - 1) here.schedule = schedule;
      void kv.set(`${at}`, bytesOf(14_000, at)).catch(() => undefined);
      // Calls of one turn of the event loop would form one request.
      await turn();
    }
    await here.rest();
    let requests = 0;
    for (let op = before + 1; op <= head(log); op++) requests += entryAt(log, op).count;
    expect(requests).toBe(count);
  });
});
