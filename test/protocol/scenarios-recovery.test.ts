// Scenarios of protocol.md 6.4 over the pure core: what a thread forgot, what it promised, and what the dead left under way.
// Scripts that also notice a mistake are in mistakes/; the register's mutants are the group 'register-mutants' of mistakes.test.ts.

import { expect, test } from 'vitest';
import { promiseAndForget, staleLife } from '../../src/simulation/paper-scripts.js';
import { type Story, story } from '../../src/simulation/story.js';
import { head, load, statusOf } from '../../src/simulation/words.js';
import { restartedLeader } from './mistakes/failure.js';
import {
  belowRegister,
  ghostDvc,
  ghostDvc5,
  ghostStartView,
  stalePrimary,
} from './mistakes/recovery.js';
import { ghostDvcBodies } from './mistakes/repair.js';
import { scenario } from './scenario.js';
import { startViewChange } from './solo.js';

scenario('ghost-dvc (R0, R1, E8): a promise that was forgotten is kept', {}, ghostDvc);

scenario(
  'ghost-dvc (R0, R1, E8): however the replica came to promise, also without votes',
  {},
  (s) => ghostDvc(s, true),
);

scenario(
  'ghost-dvc (R3, R4, E8): its question takes the others along to what it promised',
  {},
  staleLife,
);

scenario(
  'ghost-dvc (R3, R4, E8): its question takes the others along, also when nobody had voted',
  {},
  (s) => {
    const ghosts = promiseAndForget(s, startViewChange(1, 1, 'joined'));
    s.restart('R2');
    const call = s.put('a', 1);
    s.newView(1);
    s.together();
    s.until(() => call.code === 'ok');
    s.release(ghosts);
    s.run(100);
    expect([s.view, s.primary]).toEqual([1, 1]);
    s.converge();
    s.expect('a', 1);
  },
);

scenario(
  'ghost-dvc-5 (R0, R3, R4, E8b): nobody has to know of a restart but the replica itself',
  { replicas: 5 },
  ghostDvc5,
);

scenario(
  'ghost-startview (R4, E45): a StartView of the own stamp from before the crash is refused',
  {},
  ghostStartView,
);

scenario(
  'ghost-dvc-bodies (VC6, VC8, E44): the question of the restarted sender drops its promise, others have the entries',
  { limits: { tailEntries: 0, batchMax: 1 } },
  (s) => {
    const late = ghostDvcBodies(s);
    const fetched = s.record({ from: 'R0', to: 'R1', kinds: 'newState' });
    s.release(late);
    s.restart('R2');
    s.newView(1, 60);
    expect([s.primary, s.view, fetched.hits > 0]).toEqual([1, 1, true]);
    s.together();
    s.expect('n', 12);
    s.converge();
  },
);

scenario(
  'ghost-dvc-bodies (VC10, HH3, E44): a sender that stays down costs views, not entries, also when its exit is told late',
  { limits: { tailEntries: 0, batchMax: 1 } },
  (s) => {
    s.release(ghostDvcBodies(s));
    const whole = head(s, 'R0');
    s.run(30);
    if (s.hints) s.tell('R_', { kind: 'exited', id: 2, start: 1 });
    s.newView(1);
    expect([s.states.length, s.state('A0').viewStartOp]).toEqual([2, whole]);
    s.expect('n', 12);
    s.converge();
  },
);

/** All are in view 6; `who` enters view 7, tells nobody, and loses its memory. */
function aheadOfAll(s: Story, who: 'R1' | 'R2'): void {
  for (let view = 1; view <= 6; view++) {
    s.stepDown();
    s.newView(view);
    s.together();
  }
  const id = s.one(who);
  const mute = s.drop({ from: who });
  s.tell(['R1', 'R2'], { kind: 'suspect', id: s.primary });
  s.until(() => s.registers[id]?.view === 7, 20);
  s.crash(who);
  mute.end();
  s.run(20);
  expect(s.states.map(({ view, status }) => `${status} ${view}`)).toEqual(
    Array(2).fill('normal 6'),
  );
  s.restart(who);
}

for (const [who, view, primary] of [
  ['R2', 7, 1],
  ['R1', 8, 2],
] as const)
  scenario(
    `register-ahead (R3, R4, HB6): the others follow to the register, into view ${view} if ${who} was there`,
    {},
    (s) => {
      s.put('a', 1);
      s.settle();
      aheadOfAll(s, who);
      s.newView(view);
      s.together();
      expect([s.view, s.primary, statusOf(s, s.one(who))]).toEqual([view, primary, 'normal']);
      s.converge();
      s.expect('a', 1);
    },
  );

for (const hints of [true, false])
  test(`register-torn (R0, H5): whenever the thread dies, nobody saw more than its register holds [${hints ? 'with' : 'without'} hints]`, () => {
    const seen = new Set<string>();
    for (let effects = 0; effects < 10; effects++) {
      const s = story({ hints });
      s.put('a', 1);
      s.settle();
      const shown = s.record({ from: 'R2', where: (m) => 'clusterId' in m && m.view > 0 });
      s.tell(['R1', 'R2'], { kind: 'suspect', id: 0 });
      s.killAfter('R2', effects);
      s.until(() => s.actors[2] === undefined, 20);
      const view = s.registers[2]?.view;
      if (shown.hits > 0) expect(view).toBe(1);
      seen.add(`${view}${shown.hits > 0 ? ' shown' : ''}`);
      s.converge();
      s.expect('a', 1);
    }
    // Too much or nothing is promised, and both are met.
    expect([...seen].sort()).toEqual(['0', '1', '1 shown']);
  });

scenario(
  'recover-stale-primary (R4, VC3, E10): with register 0 it follows view 0, which commits nothing, and then view 1',
  { replicas: 5 },
  (s) => {
    s.release(stalePrimary(s));
    s.until(() => statusOf(s, 2) === 'normal', 20);
    const { view, commit } = s.state('R2');
    expect([view, s.state('R0').status]).toEqual([0, 'normal']);
    expect(commit).toBeLessThan(s.state('R1').commit);
    s.put('b', 2);
    s.settle();
    s.heal();
    s.until(() => s.state('R2').view === 1 && statusOf(s, 2) === 'normal');
    s.converge();
    s.expect('a', 1);
    s.expect('b', 2);
  },
);

scenario(
  'recover-stale-primary (R4, E10): with register 1 it refuses view 0 and waits for view 1',
  { replicas: 5 },
  belowRegister,
);

scenario(
  'recover-self-primary (HB6, R4, D20, E36): its own question ends its view at once, and it follows the next one',
  { clients: 2 },
  restartedLeader,
);

/** `who` lags, or lost its memory, and dies `effects` after its Install of view 1 began. @returns what it was by then. */
function dieInstalling(who: 'R1' | 'R2', amnesic: boolean, effects: number): string {
  const limits = { tailEntries: 0, batchMax: 1, messageBytes: 300 };
  const s = story({ limits, hints: effects % 2 === 0 });
  const id = s.one(who);
  const cut = s.drop({ to: who, kinds: ['prepare', 'newState'] });
  load(s, 12);
  s.settle();
  const whole = head(s, 'R0');
  if (amnesic) s.crash(who);
  s.stepDown();
  if (amnesic) {
    s.newView(1);
    s.restart(who);
  }
  cut.end();
  const shown = s.record({ from: who, where: (m) => 'clusterId' in m && m.view > 0 });
  const { state } = s.actor(who).replica;
  const old = head(s, who);
  s.killAfter(who, effects);
  s.until(() => s.actors[id] === undefined, 100);
  const reached = state.log.entries.length;
  if (shown.hits > 0) expect(s.registers[id]?.view).toBe(1);
  s.converge();
  s.expect('n', 12);
  const log = reached === old ? 'old' : reached === whole ? 'new' : 'mixed';
  const fetched = (state.transfer?.staged.length ?? 0) > 0 ? ', more fetched' : '';
  return `view ${state.lastNormal.view}, ${log} log${fetched}`;
}

for (const [role, who, amnesic] of [
  ['a backup', 'R2', false],
  ['a replica that recovers', 'R2', true],
  ['the elect', 'R1', false],
] as const)
  test(`crash-during-install (Install, R0): ${role} dies with the old log or the new one, never between`, () => {
    const seen = new Set<string>();
    for (let effects = 0; effects < 30; effects++) seen.add(dieInstalling(who, amnesic, effects));
    expect([...seen].sort()).toEqual([
      'view 0, old log',
      'view 0, old log, more fetched',
      'view 1, new log',
    ]);
  });

test('recover-old-answer (R4, E49): a StartView that lay in the ring of the dead gives way to the answer to its successor', () => {
  const s = story({ clients: 2, limits: { batchMax: 1, tailEntries: 0 } });
  const old = s.hold({ from: 'R1', to: 'R0', kinds: 'startView' });
  s.crash('R0');
  s.newView(1);
  s.until(() => old.kept.length > 0, 20);
  const started = s.state('R1').log.entries.length;
  for (let turn = 0; turn < 20; turn++) s.incr('n', turn % 2);
  s.settle();
  const head = s.state('R1').log.entries.length;
  expect(head).toBeGreaterThanOrEqual(started + 20);
  const answers = s.drop({ to: 'R0', kinds: 'newState' });
  s.restart('R0');
  expect(s.release(old)).toBeGreaterThan(0);
  s.until(() => s.state('R0').transfer?.target?.op === started, 2);
  old.end();
  s.until(() => (s.state('R0').transfer?.target?.op ?? 0) >= head, 20);
  // And no further: that target is not moved.
  const target = s.state('R0').transfer?.target?.op;
  for (let turn = 0; turn < 4; turn++) s.incr('n', turn % 2);
  s.run(3);
  expect(s.state('R0').transfer?.target?.op).toBe(target);
  answers.end();
  s.converge();
  s.expect('n', 24);
});
