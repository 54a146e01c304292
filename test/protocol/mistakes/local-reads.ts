// Mistakes about reads that any active may answer.

import { expect } from 'vitest';
import type { LocalLevel } from '../../../src/protocol/client-event.js';
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

export const LOCAL_READS: readonly Directed[] = [
  {
    mistake: 'tokenIgnored',
    rules: 'RD8, RD9, E38',
    options: THREE,
    script: readerAhead,
    noticed: /I19|I14/,
  },
  {
    mistake: 'readsAnywhere',
    rules: 'RD8, E38',
    options: THREE,
    script: aloneForLong,
    noticed: /behind/,
  },
];
