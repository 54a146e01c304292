// Scenarios of protocol.md 6.1: the fault stories of the lecture, of Go-VR's appendix and of Lili's report, over the pure
// core. Names are those of the table; each is told with hints of the host and without.

import { expect } from 'vitest';
import type { Rule } from '../../src/simulation/network.js';
import { load } from '../../src/simulation/words.js';
import { burst, TINY_WINDOW } from './mistakes/normal.js';
import { TINY_QUEUE, tinyQueue } from './mistakes/sessions.js';
import { scenario } from './scenario.js';

function end(rules: readonly Rule[]): void {
  for (const rule of rules) rule.end();
}

scenario(
  'lecture-abc (R2, R4, VC2, VC13): one that lost its memory and one that lags form no view',
  { clients: 1 },
  (s) => {
    const cutC = s.isolate('R2');
    s.put('a', 1);
    s.settle();
    s.crash('R0');
    s.isolate('R1');
    end(cutC);
    s.restart('R0');
    const late = s.put('b', 2);
    s.run(600);
    expect(s.state('R0').status).toBe('recovering');
    expect(s.state('R2').status).toBe('normal');
    expect([s.view, late.code]).toEqual([0, null]);
    s.converge();
    s.expect('a', 1);
    s.expect('b', 2);
  },
);

scenario(
  'lecture-minority (N6, HB5, RD2): the small side of a partition answers nothing',
  { replicas: 5, clients: 2 },
  (s) => {
    s.put('a', 1);
    s.settle();
    s.partition(['R0', 'R1', 'C0'], ['R2', 'R3', 'R4', 'C1']);
    const commit = s.state('R0').commit;
    const [lost, read, done] = [s.put('small', 1, 0), s.read('a', 0), s.put('big', 2, 1)];
    s.until(() => done.code === 'ok');
    s.run(300);
    expect([lost.code, read.code, s.state('R0').commit]).toEqual([null, null, commit]);
    expect(s.state('R0').abdicating).toBe(true);
    s.converge();
    expect([lost.code, read.code]).toEqual(['ok', 'ok']);
    s.expect('big', 2);
  },
);

scenario(
  'lecture-two-invites (VC1, VC2, VC9): two backups suspect at once and one view results',
  { clients: 2 },
  (s) => {
    load(s, 3);
    s.tell(['R1', 'R2'], { kind: 'suspect', id: 0 });
    s.run(20);
    s.together();
    expect([s.view, s.primary]).toEqual([1, 1]);
    s.converge();
    s.expect('n', 6);
    expect(s.view).toBe(1);
  },
);

scenario(
  'lecture-uncommitted (VC7, N2, N7): an op at one backup survives when that backup is heard',
  {},
  (s) => {
    const inherited = s.state('R1').log.entries.length + 1;
    s.drop({ from: 'R0', to: 'R2' });
    s.drop({ from: 'R1', to: 'R0', kinds: 'prepareOk' });
    const call = s.incr('x');
    s.run(2);
    s.crash('R0');
    s.heal();
    s.newView();
    expect(call.code).toBe(null);
    expect(s.state('A0').viewStartOp).toBe(inherited);
    s.converge();
    s.expect('x', 1);
  },
);

scenario(
  'lecture-uncommitted (VC7, N2, N7): it vanishes when it is not heard, and the retry executes once',
  { replicas: 5 },
  (s) => {
    const before = s.state('R4').log.entries.length;
    s.drop({ from: 'R0', to: ['R1', 'R2', 'R3'] });
    s.drop({ from: 'R4', to: 'R0', kinds: 'prepareOk' });
    const call = s.incr('x');
    s.run(2);
    expect(s.state('R4').log.entries.length).toBe(before + 1);
    s.heal();
    s.isolate('R4');
    s.crash('R0');
    s.newView();
    expect([call.code, s.state('A0').viewStartOp]).toEqual([null, before]);
    s.converge();
    s.expect('x', 1);
  },
);

for (const replicas of [1, 2, 3, 4, 5])
  scenario(
    `govr-01-commit-quorum (N3, N4, N5, N6): n=${replicas} commits and executes everywhere`,
    { replicas, clients: 2 },
    (s) => {
      load(s, 10);
      s.settle();
      const last = s.calls.length;
      s.run(20);
      for (const state of s.states) expect(state.commit).toBe(state.log.entries.length);
      for (let id = 0; id < replicas; id++) expect(s.actor(id).machine?.history.length).toBe(last);
      s.converge();
      expect(s.view).toBe(0);
    },
  );

scenario(
  'govr-01-commit-quorum (N6): f backups less are no hindrance, one more is',
  { replicas: 5 },
  (s) => {
    s.isolate(['R3', 'R4']);
    s.put('a', 1);
    s.settle();
    s.isolate('R2');
    const stuck = s.put('b', 1);
    s.run(40);
    expect([stuck.code, s.actor('R0').machine?.values.get('b')]).toEqual([null, undefined]);
    s.converge();
    s.expect('b', 1);
  },
);

scenario(
  'govr-02-no-quorum (N6, HB5): without a quorum nothing is answered and the primary abdicates',
  { clients: 2 },
  (s) => {
    s.put('a', 1);
    s.settle();
    for (const id of ['R0', 'R1', 'R2']) s.isolate(id);
    const calls = [s.incr('n', 0), s.incr('n', 1), s.read('a', 1)];
    s.run(400);
    expect(calls.map((call) => call.code)).toEqual([null, null, null]);
    expect([s.state('R0').abdicating, s.view]).toEqual([true, 0]);
    s.converge();
    s.expect('n', 2);
  },
);

scenario(
  'govr-03-backup-request (N1, W1, G6): a backup, a witness or a recovering replica only points at the primary',
  { replicas: 5, witnesses: 2, clients: 2 },
  (s) => {
    s.crash('R2');
    s.drop({ to: 'R2', kinds: 'startView' });
    s.restart('R2');
    s.run(2);
    expect(s.state('R2').status).toBe('recovering');
    const { clientId, session } = s.client(0).session;
    const answers = s.record({ to: 'C0' });
    const body = new Uint8Array(8);
    for (const id of [1, 2, 3])
      s.inject('C0', id, {
        kind: 'request',
        ...{ clientId, session, requestNumber: 1, acked: 0, epoch: 0, seenView: 0, body },
      });
    s.run(5);
    expect(answers.kept.map(({ from, message }) => [from, message.kind])).toEqual([
      [1, 'notPrimary'],
      [2, 'notPrimary'],
      [3, 'notPrimary'],
    ]);
    for (const { from, message } of answers.kept)
      if (message.kind === 'notPrimary') expect(message.primaryId).toBe(from === 2 ? null : 0);
    expect(s.state('R0').log.entries.length).toBe(2);
    s.converge();
  },
);

scenario(
  'govr-04-view-change (N6, VC1, VC9): a killed primary loses nothing',
  { clients: 3 },
  (s) => {
    s.put('a', 1);
    s.settle();
    load(s, 20);
    s.run(1);
    const acknowledged = s.calls.filter((call) => call.code === 'ok').length;
    s.crash('A0');
    s.put('b', 2);
    s.settle();
    expect(acknowledged).toBeLessThan(62);
    expect([s.view, s.states.length]).toEqual([1, 2]);
    s.expect('n', 60);
    s.converge();
    s.expect('a', 1);
    s.expect('b', 2);
  },
);

scenario(
  'govr-05-view-change-recovery (R2, R4, R6): the killed primary joins a later view as a backup with everything',
  { clients: 2 },
  (s) => {
    load(s, 5);
    const dead = s.crash('A0');
    s.newView();
    load(s, 5);
    s.settle();
    s.restart(dead);
    s.together();
    s.run(20);
    expect([s.state(dead).view, s.primary, s.state(dead).status]).toEqual([1, 1, 'normal']);
    expect(s.actor(dead).machine?.values.get('n')).toBe('20');
    s.converge();
  },
);

for (const { replicas, witnesses } of [
  { replicas: 3, witnesses: 0 },
  { replicas: 5, witnesses: 0 },
  { replicas: 5, witnesses: 2 },
])
  scenario(
    `govr-06-consecutive (VC9, R6, W3): each of n=${replicas} with ${witnesses} witnesses leads twice`,
    { replicas, witnesses, clients: 2 },
    (s) => {
      const led: number[] = [];
      for (let round = 0; round < 2 * s.actives; round++) {
        load(s, 3);
        const dead = s.crash('A0');
        s.newView();
        led.push(s.primary);
        load(s, 3);
        s.restart(dead);
        s.together();
      }
      const counts = Array.from({ length: s.actives }, (_, id) => led.filter((x) => x === id));
      expect(counts.map((times) => times.length)).toEqual(counts.map(() => 2));
      s.converge();
      s.expect('n', 2 * s.actives * 12);
    },
  );

/** Failure timer, two votes' pauses, and the first view-change timer, all at their longest. */
const PASSED_OVER = 80 + 2 * 10 + 96 + 20;

scenario(
  'govr-07-abort-view-change (VC10, HH3): a dead next primary is passed over',
  { replicas: 5, clients: 2 },
  (s) => {
    load(s, 5);
    s.run(1);
    const [first, second] = [s.one('A0'), s.one('B1')];
    s.crash(first);
    s.crash(second);
    s.newView(2, PASSED_OVER);
    s.settle();
    expect([s.view, s.primary]).toEqual([2, 2]);
    s.converge();
    s.expect('n', 10);
  },
);

scenario(
  'govr-07-abort-view-change (VC6, VC10): a next primary that collects and is never heard is passed over',
  { replicas: 5, clients: 2 },
  (s) => {
    load(s, 5);
    s.run(1);
    s.drop({ from: 'R1' });
    s.crash('R0');
    s.newView(2, PASSED_OVER);
    expect([s.primary, s.view]).toEqual([2, 2]);
    s.settle();
    s.converge();
    s.expect('n', 10);
  },
);

scenario(
  'govr-07-abort-view-change (VC9, VC7): a next primary that reached one backup only is passed over',
  { replicas: 5, clients: 2 },
  (s) => {
    load(s, 5);
    s.run(1);
    s.drop({
      from: 'R1',
      to: ['R3', 'R4', 'clients'],
      kinds: ['startView', 'prepare', 'commit', 'viewStarted', 'reply'],
    });
    s.drop({ from: 'R1', to: 'R2', kinds: ['prepare', 'commit'] });
    s.crash('R0');
    s.until(() => s.state('R2').status === 'normal' && s.state('R2').view === 1, 200);
    s.crash('R1');
    s.newView(2, PASSED_OVER);
    s.settle();
    s.converge();
    s.expect('n', 10);
  },
);

scenario(
  'govr-08-recovery (R2, R5, R6): a backup that restarts under load has the whole log again',
  { replicas: 5, clients: 2 },
  (s) => {
    load(s, 30);
    s.run(1);
    s.crash('R3');
    s.run(5);
    load(s, 30);
    s.restart('R3');
    s.together();
    s.settle();
    s.converge();
    expect(s.view).toBe(0);
    s.expect('n', 120);
  },
);

scenario(
  'govr-08-recovery (R3, R4, R6): during a view change, and during another recovery',
  { replicas: 5, clients: 2 },
  (s) => {
    load(s, 10);
    s.run(1);
    s.crash('R3');
    s.crash('R0');
    s.run(1);
    s.restart('R3');
    s.newView(1);
    s.together();
    s.restart('R0');
    s.crash('R4');
    s.restart('R4');
    load(s, 10);
    s.together();
    expect(s.states.length).toBe(5);
    s.converge();
    s.expect('n', 40);
  },
);

scenario(
  'govr-10-recovery-retry (R2, R4, G6): answers are lost, the primary changes, answers to an earlier start are refused',
  { replicas: 5, clients: 1 },
  (s) => {
    s.put('a', 1);
    s.settle();
    s.crash('R4');
    const old = s.hold({ to: 'R4', kinds: 'startView' });
    s.restart('R4');
    s.run(30);
    s.crash('R4');
    old.end();
    const lost = s.drop({ to: 'R4', kinds: 'startView' });
    s.restart('R4');
    s.put('b', 2);
    s.settle();
    expect(old.kept.length).toBeGreaterThan(0);
    for (const { message } of old.kept)
      expect(message.kind === 'startView' && message.view).toBe(s.registers[4]?.view);
    // Released past the rule that still drops fresh answers.
    s.network.release(old);
    s.run(30);
    expect([s.state('R4').status, s.state('R4').log.entries.length]).toEqual(['recovering', 0]);
    s.crash('A0');
    s.newView();
    lost.end();
    s.together();
    expect(s.state('R4').view).toBe(1);
    s.converge();
    s.expect('a', 1);
    s.expect('b', 2);
  },
);

scenario(
  'govr-11-churn (N7, VC9, R6): one key put and deleted 500 times over crashes leaves equal states',
  { clients: 2 },
  (s) => {
    for (let round = 0; round < 10; round++) {
      for (let turn = 0; turn < 25; turn++) {
        s.put('churn', round * 100 + turn, 0);
        s.del('churn', 1);
      }
      s.run(2);
      const dead = s.crash(round % 2 === 0 ? 'A0' : 'B1');
      s.run(40);
      s.restart(dead);
      s.together();
      s.settle();
    }
    s.converge();
    for (const actor of s.actors) expect(actor?.machine?.history.length).toBe(500);
  },
);

scenario(
  'lili-irq-overflow (BP2, CL3, CS7): a tiny queue answers Busy, and nothing is lost or reordered',
  TINY_QUEUE,
  tinyQueue,
);

scenario(
  'lili-irq-overflow (BP2, N3): by default the burst waits unread in its rings',
  TINY_WINDOW,
  burst,
);
