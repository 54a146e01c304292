// Scenarios of protocol.md 6.3 about those who fall behind: transfers that a view change, a death or the load interrupts, and
// replicas that hear, or are heard, only in part. The other view changes are in scenarios-view-change.test.ts.

import { expect } from 'vitest';
import type { Message, NewState } from '../../src/protocol/message.js';
import type { Story } from '../../src/simulation/story.js';
import { head, load } from '../../src/simulation/words.js';
import {
  foreignDonor,
  interrupted,
  interruptedElect,
  NO_TAIL,
  SLOW_TRANSFER,
  staged,
  staleNewState,
} from './mistakes/repair.js';
import { flakyVoter } from './mistakes/view-change.js';
import { scenario } from './scenario.js';
import { requestStartView } from './solo.js';

// ── transfers ──

function installs(message: Message): message is NewState {
  return message.kind === 'newState' && message.purpose === 'install';
}

scenario(
  'gap-then-viewchange (T1, BP4, E40): an answer of the view before fills no gap of this one',
  { replicas: 5, limits: NO_TAIL },
  staleNewState,
);

scenario(
  'gap-then-viewchange (T1, T3): who is still in the view before has nothing to give',
  { replicas: 5, clients: 2, limits: NO_TAIL },
  foreignDonor,
);

scenario(
  'gap-then-viewchange (T1, T4, VC4, E40): what was asked for two views ago fills no log',
  { replicas: 5, clients: 2, limits: NO_TAIL },
  (s) => {
    const before = head(s, 'R4');
    s.drop({ from: 'R0', to: 'R4', kinds: 'prepare' });
    const others = s.drop({ from: 'R4', to: ['R1', 'R2', 'R3'], kinds: 'getState' });
    load(s, 5);
    s.settle();
    // What only the primary holds is in the answers, and in no log of a later view.
    s.drop({ from: 'R0', to: 'R_', kinds: 'prepare' });
    const answers = s.hold({ to: 'R4', kinds: ['newState', 'startView'] });
    load(s, 3);
    s.until(() => answers.kept.length === 2, 200);
    others.end();
    const [earlier, latest] = answers.kept;
    s.crash('R0');
    s.tell('R_', { kind: 'suspect', id: 0 });
    const arrives = (pick: (message: Message) => boolean): void => {
      expect(s.network.release(answers, ({ message }) => pick(message))).toBeGreaterThan(0);
      s.run(1);
      expect([head(s, 'R4'), staged(s, 'R4')]).toEqual([before, 0]);
      expect(s.state('R4').status).toBe('view-change');
    };
    s.newView(1);
    arrives((message) => message === latest?.message);
    arrives(({ kind }) => kind === 'startView');
    s.until(() => answers.kept.some(({ message }) => installs(message)), 20);
    s.stepDown();
    s.newView(2);
    arrives(({ kind }) => kind === 'startView');
    expect(s.state('R4').transfer?.target?.stamp.view).toBe(2);
    arrives((message) => message === earlier?.message);
    arrives((message) => installs(message) && message.view === 1);
    s.release(answers);
    s.together();
    s.converge();
    s.expect('n', 16);
  },
);

interface CaughtUp {
  /** Heads that R2 fetched up to, and heads that it was told of meanwhile. */
  readonly targets: Set<number>;
  readonly named: Set<number>;
  /** BP5 held the load back. */
  readonly bounded: boolean;
}

/** Under load R2 asks for a StartView in every tick, until its head is that of the primary. */
function catchUp(s: Story, nonce: number): CaughtUp {
  const [targets, named] = [new Set<number>(), new Set<number>()];
  const told = s.record({ from: 'R0', to: 'R2', kinds: 'startView' });
  let bounded = false;
  for (let turn = 0; turn < 200 && head(s, 'R2') < head(s, 'R0') - 2; turn++) {
    load(s, 20);
    s.inject('R2', 'R0', requestStartView(2, 0, nonce));
    s.run(1);
    const target = s.state('R2').transfer?.target;
    if (target) targets.add(target.op);
    bounded ||= s.state('R0').passBytes < Number.POSITIVE_INFINITY;
  }
  for (const { message } of told.kept) if (message.kind === 'startView') named.add(message.op);
  return { targets, named, bounded };
}

/** Still under load, at the head, and in the first view. */
function expectCaughtUp(s: Story): void {
  expect(head(s, 'R0') - head(s, 'R2')).toBeLessThanOrEqual(2);
  expect([s.calls.some(({ code }) => code === null), s.view]).toEqual([true, 0]);
  const { length } = s.calls;
  s.converge();
  s.expect('n', length);
}

const LOADED = { clients: 4, limits: { batchMax: 16, messageBytes: 1024, tailEntries: 1 } };

scenario(
  'catch-up-under-load (R5, BP5, L3, E49): one that lost everything reaches the head in one transfer',
  LOADED,
  (s) => {
    s.crash('R2');
    load(s, 200);
    s.settle();
    s.restart('R2');
    s.delay(2, { to: 'R2', kinds: 'newState' });
    const { targets, named, bounded } = catchUp(s, 2);
    expect([targets.size, named.size > 3, bounded]).toEqual([1, true, true]);
    expectCaughtUp(s);
  },
);

scenario(
  'catch-up-under-load (N8, T1, L3, E4): one that lags reaches the head, whatever it is told meanwhile',
  LOADED,
  (s) => {
    const cut = s.drop({ from: 'R0', to: 'R2', kinds: 'prepare' });
    load(s, 200);
    s.settle();
    cut.end();
    s.ringDepth('R0', 'R2', { bytes: 4096 });
    const { targets, named } = catchUp(s, 0);
    expect([targets.size, named.size > 1, s.state('R2').status]).toEqual([0, true, 'normal']);
    expectCaughtUp(s);
  },
);

/** R1 lacks what R0, R2 and R3 hold, leads view 1 and is fetching it from R2 when that one dies. */
function donorDies(s: Story): void {
  s.drop({ from: 'R0', to: ['R1', 'R4'], kinds: 'prepare' });
  const unrepaired = s.drop({ to: ['R1', 'R4'], kinds: 'newState' });
  load(s, 10);
  s.settle();
  unrepaired.end();
  s.delay(2, { to: 'R1', kinds: 'newState' });
  s.crash('R0');
  s.until(() => s.state('R1').transfer?.purpose === 'vc' && staged(s, 'R1') > 2, 300);
  s.crash('R2', { mute: true });
  expect([s.state('R1').status, staged(s, 'R1') < 20]).toEqual(['view-change', true]);
}

scenario(
  'vc-fetch-donor-dies (VC8, T3, T1): another sender with the same last normal view goes on',
  { replicas: 5, clients: 2, limits: SLOW_TRANSFER },
  (s) => {
    s.drop({ from: 'R4', to: 'R1', kinds: 'doViewChange' });
    const others = s.record({ from: 'R3', to: 'R1', kinds: 'newState' });
    donorDies(s);
    s.newView(1);
    expect([s.view, s.primary, others.hits > 0]).toEqual([1, 1, true]);
    s.converge();
    s.expect('n', 20);
  },
);

scenario(
  'vc-fetch-donor-dies (VC8, VC6): a sender that was heard only after the transfer began goes on',
  { replicas: 5, clients: 2, limits: SLOW_TRANSFER },
  (s) => {
    const late = s.hold({ from: 'R3', to: 'R1', kinds: 'doViewChange' });
    donorDies(s);
    expect(s.release(late)).toBeGreaterThan(0);
    s.newView(1);
    expect([s.view, s.primary]).toEqual([1, 1]);
    s.converge();
    s.expect('n', 20);
  },
);

scenario(
  'vc-fetch-donor-dies (VC8, VC10): when nobody else is known to hold it, a later view begins with it',
  { replicas: 5, clients: 2, limits: SLOW_TRANSFER },
  (s) => {
    const unknown = s.drop({ from: 'R3', to: 'R1', kinds: 'doViewChange' });
    donorDies(s);
    s.newView(3);
    expect([s.view, s.primary, unknown.hits > 0]).toEqual([3, 3, true]);
    s.converge();
    s.expect('n', 20);
  },
);

scenario(
  'dvc-interrupted (VC7, VC4, T4, E35): what an elect has staged is no part of its next promise',
  { replicas: 5, clients: 2, limits: SLOW_TRANSFER },
  interruptedElect,
);

scenario(
  'dvc-interrupted (VC7, R0, R4): an elect that dies before the switch leaves nothing behind',
  { replicas: 5, clients: 2, limits: SLOW_TRANSFER },
  (s) => {
    interrupted(s);
    s.crash('R2');
    s.newView(3);
    expect([s.view, s.primary, s.registers[2]?.view]).toEqual([3, 3, 2]);
    s.restart('R2');
    s.converge();
    s.expect('n', 20);
    s.expect('x', 4);
  },
);

// ── links and voters ──

scenario(
  'one-way-in (HB5, VC1, VC2, E19): a primary that hears nobody abdicates, and the others go on without it',
  { clients: 2 },
  (s) => {
    load(s, 5);
    s.settle();
    s.drop({ to: 'R0' });
    load(s, 5);
    s.newView(1, 200);
    s.settle();
    s.run(600);
    expect([s.view, s.primary]).toEqual([1, 1]);
    expect([s.state('R0').view, s.state('R0').abdicating]).toEqual([0, true]);
    s.converge();
    expect(s.view).toBe(1);
    s.expect('n', 20);
  },
);

scenario(
  'one-way-out (HB2, VC3, VC9): a primary that nobody hears is replaced, and follows as far as it is told',
  { clients: 2 },
  (s) => {
    load(s, 5);
    s.settle();
    s.drop({ from: 'R0' });
    load(s, 5);
    s.newView(1, 200);
    s.settle();
    s.run(600);
    expect([s.view, s.primary, s.state('R0').view]).toEqual([1, 1, 1]);
    expect(s.state('R0').commit).toBe(head(s, 'R1'));
    s.converge();
    expect(s.view).toBe(1);
    s.expect('n', 20);
  },
);

scenario(
  'ring-partition (VC2, HB5, RD2): where each hears only its successor nothing is decided and nothing is answered',
  { replicas: 5, clients: 2 },
  (s) => {
    s.put('a', 1);
    s.settle();
    const commit = s.state('R0').commit;
    for (let id = 0; id < 5; id++)
      s.drop({ from: [0, 1, 2, 3, 4].filter((other) => other !== (id + 1) % 5), to: id });
    const calls = [s.put('a', 2, 0), s.read('a', 0), s.put('b', 1, 1)];
    s.run(1000);
    expect(calls.map(({ code }) => code)).toEqual([null, null, null]);
    expect(s.states.map(({ view, suspect }) => [view, suspect])).toEqual(
      Array(5).fill([0, true]), // they did try
    );
    expect([s.state('R0').abdicating, s.invariants.committedOp]).toEqual([true, commit]);
    s.converge();
    s.expect('a', 2);
  },
);

scenario(
  'flaky-voter (VC1, VC2, E20): one that suspects every 100 ms for a minute changes no view',
  { clients: 2 },
  (s) => flakyVoter(s, 600),
);

scenario(
  'flaky-voter (VC2, HB2, E20): one that cannot hear the primary votes in vain and keeps up when it can',
  { clients: 2 },
  (s) => {
    const deaf = s.drop({ from: 'R0', to: 'R2' });
    const votes = s.record({ from: 'R2', kinds: 'startViewChange' });
    for (let turn = 0; turn < 60; turn++) {
      s.incr('n', turn % 2);
      s.run(100);
    }
    expect(votes.hits).toBeGreaterThan(600);
    expect(s.states.map(({ view, status }) => [view, status])).toEqual([
      [0, 'normal'],
      [0, 'normal'],
      [0, 'normal'],
    ]);
    deaf.end();
    s.until(() => !s.state('R2').suspect && head(s, 'R2') === head(s, 'R0'), 100);
    s.converge();
    expect(s.view).toBe(0);
  },
);

scenario(
  'suspend-all (SP3, HB2): everybody stops for ten seconds, goes on, and nobody suspects anybody',
  { clients: 2 },
  (s) => {
    load(s, 30);
    s.until(() => s.network.pending(0, 1) > 0, 5);
    expect(s.calls.some(({ code }) => code === null)).toBe(true);
    const votes = s.record({ kinds: 'startViewChange' });
    for (const id of s.actors.keys()) s.pause(id);
    for (const client of s.clients) client.paused = true;
    s.run(1000);
    for (const id of s.actors.keys()) s.resume(id);
    for (const client of s.clients) client.paused = false;
    s.settle(50);
    s.run(200);
    expect([votes.hits, s.view]).toEqual([0, 0]);
    s.converge();
    s.expect('n', 60);
  },
);

/** T is 8 ticks instead of 50: ten minutes are 9600 ticks. */
const FAST = { timing: { heartbeat: 1, viewTimeout: 8 }, clientTiming: { retry: 20 } };

for (const who of ['R0', 'R2'])
  scenario(
    `isolated-return (VC2, VC3, L5): ${who} was alone for ten minutes and joins the view that there is`,
    FAST,
    (s) => {
      s.put('a', 1);
      s.settle();
      s.isolate(who);
      if (who !== 'R0') s.stepDown();
      const late = s.put('a', 2);
      s.run(9600);
      expect([late.code, s.state(who).view, s.view]).toEqual(['ok', 0, 1]);
      s.heal();
      s.together(100);
      expect([s.view, s.state(who).status]).toEqual([1, 'normal']);
      s.converge();
      s.expect('a', 2);
    },
  );
