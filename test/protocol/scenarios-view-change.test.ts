// Scenarios of protocol.md 6.3: the traces E1 to E7, each with the mistake that it is about, and view changes under one-way
// links, flaky voters, long absence and hints of the host. Repair is in scenarios-repair.test.ts.

import { expect, test } from 'vitest';
import type { Message, MessageKind } from '../../src/protocol/message.js';
import { type Story, story } from '../../src/simulation/story.js';
import { head, load } from '../../src/simulation/words.js';
import { scenario } from './scenario.js';

/** `who` leave the view that they are in; whoever leads it steps down. */
function depose(s: Story, who: readonly string[]): void {
  const view = s.state(who[0] ?? 'R0').view;
  const primary = view % s.actives;
  if (who.includes(`R${primary}`)) s.tell(primary, { kind: 'stepDown' });
  s.tell(who, { kind: 'suspect', id: primary });
  s.until(() => who.every((name) => s.state(name).view > view), 20, `view ${view + 1}`);
}

// ── E1 to E7 ──

/**
 * E1 to E3: R2 starts view 2, nobody but R1 hears of it, and R1 forms view 3 with those who did not. `misses` lacks what was
 * acknowledged in view 0. Of five, nobody in view 3 knows the commit number; of three, R0 does, and VC7 compares with it.
 */
function lateJoiner(s: Story, misses: readonly string[], heard: MessageKind): void {
  const rest = s.replicas === 3 ? ['R0'] : ['R3', 'R4'];
  const before = head(s, 'R1');
  s.drop({ from: 'R0', to: misses, kinds: 'prepare' });
  s.drop({ from: 'R0', kinds: 'commit' });
  for (const key of ['a', 'b', 'c']) s.put(key, 1);
  s.settle();
  expect([s.state('R0').commit, s.state('R1').commit]).toEqual([before + 3, before]);
  s.drop({ from: 'R1' });
  s.drop({ to: 'R1', where: ({ kind }) => kind !== heard });
  s.drop({ from: 'R2', to: rest, kinds: ['startView', 'prepare', 'commit'] });
  if (s.replicas === 5) s.crash('R0');
  depose(s, ['R2', ...rest]);
  depose(s, ['R2', ...rest]);
  s.until(() => s.state('R2').status === 'normal' && s.state('R1').view === 2, 30);
  s.crash('R2', { mute: true });
  s.heal();
  s.newView(3);
  s.converge();
  for (const key of ['a', 'b', 'c']) s.expect(key, 1);
}

/** What notices the loss: the check of VC7 where somebody knows the commit number, else the invariant. */
const LOST = {
  3: /commit-number 5 is above the selected head 2/,
  5: /I2 view 3: starts without op 3/,
};
const ONE_BY_ONE = { batchMax: 1, tailEntries: 1 };

function e1(s: Story): void {
  lateJoiner(s, s.replicas === 3 ? ['R2'] : ['R2', 'R4'], 'commit');
}

function e2(s: Story): void {
  lateJoiner(s, s.replicas === 3 ? ['R1'] : ['R1', 'R4'], 'commit');
}

function e3(s: Story): void {
  lateJoiner(s, s.replicas === 3 ? ['R1'] : ['R1', 'R4'], 'startView');
}

for (const replicas of [3, 5] as const) {
  const options = { replicas, limits: ONE_BY_ONE };
  scenario(
    `mutant-e1 (VC3, E1): n=${replicas}, a later view is no reason to cut the own log`,
    options,
    e1,
  );
  test(`mutant-e1 (VC3, E1): n=${replicas}, cutting it to the commit number is noticed`, () => {
    const mutations = { truncateOnLaterView: true };
    expect(() => e1(story({ ...options, mutations }))).toThrow(LOST[replicas]);
  });
  scenario(
    `mutant-e2 (VC3, E2): n=${replicas}, without its log nobody was normal in a view`,
    options,
    e2,
  );
  test(`mutant-e2 (VC3, E2): n=${replicas}, joining before the log is noticed`, () => {
    const mutations = { joinBeforeLog: true };
    expect(() => e2(story({ ...options, mutations }))).toThrow(LOST[replicas]);
  });
  scenario(
    `mutant-e3 (VC9, E3): n=${replicas}, a StartView whose tail hangs in the air makes nobody normal`,
    options,
    e3,
  );
  test(`mutant-e3 (VC9, E3): n=${replicas}, being normal with a suffix is noticed`, () => {
    const mutations = { normalOnSuffix: true };
    expect(() => e3(story({ ...options, mutations }))).toThrow(LOST[replicas]);
  });
}

/** A second copy of StartView(1) reaches R2 after it acknowledged more; then only R0, which lags, is left beside it. */
function e4(s: Story): void {
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

scenario('mutant-e4 (VC9, E4): a second StartView of the present view changes nothing', {}, e4);

test('mutant-e4 (VC9, E4): applying it while normal is noticed', () => {
  const mutations = { startViewWhileNormal: true };
  expect(() => e4(story({ mutations }))).toThrow(/I2 view 2: starts without op 3/);
});

function e5(s: Story): void {
  const late = s.hold({ from: 'R2', to: 'R0', kinds: 'startViewChange' });
  s.stepDown();
  s.newView(1);
  s.together();
  const inherited = head(s, 'R1');
  s.put('a', 1);
  s.settle();
  expect(s.release(late)).toBeGreaterThan(0);
  s.run(100);
  expect([s.view, s.state('R0').status, s.state('R1').viewStartOp]).toEqual([
    ...[1, 'normal', inherited],
  ]);
  s.converge();
}

scenario('mutant-e5 (VC5, E5): a late StartViewChange of the present view moves nobody', {}, e5);

test('mutant-e5 (VC5, E5): leaving a view that has started is noticed', () => {
  const mutations = { rejoinStartedView: true };
  expect(() => e5(story({ mutations }))).toThrow(/I4 view 1: another StartView/);
});

/** Only R1 hears that `a` is committed; the primary of view 2 does not know it yet when it tells R1 of the view. */
function e6(s: Story): void {
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

scenario(
  'mutant-e6 (N6, E6): a lower commit number in a StartView takes nothing back',
  { replicas: 5 },
  e6,
);

test('mutant-e6 (N6, E6): a commit number that falls is noticed', () => {
  const mutations = { commitBackwards: true };
  expect(() => e6(story({ replicas: 5, mutations }))).toThrow(/I5 replica 1: commit fell/);
});

/** R4 holds an entry of view 0 that nobody kept; a heartbeat of view 1 overtakes the StartView. */
function e7(s: Story): void {
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

scenario(
  'mutant-e7 (N6, VC3, E7): a commit number of a later view says nothing about the own entries',
  { replicas: 5, clientTiming: { retry: 10 } },
  e7,
);

test('mutant-e7 (N6, VC3, E7): taking it without the log is noticed', () => {
  const mutations = { commitUnverified: true };
  expect(() => e7(story({ replicas: 5, mutations }))).toThrow(/I6 replica 4: commit/);
});

// ── hints ──

/** No timer of a replica or of a client can expire in such a story; only what happens makes it go on. */
const NO_TIMERS = {
  timing: { viewTimeout: 1e6, startViewRequest: 1e6, prepareResend: 1e6, transferRetry: 1e6 },
  clientTiming: { retry: 1e6, retryMax: 1e6, notPrimary: 1e6 },
};

/** Hint, vote, DoViewChange, StartView, PrepareOk: the first four of HH6, and what commits. */
const HOPS = 5;

test('hint-exit (HH1, N1, CL2, L9): killed under load, the next view commits five hops later, without any timer', () => {
  const s = story({ clients: 2, limits: { batchMax: 4 }, ...NO_TIMERS });
  load(s, 40);
  const open = (): number => head(s, 'R0') - s.invariants.committedOp;
  s.until(() => s.calls.some(({ code }) => code === 'ok') && open() > 0, 5);
  const commit = s.invariants.committedOp;
  expect(s.network.pending(0, 1)).toBeGreaterThan(0); // its last frames
  const told = s.record({ kinds: 'viewStarted' });
  s.crash('R0');
  const killed = s.network.round;
  s.until(() => s.invariants.committedOp > commit, 3);
  expect(s.network.round - killed).toBeLessThanOrEqual(HOPS);
  s.settle(20);
  expect([s.view, told.hits, s.client(0).resent, s.client(1).resent]).toEqual([1, 2, 1, 1]);
  s.expect('n', 80);
});

for (const seed of [1, 2, 3, 4, 5, 6])
  scenario(
    `hint-false (HH4, HH5, I25): seed ${seed}, false, late, doubled and missing hints cost view changes and nothing else`,
    { replicas: seed % 2 === 0 ? 5 : 3, clients: 2, seed },
    (s) => {
      const pick = (below: number): number => s.random() % below;
      for (let turn = 0; turn < 30; turn++) {
        load(s, 2);
        const id = pick(s.replicas);
        const kind = (['exited', 'exited', 'started', 'suspect'] as const)[pick(4)] ?? 'suspect';
        const start = (s.starts[id] ?? 1) + pick(3) - 1;
        const who = [pick(s.replicas), pick(s.replicas), pick(s.replicas)];
        s.tell(who, kind === 'suspect' ? { kind, id } : { kind, id, start });
        const whole = s.states.every(({ status }) => status !== 'recovering');
        if (turn % 10 === 4 && whole) s.crash(id, { hint: pick(2) === 0 });
        if (turn % 10 === 9) for (const each of s.actors.keys()) s.restart(each);
        s.run(pick(40));
      }
      s.converge();
      s.expect('n', 120);
    },
  );

scenario(
  'hint-false (HH1, HB6): the exit of an older start of the present primary is old news',
  { clients: 1 },
  (s) => {
    s.restart(s.crash('R0', { hint: true }));
    for (let view = 1; view <= 3; view++) {
      s.newView(view);
      s.together();
      if (view < 3) s.stepDown();
    }
    expect([s.primary, s.state('R1').primaryStart]).toEqual([0, 2]);
    const votes = s.record({ kinds: 'startViewChange' });
    s.tell('R_', { kind: 'exited', id: 0, start: 1 });
    s.tell('R_', { kind: 'exited', id: 0, start: 1 });
    s.put('a', 1);
    s.run(200);
    expect([votes.hits, s.view]).toEqual([0, 3]);
    s.tell('R_', { kind: 'exited', id: 0, start: 2 }); // false, and about this one
    s.newView(4);
    s.run(500);
    expect(s.view).toBe(4);
    s.converge();
    s.expect('a', 1);
  },
);

test('hint-exit (HH1, H7): while the primary is being ended, its last frames take no vote back', () => {
  const s = story({ clients: 2, limits: { batchMax: 4 }, ...NO_TIMERS });
  load(s, 20);
  s.until(() => s.calls.some(({ code }) => code === 'ok'), 5);
  const last = s.hold({ from: 'R0' });
  const votes = s.hold({ kinds: 'startViewChange' });
  s.until(() => last.kept.length >= 2, 5);
  s.tell('R_', { kind: 'suspect', id: 0, start: 1 });
  s.until(() => votes.kept.length >= 4, 2);
  s.pause('R0');
  s.release(last);
  s.run(1);
  s.release(votes);
  s.newView(1, 2);
  s.crash('R0');
  s.settle(20);
  s.expect('n', 40);
});

for (const [name, kind] of [
  ['exited', 'exited'],
  ['is only suspected', 'suspect'],
] as const)
  test(`hint-exit (T1, VC9): a backup that lags asks no primary that ${name}, and needs no timer for it`, () => {
    const s = story({ clients: 2, limits: { batchMax: 1, tailEntries: 0 }, ...NO_TIMERS });
    s.drop({ from: 'R0', to: 'R2', kinds: 'prepare' });
    load(s, 10);
    s.until(() => head(s, 'R1') >= head(s, 'R2') + 4, 20);
    const asked = s.record({ kinds: 'getState', to: 'R0' });
    s.crash('R0', { hint: kind === 'exited' });
    s.tell('R_', { kind: 'suspect', id: 0 });
    s.newView(1, 4);
    s.settle(20);
    expect([asked.hits, s.primary]).toEqual([0, 1]);
    s.expect('n', 20);
  });

test('hint-exit (T1, HH1): a donor that exits is left for another, without any timer', () => {
  const s = story({
    replicas: 5,
    clients: 2,
    limits: { batchMax: 1, tailEntries: 0, messageBytes: 1 },
    ...NO_TIMERS,
  });
  load(s, 10);
  s.settle(20);
  s.crash('R3');
  s.run(2);
  s.restart('R3');
  const answers = s.drop({ to: 'R3', kinds: 'newState' });
  s.until(() => answers.hits > 0, 20);
  const donor = s.state('R3').transfer?.donors[0] as number;
  expect(donor).not.toBe(s.primary);
  s.crash(donor);
  answers.end();
  s.until(() => s.state('R3').status === 'normal', 60);
  s.settle(20);
  s.expect('n', 20);
});

test('hint-cascade (HH3, HH1): primary and next primary exit together, and the third leads without any timer', () => {
  const s = story({ replicas: 5, clients: 2, limits: { batchMax: 4 }, ...NO_TIMERS });
  load(s, 20);
  s.until(() => s.calls.some(({ code }) => code === 'ok'), 5);
  s.crash('R0');
  s.crash('R1');
  s.newView(2, 3);
  s.settle(20);
  expect([s.view, s.primary]).toEqual([2, 2]);
  s.expect('n', 40);
});

test('hint-cascade (HH1, VC10): the next primary exits while it collects, and the third leads without any timer', () => {
  const s = story({ replicas: 5, clients: 2, ...NO_TIMERS });
  s.hold({ to: 'R1', kinds: 'doViewChange' });
  load(s, 20);
  s.crash('R0');
  s.until(() => s.states.every(({ view, status }) => view === 1 && status === 'view-change'), 5);
  s.run(1);
  s.crash('R1');
  s.newView(2, 3);
  s.settle(20);
  expect([s.view, s.primary]).toEqual([2, 2]);
  s.expect('n', 40);
});

// ── calm ──

/** A fifth of the usual times. */
const FAST = { timing: { heartbeat: 1, viewTimeout: 10 } };

function quietAfterMany(s: Story): void {
  s.until(() => s.state('R2').lastHbSeq > 900, 6000);
  s.crash('R0', { hint: true });
  s.newView(1);
  s.run(1000);
  expect(s.view).toBe(1);
  s.converge();
}

scenario(
  'quiet-after-view-change (HB2, HB1, E47): numbers of heartbeats begin anew with the view',
  FAST,
  quietAfterMany,
);

test('quiet-after-view-change (HB2, E47): a replica that keeps the old number goes on changing views', () => {
  const mutations = { heartbeatsKept: true };
  expect(() => quietAfterMany(story({ ...FAST, mutations }))).toThrow(/expected \d+ to be 1/);
});

scenario(
  'quiet-after-view-change (HB8, HB5): after stepDown there is one view change and no second',
  { clients: 2 },
  (s) => {
    load(s, 10);
    s.run(1);
    s.stepDown();
    s.newView(1);
    s.settle();
    s.run(1000);
    expect([s.view, s.state('R1').abdicating, s.state('R0').status]).toEqual([1, false, 'normal']);
    s.converge();
    s.expect('n', 20);
  },
);

/** HB5: 1.2 failure timeouts of 50 ticks. */
const ABDICATE_TICKS = 60;

scenario(
  'quiet-after-view-change (HB5): a primary that never got an echo counts from the start of its view',
  {},
  (s) => {
    s.drop({ to: 'R1', kinds: 'prepareOk' });
    s.stepDown();
    s.until(() => s.state('R1').status === 'normal' && s.state('R1').view === 1, 50);
    const began = s.tick;
    s.until(() => s.state('R1').abdicating, ABDICATE_TICKS + 2);
    expect(s.tick - began).toBeGreaterThanOrEqual(ABDICATE_TICKS);
    s.newView(2);
    s.run(1000);
    expect([s.view, s.primary]).toEqual([2, 2]);
    s.converge();
  },
);

// ── views that come late ──

/** Votes pass: without them nobody would get beyond these views. */
function ofViews(message: Message, views: readonly number[]): boolean {
  const vote = message.kind === 'startViewChange' && message.phase === 'vote';
  return !vote && 'view' in message && views.includes(message.view);
}

scenario(
  'late-old-view (G5, VC6, N6, I2): views 3 and 4 begin after view 5 has committed, and commit nothing',
  { replicas: 5, clients: 2 },
  (s) => {
    const all = ['R0', 'R1', 'R2', 'R3', 'R4'];
    for (let view = 1; view <= 2; view++) depose(s, all);
    const late = s.hold({ from: 'R_', to: 'R_', where: (m) => ofViews(m, [3, 4]) });
    depose(s, all);
    s.drop({ from: 'R_', to: 'R3' });
    depose(s, ['R0', 'R1', 'R2', 'R4']);
    s.drop({ from: 'R_', to: 'R4' });
    s.partition(['R0', 'R1', 'R2'], 'C1');
    depose(s, ['R0', 'R1', 'R2']);
    s.newView(5);
    const [a, lost] = [s.put('a', 1, 0), s.put('a', 2, 1)];
    s.until(() => a.code === 'ok', 300);
    const [commit, top] = [s.invariants.committedOp, head(s, 'R0')];
    late.end();
    for (const view of [3, 4]) {
      expect(s.network.release(late, ({ message }) => ofViews(message, [view]))).toBeGreaterThan(0);
      s.until(() => s.state(view).status === 'normal' && s.state(view).view === view, 5);
      s.until(() => head(s, `R${view}`) === top, 50, 'an entry of a late view');
      s.run(20);
      expect([lost.code, s.invariants.committedOp, head(s, 'R0')]).toEqual([null, commit, top]);
    }
    for (const id of [0, 1, 2]) expect(s.state(id).view).toBe(5);
    s.converge();
    s.expect('a', 2);
  },
);
