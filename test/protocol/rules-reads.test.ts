// Reads one rule at a time: what a read waits for (RD0, RD2), and what waiting may cost.

import { expect } from 'vitest';
import { scenario } from './scenario.js';

scenario(
  'RD0: a read that waits for its own write is no work, and its repetitions wait only once (SP2, I22)',
  { clients: 2, clientTiming: { retry: 5, retryMax: 5 } },
  (s) => {
    s.put('a', 1, 1);
    s.settle();
    const lost = s.drop({ kinds: 'request' });
    const write = s.put('a', 2);
    const read = s.read('a');
    s.run(100);
    expect([read.code, s.actor('A0').replica.hasWork]).toEqual([null, false]);
    const { reads, blockedReads } = s.state('A0');
    expect([reads.length, blockedReads.length]).toEqual([0, 1]);
    const other = s.read('a', 1);
    s.run(3);
    expect(other.value).toBe('1');
    lost.end();
    s.settle();
    expect([write.code, read.value]).toEqual(['ok', '2']);
    s.converge();
  },
);
