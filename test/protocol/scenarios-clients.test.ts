// Scenarios of protocol.md 6.2, the part between clients and primary: repetition, sessions, windows, kept replies, eviction,
// registration and its end. Where the table asks for it, the mistake is switched on as well and must be noticed.

import { expect, test } from 'vitest';
import type { Message } from '../../src/protocol/message.js';
import type { Mutations } from '../../src/protocol/mutations.js';
import type { Rule } from '../../src/simulation/network.js';
import { type Story, story } from '../../src/simulation/story.js';
import { load } from '../../src/simulation/words.js';
import { scenario } from './scenario.js';

/** What `rule` kept, sent `times` more to whoever leads now. */
function again(s: Story, rule: Rule, times = 1): void {
  for (let time = 0; time < times; time++)
    for (const { message } of rule.kept) s.inject('C0', s.primary, message);
}

function requestNumber(message: Message): number {
  return message.kind === 'request' ? message.requestNumber : 0;
}

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

function lostFirstRequest(s: Story): void {
  const lost = s.drop({ kinds: 'request', where: (message) => requestNumber(message) === 1 });
  load(s, 3);
  s.run(5);
  lost.end();
  s.settle();
  s.converge();
  s.expect('n', 3);
}

/** The entry is dropped by a view change, no view after it admits the request, and its first primary leads again. */
function keptAdmission(s: Story): void {
  s.drop({ from: 'C0', to: ['R1', 'R2'] });
  const alone = s.isolate('R0');
  s.incr('n');
  s.run(2);
  expect(s.state('R0').admissions.size).toBe(1);
  for (const view of [1, 2, 3]) {
    const leader = s.primary;
    s.tell('R_', { kind: 'suspect', id: leader });
    s.newView(view);
    for (const rule of alone) rule.end();
    s.together();
  }
  expect(s.primary).toBe(0);
  s.heal();
  s.settle();
  s.converge();
  s.expect('n', 1);
}

function smallReplyCache(s: Story): void {
  const lost = s.drop({ kinds: 'reply' });
  load(s, 8);
  s.run(5);
  lost.end();
  s.settle();
  s.converge();
  s.expect('n', 8);
}

const ORDER: readonly [string, (s: Story) => void, Mutations, RegExp][] = [
  [
    'the first request is lost',
    lostFirstRequest,
    { gapsAdmitted: true },
    /an answer to every call|I12|I24/,
  ],
  [
    'what was admitted is dropped',
    keptAdmission,
    { admissionsKept: true },
    /an answer to every call/,
  ],
  [
    'all replies of the window are lost',
    smallReplyCache,
    { fewReplies: true },
    /an answer to every call/,
  ],
];
for (const [what, script, mistake, noticed] of ORDER) {
  scenario(
    `session-order (N2, N7, VC4, CS6, CS7, E43): ${what}`,
    { clientTiming: { retry: 20, retryMax: 40 } },
    script,
  );
  test(`session-order (E43): ${what}, and the mistake ${Object.keys(mistake)[0]} is noticed`, () => {
    const s = story({ mutations: mistake, clientTiming: { retry: 20, retryMax: 40 } });
    expect(() => script(s)).toThrow(noticed);
  });
}

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

/** Two copies of one Register are in the log before the first is executed. */
function registerTwice(s: Story): void {
  s.until(() => s.state('A0').serving);
  const acks = s.hold({ kinds: 'prepareOk' });
  s.duplicate(0, { kinds: 'register', to: 'A0' });
  s.attachClient(0);
  s.run(5);
  expect(
    s.state('A0').log.entries.reduce((count, entry) => count + entry.count, 0),
  ).toBeGreaterThan(1);
  const answers = s.hold({ kinds: 'reply', to: 'C0' });
  s.release(acks);
  s.run(2);
  // The client hears of the session that the first copy made.
  answers.end();
  s.inject('A0', 'C0', answers.kept[0]?.message as Message);
  const calls = [s.incr('n'), s.incr('n')];
  s.settle();
  expect(calls.map((call) => call.code)).toEqual(['ok', 'ok']);
  expect(s.state('A0').table.rows.size).toBe(1);
  s.converge();
  s.expect('n', 2);
}

scenario(
  'register-duplicate (CS1, CS5, E48): two copies of one Register make one session',
  { clients: 0 },
  registerTwice,
);

test('register-duplicate (CS1, E48): a second session for the second copy is noticed', () => {
  expect(() => registerTwice(story({ clients: 0, mutations: { registerTwice: true } }))).toThrow(
    /evicted/,
  );
});

scenario(
  'unregister (CS8): a client that closes loses its session, and nothing late of it executes',
  { clients: 2 },
  (s) => {
    const copies = s.record({ from: 'C0', kinds: 'request' });
    s.incr('n', 0);
    s.settle();
    s.client(0).close();
    s.until(() => s.client(0).closed);
    expect(s.state('A0').table.rows.size).toBe(1);
    const answers = s.record({ to: 'C0' });
    again(s, copies);
    s.run(3);
    expect(answers.kept.map(({ message }) => message.kind)).toEqual(
      copies.kept.map(() => 'evicted'),
    );
    s.run(3);
    expect(s.actor('A0').machine?.values.get('n')).toBe('1');
  },
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
