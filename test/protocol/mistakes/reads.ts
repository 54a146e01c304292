// Mistakes about reads, and about who may answer before it knows everything.

import { expect } from 'vitest';
import type { Story } from '../../../src/simulation/story.js';
import type { Directed } from './directed.js';

/** N1, E16: what registered the client was acknowledged by the old primary, and is inherited but not executed. */
function inheritedSession(s: Story): void {
  s.drop({ from: 'R0', kinds: 'commit' });
  s.attachClient(1);
  s.until(() => s.client(1).session.canSubmit(0), 30);
  expect([s.state('R0').table.rows.size, s.state('R1').table.rows.size]).toEqual([2, 1]);
  const acks = s.hold({ to: 'R1', kinds: 'prepareOk' });
  s.crash('R0', { hint: true });
  s.until(() => s.state('R1').status === 'normal' && s.state('R1').view === 1, 300);
  const call = s.put('a', 1, 1);
  s.run(40);
  s.release(acks);
  s.settle();
  expect([call.code, s.client(1).evictions]).toEqual(['ok', 0]);
  s.converge();
}

export const SLOW_HEIR = {
  clients: 2,
  limits: { batchMax: 1 },
  clientTiming: { retry: 8, retryMax: 8 },
} as const;

/** R1 leads with everything that was acknowledged, does not know yet how much that was, and is slow to execute it. */
export function slowHeir(s: Story): void {
  const cut = s.isolate('R1');
  s.drop({ from: 'R0', to: 'R2', kinds: 'commit' });
  for (let turn = 0; turn < 100; turn++) s.incr('n', 0);
  s.settle();
  s.crash('R0');
  for (const rule of cut) rule.end();
  s.slowApply('R1', 5);
  const acks = s.hold({ to: 'R1', kinds: 'prepareOk' });
  s.until(() => s.state('R1').status === 'normal' && s.state('R1').view === 1, 200);
  expect(s.state('R1').applied).toBeLessThan(s.state('R1').viewStartOp - 50);
  expect(s.state('R1').commitMax).toBeLessThan(s.state('R1').viewStartOp);
  const read = s.read('n', 1);
  s.run(10);
  s.release(acks);
  s.settle();
  s.converge();
  expect(read.value).toBe('100');
}

/** RD2: the old primary is cut off and does not know it yet. */
function cutOffReader(s: Story): void {
  s.put('a', 1);
  s.settle();
  s.partition(['R0', 'C0'], ['R1', 'R2', 'C1']);
  s.tell(['R1', 'R2'], { kind: 'suspect', id: 0 });
  s.until(() => s.state('R1').serving);
  const call = s.put('a', 2, 1);
  s.until(() => call.code === 'ok', 30);
  const read = s.read('a', 0);
  s.run(3);
  s.converge();
  expect(read.value).toBe('2');
}

/** RD2: R0 sleeps through the next view, and an echo of its last heartbeat comes right behind the read. */
function lateEcho(s: Story): void {
  s.put('a', 1);
  s.settle();
  const echoes = s.hold({ from: 'R1', to: 'R0', kinds: 'prepareOk' });
  s.drop({ from: 'R2', to: 'R0', kinds: 'prepareOk' });
  const ofLast = (): boolean =>
    echoes.kept.some(
      ({ message }) => message.kind === 'prepareOk' && message.hbEcho === s.state('R0').hbSeq,
    );
  s.until(() => echoes.kept.length > 0 && ofLast(), 30);
  s.pause('R0');
  s.partition(['R0', 'C0'], ['R1', 'R2', 'C1']);
  s.tell(['R1', 'R2'], { kind: 'suspect', id: 0 });
  s.newView(1);
  const write = s.put('a', 2, 1);
  s.until(() => write.code === 'ok', 60);
  const read = s.read('a', 0);
  s.resume('R0');
  s.until(() => s.state('R0').reads.length > 0, 10);
  s.release(echoes);
  s.run(3);
  expect(s.state('R0').view).toBe(0);
  s.converge();
  expect(read.value).toBe('2');
}

/** The read overtakes the write before it, which waits on the way. */
export function readOvertakes(s: Story): void {
  const late = s.hold({ kinds: 'request' });
  const [write, read] = [s.put('a', 1), s.read('a')];
  s.run(10);
  s.release(late);
  s.settle();
  s.converge();
  expect([write.code, read.value]).toEqual(['ok', '1']);
}

export const READS: readonly Directed[] = [
  {
    mistake: 'gateOpen',
    rules: 'N1, CS4, E16',
    options: { clientTiming: { retry: 8, retryMax: 8 } },
    script: inheritedSession,
    noticed: /evicted/,
  },
  {
    mistake: 'gateOpen',
    rules: 'N1, D18, E16',
    options: SLOW_HEIR,
    script: slowHeir,
    noticed: /I19/,
  },
  {
    mistake: 'readsWithoutQuorum',
    rules: 'RD2',
    options: { clients: 2 },
    script: cutOffReader,
    noticed: /I19/,
  },
  {
    mistake: 'oldEchoesCount',
    rules: 'RD2',
    options: { clients: 2 },
    script: lateEcho,
    noticed: /I19/,
  },
  {
    mistake: 'readsIgnoreOwnWrites',
    rules: 'RD0',
    options: {},
    script: readOvertakes,
    noticed: /I14/,
  },
];
