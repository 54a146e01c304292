// Load at a fixed rate in virtual time, against a target that stalls: the stall must show in the latency of all that it delayed,
// in as many requests as the rate says, whatever could be sent meanwhile. The closed loop beside it shows what is otherwise missed.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { InputSource } from '../../src/cli/input.js';
import {
  type LoadApi,
  LoadGenerator,
  type LoadShape,
  type LoadTarget,
  type StageResult,
} from '../../src/cli/load.js';
import { LoadControl, PHASE_DONE, PHASE_MEASURE } from '../../src/cli/load-control.js';
import { CLOCK, Schedule } from '../../src/cli/pace.js';
import { latencyOf } from '../../src/cli/statistics.js';
import { CANONICAL, type OperationSource, Workload } from '../../src/cli/workload.js';
import { PROPERTY } from '../fuzz/counts.js';
import { VirtualClock } from './virtual-clock.js';

/** What an answer takes when nothing is wrong, ms. */
const ANSWER_MS = 0.5;

/** Answers nothing from `from` to `to`, ms since the beginning; what it is asked then waits until `to`. */
class Stalling implements LoadTarget<Uint8Array> {
  readonly #clock: VirtualClock;
  readonly #began: number;
  readonly #stall: { readonly from: number; readonly to: number };
  /** When it was asked, ms since the beginning. */
  readonly asked: number[] = [];

  constructor(clock: VirtualClock, stall: { readonly from: number; readonly to: number }) {
    this.#clock = clock;
    this.#began = clock.now();
    this.#stall = stall;
  }

  #answer = (): Promise<Uint8Array> => {
    const { from, to } = this.#stall;
    const now = this.#clock.now() - this.#began;
    this.asked.push(now);
    const answered = now + ANSWER_MS;
    const at = answered > from && now < to ? to + ANSWER_MS : answered;
    return new Promise((resolve) => {
      this.#clock.at(this.#began + at, () => resolve(new Uint8Array(1)));
    });
  };

  get = this.#answer;
  set = this.#answer;
  delete = this.#answer;
  incr = this.#answer;

  pipeline() {
    const add = (): void => {};
    const submit = async () => {
      await this.#answer();
      return { ok: () => true, copyValue: () => 1, error: () => undefined };
    };
    return { get: add, set: add, delete: add, incr: add, submit };
  }
}

interface Case {
  readonly api?: LoadApi;
  readonly slots?: number;
  readonly batch?: number;
  /** Operations per second; without it a closed loop. */
  readonly perSecond?: number;
  readonly backlog?: number;
  readonly stall?: { readonly from: number; readonly to: number };
  readonly quota?: number;
  /** When the phase ends, ms. */
  readonly endMs?: number;
  readonly index?: number;
  readonly source?: OperationSource<Uint8Array>;
}

async function run(options: Case): Promise<StageResult & { readonly asked: readonly number[] }> {
  const { api = 'promise', slots = 4, batch = 1, perSecond, index = 0 } = options;
  const clock = new VirtualClock();
  const target = new Stalling(clock, options.stall ?? { from: 0, to: 0 });
  const control = LoadControl.allocate(2);
  const pace = { perSecond: perSecond ?? 1, backlog: options.backlog ?? 1e6, generators: 2 };
  const shape: LoadShape = { api, slots, batch, ...(perSecond === undefined ? {} : { pace }) };
  const source = options.source ?? new Workload({ ...CANONICAL, keyspace: 10 });
  const generator = new LoadGenerator({ target, source, shape, control, index, clock });
  control.enter(PHASE_MEASURE);
  if (options.endMs !== undefined)
    clock.at(clock.now() + options.endMs, () => control.enter(PHASE_DONE));
  const result = await clock.drive(generator.run(options.quota ?? Number.POSITIVE_INFINITY));
  return { ...result, asked: target.asked };
}

const STALL = { from: 200, to: 700 };

describe('a stall of 500 ms in a second', () => {
  test('at 1000 operations a second delays half of them, and more until it has caught up', async () => {
    const { histogram, operations, backlog } = await run({
      perSecond: 1000,
      quota: 1000,
      stall: STALL,
    });
    expect(operations).toBe(1000);
    expect(histogram.count).toBe(1000);
    const latency = latencyOf(histogram);
    // 500 were due in it and waited for what was left of it; the rest came at once, or behind those.
    expect(latency.minUs).toBeLessThan(600);
    expect(histogram.percentile(40)).toBeLessThan(1e6);
    expect(latency.p50Us).toBeGreaterThan(30_000);
    expect(latency.p90Us).toBeGreaterThan(350_000);
    expect(latency.p99Us).toBeGreaterThan(450_000);
    expect(latency.maxUs).toBeGreaterThan(499_000);
    expect(latency.maxUs).toBeLessThan(520_000);
    expect(backlog).toMatchObject({ dropped: 0, unsent: 0 });
    expect(backlog.most).toBeGreaterThan(490);
    expect(backlog.most).toBeLessThanOrEqual(500);
  });

  test('shows in pipelines as well', async () => {
    const load = { api: 'pipeline', batch: 10, perSecond: 10_000, quota: 10_000 } as const;
    const { histogram, operations, backlog } = await run({ ...load, stall: STALL });
    expect(operations).toBe(10_000);
    expect(histogram.count).toBe(1000);
    expect(latencyOf(histogram).p50Us).toBeGreaterThan(30_000);
    expect(backlog.most).toBeGreaterThan(4900);
  });

  test.each(['promise', 'pipeline'] as const)('hides from a closed loop (%s)', async (api) => {
    const { histogram } = await run({ api, quota: 10_000, stall: STALL });
    const latency = latencyOf(histogram);
    expect(latency.maxUs).toBeGreaterThan(499_000);
    expect(histogram.percentile(99)).toBeLessThan(1e6);
  });
});

describe('a backlog', () => {
  test('drops the oldest beyond its limit, and counts them', async () => {
    const { histogram, operations, backlog } = await run({
      perSecond: 1000,
      quota: 1000,
      backlog: 100,
      stall: STALL,
    });
    expect(backlog.most).toBe(100);
    expect(backlog.dropped).toBeGreaterThan(390);
    expect(backlog.dropped).toBeLessThanOrEqual(400);
    expect(operations).toBe(1000 - backlog.dropped);
    expect(histogram.count).toBe(operations);
    // Those that were sent waited as long as the backlog is; those that were open, as long as the stall.
    expect(histogram.percentile(99)).toBeLessThan(130e6);
    expect(latencyOf(histogram).maxUs).toBeGreaterThan(499_000);
  });

  test('of no room: what finds no free slot is dropped', async () => {
    const { operations, backlog } = await run({
      perSecond: 1000,
      quota: 1000,
      backlog: 0,
      stall: STALL,
    });
    expect(backlog).toMatchObject({ most: 0, unsent: 0 });
    expect(operations + backlog.dropped).toBe(1000);
    expect(backlog.dropped).toBeGreaterThan(480);
  });

  test('that is not empty when the time is up counts with what it has waited', async () => {
    const { histogram, operations, backlog } = await run({
      perSecond: 1000,
      endMs: 600,
      stall: STALL,
    });
    expect(operations).toBeGreaterThanOrEqual(200);
    expect(operations).toBeLessThan(210);
    expect(operations + backlog.unsent).toBeGreaterThan(585);
    expect(operations + backlog.unsent).toBeLessThanOrEqual(601);
    expect(histogram.count).toBe(operations + backlog.unsent);
    expect(latencyOf(histogram).p50Us).toBeGreaterThan(80_000);
  });

  test('is empty where the target keeps up, and then every operation is sent when it is due', async () => {
    const { asked, backlog, histogram } = await run({ perSecond: 1000, quota: 300 });
    expect(backlog).toEqual({ dropped: 0, unsent: 0, most: 0 });
    expect(asked).toHaveLength(300);
    for (const [at, ms] of asked.entries()) expect(Math.abs(ms - at)).toBeLessThan(0.01);
    expect(latencyOf(histogram).maxUs).toBeLessThan(520);
  });
});

describe('a rate', () => {
  test('of two generators is even: the second is due between the first', async () => {
    const { asked } = await run({ perSecond: 100, quota: 20, index: 1 });
    for (const [at, ms] of asked.entries()) expect(Math.abs(ms - (at * 10 + 5))).toBeLessThan(0.01);
  });

  test('of less than one request a look does not outlast its phase', async () => {
    const { asked, operations } = await run({ perSecond: 1, endMs: 2500 });
    expect(operations).toBe(3);
    expect(asked.map(Math.round)).toEqual([0, 1000, 2000]);
  });

  test.each([
    ['pipeline', 10],
    ['promise', 1],
  ] as const)('ends with the operations, if there are no more (%s)', async (api, batch) => {
    const source = new InputSource({
      operations: Array.from({ length: 25 }, () => ({ op: 'get', key: 'a' }) as const),
      piece: batch,
      generator: 0,
      generators: 1,
      repeat: false,
    });
    const result = await run({ api, batch, perSecond: 1000, endMs: 10_000, source });
    expect(result.backlog).toEqual({ dropped: 0, unsent: 0, most: 0 });
    expect(result.operations).toBe(25);
  });
});

test('a schedule gives each request once, in order, never before it is due', () => {
  const steps = fc.array(
    fc.record({ ms: fc.double({ min: 0, max: 50, noNaN: true }), take: fc.nat(20) }),
    { maxLength: 50 },
  );
  const interval = fc.double({ min: 0.01, max: 20, noNaN: true });
  fc.assert(
    fc.property(steps, interval, fc.nat(200), (walk, intervalMs, count) => {
      const schedule = new Schedule({ beginMs: 1000, intervalMs, count });
      let now = 1000;
      let taken = 0;
      for (const { ms, take } of walk) {
        now += ms;
        const waiting = schedule.waiting(now);
        const due = Array.from({ length: count }, (_, at) => 1000 + at * intervalMs);
        const expected = due.filter((at) => at <= now).length - taken;
        // At the edge of an interval the last digit decides.
        expect(Math.abs(waiting - expected)).toBeLessThanOrEqual(
          due.some((at) => Math.abs(at - now) < 1e-9) ? 1 : 0,
        );
        const some = Math.min(take, waiting);
        if (some > 0) expect(schedule.nextAt).toBeLessThanOrEqual(now + 1e-9);
        schedule.take(some);
        taken += some;
        expect(schedule.over).toBe(taken >= count);
      }
    }),
    PROPERTY,
  );
});

test('the real clock calls back, and not before the call returned', async () => {
  for (const ms of [-1, 0, 1, 5]) {
    let returned = false;
    const called = new Promise<boolean>((resolve) => {
      CLOCK.soon(ms, () => resolve(returned));
    });
    returned = true;
    expect(await called).toBe(true);
  }
});
