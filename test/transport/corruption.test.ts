// A byte that changes in a frame which nobody has read yet (verification.md 9): the frame is dropped and counted, never handed
// out, and what is sent afterwards arrives.

import { describe, expect, test } from 'vitest';
import { loadDigest } from '../../src/actors/replica/digest.js';
import { EntryGuard } from '../../src/actors/replica/entry-guard.js';
import { ChainHasher } from '../../src/protocol/chain.js';
import type { Entry, Message, Pages, Prepare, Request } from '../../src/protocol/message.js';
import { checksum } from '../../src/transport/checksum.js';
import { Doorbell } from '../../src/transport/doorbell.js';
import { frameBytes, writeFrame } from '../../src/transport/frame.js';
import {
  RECORD_HEADER_BYTES,
  RING_HEAD_AT,
  RING_HEADER_BYTES,
  RING_TAIL_AT,
  recordSpace,
} from '../../src/transport/layout.js';
import { EVERYTHING, InLink, OutLink } from '../../src/transport/link.js';
import { RingReader, RingWriter, ringMemoryBytes } from '../../src/transport/ring.js';

const CAPACITY = 4096;

/** A generator of its own: a failure must come back. */
function dice(seed: number): (below: number) => number {
  let state = seed | 0;
  return (below) => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) | 0;
    const mixed = Math.imul(state ^ (state >>> 13), 0x297a2d39);
    return ((mixed ^ (mixed >>> 16)) >>> 0) % below;
  };
}

const header = { clusterId: 1, gen: 0, epoch: 0, view: 3, from: 0 };
const chain = [1, -2, 3, -4] as const;

function body(length: number, number: number): Uint8Array {
  return new Uint8Array(length).map((_, at) => at * 7 + number);
}

function pages(cpOp: number, length: number): Pages {
  const fields = { reqId: 1, cpOp, list: 0, indices: [4, 5, 8, 9], status: 'ok' as const };
  return { kind: 'pages', ...header, ...fields, bytes: body(length, cpOp) };
}

/** One of the kinds that carry something, numbered; some are longer than a record and go in pieces. */
function message(number: number, roll: (below: number) => number): Message {
  const length = [0, 5, 40, 300, 900, 1500, 3000][roll(7)] ?? 0;
  switch (roll(5)) {
    case 0: {
      const common = { op: number, epoch: 0, view: 3, ts: number, seed: 1, count: 1, chain };
      const entries = [{ ...common, kind: 'batch' as const, body: body(length, number) }];
      const rest = {
        start: 1,
        first: number,
        prevChain: chain,
        commitMax: 0,
        stableOp: 0,
        hbSeq: number,
        doubtMs: number % 2 ** 32,
      };
      return { kind: 'prepare', ...header, ...rest, entries } satisfies Prepare;
    }
    case 1:
      return {
        kind: 'commit',
        ...header,
        start: 1,
        op: number,
        commitMax: 0,
        stableOp: 0,
        hbSeq: number,
        doubtMs: number % 2 ** 32,
      };
    case 2:
      return { kind: 'startViewChange', ...header, view: number, phase: 'vote' };
    case 4:
      return pages(number, length - (length % 4));
    default: {
      const rest = { session: 4096, requestNumber: number, acked: 0, epoch: 0, seenView: 3 };
      const clientId = [1, 2, 3, 4] as const;
      return { kind: 'request', clientId, ...rest, body: body(length, number) } satisfies Request;
    }
  }
}

/** All of the message as text: the bytes of its frame. */
function said(one: Message): string {
  const bytes = new Uint8Array(frameBytes(one));
  writeFrame(one, bytes, new DataView(bytes.buffer), 0);
  return Buffer.from(bytes.buffer).toString('latin1');
}

class Wire {
  readonly memory: SharedArrayBuffer;
  readonly bytes: Uint8Array;
  readonly out: OutLink;
  readonly in: InLink;
  readonly received: string[] = [];

  constructor(capacity = CAPACITY) {
    this.memory = new SharedArrayBuffer(ringMemoryBytes(capacity));
    this.bytes = new Uint8Array(this.memory, RING_HEADER_BYTES);
    const doorbell = new Doorbell(new Int32Array(new SharedArrayBuffer(8)), 0);
    this.out = new OutLink(new RingWriter(this.memory), doorbell);
    this.in = new InLink(new RingReader(this.memory));
  }

  poll(): void {
    this.in.poll(EVERYTHING, null, (one) => {
      this.received.push(said(one));
    });
  }

  settle(): void {
    do {
      this.out.pump();
      this.out.flush();
      this.poll();
    } while (this.out.busy);
  }

  get unread(): { from: number; length: number } {
    const words = new Int32Array(this.memory);
    const head = Atomics.load(words, RING_HEAD_AT / 4);
    return { from: head, length: (Atomics.load(words, RING_TAIL_AT / 4) - head) | 0 };
  }

  flip(position: number, mask: number): void {
    const at = position & (this.bytes.length - 1);
    this.bytes[at] = (this.bytes[at] ?? 0) ^ mask;
  }
}

/** What was received and not sent, or twice. A long message may be overtaken: the order is not looked at. */
function strangers(received: readonly string[], sent: readonly string[]): string[] {
  const left = new Set(sent);
  return received.filter((one) => !left.delete(one));
}

test('1,000 flips of one byte in unread frames: nothing else is handed out, and the ring goes on', () => {
  const roll = dice(1);
  let number = 0;
  let corrupt = 0;
  let lost = 0;
  for (let flips = 0; flips < 1000; ) {
    const wire = new Wire();
    // Several rounds over one ring, so that earlier laps lie around in it.
    for (let round = 0; round < 10; round++, flips++) {
      const sent: string[] = [];
      wire.received.length = 0;
      for (let count = 1 + roll(8); count > 0; count--) {
        const one = message(++number, roll);
        if (wire.out.send(one)) sent.push(said(one));
      }
      wire.out.flush();
      const { from, length } = wire.unread;
      wire.flip(from + roll(length), 1 + roll(255));
      wire.settle();
      expect(strangers(wire.received, sent)).toEqual([]);
      lost += sent.length - wire.received.length;
      // The link is whole again: a long message, in pieces, and a short one.
      wire.received.length = 0;
      const after = [number + 1, number + 2].map((next) => message(next, () => 3));
      number += after.length;
      for (const one of after) {
        expect(wire.out.send(one)).toBe(true);
        wire.settle();
      }
      expect(wire.received).toEqual(after.map((one) => said(one)));
    }
    corrupt += wire.in.corrupt;
  }
  // Most hit a frame; some the gap at the ring's end, where there is nothing.
  expect(corrupt).toBeGreaterThan(900);
  expect(lost).toBeGreaterThan(900);
});

describe('the length of a record', () => {
  // Records of an earlier lap lie in all of the ring, whole and with their checksums.
  function laps(): { memory: SharedArrayBuffer; writer: RingWriter; reader: RingReader } {
    const memory = new SharedArrayBuffer(ringMemoryBytes(CAPACITY));
    new Uint8Array(memory).set(WORN);
    return { memory, writer: new RingWriter(memory), reader: new RingReader(memory) };
  }

  const WORN = new Uint8Array(ringMemoryBytes(CAPACITY));
  {
    const memory = new SharedArrayBuffer(WORN.length);
    const writer = new RingWriter(memory);
    const reader = new RingReader(memory);
    for (let round = 0; round < 3 * (CAPACITY / recordSpace(24)); round++) {
      fill(writer, 24, 1);
      writer.publish();
      take(reader);
      reader.release();
    }
    WORN.set(new Uint8Array(memory));
  }

  function fill(writer: RingWriter, length: number, value: number): void {
    const at = writer.claim(length);
    writer.bytes.fill(value, at, at + length);
  }

  function take(reader: RingReader): number[] {
    const values: number[] = [];
    while (reader.peek()) {
      if (reader.verify()) values.push(reader.bytes[reader.offset] ?? -1);
      reader.consume();
    }
    return values;
  }

  test('changed in any one byte to anything: no neighbour and no earlier lap is taken for a record', () => {
    for (let byte = 0; byte < 4; byte++)
      for (let mask = 1; mask < 256; mask++) {
        const { memory, writer, reader } = laps();
        const at = new Int32Array(memory)[RING_TAIL_AT / 4] ?? 0;
        for (const value of [2, 3, 4]) fill(writer, 24, value);
        writer.publish();
        const records = new Uint8Array(memory, RING_HEADER_BYTES);
        const place = (at & (CAPACITY - 1)) + byte;
        records[place] = (records[place] ?? 0) ^ mask;
        const values = take(reader);
        // The two behind it are there or not, depending on where the wrong length leads.
        expect([[], [3], [4], [3, 4]]).toContainEqual(values);
        expect(reader.corrupt).toBeGreaterThan(0);
        reader.release();
        expect(writer.free()).toBe(CAPACITY);
        fill(writer, 24, 5);
        writer.publish();
        expect(take(reader)).toEqual([5]);
      }
  });

  test('a record at another position is none, though its bytes are the same', () => {
    const { memory, writer, reader } = laps();
    const records = new Uint8Array(memory, RING_HEADER_BYTES);
    fill(writer, 24, 2);
    fill(writer, 24, 3);
    writer.publish();
    expect(reader.peek()).toBe(true);
    const first = reader.offset - RECORD_HEADER_BYTES;
    records.copyWithin(first + recordSpace(24), first, first + recordSpace(24));
    expect(take(reader)).toEqual([2]);
    expect(reader.corrupt).toBe(1);
  });
});

describe('a Prepare with long entries', () => {
  async function setup() {
    const digest64 = await loadDigest();
    let digests = 0;
    const guard = new EntryGuard((bytes, from, to, out) => {
      digests++;
      digest64(bytes, from, to, out);
    });
    const hasher = new ChainHasher(digest64);
    let below = hasher.origin(1);
    const prevChain = below;
    const entries = [1, 2, 3].map((op) => {
      const fields = { op, epoch: 0, view: 3, ts: op, seed: 1, count: 1, kind: 'batch' as const };
      const bytes = body(1000, op);
      below = hasher.next(below, fields, bytes);
      return { ...fields, body: bytes, chain: below };
    });
    const rest = { start: 1, first: 1, prevChain, commitMax: 0, stableOp: 0, hbSeq: 7, doubtMs: 0 };
    const prepare: Prepare = { kind: 'prepare', ...header, ...rest, entries };
    return { guard, prepare, count: () => digests, core: new ChainHasher(guard.digest64) };
  }

  test('changed in any byte: not handed out, or its chain does not hold', async () => {
    const { guard, prepare } = await setup();
    const expected = said(prepare);
    const length = recordSpace(frameBytes(prepare));
    let arrived = 0;
    let dropped = 0;
    for (let at = 0; at < length; at++) {
      const wire = new Wire(16 << 10);
      wire.out.send(prepare);
      wire.out.flush();
      wire.flip(at, 0x40);
      wire.in.poll(EVERYTHING, null, (one) => {
        arrived++;
        if (guard.intact(one as Prepare)) expect(said(one)).toBe(expected);
        guard.forget();
      });
      dropped += wire.in.corrupt + wire.in.bad;
    }
    // What the checksum covers never arrives; of the rest only what pads the bodies may change unseen.
    expect(dropped).toBeGreaterThan(1024);
    expect(guard.broken).toBeGreaterThan(arrived - 3 * 8);
    expect(dropped + arrived).toBe(length);
  });

  test('the core gets the digests that the guard has computed, for one message only', async () => {
    const { guard, prepare, count, core } = await setup();
    expect(guard.intact(prepare)).toBe(true);
    const computed = count();
    let below = prepare.prevChain;
    for (const one of prepare.entries) {
      expect(core.links(below, one)).toBe(true);
      below = one.chain;
    }
    // Two for the block of each entry, none for its body.
    expect(count() - computed).toBe(2 * prepare.entries.length);
    guard.forget();
    expect(core.links(prepare.prevChain, prepare.entries[0] as Entry)).toBe(true);
    expect(count() - computed).toBe(2 * prepare.entries.length + 3);
  });

  test('with short entries the checksum covers all of it', async () => {
    const { guard, prepare, count } = await setup();
    const entries = prepare.entries.map((one) => ({ ...one, body: new Uint8Array(10) }));
    expect(guard.intact({ ...prepare, entries })).toBe(true);
    expect(count()).toBe(0);
  });
});

test('pages changed in any byte are lost like any other frame: the checksum covers all of it', () => {
  const sent = pages(1024, 2048);
  const length = recordSpace(frameBytes(sent));
  for (let at = 0; at < length; at++) {
    const wire = new Wire(16 << 10);
    wire.out.send(sent);
    wire.out.flush();
    wire.flip(at, 0x40);
    wire.settle();
    expect([at, wire.received.length, wire.in.corrupt > 0]).toEqual([at, 0, true]);
    wire.out.send(sent);
    wire.settle();
    expect(wire.received).toEqual([said(sent)]);
  }
});

test('the checksum tells any change of one word, at every alignment and length', () => {
  const words = new Int32Array(64).map((_, at) => Math.imul(at + 1, 0x9e3779b1));
  const roll = dice(2);
  for (let from = 0; from < 10; from += 2)
    for (let to = from; to <= 40; to += 2) {
      const sum = checksum(words, from, to, 7);
      expect(checksum(words, from, to, 7)).toBe(sum);
      expect(checksum(words, from, to, 8)).not.toBe(sum);
      for (let at = 0; at < words.length; at++) {
        const before = words[at] ?? 0;
        words[at] = before ^ (1 + roll(0x7fffffff));
        const inside = at >= from && at < to;
        expect(checksum(words, from, to, 7) !== sum).toBe(inside);
        words[at] = before;
      }
    }
});
