// Scenarios of protocol.md 6.2, the part between clients and primary: repetition, sessions, windows, kept replies, eviction,
// registration and its end. Scripts that also notice a mistake are in mistakes/sessions.ts.

import { expect } from 'vitest';
import type { Message } from '../../src/protocol/message.js';
import { load } from '../../src/simulation/words.js';
import {
  again,
  IMPATIENT,
  keptAdmission,
  lateRequest,
  lostFirstRequest,
  registerTwice,
  requestNumber,
  smallReplyCache,
} from './mistakes/sessions.js';
import { scenario } from './scenario.js';

scenario(
  'batch-duplicates (N2, N7, CL4): a request in ring, in flight, after commit and after a view change executes once',
  {},
  (s) => {
    const copies = s.record({ kinds: 'request' });
    const acks = s.hold({ kinds: 'prepareOk' });
    const twice = s.duplicate(0, { kinds: 'request' });
    const call = s.incr('n');
    s.run(1);
    twice.end();
    again(s, copies, 3); // in flight
    s.run(2);
    expect([call.code, copies.hits > 0]).toEqual([null, true]);
    s.release(acks);
    s.until(() => call.code === 'ok', 20);
    const answers = s.record({ from: 'A0', to: 'C0', kinds: 'reply' });
    again(s, copies); // after commit: the kept reply
    s.run(2);
    expect(answers.hits).toBe(copies.kept.length);
    s.stepDown();
    s.newView(1);
    again(s, copies);
    s.run(2);
    expect(answers.kept.length).toBe(copies.kept.length);
    s.converge();
    s.expect('n', 1);
  },
);

scenario(
  'client-crash-twice (CL5, CS5, E13): what a dead client left never answers for its successor',
  {},
  (s) => {
    s.put('v', 'first');
    s.settle();
    const late = s.hold({ kinds: 'request', from: 'C0' });
    s.put('v', 'A');
    s.run(5);
    late.end();
    s.crashClient(0);
    s.until(() => s.client(0).session.canSubmit(0));
    const lost = s.drop({ kinds: 'reply', to: 'C0' });
    s.put('v', 'B');
    s.run(5);
    lost.end();
    s.crashClient(0);
    s.until(() => s.client(0).session.canSubmit(0));
    const last = s.put('v', 'C');
    s.release(late);
    s.settle();
    expect(['A', 'B']).toContain(last.value); // the value it replaced
    s.run(5);
    s.converge();
    const tags = s.actor('A0').machine?.history.map(({ tag }) => tag) ?? [];
    expect(new Set(tags).size).toBe(4);
  },
);

for (const seed of [1, 2, 3, 4, 5, 6])
  scenario(
    `session-window (CS2, CS6, CL2, N2): seed ${seed}, 32 open requests of each client survive loss, doubling and view changes`,
    { clients: 3, seed, clientTiming: { retry: 10, retryMax: 40 } },
    (s) => {
      s.drop({ kinds: ['request', 'reply'], share: 0.2 });
      s.duplicate(6, { kinds: ['request', 'reply'], share: 0.2 });
      load(s, 70);
      s.run(2);
      expect(s.client(0).session.openRequests).toBeGreaterThan(16);
      for (let change = 0; change < 4; change++) {
        s.run(5 + (s.random() % 40));
        if (change % 2 === 0) s.stepDown();
        else s.restart(s.crash('A0'));
        s.newView();
      }
      s.settle();
      s.converge();
      s.expect('n', 210);
    },
  );

// ── session-order: the three scripts of E43 ──

for (const [what, script] of [
  ['the first request is lost', lostFirstRequest],
  ['what was admitted is dropped', keptAdmission],
  ['all replies of the window are lost', smallReplyCache],
] as const)
  scenario(`session-order (N2, N7, VC4, CS6, CS7, E43): ${what}`, IMPATIENT, script);

scenario(
  'session-large-replies (CS6, CL3): replies too large to keep answer replyDropped and never run again',
  { ignoreReplyBytes: true, limits: { sessionReplyBytes: 1000 } },
  (s) => {
    const lost = s.drop({ kinds: 'reply' });
    const calls = [1, 2, 3, 4].map(() => s.blob(400));
    const huge = s.blob(5000);
    s.run(5);
    lost.end();
    s.settle();
    // The newest is always kept, whatever its size; everything older had to go.
    expect(calls.map((call) => call.code)).toEqual(calls.map(() => 'replyDropped'));
    expect([huge.code, huge.value.length]).toEqual(['ok', 5000]);
    s.converge();
    expect(s.actor('A0').machine?.history.length).toBe(5);
  },
);

scenario(
  'session-large-replies (CS6): as many as fit stay, the oldest go first',
  { ignoreReplyBytes: true, limits: { sessionReplyBytes: 1000 } },
  (s) => {
    const lost = s.drop({ kinds: 'reply' });
    const calls = [1, 2, 3, 4].map(() => s.blob(400));
    s.run(5);
    lost.end();
    s.settle();
    expect(calls.map((call) => call.code)).toEqual(['replyDropped', 'replyDropped', 'ok', 'ok']);
    s.converge();
  },
);

scenario(
  'session-evict-retry (CS1, CS3, CS5, CL3, E32): an evicted client hears it, its old messages change nothing',
  { clients: 1, quiet: true, limits: { maxSessions: 2 } },
  (s) => {
    const registration = s.record({ from: 'C0', kinds: 'register' });
    s.until(() => s.client(0).session.canSubmit(0));
    const oldId = s.client(0).session.clientId;
    s.attachClient(1);
    s.until(() => s.client(1).session.canSubmit(0));
    const old = s.hold({ from: 'C0', kinds: 'request' });
    const lost = s.put('x', 1, 0);
    s.run(2);
    old.end();
    s.put('y', 1, 1);
    s.attachClient(2);
    s.until(() => s.client(2).session.canSubmit(0)); // evicts client 0, idle for longest
    s.client(2).close();
    s.until(() => s.client(2).closed);
    s.release(old);
    s.until(() => lost.code !== null);
    expect([lost.code, s.client(0).evictions]).toEqual(['evicted', 1]);
    s.put('z', 1, 0);
    s.settle();
    expect(s.client(0).session.clientId).not.toEqual(oldId);
    // The late copy of the first registration makes at most an unused session, whoever must go for it.
    s.inject('C0', 'A0', registration.kept[0]?.message as Message);
    s.run(5);
    s.put('z', 2, 0);
    s.converge();
    s.expect('x', null);
    s.expect('z', 2);
    expect(s.state('A0').table.rows.size).toBeLessThanOrEqual(2);
  },
);

scenario(
  'client-lockout (D15, N2, VC9, E12): a request that was logged and lost with its view is taken again',
  { replicas: 5 },
  (s) => {
    s.drop({ from: 'R0', to: ['R2', 'R3', 'R4'], kinds: 'prepare' });
    const call = s.incr('n');
    s.run(2);
    expect(s.state('R1').log.entries.length).toBe(s.state('R0').log.entries.length);
    s.heal();
    // R1 has the entry and R0 too; neither is heard, so the view starts without it.
    s.isolate(['R0', 'R1']);
    s.tell('R_', { kind: 'suspect', id: 0 });
    s.newView(2, 2000);
    s.settle();
    expect(call.code).toBe('ok');
    s.converge();
    s.expect('n', 1);
  },
);

// ── view-started ──

scenario(
  'view-started (N1, CL2): every open request is resent once, in order, when the view serves',
  {},
  (s) => {
    s.drop({ kinds: 'prepareOk' });
    load(s, 10);
    s.run(2);
    s.heal();
    const sent = s.record({ from: 'C0', to: 'R1', kinds: 'request' });
    const before = s.client(0).resent;
    s.stepDown();
    s.newView(1);
    s.settle();
    expect(s.client(0).resent - before).toBe(1);
    expect(sent.kept.map(({ message }) => requestNumber(message))).toEqual([
      1, 2, 3, 4, 5, 6, 7, 8, 9, 10,
    ]);
    s.converge();
    s.expect('n', 10);
  },
);

scenario(
  'view-started (CL1, CL2): an older one that comes late moves nobody',
  { clients: 2 },
  (s) => {
    const late = s.hold({ from: 'R1', to: 'C0', kinds: 'viewStarted' });
    load(s, 5);
    s.stepDown();
    s.newView(1);
    s.settle();
    s.stepDown();
    s.newView(2);
    s.settle();
    const [resent, view] = [s.client(0).resent, s.client(0).session.view];
    expect([late.kept.length, view]).toEqual([1, 2]);
    s.incr('n');
    s.release(late);
    s.settle();
    expect([s.client(0).resent, s.client(0).session.view]).toEqual([resent, 2]);
    s.converge();
    s.expect('n', 11);
  },
);

scenario(
  'view-started (N1, CL2, D25): when it is lost, requests that wait in the new ring and the retry do the same',
  { clientTiming: { retry: 20, retryMax: 40 } },
  (s) => {
    s.drop({ kinds: 'viewStarted' });
    s.drop({ from: 'R0', kinds: 'prepare' });
    load(s, 5);
    s.run(2);
    s.tell('R_', { kind: 'suspect', id: 0 });
    s.until(() => s.view === 1);
    const early = s.client(0).calls.map((call) => call.code);
    expect(early).toEqual([null, null, null, null, null]);
    s.settle();
    s.converge();
    s.expect('n', 5);
  },
);

// ── registration and its end ──

scenario(
  'register-duplicate (CS1, CS5, E48): two copies of one Register make one session',
  { clients: 0 },
  registerTwice,
);

scenario(
  'unregister (CS8): a client that closes loses its session, and nothing late of it executes',
  { clients: 2 },
  lateRequest,
);

scenario(
  "unregister (CS8): the host ends a dead client's session beside its open requests, twice, and again later",
  { clients: 2 },
  (s) => {
    const { clientId, session } = s.client(0).session;
    const late = s.hold({ from: 'C0', kinds: 'request' });
    const open = [s.incr('n', 0), s.incr('n', 0)];
    s.run(2);
    late.end();
    s.crashClient(0);
    s.until(() => s.client(0).session.canSubmit(0));
    expect(s.state('A0').table.rows.size).toBe(3);
    const answers = s.record({ to: 'C1', kinds: 'reply' });
    for (const which of [0, session, 0])
      s.inject('C1', 'A0', { kind: 'unregister', clientId, session: which, epoch: 0, seenView: 0 });
    s.run(5);
    expect(s.state('A0').table.rows.size).toBe(2);
    expect(answers.hits).toBeGreaterThanOrEqual(2);
    s.release(late);
    s.run(5);
    expect(open.map((call) => call.code)).toEqual([null, null]);
    s.converge();
    s.expect('n', null);
  },
);

scenario(
  'view-started (CL1, CL2, L2): a client that comes when its supposed primary is dead for good finds the other one',
  { clients: 1 },
  (s) => {
    s.put('a', 1);
    s.settle();
    s.crash('R0');
    s.newView(1);
    s.attachClient(1);
    const call = s.put('b', 2, 1);
    s.until(() => call.code === 'ok', 1000);
    s.converge();
    s.expect('b', 2);
  },
);
