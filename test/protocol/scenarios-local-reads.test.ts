// Scenarios of protocol.md 6.6 about reads at backups: what a reader has seen it never sees less of, whoever answers, and whoever cannot
// answer says so.

import { expect, test } from 'vitest';
import { type Call, type Story, story } from '../../src/simulation/story.js';
import { aloneForLong, LOCAL, readerAhead, SESSION, THREE } from './mistakes/local-reads.js';
import { scenario } from './scenario.js';

/** Every read of a session level, by clients whose replicas differ. */
function readers(s: Story, turns: number): Call[] {
  const reads: Call[] = [];
  for (let turn = 0; turn < turns; turn++) {
    s.incr('n', turn % 3);
    for (const client of [0, 1, 2]) reads.push(s.read('n', client, SESSION));
    s.run(2);
  }
  return reads;
}

scenario(
  'backup-causal (RD8, RD9, CL2): everybody reads at a replica of its own what he has written and seen, and never less',
  THREE,
  (s) => {
    const reads = readers(s, 30);
    s.settle();
    expect(reads.every(({ code }) => code === 'ok')).toBe(true);
    s.converge();
  },
);

scenario(
  'backup-causal (RD9): a reader that hops between replicas, one of which is behind, waits or asks the primary',
  THREE,
  readerAhead,
);

scenario(
  'backup-causal (RD8, E38): who has heard nothing for longer than the reader allows says so',
  THREE,
  aloneForLong,
);

scenario(
  'backup-causal (RD8, VC4): over a crash of the primary, a restart and a step-down',
  { ...THREE, clientTiming: { local: 10, retry: 20, retryMax: 40 } },
  (s) => {
    readers(s, 5);
    s.crash('R0');
    readers(s, 10);
    s.newView(1);
    s.restart('R0');
    readers(s, 5);
    s.settle();
    s.stepDown();
    readers(s, 10);
    s.settle();
    s.converge();
  },
);

test('RD8: backups answer, without a word to the primary', () => {
  const s = story(THREE);
  s.put('a', 1, 1);
  s.settle();
  s.run(10);
  const asked = s.record({ from: ['C1', 'C2'], to: 'R0' });
  const answered = s.record({ from: ['R1', 'R2'], kinds: 'readReply' });
  const reads = [1, 2].flatMap((client) => [
    s.read('a', client, SESSION),
    s.read('a', client, LOCAL),
    s.read('a', client, { session: false, maxStaleMs: 300 }),
  ]);
  s.run(2);
  expect(reads.map(({ value }) => value)).toEqual(['1', '1', '1', '1', '1', '1']);
  expect([asked.hits, answered.hits]).toEqual([0, 6]);
});

test('RD0, RD8: a session read follows the writes that its client has sent, answered or not', () => {
  const s = story(THREE);
  s.run(10);
  const held = s.hold({ from: 'R0', to: 'R1', kinds: ['prepare'] });
  s.incr('n', 1);
  const own = s.read('n', 1, SESSION);
  const any = s.read('n', 1, LOCAL);
  s.run(2);
  expect([own.code, any.code, any.value]).toEqual([null, 'ok', '∅']);
  s.release(held);
  s.until(() => own.code === 'ok', 20);
  expect(own.value).toBe('1');
  s.converge();
});

scenario(
  'W1: a witness is never asked, and two actives share its clients',
  { ...THREE, witnesses: 1 },
  (s) => {
    const asked = s.record({ to: 'W1', kinds: ['localRead', 'read'] });
    readers(s, 10);
    s.settle();
    expect(asked.hits).toBe(0);
    s.converge();
  },
);

test('RD8: who was asked and is silent is not asked again; the primary answers', () => {
  const s = story(THREE);
  s.put('a', 1, 1);
  s.settle();
  s.run(10);
  s.pause('R1');
  const first = s.read('a', 1, SESSION);
  s.until(() => first.code === 'ok', 30);
  const elsewhere = s.record({ from: 'R2', kinds: 'readReply' });
  const second = s.read('a', 1, SESSION);
  s.until(() => second.code === 'ok', 3);
  expect([first.value, second.value, elsewhere.hits]).toEqual(['1', '1', 1]);
  s.resume('R1');
  s.converge();
});

test('RD8, L2: a read whose answer is lost does not wait for ever while others are answered', () => {
  const s = story(THREE);
  s.put('a', 1, 1);
  s.settle();
  s.run(10);
  const lost = s.drop({ from: 'R1', kinds: 'readReply' });
  const read = s.read('a', 1, SESSION);
  s.until(() => lost.hits > 0, 5);
  lost.end();
  for (let tick = 0; tick < 40; tick++) {
    s.read('a', 1, SESSION);
    s.run(1);
  }
  expect([read.code, read.value]).toEqual(['ok', '1']);
});
