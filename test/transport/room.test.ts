// Nobody waits for room in vain: a sender that sleeps is rung by the release that makes some. Two threads are played by one, which
// lets the one side run at every single atomic operation of the other, so that every order is seen in which their steps can fall.

import { afterEach, expect, test, vi } from 'vitest';
import type { Request } from '../../src/protocol/message.js';
import { Doorbell } from '../../src/transport/doorbell.js';
import { EVERYTHING, InLink, OutLink, type PollLimit } from '../../src/transport/link.js';
import { RingReader, RingWriter, ringMemoryBytes } from '../../src/transport/ring.js';

const CAPACITY = 4096;
const SENDER = 0;
const RECEIVER = 1;
/** More steps than any turn of one side has. */
const STEPS_MAX = 200;
const OPERATIONS = ['load', 'store', 'exchange', 'compareExchange', 'notify', 'waitAsync'] as const;

function long(length: number): Request {
  const body = Uint8Array.from({ length }, (_, at) => (at * 7 + (at >> 8)) & 0xff);
  const rest = { session: 1, requestNumber: 2, acked: 0, epoch: 0, seenView: 3 };
  return { kind: 'request', clientId: [1, 2, 3, 4], ...rest, body };
}

afterEach(() => {
  vi.restoreAllMocks();
});

/** Runs `turn`, and within it `other` before its step `at`, or after its last. @returns false when it has no such step */
function interrupted(at: number, turn: () => void, other: () => void): boolean {
  let step = 0;
  let inside = false;
  for (const name of OPERATIONS) {
    const real = Atomics[name] as (...args: unknown[]) => unknown;
    vi.spyOn(Atomics, name).mockImplementation((...args: unknown[]) => {
      if (!inside && step++ === at) {
        inside = true;
        other();
        inside = false;
      }
      return real.apply(Atomics, args) as never;
    });
  }
  turn();
  vi.restoreAllMocks();
  if (step > at) return true;
  other();
  return false;
}

/** A sender that sleeps whenever its long message cannot go on, and nothing but its doorbell wakes it; its receiver. */
class Pair {
  readonly words = new Int32Array(new SharedArrayBuffer(8));
  readonly out: OutLink;
  readonly in: InLink;
  readonly received: number[] = [];
  sleeps = 0;
  readonly #bell = new Doorbell(this.words, SENDER);
  readonly #limit: PollLimit;
  #sleep: Promise<unknown> | null = null;

  constructor(limit: Partial<PollLimit>) {
    const memory = new SharedArrayBuffer(ringMemoryBytes(CAPACITY));
    this.out = new OutLink(new RingWriter(memory), new Doorbell(this.words, RECEIVER));
    this.in = new InLink(new RingReader(memory), new Doorbell(this.words, SENDER));
    this.#limit = { ...EVERYTHING, ...limit };
  }

  /** One pass of the sender, and sleep. */
  readonly send = (): void => {
    if (this.#sleep !== null) return;
    this.out.pump();
    this.out.flush();
    if (!this.out.busy) return;
    this.#sleep = this.#bell.park(() => this.out.told);
    if (this.#sleep !== null) this.sleeps++;
  };

  /** One pass of the receiver. */
  readonly receive = (): void => {
    this.in.poll(this.#limit, null, (message) => {
      this.received.push((message as Request).body.length);
    });
  };

  /** Until the message has arrived. @returns false when both have nothing to do before that */
  async finish(): Promise<boolean> {
    while (this.received.length === 0) {
      if (this.#sleep !== null && Atomics.load(this.words, SENDER) === 0) {
        await this.#sleep;
        this.#sleep = null;
      }
      if (this.#sleep !== null && !this.in.hasData()) return false;
      this.send();
      this.receive();
    }
    return true;
  }
}

const LIMITS: readonly Partial<PollLimit>[] = [{}, { frames: 1 }, { bytes: 1500 }];

test.each(LIMITS)('a receiver that is interrupted by the sender: limit %o', async (limit) => {
  let step = 0;
  for (let more = true; more && step < STEPS_MAX; step++) {
    const pair = new Pair(limit);
    pair.out.send(long(20_000));
    pair.out.flush();
    more = interrupted(step, pair.receive, pair.send);
    expect(await pair.finish(), `step ${step}`).toBe(true);
    expect(pair.received).toEqual([20_000]);
    expect(pair.sleeps).toBeGreaterThan(0);
  }
  expect(step).toBeGreaterThan(5);
  expect(step).toBeLessThan(STEPS_MAX);
});

test.each(LIMITS)('a sender that is interrupted by the receiver: limit %o', async (limit) => {
  let step = 0;
  for (let more = true; more && step < STEPS_MAX; step++) {
    const pair = new Pair(limit);
    pair.out.send(long(20_000));
    pair.out.flush();
    more = interrupted(step, pair.send, pair.receive);
    expect(await pair.finish(), `step ${step}`).toBe(true);
    expect(pair.received).toEqual([20_000]);
    expect(pair.sleeps).toBeGreaterThan(0);
  }
  expect(step).toBeGreaterThan(5);
  expect(step).toBeLessThan(STEPS_MAX);
});

test('a release that is interrupted by the producer: it sees the room, or it is told', () => {
  let step = 0;
  for (let more = true; more && step < STEPS_MAX; step++) {
    const memory = new SharedArrayBuffer(ringMemoryBytes(CAPACITY));
    const writer = new RingWriter(memory);
    const reader = new RingReader(memory);
    writer.claim(100);
    writer.publish();
    reader.peek();
    reader.consume();
    let rung = false;
    let sees = false;
    more = interrupted(
      step,
      () => {
        rung = reader.release();
      },
      () => {
        writer.askForRoom();
        sees = writer.free() === CAPACITY;
      },
    );
    expect(sees || (rung && writer.told), `step ${step}`).toBe(true);
  }
  expect(step).toBeGreaterThan(2);
});
