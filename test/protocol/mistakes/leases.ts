// Mistakes about leases: who must keep still and for how long, and how long the holder may go by that.

import { expect } from 'vitest';
import { TICK_MS } from '../../../src/protocol/limits.js';
import type { Call, Story } from '../../../src/simulation/story.js';
import type { Directed } from './directed.js';

const LEASE_MS = 300;
const LEASE_TICKS = LEASE_MS / TICK_MS;
/** Ticks of a fast view change, messages and all. */
const SOON = 10;

export const LEASED = { clients: 2, timing: { leaseMs: LEASE_MS } } as const;

const OTHERS = ['R1', 'R2'];

/** A value is there, and the primary's lease was renewed a moment ago. */
function warm(s: Story): void {
  s.put('a', 1);
  s.settle();
  s.run(SOON);
}

/** One read a tick at `client`'s primary, until `over`. */
function readUntil(s: Story, client: number, over: () => boolean): Call[] {
  const reads: Call[] = [];
  for (let tick = 0; tick < 4 * LEASE_TICKS && !over(); tick++) {
    reads.push(s.read('a', client));
    s.run(1);
  }
  return reads;
}

/** The others write 2 as soon as they can, while the old primary is cut off with a client that reads. */
export function cutOffHolder(s: Story): { served: number; ticks: number } {
  const began = s.tick;
  s.partition(['R0', 'C0'], [...OTHERS, 'C1']);
  s.tell(OTHERS, { kind: 'suspect', id: 0 });
  const write = s.put('a', 2, 1);
  const reads = readUntil(s, 0, () => write.code === 'ok');
  const ticks = s.tick - began;
  const served = reads.filter(({ code }) => code === 'ok').length;
  reads.push(...readUntil(s, 0, () => s.tick - began > ticks + SOON));
  s.converge();
  for (const read of reads.slice(0, served)) expect(read.value).toBe('1');
  return { served, ticks };
}

export function partitionedHolder(s: Story): void {
  warm(s);
  const { served, ticks } = cutOffHolder(s);
  expect(served).toBeGreaterThan(LEASE_TICKS / 2);
  expect(ticks).toBeGreaterThan(LEASE_TICKS / 2);
  expect(ticks).toBeLessThan(LEASE_TICKS + 3 * SOON);
}

/** E17: R1 alone has granted of late, and starts again. R2 has heard nothing for longer than a lease. */
export function granterRestarts(s: Story): number {
  warm(s);
  s.drop({ from: 'R0', to: 'R2' });
  s.run(LEASE_TICKS + 2);
  s.crash('R1', { hint: false });
  // The answer to its question comes, and no heartbeat behind it.
  s.drop({ from: 'R0', to: 'R1', kinds: ['prepare', 'commit'] });
  s.restart('R1');
  s.until(() => s.state('R1').status === 'normal', SOON);
  return cutOffHolder(s).ticks;
}

/**
 * R1 begins anew, and is normal again when nobody has to keep still for its predecessor any more: the StartView names a heartbeat, and no
 * other one comes. R2 has long heard nothing.
 */
export function granterJoins(s: Story): void {
  warm(s);
  s.drop({ from: 'R0', to: 'R2' });
  s.crash('R1', { hint: false });
  s.drop({ from: 'R0', to: 'R1', kinds: ['prepare', 'commit'] });
  const lost = s.drop({ from: 'R1', to: 'R0', kinds: 'requestStartView' });
  s.restart('R1');
  s.run(LEASE_TICKS + 4);
  lost.end();
  s.until(() => s.state('R1').status === 'normal', 4 * SOON);
  s.run(2);
  const { served } = cutOffHolder(s);
  expect(served).toBeGreaterThan(0);
}

/** The host revokes the lease of a primary that goes on all the same. */
export function revokedHolder(s: Story): number {
  warm(s);
  const began = s.tick;
  s.partition(['R0', 'C0'], [...OTHERS, 'C1']);
  s.revoke('R0');
  const write = s.put('a', 2, 1);
  const reads = readUntil(s, 0, () => write.code === 'ok');
  const ticks = s.tick - began;
  readUntil(s, 0, () => s.tick - began > ticks + SOON);
  expect(reads.every(({ code }) => code === null)).toBe(true);
  s.converge();
  return ticks;
}

/** E46: R1 sleeps, and the newest heartbeat is a moment old when it wakes. R2 has long heard nothing. */
function granterSleeps(s: Story): void {
  warm(s);
  s.drop({ from: 'R0', to: 'R2' });
  s.run(2 * SOON);
  s.pause('R1');
  s.run(LEASE_TICKS - SOON);
  s.resume('R1');
  s.run(2);
  cutOffHolder(s);
}

/** E46: R0 loses its core between the end of a pass and the reads that it was about to execute. */
export function holderStalls(s: Story): void {
  warm(s);
  s.stall('R0', 3 * LEASE_TICKS);
  const read = s.read('a', 0);
  s.run(2);
  expect(read.code).toBe(null);
  s.partition(['R0', 'C0'], [...OTHERS, 'C1']);
  s.tell(OTHERS, { kind: 'suspect', id: 0 });
  const write = s.put('a', 2, 1);
  s.until(() => write.code === 'ok', 2 * LEASE_TICKS);
  s.run(2 * LEASE_TICKS);
  s.converge();
  // It was sent before the write, and answered after it: both are right, if the reads of others agree.
  expect(read.code).toBe('ok');
}

/** R1 wants view 2 before it leads view 1; its vote is under way for long. */
function oldVote(s: Story): void {
  warm(s);
  const started = s.hold({ to: 'R1', kinds: 'doViewChange' });
  const isVote = (message: { kind: string; phase?: string; view?: number }): boolean =>
    message.kind === 'startViewChange' && message.phase === 'vote' && message.view === 1;
  const votes = s.hold({ from: 'R1', where: (message) => isVote(message) });
  const others = s.drop({ from: ['R0', 'R2'], where: (message) => isVote(message) });
  s.tell(['R1', 'R2'], { kind: 'suspect', id: 0 });
  s.until(() => votes.kept.length > 0, 300, 'a vote for view 2');
  s.release(started);
  s.newView(1);
  others.end();
  s.together();
  s.run(2 * SOON);
  const reader = s.put('a', 3, 0);
  s.until(() => reader.code === 'ok');
  s.partition(['R1', 'C0'], ['R0', 'R2', 'C1']);
  s.release(votes);
  s.run(1);
  s.tell(['R0', 'R2'], { kind: 'suspect', id: 1 });
  const write = s.put('a', 2, 1);
  const reads = readUntil(s, 0, () => write.code === 'ok');
  expect(reads.filter(({ code }) => code === 'ok').length).toBeGreaterThan(0);
  readUntil(s, 0, () => s.read('a', 0).code !== null);
  s.converge();
}

export const LEASES: readonly Directed[] = [
  {
    mistake: 'grantsBroken',
    rules: 'RD3, RD6, VC4',
    options: LEASED,
    script: partitionedHolder,
    noticed: /I19|I13/,
  },
  {
    mistake: 'grantsForgotten',
    rules: 'RD7, E17, P4',
    // Whoever has its log on disk is normal at once; others promise anew when they join (RD3).
    options: { ...LEASED, durability: 'sync' },
    script: (s) => {
      granterRestarts(s);
    },
    noticed: /I19|I13/,
  },
  {
    mistake: 'ungrantedEchoed',
    rules: 'RD3, Install 5',
    options: { ...LEASED, timing: { ...LEASED.timing, recoveryResendMax: 4 }, hints: false },
    script: granterJoins,
    noticed: /I19|I13/,
  },
  {
    mistake: 'grantFromPassTime',
    rules: 'RD3, RD10, E46',
    options: LEASED,
    script: granterSleeps,
    noticed: /I19|I13/,
  },
  {
    mistake: 'leaseOnPassTime',
    rules: 'RD4, RD10, E46',
    options: LEASED,
    script: holderStalls,
    noticed: /I19|I13/,
  },
  {
    mistake: 'revocationIgnored',
    rules: 'RD4, RD10',
    options: LEASED,
    script: (s) => {
      revokedHolder(s);
    },
    noticed: /I19|I13/,
  },
  {
    mistake: 'anyVoteIsFarewell',
    rules: 'RD6',
    options: LEASED,
    script: oldVote,
    noticed: /I19|I13/,
  },
];
