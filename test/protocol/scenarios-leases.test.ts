// Scenarios of protocol.md 6.6 about leases: what a reader sees while the group moves on without its primary, how long a promise keeps
// the others back, and what ends it early.

import { expect, test } from 'vitest';
import { TICK_MS } from '../../src/protocol/limits.js';
import { type Story, story } from '../../src/simulation/story.js';
import { leaseRunsOut } from '../simulation/rare-paths.js';
import {
  cutOffHolder,
  granterRestarts,
  LEASED,
  partitionedHolder,
  revokedHolder,
} from './mistakes/leases.js';
import { scenario } from './scenario.js';
import { header, Solo } from './solo.js';

const LEASE_TICKS = LEASED.timing.leaseMs / TICK_MS;
const FAST = 15;

function warm(s: Story): void {
  s.put('a', 1);
  s.settle();
  s.run(10);
}

scenario(
  'lease-partitioned-primary (RD3, RD4, I19): the old primary reads until its lease ends, and the first commit of the next comes after that',
  LEASED,
  partitionedHolder,
);

scenario(
  'lease-partitioned-primary (W1): the promise of a witness alone holds the lease, and keeps the witness back',
  { ...LEASED, witnesses: 1 },
  (s) => {
    warm(s);
    s.drop({ from: 'R0', to: 'R1' });
    s.run(LEASE_TICKS + 2);
    const { served } = cutOffHolder(s);
    expect(served).toBeGreaterThan(0);
  },
);

const DRIFT = 0.2;
/** The holder's clock is slow, those of the granters are fast. */
const DRIFTING = { ...LEASED, leaseRates: [1 - DRIFT, 1 + DRIFT, 1 + DRIFT] };

scenario(
  'lease-partitioned-primary (RD4, H4): with clocks of different rates, within the drift that is allowed',
  { ...DRIFTING, timing: { ...LEASED.timing, clockDrift: DRIFT } },
  (s) => {
    warm(s);
    cutOffHolder(s);
  },
);

test('lease-partitioned-primary (H4): clocks that differ by more than what is allowed break it', () => {
  const s = story(DRIFTING);
  warm(s);
  expect(() => cutOffHolder(s)).toThrow(/I19/);
});

scenario(
  'lease-granter-restart (RD7, E17): a granter that starts again keeps still for as long as it may have promised',
  LEASED,
  (s) => {
    expect(granterRestarts(s)).toBeGreaterThan(LEASE_TICKS / 2);
  },
);

test('lease-granter-restart (RD7, HH2, RD10): the certain exit of the holder ends the hold-off as well', () => {
  const s = story(LEASED);
  warm(s);
  s.drop({ from: 'R0', to: 'R2' });
  s.run(10);
  s.crash('R1');
  s.restart('R1');
  s.until(() => s.state('R1').status === 'normal', FAST);
  s.run(6);
  expect(s.state('R1').lease.holdOffUntil).toBeGreaterThan(s.clock(1));
  s.crash('R0');
  s.newView(1, FAST);
  s.converge();
});

test('lease (HH2): after the certain exit of the primary nobody waits for its lease', () => {
  const s = story(LEASED);
  warm(s);
  s.crash('R0');
  s.newView(1, FAST);
  s.expect('a', 1);
});

scenario(
  'lease (RD10): what the host has revoked nobody waits for, though the holder runs on',
  LEASED,
  (s) => {
    expect(revokedHolder(s)).toBeLessThan(FAST);
  },
);

scenario(
  'lease (HB8, RD5, RD6): a primary that steps down gives its lease up, and says so',
  LEASED,
  (s) => {
    warm(s);
    s.stepDown();
    s.newView(1, FAST);
    s.converge();
  },
);

test('lease-early-hint (RD10, E46): word of an exit that comes before the end breaks leases, and nothing else', () => {
  const early = (leaseMs: number): void => {
    const s = story({ ...LEASED, timing: { leaseMs } });
    warm(s);
    s.partition(['R0', 'C0'], ['R1', 'R2', 'C1']);
    s.tell(['R1', 'R2'], { kind: 'exited', id: 0, start: 1 });
    const write = s.put('a', 2, 1);
    for (let tick = 0; tick < 10; tick++) {
      s.read('a', 0);
      s.run(1);
    }
    expect(write.code).toBe('ok');
    s.crash('R0', { hint: false });
    s.restart('R0');
    s.converge();
  };
  expect(() => early(LEASED.timing.leaseMs)).toThrow(/I19/);
  early(0);
});

scenario(
  'lease-pause (RD4): the primary has read, and its answer leaves it only when others have written',
  LEASED,
  (s) => {
    warm(s);
    const answer = s.hold({ from: 'R0', kinds: 'readReply' });
    const read = s.read('a', 0);
    s.until(() => answer.kept.length > 0, FAST);
    s.partition(['R0', 'C0'], ['R1', 'R2', 'C1']);
    s.tell(['R1', 'R2'], { kind: 'suspect', id: 0 });
    const write = s.put('a', 2, 1);
    s.until(() => write.code === 'ok', 200);
    s.heal();
    s.release(answer);
    s.until(() => read.code === 'ok', 200);
    s.converge();
  },
);

scenario(
  'gc-pause-primary (RD4, HB5): the primary sleeps for two seconds between two reads, and serves none of them on its old lease',
  LEASED,
  (s) => {
    warm(s);
    s.pause('R0');
    s.read('a', 0);
    const write = s.put('a', 2, 1);
    s.until(() => write.code === 'ok', 200);
    s.run(200);
    const answers = s.record({ from: 'R0', kinds: 'readReply' });
    s.resume('R0');
    s.run(20);
    expect(answers.hits).toBe(0);
    s.converge();
  },
);

scenario(
  'read-after-failover (RD4, N1, E16): a new primary has a lease of its own before it has executed what it inherited, and waits',
  { ...LEASED, limits: { batchMax: 1 }, clientTiming: { retry: 8, retryMax: 8 } },
  (s) => {
    const cut = s.isolate('R1');
    for (let turn = 0; turn < 100; turn++) s.incr('n', 0);
    s.settle();
    s.crash('R0');
    for (const rule of cut) rule.end();
    s.slowApply('R1', 5);
    s.until(() => s.state('R1').status === 'normal' && s.state('R1').view === 1, 400);
    const read = s.read('n', 1);
    s.settle();
    expect(read.value).toBe('100');
    s.converge();
  },
);

scenario(
  'lecture-minority (RD4): on the small side nothing is committed, and reads end with the lease',
  { ...LEASED, replicas: 5 },
  (s) => {
    warm(s);
    s.partition(['R0', 'R1', 'C0'], ['R2', 'R3', 'R4', 'C1']);
    const lost = s.put('a', 3, 0);
    s.run(LEASE_TICKS + 2);
    const read = s.read('a', 0);
    const write = s.put('a', 2, 1);
    s.until(() => write.code === 'ok', 200);
    expect([lost.code, read.code]).toEqual([null, null]);
    s.converge();
  },
);

test('RD4: reads on a lease take no round, and those after it ran out do', () => {
  const marks: string[] = [];
  const s = story({ ...LEASED, marks: (mark) => marks.push(mark) });
  warm(s);
  const beats = s.record({ from: 'R0', kinds: ['commit', 'prepare'] });
  const reads = Array.from({ length: 20 }, () => s.read('a', 0));
  s.run(1);
  expect(reads.every(({ code }) => code === 'ok')).toBe(true);
  expect(beats.hits).toBeLessThanOrEqual(2);
  expect(marks.filter((mark) => mark === 'readByLease')).toHaveLength(20);
  const deaf = s.drop({ to: 'R0', kinds: 'prepareOk' });
  s.run(LEASE_TICKS + 2);
  const late = s.read('a', 0);
  s.run(3);
  expect(late.code).toBe(null);
  deaf.end();
  s.until(() => late.code === 'ok', 10);
});

test('RD4: the time is looked at after the reads were executed; if the lease is over by then, none of them is answered', () => {
  expect(leaseRunsOut()).toEqual({ early: 1, late: 0, waiting: 2 });
});

test('RD2, RD3: without leases every read asks', () => {
  const marks: string[] = [];
  const s = story({ clients: 1, marks: (mark) => marks.push(mark) });
  warm(s);
  s.read('a', 0);
  s.settle();
  expect(marks).not.toContain('readByLease');
  expect(marks).not.toContain('promiseWaitsForLease');
});

test('RD4, HB1: the echo of a heartbeat whose time is not remembered any more extends nothing', () => {
  let now = 0;
  const solo = new Solo({ id: 0, timing: { leaseMs: 100 }, clock: () => now });
  solo.execute();
  for (let beat = 0; beat < 5000; beat++) {
    now++;
    solo.state.heartbeatForced = true;
    solo.pass();
  }
  now++;
  solo.pass(); // which sends nothing
  const { hbSeq, log } = solo.state;
  const [op, chain] = [log.start - 1, log.baseChain];
  const ok = {
    kind: 'prepareOk',
    ...header(1, 0),
    op,
    chain,
    cpOp: 0,
    cpRoot: [0, 0, 0, 0],
  } as const;
  const asked = (hbEcho: number): boolean => {
    solo.receive({ ...ok, hbEcho });
    return solo.state.peers.some(({ grantedFrom }) => grantedFrom > now - 100);
  };
  for (const age of [4097, 4096, 4095, 4094, 100]) expect(asked(hbSeq - age), `${age}`).toBe(false);
  expect(asked(hbSeq - 90)).toBe(true);
});
