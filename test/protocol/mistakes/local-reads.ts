// Mistakes about reads that any active may answer.

import { expect } from 'vitest';
import type { LocalLevel } from '../../../src/protocol/client-event.js';
import { TICK_MS } from '../../../src/protocol/limits.js';
import { ANY_AGE } from '../../../src/protocol/message.js';
import type { Story } from '../../../src/simulation/story.js';
import type { Directed } from './directed.js';

export const SESSION: LocalLevel = { session: true, maxStaleMs: 500 };
export const LOCAL: LocalLevel = { session: false, maxStaleMs: ANY_AGE };

/** Reads of client 1 go to R1, and the others' heartbeats do not reach it. */
export const THREE = { clients: 3, clientTiming: { local: 10 } } as const;

/** What R1 has not executed yet, its reader has seen already. */
export function readerAhead(s: Story): void {
  s.put('a', 1, 1);
  s.settle();
  s.run(10);
  const cut = s.drop({ from: 'R0', to: 'R1', kinds: ['prepare', 'commit'] });
  const write = s.put('a', 2, 1);
  s.until(() => write.code === 'ok', 50);
  const read = s.read('a', 1, SESSION);
  s.until(() => read.code === 'ok', 100);
  cut.end();
  s.converge();
  expect(read.value).toBe('2');
}

/** E38: R1 is alone, and asks for a view that nobody joins. Its reader wants nothing older than 200 ms. */
export function aloneForLong(s: Story): void {
  s.put('a', 1);
  s.settle();
  s.run(10);
  s.partition(['R1', 'C1'], ['R0', 'R2', 'C0', 'C2']);
  s.run(100);
  s.put('a', 2, 0);
  s.run(100);
  const refused = s.record({ from: 'R1', kinds: 'readReply' });
  s.read('a', 1, { session: false, maxStaleMs: 200 });
  s.run(5);
  expect(refused.kept.map(({ message }) => 'code' in message && message.code)).toEqual(['behind']);
  s.converge();
}

/** R1 stands still for six seconds of load, and reads what piled up in front of it when somebody asks for what is no older than 50 ms. */
export function longAsleep(s: Story): void {
  s.put('t', s.tick);
  s.settle();
  s.run(10);
  s.pause('R1');
  for (let tick = 0; tick < 600; tick++) {
    s.put('t', s.tick, 0);
    s.run(1);
  }
  s.resume('R1');
  const had = s.state('R1').applied;
  s.until(() => s.state('R1').applied > had, 5);
  const asked = s.tick;
  const read = s.read('t', 1, { session: false, maxStaleMs: 50 });
  s.until(() => read.code === 'ok', 60);
  expect((asked - Number(read.value)) * TICK_MS, 'milliseconds old').toBeLessThan(100);
}

/** R1 executes faster than R0, and one reader asks both. */
export function primaryBehind(s: Story): void {
  s.put('n', 0);
  s.settle();
  s.run(10);
  s.slowApply('R0', 12);
  for (let at = 0; at < 30; at++) for (const client of [0, 2, 3]) s.incr('n', client);
  s.until(() => s.state('R1').applied >= s.state('R0').applied + 40, 60);
  const first = s.read('n', 1, SESSION);
  s.until(() => first.code === 'ok', 5);
  expect(first.place).toBeGreaterThan(s.state('R0').applied);
  const next = s.read('n', 1);
  s.until(() => next.code === 'ok', 200);
  expect(Number(next.value), 'a read went backwards').toBeGreaterThanOrEqual(Number(first.value));
}

/** R0 and R2 are cut off together: the others do without them, and R0 has not noticed yet that it leads nobody else. */
export function cutOffTogether(s: Story): void {
  const others = ['R1', 'R3', 'R4'];
  s.put('a', 1);
  s.settle();
  s.run(10);
  s.partition(['R0', 'R2', 'C2'], [...others, 'C0', 'C1']);
  s.tell(others, { kind: 'suspect', id: 0 });
  const write = s.put('a', 2, 0);
  s.until(() => write.code === 'ok', 50);
  s.run(15);
  expect(s.state('R0').status).toBe('normal');
  expect(s.state('R0').abdicating).toBe(false);
  const refused = s.record({ from: 'R2', kinds: 'readReply' });
  s.read('a', 2, { session: false, maxStaleMs: 100 });
  s.run(5);
  expect(refused.kept.map(({ message }) => 'code' in message && message.code)).toEqual(['behind']);
  s.converge();
}

export const LOCAL_READS: readonly Directed[] = [
  {
    mistake: 'tokenIgnored',
    rules: 'RD8, RD9, E38',
    options: THREE,
    script: readerAhead,
    noticed: /I19|I14/,
  },
  {
    mistake: 'doubtUnsaid',
    rules: 'RD8',
    options: { replicas: 5, ...THREE },
    script: cutOffTogether,
    noticed: /behind/,
  },
  {
    mistake: 'oldBeatsFresh',
    rules: 'RD8',
    options: { ...THREE, clientTiming: { local: 20 }, limits: { batchMax: 1 } },
    script: longAsleep,
    noticed: /milliseconds old/,
  },
  {
    mistake: 'committedUnread',
    rules: 'RD2, RD4, I14',
    options: { ...THREE, clients: 4, limits: { batchMax: 1, window: 200 } },
    script: primaryBehind,
    noticed: /I14|I19|backwards/,
  },
  {
    mistake: 'readsAnywhere',
    rules: 'RD8, E38',
    options: THREE,
    script: aloneForLong,
    noticed: /behind/,
  },
];
