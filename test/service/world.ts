// The vocabulary of the service tests: operations as records, a store that executes them through the real codec, and the dumb
// model that says what they should do.

import { makeSink } from '../../src/protocol/core.js';
import type { ApplyContext, ListContent } from '../../src/protocol/state-machine.js';
import * as codec from '../../src/service/operation.js';
import { OperationWriter, type WriteCondition } from '../../src/service/operation-writer.js';
import { ReadResult, WriteResult } from '../../src/service/result-reader.js';
import { Services, type ServicesOptions } from '../../src/service/services.js';

export const CONTEXT: ApplyContext = {
  gen: 0,
  op: 1,
  idx: 0,
  ts: 0,
  seed: 0,
  clientId: [1, 2, 3, 4],
  session: 1,
};

export type Op =
  | { type: 'set'; key: string; value: Uint8Array; condition?: WriteCondition }
  | { type: 'delete'; key: string; condition?: WriteCondition }
  | { type: 'incr'; key: string; by: number }
  | { type: 'cas'; key: string; expected: Uint8Array | undefined; value: Uint8Array };

export interface Outcome {
  status: number;
  revision: number | undefined;
  /** New number, or stored revision where a condition failed. */
  extra: number | undefined;
}

/** One line per request: what it did, in words that are quick to compare. */
export function describe(answer: { aborted: boolean; outcomes: readonly Outcome[] }): string {
  const outcomes = answer.outcomes.map((o) => `${o.status}@${o.revision ?? ''}=${o.extra ?? ''}`);
  return `${answer.aborted ? 'aborted' : 'done'} ${outcomes.join(' ')}`;
}

export interface Stored {
  value: Uint8Array;
  revision: number;
  createdRevision: number;
}

export function bytes(...values: number[]): Uint8Array {
  return Uint8Array.from(values);
}

/** A string with the same bytes: quick to compare, and a key of a Map. */
export function text(value: Uint8Array): string {
  return Buffer.from(value).toString('latin1');
}

export function filled(length: number, seed = 1): Uint8Array {
  const value = new Uint8Array(length);
  for (let at = 0; at < length; at++) value[at] = (at * 31 + seed * 17) & 0xff;
  return value;
}

/** Small pseudo-random numbers below `n`, the same for the same seed. */
export function dice(seed: number): (n: number) => number {
  let state = seed * 2 + 1;
  return (n) => {
    state = (Math.imul(state, 0x9e3779b1) + 0x7f4a7c15) | 0;
    let mixed = state ^ (state >>> 15);
    mixed = Math.imul(mixed, 0x85ebca6b);
    return ((mixed ^ (mixed >>> 13)) >>> 0) % n;
  };
}

/** Any write, over a few hundred keys; values mostly small, some of pages. */
export function randomOp(roll: (n: number) => number, keys = 300): Op {
  const key = `key:${roll(keys)}`;
  const length = roll(20) === 0 ? roll(12_000) : roll(120);
  const value = filled(length, roll(1000));
  switch (roll(8)) {
    case 0:
    case 1:
      return { type: 'delete', key };
    case 2:
      return { type: 'incr', key: `n${roll(40)}`, by: roll(70_000) - 100 };
    case 3:
      return { type: 'cas', key, expected: undefined, value };
    case 4:
      return { type: 'set', key, value, condition: { type: 'present' } };
    default:
      return { type: 'set', key, value };
  }
}

export function randomRequest(roll: (n: number) => number, keys?: number): [Op[], boolean] {
  const ops = Array.from({ length: 1 + roll(20) }, () => randomOp(roll, keys));
  return [ops, roll(4) === 0];
}

export function addOp(writer: OperationWriter, op: Op): void {
  let refusal: string | null;
  if (op.type === 'set') refusal = writer.set(op.key, op.value, op.condition);
  else if (op.type === 'delete') refusal = writer.delete(op.key, op.condition);
  else if (op.type === 'incr') refusal = writer.incr(op.key, op.by);
  else refusal = writer.cas(op.key, op.expected, op.value);
  if (refusal !== null) throw new Error(`${op.type} was refused: ${refusal}`);
}

/** Sends `request` into the middle of a larger buffer and takes the result out of the middle of a used sink. */
export function call(services: Services, request: Uint8Array, kind: 'apply' | 'read'): Uint8Array {
  const around = new Uint8Array(request.length + 24).fill(0xa5);
  around.set(request, 13);
  const sink = makeSink(32);
  sink.bytes.fill(0xee);
  sink.length = 7;
  if (kind === 'apply') services.apply(CONTEXT, around, 13, 13 + request.length, sink);
  else services.read(around, 13, 13 + request.length, sink);
  return sink.bytes.slice(7, sink.length);
}

export class Store {
  readonly services: Services;
  readonly #writer = new OperationWriter();

  constructor(options: Partial<ServicesOptions> = {}) {
    this.services = new Services({ storeBytes: 8 << 20, segmentBytes: 256 << 10, ...options });
  }

  write(ops: readonly Op[], atomic = false): { aborted: boolean; outcomes: Outcome[] } {
    this.#writer.reset();
    for (const op of ops) addOp(this.#writer, op);
    const most = this.#writer.replyBytesMax;
    const reply = call(this.services, this.#writer.take(atomic), 'apply');
    if (reply.length > most) throw new Error(`a result of ${reply.length} bytes passes ${most}`);
    const result = new WriteResult(reply, atomic);
    if (result.malformed || result.count !== ops.length) throw new Error('not a result');
    const outcomes = ops.map((_, i) => {
      const status = result.status(i);
      return {
        status,
        revision: result.revision(i),
        extra: codec.hasExtra(status) ? result.extra(i) : undefined,
      };
    });
    return { aborted: result.aborted, outcomes };
  }

  one(op: Op): Outcome {
    return this.write([op]).outcomes[0] as Outcome;
  }

  get(key: string): Uint8Array | undefined {
    return this.item(key)?.value;
  }

  item(key: string): Stored | undefined {
    this.#writer.reset();
    this.#writer.getItem(key);
    const reply = call(this.services, this.#writer.take(false), 'read');
    const result = new ReadResult(reply, codec.OP_GET_ITEM);
    if (!result.present(0)) return undefined;
    const at = result.valueAt(0);
    return {
      value: result.bytes.slice(at, at + result.valueBytes(0)),
      revision: result.revision(0),
      createdRevision: result.createdRevision(0),
    };
  }

  /** All live pages in use, in one piece: compared with `equals`, which is a thousand times faster than looking into them. */
  image(): Buffer {
    const { heap } = this.services.kv;
    return Buffer.concat(Array.from({ length: heap.pageCount() }, (_, page) => heap.page(page)));
  }

  restoredFrom(image: Buffer): this {
    this.services.restore(null, [contentOf(image, this.services.pageBytes)]);
    return this;
  }

  get digest(): string {
    return this.services.digest();
  }
}

/** All pages of a list that lie back to back in `image`. */
export function contentOf(image: Buffer, pageBytes: number): ListContent {
  const count = image.length / pageBytes;
  const pages = new Map<number, Uint8Array>();
  for (let page = 0; page < count; page++)
    pages.set(page, image.subarray(page * pageBytes, (page + 1) * pageBytes));
  return { count, pages };
}

/** What the store should do, without a limit: a Map. */
export class Model {
  items = new Map<string, Stored>();
  revision = 0;

  write(ops: readonly Op[], atomic = false): { aborted: boolean; outcomes: Outcome[] } {
    if (!atomic) return { aborted: false, outcomes: ops.map((op) => this.#one(op, null)) };
    const items = new Map(this.items);
    const before = this.revision;
    const outcomes: Outcome[] = [];
    for (const op of ops) {
      const outcome = this.#one(op, before + 1);
      outcomes.push(outcome);
      if (outcome.status <= codec.COUNTED && outcome.status !== codec.CONDITION_FAILED) continue;
      this.items = items;
      this.revision = before;
      const aborted = ops.map((_, i) =>
        i === outcomes.length - 1
          ? outcome
          : { status: codec.NOT_APPLIED, revision: undefined, extra: undefined },
      );
      return { aborted: true, outcomes: aborted };
    }
    return { aborted: false, outcomes };
  }

  #put(key: string, value: Uint8Array, fixed: number | null): number {
    this.revision = fixed ?? this.revision + 1;
    const revision = this.revision;
    const createdRevision = this.items.get(key)?.createdRevision ?? revision;
    this.items.set(key, { value, revision, createdRevision });
    return revision;
  }

  #one(op: Op, fixed: number | null): Outcome {
    const stored = this.items.get(op.key);
    const none = { revision: undefined, extra: undefined };
    const lost = { ...none, status: codec.CONDITION_FAILED, extra: stored?.revision ?? 0 };
    switch (op.type) {
      case 'set':
        if (!holds(op.condition, stored)) return lost;
        return { ...none, status: codec.CHANGED, revision: this.#put(op.key, op.value, fixed) };
      case 'cas': {
        const same =
          op.expected === undefined
            ? stored === undefined
            : stored !== undefined && text(stored.value) === text(op.expected);
        if (!same) return lost;
        return { ...none, status: codec.CHANGED, revision: this.#put(op.key, op.value, fixed) };
      }
      case 'delete':
        if (!holds(op.condition, stored)) return lost;
        if (stored === undefined) return { ...none, status: codec.UNCHANGED };
        this.items.delete(op.key);
        this.revision = fixed ?? this.revision + 1;
        return { ...none, status: codec.CHANGED, revision: this.revision };
      case 'incr': {
        const number = stored === undefined ? 0 : decodeInteger(stored.value);
        if (number === undefined) return { ...none, status: codec.WRONG_TYPE };
        const sum = number + op.by;
        if (!Number.isSafeInteger(sum)) return { ...none, status: codec.OUT_OF_RANGE };
        const revision = this.#put(op.key, encodeInteger(sum), fixed);
        return { status: codec.COUNTED, revision, extra: sum };
      }
    }
  }
}

function holds(condition: WriteCondition | undefined, stored: Stored | undefined): boolean {
  if (condition === undefined) return true;
  if (condition.type === 'absent') return stored === undefined;
  if (condition.type === 'present') return stored !== undefined;
  return stored !== undefined && stored.revision === condition.revision;
}

/** By the rules of msgpack, written apart from the code under test. */
export function encodeInteger(n: number): Uint8Array {
  if (n >= 0 && n < 128) return bytes(n);
  if (n < 0 && n >= -32) return bytes(256 + n);
  const buffer = Buffer.alloc(9);
  if (n >= 0 && n < 2 ** 8) return bytes(0xcc, n);
  if (n >= 0 && n < 2 ** 16) return bytes(0xcd, n >> 8, n & 255);
  if (n < 0 && n >= -(2 ** 7)) return bytes(0xd0, 256 + n);
  if (n < 0 && n >= -(2 ** 15)) {
    buffer[0] = 0xd1;
    buffer.writeInt16BE(n, 1);
    return Uint8Array.from(buffer.subarray(0, 3));
  }
  if (n >= 0 && n < 2 ** 32) {
    buffer[0] = 0xce;
    buffer.writeUInt32BE(n, 1);
    return Uint8Array.from(buffer.subarray(0, 5));
  }
  if (n < 0 && n >= -(2 ** 31)) {
    buffer[0] = 0xd2;
    buffer.writeInt32BE(n, 1);
    return Uint8Array.from(buffer.subarray(0, 5));
  }
  buffer[0] = 0xcb;
  buffer.writeDoubleBE(n, 1);
  return Uint8Array.from(buffer);
}

function decodeInteger(value: Uint8Array): number | undefined {
  for (const candidate of [0, 1, 5, 127, 128, 255, 256, 65535, 65536, -1, -32, -33, -129, -40000])
    if (Buffer.from(encodeInteger(candidate)).equals(Buffer.from(value))) return candidate;
  const buffer = Buffer.from(value);
  if (value.length === 1 && ((value[0] as number) < 128 || (value[0] as number) >= 224))
    return buffer.readInt8(0);
  if (value[0] === 0xcc && value.length === 2) return buffer.readUInt8(1);
  if (value[0] === 0xcd && value.length === 3) return buffer.readUInt16BE(1);
  if (value[0] === 0xce && value.length === 5) return buffer.readUInt32BE(1);
  if (value[0] === 0xd0 && value.length === 2) return buffer.readInt8(1);
  if (value[0] === 0xd1 && value.length === 3) return buffer.readInt16BE(1);
  if (value[0] === 0xd2 && value.length === 5) return buffer.readInt32BE(1);
  if (value[0] === 0xcb && value.length === 9) {
    const number = buffer.readDoubleBE(1);
    return Number.isSafeInteger(number) ? number : undefined;
  }
  return undefined;
}
