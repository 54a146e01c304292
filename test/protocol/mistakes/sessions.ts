// Mistakes about sessions, replies, time and randomness: who is executed, how often, in which order, and with what.

import { expect } from 'vitest';
import type { Message } from '../../../src/protocol/message.js';
import type { Rule } from '../../../src/simulation/network.js';
import type { Story } from '../../../src/simulation/story.js';
import { head, load } from '../../../src/simulation/words.js';
import type { Directed } from './directed.js';

/** What `rule` kept, sent `times` more to whoever leads now. */
export function again(s: Story, rule: Rule, times = 1): void {
  for (let time = 0; time < times; time++)
    for (const { message } of rule.kept) s.inject('C0', s.primary, message);
}

export function requestNumber(message: Message): number {
  return message.kind === 'request' ? message.requestNumber : 0;
}

/** Clients that repeat soon. */
export const IMPATIENT = { clientTiming: { retry: 20, retryMax: 40 } };

// ── E43 ──

export function lostFirstRequest(s: Story): void {
  const lost = s.drop({ kinds: 'request', where: (message) => requestNumber(message) === 1 });
  load(s, 3);
  s.run(5);
  lost.end();
  s.settle(1000);
  s.converge();
  s.expect('n', 3);
}

/** The entry is dropped by a view change, no view after it admits the request, and its first primary leads again. */
export function keptAdmission(s: Story): void {
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
  s.settle(1000);
  s.converge();
  s.expect('n', 1);
}

export function smallReplyCache(s: Story): void {
  const lost = s.drop({ kinds: 'reply' });
  load(s, 8);
  s.run(5);
  lost.end();
  s.settle(1000);
  s.converge();
  s.expect('n', 8);
}

// ── repetition ──

/** N2, D15: the reply is lost, and the request comes once more. */
function lostReply(s: Story): void {
  const lost = s.drop({ kinds: 'reply' });
  const call = s.incr('n');
  s.run(5);
  expect([lost.hits, call.code]).toEqual([1, null]);
  lost.end();
  s.settle(1000);
  s.converge();
  s.expect('n', 1);
}

/** N7: one request is in the log twice, for N2 does not keep its copy out. */
function twiceInLog(s: Story): void {
  const requests = (): number =>
    [...s.state('R0').log.entries].reduce((sum, entry) => sum + entry.count, 0);
  const before = requests();
  const acks = s.hold({ kinds: 'prepareOk' });
  const twice = s.duplicate(0, { kinds: 'request' });
  s.incr('n');
  s.run(2);
  twice.end();
  expect(requests()).toBe(before + 2);
  s.release(acks);
  s.settle();
  s.converge();
  s.expect('n', 1);
}

/** CS6: the reply is lost, and with it the primary that made it. */
function replyDiesWithPrimary(s: Story): void {
  const lost = s.drop({ kinds: 'reply' });
  const op = head(s, 'R0') + 1;
  const call = s.incr('n');
  s.until(() => s.states.every(({ applied }) => applied === op), 60);
  s.crash('R0');
  lost.end();
  s.newView(1);
  expect([lost.hits > 0, call.code]).toEqual([true, null]);
  s.settle(1000);
  s.converge();
  s.expect('n', 1);
}

/** CS3, CS8: the session is gone, and a request of it comes late. */
export function lateRequest(s: Story): void {
  const copies = s.record({ from: 'C0', kinds: 'request' });
  s.incr('n', 0);
  s.settle();
  s.client(0).close();
  s.until(() => s.client(0).closed);
  expect(s.state('A0').table.rows.size).toBe(1);
  const answers = s.record({ to: 'C0' });
  again(s, copies);
  s.run(6);
  expect(s.actor('A0').machine?.values.get('n')).toBe('1');
  expect(answers.kept.map(({ message }) => message.kind)).toEqual(copies.kept.map(() => 'evicted'));
}

/** BP2: a queue of four requests in all. */
export const TINY_QUEUE = { clients: 6, limits: { queueMax: 4 } };

export function tinyQueue(s: Story): void {
  const busy = s.record({ kinds: 'busy' });
  load(s, 30);
  s.settle(1000);
  expect(busy.hits).toBeGreaterThan(0);
  s.converge();
  s.expect('n', 180);
}

/** Two copies of one Register are in the log before the first is executed. */
export function registerTwice(s: Story): void {
  s.until(() => s.state('A0').serving);
  const acks = s.hold({ kinds: 'prepareOk' });
  s.duplicate(0, { kinds: 'register', to: 'A0' });
  s.attachClient(0);
  s.run(5);
  expect(
    [...s.state('A0').log.entries].reduce((count, entry) => count + entry.count, 0),
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

// ── time and randomness ──

/** E30: a new primary whose clock is behind, then far ahead. */
export function tsBackwards(s: Story): void {
  load(s, 5);
  s.settle();
  s.skewClock('R1', -3_000_000);
  s.stepDown();
  s.newView(1);
  load(s, 5);
  s.settle();
  s.skewClock('R1', 3_600_000_000);
  load(s, 5);
  s.settle();
  s.stepDown();
  s.newView(2);
  load(s, 5);
  s.settle();
  const times = [...s.state('A0').log.entries].map((entry) => entry.ts);
  for (const [at, ts] of times.entries())
    expect(ts).toBeGreaterThan(at === 0 ? 0 : (times[at - 1] ?? 0));
  expect(times[times.length - 1]).toBeGreaterThan(3_600_000_000);
  s.converge();
  s.expect('n', 20 * s.clients.length);
  for (const actor of s.actors)
    expect(actor?.machine?.history.map(({ ts }) => ts)).toEqual(
      s.actor('R0').machine?.history.map(({ ts }) => ts),
    );
}

/** DT1, DT5: whatever a service is given is the same everywhere, whose clock ever is wrong. */
function sameInputs(s: Story): void {
  s.skewClock('R1', -3_000_000);
  load(s, 3);
  s.settle();
  s.converge();
}

export const SESSIONS: readonly Directed[] = [
  {
    mistake: 'gapsAdmitted',
    rules: 'N2, N7, CS7, E43',
    options: IMPATIENT,
    script: lostFirstRequest,
    noticed: /an answer to every call|I12|I24/,
  },
  {
    mistake: 'admissionsKept',
    rules: 'VC4, CS7, E12, E43',
    options: IMPATIENT,
    script: keptAdmission,
    noticed: /an answer to every call/,
  },
  {
    mistake: 'fewReplies',
    rules: 'CS6, E43',
    options: IMPATIENT,
    script: smallReplyCache,
    noticed: /an answer to every call/,
  },
  {
    mistake: 'busyAdmits',
    rules: 'N2, BP2, CL3',
    options: TINY_QUEUE,
    script: tinyQueue,
    noticed: /an answer to every call/,
  },
  {
    mistake: 'duplicatesTaken',
    rules: 'N2, D15',
    options: IMPATIENT,
    script: lostReply,
    noticed: /an answer to every call/,
  },
  {
    mistake: 'duplicatesExecuted',
    rules: 'N7, D15',
    // The other guard is off in both runs: each stands alone (CS2).
    options: { mutations: { duplicatesTaken: true } },
    script: twiceInLog,
    noticed: /I12|I24/,
  },
  {
    mistake: 'evictedExecuted',
    rules: 'CS3, CS8, E14, E32',
    options: { clients: 2 },
    script: lateRequest,
    noticed: /expected '2' to be '1'|I12/,
  },
  {
    mistake: 'repliesAtPrimaryOnly',
    rules: 'N7, CS6',
    options: IMPATIENT,
    script: replyDiesWithPrimary,
    noticed: /an answer to every call/,
  },
  {
    mistake: 'registerTwice',
    rules: 'CS1, E48',
    options: { clients: 0 },
    script: registerTwice,
    noticed: /evicted/,
  },
  {
    mistake: 'tsBackwards',
    rules: 'DT2, E30',
    options: {},
    script: tsBackwards,
    noticed: /to be greater than \d+|I5/,
  },
  { mistake: 'ownClock', rules: 'DT1, D17, E30', options: {}, script: sameInputs, noticed: /I11/ },
  { mistake: 'ownSeed', rules: 'DT5, D17', options: {}, script: sameInputs, noticed: /I11/ },
];
