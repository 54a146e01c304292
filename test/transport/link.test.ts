// Links on one thread: long messages in pieces, short ones between them, room that keeps its promise, and messages that the
// receiver cannot take now.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { AskedRead, AskedRequest } from '../../src/protocol/asked.js';
import { ProtocolViolation } from '../../src/protocol/assert.js';
import type {
  Commit,
  DoViewChange,
  Entry,
  Message,
  Prepare,
  PrepareOk,
  Reply,
  Request,
} from '../../src/protocol/message.js';
import type { ClientId } from '../../src/protocol/types.js';
import { emptyAsked } from '../../src/transport/asked-frames.js';
import { Doorbell } from '../../src/transport/doorbell.js';
import { frameBytes } from '../../src/transport/frame.js';
import { KIND_CODES } from '../../src/transport/kinds.js';
import {
  EVERYTHING,
  InLink,
  OutLink,
  type PollLimit,
  type Taker,
} from '../../src/transport/link.js';
import { MESSAGE_BYTES_MAX } from '../../src/transport/piece.js';
import { RingReader, RingWriter, ringMemoryBytes } from '../../src/transport/ring.js';
import { anyMessage, copyOf, plain } from './messages.js';
import { unread } from './unread.js';

const SMALL = 4096;
const ENTRY_CAP = 2 << 20;
const header = { clusterId: 1, gen: 0, epoch: 0, view: 3, from: 0 };
const chain = [1, -2, 3, -4] as const;

/** Bytes that differ from place to place and from message to message. */
function bytesOf(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = (seed + 1) * 2654435761;
  for (let at = 0; at < length; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
}

function entry(op: number, length: number): Entry {
  const common = { epoch: 0, view: 3, seed: 9, kind: 'batch' as const, count: 1, chain };
  return { ...common, op, ts: op * 10, body: bytesOf(length, op) };
}

function prepare(op: number, ...lengths: number[]): Prepare {
  const entries = lengths.map((length, index) => entry(op + index, length));
  const rest = {
    start: 1,
    first: op,
    prevChain: chain,
    commitMax: 0,
    stableOp: 0,
    hbSeq: op,
    doubtMs: 0,
  };
  return { kind: 'prepare', ...header, ...rest, entries };
}

function commit(hbSeq: number): Commit {
  return {
    kind: 'commit',
    ...header,
    start: 1,
    op: 5,
    commitMax: 4,
    stableOp: 0,
    hbSeq,
    doubtMs: 3,
  };
}

function prepareOk(op: number): PrepareOk {
  const rest = { op, chain, cpOp: 0, cpRoot: chain, hbEcho: 0 };
  return { kind: 'prepareOk', ...header, ...rest };
}

function request(requestNumber: number, length: number): Request {
  const body = bytesOf(length, requestNumber);
  const rest = { session: 4096, requestNumber, acked: 0, epoch: 0, seenView: 3 };
  return { kind: 'request', clientId: [1, 2, 3, 4], ...rest, body };
}

function copyOfId([a, b, c, d]: ClientId): ClientId {
  return [a, b, c, d];
}

class Pair {
  readonly memory: SharedArrayBuffer;
  readonly words = new Int32Array(new SharedArrayBuffer(8));
  out: OutLink;
  in: InLink;
  readonly received: Message[] = [];

  constructor(capacity = SMALL) {
    this.memory = new SharedArrayBuffer(ringMemoryBytes(capacity));
    this.out = this.#producer();
    this.in = this.#consumer();
  }

  #producer(): OutLink {
    return new OutLink(new RingWriter(this.memory), new Doorbell(this.words, 0));
  }

  #consumer(): InLink {
    return new InLink(new RingReader(this.memory), new Doorbell(this.words, 1));
  }

  restartProducer(): void {
    this.out = this.#producer();
  }

  restartConsumer(): void {
    this.in = this.#consumer();
  }

  /** One pass of the receiver; bodies are kept as copies. */
  poll(
    accept: ((kind: Message['kind']) => boolean) | null = null,
    limit: Partial<PollLimit> = {},
  ): number {
    return this.in.poll({ ...EVERYTHING, ...limit }, accept, (message) => {
      this.received.push(copyOf(message));
    });
  }

  /** Passes on both sides until nothing moves. @returns how many there were. */
  settle(): number {
    let passes = 0;
    for (;;) {
      this.out.pump();
      this.out.flush();
      if (this.poll() === 0 && !this.out.busy) return passes;
      passes++;
    }
  }

  get kinds(): string[] {
    return this.received.map((message) => message.kind);
  }
}

function same(found: readonly Message[], expected: readonly Message[]): void {
  expect(found.map(plain)).toEqual(expected.map(plain));
}

describe('short messages', () => {
  test('arrive in order after flush, not before', () => {
    const pair = new Pair();
    expect(pair.out.send(commit(1))).toBe(true);
    expect(pair.out.send(prepare(7, 100))).toBe(true);
    expect(pair.poll()).toBe(0);
    expect(pair.out.flush()).toBe(true);
    expect(pair.out.flush()).toBe(false);
    expect(pair.in.hasData()).toBe(true);
    expect(pair.poll()).toBe(2);
    same(pair.received, [commit(1), prepare(7, 100)]);
    expect(pair.in.framesIn).toBe(2);
    expect(pair.out.framesOut).toBe(2);
    expect(pair.in.bytesIn).toBe(pair.out.bytesOut);
    expect(pair.in.bytesIn).toBe(frameBytes(commit(1)) + frameBytes(prepare(7, 100)));
  });

  test('flush rings a sleeper once, however many messages', () => {
    const pair = new Pair();
    Atomics.store(pair.words, 0, 1);
    pair.out.send(commit(1));
    pair.out.send(commit(2));
    pair.out.flush();
    expect(Atomics.load(pair.words, 0)).toBe(0);
  });

  test('acknowledgements alone do not wake who rests; with them anything else does, and they are there then', () => {
    const pair = new Pair();
    const [sleeping, resting] = [1, 2];
    Atomics.store(pair.words, 0, resting);
    pair.out.send(prepareOk(1));
    expect(pair.out.flush()).toBe(true);
    expect(Atomics.load(pair.words, 0)).toBe(resting);
    pair.out.send(commit(2));
    pair.out.send(prepareOk(3));
    pair.out.flush();
    expect(Atomics.load(pair.words, 0)).toBe(0);
    expect(pair.poll()).toBe(3);
    Atomics.store(pair.words, 0, resting);
    pair.out.send(prepareOk(4));
    pair.out.flush();
    expect(Atomics.load(pair.words, 0)).toBe(resting);
    Atomics.store(pair.words, 0, sleeping);
    pair.out.send(prepareOk(5));
    pair.out.flush();
    expect(Atomics.load(pair.words, 0)).toBe(0);
  });

  test('BP1: a full ring refuses and changes nothing', () => {
    const pair = new Pair();
    let sent = 0;
    while (pair.out.send(commit(sent))) sent++;
    expect(pair.out.framesOut).toBe(sent);
    pair.out.flush();
    pair.poll();
    expect(pair.received).toHaveLength(sent);
    expect(pair.out.send(commit(99))).toBe(true);
  });

  test('bounded in bytes: no message is begun when enough were handed out, and the first one always is', () => {
    const pair = new Pair();
    for (let op = 1; op <= 6; op++) pair.out.send(prepare(op, 100));
    pair.out.flush();
    const frame = frameBytes(prepare(1, 100));
    expect(pair.poll(null, { bytes: 2 * frame })).toBe(2);
    expect(pair.poll(null, { bytes: 2 * frame + 1 })).toBe(3);
    expect(pair.poll(null, { bytes: 1 })).toBe(1);
    expect(pair.received).toHaveLength(6);
  });

  test('bounded in frames', () => {
    const pair = new Pair();
    for (let at = 0; at < 10; at++) pair.out.send(commit(at));
    pair.out.flush();
    expect(pair.poll(null, { frames: 4 })).toBe(4);
    expect(pair.poll(null, { frames: 4 })).toBe(4);
    expect(pair.poll(null, { frames: 4 })).toBe(2);
    expect(pair.poll(null, { frames: 4 })).toBe(0);
  });

  test('space comes back also when the handler throws', () => {
    const pair = new Pair();
    for (let at = 0; at < 3; at++) pair.out.send(commit(at));
    pair.out.flush();
    const fail = (): void => {
      throw new Error('handler');
    };
    expect(() => pair.in.poll(EVERYTHING, null, fail)).toThrow('handler');
    expect(pair.poll()).toBe(2);
    expect(unread(pair.out)).toBe(false);
  });
});

describe('D25: what the receiver cannot take stays unread', () => {
  test('poll stops before it, and ready says so', () => {
    const pair = new Pair();
    pair.out.send(commit(1));
    pair.out.send(request(1, 50));
    pair.out.send(commit(2));
    pair.out.flush();
    const noRequests = (kind: string): boolean => kind !== 'request';
    expect(pair.poll(noRequests)).toBe(1);
    expect(pair.poll(noRequests)).toBe(0);
    expect(pair.in.ready(noRequests)).toBe(false);
    expect(pair.in.hasData()).toBe(true);
    expect(unread(pair.out)).toBe(true);
    expect(pair.in.ready(() => true)).toBe(true);
    expect(pair.poll()).toBe(2);
    same(pair.received, [commit(1), request(1, 50), commit(2)]);
    expect(pair.in.ready(() => true)).toBe(false);
  });

  test('of a message in pieces the last one stays, and the whole message is asked about', () => {
    const pair = new Pair();
    const long = request(1, 2500);
    expect(pair.out.send(long)).toBe(true);
    pair.out.flush();
    const asked = new Set<string>();
    const refuse = (kind: string): boolean => {
      asked.add(kind);
      return false;
    };
    expect(pair.poll(refuse)).toBe(2); // all pieces but the last
    expect(pair.poll(refuse)).toBe(0);
    expect(pair.in.ready(refuse)).toBe(false);
    expect([...asked]).toEqual(['request']);
    expect(pair.received).toEqual([]);
    expect(pair.poll()).toBe(1);
    same(pair.received, [long]);
  });

  test('pieces of a kind that is taken pass while others are refused', () => {
    const pair = new Pair();
    const reply: Reply = {
      ...{ kind: 'reply', clientId: [1, 2, 3, 4], session: 5, requestNumber: 6, gen: 0, epoch: 0 },
      ...{ view: 1, op: 2, idx: 3, code: 'ok', nonce: 0, result: bytesOf(3000, 1) },
    };
    pair.out.send(reply);
    pair.out.flush();
    expect(pair.poll((kind) => kind === 'reply')).toBeGreaterThan(1);
    same(pair.received, [reply]);
  });
});

describe('BP2: a long message travels in pieces', () => {
  test('over several passes, with short ones between', () => {
    const pair = new Pair();
    const long = prepare(7, 20_000);
    expect(pair.out.send(long)).toBe(true);
    expect(pair.out.busy).toBe(true);
    let passes = 0;
    while (pair.out.busy) {
      pair.out.send(commit(passes));
      pair.out.flush();
      pair.poll();
      pair.out.pump();
      passes++;
    }
    pair.out.flush();
    pair.poll();
    expect(passes).toBeGreaterThan(3);
    expect(pair.kinds.filter((kind) => kind === 'commit').length).toBeGreaterThan(2);
    expect(pair.kinds.indexOf('commit')).toBeLessThan(pair.kinds.indexOf('prepare'));
    same(
      pair.received.filter((message) => message.kind === 'prepare'),
      [long],
    );
    expect(pair.in.bad).toBe(0);
  });

  test('meanwhile a second long one and everything ordered is refused, and room is 0', () => {
    const pair = new Pair();
    pair.out.send(prepare(7, 20_000));
    expect(pair.out.room()).toBe(0);
    pair.out.flush();
    pair.poll();
    expect(pair.out.send(prepare(8, 10))).toBe(false);
    expect(pair.out.send(request(1, 10))).toBe(false);
    const vote: DoViewChange = {
      ...{ kind: 'doViewChange', ...header, start: 1, lastNormal: { epoch: 0, view: 2 }, op: 1 },
      ...{
        chain,
        commit: 0,
        commitMax: 0,
        stableOp: 0,
        logStart: 1,
        cpOp: 0,
        ladder: [],
        tail: [entry(1, 3000)],
      },
    };
    expect(pair.out.send(vote)).toBe(false);
    pair.settle();
    expect(pair.out.send(prepare(8, 10))).toBe(true);
    expect(pair.out.room()).toBeGreaterThan(0);
    pair.settle();
    same(pair.received, [prepare(7, 20_000), prepare(8, 10)]);
  });

  test('the bodies may change once it was accepted', () => {
    const pair = new Pair();
    const long = prepare(7, 9000);
    const copy = copyOf(long);
    pair.out.send(long);
    for (const one of long.entries) one.body.fill(0);
    pair.settle();
    same(pair.received, [copy]);
  });

  test('an entry of the hard cap, in a ring of any size', () => {
    for (const capacity of [SMALL, 64 << 10, 1 << 20, 8 << 20]) {
      const pair = new Pair(capacity);
      const message = prepare(7, ENTRY_CAP);
      expect(pair.out.send(message)).toBe(true);
      pair.settle();
      const [found] = pair.received as Prepare[];
      expect(Buffer.compare(found?.entries[0]?.body ?? Buffer.of(), bytesOf(ENTRY_CAP, 7))).toBe(0);
    }
  });

  test('above the limit of all limits is a mistake of the caller', () => {
    const pair = new Pair();
    expect(() => pair.out.send(request(1, MESSAGE_BYTES_MAX))).toThrow(ProtocolViolation);
    expect(pair.out.busy).toBe(false);
    expect(pair.out.flush()).toBe(false);
  });

  test('a sender that dies half way: its successor sends another long one, and only that arrives', () => {
    const pair = new Pair();
    pair.out.send(prepare(7, 20_000));
    pair.out.flush();
    pair.poll();
    pair.out.pump();
    pair.out.flush();
    pair.restartProducer();
    expect(pair.out.send(commit(1))).toBe(true);
    pair.out.flush();
    pair.poll();
    expect(pair.out.send(prepare(9, 15_000))).toBe(true);
    pair.settle();
    same(pair.received, [commit(1), prepare(9, 15_000)]);
    expect(pair.in.bad).toBe(0);
  });

  test('a receiver that dies half way: its successor drops the rest, counts it, and goes on', () => {
    const pair = new Pair();
    pair.out.send(prepare(7, 20_000));
    pair.out.flush();
    pair.poll();
    pair.restartConsumer();
    pair.settle();
    expect(pair.received).toEqual([]);
    expect(pair.in.bad).toBeGreaterThan(0);
    pair.out.send(prepare(8, 15_000));
    pair.settle();
    same(pair.received, [prepare(8, 15_000)]);
  });

  test('the sender of a long message is woken when there is room again', () => {
    const pair = new Pair();
    pair.out.send(prepare(7, 20_000));
    pair.out.flush();
    expect(pair.out.told).toBe(false);
    Atomics.store(pair.words, 1, 1); // the sender sleeps
    pair.poll();
    expect(Atomics.load(pair.words, 1)).toBe(0);
    expect(pair.out.told).toBe(true);
    expect(pair.out.pump()).toBe(true);
  });

  test('who sends what fits asks for nothing, and who was refused is told when he asked', () => {
    const pair = new Pair();
    while (pair.out.send(commit(1)));
    pair.out.flush();
    Atomics.store(pair.words, 1, 1);
    pair.poll(null, { frames: 1 });
    expect(Atomics.load(pair.words, 1)).toBe(1); // he sleeps for something else
    pair.out.askForRoom();
    pair.poll(null, { frames: 1 });
    expect(Atomics.load(pair.words, 1)).toBe(0);
    expect(pair.out.told).toBe(true);
  });
});

describe('BP1b: room keeps its promise', () => {
  const cost = (message: Prepare): number =>
    message.entries.reduce((sum, one) => sum + one.body.length + 128, 128);

  test('positive: the first message of any size is accepted, and then as many as fit', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(SMALL, 16 << 10, 64 << 10),
        fc.array(
          fc.record({
            lengths: fc.array(fc.oneof(fc.nat({ max: 300 }), fc.nat({ max: 30_000 })), {
              minLength: 1,
              maxLength: 4,
            }),
            polls: fc.boolean(),
            heartbeats: fc.nat({ max: 2 }),
          }),
          { minLength: 1, maxLength: 40 },
        ),
        (capacity, passes) => {
          const pair = new Pair(capacity);
          const sent: Prepare[] = [];
          let op = 1;
          for (const pass of passes) {
            pair.out.pump();
            const room = pair.out.room();
            expect(room === 0 || !pair.out.busy).toBe(true);
            let left = room;
            for (let beat = 0; beat < pass.heartbeats && room > 0; beat++)
              pair.out.send(commit(beat));
            // As the primary streams: only the first message may be larger than what is left.
            for (const [index, length] of pass.lengths.entries()) {
              if (left <= 0) break;
              const message = prepare(op, length);
              if (index > 0 && cost(message) > left) break;
              expect(pair.out.send(message)).toBe(true);
              sent.push(message);
              op++;
              left -= cost(message);
            }
            pair.out.flush();
            if (pass.polls) pair.poll();
          }
          pair.settle();
          same(
            pair.received.filter((message) => message.kind === 'prepare'),
            sent,
          );
          expect(pair.in.bad).toBe(0);
        },
      ),
      { numRuns: 60 },
    );
  });

  test('an empty ring has room for most of itself, a full one for nothing', () => {
    const pair = new Pair(64 << 10);
    expect(pair.out.room()).toBeGreaterThan((64 << 10) / 2);
    while (pair.out.send(commit(1)));
    expect(pair.out.room()).toBe(0);
  });
});

test('any mixture of messages arrives as it was sent, whatever the ring holds', () => {
  fc.assert(
    fc.property(fc.array(anyMessage, { minLength: 1, maxLength: 60 }), (messages) => {
      const pair = new Pair();
      const sent: Message[] = [];
      for (const message of messages) {
        if (pair.out.send(message)) sent.push(message);
        else pair.settle();
        pair.out.flush();
      }
      pair.settle();
      // A long message may be overtaken by cold ones, by nothing else.
      const stream = (list: readonly Message[]): Message[] =>
        list.filter((message) => 'body' in message || 'result' in message || 'entries' in message);
      same(stream(pair.received), stream(sent));
      expect(pair.received).toHaveLength(sent.length);
    }),
    { numRuns: 80 },
  );
});

test('a frame that is none is dropped and counted, and those around it are not', () => {
  const pair = new Pair();
  pair.out.send(commit(1));
  pair.out.flush();
  const writer = new RingWriter(pair.memory);
  const at = writer.claim(20);
  writer.bytes.fill(0xc1, at, at + 20);
  writer.publish();
  pair.restartProducer();
  pair.out.send(commit(3));
  pair.out.flush();
  expect(pair.poll(() => true)).toBe(3);
  expect(pair.in.bad).toBe(1);
  expect(pair.in.corrupt).toBe(0);
  expect(pair.in.framesIn).toBe(2);
  same(pair.received, [commit(1), commit(3)]);
});

test('a taker gets requests and reads without a message for each, and nothing else', () => {
  fc.assert(
    fc.property(fc.array(anyMessage, { maxLength: 20 }), (messages) => {
      const pair = new Pair(1 << 20);
      for (const message of messages) expect(pair.out.send(message)).toBe(true);
      pair.out.flush();
      const found: Message[] = [];
      const asked = emptyAsked();
      const bodyOf = ({ bytes, from, to }: AskedRequest | AskedRead) => bytes.slice(from, to);
      pair.in.poll(EVERYTHING, null, (message) => found.push(copyOf(message)), {
        asked,
        onRequest: () => {
          const { session, requestNumber, acked, epoch, seenView } = asked.request;
          const clientId = copyOfId(asked.request.clientId);
          const fields = { clientId, session, requestNumber, acked, epoch, seenView };
          found.push({ kind: 'request', ...fields, body: bodyOf(asked.request) });
        },
        onRead: () => {
          const { session, afterRequest, readId, epoch, seenView } = asked.read;
          const clientId = copyOfId(asked.read.clientId);
          const fields = { clientId, session, afterRequest, readId, epoch, seenView };
          found.push({ kind: 'read', ...fields, body: bodyOf(asked.read) });
        },
      });
      same(found, messages);
      expect(pair.in.framesIn).toBe(messages.length);
    }),
    { numRuns: 60 },
  );
});

test('to a taker a request in pieces comes as a message, and a request in the form of another kind not at all', () => {
  const pair = new Pair();
  const found: Message[] = [];
  let taken = 0;
  const count = (): void => {
    taken++;
  };
  const taker: Taker = { asked: emptyAsked(), onRequest: count, onRead: count };
  expect(pair.out.send(request(1, 2000))).toBe(true);
  do {
    pair.out.pump();
    pair.out.flush();
  } while (pair.in.poll(EVERYTHING, null, (message) => found.push(copyOf(message)), taker) > 0);
  same(found, [request(1, 2000)]);
  const writer = new RingWriter(pair.memory);
  const cold = Uint8Array.of(0x92, KIND_CODES.request, 0);
  writer.bytes.set(cold, writer.claim(cold.length));
  writer.publish();
  expect(pair.in.poll(EVERYTHING, null, (message) => found.push(message), taker)).toBe(1);
  expect([found.length, taken, pair.in.bad]).toEqual([1, 0, 1]);
});
