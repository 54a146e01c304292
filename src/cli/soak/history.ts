// What the clients of one thread did and saw, in shared memory: it outlives a thread that is ended in the middle of a call, whose
// open operations then simply have no end. One row per step; the rows of an atomic batch follow each other. A thread appends, and
// nobody reads before it has stopped.

import type {
  KeyInput,
  KeyOutput,
  KeyStep,
  Operation,
} from '../../simulation/linearizability/types.js';

/** Rows that a history holds; what is beyond is not run, and counted. */
export const HISTORY_ROWS: number = 1 << 17;

const KINDS = ['get', 'set', 'delete', 'incr', 'cas'] as const;

const INCR: number = KINDS.indexOf('incr');

/** A value is a number and written `v<number>`; absent is less than that. */
export const ABSENT = -1;
/** The output was not told: the answer of a batch has none. */
const UNTOLD = -2;

/** Ends of operations besides times: not there yet, and refused without effect. */
const OPEN = 0;
const REFUSED = -1;

/** One step as it is drawn and recorded: `key` is a place in the list of keys. */
export interface Step {
  readonly kind: (typeof KINDS)[number];
  readonly key: number;
  /** set, cas: the new value. incr: by how much. */
  readonly value: number;
  /** cas. */
  readonly expected: number;
}

export function valueText(value: number): string {
  return `v${value}`;
}

/** Nanoseconds of a clock that all threads share, and on Linux all processes of the machine. */
export function sharedClock(): number {
  return Number(process.hrtime.bigint());
}

/** What a client writes down: before it calls, and when it was answered or refused. */
export type Recorder = Pick<History, 'begin' | 'end' | 'refuse'>;

const HEADER_BYTES = 64;

export class History {
  readonly #count: Int32Array;
  readonly #call: Float64Array;
  readonly #end: Float64Array;
  /** Client, value, expected value, output: four words of a row. */
  readonly #words: Int32Array;
  /** Kind, number of steps (0 behind the first one). */
  readonly #bytes: Uint8Array;
  readonly #keys: Uint16Array;

  static allocate(): SharedArrayBuffer {
    return new SharedArrayBuffer(HEADER_BYTES + HISTORY_ROWS * (8 + 8 + 16 + 2 + 2));
  }

  constructor(memory: SharedArrayBuffer) {
    let at = HEADER_BYTES;
    const next = (bytes: number): number => {
      at += HISTORY_ROWS * bytes;
      return at - HISTORY_ROWS * bytes;
    };
    this.#count = new Int32Array(memory, 0, 1);
    this.#call = new Float64Array(memory, next(8), HISTORY_ROWS);
    this.#end = new Float64Array(memory, next(8), HISTORY_ROWS);
    this.#words = new Int32Array(memory, next(16), 4 * HISTORY_ROWS);
    this.#keys = new Uint16Array(memory, next(2), HISTORY_ROWS);
    this.#bytes = new Uint8Array(memory, next(2), 2 * HISTORY_ROWS);
  }

  /** Rows in use. */
  get rows(): number {
    return Atomics.load(this.#count, 0);
  }

  /** Forgets everything. */
  clear(): void {
    Atomics.store(this.#count, 0, 0);
  }

  /** An operation is about to be called. @returns its first row, or -1: there is no room. */
  begin(client: number, steps: readonly Step[], call: number = sharedClock()): number {
    const first = this.rows;
    if (first + steps.length > HISTORY_ROWS) return -1;
    for (const [index, step] of steps.entries()) {
      const row = first + index;
      this.#call[row] = call;
      this.#end[row] = OPEN;
      this.#words.set([client, step.value, step.expected, UNTOLD], 4 * row);
      this.#keys[row] = step.key;
      this.#bytes[2 * row] = KINDS.indexOf(step.kind);
      this.#bytes[2 * row + 1] = index === 0 ? steps.length : 0;
    }
    // Last: a thread that is ended before this has called nothing yet.
    Atomics.store(this.#count, 0, first + steps.length);
    return first;
  }

  /** It was answered. `output`: a value or number, 1 and 0 for yes and no; none for a batch and a set. */
  end(row: number, output: number = UNTOLD, at: number = sharedClock()): void {
    this.#words[4 * row + 3] = output;
    this.#finish(row, at);
  }

  /** It was refused, and has certainly no effect. */
  refuse(row: number): void {
    this.#finish(row, REFUSED);
  }

  #finish(row: number, end: number): void {
    this.#end.fill(end, row, row + (this.#bytes[2 * row + 1] as number));
  }

  /** Operations whose first step is on one of the keys that `wanted` names. */
  operations(keys: readonly string[], wanted: (key: number) => boolean): Operation[] {
    const found: Operation[] = [];
    for (let row = 0; row < this.rows; row += this.#bytes[2 * row + 1] as number) {
      const end = this.#end[row] as number;
      if (end === REFUSED || !wanted(this.#keys[row] as number)) continue;
      const steps: KeyStep[] = [];
      for (let step = 0; step < (this.#bytes[2 * row + 1] as number); step++)
        steps.push(this.#step(row + step, keys));
      found.push({
        client: this.#words[4 * row] as number,
        call: this.#call[row] as number,
        end: end === OPEN ? Number.POSITIVE_INFINITY : end,
        steps,
      });
    }
    return found;
  }

  /** Sums of what was added to a counter: by calls that were answered, and by calls that may have run. */
  increments(key: number): { readonly acknowledged: number; readonly unknown: number } {
    let acknowledged = 0;
    let unknown = 0;
    for (let row = 0; row < this.rows; row++) {
      if (this.#keys[row] !== key || this.#bytes[2 * row] !== INCR) continue;
      const end = this.#end[row] as number;
      const by = this.#words[4 * row + 1] as number;
      if (end === OPEN) unknown += by;
      else if (end !== REFUSED) acknowledged += by;
    }
    return { acknowledged, unknown };
  }

  /** Operations that were called, and those of them whose outcome nobody knows. */
  tally(): { readonly operations: number; readonly unknown: number } {
    let operations = 0;
    let unknown = 0;
    for (let row = 0; row < this.rows; row += this.#bytes[2 * row + 1] as number) {
      operations++;
      if (this.#end[row] === OPEN) unknown++;
    }
    return { operations, unknown };
  }

  #step(row: number, keys: readonly string[]): KeyStep {
    const [, value = 0, expected = 0, output = 0] = this.#words.subarray(4 * row, 4 * row + 4);
    const kind = KINDS[this.#bytes[2 * row] as number] as Step['kind'];
    const key = keys[this.#keys[row] as number] as string;
    const input = inputOf(kind, value, expected);
    return output === UNTOLD ? { key, input } : { key, input, output: outputOf(kind, key, output) };
  }
}

function inputOf(kind: Step['kind'], value: number, expected: number): KeyInput {
  switch (kind) {
    case 'set':
      return { type: 'set', value: valueText(value) };
    case 'incr':
      return { type: 'incr', by: value };
    case 'cas':
      return {
        type: 'cas',
        expected: expected === ABSENT ? null : valueText(expected),
        value: valueText(value),
      };
    default:
      return { type: kind };
  }
}

function outputOf(kind: Step['kind'], key: string, output: number): KeyOutput {
  switch (kind) {
    case 'get':
      if (output === ABSENT) return null;
      return isCounter(key) ? String(output) : valueText(output);
    case 'incr':
      return output;
    default:
      return output === 1;
  }
}

/** Counters hold numbers, other keys hold values. */
export function isCounter(key: string): boolean {
  return key.startsWith('n');
}
