// What calls are to answer, call by call: a map beside the store, and calls drawn at random.

import { isDeepStrictEqual } from 'node:util';
import type { Encoding, Kv, VrError } from 'viewstamp';

/** A map that keeps every version, and what was wrong with the answers. */
export class Model {
  readonly wrong: string[] = [];
  /** Numbers of the calls in the order in which they settled, by sort. */
  readonly settled = new Map<string, number[]>();
  readonly #versions = new Map<string, unknown[]>();
  readonly #pending: Promise<void>[] = [];
  revision: number;
  calls = 0;

  constructor(revision: number) {
    this.revision = revision;
  }

  versions(key: string): unknown[] {
    const known = this.#versions.get(key);
    if (known !== undefined) return known;
    const fresh: unknown[] = [undefined];
    this.#versions.set(key, fresh);
    return fresh;
  }

  now(key: string): unknown {
    return this.versions(key).at(-1);
  }

  /** @returns the revision of the change. */
  change(key: string, value: unknown): number {
    this.versions(key).push(value);
    return ++this.revision;
  }

  expect(sort: string, promise: Promise<unknown>, expected: unknown): void {
    this.#watch(sort, promise, () => [expected]);
  }

  /** A read may see what was called later, if that is answered no later than the read. */
  expectRead(sort: string, promise: Promise<unknown>, key: string): void {
    const from = this.versions(key).length - 1;
    const seen = sort.startsWith('has') ? (value: unknown) => value !== undefined : same;
    this.#watch(sort, promise, () => this.versions(key).slice(from).map(seen));
  }

  #watch(sort: string, promise: Promise<unknown>, allowed: () => unknown[]): void {
    const call = this.calls++;
    const order = this.settled.get(sort) ?? [];
    this.settled.set(sort, order);
    const check = (outcome: unknown): void => {
      order.push(call);
      const possible = allowed();
      if (possible.some((one) => isDeepStrictEqual(one, outcome))) return;
      this.wrong.push(`${sort} ${call}: ${show(outcome)}, not one of ${possible.map(show)}`);
    };
    this.#pending.push(promise.then(check, (error: VrError) => check({ refused: error.code })));
  }

  async allSettled(): Promise<void> {
    await Promise.all(this.#pending.splice(0));
  }
}

function same(value: unknown): unknown {
  return value;
}

function show(value: unknown): string {
  return JSON.stringify(value) ?? 'undefined';
}

export interface Space {
  readonly name: string;
  readonly kv: Kv;
  make(n: number): unknown;
}

const MAKERS: [Encoding<unknown>, (n: number) => unknown][] = [
  ['msgpack', (n) => [n, `text ${n}`, { n, tags: ['a', n] }, n - 500][n % 4]],
  ['json', (n) => ({ n, text: 'ü'.repeat(n % 7), list: [null, n] })],
  ['utf8', (n) => `${n} 😀`.repeat(n % 40)],
  ['bytes', (n) => new Uint8Array(n % 300).fill(n)],
];

export function spaces(kv: Kv): Space[] {
  return MAKERS.map(([encoding, make]) => {
    const name = `${encoding}/`;
    return { name, make, kv: kv.namespace(name, { encoding }) };
  });
}

/** One call drawn at random; `options` says whether it brings options of its own. */
export function callOne(
  model: Model,
  { name, kv, make }: Space,
  dice: () => number,
  own: boolean,
): void {
  const key = `k${dice() % 12}`;
  const full = name + key;
  const before = model.now(full);
  const present = before !== undefined;
  const options = own
    ? [{ timeoutMs: 60_000 }, { signal: new AbortController().signal }][dice() % 2]
    : undefined;
  const sort = (what: string): string => (own ? `${what} with options` : what);
  switch (dice() % 8) {
    case 0:
    case 1:
      model.expectRead(sort('get'), kv.get(key, options), full);
      return;
    case 2:
      model.expectRead(sort('has'), kv.has(key, options), full);
      return;
    case 3:
      model.expect(
        sort('delete'),
        kv.delete(key, options),
        present && model.change(full, undefined) > 0,
      );
      return;
    case 4: {
      const by = (dice() % 9) - 4;
      if (name !== 'msgpack/') return;
      const sum = present ? (before as number) + by : by;
      const counted = !present || typeof before === 'number';
      if (counted) model.change(full, sum);
      model.expect(
        sort('incr'),
        kv.incr(key, by, options),
        counted ? sum : { refused: 'VR_WRONG_TYPE' },
      );
      return;
    }
    case 5: {
      if (!own) break;
      const value = make(model.calls);
      const absent = dice() % 2 === 0;
      const setting = kv.set(key, value, absent ? { ifAbsent: true } : { ifPresent: true });
      const holds = absent !== present;
      model.expect(sort('set'), setting, holds ? model.change(full, value) : undefined);
      return;
    }
  }
  const value = make(model.calls);
  model.expect(sort('set'), kv.set(key, value, options), model.change(full, value));
}
