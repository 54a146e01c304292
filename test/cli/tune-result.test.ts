// What `viewstamp tune` looks at first, and what it says of a search that time ended: above what looks like a result, and as what it is.

import { expect, test } from 'vitest';
import { type BatchSize, planBench } from '../../src/cli/bench-plan.js';
import { firstOf } from '../../src/cli/tune/first.js';
import { type Tuned, tuneJson, tuneNotes, tuneTable } from '../../src/cli/tune/result.js';
import { Search } from '../../src/cli/tune/search.js';
import { FLAGS, report } from './results.js';

const MINUTE_MS = 60_000;

function planOf(batch: readonly BatchSize[], window: readonly number[], linger: readonly number[]) {
  const { configurations } = planBench({
    ...FLAGS,
    batch: [...batch],
    window: [...window],
    linger: [...linger],
  });
  return { configurations, sizes: [batch.length, window.length, linger.length] };
}

test.each([
  [
    [1, 4, 16, 64, 256, 1024, 'auto'],
    [8, 32],
    [0, 100],
    ['auto 32 0', '64 32 0'],
  ],
  [[1, 8, 64], [4, 8, 16], [50], ['8 8 50']],
  [['auto'], [8], [0], ['auto 8 0']],
] as const)('of %j x %j x %j, %j come first', (batch, window, linger, wanted) => {
  const { configurations, sizes } = planOf(batch, window, linger);
  const named = firstOf(configurations, sizes).map((candidate) => {
    const point = configurations[candidate];
    return `${point?.batch} ${point?.window} ${point?.lingerMicros}`;
  });
  expect(named).toEqual(wanted);
});

test.each([0, 1500, 20_000])(
  'a first look begins with what it is told to, and not with the smallest of everything, where a run takes %i ms',
  (overheadMs) => {
    const options = { objective: 'knee' as const, budgetMs: 15_000, overheadMs };
    const search = new Search({ ...options, sizes: [7, 2, 2], first: [26, 14] });
    const seen: number[] = [];
    for (let run = 0; run < 4; run++) {
      const trial = search.next(0) ?? { candidate: -1, measureMs: 0 };
      seen.push(trial.candidate);
      search.record(trial, { opsPerSecond: 1, p99Us: 1, busy: false }, 10);
    }
    expect(seen.slice(0, 2)).toEqual([26, 14]);
    expect(new Set(seen).size).toBe(4);
    expect(seen).not.toContain(0);
  },
);

test('has time for a run that is expected to end within the budget, and not for another', () => {
  const search = new Search({ sizes: [1], objective: 'p99', budgetMs: 5000, overheadMs: 2000 });
  expect(search.hasTime(2500)).toBe(true);
  expect(search.hasTime(2800)).toBe(false);
  search.record({ candidate: 0, measureMs: 200 }, { opsPerSecond: 1, p99Us: 1, busy: false }, 2800);
  expect(search.complete).toBe(true);
});

/** The first of three batch sizes, looked at once. */
function tuned(more: Partial<Tuned>): Tuned {
  const measured = report(FLAGS, { opsPerSecond: 4000, p99Us: 2000 });
  const estimate = { candidate: 0, runs: 1, opsPerSecond: 4000, p99Us: 2000 };
  const others = planOf([1, 8], [32], [0]).configurations;
  return {
    report: measured,
    candidates: [...measured.plan.configurations, ...others],
    objective: 'knee',
    budgetMs: 15_000,
    elapsedMs: 14_000,
    firstRunOnly: false,
    budgetMostMs: 15 * MINUTE_MS,
    complete: false,
    estimates: [estimate],
    proposal: estimate,
    ...more,
  };
}

test('a search that did not finish its first look says so before anything else, and in its proposal', () => {
  const text = tuneTable(tuned({}));
  expect(text.split('\n')[0]).toBe(
    '? preliminary: only 1 of 3 combinations tried, 15s were too short for a first look; give --budget 60s or fewer values of --batch, --window and --linger',
  );
  expect(text).toMatch(
    /^Best of 1 of 3 combinations tried, for the knee \(median of one run\): 4,000/m,
  );
  expect(text.split('preliminary')).toHaveLength(2);
  expect(tuneNotes(tuned({}))[0]).toMatch(/^\? preliminary: only 1 of 3 /);
  expect(tuneTable(tuned({ budgetMs: MINUTE_MS }))).toContain('give --budget 120s or fewer');
  expect(tuneTable(tuned({ budgetMs: 15 * MINUTE_MS }))).toContain('look; give fewer values');
});

test('a search that finished its first look does not', () => {
  const text = tuneTable(tuned({ complete: true }));
  expect(text).not.toContain('preliminary');
  expect(text).toMatch(/^For the knee \(median of one run\): 4,000/m);
  expect(tuneNotes(tuned({ complete: true })).join()).not.toContain('preliminary');
});

test('that only the first run of the process counts is said', () => {
  const alone = tuned({ complete: true, firstRunOnly: true });
  expect(tuneTable(alone)).toMatch(/^\? there was time for the first run of the process only/m);
  expect(JSON.parse(tuneJson(alone))).toMatchObject({ complete: true, firstRunOnly: true });
});
