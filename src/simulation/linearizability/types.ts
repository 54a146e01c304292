// What a history is: the operations of all clients on a map from strings to strings, with the times at which each was called
// and answered.

export type KeyInput =
  | { readonly type: 'get' }
  | { readonly type: 'set'; readonly value: string }
  | { readonly type: 'delete' }
  | { readonly type: 'incr'; readonly by: number }
  | { readonly type: 'cas'; readonly expected: string | null; readonly value: string };

/**
 * get: the value, null for absent. set: ignored. delete: whether the key existed. incr: the new value. cas: whether it took
 * effect.
 */
export type KeyOutput = string | number | boolean | null;

export interface KeyStep {
  readonly key: string;
  /**
   * `incr` counts an absent key as 0 and leaves the decimal digits of its result. It is defined on values of the form that it
   * writes itself ('0', '17', '-3', within the safe integers); an order that brings it to any other value is not considered,
   * so a refused `incr` has no place in a history.
   */
  readonly input: KeyInput;
  /** Undefined: unknown, any output would do. */
  readonly output?: KeyOutput;
}

export interface Operation {
  readonly client: number;
  /** Any monotone clock; an operation that ends at t precedes one that is called at t' > t, and not one called at t. */
  readonly call: number;
  /**
   * Infinity: the outcome is unknown (client died, timeout, evicted); it may have taken effect once at any later time, or
   * never. Outputs given nevertheless hold if it took effect.
   */
  readonly end: number;
  /** One for a plain operation; several for an atomic request: they take effect together, in this order. */
  readonly steps: readonly KeyStep[];
}

export interface Verdict {
  readonly verdict: 'linearizable' | 'violation' | 'undecided';
  /** Violation or undecided: the keys around the point where no order explains the results, or where the search gave up. */
  readonly keys?: readonly string[];
  /** For a person: the operations around that point. */
  readonly explanation?: string;
  /** Search steps taken: an operation put in its place, or a possibility looked at. */
  readonly steps: number;
}

export interface CheckOptions {
  /** Over all keys together; the search is given up as 'undecided' beyond. */
  readonly stepsMax?: number;
  /** Values before the first operation; keys that are not in it are absent. */
  readonly initial?: ReadonlyMap<string, string>;
}
