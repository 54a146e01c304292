// Mistakes on the way from one view to the next: the traces E1 to E7, votes, promises, and which log is selected.

import { expect } from 'vitest';
import { lateJoiner, truncateEarly } from '../../../src/simulation/paper-scripts.js';
import type { Story } from '../../../src/simulation/story.js';
import { depose, head, load } from '../../../src/simulation/words.js';
import type { Directed } from './directed.js';

// ── E1 to E7 ──

/** What notices the loss: the check of VC7 where somebody knows the commit number, else the invariant. */
const LOST = {
  3: /commit-number 5 is above the selected head 2/,
  5: /I2 view 3: starts without op 3/,
} as const;

/** Entries of one request, and messages that carry one entry. */
export const ONE_BY_ONE = { batchMax: 1, tailEntries: 1 };

export function e2(s: Story): void {
  lateJoiner(s, s.replicas === 3 ? ['R1'] : ['R1', 'R4'], 'commit');
}

export function e3(s: Story): void {
  lateJoiner(s, s.replicas === 3 ? ['R1'] : ['R1', 'R4'], 'startView');
}

const LATE_JOINERS = ([3, 5] as const).flatMap((replicas): Directed[] => {
  const shared = { options: { replicas, limits: ONE_BY_ONE }, noticed: LOST[replicas] };
  return [
    { ...shared, mistake: 'truncateOnLaterView', rules: 'VC3, E1', script: truncateEarly },
    { ...shared, mistake: 'joinBeforeLog', rules: 'VC3, E2', script: e2 },
    { ...shared, mistake: 'normalOnSuffix', rules: 'VC9, E3', script: e3 },
  ];
});

/** A second copy of StartView(1) reaches R2 after it acknowledged more; then only R0, which lags, is left beside it. */
export function e4(s: Story): void {
  const copies = s.record({ from: 'R1', to: 'R2', kinds: 'startView' });
  s.stepDown();
  s.newView(1);
  s.together();
  const before = head(s, 'R0');
  s.drop({ to: 'R0', kinds: ['prepare', 'newState'] });
  s.drop({ from: 'R1', kinds: 'commit' });
  s.put('a', 1);
  s.settle();
  expect([head(s, 'R0'), head(s, 'R2'), s.state('R2').commit]).toEqual([
    before,
    before + 1,
    before,
  ]);
  for (const { message } of copies.kept) s.inject('R1', 'R2', message);
  s.run(2);
  s.crash('R1', { mute: true });
  s.heal();
  s.newView(2);
  s.converge();
  s.expect('a', 1);
}

export function e5(s: Story): void {
  const late = s.hold({ from: 'R2', to: 'R0', kinds: 'startViewChange' });
  s.stepDown();
  s.newView(1);
  s.together();
  const inherited = head(s, 'R1');
  s.put('a', 1);
  s.settle(500);
  expect(s.release(late)).toBeGreaterThan(0);
  s.run(100);
  expect([s.view, s.state('R0').status, s.state('R1').viewStartOp]).toEqual([
    ...[1, 'normal', inherited],
  ]);
  s.converge();
}

/** Only R1 hears that `a` is committed; the primary of view 2 does not know it yet when it tells R1 of the view. */
export function e6(s: Story): void {
  const before = head(s, 'R2');
  s.drop({ from: 'R0', to: ['R2', 'R3', 'R4'], kinds: 'commit' });
  s.incr('a');
  s.settle();
  expect([s.state('R1').applied, s.state('R2').commit]).toEqual([before + 1, before]);
  const late = s.hold({ from: 'R2', to: 'R1', kinds: 'startView' });
  s.isolate('R1');
  s.crash('R0');
  for (let view = 1; view <= 2; view++) depose(s, ['R2', 'R3', 'R4']);
  s.newView(2);
  s.heal();
  expect(late.kept[0]?.message).toMatchObject({ view: 2, commitMax: before });
  s.network.release(late);
  s.converge();
  s.expect('a', 1);
}

/** E7 needs a client that retries soon, for R0 dies with its request. */
export const E7_OPTIONS = { replicas: 5, clientTiming: { retry: 10 } };

/** R4 holds an entry of view 0 that nobody kept; a heartbeat of view 1 overtakes the StartView. */
export function e7(s: Story): void {
  s.drop({ from: 'R0', to: ['R1', 'R2', 'R3'] });
  s.drop({ from: 'R4', to: 'R0', kinds: 'prepareOk' });
  const before = head(s, 'R1');
  const x = s.incr('x');
  s.run(1);
  expect([head(s, 'R0'), head(s, 'R4')]).toEqual([before + 1, before + 1]);
  s.heal();
  s.isolate('R4');
  s.crash('R0', { mute: true });
  depose(s, ['R1', 'R2', 'R3']);
  s.newView(1);
  s.until(() => x.code === 'ok', 300);
  s.heal();
  const late = s.hold({ to: 'R4', where: ({ kind }) => kind !== 'commit' });
  s.until(() => s.state('R4').view === 1, 30);
  s.run(5);
  expect([s.state('R4').status, s.state('R4').commit]).toEqual(['view-change', before]);
  s.release(late);
  s.converge();
  s.expect('x', 1);
}

// ── votes and promises ──

/** E20: R2 suspects R0 in every tenth tick, and nobody else does. */
export function flakyVoter(s: Story, turns: number): void {
  const votes = s.record({ from: 'R2', kinds: 'startViewChange' });
  for (let turn = 0; turn < turns; turn++) {
    s.tell('R2', { kind: 'suspect', id: 0 });
    s.incr('n', turn % s.clients.length);
    s.run(10);
  }
  s.settle();
  expect([s.view, s.state('R0').serving]).toEqual([0, true]);
  expect(votes.hits).toBeGreaterThan(turns);
  s.converge();
  s.expect('n', turns);
}

/** VC2: a quorum suspects R0, but each long after the other has heard it again. */
function votesLongApart(s: Story): void {
  for (const voter of ['R1', 'R2', 'R3']) {
    s.tell(voter, { kind: 'suspect', id: 0 });
    s.run(100);
  }
  expect([s.view, s.states.some(({ suspect }) => suspect)]).toEqual([0, false]);
  s.converge();
}

/** VC4, E22: the first promises are lost, and the elect must not wait for the next view to hear of them. */
function lostPromise(s: Story): void {
  const lost = s.drop({ to: 'R1', kinds: 'doViewChange' });
  s.crash('R0');
  s.until(() => s.state('R1').view === 1 && lost.hits > 0, 300);
  lost.end();
  s.newView(1, 30);
  expect([s.view, s.primary]).toEqual([1, 1]);
  s.converge();
}

/** VC6: the elect has a quorum of votes, but no quorum of logs. */
function smallViewChangeQuorum(s: Story): void {
  s.drop({ to: 'R1', kinds: ['prepare', 'newState'] });
  s.put('a', 1);
  s.settle();
  const logs = s.hold({ from: 'R2', kinds: 'doViewChange' });
  s.crash('R0');
  s.until(() => s.state('R1').view === 1, 300);
  s.run(5);
  expect(s.state('R1').status).toBe('view-change');
  s.release(logs);
  s.converge();
  s.expect('a', 1);
}

/** D2, E15: either half of four would be a quorum. */
function twoHalves(s: Story): void {
  s.partition(['R0', 'R1', 'C0'], ['R2', 'R3']);
  const call = s.put('a', 1);
  s.run(20);
  expect([call.code, s.invariants.committedOp]).toEqual([null, s.state('R2').commit]);
  s.converge();
  s.expect('a', 1);
}

// ── which log ──

/** VC7: the elect lacks what R0 and R2 hold. */
function laggingElect(s: Story): void {
  s.drop({ to: 'R1', kinds: ['prepare', 'newState'] });
  s.put('a', 1);
  s.settle();
  expect(head(s, 'R1')).toBe(head(s, 'R2') - 1);
  s.heal();
  s.crash('R0', { mute: true });
  s.newView(1);
  expect([s.view, s.primary]).toEqual([1, 1]);
  s.converge();
  s.expect('a', 1);
}

/** VC7: an isolated primary piled up entries that nobody acknowledged. */
function longestLog(s: Story): void {
  s.isolate('R0');
  s.drop({ from: 'C0', to: ['R1', 'R2'] });
  load(s, 10);
  s.run(2);
  s.tell('R_', { kind: 'suspect', id: 0 });
  s.until(() => s.state('R1').serving);
  const call = s.put('a', 1, 1);
  s.until(() => call.code === 'ok');
  s.crash('R1', { mute: true });
  s.heal();
  s.converge();
  s.expect('a', 1);
}

export const VIEW_CHANGE: readonly Directed[] = [
  ...LATE_JOINERS,
  {
    mistake: 'startViewWhileNormal',
    rules: 'VC9, E4',
    options: {},
    script: e4,
    noticed: /I15 op 3 was answered/,
  },
  {
    mistake: 'rejoinStartedView',
    rules: 'VC5, E5',
    options: {},
    script: e5,
    noticed: /an answer to every call did not come true/,
  },
  {
    mistake: 'commitBackwards',
    rules: 'N6, E6',
    options: { replicas: 5 },
    script: e6,
    noticed: /I5 replica 1: commit fell/,
  },
  {
    mistake: 'commitUnverified',
    rules: 'N6, VC3, E7',
    options: E7_OPTIONS,
    script: e7,
    noticed: /I6 replica 4: commit/,
  },
  {
    mistake: 'leaveWithoutQuorum',
    rules: 'VC1, VC2, E20',
    options: {},
    script: (s) => flakyVoter(s, 5),
    noticed: /expected \[ \d+, \w+ \] to deeply equal \[ \+?0, true \]/,
  },
  {
    mistake: 'votesNeverExpire',
    rules: 'VC2, E20',
    options: { replicas: 5 },
    script: votesLongApart,
    noticed: /expected \[ \d+, \w+ \] to deeply equal \[ \+?0, false \]/,
  },
  {
    mistake: 'joinNotRepeated',
    rules: 'VC4, E22',
    options: {},
    script: lostPromise,
    noticed: /view 1 did not come true/,
  },
  {
    mistake: 'smallViewChangeQuorum',
    rules: 'VC6',
    options: {},
    script: smallViewChangeQuorum,
    noticed: /I2/,
  },
  {
    mistake: 'smallEvenQuorum',
    rules: 'D2, N6, E15',
    options: { replicas: 4 },
    script: twoHalves,
    noticed: /I8 .* 2 of 3/,
  },
  { mistake: 'ownLogSelected', rules: 'VC7', options: {}, script: laggingElect, noticed: /I2/ },
  {
    mistake: 'longestLog',
    rules: 'VC7',
    options: { clients: 2, limits: { batchMax: 1 } },
    script: longestLog,
    noticed: /I1|I2|differs/,
  },
];
