// The service of the stories: a small key-value machine that remembers what it executed. Each call carries a tag, so that
// "executed exactly once, in order" can be read off afterwards; each result carries its place in that order, so that
// linearizability is a comparison of numbers. It stands in for real services, which have their own tests.

import { makeSink } from '../../src/protocol/core.js';
import type { ApplyContext, ResultSink, StateMachine } from '../../src/protocol/state-machine.js';

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export const ABSENT = '∅';

/** One executed operation, in the order of execution. */
export interface Executed {
  /** `client.session number of that client.call`, unique in a story. */
  readonly tag: string;
  readonly key: string;
  /** Value of `key` afterwards. */
  readonly value: string;
  readonly result: string;
  readonly ts: number;
}

/** `tag|verb|key|argument` */
export function operation(tag: string, verb: string, key: string, argument = ''): Uint8Array {
  return encoder.encode(`${tag}|${verb}|${key}|${argument}`);
}

/** A result is `place|value`. */
export function parseResult(bytes: Uint8Array): { place: number; value: string } {
  const text = decoder.decode(bytes);
  const bar = text.indexOf('|');
  return { place: Number(text.slice(0, bar)), value: text.slice(bar + 1) };
}

export class StoryMachine implements StateMachine {
  readonly values: Map<string, string> = new Map();
  readonly history: Executed[] = [];
  /** A real service that executes what `raw` carries. */
  readonly services: StateMachine | null;
  #digest = 0x811c9dc5;

  constructor(services: StateMachine | null = null) {
    this.services = services;
  }

  apply(
    context: ApplyContext,
    bytes: Uint8Array,
    from: number,
    to: number,
    sink: ResultSink,
  ): void {
    const [tag = '', verb = '', key = '', argument = ''] = decoder
      .decode(bytes.subarray(from, to))
      .split('|');
    const value = verb === 'raw' ? this.#raw(context, argument) : this.#change(verb, key, argument);
    const result = `${this.history.length + 1}|${value}`;
    this.history.push({ tag, key, value: this.values.get(key) ?? ABSENT, result, ts: context.ts });
    this.#mix(`${tag}|${key}|${result}|${context.op}|${context.idx}|${context.ts}|${context.seed}`);
    write(sink, result);
  }

  #change(verb: string, key: string, argument: string): string {
    const before = this.values.get(key) ?? ABSENT;
    switch (verb) {
      case 'put':
        this.values.set(key, argument);
        return before;
      case 'del':
        this.values.delete(key);
        return before;
      case 'incr': {
        const next = String(Number(before === ABSENT ? 0 : before) + Number(argument || 1));
        this.values.set(key, next);
        return next;
      }
      case 'blob':
        return 'x'.repeat(Number(argument));
      default:
        throw new Error(`the story machine does not know '${verb}'`);
    }
  }

  #raw(context: ApplyContext, argument: string): string {
    const bytes = fromHex(argument);
    const sink = makeSink(64);
    this.services?.apply(context, bytes, 0, bytes.length, sink);
    return toHex(sink.bytes.subarray(0, sink.length));
  }

  read(bytes: Uint8Array, from: number, to: number, sink: ResultSink): void {
    const [, , key = ''] = decoder.decode(bytes.subarray(from, to)).split('|');
    write(sink, `${this.history.length}|${this.values.get(key) ?? ABSENT}`);
  }

  digest(): string {
    return `${this.history.length}.${(this.#digest >>> 0).toString(16)}.${this.services?.digest() ?? ''}`;
  }

  #mix(text: string): void {
    for (let at = 0; at < text.length; at++)
      this.#digest = Math.imul(this.#digest ^ text.charCodeAt(at), 0x01000193);
  }
}

export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

export function fromHex(text: string): Uint8Array {
  return Uint8Array.from({ length: text.length / 2 }, (_, at) =>
    Number.parseInt(text.slice(2 * at, 2 * at + 2), 16),
  );
}

function write(sink: ResultSink, text: string): void {
  const bytes = encoder.encode(text);
  const at = sink.reserve(bytes.length);
  sink.bytes.set(bytes, at);
  sink.length += bytes.length;
}

/** Not cryptographic, pure, and good enough for logs of a few thousand entries. */
export function digest64(bytes: Uint8Array, from: number, to: number, out: Uint32Array): void {
  let low = 0x811c9dc5 ^ (to - from);
  let high = 0x9e3779b9;
  for (let at = from; at < to; at++) {
    low = Math.imul(low ^ (bytes[at] as number), 0x01000193);
    high = Math.imul(high ^ low ^ (low >>> 13), 0x85ebca6b) + 0x7f4a7c15;
  }
  out[0] = Math.imul(low ^ (high >>> 16), 0xc2b2ae35) >>> 0;
  out[1] = Math.imul(high ^ (low >>> 15), 0x27d4eb2f) >>> 0;
}

/** mulberry32: unsigned 32-bit numbers from a seed. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}
