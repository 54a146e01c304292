// The one workload that every measurement runs: operations drawn from a seed over a set of keys and values. Keys and values are made
// once, so that the generator costs some tens of nanoseconds and two systems under comparison get the same bytes. It knows nothing of
// threads or clusters.

import { chooserOf, type Distribution, type KeyChooser, Random } from './distributions.js';
import { ALONE, Keys, keyName, keysMost, type Place } from './keys.js';
import { makeValues, meanSize, type ValueSizes } from './values.js';

/** What is sent to a store. */
export const OPERATIONS = ['get', 'set', 'delete', 'incr'] as const;
export type Operation = (typeof OPERATIONS)[number];
/** What a mix is made of: `insert` sets a new key, `rmw` gets a key and, when it has the answer, sets it. */
export const KINDS = ['get', 'set', 'delete', 'incr', 'insert', 'rmw'] as const;
export type Kind = (typeof KINDS)[number];
export type Mix = Readonly<Partial<Record<Kind, number>>>;

/** Codes of `kinds` arrays: the place in OPERATIONS, with which KINDS begin. */
export const GET = 0;
export const SET = 1;
export const DELETE = 2;
export const INCR = 3;
const INSERT: number = KINDS.indexOf('insert');
const RMW: number = KINDS.indexOf('rmw');

/** Those of YCSB, but for E: there are no scans. Its records of a kilobyte are `valueBytes` of 1000. */
export const WORKLOADS = {
  'ycsb-a': { mix: { get: 50, set: 50 }, distribution: 'zipfian' },
  'ycsb-b': { mix: { get: 95, set: 5 }, distribution: 'zipfian' },
  'ycsb-c': { mix: { get: 100 }, distribution: 'zipfian' },
  'ycsb-d': { mix: { get: 95, insert: 5 }, distribution: 'latest' },
  'ycsb-f': { mix: { get: 50, rmw: 50 }, distribution: 'zipfian' },
} as const;
export type WorkloadName = keyof typeof WORKLOADS;

/** What operations are added to: a pipeline of the store, or anything with its shape. */
export interface OperationSink<V> {
  get(key: string): unknown;
  set(key: string, value: V): unknown;
  delete(key: string): unknown;
  incr(key: string, by?: number): unknown;
}

/** What single operations are called on. */
export interface OperationCalls<V> {
  get(key: string): Promise<unknown>;
  set(key: string, value: V): Promise<unknown>;
  delete(key: string): Promise<unknown>;
  incr(key: string, by?: number): Promise<unknown>;
}

/** Where load comes from: the generator below, or a file of the user's. `slot`: who asks; it has the answers to what it got before. */
export interface OperationSource<V> {
  /** What a slot gets depends on what it got before: by then that has to be answered. */
  readonly remembers: boolean;
  /** Adds up to `count` operations and notes what they are. @returns how many; fewer: there are no more. */
  fill(sink: OperationSink<V>, count: number, kinds: Uint8Array, slot: number): number;
  /** One operation with a promise of its own. @returns null when there are no more. */
  call(target: OperationCalls<V>, slot: number): Promise<unknown> | null;
}

export interface WorkloadShape {
  readonly keyBytes: number;
  readonly valueBytes: ValueSizes;
  readonly keyspace: number;
  readonly distribution: Distribution;
  readonly mix: Mix;
  readonly seed: number;
}

/** 16-byte keys, values of 16 to 100 bytes (mean 58), 10 000 keys, half reads. */
export const CANONICAL: WorkloadShape = {
  keyBytes: 16,
  valueBytes: { least: 16, most: 100 },
  keyspace: 10_000,
  distribution: 'uniform',
  mix: { get: 50, set: 50 },
  seed: 1,
};

/** Operation header in the log. */
const OPERATION_BYTES = 8;
/** Slots that the mix is spread over. */
const MIX_SLOTS = 4096;
const MIX_SHIFT = 20;
const VALUE_SHIFT = 22;
const NOTHING: never[] = [];

/** Mean bytes that a set puts into the log. */
export function setBytes(shape: Pick<WorkloadShape, 'keyBytes' | 'valueBytes'>): number {
  return OPERATION_BYTES + shape.keyBytes + meanSize(shape.valueBytes);
}

/** Different keys that a workload comes to use, at most. */
export function keysOf(shape: Omit<WorkloadShape, 'seed'>): number {
  return (shape.mix.insert ?? 0) > 0 ? keysMost(shape.keyspace, setBytes(shape)) : shape.keyspace;
}

function makeMix(mix: Mix): Uint8Array {
  const weights = KINDS.map((kind) => mix[kind] ?? 0);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const slots = new Uint8Array(MIX_SLOTS);
  let at = 0;
  let sum = 0;
  weights.forEach((weight, kind) => {
    sum += weight;
    const end = Math.round((sum / total) * MIX_SLOTS);
    slots.fill(kind, at, end);
    at = end;
  });
  return slots;
}

export class Workload implements OperationSource<Uint8Array> {
  readonly shape: WorkloadShape;
  readonly remembers: boolean;
  /** Counters are keys of their own: an incr of a key that was set to other bytes is refused. */
  readonly counters: readonly string[];
  readonly values: readonly Uint8Array[];
  readonly #keys: Keys;
  readonly #chooser: KeyChooser;
  readonly #random: Random;
  readonly #mix: Uint8Array;
  /** By slot, the keys that it read to change them, and has not written yet. */
  readonly #owed: number[][] = [];

  constructor(shape: WorkloadShape, place: Place = ALONE) {
    const { keyspace, keyBytes, mix } = shape;
    this.shape = shape;
    this.remembers = (mix.rmw ?? 0) > 0;
    this.#keys = new Keys({ keyspace, keyBytes, most: keysOf(shape), place });
    const counters = (mix.incr ?? 0) > 0 ? keyspace : 0;
    this.counters = Array.from({ length: counters }, (_, index) => keyName('c', index, keyBytes));
    this.values = makeValues(shape.valueBytes);
    this.#mix = makeMix(mix);
    this.#random = new Random(shape.seed + place.generator);
    const share = place.generator / place.generators;
    this.#chooser = chooserOf(shape.distribution, this.#keys, share);
  }

  get keys(): readonly string[] {
    return this.#keys.names;
  }

  #value(drawn: number): Uint8Array {
    const { values } = this;
    return values[(Math.imul(drawn, 0x85ebca6b) >>> VALUE_SHIFT) % values.length] as Uint8Array;
  }

  #insert(): string {
    if (this.#keys.insert()) this.#chooser.grow();
    return this.keys[this.#keys.newest] as string;
  }

  #counter(at: number): string {
    return this.counters[at % this.counters.length] as string;
  }

  #owe(slot: number, at: number): void {
    while (this.#owed.length <= slot) this.#owed.push([]);
    this.#owed[slot]?.push(at);
  }

  #takeOwed(slot: number, count: number): readonly number[] {
    const owed = this.#owed[slot] ?? NOTHING;
    return owed.length === 0 ? NOTHING : owed.splice(0, count);
  }

  fill(
    sink: OperationSink<Uint8Array>,
    count: number,
    kinds: Uint8Array,
    slot: number = 0,
  ): number {
    const random = this.#random;
    let index = 0;
    for (const at of this.#takeOwed(slot, count)) {
      kinds[index++] = SET;
      sink.set(this.keys[at] as string, this.#value(random.next()));
    }
    for (; index < count; index++) {
      const drawn = random.next();
      const kind = this.#mix[Math.imul(drawn, 0x9e3779b1) >>> MIX_SHIFT] as number;
      if (kind === INSERT) {
        kinds[index] = SET;
        sink.set(this.#insert(), this.#value(drawn));
        continue;
      }
      const at = this.#chooser.choose(drawn);
      if (kind === RMW) this.#owe(slot, at);
      kinds[index] = kind === RMW ? GET : kind;
      if (kind === GET || kind === RMW) sink.get(this.keys[at] as string);
      else if (kind === SET) sink.set(this.keys[at] as string, this.#value(drawn));
      else if (kind === DELETE) sink.delete(this.keys[at] as string);
      else sink.incr(this.#counter(at));
    }
    return count;
  }

  call(target: OperationCalls<Uint8Array>, slot: number = 0): Promise<unknown> {
    const drawn = this.#random.next();
    if (this.remembers) {
      const [owed] = this.#takeOwed(slot, 1);
      if (owed !== undefined) return target.set(this.keys[owed] as string, this.#value(drawn));
    }
    const kind = this.#mix[Math.imul(drawn, 0x9e3779b1) >>> MIX_SHIFT] as number;
    if (kind === INSERT) return target.set(this.#insert(), this.#value(drawn));
    const at = this.#chooser.choose(drawn);
    if (kind === RMW) this.#owe(slot, at);
    if (kind === GET || kind === RMW) return target.get(this.keys[at] as string);
    if (kind === SET) return target.set(this.keys[at] as string, this.#value(drawn));
    if (kind === DELETE) return target.delete(this.keys[at] as string);
    return target.incr(this.#counter(at));
  }

  /** Sets every key once, in pieces of `batch`; reads then find something. */
  async prefill(batch: number, submit: (fill: Prefill) => Promise<unknown>): Promise<void> {
    const { keyspace } = this.shape;
    for (let from = 0; from < keyspace; from += batch) {
      const to = Math.min(keyspace, from + batch);
      await submit((sink) => {
        for (let index = from; index < to; index++) {
          const value = this.values[index % this.values.length] as Uint8Array;
          sink.set(this.keys[index] as string, value);
        }
      });
    }
  }
}

/** Adds one piece of the first filling. */
export type Prefill = (sink: OperationSink<Uint8Array>) => void;
