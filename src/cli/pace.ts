// Requests that start at a fixed rate, whatever becomes of those before (an open loop). One that cannot be sent in time waits in a
// backlog, and its latency counts from when it was due: a stall then shows in every request that it delayed, and not only in the few
// that were open when it came (coordinated omission).

import { performance } from 'node:perf_hooks';

/** Time in milliseconds; tests have one of their own. */
export interface Clock {
  now(): number;
  /** Calls back in `ms` or a little earlier, but never at once. */
  soon(ms: number, call: () => void): void;
}

/** Timers of Node are up to two milliseconds late: the last stretch is spent looking at the clock, between turns of the event loop. */
const TIMER_LATE_MS = 2;

export const CLOCK: Clock = {
  now: () => performance.now(),
  soon: (ms, call) => {
    if (ms > TIMER_LATE_MS + 1) setTimeout(call, ms - TIMER_LATE_MS);
    else setImmediate(call);
  },
};

/** The share of one generator. */
export interface Pace {
  readonly perSecond: number;
  /** Operations that may be due and not sent; beyond them the oldest are dropped. */
  readonly backlog: number;
  readonly generators: number;
}

/** When requests are due. */
export class Schedule {
  readonly #beginMs: number;
  readonly #intervalMs: number;
  readonly #count: number;
  #next = 0;

  constructor(options: {
    readonly beginMs: number;
    readonly intervalMs: number;
    /** Requests in all. */
    readonly count: number;
  }) {
    this.#beginMs = options.beginMs;
    this.#intervalMs = options.intervalMs;
    this.#count = options.count;
  }

  get over(): boolean {
    return this.#next >= this.#count;
  }

  /** When the next request is, or was, due. */
  get nextAt(): number {
    return this.#beginMs + this.#next * this.#intervalMs;
  }

  /** Requests that are due and not taken. */
  waiting(now: number): number {
    const due = Math.floor((now - this.#beginMs) / this.#intervalMs) + 1;
    return Math.max(0, Math.min(due, this.#count) - this.#next);
  }

  /** Takes the oldest ones. */
  take(count: number): void {
    this.#next += count;
  }
}

/** Sends one request at a time. */
export interface PacedSlot {
  /** `dueAt`: when its latency begins. @returns false when there are no more operations */
  start(dueAt: number): boolean;
}

/** What could not be sent in time, in requests. */
export interface Backlog {
  readonly dropped: number;
  /** Due and not sent when the time was up. */
  readonly unsent: number;
  /** The longest that it became. */
  readonly most: number;
}

/** How often to look whether to go on, at least, ms. */
const LOOK_MS = 10;

export class OpenLoop {
  readonly #schedule: Schedule;
  readonly #most: number;
  readonly #clock: Clock;
  readonly #isOpen: () => boolean;
  readonly #onUnsent: (waitedMs: number) => void;
  #slots = 0;
  #idle: PacedSlot[] = [];
  #exhausted = false;
  #over = false;
  /** Requests that found no free slot when it looked last. */
  #waiting = 0;
  #waitingMost = 0;
  #dropped = 0;
  #unsent = 0;
  #finish: () => void = () => {};

  constructor(options: {
    readonly schedule: Schedule;
    /** Requests that may wait. */
    readonly backlog: number;
    readonly clock: Clock;
    /** Whether anything may still be sent. */
    readonly isOpen: () => boolean;
    /** Told of each request that was due and not sent when the time was up. */
    readonly onUnsent: (waitedMs: number) => void;
  }) {
    this.#schedule = options.schedule;
    this.#most = options.backlog;
    this.#clock = options.clock;
    this.#isOpen = options.isOpen;
    this.#onUnsent = options.onUnsent;
  }

  /** Resolves when all is over and answered. Slots tell `release` when they have their answers. */
  async run(slots: readonly PacedSlot[]): Promise<Backlog> {
    this.#slots = slots.length;
    this.#idle = [...slots];
    await new Promise<void>((resolve) => {
      this.#finish = resolve;
      this.#look();
    });
    return { dropped: this.#dropped, unsent: this.#unsent, most: this.#waitingMost };
  }

  release(slot: PacedSlot): void {
    this.#idle.push(slot);
    if (this.#over) {
      if (this.#idle.length === this.#slots) this.#finish();
    } else if (this.#waiting > 0 && this.#isOpen()) this.#send();
  }

  readonly #look = (): void => {
    if (this.#exhausted || this.#schedule.over || !this.#isOpen()) {
      this.#over = true;
      this.#leave();
      if (this.#idle.length === this.#slots) this.#finish();
      return;
    }
    this.#send();
    const gap = this.#idle.length > 0 ? this.#schedule.nextAt - this.#clock.now() : LOOK_MS;
    this.#clock.soon(Math.min(gap, LOOK_MS), this.#look);
  };

  /** Gives up what waits; what came due since the last look does not count, for it would have been sent. */
  #leave(): void {
    const now = this.#clock.now();
    this.#unsent = this.#waiting;
    for (let request = 0; request < this.#unsent; request++) {
      this.#onUnsent(now - this.#schedule.nextAt);
      this.#schedule.take(1);
    }
  }

  #send(): void {
    const schedule = this.#schedule;
    const now = this.#clock.now();
    let waiting = schedule.waiting(now);
    while (waiting > 0 && !this.#exhausted) {
      const slot = this.#idle.pop();
      if (slot === undefined) break;
      if (slot.start(schedule.nextAt)) {
        schedule.take(1);
        waiting--;
      } else {
        this.#exhausted = true;
        this.#idle.push(slot);
      }
    }
    if (this.#exhausted) waiting = 0;
    const excess = waiting - this.#most;
    if (excess > 0) {
      schedule.take(excess);
      this.#dropped += excess;
      waiting = this.#most;
    }
    this.#waiting = waiting;
    this.#waitingMost = Math.max(this.#waitingMost, waiting);
  }
}
