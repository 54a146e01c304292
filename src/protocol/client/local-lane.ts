// The client's way to reads at any active (RD8, RD9): one replica of its own choice answers them as long as it can; what it cannot
// answer, or not soon, goes to the primary as a linearizable read, which is more than was asked for.

import type { LocalLevel } from '../client-event.js';
import { ANY_AGE, type LocalRead } from '../message.js';
import type { OpNumber, ReplicaId } from '../types.js';
import { type OpenRead, type ReadIds, ReadWindow } from './read-window.js';
import type { RequestWindow } from './request-window.js';

/** RD9: the newest state that this client has seen. */
export interface Token {
  readonly gen: number;
  readonly op: OpNumber;
}

export class LocalLane {
  readonly #actives: number;
  /** Ticks that the replica has for an answer, beside what it may wait itself. */
  readonly #patience: number;
  readonly #reads: ReadWindow;
  /** Whoever is asked now. */
  #home: ReplicaId;
  #token: Token = { gen: 0, op: 0 };

  constructor(
    options: { home: ReplicaId; actives: number; patience: number; readsMax: number },
    requests: RequestWindow,
    ids: ReadIds,
  ) {
    this.#actives = options.actives;
    this.#patience = options.patience;
    this.#home = options.home % options.actives;
    this.#reads = new ReadWindow(options.readsMax, requests, ids);
  }

  get home(): ReplicaId {
    return this.#home;
  }

  get count(): number {
    return this.#reads.count;
  }

  get hasUnwritten(): boolean {
    return this.#reads.hasUnwritten;
  }

  get token(): Token {
    return this.#token;
  }

  /** A reply came from a state after `op`. */
  seen(gen: number, op: OpNumber): void {
    const { gen: known, op: highest } = this.#token;
    if (gen > known || (gen === known && op > highest)) this.#token = { gen, op };
  }

  add(token: number, body: Uint8Array, level: LocalLevel, now: number): void {
    this.#reads.add(token, body, level, now);
  }

  /** @returns the read that is answered, or null */
  close(readId: number, now: number): OpenRead | null {
    return this.#reads.close(readId, now);
  }

  nextUnwritten(): OpenRead | null {
    return this.#reads.nextUnwritten();
  }

  advance(): void {
    this.#reads.advance();
  }

  /** Another one is asked from now on. @returns what is open: the primary has to answer it */
  leave(): OpenRead[] {
    this.#home = (this.#home + 1) % this.#actives;
    return this.giveUp();
  }

  /** @returns what is open: the primary has to answer it */
  giveUp(): OpenRead[] {
    return this.#reads.takeAll();
  }

  /** True: it had its time. */
  silent(now: number): boolean {
    return this.#reads.count > 0 && now - this.#reads.since >= this.#patience;
  }

  /** The fields that make a read a local one. */
  fields({
    afterRequest,
    level,
  }: OpenRead): Pick<LocalRead, 'afterRequest' | 'tokenGen' | 'tokenOp' | 'maxStaleMs'> {
    const session = level?.session === true;
    return {
      afterRequest: session ? afterRequest : 0,
      tokenGen: this.#token.gen,
      tokenOp: session ? this.#token.op : 0,
      maxStaleMs: level?.maxStaleMs ?? ANY_AGE,
    };
  }
}
