// Mistakes that an implementation of the protocol makes easily, each with a directed schedule that notices it: without the
// mistake the script passes, with it an invariant or the story's own expectation fails. Random runs find the coarse ones.

import { expect, test } from 'vitest';
import type { Mutations } from '../../src/protocol/mutations.js';
import type { StoryOptions } from '../../src/simulation/cast.js';
import { type Story, story } from '../../src/simulation/story.js';
import { entries, prepare, Solo } from './solo.js';
import { randomRun } from './story-random.js';

function load(s: Story, count: number, client = 0): void {
  for (let at = 0; at < count; at++) s.incr('n', client);
}

/** Everybody suspects whoever leads, until all are in `view`, served or not. */
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
  s.drop({ kinds: 'prepareOk', where: (m) => m.kind === 'prepareOk' && m.view < 5 });
  for (let view = 1; view <= 4; view++) depose(s, view);
  // Of view 5 only R2 hears, so its first primary and R2 hold what it began with, and nobody else says so.
  s.drop({ from: 'R0', to: ['R1', 'R3', 'R4'], kinds: ['startView', 'prepare', 'commit'] });
  s.tell('R_', { kind: 'suspect', id: 4 });
  s.until(
    () => s.state('R0').status === 'normal' && s.state('R2').status === 'normal' && s.view === 5,
  );
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

/** N1, E16: what registered the client was acknowledged by the old primary, and is inherited but not executed. */
function gateOpen(s: Story): void {
  s.drop({ from: 'R0', kinds: 'commit' });
  s.attachClient(1);
  s.until(() => s.client(1).session.canSubmit(0), 30);
  expect([s.state('R0').table.rows.size, s.state('R1').table.rows.size]).toEqual([2, 1]);
  const acks = s.hold({ to: 'R1', kinds: 'prepareOk' });
  s.crash('R0', { hint: true });
  s.until(() => s.state('R1').status === 'normal' && s.state('R1').view === 1, 300);
  const call = s.put('a', 1, 1);
  s.run(40);
  s.release(acks);
  s.settle();
  expect([call.code, s.client(1).evictions]).toEqual(['ok', 0]);
  s.converge();
}

const MISTAKES: readonly [keyof Mutations, string, StoryOptions, (s: Story) => void, RegExp][] = [
  ['staleAcknowledgements', 'N6, VC9', { replicas: 5, clients: 2 }, staleAcknowledgements, /I8/],
  ['smallViewChangeQuorum', 'VC6', {}, smallViewChangeQuorum, /I2/],
  ['commitAlone', 'N6', {}, commitAlone, /I8/],
  ['longestLog', 'VC7', { clients: 2, limits: { batchMax: 1 } }, longestLog, /I1|I2|differs/],
  ['neverAbdicates', 'HB5', {}, neverAbdicates, /did not come true/],
  ['readsWithoutQuorum', 'RD2', { clients: 2 }, readsWithoutQuorum, /I19/],
  ['witnessMayLead', 'W3', { witnesses: 1 }, witnessMayLead, /I17|did not come true/],
  ['gateOpen', 'N1, CS4', { clientTiming: { retry: 8, retryMax: 8 } }, gateOpen, /evicted/],
];

for (const [mistake, rules, options, script, noticed] of MISTAKES) {
  test(`mistake ${mistake} (${rules}): the rule holds`, () => {
    script(story(options));
  });
  test(`mistake ${mistake} (${rules}): it is noticed when it is made`, () => {
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
