// Mistakes about what is on disk: what may be said before it is there, and what may be concluded from it afterwards.

import { expect } from 'vitest';
import type { Story } from '../../../src/simulation/story.js';
import { head, load } from '../../../src/simulation/words.js';
import type { Directed } from './directed.js';

const NOTHING_KEPT = (): number => 0;

/** I20: all stop, and nothing that was not flushed is left. */
function killedBetween(s: Story): void {
  load(s, 4);
  s.settle();
  s.killAll(NOTHING_KEPT);
  s.coldStart();
  s.newView(0, 500);
  s.expect('n', 4);
  s.converge();
}

/** E29: R0 streams entries that it has not flushed itself, and comes back without them. */
export function reusedOp(s: Story): void {
  load(s, 3);
  s.settle();
  s.run(10);
  const had = head(s, 'R0');
  s.drop({ from: 'R0', to: 'R2', kinds: 'prepare' });
  load(s, 2);
  s.until(() => head(s, 'R1') === had + 2, 20);
  s.crash('R0', { kept: 0, hint: false });
  s.heal();
  s.restart('R0');
  s.settle();
  s.expect('n', 5);
  s.converge();
}

/** P6, E42: the one whose disk has most answers last. */
export function mostAdvancedLast(s: Story): void {
  load(s, 3);
  s.settle();
  s.killAll((id, unflushed) => (id === 2 ? unflushed : 0));
  s.coldStart();
  s.delay(4, { from: 'R2', to: 'R1', kinds: 'doViewChange' });
  s.newView(1, 500);
  expect(head(s, 'R1')).toBeGreaterThanOrEqual(3);
  s.together();
  s.expect('n', 3);
}

export const DISKS: readonly Directed[] = [
  {
    mistake: 'acknowledgedUnflushed',
    rules: 'I20, I21, N5',
    options: { durability: 'sync', flushTicks: 4 },
    script: killedBetween,
    noticed: /I21/,
  },
  {
    mistake: 'restartedLeads',
    rules: 'D20, E29',
    options: { durability: 'sync', flushTicks: 4, limits: { batchMax: 1 } },
    script: reusedOp,
    noticed: /I4|I23|N4|differs/,
  },
  {
    mistake: 'coldInHaste',
    rules: 'P6',
    options: { durability: 'async', flushTicks: 400 },
    script: mostAdvancedLast,
    noticed: /expected 0 to be greater/,
  },
];
