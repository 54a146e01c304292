// Mistakes about entries that have to be fetched: by an elect, by whoever enters a view late, and inside a view.

import { expect } from 'vitest';
import type { Message } from '../../../src/protocol/message.js';
import type { Rule } from '../../../src/simulation/network.js';
import type { Story } from '../../../src/simulation/story.js';
import { head, load } from '../../../src/simulation/words.js';
import { requestStartView } from '../solo.js';
import type { Directed } from './directed.js';

/** One entry in each message, and nothing of the log in those that name a view. */
export const SLOW_TRANSFER = { batchMax: 1, tailEntries: 0, messageBytes: 1 };

/** The same with room in the messages. */
export const NO_TAIL = { batchMax: 1, tailEntries: 0 };

export function staged(s: Story, who: string): number {
  return s.state(who).transfer?.staged.length ?? 0;
}

/** E44: R2's promise is counted, but only R0 can still deliver what it promised. @returns R0's promises, held back. */
export function ghostDvcBodies(s: Story): Rule {
  s.drop({ from: 'R0', to: 'R1' });
  load(s, 12);
  s.settle();
  const ghost = s.hold({ from: 'R2', to: 'R1', kinds: 'doViewChange' });
  const late = s.hold({ from: 'R0', to: 'R1', kinds: 'doViewChange' });
  s.tell(['R1', 'R2'], { kind: 'suspect', id: 0 });
  s.until(() => ghost.hits > 0, 20);
  s.crash('R2', { hint: false });
  s.release(ghost);
  s.run(2);
  expect(s.state('R1').transfer).toMatchObject({ purpose: 'vc', target: { op: head(s, 'R0') } });
  s.heal();
  return late;
}

/** R2 is back and says that it remembers nothing, before R0 has been heard. */
function lostLog(s: Story): void {
  ghostDvcBodies(s);
  const late = s.hold({ from: 'R0', to: 'R1', kinds: 'doViewChange' });
  s.restart('R2');
  s.run(5);
  expect(s.state('R1').status).toBe('view-change');
  s.release(late);
  s.newView(1, 60);
  s.together();
  s.expect('n', 12);
  s.converge();
}

/** W5: one active and the witnesses commit; the next one has to fetch it from a witness. */
export function witnessCommit(s: Story): void {
  const [cut, lagging] = [s.isolate('R1'), head(s, 'R1')];
  if (s.actives > 2) s.isolate('R2');
  load(s, 20);
  s.settle();
  expect([head(s, 'W'), head(s, 'R1')]).toEqual([head(s, 'R0'), lagging]);
  const fetched = s.record({ from: 'W', to: 'R1', kinds: 'newState' });
  s.crash('R0');
  for (const rule of cut) rule.end();
  s.newView(1, 1000);
  s.until(() => s.primary === 1 && s.state('R1').serving);
  expect(fetched.hits).toBeGreaterThan(0);
  expect([s.actor('W').machine, s.state('W').applied]).toEqual([null, 0]);
  s.expect('n', 20);
  s.converge();
}

/** R2 was last normal in view 0 and holds entries that nobody kept; elect of view 2, it has staged a part of view 1's log. */
export function interrupted(s: Story): void {
  s.drop({ from: 'R0', to: ['R1', 'R3', 'R4'], kinds: 'prepare' });
  s.drop({ from: 'R2', to: 'R0', kinds: 'prepareOk' });
  load(s, 2, 'x');
  s.run(1);
  s.heal();
  s.drop({ to: 'R2', where: (message) => 'view' in message && message.view < 2 });
  s.crash('R0', { mute: true });
  s.newView(1);
  load(s, 10);
  s.settle();
  const { commit } = s.state('R2');
  s.hold({ to: 'R2', where: (m) => m.kind === 'newState' && m.fromOp > commit + 5 });
  s.stepDown();
  s.until(() => staged(s, 'R2') === 5, 300);
  expect([s.state('R2').view, s.state('R2').status]).toEqual([2, 'view-change']);
}

/** E35: it joins the next view before the switch. */
export function interruptedElect(s: Story): void {
  interrupted(s);
  const { log, commit } = s.state('R2');
  const chain = log.entries.chainAt(log.entries.length - 1);
  expect(log.entries.length).toBe(commit + 4);
  const promises = s.record({ from: 'R2', to: 'R3', kinds: 'doViewChange' });
  s.tell(['R1', 'R3', 'R4'], { kind: 'suspect', id: 2 });
  s.newView(3);
  expect(promises.kept[0]?.message).toMatchObject({
    ...{ view: 3, lastNormal: { epoch: 0, view: 0 }, op: commit + 4, chain },
  });
  expect(s.view).toBe(3);
  s.converge();
  s.expect('n', 20);
  s.expect('x', 4);
}

/** E49: R2 lost everything; while it fetches, a StartView with a newer head comes in every tick. */
function movingTarget(s: Story): void {
  s.crash('R2');
  load(s, 10);
  s.settle();
  s.restart('R2');
  s.delay(2, { to: 'R2', kinds: 'newState' });
  for (let turn = 0; turn < 60 && s.state('R2').status !== 'normal'; turn++) {
    s.incr('n');
    s.inject('R2', 'R0', requestStartView(2, 0, 2));
    s.run(1);
  }
  expect(s.state('R2').status).toBe('normal');
  s.settle();
  s.converge();
}

function holdsEntries(message: Message): boolean {
  return message.kind === 'newState' && message.entries.length > 0;
}

/** E40: what R4 asked for in view 0, and only R0 held, comes while it repairs a gap in view 1. */
export function staleNewState(s: Story): void {
  const before = head(s, 'R4');
  s.drop({ from: 'R0', to: 'R_', kinds: 'prepare' });
  s.drop({ from: ['R1', 'R2', 'R3'], kinds: 'getState' });
  const answers = s.hold({ to: 'R4', kinds: 'newState' });
  load(s, 3, 'x');
  s.until(() => answers.kept.some(({ message }) => holdsEntries(message)), 200);
  s.crash('R0');
  s.newView(1);
  s.until(() => s.state('R4').status === 'normal' && s.state('R4').view === 1);
  s.drop({ from: 'R1', to: 'R4', kinds: 'prepare' });
  load(s, 3);
  s.until(() => s.state('R4').transfer?.purpose === 'gap', 60);
  const stale = answers.kept.find(({ message }) => holdsEntries(message))?.message;
  s.network.release(answers, ({ message }) => message === stale);
  s.run(1);
  expect([head(s, 'R4'), s.state('R4').view]).toEqual([before, 1]);
  s.converge();
  s.expect('n', 3);
  s.expect('x', 3);
}

/** T3: R0 is alone in view 0 with entries that nobody else holds; R4 repairs a gap of view 1 and can ask only R0. */
export function foreignDonor(s: Story): void {
  const before = head(s, 'R4');
  s.drop({ from: 'R0', to: 'R_', where: ({ kind }) => kind !== 'newState' });
  s.drop({ from: 'R_', to: 'R0', where: ({ kind }) => kind !== 'getState' });
  for (let turn = 0; turn < 3; turn++) s.incr('x', 0);
  s.run(2);
  expect(head(s, 'R0')).toBe(before + 3);
  s.tell('R_', { kind: 'suspect', id: 0 });
  s.newView(1);
  s.until(() => s.state('R4').status === 'normal' && s.state('R4').view === 1);
  const started = head(s, 'R4');
  s.drop({ from: 'R1', to: 'R4', kinds: 'prepare' });
  s.drop({ from: ['R1', 'R2', 'R3'], to: 'R4', kinds: 'newState' });
  const answers = s.record({ from: 'R0', to: 'R4', kinds: 'newState' });
  s.incr('n', 1);
  s.until(() => answers.hits > 0, 200);
  s.run(1);
  expect([started, head(s, 'R4')]).toEqual([before, before]);
  expect(answers.kept[0]?.message).toMatchObject({ status: 'refuse', entries: [] });
  s.converge();
  s.expect('n', 1);
  s.expect('x', 3);
}

export const REPAIR: readonly Directed[] = [
  {
    mistake: 'lostLogCounts',
    rules: 'VC6, VC8, E44',
    options: { limits: NO_TAIL },
    script: lostLog,
    noticed: /I2 view 1/,
  },
  {
    mistake: 'frozenLogRefused',
    rules: 'T3, T4, W5, E21',
    options: { witnesses: 1, limits: { tailEntries: 0 } },
    script: witnessCommit,
    noticed: /view 1 did not come true/,
  },
  {
    mistake: 'stagedKept',
    rules: 'VC7, T4, E35',
    options: { replicas: 5, clients: 2, limits: SLOW_TRANSFER },
    script: interruptedElect,
    noticed: /to match object/,
  },
  {
    mistake: 'chasesTarget',
    rules: 'R5, E49',
    options: { limits: SLOW_TRANSFER },
    script: movingTarget,
    noticed: /expected 'recovering' to be 'normal'/,
  },
  {
    mistake: 'staleNewState',
    rules: 'T1, BP4, E40',
    options: { replicas: 5, limits: NO_TAIL },
    script: staleNewState,
    noticed: /I7 replica 4/,
  },
  {
    mistake: 'anyViewDonates',
    rules: 'T3',
    options: { replicas: 5, clients: 2, limits: NO_TAIL },
    script: foreignDonor,
    noticed: /I7 replica 4/,
  },
];
