// Mistakes about memory: the promise register, who may answer a replica that lost its log, and what the dead left under way.

import { expect } from 'vitest';
import type { Rule } from '../../../src/simulation/network.js';
import { promiseAndForget, staleLife } from '../../../src/simulation/paper-scripts.js';
import type { Story } from '../../../src/simulation/story.js';
import { head, statusOf } from '../../../src/simulation/words.js';
import { startViewChange } from '../solo.js';
import type { Directed } from './directed.js';

/** E8: R1 hears nothing of `a`; R2 forgot that it promised to. */
export function ghostDvc(s: Story, forced = false): void {
  const ghosts = promiseAndForget(s, forced ? startViewChange(1, 1, 'joined') : null);
  s.drop({ from: 'R0', to: 'R1' });
  s.drop({ from: 'R2', kinds: 'requestStartView' });
  s.restart('R2');
  const call = s.put('a', 1);
  s.run(20);
  expect([statusOf(s, 2), s.registers[2]?.view, call.code]).toEqual(['recovering', 1, null]);
  s.release(ghosts);
  s.until(() => s.state('R1').status === 'normal' && s.state('R1').view === 1, 20);
  expect(statusOf(s, 2)).toBe('recovering');
  s.converge();
  s.expect('a', 1);
}

/** E8b: the elect never hears of R2's restart, so only R2's own register can know better. */
export function ghostDvc5(s: Story): void {
  const ghosts = promiseAndForget(s, startViewChange(1, 1, 'joined'));
  s.drop({ from: 'R2', to: 'R1', kinds: 'requestStartView' });
  const questions = s.hold({ from: 'R2', kinds: 'requestStartView' });
  s.drop({ from: 'R0', to: ['R1', 'R3'] });
  s.restart('R2');
  const call = s.put('a', 1);
  s.run(20);
  expect([statusOf(s, 2), head(s, 'R4'), call.code]).toEqual(['recovering', head(s, 'R0'), null]);
  s.network.release(ghosts, ({ to }) => to === 1 || to === 3);
  s.until(() => s.state('R1').status === 'normal' && s.state('R1').view === 1, 20);
  expect(head(s, 'R1')).toBe(head(s, 'R0') - 1);
  s.release(questions);
  s.until(() => call.code === 'ok');
  // It heard the StartView of its own view, without its nonce.
  expect([statusOf(s, 2), s.view]).toEqual(['recovering', 1]);
  s.converge();
  s.expect('a', 1);
}

/** D20, E29: R0 dies while it leads view 0, and is back before anybody has noticed. */
function restartedPrimary(s: Story): void {
  s.put('a', 1);
  s.settle();
  s.crash('R0', { hint: false });
  s.restart('R0');
  expect([statusOf(s, 0), s.view]).toEqual(['recovering', 0]);
  s.newView(1);
  s.together();
  expect([s.view, s.primary]).toEqual([1, 1]);
  s.converge();
  s.expect('a', 1);
}

/** E45: R2 acknowledged `a` in view 1; an older StartView of view 1 arrives after its crash, while R1 is cut off. */
export function ghostStartView(s: Story): void {
  const old = s.record({ from: 'R1', to: 'R2', kinds: 'startView' });
  s.stepDown();
  s.newView(1);
  s.together();
  old.end();
  s.drop({ from: 'R1', to: 'R0', kinds: ['prepare', 'commit'] });
  const call = s.put('a', 1);
  s.until(() => call.code === 'ok', 20);
  s.crash('R2');
  s.isolate('R1');
  s.restart('R2');
  expect(old.kept.length).toBeGreaterThan(0);
  s.release(old);
  s.run(300);
  expect([statusOf(s, 2), s.view, head(s, 'R0')]).toEqual(['recovering', 1, head(s, 'R1') - 1]);
  s.converge();
  s.expect('a', 1);
}

/** R2 was acknowledged in view 0 only, and recovers into view 1, where it acknowledges. */
function recoverHigher(s: Story): void {
  s.crash('R2');
  s.stepDown();
  s.newView(1);
  s.restart('R2');
  s.until(() => statusOf(s, 2) === 'normal');
  s.put('a', 1);
  s.settle();
  expect(s.registers[2]).toEqual({ epoch: 0, view: 1 });
  s.converge();
  s.expect('a', 1);
}

function plainViewChange(s: Story): void {
  s.put('a', 1);
  s.settle();
  s.crash('R0');
  s.newView(1);
  s.converge();
  s.expect('a', 1);
}

/** E9: R0 and R2 hold `a`; R2 forgot it, R0 is cut off, and R1 never heard of it. */
function amnesicVoter(s: Story): void {
  s.drop({ from: 'R0', to: 'R1' });
  const call = s.put('a', 1);
  s.until(() => call.code === 'ok');
  s.crash('R2');
  s.isolate('R0');
  s.restart('R2');
  s.tell('R1', { kind: 'suspect', id: 0 });
  s.run(300);
  expect([statusOf(s, 2), s.state('R1').view]).toEqual(['recovering', 0]);
  s.converge();
  s.expect('a', 1);
}

/** View 1 runs without R0, which thinks that it still leads view 0, and whose answers to R2's last recovery are under way. */
export function stalePrimary(s: Story): Rule {
  s.crash('R2');
  s.partition('R0', ['R1', 'R3', 'R4']);
  const answers = s.hold({ from: 'R0', to: 'R2', kinds: 'startView' });
  s.partition('R2', ['R1', 'R3', 'R4']);
  s.tell(['R1', 'R3', 'R4'], { kind: 'suspect', id: 0 });
  s.newView(1);
  s.put('a', 1);
  s.settle();
  s.restart('R2');
  s.until(() => answers.hits > 0, 20);
  return answers;
}

/** E10: R2 took part in view 1 meanwhile, and R0 still thinks that it leads view 0. */
export function belowRegister(s: Story): void {
  const answers = stalePrimary(s);
  answers.end();
  s.heal();
  s.until(() => s.registers[2]?.view === 1 && statusOf(s, 2) === 'normal');
  s.crash('R2');
  s.partition('R2', ['R1', 'R3', 'R4']);
  s.drop({ from: 'R2', to: 'R0' });
  s.restart('R2');
  s.release(answers);
  s.run(100);
  expect([statusOf(s, 2), s.state('R2').view, head(s, 'R2')]).toEqual(['recovering', 1, 0]);
  s.converge();
  expect(s.view).toBe(1);
  s.expect('a', 1);
}

/** R3, R4: R1 lags, R2 lost its memory, and the primary's answers are slow. */
function laggardAnswers(s: Story): void {
  s.drop({ to: 'R1', kinds: ['prepare', 'newState'] });
  s.put('a', 1);
  s.settle();
  s.crash('R2');
  const answers = s.hold({ from: 'R0', to: 'R2', kinds: 'startView' });
  s.restart('R2');
  s.until(() => answers.hits > 0, 20);
  s.run(5);
  expect([statusOf(s, 2), head(s, 'R1')]).toEqual(['recovering', head(s, 'R0') - 1]);
  s.release(answers);
  s.until(() => statusOf(s, 2) === 'normal', 60);
  s.crash('R0', { mute: true });
  s.heal();
  s.newView(1);
  s.converge();
  s.expect('a', 1);
}

export const RECOVERY: readonly Directed[] = [
  { mistake: 'registerIgnored', rules: 'R0, E8', options: {}, script: ghostDvc, noticed: /I9/ },
  {
    mistake: 'registerIgnored',
    rules: 'R0, E8b',
    options: { replicas: 5 },
    script: ghostDvc5,
    noticed: /I9/,
  },
  {
    mistake: 'registerIgnored',
    rules: 'R1, D20, E29',
    options: {},
    script: restartedPrimary,
    noticed: /I4 view 0: led by 0/,
  },
  {
    mistake: 'registerForgotten',
    rules: 'R0, R1, R4, E8',
    options: {},
    script: staleLife,
    noticed: /I9 replica 2: acknowledges in view 0 after promising view 1/,
  },
  {
    mistake: 'registerAfterSend',
    rules: 'R0, VC4, E28',
    options: {},
    script: plainViewChange,
    noticed: /I23a/,
  },
  {
    mistake: 'registerOnlyOnDoViewChange',
    rules: 'R0, R5',
    options: {},
    script: recoverHigher,
    noticed: /I23/,
  },
  {
    mistake: 'nonceIgnored',
    rules: 'R4, E45',
    options: {},
    script: ghostStartView,
    noticed: /I2 |I15 /,
  },
  {
    mistake: 'recoverBelowRegister',
    rules: 'R4, E10',
    options: { replicas: 5 },
    script: belowRegister,
    noticed: /I5 replica 2: the view went back/,
  },
  {
    mistake: 'backupsAnswerRecovery',
    rules: 'R3, R4',
    options: {},
    script: laggardAnswers,
    noticed: /I4 view 0: another StartView by 1/,
  },
  {
    mistake: 'recoveringPromises',
    rules: 'G6, VC13, E9',
    options: {},
    script: amnesicVoter,
    noticed: /I2 |I15 /,
  },
];
