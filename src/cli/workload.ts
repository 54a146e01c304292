// The one workload that every measurement runs: operations drawn from a seed over a fixed set of keys and values. Keys and values
// are made once, so that the generator costs a few nanoseconds and two systems under comparison get the same bytes. It knows
// nothing of threads or clusters.

export const KINDS = ['get', 'set', 'delete', 'incr'] as const;
export type Kind = (typeof KINDS)[number];
export type Mix = Readonly<Partial<Record<Kind, number>>>;

/** Codes of `kinds` arrays: the place in KINDS. */
export const GET = 0;
export const SET = 1;
export const DELETE = 2;
export const INCR = 3;

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

/** Where load comes from: the generator below, or a file of the user's. */
export interface OperationSource<V> {
  /** Adds up to `count` operations and notes what they are. @returns how many; fewer: there are no more. */
  fill(sink: OperationSink<V>, count: number, kinds: Uint8Array): number;
  /** One operation with a promise of its own. @returns null when there are no more. */
  call(target: OperationCalls<V>): Promise<unknown> | null;
}

export interface WorkloadShape {
  readonly keyBytes: number;
  /** Sizes of values are drawn evenly from `least` to `most`. */
  readonly valueBytes: { readonly least: number; readonly most: number };
  readonly keyspace: number;
  readonly mix: Mix;
  readonly seed: number;
}

/** 16-byte keys, values of 16 to 100 bytes (mean 58), 10 000 keys, half reads. */
export const CANONICAL: WorkloadShape = {
  keyBytes: 16,
  valueBytes: { least: 16, most: 100 },
  keyspace: 10_000,
  mix: { get: 50, set: 50 },
  seed: 1,
};

/** Keys are kept as strings: more of them would measure the memory of the generator. */
export const KEYSPACE_MAX = 4_000_000;
/** Different values in circulation; they take at most VALUE_POOL_BYTES. */
const VALUES = 1024;
const VALUE_POOL_BYTES = 64 << 20;
/** Operation header in the log. */
const OPERATION_BYTES = 8;
/** Slots that the mix is spread over. */
const MIX_SLOTS = 4096;
const MIX_SHIFT = 20;
const VALUE_SHIFT = 22;

/** Mean bytes that a set puts into the log. */
export function setBytes(shape: WorkloadShape): number {
  return OPERATION_BYTES + shape.keyBytes + (shape.valueBytes.least + shape.valueBytes.most) / 2;
}

/** Digits that `keyspace` different keys need behind their one-letter prefix. */
export function keyBytesLeast(keyspace: number): number {
  return 1 + String(keyspace - 1).length;
}

function makeKeys(prefix: string, shape: WorkloadShape): string[] {
  // Through a Buffer: padStart alone gives ropes that are flattened on first use, inside the measurement.
  return Array.from({ length: shape.keyspace }, (_, index) =>
    Buffer.from(prefix + String(index).padStart(shape.keyBytes - 1, '0'), 'latin1').toString(
      'latin1',
    ),
  );
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

/** xorshift32; never 0. */
function scramble(state: number): number {
  let x = state;
  x ^= x << 13;
  x ^= x >>> 17;
  x ^= x << 5;
  return x | 0;
}

function makeValues(shape: WorkloadShape): Uint8Array[] {
  const { least, most } = shape.valueBytes;
  const count = Math.max(1, Math.min(VALUES, Math.floor(VALUE_POOL_BYTES / Math.max(1, most))));
  let state = 0x2545f491;
  return Array.from({ length: count }, (_, index) => {
    // Evenly spread and then visited in random order: the mean is exact.
    const bytes = least + Math.round(((most - least) * index) / Math.max(1, count - 1));
    const value = new Uint8Array(bytes);
    for (let at = 0; at < bytes; at++) {
      state = scramble(state);
      value[at] = 0x20 + ((state >>> 8) % 95);
    }
    return value;
  });
}

export class Workload implements OperationSource<Uint8Array> {
  readonly shape: WorkloadShape;
  readonly keys: readonly string[];
  /** Counters are keys of their own: an incr of a key that was set to other bytes is refused. */
  readonly counters: readonly string[];
  readonly values: readonly Uint8Array[];
  readonly #mix: Uint8Array;
  #state: number;

  constructor(shape: WorkloadShape) {
    this.shape = shape;
    this.keys = makeKeys('k', shape);
    this.counters = (shape.mix.incr ?? 0) > 0 ? makeKeys('c', shape) : [];
    this.values = makeValues(shape);
    this.#mix = makeMix(shape.mix);
    // Multiplied, for neighbouring seeds would start with neighbouring numbers.
    this.#state = Math.imul(shape.seed + 1, 0x9e3779b1) | 1;
  }

  fill(sink: OperationSink<Uint8Array>, count: number, kinds: Uint8Array): number {
    const { keys, values } = this;
    const { keyspace } = this.shape;
    let state = this.#state;
    for (let index = 0; index < count; index++) {
      state = scramble(state);
      const kind = this.#mix[Math.imul(state, 0x9e3779b1) >>> MIX_SHIFT] as number;
      const at = (state >>> 0) % keyspace;
      kinds[index] = kind;
      if (kind === GET) sink.get(keys[at] as string);
      else if (kind === SET) {
        const value = values[(Math.imul(state, 0x85ebca6b) >>> VALUE_SHIFT) % values.length];
        sink.set(keys[at] as string, value as Uint8Array);
      } else if (kind === DELETE) sink.delete(keys[at] as string);
      else sink.incr(this.counters[at] as string);
    }
    this.#state = state;
    return count;
  }

  call(target: OperationCalls<Uint8Array>): Promise<unknown> {
    const state = scramble(this.#state);
    this.#state = state;
    const { keyspace } = this.shape;
    const kind = this.#mix[Math.imul(state, 0x9e3779b1) >>> MIX_SHIFT] as number;
    const at = (state >>> 0) % keyspace;
    if (kind === GET) return target.get(this.keys[at] as string);
    if (kind === SET) {
      const { values } = this;
      const value = values[(Math.imul(state, 0x85ebca6b) >>> VALUE_SHIFT) % values.length];
      return target.set(this.keys[at] as string, value as Uint8Array);
    }
    if (kind === DELETE) return target.delete(this.keys[at] as string);
    return target.incr(this.counters[at] as string);
  }

  /** Sets every key once, in pieces of `batch`; reads then find something. */
  async prefill(batch: number, submit: (fill: Prefill) => Promise<unknown>): Promise<void> {
    for (let from = 0; from < this.keys.length; from += batch) {
      const to = Math.min(this.keys.length, from + batch);
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
