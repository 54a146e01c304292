// One logical client of a soak: one call after the other, drawn from a seed, each recorded with what it saw.

import { type BatchOp, type Kv, VrError } from '../../index.js';
import { seeded } from '../../simulation/seeded.js';
import { ABSENT, isCounter, type Recorder, type Step, valueText } from './history.js';
import { type KeySpace, triosOf } from './keys.js';

/** Weights of what is called. */
const MIX = { get: 34, set: 22, incr: 20, cas: 10, delete: 5, batch: 9 } as const;
type Call = keyof typeof MIX;
const WHOLE: number = Object.values(MIX).reduce((sum, weight) => sum + weight, 0);

export interface LaneShape {
  readonly space: KeySpace;
  /** The thread's place. */
  readonly thread: number;
  /** Of all lanes of all threads, dead ones included: values and clients are named after it. */
  readonly client: number;
  readonly seed: number;
}

/** Values that one lane writes are numbered from `client * VALUES_PER_LANE`. */
const VALUES_PER_LANE = 1 << 17;

export class Lane {
  readonly #kv: Kv;
  readonly #history: Recorder;
  readonly #shape: LaneShape;
  readonly #random: () => number;
  /** What it saw last in each register: what a cas hopes to find. */
  readonly #seen = new Map<number, number>();
  #value: number;

  constructor(kv: Kv, history: Recorder, shape: LaneShape) {
    this.#kv = kv;
    this.#history = history;
    this.#shape = shape;
    this.#random = seeded(shape.seed);
    this.#value = shape.client * VALUES_PER_LANE;
  }

  /** @returns false when the history is full. @throws whatever is no answer of the store */
  async call(): Promise<boolean> {
    const steps = this.#draw();
    const row = this.#history.begin(this.#shape.client, steps);
    if (row < 0) return false;
    try {
      const output = await this.#perform(steps);
      this.#history.end(row, output);
    } catch (error) {
      if (!VrError.is(error)) throw error;
      // 'unknown' stays open for ever: it may take effect once, at any time.
      if (error.outcome === 'not-executed') this.#history.refuse(row);
      else if (error.outcome === 'executed') this.#history.end(row);
      if (!error.retryable && error.outcome !== 'unknown') throw error;
    }
    return true;
  }

  #draw(): readonly Step[] {
    const { space, thread } = this.#shape;
    const call = this.#kind();
    if (call === 'batch') {
      const [left, right, counter] = this.#pick(triosOf(space, thread));
      const removes = this.#random() % 5 === 0;
      return [
        this.#write('set', left),
        removes ? { kind: 'delete', key: right, value: 0, expected: 0 } : this.#write('set', right),
        { kind: 'incr', key: counter, value: 1 + (this.#random() % 9), expected: 0 },
      ];
    }
    if (call === 'incr') {
      const own = this.#random() % 2 === 0;
      const key = own ? (space.ownCounters[thread] as number) : this.#pick(space.sharedCounters);
      return [{ kind: 'incr', key, value: own ? 1 : 1 + (this.#random() % 9), expected: 0 }];
    }
    if (call === 'get') {
      const all = [
        ...space.shared,
        ...(space.own[thread] ?? []),
        ...space.sharedCounters,
        ...triosOf(space, thread).flat(),
      ];
      return [{ kind: 'get', key: this.#pick(all), value: 0, expected: 0 }];
    }
    const key = this.#pick(
      this.#random() % 4 === 0 ? (space.own[thread] ?? space.shared) : space.shared,
    );
    return [this.#write(call, key)];
  }

  #write(kind: 'set' | 'cas' | 'delete', key: number): Step {
    const expected = this.#seen.get(key) ?? ABSENT;
    return { kind, key, value: kind === 'delete' ? 0 : this.#value++, expected };
  }

  #kind(): Call {
    let left = this.#random() % WHOLE;
    for (const [call, weight] of Object.entries(MIX)) {
      if (left < weight) return call as Call;
      left -= weight;
    }
    return 'get';
  }

  #pick<T>(from: readonly T[]): T {
    return from[this.#random() % from.length] as T;
  }

  /** @returns the output as it is recorded, if it is told. */
  async #perform(steps: readonly Step[]): Promise<number | undefined> {
    const { keys } = this.#shape.space;
    const [first] = steps;
    if (first === undefined || steps.length > 1) {
      await this.#kv.batch(steps.map((step) => batchOp(step, keys[step.key] as string)));
      return undefined;
    }
    const key = keys[first.key] as string;
    switch (first.kind) {
      case 'get': {
        const found = outputOf(await this.#kv.get(key), isCounter(key));
        this.#seen.set(first.key, found);
        return found;
      }
      case 'set':
        await this.#kv.set(key, valueText(first.value));
        this.#seen.set(first.key, first.value);
        return undefined;
      case 'delete':
        return (await this.#kv.delete(key)) ? 1 : 0;
      case 'incr':
        return await this.#kv.incr(key, first.value);
      case 'cas': {
        const expected = first.expected === ABSENT ? undefined : valueText(first.expected);
        const { ok } = await this.#kv.cas(key, expected, valueText(first.value));
        if (ok) this.#seen.set(first.key, first.value);
        return ok ? 1 : 0;
      }
    }
  }
}

function batchOp(step: Step, key: string): BatchOp<unknown> {
  if (step.kind === 'incr') return { type: 'incr', key, by: step.value };
  if (step.kind === 'delete') return { type: 'delete', key };
  return { type: 'set', key, value: valueText(step.value) };
}

/** What a get found, as it is recorded. @throws when it is nothing that anybody writes */
export function outputOf(found: unknown, counter: boolean): number {
  if (found === undefined) return ABSENT;
  if (counter && typeof found === 'number') return found;
  const match = typeof found === 'string' && !counter ? /^v(\d+)$/.exec(found) : null;
  if (match === null) throw new Error(`read ${JSON.stringify(found)}, which nobody writes`);
  return Number(match[1]);
}
