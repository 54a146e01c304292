// How an actor waits for work: a short spin, because a wake-up across cores costs ten times what it saves, then sleep on the
// doorbell. Strategies know neither rings nor messages: the actor says whether there is data, and what is left to do
// before it may sleep.

import { performance } from 'node:perf_hooks';
import type { Doorbell } from './doorbell.js';

export interface IdleStrategy {
  /** Times that the actor slept. */
  readonly sleeps: number;
  /**
   * To be called after every pass with the work that it did.
   * @returns null: make the next pass at once; else a promise that settles when there may be work again.
   */
  idle(workDone: number): Promise<unknown> | null;
}

/** What a strategy has to know of its actor. */
export interface Idler {
  readonly doorbell: Doorbell;
  /** Something that the next pass could take is there. */
  hasData(): boolean;
  /** The last chance to do something before sleep, such as a commit number that nobody was told. @returns work done: it
   * does not sleep then. */
  beforePark(): number;
  /** What does not press need not wake it now. @default false */
  rests?(): boolean;
}

/** With a core for every thread a spin costs nothing but heat, and saves a wake-up. */
const SPARE_CORE_SPIN_MICROS = 50;
/** Neutral when threads outnumber cores; longer spins take time from those who have work. */
const SHARED_CORE_SPIN_MICROS = 5;

export function spinBudgetMicros(threads: number, cores: number): number {
  // Nobody else runs while this one looks.
  if (cores === 1) return 0;
  return threads <= cores ? SPARE_CORE_SPIN_MICROS : SHARED_CORE_SPIN_MICROS;
}

/** Looks at the clock only every so often: it costs as much as several looks at the rings. */
const POLLS_PER_CLOCK = 8;

/** @returns true as soon as there is data, false when the budget is spent. */
function spin(budgetMicros: number, hasData: () => boolean): boolean {
  if (hasData()) return true;
  if (budgetMicros <= 0) return false;
  const until = performance.now() + budgetMicros / 1000;
  do {
    for (let poll = 0; poll < POLLS_PER_CLOCK; poll++) if (hasData()) return true;
  } while (performance.now() < until);
  return false;
}

/** For actors on an event loop: sleeps in `Atomics.waitAsync`, so that timers and messages of the control plane are served. */
export class SpinThenPark implements IdleStrategy {
  sleeps = 0;
  readonly #idler: Idler;
  readonly #spinMicros: number;
  readonly #hasData: () => boolean;

  constructor(idler: Idler, options: { readonly spinMicros: number }) {
    this.#idler = idler;
    this.#spinMicros = options.spinMicros;
    this.#hasData = () => idler.hasData();
  }

  idle(workDone: number): Promise<unknown> | null {
    if (workDone > 0 || spin(this.#spinMicros, this.#hasData)) return null;
    if (this.#idler.beforePark() > 0) return null;
    const slept = this.#idler.doorbell.park(this.#hasData);
    if (slept !== null) this.sleeps++;
    return slept;
  }
}

/** For threads without an event loop to serve: sleeps in `Atomics.wait`, at most `timeoutMs()` at a time, asked before each. */
export class SpinThenBlock implements IdleStrategy {
  sleeps = 0;
  /** Sleeps that nobody ended although there was data: a lost wake-up each. */
  overslept = 0;
  readonly #idler: Idler;
  readonly #options: { readonly spinMicros: number; readonly timeoutMs: () => number };
  readonly #hasData: () => boolean;

  constructor(
    idler: Idler,
    options: { readonly spinMicros: number; readonly timeoutMs: () => number },
  ) {
    this.#idler = idler;
    this.#options = options;
    this.#hasData = () => idler.hasData();
  }

  idle(workDone: number): null {
    if (workDone > 0 || spin(this.#options.spinMicros, this.#hasData)) return null;
    if (this.#idler.beforePark() > 0) return null;
    const timeoutMs = this.#options.timeoutMs();
    const rests = this.#idler.rests?.() === true;
    const outcome = this.#idler.doorbell.parkBlocking(this.#hasData, timeoutMs, rests);
    if (outcome !== 'awake') this.sleeps++;
    if (outcome === 'timed-out' && !rests && this.#idler.hasData()) this.overslept++;
    return null;
  }
}
