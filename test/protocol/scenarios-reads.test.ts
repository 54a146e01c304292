// Scenarios of protocol.md 6.5 and 6.6, witnesses and reads, and those of 6.4 that go to the limit of what memory can survive:
// what the supervisor calls a loss (H8), and what the replicas that are left do about it.

import { expect, test } from 'vitest';
import {
  assessLoss,
  CRASHES_MAX,
  CrashCounter,
  type Loss,
} from '../../src/actors/supervisor/loss.js';
import { quorumSize } from '../../src/protocol/configuration.js';
import { TICK_MS } from '../../src/protocol/limits.js';
import { CLIENT_BASE } from '../../src/simulation/network.js';
import type { Call } from '../../src/simulation/story.js';
import { type Story, story } from '../../src/simulation/story.js';
import { head, load, statusOf } from '../../src/simulation/words.js';
import { readOvertakes, SLOW_HEIR, slowHeir } from './mistakes/reads.js';
import { witnessCommit } from './mistakes/repair.js';
import { scenario } from './scenario.js';

for (const { replicas, witnesses } of [
  { replicas: 3, witnesses: 1 },
  { replicas: 5, witnesses: 2 },
])
  scenario(
    `witness-commit (W1, W2, W5, VC8, E21): of n=${replicas} one active and ${witnesses} witnesses commit; the next one fetches it there`,
    { replicas, witnesses, limits: { tailEntries: 0 } },
    witnessCommit,
  );

scenario(
  'witness-commit (W2, R6, W3): the other active was down, is back, and leads when the first one dies',
  { replicas: 3, witnesses: 1 },
  (s) => {
    s.crash('R1');
    load(s, 20);
    s.settle();
    s.restart('R1');
    s.until(() => s.state('R1').status === 'normal');
    s.crash('R0');
    s.newView(1);
    expect([s.primary, s.states.length]).toEqual([1, 2]);
    s.expect('n', 20);
    s.converge();
  },
);

for (const { replicas, witnesses } of [
  { replicas: 3, witnesses: 1 },
  { replicas: 5, witnesses: 2 },
])
  scenario(
    `witness-never-primary (W1, W3, E23): 20 views of n=${replicas} are led by its actives in turn`,
    { replicas, witnesses },
    (s) => {
      const all = Array.from({ length: witnesses }, (_, at) => `W${at + 1}`);
      const answers = ['reply', 'readReply', 'viewStarted'] as const;
      const led = s.record({ from: all, kinds: ['startView', 'prepare', 'commit', ...answers] });
      const asked = s.record({ to: all, kinds: 'doViewChange' });
      const primaries: number[] = [];
      for (let view = 1; view <= 20; view++) {
        load(s, 2);
        if (view % 2 === 0) s.stepDown();
        else s.crash('A0');
        s.newView(view);
        primaries.push(s.primary);
        for (let id = 0; id < replicas; id++) s.restart(id);
        s.together();
      }
      expect(primaries).toEqual(primaries.map((_, at) => (at + 1) % s.actives));
      expect([led.hits, asked.hits, s.view]).toEqual([0, 0, 20]);
      s.converge();
      s.expect('n', 40);
    },
  );

scenario(
  'read-after-failover (N1, D18, RD2, E16): what the old primary acknowledged is read, or nothing is',
  { clients: 2, clientTiming: { retry: 8, retryMax: 8 } },
  (s) => {
    s.put('a', 1);
    s.settle();
    s.drop({ from: 'R0', kinds: 'commit' });
    const call = s.put('a', 2);
    s.until(() => call.code === 'ok', 20);
    const acks = s.hold({ to: 'R1', kinds: 'prepareOk' });
    s.crash('R0');
    s.until(() => s.state('R1').status === 'normal' && s.state('R1').view === 1, 200);
    const read = s.read('a', 1);
    s.run(40);
    const { applied, viewStartOp, reads } = s.state('R1');
    expect([applied < viewStartOp, reads.length, read.code]).toEqual([true, 0, null]);
    s.release(acks);
    s.until(() => read.code === 'ok', 60);
    expect(read.value).toBe('2');
    s.converge();
  },
);

scenario(
  'read-after-failover (N1, E16): the gate waits for execution, not only for the commit',
  SLOW_HEIR,
  slowHeir,
);

for (const seed of [1, 2, 3])
  scenario(
    `read-own-writes (RD0, CL2): each read sees the writes before it, over loss and two view changes, seed ${seed}`,
    { seed, clients: 2, limits: { batchMax: 2 }, clientTiming: { retry: 8, retryMax: 16 } },
    (s) => {
      const kinds = ['request', 'read', 'reply', 'readReply', 'prepare', 'prepareOk'] as const;
      const lost = s.drop({ kinds, share: 0.2 });
      const reads: Call[] = [];
      const write = (times: number): void => {
        for (let turn = 0; turn < times; turn++) {
          s.incr('own');
          reads.push(s.read('own'));
          s.incr('other', 1);
        }
        s.run(6);
      };
      write(15);
      s.stepDown();
      write(15);
      s.crash('A0');
      write(15);
      s.settle(6000);
      expect(lost.hits).toBeGreaterThan(20);
      for (const [at, { value }] of reads.entries()) expect(Number(value)).toBeGreaterThan(at);
      s.converge();
      s.expect('own', 45);
    },
  );

scenario('read-own-writes (RD0): a read that overtakes its write waits for it', {}, readOvertakes);

scenario(
  'read-own-writes (RD0, CL2): a read whose answer was lost runs again, and sees what happened since',
  { clients: 2, clientTiming: { retry: 8, retryMax: 8 } },
  (s) => {
    s.put('a', 1);
    const lost = s.drop({ from: 'A0', kinds: 'readReply' });
    const read = s.read('a');
    s.until(() => lost.hits > 0, 20);
    const later = s.put('a', 2, 1);
    s.until(() => later.code === 'ok', 20);
    lost.end();
    s.settle();
    expect(read.value).toBe('2');
    s.converge();
  },
);

/** H8 as the supervisor would judge it now. */
function loss(s: Story): Loss {
  return assessLoss({
    states: s.actors.map((actor) => actor?.replica.state.status ?? 'down'),
    quorum: quorumSize(s.replicas),
    primaryNormal: s.states.some(
      ({ status, view, id }) => status === 'normal' && view % s.actives === id,
    ),
  });
}

for (const replicas of [3, 5])
  scenario(
    `rolling-restart (R2, R6, H8): each of n=${replicas} after the last one is normal: nothing is lost`,
    { replicas, clients: 2 },
    (s) => {
      for (let id = 0; id < replicas; id++) {
        load(s, 5);
        s.run(1);
        s.crash(id);
        expect(loss(s)).toBe('none');
        s.restart(id);
        s.together();
      }
      s.converge();
      expect(s.starts).toEqual(Array(replicas).fill(2));
      s.expect('n', 10 * replicas);
    },
  );

scenario(
  'rolling-restart (H8, R4): all backups at once: the primary gives back what they forgot together',
  { replicas: 5, clients: 2 },
  (s) => {
    load(s, 10);
    s.settle();
    for (let id = 1; id < 5; id++) s.crash(id);
    for (let id = 1; id < 5; id++) s.restart(id);
    expect([loss(s), statusOf(s, 4)]).toEqual(['none', 'recovering']);
    load(s, 10);
    s.converge();
    expect(s.view).toBe(0);
    s.expect('n', 40);
  },
);

scenario(
  'rolling-restart (VC13, R4, H8, E37): each before the last one is normal: nobody remembers, and nobody pretends to',
  {},
  (s) => {
    s.put('a', 1);
    s.settle();
    for (const id of [2, 1, 0]) {
      s.crash(id);
      s.restart(id);
    }
    const calls = [s.put('b', 2), s.read('a')];
    s.run(1000);
    expect(s.states.map(({ status }) => status)).toEqual(Array(3).fill('recovering'));
    expect([calls.map(({ code }) => code), s.view, loss(s)]).toEqual([[null, null], 0, 'now']);
  },
);

for (const replicas of [3, 5])
  scenario(
    `lost-majority (H8, VC2, VC13): f+1 of n=${replicas} with the primary: the rest answers nothing, back or not`,
    { replicas },
    (s) => {
      s.put('a', 1);
      s.settle();
      const lost = Array.from({ length: quorumSize(replicas) }, (_, id) => id);
      s.hold({ kinds: 'prepareOk' });
      const open = s.put('b', 2);
      s.run(2);
      for (const id of lost) s.crash(id);
      expect(loss(s)).toBe('soon');
      s.run(300);
      for (const id of lost) s.restart(id);
      s.run(700);
      const later = s.read('a');
      s.run(300);
      // They return, but without what they acknowledged: it stays lost when the time of grace is over.
      expect([loss(s), s.view, open.code, later.code]).toEqual(['soon', 0, null, null]);
      expect(s.states.filter(({ status }) => status === 'recovering').length).toBe(lost.length);
      expect(s.actor(replicas - 1).machine?.values.get('b')).toBe(undefined);
    },
  );

scenario(
  'lost-majority (H8, HB5, R3): f+1 backups at once: the primary still has everything for them',
  {},
  (s) => {
    s.put('a', 1);
    s.settle();
    const open = s.put('b', 2);
    s.crash('R1');
    s.crash('R2');
    expect(loss(s)).toBe('none');
    s.run(30);
    expect(open.code).toBe(null);
    s.restart('R1');
    s.restart('R2');
    s.until(() => open.code === 'ok');
    s.converge();
    expect(s.view).toBe(0);
  },
);

scenario(
  'lost-majority (H8): nobody that remembers is left, or none that leads and less than a quorum',
  {},
  (s) => {
    s.crash('R1');
    s.crash('R2');
    s.restart('R2');
    s.crash('R0');
    expect([loss(s), statusOf(s, 2)]).toEqual(['now', 'recovering']);
    s.restart('R1');
    s.restart('R0');
    s.run(1000);
    expect(s.states.map(({ status }) => status)).toEqual(Array(3).fill('recovering'));
    expect(loss(s)).toBe('now');
  },
);

for (const who of ['R2', 'R0'])
  scenario(
    `crash-loop (H8): ${who} dies at every start and stays down at last, the rest serves`,
    { clients: 2 },
    (s) => {
      const crashes = new CrashCounter();
      const id = s.crash(who);
      while (!crashes.crashed(s.tick * TICK_MS)) {
        s.restart(who);
        s.killAfter(who, 0);
        load(s, 3);
        s.until(() => s.actors[id] === undefined, 200);
      }
      expect(s.starts[id]).toBe(CRASHES_MAX);
      load(s, 3);
      s.settle();
      s.run(200);
      expect([loss(s), s.states.length, s.view]).toEqual(['none', 2, who === 'R0' ? 1 : 0]);
      s.converge();
      s.expect('n', 6 * CRASHES_MAX);
    },
  );

test('crash-loop (H8): one normal moment, or a minute, and the count begins anew', () => {
  const often = (counter: CrashCounter, times: number, pauseMs: number): boolean[] =>
    Array.from({ length: times }, (_, at) => counter.crashed(at * pauseMs));
  expect(often(new CrashCounter(), 6, 1)).toEqual([false, false, false, false, true, true]);
  expect(often(new CrashCounter(), 9, 15_000)).not.toContain(true);
  const counter = new CrashCounter();
  expect(often(counter, 4, 1)).not.toContain(true);
  counter.becameNormal();
  expect(often(counter, 4, 1)).not.toContain(true);
  expect(counter.crashed(5)).toBe(true);
});

for (let seed = 1; seed <= 8; seed++)
  scenario(
    `kill-all-memory (H3, G1, CS3): what a dead cluster left means nothing to the next one, seed ${seed}`,
    { seed, clients: 2, limits: { window: 2, batchMax: 1 } },
    (old) => {
      const left = old.record({});
      load(old, 40);
      old.run(1 + (old.random() % 16));
      for (let id = 0; id < 3; id++) old.crash(id);
      old.run(300);
      expect(old.calls.some(({ code }) => code === null)).toBe(true);
      expect([loss(old), old.states.length]).toEqual(['now', 0]);

      const s = story({ seed: seed + 100, hints: old.hints, clients: 2 });
      const executed = head(s, 'A0');
      const refused = s.record({ to: 'clients', kinds: 'evicted' });
      let requests = 0;
      for (const { from, to, message } of left.kept) {
        if ('clusterId' in message) s.inject(from, to, { ...message, clusterId: 6 });
        else if (from < CLIENT_BASE) s.inject(from, 'C0', message);
        else if (message.kind === 'request') {
          requests++;
          s.inject('C0', 'A0', message);
        }
      }
      const call = s.put('a', 1);
      s.run(100);
      expect([refused.hits, head(s, 'A0'), s.view]).toEqual([requests, executed + 1, 0]);
      expect([requests > 0, call.code, s.client(0).evictions]).toEqual([true, 'ok', 0]);
      s.converge();
      s.expect('n', null);
    },
  );
