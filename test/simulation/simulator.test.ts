// The simulator itself: a seed means the same every time, it finds what is wrong, and makes it short.

import { expect, test } from 'vitest';
import type { MistakeName } from '../../src/protocol/mutations.js';
import { drawPlan, FAULT_KINDS } from '../../src/simulation/swarm/plan.js';
import { flagsOf, shrink } from '../../src/simulation/swarm/shrink.js';
import { type RunReport, simulate } from '../../src/simulation/swarm/simulate.js';

/** The first seed that fails with `mistake` on. */
function firstFailure(mistake: MistakeName, seeds: number): RunReport | null {
  for (let seed = 1; seed <= seeds; seed++) {
    const report = simulate({ seed, mutations: { [mistake]: true } });
    if (report.failure !== null) return report;
  }
  return null;
}

test('a seed is the same run every time, and another seed another', () => {
  const first = simulate({ seed: 5 });
  const again = simulate({ seed: 5 });
  expect([again.hash, again.operations, again.virtualMs]).toEqual([
    first.hash,
    first.operations,
    first.virtualMs,
  ]);
  expect(simulate({ seed: 6 }).hash).not.toBe(first.hash);
});

test('every kind of fault is on in about half of the seeds', () => {
  const on = new Map<string, number>();
  for (let seed = 0; seed < 1000; seed++)
    for (const kind of drawPlan(seed).kinds) on.set(kind, (on.get(kind) ?? 0) + 1);
  for (const kind of FAULT_KINDS) {
    expect(on.get(kind), kind).toBeGreaterThan(400);
    expect(on.get(kind), kind).toBeLessThan(600);
  }
});

test('a failing seed is made short: fewer faults and requests, the same reason, and a command that repeats it', {
  timeout: 120_000,
}, () => {
  const mistake: MistakeName = 'smallViewChangeQuorum';
  const found = firstFailure(mistake, 20);
  if (found === null) return expect.fail('no seed fails');
  const short = shrink(found, { mutations: { [mistake]: true } });
  expect(short.report.failure?.message.slice(0, 2)).toBe(found.failure?.message.slice(0, 2));
  expect(short.report.plan.episodes.length).toBeLessThan(found.plan.episodes.length);
  expect(short.report.plan.storm).toBeLessThanOrEqual(found.plan.storm);
  const again = simulate({ seed: found.seed, cuts: short.cuts, mutations: { [mistake]: true } });
  expect(again.hash).toBe(short.report.hash);
  expect(flagsOf(found.seed, short.cuts)).toContain(`--replay ${found.seed}`);
});

test('coarse mistakes are found within a few seeds', { timeout: 300_000 }, () => {
  const coarse: readonly MistakeName[] = [
    ...(['registerIgnored', 'registerAfterSend', 'registerOnlyOnDoViewChange'] as const),
    ...([
      'recoveringPromises',
      'smallViewChangeQuorum',
      'commitAlone',
      'repliesAtPrimaryOnly',
    ] as const),
    ...(['gapsAdmitted', 'heartbeatsKept', 'readsIgnoreOwnWrites', 'tsBackwards'] as const),
    ...(['ungrantedEchoed', 'readsAnywhere', 'tokenIgnored'] as const),
  ];
  expect(coarse.filter((mistake) => firstFailure(mistake, 60) === null)).toEqual([]);
});

test.each([
  [3088945312, 'L4: a recovering replica whose target nobody has any more (Install 4)'],
  [3576010727, 'I25: word that every active has ended (HH3)'],
  [3576009154, 'L2: a view that only clients know of (N1)'],
  [3576011535, 'L1: the back-off of view changes after a long storm (VC10)'],
  [480, 'L2: a client that a primary out of office tells to come again (CL2)'],
  [492181125, 'L2: a client repeats what a slow primary is still reading (CL2)'],
])('seed %i once failed: %s', (seed) => {
  expect(simulate({ seed }).failure).toBe(null);
});
