// Mistakes that an implementation of the protocol makes easily, each with a directed schedule that notices it: without the
// mistake the script passes, with it an invariant or the story's own expectation fails. Random runs find the coarse ones.

import { expect, test } from 'vitest';
import type { Mutations } from '../../src/protocol/mutations.js';
import { entries, prepare, Solo } from './solo.js';
import { type Story, story } from './story.js';
import type { StoryOptions } from './story-cast.js';
import { randomRun } from './story-random.js';

function load(s: Story, count: number, client = 0): void {
  for (let at = 0; at < count; at++) s.incr('n', client);
}

/** Everybody suspects whoever leads, until somebody leads `view`, executed or not. */
function depose(s: Story, view: number): void {
  s.tell('R_', { kind: 'suspect', id: s.primary });
  s.until(() => s.states.some((state) => state.status === 'normal' && state.view === view), 300);
  s.together();
}

/** N6, I8: an acknowledgement of an earlier leadership says nothing about entries of this one. */
function staleAcknowledgements(s: Story): void {
  s.drop({ from: 'R0', to: ['R2', 'R3', 'R4'], kinds: 'prepare' });
  load(s, 10);
  s.run(3);
  expect(s.state('R0').peers[0]?.matchOp).toBe(s.state('R0').log.entries.length);
  s.heal();
  const before = s.state('R0').commitMax;
  s.drop({
    kinds: 'prepareOk',
    where: ({ kind, ...m }) => kind === 'prepareOk' && 'view' in m && m.view < 5,
  });
  s.drop({ kinds: 'prepareOk', from: ['R1', 'R3', 'R4'] });
  for (let view = 1; view <= 5; view++) depose(s, view);
  s.run(5);
  expect([s.primary, s.state('R0').commitMax]).toEqual([0, before]);
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

function commitAlone(s: Story): void {
  s.drop({ kinds: 'prepareOk' });
  const call = s.put('a', 1);
  s.run(5);
  expect(call.code).toBe(null);
  s.converge();
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

/** HB5: it is heard, and hears nobody. */
function neverAbdicates(s: Story): void {
  s.drop({ from: ['R1', 'R2'], to: 'R0' });
  const call = s.put('a', 1);
  s.until(() => call.code === 'ok', 1000);
  s.converge();
}

/** RD2: the old primary is cut off and does not know it yet. */
function readsWithoutQuorum(s: Story): void {
  s.put('a', 1);
  s.settle();
  s.partition(['R0', 'C0'], ['R1', 'R2', 'C1']);
  s.tell(['R1', 'R2'], { kind: 'suspect', id: 0 });
  s.until(() => s.state('R1').serving);
  const call = s.put('a', 2, 1);
  s.until(() => call.code === 'ok', 30);
  const read = s.read('a', 0);
  s.run(3);
  s.converge();
  expect(read.value).toBe('2');
}

function witnessMayLead(s: Story): void {
  for (let view = 1; view <= 3; view++) {
    s.put('a', view);
    s.settle();
    s.stepDown();
    s.newView(view);
  }
  s.converge();
}

/** N1, E16: what the old primary acknowledged is inherited, but not executed yet. */
function gateOpen(s: Story): void {
  s.drop({ from: 'R0', kinds: 'commit' });
  s.put('a', 1, 1);
  s.until(() => s.calls.some((call) => call.code === 'ok'), 30);
  expect(s.state('R1').applied).toBeLessThan(s.state('R0').applied);
  s.crash('R0');
  s.slowApply('R1', 1);
  const read = s.read('a', 1);
  s.settle();
  expect(read.value).toBe('1');
  s.converge();
}

const MISTAKES: readonly [keyof Mutations, StoryOptions, (s: Story) => void, RegExp][] = [
  ['staleAcknowledgements', { replicas: 5, clients: 2 }, staleAcknowledgements, /I8/],
  ['smallViewChangeQuorum', {}, smallViewChangeQuorum, /I2/],
  ['commitAlone', {}, commitAlone, /I8/],
  ['longestLog', { clients: 2, limits: { batchMax: 1 } }, longestLog, /I1|I2|differs/],
  ['neverAbdicates', {}, neverAbdicates, /did not come true/],
  ['readsWithoutQuorum', { clients: 2 }, readsWithoutQuorum, /I19/],
  ['witnessMayLead', { witnesses: 1 }, witnessMayLead, /I17|did not come true/],
  ['gateOpen', { clients: 2 }, gateOpen, /I19|I13|expected/],
];

for (const [mistake, options, script, noticed] of MISTAKES) {
  test(`mistake ${mistake} (N1, N6, VC6, VC7, HB5, RD2, W3): the rule holds`, () => {
    script(story(options));
  });
  test(`mistake ${mistake} (N1, N6, VC6, VC7, HB5, RD2, W3): it is noticed when it is made`, () => {
    expect(() => script(story({ ...options, mutations: { [mistake]: true } }))).toThrow(noticed);
  });
}

test('mistake duplicatesExecuted (N7, D15): the check at execution alone keeps a duplicate out', () => {
  const log = entries(3);
  const twice = entries(4, 0, log).map((entry) => entry.op);
  expect(twice).toEqual([1, 2, 3, 4]);
  for (const duplicatesExecuted of [false, true]) {
    const solo = new Solo({ mutations: { duplicatesExecuted } });
    const copy = entries(4, 0, log, () => 1);
    solo.receive(prepare(copy, { commitMax: 4 }));
    solo.execute();
    const tags = solo.machine?.history.map(({ tag }) => tag);
    expect(tags).toEqual(['solo.1', 'solo.2', ...(duplicatesExecuted ? ['solo.1'] : [])]);
  }
});

test('mistakes that random runs notice within a few seeds (R0, G6, VC6, N6, RD0, CS6)', {
  timeout: 120_000,
}, () => {
  const coarse: readonly (keyof Mutations)[] = [
    ...(['registerIgnored', 'registerAfterSend', 'registerOnlyOnDoViewChange'] as const),
    ...(['recoveringPromises', 'smallViewChangeQuorum', 'commitAlone', 'fewReplies'] as const),
    ...(['rejoinStartedView', 'gapsAdmitted', 'heartbeatsKept', 'readsIgnoreOwnWrites'] as const),
  ];
  const missed = coarse.filter((mistake) => {
    for (let seed = 1; seed <= 60; seed++)
      try {
        randomRun(seed, { mutations: { [mistake]: true } });
      } catch {
        return false;
      }
    return true;
  });
  expect(missed).toEqual([]);
});
