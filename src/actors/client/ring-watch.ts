// When a client looks at its rings: in turn after turn of its thread's event loop while there is something, so that timers and
// input of the user get theirs; else it sleeps on its doorbell. What it finds there is the client's affair.

import type { Doorbell } from '../../transport/doorbell.js';

/** Whose rings they are. */
interface Watching {
  /** Nothing will come any more. */
  ended(): boolean;
  /** Something has come, or there is room for what waited for it. */
  hasWork(): boolean;
  /** @returns how much there was */
  receive(): number;
}

export class RingWatch {
  readonly #doorbell: Doorbell;
  readonly #client: Watching;
  // Made once: a turn of the event loop may carry one call, and needs each of them.
  readonly #onPoll = (): void => this.#polled();
  readonly #onWake = (): void => this.#woke();
  readonly #look = (): boolean => this.#client.hasWork();
  #parked = false;
  #polling = false;

  constructor(doorbell: Doorbell, client: Watching) {
    this.#doorbell = doorbell;
    this.#client = client;
  }

  /** Sleeps on the doorbell unless something is already there. */
  rest(): void {
    // A promise that waits for ever would keep the rings of a closed client in memory.
    if (this.#parked || this.#polling || this.#client.ended()) return;
    const sleep = this.#doorbell.park(this.#look);
    if (sleep === null) {
      this.#poll();
      return;
    }
    this.#parked = true;
    void sleep.then(this.#onWake);
  }

  /** Ends the sleep, whatever the doorbell's word says. */
  wake(): void {
    if (this.#parked) this.#doorbell.wake();
  }

  #woke(): void {
    this.#parked = false;
    if (this.#client.ended()) return;
    this.#client.receive();
    this.#poll();
  }

  #poll(): void {
    if (this.#polling) return;
    this.#polling = true;
    setImmediate(this.#onPoll);
  }

  #polled(): void {
    this.#polling = false;
    if (this.#client.ended()) return;
    if (this.#client.receive() > 0) this.#poll();
    else this.rest();
  }
}
