// The service of the stories: a small key-value machine that remembers what it executed. Each call carries a tag, so that
// "executed exactly once, in order" can be read off afterwards; each result carries its place in that order, so that
// linearizability is a comparison of numbers. It stands in for real services, which have their own tests.

import { makeSink } from '../protocol/core.js';
import type {
  ApplyContext,
  PagedState,
  ResultSink,
  StateMachine,
} from '../protocol/state-machine.js';
import { JoinedPages, SerialisedPages } from '../service/serialised-pages.js';
import { fromUtf8, toUtf8 } from '../service/utf8.js';

export const ABSENT = '∅';
/** Small: stories have little state, and should have many pages. */
const PAGE_BYTES = 256;

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
  return toUtf8(`${tag}|${verb}|${key}|${argument}`);
}

/** A result is `place|value`. */
export function parseResult(bytes: Uint8Array): { place: number; value: string } {
  const text = fromUtf8(bytes, 0, bytes.length);
  const bar = text.indexOf('|');
  return { place: Number(text.slice(0, bar)), value: text.slice(bar + 1) };
}

export class StoryMachine implements StateMachine {
  readonly values: Map<string, string> = new Map();
  readonly history: Executed[] = [];
  /** A real service that executes what `raw` carries. */
  readonly services: StateMachine | null;
  readonly pages: PagedState;
  #digest = 0x811c9dc5;

  constructor(services: StateMachine | null = null) {
    this.services = services;
    const pageBytes = services?.pages?.pageBytes ?? PAGE_BYTES;
    const own = new SerialisedPages({
      pageBytes,
      encode: () => toUtf8(JSON.stringify([this.#digest, [...this.values], this.history])),
      decode: (bytes) => this.#load(fromUtf8(bytes, 0, bytes.length)),
    });
    this.pages = services?.pages ? new JoinedPages([own, services.pages]) : own;
  }

  #load(text: string): void {
    const [digest, values, history] = JSON.parse(text) as [number, [string, string][], Executed[]];
    this.#digest = digest;
    this.values.clear();
    for (const [key, value] of values) this.values.set(key, value);
    this.history.splice(0, this.history.length, ...history);
  }

  apply(
    context: ApplyContext,
    bytes: Uint8Array,
    from: number,
    to: number,
    sink: ResultSink,
  ): void {
    const [tag = '', verb = '', key = '', argument = ''] = fromUtf8(bytes, from, to).split('|');
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
    const [, , key = ''] = fromUtf8(bytes, from, to).split('|');
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
  const bytes = toUtf8(text);
  const at = sink.reserve(bytes.length);
  sink.bytes.set(bytes, at);
  sink.length += bytes.length;
}
