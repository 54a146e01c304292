// The words through which one driver and its load generators agree on phases, on the main thread or on threads of their own:
// nobody measures while another still warms up. Progress figures are plain stores: they inform, they decide nothing.

import { setTimeout as sleep } from 'node:timers/promises';

/** 0 is the phase before: generators attach. */
export const PHASE_WARM_UP = 1;
/** What is open is drained; nothing starts. */
export const PHASE_SETTLE = 2;
export const PHASE_MEASURE = 3;
export const PHASE_DONE = 4;

const PHASE = 0;
const ARRIVED = 1;
const FAILED = 2;
const WORDS = 4;
/** How often a phase is looked for; phases last hundreds of milliseconds. */
const POLL_MS = 1;

export class LoadControl {
  readonly shared: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #operations: Float64Array;

  constructor(shared: SharedArrayBuffer) {
    this.shared = shared;
    this.#words = new Int32Array(shared, 0, WORDS);
    this.#operations = new Float64Array(shared, WORDS * Int32Array.BYTES_PER_ELEMENT);
  }

  static allocate(generators: number): LoadControl {
    return new LoadControl(new SharedArrayBuffer(WORDS * 4 + generators * 8));
  }

  get phase(): number {
    return Atomics.load(this.#words, PHASE);
  }

  enter(phase: number): void {
    Atomics.store(this.#words, PHASE, phase);
  }

  /** A generator ends a stage. */
  arrive(): void {
    Atomics.add(this.#words, ARRIVED, 1);
  }

  get arrived(): number {
    return Atomics.load(this.#words, ARRIVED);
  }

  /** A generator met an error that ends the run. */
  fail(): void {
    Atomics.store(this.#words, FAILED, 1);
  }

  get failed(): boolean {
    return Atomics.load(this.#words, FAILED) === 1;
  }

  /** Generator `index` had so many operations answered since the run began. */
  report(index: number, operations: number): void {
    this.#operations[index] = operations;
  }

  get operations(): number {
    return this.#operations.reduce((sum, operations) => sum + operations, 0);
  }

  /** Resolves in `phase` or a later one. */
  async reached(phase: number): Promise<void> {
    while (this.phase < phase) await sleep(POLL_MS);
  }
}
