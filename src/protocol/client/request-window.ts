// The window of a client's session (CS2): requests numbered in order, kept until they are answered, in any order, and written into a
// ring from a cursor that goes back when everything has to be repeated.

import { assert } from '../assert.js';
import type { RequestNumber } from '../types.js';

export interface OpenRequest {
  readonly requestNumber: RequestNumber;
  readonly token: number;
  readonly body: Uint8Array;
  /** Worst-case bytes of its reply (CS6). */
  readonly replyBytes: number;
}

export class RequestWindow {
  /** At requestNumber modulo the size; null: answered. */
  readonly #slots: (OpenRequest | null)[];
  #base: RequestNumber = 1;
  #next: RequestNumber = 1;
  #cursor: RequestNumber = 1;
  #count = 0;
  #replyBytes = 0;
  #since = 0;

  constructor(size: number) {
    this.#slots = new Array<OpenRequest | null>(size).fill(null);
  }

  /** Open requests. */
  get count(): number {
    return this.#count;
  }

  /** Of the replies of all open requests. */
  get replyBytes(): number {
    return this.#replyBytes;
  }

  /** Everything up to here is answered. */
  get answered(): RequestNumber {
    return this.#base - 1;
  }

  /** The last number given. */
  get last(): RequestNumber {
    return this.#next - 1;
  }

  get full(): boolean {
    return this.#next >= this.#base + this.#slots.length;
  }

  /** Since when the oldest open request is the oldest. */
  get since(): number {
    return this.#since;
  }

  add(token: number, body: Uint8Array, replyBytes: number, now: number): void {
    assert(!this.full, 'a request was added beyond the window');
    if (this.#count === 0) this.#since = now;
    const requestNumber = this.#next++;
    this.#slots[requestNumber % this.#slots.length] = { requestNumber, token, body, replyBytes };
    this.#count++;
    this.#replyBytes += replyBytes;
  }

  /** Null: answered before, or never given. */
  at(requestNumber: RequestNumber): OpenRequest | null {
    const open = this.#slots[requestNumber % this.#slots.length] ?? null;
    return open !== null && open.requestNumber === requestNumber ? open : null;
  }

  /** Takes the answered one out. */
  close(open: OpenRequest, now: number): void {
    if (open.requestNumber === this.#base) this.#since = now;
    this.#slots[open.requestNumber % this.#slots.length] = null;
    this.#count--;
    this.#replyBytes -= open.replyBytes;
    while (this.#base < this.#next && this.at(this.#base) === null) this.#base++;
    this.#cursor = Math.max(this.#cursor, this.#base);
  }

  /** The next open request that was not written, or null; the cursor passes over what was answered meanwhile. */
  nextUnwritten(): OpenRequest | null {
    while (this.#cursor < this.#next) {
      const open = this.at(this.#cursor);
      if (open !== null) return open;
      this.#cursor++;
    }
    return null;
  }

  /** `nextUnwritten` was written. */
  advance(): void {
    this.#cursor++;
  }

  get hasUnwritten(): boolean {
    return this.#cursor < this.#next;
  }

  /** Everything open is to be written again. */
  rewind(): void {
    this.#cursor = this.#base;
  }

  /** Forgets everything and numbers from 1 on. @returns what was open */
  restart(): OpenRequest[] {
    const open: OpenRequest[] = [];
    for (let number = this.#base; number < this.#next; number++) {
      const one = this.at(number);
      if (one !== null) open.push(one);
    }
    this.#slots.fill(null);
    this.#base = 1;
    this.#next = 1;
    this.#cursor = 1;
    this.#count = 0;
    this.#replyBytes = 0;
    return open;
  }
}
