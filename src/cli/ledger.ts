// Load that keeps books: it knows of every write whether it was acknowledged, and reads all of it back at the end. Writers own
// disjoint keys and number their rounds, so that one missing acknowledged write anywhere shows; a counter that every request
// raises shows a write that ran twice.

import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Client, type Kv, type Pipeline, type PipelineResult, VrError } from '../index.js';

export interface LedgerOptions {
  /** Requests kept open. */
  readonly writers: number;
  /** Keys that a writer sets in each of its requests. */
  readonly keysPerWriter: number;
  readonly valueBytes: number;
}

/** 32 requests of 512 writes in flight, values of 58 bytes. */
export const LEDGER_CANONICAL: LedgerOptions = { writers: 32, keysPerWriter: 511, valueBytes: 58 };

export interface Audit {
  /** Writes that were acknowledged, counter increments included. */
  readonly acknowledged: number;
  /** Acknowledged writes whose effect is not there. */
  readonly missing: number;
  /** Values that nobody wrote, or that were never sent. */
  readonly unexplained: number;
  /** Requests that ended without an answer: they ran once or never. */
  readonly unknown: number;
  readonly keys: number;
  readonly counter: number;
  /** What the counter must be; a range when requests ended without an answer. */
  readonly counterLeast: number;
  readonly counterMost: number;
}

/** Nothing acknowledged is missing, nothing unsent is there, nothing ran twice. */
export function isClean(audit: Audit): boolean {
  return audit.missing === 0 && audit.unexplained === 0 && counterIsRight(audit);
}

export function counterIsRight(audit: Audit): boolean {
  return audit.counter >= audit.counterLeast && audit.counter <= audit.counterMost;
}

/** The longest time without an acknowledgement since the watch began. */
export interface SilenceWatch {
  readonly longestMs: number;
}

const COUNTER = 'ledger:counter';
const HEADER_BYTES = 8;
const READ_BATCH = 500;

interface Writer {
  readonly index: number;
  readonly keys: readonly string[];
  /** Rounds sent and rounds acknowledged, from 1. */
  sent: number;
  acknowledged: number;
  /** When its last round was sent. */
  sentAt: number;
}

class Silence implements SilenceWatch {
  longestMs = 0;
  /** The acknowledgement of a request that was made later is its last. */
  endsFrom = Number.POSITIVE_INFINITY;
}

export class Ledger {
  readonly #kv: Kv<Uint8Array>;
  readonly #options: LedgerOptions;
  readonly #writers: Writer[];
  readonly #watches = new Set<Silence>();
  #running: Promise<void>[] = [];
  #stopping = false;
  #lastAcknowledgement = 0;
  #acknowledgedRounds = 0;
  #pauseMs = 0;
  #unknown = 0;
  #failure: unknown;

  constructor(client: Client, options: LedgerOptions = LEDGER_CANONICAL) {
    this.#kv = client.kv.namespace<Uint8Array>('', { encoding: 'bytes' });
    this.#options = options;
    this.#writers = Array.from({ length: options.writers }, (_, index) => ({
      index,
      keys: Array.from({ length: options.keysPerWriter }, (_, key) => keyOf(index, key)),
      sent: 0,
      acknowledged: 0,
      sentAt: 0,
    }));
  }

  /** Writes acknowledged so far. */
  get acknowledged(): number {
    return this.#acknowledgedRounds * (this.#options.keysPerWriter + 1);
  }

  start(): void {
    this.#stopping = false;
    this.#lastAcknowledgement = performance.now();
    this.#running = this.#writers.map((writer) => this.#write(writer));
  }

  /** Every writer pauses after each of its requests from now on. */
  slowDown(pauseMs: number): void {
    this.#pauseMs = pauseMs;
  }

  /** Lets what is open finish. @throws what the cluster refused the load with, if it did. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#running);
    this.#running = [];
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Watches the silence from the acknowledgement before now on, until `unwatch`. */
  watch(): SilenceWatch {
    const watch = new Silence();
    this.#watches.add(watch);
    return watch;
  }

  /** Ends a watch with the acknowledgement of a request that is made from now on. */
  unwatchAfterNext(watch: SilenceWatch): void {
    (watch as Silence).endsFrom = performance.now();
  }

  /** Ends a watch if it lasts; a silence that still lasts counts. */
  unwatch(watch: SilenceWatch): void {
    const silence = watch as Silence;
    if (!this.#watches.has(silence)) return;
    const now = performance.now() - this.#lastAcknowledgement;
    if (this.#running.length > 0) silence.longestMs = Math.max(silence.longestMs, now);
    this.#watches.delete(silence);
  }

  async #write(writer: Writer): Promise<void> {
    const pipeline: Pipeline<Uint8Array> = this.#kv.pipeline();
    const value = new Uint8Array(Math.max(HEADER_BYTES, this.#options.valueBytes)).fill(0x2e);
    const view = new DataView(value.buffer);
    view.setUint32(0, writer.index);
    while (!this.#stopping && this.#failure === undefined) {
      if (this.#pauseMs > 0) await sleep(this.#pauseMs);
      writer.sent++;
      writer.sentAt = performance.now();
      view.setUint32(4, writer.sent);
      // The pipeline copies the bytes: the buffer is free again after set.
      for (const key of writer.keys) pipeline.set(key, value);
      pipeline.incr(COUNTER);
      try {
        const result = await pipeline.submit();
        this.#note(result, writer);
      } catch (error) {
        // Without an answer the request ran once or never, and either is right.
        if (VrError.is(error) && error.outcome === 'unknown') this.#unknown++;
        else {
          writer.sent--;
          this.#failure ??= error;
        }
      }
    }
  }

  #note(result: PipelineResult<Uint8Array>, writer: Writer): void {
    for (let index = 0; index < result.count; index++) {
      if (!result.ok(index)) throw result.error(index) ?? new Error('a write was refused');
    }
    writer.acknowledged = writer.sent;
    this.#acknowledgedRounds++;
    const now = performance.now();
    const silence = now - this.#lastAcknowledgement;
    this.#lastAcknowledgement = now;
    for (const watch of this.#watches) {
      watch.longestMs = Math.max(watch.longestMs, silence);
      if (writer.sentAt >= watch.endsFrom) this.#watches.delete(watch);
    }
  }

  /** Reads every key back and compares; call after `stop`. */
  async audit(): Promise<Audit> {
    let missing = 0;
    let unexplained = 0;
    for (const writer of this.#writers) {
      for (let from = 0; from < writer.keys.length; from += READ_BATCH) {
        const keys = writer.keys.slice(from, from + READ_BATCH);
        for (const value of await this.#kv.getMany(keys)) {
          const stored = roundOf(value, writer.index);
          if (stored < writer.acknowledged) missing += writer.acknowledged - Math.max(0, stored);
          if (stored < 0 || stored > writer.sent) unexplained++;
        }
      }
    }
    const counter = await this.#kv.incr(COUNTER, 0);
    const counterLeast = this.#acknowledgedRounds;
    return {
      acknowledged: this.acknowledged,
      missing: missing + Math.max(0, counterLeast - counter),
      unexplained,
      unknown: this.#unknown,
      keys: this.#writers.length * this.#options.keysPerWriter,
      counter,
      counterLeast,
      counterMost: counterLeast + this.#unknown,
    };
  }
}

function keyOf(writer: number, key: number): string {
  return `ledger:${String(writer).padStart(4, '0')}:${String(key).padStart(4, '0')}`;
}

/** Round that a stored value comes from; 0: absent; -1: not a value of this writer. */
function roundOf(value: Uint8Array | undefined, writer: number): number {
  if (value === undefined) return 0;
  if (value.length < HEADER_BYTES) return -1;
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
  return view.getUint32(0) === writer ? view.getUint32(4) : -1;
}
