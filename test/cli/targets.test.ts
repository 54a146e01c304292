// The pure part of `npm run bench:targets`: from samples to figures, their verdicts, doubt, and the trace of collections.

import { describe, expect, test } from 'vitest';
import type { Round } from '../../bench/cluster/contender.js';
import { BOUNDS, type BoundName, judge, TARGETS } from '../../bench/targets/bounds.js';
import { collectionsOf } from '../../bench/targets/collections.js';
import { FIGURES, figuresOf, type Measured, probesFor } from '../../bench/targets/figures.js';
import {
  describeDoubt,
  describeVerdict,
  isDoubtful,
  judgedTable,
} from '../../bench/targets/report.js';

function rounds(...speeds: number[]): Round[] {
  return speeds.map((opsPerSecond) => ({
    operations: 1,
    opsPerSecond,
    cpuNsPerOp: 1000 / opsPerSecond,
    p50Us: 1,
    p99Us: 1,
  }));
}

describe('targets', () => {
  test('every one of T1 to T13 has a figure that must be reached', () => {
    for (const target of TARGETS) {
      const musts = figuresOf([target]).filter((name) => BOUNDS[name].must !== null);
      expect(musts, target).not.toEqual([]);
    }
    const beside = (Object.keys(BOUNDS) as BoundName[]).filter(
      (name) => BOUNDS[name].target === null,
    );
    expect(figuresOf(TARGETS)).toHaveLength(Object.keys(BOUNDS).length - beside.length);
  });

  test.each([
    ['pipelines', 0.7499, false, false],
    ['pipelines', 0.75, true, false],
    ['pipelines', 1, true, true],
    ['cpuMix', 2.31, false, false],
    ['cpuMix', 2.3, true, false],
    ['cpuMix', 1.8, true, true],
    ['collecting', 2, false, null],
    ['collecting', 1.99, true, null],
    ['majorCollections', 1, null, false],
    ['majorCollections', 0, null, true],
    ['pipelines', Number.NaN, false, false],
    ['cpuMix', Number.NaN, false, false],
  ] as const)('%s of %d: must %s, aim %s', (name, value, mustMet, aimMet) => {
    expect(judge(name, value)).toMatchObject({ name, value, mustMet, aimMet });
  });
});

describe('figures', () => {
  test('ratios are of rounds, and their median counts', () => {
    const measured: Measured = { replicas: rounds(10, 40, 90), unreplicated: rounds(10, 20, 100) };
    expect(FIGURES.pipelines.of(measured)).toBe(1);
    expect(FIGURES.cpuMix.of(measured)).toBe(1);
    expect(FIGURES.pipelines.of({ ...measured, replicas: rounds(10, 10, 10) })).toBe(0.5);
  });

  test('processor time: of witness over none, of writes over writes', () => {
    expect(FIGURES.cpuWitness.of({ witness: rounds(100), replicas: rounds(80) })).toBeCloseTo(0.8);
    const writes: Measured = { writes: rounds(50), unreplicatedWrites: rounds(100) };
    expect(FIGURES.cpuWrites.of(writes)).toBeCloseTo(2);
  });

  test('Redis at its best pipeline length', () => {
    const redis = [
      [...rounds(1), ...rounds(10)],
      [...rounds(2), ...rounds(5)],
    ];
    expect(FIGURES.pipelinesOverRedis.of({ replicas: rounds(60, 40), redis })).toBe(7);
  });

  test('gaps: the median and the longest of all kills of all rounds', () => {
    const kills = [
      [4, 30, 6],
      [5, 7],
    ];
    expect(FIGURES.gapMedian.of({ kills })).toBe(6);
    expect(FIGURES.gapTail.of({ kills })).toBe(30);
  });

  test('view changes: medians first; single operations: over the futex; collections: summed', () => {
    const viewChanges = [
      { few: 2, many: 3 },
      { few: 100, many: 3 },
      { few: 2, many: 100 },
    ];
    expect(FIGURES.viewChangeGrowth.of({ viewChanges })).toBe(1.5);
    expect(FIGURES.singleOneCore.of({ oneCore: [{ operationUs: 20, futexUs: 4 }] })).toBe(5);
    const collections = [0.01, 0.03, 0.02].map((share) => ({
      ...{ share, minor: 1, longestMs: 1 },
      major: 1,
    }));
    expect(FIGURES.collecting.of({ collections })).toBeCloseTo(2);
    expect(FIGURES.majorCollections.of({ collections })).toBe(3);
  });

  test('only what some targets need is measured, each once', () => {
    expect(probesFor(figuresOf(['T1', 'T4']))).toEqual(['replicas', 'unreplicated', 'naive']);
    expect(probesFor(figuresOf(['T10']))).toEqual(['kills']);
  });

  test('what was not measured has no figure', () => {
    expect(() => FIGURES.pipelines.of({ replicas: rounds(1) })).toThrow(
      'unreplicated was not measured',
    );
  });
});

describe('what is said', () => {
  const failed = judge('pipelines', 0.5);
  const passed = judge('cpuMix', 2);
  const aimed = judge('readsOverWrites', 2);

  test('the verdict names what fell short, and what is short of its aim', () => {
    expect(describeVerdict([failed, passed, aimed])).toBe(
      'T1: below what must be reached\n' +
        '  T1  pipelines / unreplicated, operations per second: 0.50, must be >= 0.75\n' +
        'T2: short of the aim',
    );
    expect(describeVerdict([aimed])).toBe('every must is met');
  });

  test('doubt stands at every figure, and with the rounds that it comes from', () => {
    const busy = [1.9, 1.9, 1.2, 1.9, 1.9];
    expect(isDoubtful(busy)).toBe(true);
    expect(describeDoubt(busy)).toEqual([
      '? doubtful: capacity was below 1.7 before or after rounds 2, 3',
    ]);
    expect(describeDoubt([1.7, 2])).toEqual([]);
    expect(isDoubtful([1.9, Number.NaN])).toBe(true);
    const [plain, doubted] = [false, true].map((doubtful) =>
      judgedTable([failed, passed, aimed], doubtful),
    );
    expect(plain).toMatch(/T1 .* FAIL │\n.*T2 .* pass │\n.*T12 .* aim │/);
    expect(plain).not.toContain('?');
    expect(doubted).toMatch(/T1 .* FAIL \? │\n.*T2 .* pass \? │/);
  });
});

describe('the trace of collections', () => {
  const MAIN = '0x11872c00';
  const SUPERVISOR = '0x7f3b08000f00';
  const line = (thread: string, kind: string, ms: string, reason: string): string =>
    `[42:${thread}]      412 ms: ${kind} 23.2 (33.2) -> 2.8 (34.2) MB, ${ms} ms  (average mu = 1.000, current mu = 1.000) ${reason}; `;
  const scavenge = (thread: string, ms: string): string =>
    line(thread, 'Scavenge', ms, 'allocation failure');
  const mark = line(MAIN, 'Mark-Compact', '5.21 / 0.00', 'testing');
  const snapshot = line(SUPERVISOR, 'Mark-Compact', '3.00 / 0.00', 'heap profiler');
  const OVER = { milliseconds: 1000, replicas: 3 };

  test('of replica threads between the marks: the share of the busiest, minor and major, the longest', () => {
    const incremental =
      '[42:0xb00]      900 ms: Mark-Compact (reduce) 50.1 (60.0) -> 20.0 (60.0) MB, 12.30 / 0.00 ms  (+ 3.7 ms in 12 steps since start of marking, biggest step 0.5 ms, walltime since start of marking 22 ms) (average mu = 1.000, current mu = 1.000) finalize incremental marking via task; GC in old space requested';
    const trace = [
      snapshot,
      scavenge('0xa00', '99.00 / 0.00'),
      mark,
      scavenge('0xa00', '2.50 / 0.00'),
      scavenge(MAIN, '50.00 / 0.00'),
      scavenge(SUPERVISOR, '50.00 / 0.00'),
      incremental,
      scavenge('0xa00', '1.50 / 0.00'),
      mark,
      scavenge('0xa00', '99.00 / 0.00'),
    ];
    expect(collectionsOf(trace.join('\n'), OVER)).toEqual({
      share: 0.016,
      minor: 2,
      major: 1,
      longestMs: 16,
    });
  });

  test('without any collection of theirs: nothing; without marks or with too many threads: an error', () => {
    expect(collectionsOf([mark, mark].join('\n'), OVER)).toMatchObject({ share: 0, minor: 0 });
    expect(() => collectionsOf(mark, OVER)).toThrow('no beginning or no end');
    const crowd = ['0xa', '0xb', '0xc', '0xd'].map((thread) => scavenge(thread, '1.00 / 0.00'));
    expect(() => collectionsOf([mark, ...crowd, mark].join('\n'), OVER)).toThrow(
      '4 threads collected, there are 3 replicas',
    );
  });
});
