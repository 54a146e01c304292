// `viewstamp soak`, briefly: every kind of fault on real threads, the verdict on what clients saw, and that the verdict is one: planted
// mistakes are found. How long anything took is of no interest here.

import { describe, expect, test } from 'vitest';
import { STOP_POINTS } from '#dist/actors/boot.js';
import { openCluster } from '#dist/actors/cluster.js';
import { recordEnvironment } from '#dist/cli/environment.js';
import { type CheckResult, checkHistories } from '#dist/cli/soak/check.js';
import type { EpochResult } from '#dist/cli/soak/epoch.js';
import { History } from '#dist/cli/soak/history.js';
import { keySpace } from '#dist/cli/soak/keys.js';
import { trend } from '#dist/cli/soak/memory.js';
import { FAULTS, Plan } from '#dist/cli/soak/plan.js';
import { judge } from '#dist/cli/soak/report.js';
import { viewstamp } from '../programs/fixtures/command.js';
import {
  allNormal,
  countUp,
  equalDigests,
  expectExactlyOnce,
  pause,
  untilTrue,
} from './counting.js';

const MIB = 2 ** 20;
const STEP_DOWN_MS = 20_000;

test('every kind of fault, and nothing is lost, doubled or out of order', async () => {
  const limits = ['--max-serving', '1m', '--epoch', '6s'];
  const { code, stdout, stderr } = await viewstamp(
    ...['soak', '--faults', `${FAULTS.length + 3}`, '--seed', '3', ...limits],
    ...['--format', 'json', '--quiet'],
  );
  expect(stderr).toBe('');
  const report = JSON.parse(stdout);
  // Of the resident memory so short a run says nothing: allocators keep what they got for a while.
  expect(code).toBe(report.resident.flat ? 0 : 3);
  expect(report.heap.flat).toBe(true);
  expect(report.servingWorstMs).toBeLessThanOrEqual(report.servingLimitMs);
  expect(report).toMatchObject({
    kind: 'viewstamp.soak',
    schemaVersion: 1,
    failure: null,
    lost: 0,
    doubled: 0,
    violations: [],
    undecided: [],
    digestsDiffer: 0,
  });
  expect(report.operations).toBeGreaterThan(100);
  expect(report.increments).toBeGreaterThan(10);
  for (const { kind, kills } of FAULTS) {
    const line = report.lines.find((one: { kind: string }) => one.kind === kind);
    // There may be nothing to damage, but a thread that is to end ends, at its point.
    expect(line.count + line.missed).toBeGreaterThan(0);
    if (kills) expect(line).toMatchObject({ kind, missed: 0, kills: expect.any(Number) });
    if (kills) expect(line.kills).toBeGreaterThanOrEqual(line.count);
  }
}, 180_000);

test('wrong usage of soak is refused', async () => {
  const refused = [
    [['--minutes', '1', '--duration', '1m'], 'cannot be used with'],
    [['--faults', '10', '--minutes', '1'], 'cannot be used with'],
    [['--ring', '65537'], 'not a power of two'],
    [['--replicas', '2'], 'out of range'],
    [['--witnesses', '2'], 'too many'],
  ] as const;
  for (const [args, reason] of refused) {
    const { code, stdout, stderr } = await viewstamp('soak', ...args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(reason);
  }
});

describe('a replica at a named point', () => {
  test.each(STOP_POINTS)(
    '%s: it stops there, is ended, and its successor is normal again',
    async (point) => {
      const cluster = await openCluster({}, true);
      const errors: string[] = [];
      cluster.on('replicacrash', ({ error }) => errors.push(String(error)));
      const load = countUp(cluster, 'n');
      await pause(50);
      const { primary } = await cluster.status();
      await cluster.fault(primary, point, 3);
      const stopped = (): boolean => errors.some((error) => error.includes(`stopped at ${point}`));
      // Promises are made in view changes only; a request for one is refused while the last is not over yet.
      const end = performance.now() + STEP_DOWN_MS;
      while (point === 'afterRegister' && !stopped() && performance.now() < end) {
        await cluster.admin.stepDown({ timeoutMs: 1000 }).catch(() => undefined);
        await pause(5);
      }
      await untilTrue(stopped);
      await allNormal(cluster);
      const tally = await load.stop();
      await expectExactlyOnce(cluster, 'n', tally);
      await equalDigests(cluster);
      await cluster.close();
    },
  );

  test('without faults there are none, and no bytes are flipped', async () => {
    const cluster = await openCluster({}, false);
    const before = (await cluster.status()).replicas.map(({ start }) => start);
    const load = countUp(cluster, 'n');
    for (const point of STOP_POINTS) await cluster.fault(0, point);
    await cluster.fault(0, 'hang');
    expect(await cluster.flip({ replica: 0 }, 1)).toBe(0);
    await pause(100);
    const tally = await load.stop();
    await expectExactlyOnce(cluster, 'n', tally);
    expect((await cluster.status()).replicas.map(({ start }) => start)).toEqual(before);
    await cluster.close();
  });
});

test('bytes flipped in unread frames cost frames and nothing else', async () => {
  const cluster = await openCluster({ limits: { ringBytes: 64 << 10 } }, true);
  const load = countUp(cluster, 'n');
  let flips = 0;
  for (let round = 0; round < 12; round++) {
    flips += await cluster.flip({ replica: round % 3 }, 4);
    await pause(20);
  }
  await allNormal(cluster);
  const corrupt = (): number =>
    cluster.metrics().replicas.reduce((sum, { framesCorrupt }) => sum + framesCorrupt, 0);
  expect(flips).toBeGreaterThan(0);
  await untilTrue(() => corrupt() > 0);
  const tally = await load.stop();
  await expectExactlyOnce(cluster, 'n', tally);
  await equalDigests(cluster);
  await cluster.close();
});

test('CL2: a read whose frame was damaged is asked for again while the same client is answered all the time', async () => {
  const slots = 16;
  const cluster = await openCluster({}, true);
  const { kv } = cluster;
  await kv.set('k', 1);
  const { primary } = await cluster.status();
  const corrupt = (): number => cluster.metrics().replicas[primary]?.framesCorrupt ?? 0;
  for (let round = 0; round < 4; round++) {
    const before = corrupt();
    let over = false;
    const done = new Set<number>();
    // Each call is a request of its own, so that the others go on, and they do until each has come through.
    const loop = async (slot: number): Promise<void> => {
      while (done.size < slots) {
        const last = over;
        const results = await kv.pipeline().get('k').submit();
        expect(results.value(0)).toBe(1);
        if (last) done.add(slot);
      }
    };
    const loops = Promise.all(Array.from({ length: slots }, (_, slot) => loop(slot)));
    while (corrupt() === before) await cluster.flip({ replica: primary }, 1);
    over = true;
    await loops;
  }
  await cluster.close();
});

describe('the verdict', () => {
  const space = keySpace(1);
  const [register = 0] = space.shared;
  const counter = space.ownCounters[0] as number;
  const none = { value: 0, expected: 0 };

  function history(write: (history: History) => void): Promise<CheckResult> {
    const memory = History.allocate();
    write(new History(memory));
    return checkHistories([memory], 1, new Map([[counter, 2]]));
  }

  function increments(one: History): void {
    for (const output of [1, 2])
      one.end(one.begin(1, [{ ...none, kind: 'incr', key: counter, value: 1 }]), output);
  }

  test('a sound history is one', async () => {
    const result = await history((one) => {
      increments(one);
      one.end(one.begin(1, [{ ...none, kind: 'set', key: register, value: 7 }]));
      one.end(one.begin(2, [{ ...none, kind: 'get', key: register }]), 7);
      // Never answered: it may come at any time, or never.
      one.begin(3, [{ ...none, kind: 'set', key: register, value: 8 }]);
      one.end(one.begin(2, [{ ...none, kind: 'get', key: register }]), 8);
      one.refuse(one.begin(2, [{ ...none, kind: 'set', key: register, value: 9 }]));
    });
    expect(result).toEqual({
      operations: 7,
      unknown: 1,
      violations: [],
      undecided: [],
      lost: 0,
      doubled: 0,
      acknowledgedIncrements: 2,
    });
  });

  test('a stale read is a violation', async () => {
    const result = await history((one) => {
      increments(one);
      for (const value of [7, 8])
        one.end(one.begin(1, [{ ...none, kind: 'set', key: register, value }]));
      one.end(one.begin(2, [{ ...none, kind: 'get', key: register }]), 7);
    });
    expect(result.violations).toHaveLength(1);
    expect(result.violations[0]).toContain('shared:0');
  });

  test('half an atomic batch is a violation', async () => {
    const [left, right] = space.trios[0] ?? [0, 0];
    const result = await history((one) => {
      increments(one);
      const step = (key: number) => ({ ...none, kind: 'set' as const, key, value: 5 });
      one.end(one.begin(1, [step(left), step(right)]));
      one.end(one.begin(2, [{ ...none, kind: 'get', key: left }]), 5);
      one.end(one.begin(2, [{ ...none, kind: 'get', key: right }]), -1);
    });
    expect(result.violations).toHaveLength(1);
  });

  test('lost and doubled increments are counted', async () => {
    const once = (count: number) => (one: History) => {
      for (let index = 0; index < count; index++)
        one.end(one.begin(1, [{ ...none, kind: 'incr', key: counter, value: 1 }]), index + 1);
    };
    expect(await history(once(3))).toMatchObject({ lost: 1, doubled: 0 });
    expect(await history(once(1))).toMatchObject({ lost: 0, doubled: 1 });
  });

  test('exit codes: 4 for what must never be, 1 undecided or ended early, 3 a limit', () => {
    const fine: CheckResult = {
      operations: 1,
      unknown: 0,
      violations: [],
      undecided: [],
      lost: 0,
      doubled: 0,
      acknowledgedIncrements: 0,
    };
    const injury = {
      kind: 'terminate',
      happened: true,
      kills: 1,
      wholeMs: 1,
      flips: 0,
      corrupt: 0,
    };
    const code = (
      check: Partial<CheckResult>,
      more: {
        servingMs?: number;
        digestsEqual?: boolean;
        failure?: string;
        growth?: number;
        kills?: number;
      } = {},
    ): number => {
      const { servingMs = 10, digestsEqual = true, failure = null, growth = 0, kills = 1 } = more;
      const samples = Array.from({ length: 100 }, (_, at) => ({
        atMs: at * 1000,
        heapBytes: 10 * MIB + at * growth,
        residentBytes: 100 * MIB,
      }));
      const epoch = {
        settings: { ringBytes: 0, batch: {} },
        injuries: [{ ...injury, servingMs, kills }],
        samples,
        after: samples[0],
        check: { ...fine, ...check },
        digestsEqual,
        viewChanges: 0,
        logBytes: 0,
      } as unknown as EpochResult;
      const outcome = {
        env: recordEnvironment(),
        options: {},
        elapsedMs: 100_000,
        epochs: [epoch],
        failure,
        servingLimitMs: 1000,
        logLimitBytes: 1,
      };
      return judge(outcome).exitCode;
    };
    expect(code({})).toBe(0);
    expect(code({ violations: ['x'] })).toBe(4);
    expect(code({ lost: 1 })).toBe(4);
    expect(code({ doubled: 1 }, { failure: 'gone' })).toBe(4);
    expect(code({}, { digestsEqual: false })).toBe(4);
    expect(code({ undecided: ['x'] })).toBe(1);
    expect(code({}, { failure: 'gone', servingMs: 5000 })).toBe(1);
    expect(code({}, { servingMs: 1001 })).toBe(3);
    expect(code({}, { servingMs: 1001, kills: 0 })).toBe(0);
    expect(code({}, { growth: 64 << 10 })).toBe(3);
  });
});

describe('the plan', () => {
  const shape = { replicas: 3, witnesses: 0, clients: 2 };

  test('the same seed draws the same, another one something else; every kind comes before any comes twice', () => {
    const draw = (seed: number) => {
      const plan = new Plan(seed, shape);
      return Array.from({ length: 200 }, () => [
        plan.nextFault(),
        plan.quiet(),
        plan.nextSettings(null),
      ]);
    };
    expect(draw(1)).toEqual(draw(1));
    expect(draw(1)).not.toEqual(draw(2));
    const plan = new Plan(9, shape);
    const first = FAULTS.map(() => plan.nextFault().kind);
    expect(first.toSorted()).toEqual(FAULTS.map(({ kind }) => kind).toSorted());
  });

  test('never more than f replicas at a time', () => {
    for (const [replicas, most] of [
      [3, 0],
      [4, 0],
      [5, 1],
      [9, 3],
    ] as const) {
      const plan = new Plan(1, { ...shape, replicas });
      let others = 0;
      for (let count = 0; count < 500; count++) {
        const fault = plan.nextFault();
        if (fault.kind === 'terminate') others = Math.max(others, fault.others);
      }
      expect(others).toBe(most);
    }
  });
});

test('a line through samples: its slope, its error, and when it counts as growth', () => {
  const line = (perSample: number, noise: number) =>
    Array.from({ length: 60 }, (_, at) => ({
      atMs: at * 60_000,
      bytes: 50 * MIB + at * perSample + (at % 2 === 0 ? noise : -noise),
    }));
  const limit = { perHour: 6 * MIB, bytes: 2 * MIB };
  const steep = trend(line(MIB, 0), limit);
  expect(steep.bytesPerHour).toBeCloseTo(60 * MIB, -3);
  expect(steep).toMatchObject({ samples: 60, flat: false });
  expect(steep.growthBytes).toBeCloseTo(59 * MIB, -3);
  expect(trend(line(0, 20 * MIB), limit).flat).toBe(true);
  expect(trend(line(MIB / 20, 0), limit).flat).toBe(true);
  expect(trend([], limit)).toMatchObject({ samples: 0, flat: true });
});
