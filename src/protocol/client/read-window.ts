// The open reads of a client (RD0): kept until they are answered, in any order, over sessions as well, for a read may run twice; written
// into a ring from a cursor that goes back when everything has to be repeated.

import { assert } from '../assert.js';
import type { LocalLevel } from '../client-event.js';
import type { RequestNumber } from '../types.js';
import type { RequestWindow } from './request-window.js';

export interface OpenRead {
  readonly readId: number;
  readonly token: number;
  readonly body: Uint8Array;
  /** Highest request number that has to be executed before it (RD0). */
  readonly afterRequest: RequestNumber;
  /** null: linearizable. */
  readonly level: LocalLevel | null;
}

/** A read that goes to another replica gets another id: what the first one may still say means nothing. */
export class ReadIds {
  #last = 0;

  next(): number {
    return ++this.#last;
  }
}

export class ReadWindow {
  readonly #size: number;
  readonly #requests: RequestWindow;
  readonly #ids: ReadIds;
  /** In the order of their ids; those before the cursor were written. */
  #reads: OpenRead[] = [];
  #cursor = 0;
  #since = 0;
  #logFull = false;

  /** `requests`: the window of the same client, whose numbers reads wait for. `ids`: shared by all windows of a client. */
  constructor(size: number, requests: RequestWindow, ids: ReadIds) {
    this.#size = size;
    this.#requests = requests;
    this.#ids = ids;
  }

  /** Open reads. */
  get count(): number {
    return this.#reads.length;
  }

  get full(): boolean {
    return this.#reads.length >= this.#size;
  }

  /** Since when the oldest open read is the oldest. */
  get since(): number {
    return this.#since;
  }

  add(token: number, body: Uint8Array, level: LocalLevel | null, now: number): void {
    assert(!this.full, 'a read was added beyond the limit');
    if (this.#reads.length === 0) this.#since = now;
    const afterRequest = this.#logFull ? this.#requests.answered : this.#requests.last;
    this.#reads.push({ readId: this.#ids.next(), token, body, afterRequest, level });
  }

  /** Takes the answered one out. @returns null: answered before, or never given */
  close(readId: number, now: number): OpenRead | null {
    // By hand: it is the first one nearly always, and neither looking for it nor closing the gap needs an object.
    const reads = this.#reads;
    let at = 0;
    while (at < reads.length && reads[at]?.readId !== readId) at++;
    const open = reads[at];
    if (open === undefined) return null;
    // The others may be answered for ever while the answer to the oldest is lost.
    if (at === 0) this.#since = now;
    for (let next = at + 1; next < reads.length; next++) reads[next - 1] = reads[next] as OpenRead;
    reads.pop();
    if (at < this.#cursor) this.#cursor--;
    return open;
  }

  /** The next open read that was not written, or null. */
  nextUnwritten(): OpenRead | null {
    return this.#reads[this.#cursor] ?? null;
  }

  /** `nextUnwritten` was written. */
  advance(): void {
    this.#cursor++;
  }

  /** All that were given up by whoever was asked, oldest first. */
  takeAll(): OpenRead[] {
    const reads = this.#reads;
    this.#reads = [];
    this.#cursor = 0;
    return reads;
  }

  get hasUnwritten(): boolean {
    return this.#cursor < this.#reads.length;
  }

  /** Everything open is to be written again. */
  rewind(): void {
    this.#cursor = 0;
  }

  /** The primary's log is full, or no longer (BP6). @returns whether that is news */
  noteLogFull(full: boolean): boolean {
    if (full === this.#logFull) return false;
    this.#logFull = full;
    // What is open may never be executed now, and was never answered: reads need not wait for it.
    if (full) this.#waitAtMostFor(this.#requests.answered);
    return true;
  }

  /** Everything open is to be written in a new session. */
  changeSession(): void {
    // Numbers of an older session mean nothing in this one, and everything submitted under it was settled.
    this.#waitAtMostFor(0);
    this.rewind();
  }

  #waitAtMostFor(most: RequestNumber): void {
    this.#reads = this.#reads.map((read) => ({
      ...read,
      afterRequest: Math.min(read.afterRequest, most),
    }));
  }
}
