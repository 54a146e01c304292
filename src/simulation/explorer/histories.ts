// The past of a world as far as the invariants need it, each content once.

import { assert, ProtocolViolation } from '../../protocol/assert.js';
import { checkStep, cloneHistory, type Expect, type History } from '../../protocol/history.js';
import { hashValue } from '../../protocol/plain-data.js';
import { LOSS, type LocalTable, type Step } from './locals.js';
import type { Scope } from './scope.js';

/** Invariants whose breach a client could notice; the others are how the protocol keeps these. */
const LOSSES = /^I(1|2|12) /;

function expectNoLoss(holds: boolean, message: string): void {
  assert(holds || !LOSSES.test(message), message);
}

interface Past {
  readonly history: History;
  readonly low: number;
  readonly high: number;
  /** By step: the number of the past behind it, or the violation. */
  readonly after: Map<number, number | string>;
}

export class HistoryTable {
  readonly #scope: Scope;
  readonly #locals: LocalTable;
  readonly #pasts: Past[] = [];
  readonly #byHash = new Map<string, number>();
  readonly expect: Expect;

  constructor(scope: Scope, locals: LocalTable) {
    this.#scope = scope;
    this.#locals = locals;
    this.expect = scope.watch === 'everything' ? assert : expectNoLoss;
  }

  at(number: number): Past {
    return this.#pasts[number] as Past;
  }

  get size(): number {
    return this.#pasts.length;
  }

  number(history: History): number {
    const hash = hashValue(history);
    const known = this.#byHash.get(hash);
    if (known !== undefined) return known;
    this.#byHash.set(hash, this.#pasts.length);
    const low = Number.parseInt(hash.slice(8), 16) | 0;
    const high = Number.parseInt(hash.slice(0, 8), 16) | 0;
    return this.#pasts.push({ history, low, high, after: new Map() }) - 1;
  }

  /** @returns the number of the past after `step`, or which invariant it broke. */
  after(number: number, step: Step): number | string {
    if (step.quiet) return number;
    const past = this.at(number);
    const known = past.after.get(step.number);
    if (known !== undefined) return known;
    const result = this.#compute(past.history, step);
    past.after.set(step.number, result);
    return result;
  }

  #compute(before: History, step: Step): number | string {
    const history = cloneHistory(before);
    const from = step.cause === LOSS ? null : this.#locals.at(step.from).state;
    const { replicas } = this.#scope;
    try {
      const watch = { history, replicas, expect: this.expect };
      checkStep(watch, from, this.#locals.at(step.to).state, step.effects);
    } catch (error) {
      if (!(error instanceof ProtocolViolation)) throw error;
      return error.message;
    }
    return this.number(history);
  }
}
