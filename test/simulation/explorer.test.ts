// The explorer sees everything within a scope, exactly once, and finds what is wrong. The numbers below are facts of the core:
// a change of the protocol may change them, and whoever changes it should know that.

import { describe, expect, test, vi } from 'vitest';
import type { MistakeName } from '../../src/protocol/mutations.js';
import { type Exploration, explore } from '../../src/simulation/explorer/explore.js';
import { formatSchedule } from '../../src/simulation/explorer/schedule.js';
import {
  type Budgets,
  describeBudgets,
  makeScope,
  type Scope,
} from '../../src/simulation/explorer/scope.js';
import { PAPER_DEFECTS } from '../../src/simulation/paper-defects.js';

// Seconds of work, for a machine that has other work as well.
vi.setConfig({ testTimeout: 60_000 });

const STATES = 500_000;

function tried(
  budgets: Partial<Budgets>,
  changes: Partial<Omit<Scope, 'name' | 'budgets'>> = {},
): Exploration {
  return explore(makeScope('test', budgets, changes), { states: STATES });
}

describe('what is right is found right, completely', () => {
  test('a scope has an exact number of worlds, the same in every run', () => {
    const budgets = { operations: 1, timers: 1 };
    const found = tried(budgets);
    expect(found).toMatchObject({ states: 3943, depth: 15, complete: true, violation: null });
    expect(tried(budgets)).toEqual(found);
  });

  test.each<[Partial<Budgets>, Partial<Scope>, number]>([
    [{ operations: 2 }, {}, 564],
    [{ timers: 1 }, {}, 88],
    [{ operations: 1, resubmissions: 1, repeats: 1 }, {}, 189],
    [{ operations: 1, losses: 1 }, {}, 2272],
    [{ timers: 1, losses: 1 }, { pauses: 'over' }, 8807],
    [{ operations: 1, timers: 1, transfers: 1 }, { tailEntries: 0 }, 4391],
    [{ operations: 1, timers: 1 }, { witnesses: 1 }, 3943],
    [{ operations: 1, drops: 1, duplicates: 1 }, { delivery: 'once' }, 1159],
  ])('%j %j', (budgets, changes, states) => {
    expect(tried(budgets, changes)).toMatchObject({ states, complete: true, violation: null });
  });

  test('a bound ends it, and walks go beyond the bound', () => {
    const scope = makeScope('test', { operations: 2, timers: 2, losses: 1 });
    const found = explore(scope, { states: 2000, walks: 20 });
    expect(found).toMatchObject({ complete: false, violation: null, walks: { count: 20 } });
    expect(found.states).toBeGreaterThan(2000);
    expect(found.walks.longest).toBeGreaterThan(found.depth + 10);
    expect(explore(scope, { states: 2000, walks: 20 })).toEqual(found);
    expect(explore(scope, { states: 2000, stop: () => true })).toMatchObject({
      states: 1,
      complete: false,
    });
  });
});

describe('what is wrong is found', () => {
  test("the paper's state transfer loses an acknowledged operation (E1, truncate-early)", () => {
    const { mutations } = PAPER_DEFECTS['truncate-early'];
    const found = tried({ operations: 1, timers: 2, transfers: 1 }, { mutations });
    expect(found.violation?.what).toMatch(/^commit-number 2 is above the selected head 1$/);
    expect(found.violation?.schedule).toHaveLength(10);
  });

  test("the paper's recovery forgets a promise, and a view starts without what was committed (E8, stale-life)", () => {
    const { mutations } = PAPER_DEFECTS['stale-life'];
    const budgets = { operations: 1, timers: 1, losses: 1 };
    // The rule that it breaks on the way ...
    expect(tried(budgets, { mutations }).violation?.what).toMatch(/^I9 replica 2: acknowledges in/);
    // ... and what comes of it.
    const found = tried(budgets, { mutations, watch: 'losses' });
    expect(found.violation?.what).toBe('I2 view 1: starts without op 2, committed in view 0');
    const steps = found.violation?.schedule ?? [];
    expect(steps.map((step) => step.what)).toEqual([
      'R0 takes request 1 of the client',
      'R0 hears from nobody and gives up leading',
      'R2 receives startViewChange R0 v0 abdicated',
      'R2 loses its memory and starts again',
      'R0 receives requestStartView R2 v0 nonce2 have op0',
      'R2 receives startView R0 v0 op2 from op0 c1 nonce2',
      'R0 receives prepareOk R2 v0 op2 hb0',
      'R1 receives doViewChange R2 v1 normal v0 op1 c1 s1',
    ]);
    expect(formatSchedule(steps.slice(3, 5))).toBe(
      [
        '  1. R2 loses its memory and starts again',
        '       to R0: requestStartView R2 v0 nonce2 have op0',
        '       to R1: requestStartView R2 v0 nonce2 have op0',
        '     = R2 active v0 recovering op0 c0 a0',
        '  2. R0 receives requestStartView R2 v0 nonce2 have op0',
        '       to R2: startView R0 v0 op2 from op0 c1 nonce2',
        '     = R0 active v0 normal op2 c1 a1',
      ].join('\n'),
    );
  });

  test.each<[MistakeName, Partial<Budgets>, RegExp, number]>([
    ['commitAlone', { operations: 1, timers: 1 }, /^I8 view 1: op 2 committed with 1 of 2/, 5],
    ['smallViewChangeQuorum', { operations: 1, timers: 1 }, /^I2 view 1: starts without op 2/, 5],
    ['registerIgnored', { losses: 1 }, /^I4 view 0: led by 0 \(start 1\) and 0 \(start 2\)/, 1],
    ['registerAfterSend', { timers: 1 }, /^I23a /, 2],
    ['nonceIgnored', { operations: 1, timers: 1, losses: 1 }, /^I2 op 2 was acknowledged, but/, 9],
    ['backupsAnswerRecovery', { losses: 1 }, /^I4 view 0: another StartView by 1/, 2],
    ['ownLogSelected', { operations: 1, timers: 1 }, /^I2 view 1: starts without op 2/, 6],
    ['startViewWhileNormal', { operations: 1, timers: 1 }, /^I2 op 2 was acknowledged, but/, 8],
    ['commitUnverified', { operations: 1, timers: 1 }, /^I6 replica 0: commit 2 > commitMax 1/, 8],
  ])('%s, within %j', (name, budgets, what, steps) => {
    const { violation } = tried(budgets, { mutations: { [name]: true } });
    expect(violation?.what).toMatch(what);
    expect(violation?.schedule).toHaveLength(steps);
  });
});

test('budgets in words', () => {
  const { budgets } = makeScope('test', { operations: 2, timers: 1, losses: 1, duplicates: 1 });
  expect(describeBudgets(budgets)).toBe('2 operations, 1 timer, 1 duplicate, 1 loss');
  expect(() => explore(makeScope('test', { timers: 16 }), { states: 1 })).toThrow(RangeError);
});
