// Heartbeats, failure detection and hints (protocol.md 3.3), rule by rule at one replica.

import { expect, test } from 'vitest';
import type { ReplicaMessage } from '../../src/protocol/message.js';
import {
  commit,
  doViewChange,
  entries,
  kinds,
  ORIGIN,
  prepare,
  prepareOk,
  requestStartView,
  Solo,
  startView,
  startViewChange,
} from './solo.js';

const LOG = entries(3);

function exited(solo: Solo, id: number, start: number): ReplicaMessage[] {
  return solo
    .step({ type: 'hint', hint: { kind: 'exited', id, start } })
    .flatMap((effect) => (effect.type === 'send' ? [effect.message] : []));
}

/** Backup 1, with an echo for the primary, so that it stays. */
function echo(solo: Solo, from: number): void {
  const { hbSeq } = solo.state;
  solo.receive(prepareOk(from, [], 0, { view: solo.state.view, hbEcho: hbSeq, chain: ORIGIN }));
}

test('HB1: a heartbeat goes to whoever got nothing for hbMs; its number grows by one a pass', () => {
  const solo = new Solo({ id: 0 });
  const numbers: number[] = [];
  for (let tick = 0; tick < 20; tick++) {
    const beats = solo.ticks(1).flatMap((m) => (m.kind === 'commit' ? [m.hbSeq] : []));
    if (beats.length > 0) numbers.push(...new Set(beats));
    echo(solo, 1);
  }
  expect(numbers).toEqual([1, 2, 3, 4]);
});

test('HB2, HB3: old numbers feed nothing but the answer; a newer one ends suspicion and vote', () => {
  const solo = new Solo();
  solo.receive(commit({ hbSeq: 5 }));
  for (let tick = 0; tick < 90; tick++) solo.receive(commit({ hbSeq: 5 - (tick % 3) }));
  const out = [];
  for (let tick = 0; tick < 90; tick++) {
    solo.receive(commit({ hbSeq: 4 }));
    out.push(...solo.ticks(1));
  }
  expect(kinds(out)).toEqual(['prepareOk', 'startViewChange']);
  expect([solo.state.suspect, solo.state.votes.has(1)]).toEqual([true, true]);
  solo.receive(commit({ hbSeq: 6 }));
  expect([solo.state.suspect, solo.state.votes.has(1)]).toEqual([false, false]);
});

test('HB2: frames of a thread that has ended give their entries and no calm', () => {
  const solo = new Solo();
  exited(solo, 0, 1);
  expect(solo.state.suspect).toBe(true);
  solo.receive(prepare(LOG, { hbSeq: 8, commitMax: 2 }));
  expect([solo.head, solo.state.commit, solo.state.suspect]).toEqual([3, 2, true]);
});

test('HB4, T1: a heartbeat above the own head starts a repair once the head stood still', () => {
  const solo = new Solo();
  expect(solo.receive(commit({ op: 3, hbSeq: 1 }))).toEqual([]);
  solo.ticks(12);
  expect(solo.receive(commit({ op: 3, hbSeq: 2 }))).toMatchObject([
    { kind: 'getState', purpose: 'gap', fromOp: 1, toOp: 3 },
  ]);
});

test('HB5, VC1: a primary without echoes abdicates: no heartbeat, no request, a vote', () => {
  const solo = new Solo({ id: 0 });
  solo.ticks(55);
  expect(solo.state.abdicating).toBe(false);
  solo.ticks(10);
  expect(solo.state.abdicating).toBe(true);
  expect(kinds(solo.ticks(30))).toEqual(['startViewChange']);
  const session = { session: 0, epoch: 0, seenView: 0 };
  expect(solo.client({ kind: 'unregister', clientId: [1, 1, 1, 1], ...session })).toMatchObject([
    { kind: 'notPrimary', primaryId: null },
  ]);
});

test('HB5: alone in its group it never does', () => {
  const solo = new Solo({ id: 0, replicas: 1 });
  solo.ticks(300);
  expect([solo.state.abdicating, solo.state.view]).toEqual([false, 0]);
});

test('HB6: the recovery of the primary proves that the start which led has ended', () => {
  const solo = new Solo();
  solo.receive(commit({ start: 3 }));
  expect(solo.receive(requestStartView(0, 0, 3))).toEqual([]);
  expect(kinds(solo.receive(requestStartView(0, 0, 4)))).toEqual(['startViewChange']);
});

test('HB7: before sleep, and only then, a new commit number is worth a message of its own', () => {
  const solo = new Solo({ id: 0 });
  solo.execute();
  solo.client({ kind: 'register', clientId: [1, 1, 1, 1], nonce: 9, epoch: 0, seenView: 0 });
  expect(kinds(solo.pass())).toEqual(['prepare']);
  expect(solo.step({ type: 'idle' })).toEqual([]);
  const log = [...solo.state.log.entries];
  solo.receive(prepareOk(1, log, 1));
  expect(solo.step({ type: 'idle' }).length).toBe(2);
  expect(solo.step({ type: 'idle' })).toEqual([]);
});

test('HB8: an administrator can ask the primary to step down, and nobody else', () => {
  const hint = { type: 'hint', hint: { kind: 'stepDown' } } as const;
  const backup = new Solo({ id: 2 });
  expect(backup.step(hint)).toEqual([]);
  const primary = new Solo({ id: 0 });
  expect(primary.step(hint)).toMatchObject([{ type: 'send' }, { type: 'send' }]);
  expect(primary.state.abdicating).toBe(true);
});

test('HH1: a certain exit of the primary is a vote at once; of an older start, or of a backup, it is not', () => {
  const solo = new Solo({ replicas: 5 });
  solo.receive(commit({ start: 3 }));
  expect(exited(solo, 0, 2)).toEqual([]);
  expect(exited(solo, 2, 9)).toEqual([]);
  expect(exited(solo, 0, 3)).toMatchObject([
    { kind: 'startViewChange', phase: 'vote', view: 0 },
    {},
    {},
    {},
  ]);
});

test('HH1: while a thread is being ended, what it had still written calms nobody; its successor does', () => {
  const solo = new Solo({ replicas: 5 });
  solo.receive(commit({ start: 3, hbSeq: 1 }));
  solo.step({ type: 'hint', hint: { kind: 'suspect', id: 0, start: 2 } });
  expect(solo.state.suspect).toBe(false);
  solo.step({ type: 'hint', hint: { kind: 'suspect', id: 0, start: 3 } });
  solo.receive(commit({ start: 3, hbSeq: 2 }));
  expect(solo.state.suspect).toBe(true);
  solo.receive(commit({ start: 4, hbSeq: 3 }));
  expect(solo.state.suspect).toBe(false);
});

test('HH1, HH3: only its exit, told later, makes others pass over a suspected thread', () => {
  for (const [told, votes] of [
    [false, 0],
    [true, 4],
  ] as const) {
    const solo = new Solo({ id: 4, replicas: 5 });
    solo.step({ type: 'hint', hint: { kind: 'suspect', id: 1, start: 1 } });
    if (told) exited(solo, 1, 1);
    const out = solo.receive(startViewChange(2, 1, 'joined'));
    expect(out.filter((m) => m.kind === 'startViewChange' && m.phase === 'vote').length).toBe(
      votes,
    );
  }
});

test('HH3: entering a view whose primary is down means voting for the next one at once', () => {
  const solo = new Solo({ id: 4, replicas: 5 });
  exited(solo, 1, 1);
  const out = solo.receive(startViewChange(2, 1, 'joined'));
  expect(out).toContainEqual(
    expect.objectContaining({ kind: 'startViewChange', phase: 'vote', view: 1 }),
  );
  expect(out).toContainEqual(expect.objectContaining({ kind: 'doViewChange', view: 1 }));
});

test('HH4: a later start ends that, also when the exit is told once more', () => {
  for (const again of [false, true]) {
    const solo = new Solo({ id: 4, replicas: 5 });
    exited(solo, 1, 1);
    solo.step({ type: 'hint', hint: { kind: 'started', id: 1, start: 2 } });
    if (again) exited(solo, 1, 1);
    const out = solo.receive(startViewChange(2, 1, 'joined'));
    expect(out.filter((m) => m.kind === 'startViewChange' && m.phase === 'vote')).toEqual([]);
  }
});

test('HH4: a mark expires, so that even a false hint costs only time', () => {
  const solo = new Solo({ id: 4, replicas: 5 });
  exited(solo, 1, 1);
  expect(solo.state.down.size).toBe(1);
  for (let turn = 0; turn < 101; turn++) solo.step({ type: 'tick', count: 10 });
  expect(solo.state.down.size).toBe(0);
});

test('HH5: false hints about everybody move a replica to no view without a quorum', () => {
  const solo = new Solo({ id: 1, replicas: 5 });
  for (let id = 0; id < 5; id++) {
    if (id !== 1) exited(solo, id, 7);
    solo.step({ type: 'hint', hint: { kind: 'suspect', id } });
  }
  expect([solo.state.view, solo.state.status, solo.state.suspect]).toEqual([0, 'normal', true]);
  solo.receive(startViewChange(2, 0));
  expect(solo.state.view).toBe(0);
  solo.receive(startViewChange(3, 0));
  expect([solo.state.view, solo.state.status]).toEqual([1, 'view-change']);
});

test('VC1, VC2: a vote is counted once per sender, expires, and binds nobody', () => {
  const solo = new Solo({ id: 1, replicas: 5 });
  solo.receive(startViewChange(2, 0), startViewChange(2, 0), startViewChange(3, 0));
  expect(solo.state.view).toBe(0);
  for (let tick = 0; tick < 65; tick++) {
    solo.receive(commit({ hbSeq: tick + 1 }));
    solo.ticks(1);
  }
  expect(solo.state.votes.size).toBe(0);
  solo.receive(startViewChange(4, 0));
  expect([solo.state.view, solo.state.suspect]).toEqual([0, false]);
});

test('VC1: a vote of the primary itself is followed at once', () => {
  const solo = new Solo({ id: 1, replicas: 5 });
  expect(kinds(solo.receive(startViewChange(0, 0)))).toEqual(['startViewChange']);
  expect(solo.state.suspect).toBe(true);
});

test('VC10: the pause grows with each failed view change, and begins anew after calm, at backups too', () => {
  const solo = new Solo({ id: 2 });
  const pauses: number[] = [];
  for (const view of [1, 3, 4, 6]) {
    solo.receive(startViewChange(0, view, 'joined'));
    pauses.push(solo.state.viewChangeDeadline - solo.state.now);
  }
  for (const [at, pause] of pauses.entries()) {
    expect(pause).toBeGreaterThanOrEqual(80 * 0.8 * 1.5 ** at - 1);
    expect(pause).toBeLessThanOrEqual(80 * 1.2 * 1.5 ** at + 1);
  }
  solo.receive(startView(0, 6, LOG));
  expect([solo.state.status, solo.state.failedViewChanges]).toEqual(['normal', 3]);
  for (let tick = 0; tick < 1010; tick++) {
    solo.receive(commit({ view: 6, op: 3, hbSeq: tick + 1 }));
    solo.ticks(1);
  }
  expect(solo.state.failedViewChanges).toBe(0);
});

test('VC4, VC13: entering tells everybody, and promises to the next primary only', () => {
  const solo = new Solo({ id: 0 });
  const out = solo.step({ type: 'message', message: startViewChange(2, 1, 'joined') });
  const targets = out.flatMap((effect) =>
    effect.type === 'send' ? [`${effect.message.kind}>${effect.to}`] : [],
  );
  expect(targets.sort()).toEqual(['doViewChange>1', 'startViewChange>1', 'startViewChange>2']);
  const resent = solo.ticks(10);
  expect(kinds(resent)).toEqual(['doViewChange', 'startViewChange']);
  solo.receive(doViewChange(1, 2, []));
  expect(solo.state.view).toBe(2);
});
