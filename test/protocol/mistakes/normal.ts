// Mistakes of the normal case: what commits, what is acknowledged, full rings and windows, bits that flip, and witnesses.

import { expect } from 'vitest';
import type { Prepare } from '../../../src/protocol/message.js';
import type { Story } from '../../../src/simulation/story.js';
import { head, load } from '../../../src/simulation/words.js';
import type { Directed } from './directed.js';

function commitAlone(s: Story): void {
  s.drop({ kinds: 'prepareOk' });
  const call = s.put('a', 1);
  s.run(5);
  expect(call.code).toBe(null);
  s.converge();
}

/** Everybody suspects whoever leads, until all are in `view`, served or not. */
function deposed(s: Story, view: number): void {
  s.tell('R_', { kind: 'suspect', id: s.primary });
  s.until(() => s.states.some((state) => state.status === 'normal' && state.view === view), 300);
  s.together();
}

/** N6, I8: an acknowledgement of an earlier leadership says nothing about entries of this one. */
function staleAcknowledgements(s: Story): void {
  s.drop({ from: 'R0', to: ['R2', 'R3', 'R4'], kinds: 'prepare' });
  load(s, 5);
  s.run(3);
  expect(s.state('R0').peers[0]?.matchOp).toBe(s.state('R0').log.entries.length);
  s.heal();
  const before = s.state('R0').commitMax;
  s.drop({ kinds: 'prepareOk', where: (m) => m.kind === 'prepareOk' && m.view < 5 });
  for (let view = 1; view <= 4; view++) deposed(s, view);
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

/** N6: R2 has not the entry, and hears that it is committed. */
function commitAhead(s: Story): void {
  s.drop({ to: 'R2', kinds: ['prepare', 'newState'] });
  s.put('a', 1);
  s.settle();
  s.until(() => s.state('R2').commitMax > head(s, 'R2'), 20);
  expect(s.state('R2').commit).toBe(head(s, 'R2'));
  s.converge();
  s.expect('a', 1);
}

/** E22: all acknowledgements of the last entry are lost, and nobody sends anything more. */
export function lostLastOk(s: Story): void {
  const lost = s.drop({ kinds: 'prepareOk' });
  const call = s.put('a', 1);
  s.run(3);
  expect([lost.hits > 0, head(s, 'R1'), call.code]).toEqual([true, head(s, 'R0'), null]);
  lost.end();
  const resent = s.record({ kinds: ['request', 'prepare'] });
  s.until(() => call.code === 'ok', 10);
  expect([resent.hits, s.view]).toEqual([0, 0]);
  s.converge();
}

/** D23: one bit of a body flips on the way to R1, which stops when it sees that, and comes back without its memory. */
export function flippedBit(s: Story): void {
  const sent = s.hold({ from: 'R0', to: 'R1', kinds: 'prepare' });
  const call = s.incr('n');
  s.until(() => sent.kept.length > 0, 5);
  const prepare = sent.kept[0]?.message as Prepare;
  sent.kept.length = 0;
  sent.end();
  const entries = prepare.entries.map((entry) => ({ ...entry, body: entry.body.slice() }));
  const body = entries[0]?.body ?? new Uint8Array(1);
  // The amount of the increment: '1' becomes '3'.
  body[body.lastIndexOf(0x31)] = 0x33;
  s.inject('R0', 'R1', { ...prepare, entries });
  try {
    s.run(5);
  } catch (error) {
    if (!/breaks the chain/.test((error as Error).message)) throw error;
    s.crash('R1');
    s.restart('R1');
  }
  s.until(() => call.code === 'ok');
  s.converge();
  s.expect('n', 1);
}

/** BP1, E39: rings of one frame, one of them full for a second. */
export function ringFullStorm(s: Story): void {
  s.ringDepth(null, null, { frames: 1 });
  s.pause('R2');
  load(s, 60);
  s.until(() => s.calls.every((call) => call.code === 'ok'), 300);
  s.run(100);
  const sent = s.state('R0').peers.find(({ id }) => id === 2)?.sentOp ?? 0;
  expect(sent).toBeLessThan(head(s, 'R0')); // deferred, not dropped
  s.resume('R2');
  s.until(() => head(s, 'R2') === head(s, 'R0'), 300);
  expect([s.network.refused > 0, s.view]).toEqual([true, 0]);
  s.converge();
  s.expect('n', 60 * s.clients.length);
}

/** D25: more comes than the window takes, and waits unread. */
export const TINY_WINDOW = { clients: 6, limits: { window: 2, batchMax: 2 } };

export function burst(s: Story): void {
  const busy = s.record({ kinds: ['busy', 'notPrimary'] });
  const acks = s.hold({ kinds: 'prepareOk' });
  load(s, 30);
  s.run(3);
  const unread = s.clientAddresses.map((address) => s.network.ring(1000 + address, 0).length);
  expect(s.state('R0').log.entries.length - s.state('R0').commitMax).toBeLessThanOrEqual(2);
  expect(Math.max(...unread)).toBeGreaterThan(0);
  s.release(acks);
  s.settle();
  expect(busy.hits).toBe(0);
  s.converge();
  s.expect('n', 180);
}

/** W3: as many views as there are members, and one more. */
function aroundTheWitness(s: Story): void {
  for (let view = 1; view <= 3; view++) {
    s.put('a', view);
    s.settle(500);
    s.stepDown();
    s.newView(view, 500);
  }
  s.converge();
}

export const NORMAL: readonly Directed[] = [
  { mistake: 'commitAlone', rules: 'N6', options: {}, script: commitAlone, noticed: /I8/ },
  {
    mistake: 'staleAcknowledgements',
    rules: 'N6, VC9',
    options: { replicas: 5, clients: 2 },
    script: staleAcknowledgements,
    noticed: /I8/,
  },
  {
    mistake: 'commitBeyondHead',
    rules: 'N6',
    options: {},
    script: commitAhead,
    noticed: /I6 replica 2: commit \d+ > head/,
  },
  {
    mistake: 'heartbeatsUnanswered',
    rules: 'HB3, E22',
    options: {},
    script: lostLastOk,
    // It commits all the same when the stream repeats the entry (N8), but not by itself.
    noticed: /expected \[ 2, \+?0 \] to deeply equal \[ \+?0, \+?0 \]/,
  },
  { mistake: 'chainUnverified', rules: 'N4, D23', options: {}, script: flippedBit, noticed: /I11/ },
  {
    mistake: 'windowIgnored',
    rules: 'BP2, N3, D25',
    options: TINY_WINDOW,
    script: burst,
    noticed: /to be less than or equal to 2|I22/,
  },
  {
    mistake: 'fullRingBlocks',
    rules: 'BP1, E39',
    options: {},
    script: ringFullStorm,
    noticed: /did not come true in 300 ticks/,
  },
  {
    mistake: 'witnessMayLead',
    rules: 'W3, E23',
    options: { witnesses: 1 },
    script: aroundTheWitness,
    noticed: /I17|did not come true/,
  },
];
