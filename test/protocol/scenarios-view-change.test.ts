// Scenarios of protocol.md 6.3: the traces E1 to E7, and view changes under one-way links, flaky voters, long absence and hints
// of the host. Repair is in scenarios-repair.test.ts; scripts that also notice a mistake are in mistakes/.

import { expect, test } from 'vitest';
import type { Message } from '../../src/protocol/message.js';
import { truncateEarly } from '../../src/simulation/paper-scripts.js';
import { story } from '../../src/simulation/story.js';
import { depose, head, load } from '../../src/simulation/words.js';
import {
  FAST,
  hintCascade,
  lastFrames,
  NO_TIMERS,
  oldExit,
  quietAfterMany,
} from './mistakes/failure.js';
import { E7_OPTIONS, e2, e3, e4, e5, e6, e7, ONE_BY_ONE } from './mistakes/view-change.js';
import { scenario } from './scenario.js';

// ── E1 to E7 ──

for (const replicas of [3, 5] as const) {
  const options = { replicas, limits: ONE_BY_ONE };
  scenario(
    `mutant-e1 (VC3, E1): n=${replicas}, a later view is no reason to cut the own log`,
    options,
    truncateEarly,
  );
  scenario(
    `mutant-e2 (VC3, E2): n=${replicas}, without its log nobody was normal in a view`,
    options,
    e2,
  );
  scenario(
    `mutant-e3 (VC9, E3): n=${replicas}, a StartView whose tail hangs in the air makes nobody normal`,
    options,
    e3,
  );
}

scenario('mutant-e4 (VC9, E4): a second StartView of the present view changes nothing', {}, e4);

scenario('mutant-e5 (VC5, E5): a late StartViewChange of the present view moves nobody', {}, e5);

scenario(
  'mutant-e6 (N6, E6): a lower commit number in a StartView takes nothing back',
  { replicas: 5 },
  e6,
);

scenario(
  'mutant-e7 (N6, VC3, E7): a commit number of a later view says nothing about the own entries',
  E7_OPTIONS,
  e7,
);

// ── hints ──

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
  oldExit,
);

test('hint-exit (HH1, H7): while the primary is being ended, its last frames take no vote back', () => {
  lastFrames(story({ clients: 2, limits: { batchMax: 4 }, ...NO_TIMERS }));
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
  hintCascade(story({ replicas: 5, clients: 2, limits: { batchMax: 4 }, ...NO_TIMERS }));
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

scenario(
  'quiet-after-view-change (HB2, HB1, E47): numbers of heartbeats begin anew with the view',
  FAST,
  (s) => quietAfterMany(s, 900),
);

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
