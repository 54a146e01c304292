// View change, Install, recovery and witnesses (protocol.md 3.4 to 3.7, 3.10), rule by rule at one replica.

import { expect, test } from 'vitest';
import type { NewState, ReplicaMessage } from '../../src/protocol/message.js';
import { story } from '../../src/simulation/story.js';
import { scenario } from './scenario.js';
import {
  chainOf,
  commit,
  doViewChange,
  entries,
  getState,
  header,
  kinds,
  ORIGIN,
  prepare,
  prepareOk,
  requestStartView,
  Solo,
  startView,
  startViewChange,
} from './solo.js';

const LOG = entries(12);
const joined = startViewChange(2, 1, 'joined');

function statuses(messages: readonly ReplicaMessage[]): string[] {
  return messages.flatMap((m) => (m.kind === 'newState' ? [m.status] : []));
}

/** Elect 1 of view 1, with `head` entries of view 0. */
function elect(head: number, replicas = 3): Solo {
  const solo = new Solo({ id: 1, replicas, limits: { tailEntries: 0 } });
  if (head > 0) solo.receive(prepare(LOG, { last: head }));
  solo.receive(joined);
  return solo;
}

test('T3: who hands out entries depends on the purpose', () => {
  const normal = new Solo({ id: 2 });
  normal.receive(prepare(LOG));
  expect(statuses(normal.receive(getState(1, 0, 'gap'), getState(1, 0, 'install')))).toEqual([
    'ok',
    'ok',
  ]);
  expect(statuses(normal.receive(getState(1, 1, 'gap'), getState(1, 0, 'vc')))).toEqual([
    'refuse', // another view
    'refuse', // not the primary of the view
  ]);
  const changing = new Solo({ id: 2 });
  changing.receive(prepare(LOG), startViewChange(0, 1, 'joined'));
  expect(
    statuses(
      changing.receive(getState(1, 1, 'vc'), getState(1, 1, 'gap'), getState(1, 1, 'install')),
    ),
  ).toEqual(['ok', 'refuse', 'refuse']);
  const wrong = { prevChain: chainOf(LOG, 3) };
  expect(statuses(normal.receive(getState(1, 0, 'gap', wrong)))).toEqual(['mismatch']);
  // Beyond the head there is nothing, which is no refusal: that would cost an elect a valid DoViewChange (VC8).
  const beyond = normal.receive(getState(1, 0, 'gap', { fromOp: 99, prevChain: null }));
  expect(beyond).toMatchObject([{ kind: 'newState', status: 'ok', entries: [] }]);
});

test('T4, VC3: in a view change the log stands still, whatever arrives', () => {
  const solo = new Solo({ id: 2 });
  solo.receive(prepare(LOG, { last: 4, commitMax: 2 }), startViewChange(0, 1, 'joined'));
  solo.receive(prepare(LOG, { view: 1, from: 1 }), commit({ view: 1, from: 1, commitMax: 4 }));
  solo.pass();
  expect([solo.head, solo.state.commit, solo.state.commitMax]).toEqual([4, 2, 2]);
});

test('VC5: joining a view that has started moves nobody; its primary answers with the StartView', () => {
  const solo = elect(3);
  solo.receive(doViewChange(0, 1, LOG.slice(0, 3)));
  expect(solo.state.status).toBe('normal');
  solo.ticks(6);
  expect(solo.receive(joined)).toMatchObject([{ kind: 'startView', view: 1, op: 3 }]);
  expect(solo.receive(joined)).toEqual([]); // not for every copy
  expect(solo.state.status).toBe('normal');
  const backup = new Solo({ id: 0 });
  backup.receive(startView(1, 1, []));
  expect(backup.receive(joined)).toEqual([]);
  expect(backup.state.status).toBe('normal');
});

test('VC6: the newest promise of each sender counts once, and a quorum must be there', () => {
  const solo = elect(1, 5);
  solo.receive(doViewChange(2, 1, LOG.slice(0, 1)), doViewChange(2, 1, LOG.slice(0, 1)));
  expect(solo.state.status).toBe('view-change');
  solo.receive(doViewChange(2, 1, [], { start: 0 }));
  expect(solo.state.doViewChanges.get(2)?.op).toBe(1);
  solo.receive(doViewChange(4, 1, []));
  expect(solo.state.status).toBe('normal');
});

test('VC7: the latest normal view decides before the length of the log', () => {
  const solo = new Solo({ id: 1, replicas: 5 });
  solo.receive(startViewChange(2, 6, 'joined'));
  const newer = entries(2, 3);
  solo.receive(doViewChange(2, 6, LOG, { lastNormal: { epoch: 0, view: 2 } }));
  solo.receive(doViewChange(3, 6, newer, { lastNormal: { epoch: 0, view: 3 }, commitMax: 1 }));
  expect([solo.state.status, solo.head, solo.state.commit]).toEqual(['normal', 2, 1]);
  expect(solo.state.log.entries.chainAt(1)).toEqual(chainOf(newer, 2));
});

test('VC7: a commit number above every log is a breach, and halts', () => {
  const solo = elect(1);
  expect(() => solo.receive(doViewChange(2, 1, LOG.slice(0, 2), { commitMax: 9 }))).toThrow(
    /above the selected head/,
  );
});

function answer(from: number, reqId: number, more: Partial<NewState> = {}): NewState {
  const known = { purpose: 'vc', fromOp: 1, prevChain: ORIGIN, entries: LOG } as const;
  const rest = { head: 12, commitMax: 0, logStart: 1, status: 'ok' } as const;
  return { kind: 'newState', ...header(from, 1), reqId, ...known, ...rest, ...more };
}

test('VC8, VC6: a sender that refuses its entries counts as never heard, another one is waited for', () => {
  const solo = elect(0);
  const promise = doViewChange(2, 1, LOG, { tail: [] });
  const [ask] = solo.receive(promise);
  expect(ask).toMatchObject({ kind: 'getState', purpose: 'vc', fromOp: 1, toOp: 12 });
  const reqId = ask?.kind === 'getState' ? ask.reqId : 0;
  solo.receive(answer(2, reqId, { status: 'refuse', entries: [] }));
  expect([solo.state.status, solo.state.doViewChanges.has(2)]).toEqual(['view-change', false]);
  const [again] = solo.receive({ ...promise, from: 0 });
  expect(again?.kind).toBe('getState');
  solo.receive(answer(0, again?.kind === 'getState' ? again.reqId : 0));
  expect([solo.state.status, solo.head]).toEqual(['normal', 12]);
});

test('VC9, HB1: only after the switch it tells the others, and counts in the new view from nothing', () => {
  const solo = elect(0);
  const [ask] = solo.receive(doViewChange(2, 1, LOG, { tail: [] }));
  const out = solo.receive(answer(2, ask?.kind === 'getState' ? ask.reqId : 0));
  expect(out).toMatchObject([
    { kind: 'startView', op: 12, viewStartOp: 12, nonce: 0 },
    { kind: 'startView' },
  ]);
  expect(solo.state.peers.map(({ matchOp, sentOp }) => [matchOp, sentOp])).toEqual([
    [-1, 12],
    [-1, 12],
  ]);
  expect(kinds(solo.pass())).toEqual(['commit']);
  solo.receive(prepareOk(0, LOG, 12, { view: 1 }));
  expect(solo.state.commit).toBe(12);
});

test('VC11: a view that runs without us is asked for its StartView, at most every 50 ms', () => {
  const solo = new Solo({ id: 2 });
  const ask = solo.receive(commit({ from: 1, view: 1, op: 3, hbSeq: 1 }));
  expect(ask.filter(({ kind }) => kind === 'requestStartView')).toMatchObject([{ nonce: 0 }]);
  const deadline = solo.state.viewChangeDeadline;
  const beat = commit({ from: 1, view: 1, op: 3, hbSeq: 2 });
  expect(solo.receive(beat, beat)).toEqual([]);
  solo.ticks(5);
  expect(kinds(solo.receive(beat, beat))).toEqual(['requestStartView']);
  expect(solo.state.viewChangeDeadline).not.toBe(deadline); // there is progress
});

test('VC12, N8: the answer describes the present head and takes the stream on from there', () => {
  const solo = elect(3);
  solo.receive(doViewChange(0, 1, LOG.slice(0, 3)));
  solo.receive(prepareOk(0, LOG, 3, { view: 1 }));
  solo.execute();
  solo.client({ kind: 'register', clientId: [9, 9, 9, 9], nonce: 1, epoch: 0, seenView: 1 });
  solo.pass();
  const [told] = solo.receive(requestStartView(2, 0, 7));
  expect(told).toMatchObject({ kind: 'startView', nonce: 7, op: 4, viewStartOp: 3 });
  const progress = solo.state.peers.find(({ id }) => id === 2);
  expect([progress?.sentOp, progress?.matchOp]).toEqual([4, -1]);
});

test('R0, I23: the register only grows, and is written before the view is revealed or counted', () => {
  const solo = new Solo({ id: 1 });
  const written: number[] = [];
  for (const view of [1, 4, 4, 6])
    for (const effect of solo.step({
      type: 'message',
      message: startViewChange(2, view, 'joined'),
    }))
      if (effect.type === 'writeRegister') written.push(effect.view);
      else if (effect.type === 'send')
        expect(effect.message.view).toBeLessThanOrEqual(written[written.length - 1] ?? -1);
  expect(written).toEqual([1, 4, 6]);
  expect(solo.state.register).toEqual({ epoch: 0, view: 6 });
});

test('R1, H2: an empty register is a founding member, any other one recovers where it promised', () => {
  const founder = new Solo({ id: 2 });
  expect([founder.state.status, founder.state.register]).toEqual(['normal', { epoch: 0, view: 0 }]);
  const known = new Solo({ id: 2, register: { epoch: 0, view: 5 }, start: 2 });
  expect([known.state.status, known.state.view, known.head]).toEqual(['recovering', 5, 0]);
});

test('R2: it asks everybody with its start as nonce, in growing pauses', () => {
  const solo = new Solo({ id: 2, register: { epoch: 0, view: 5 }, start: 8 });
  const rounds: number[] = [];
  for (let tick = 1; tick <= 400; tick++) {
    const asks = solo.ticks(1);
    if (asks.length === 0) continue;
    expect(asks).toMatchObject([
      { nonce: 8, view: 5 },
      { nonce: 8, view: 5 },
    ]);
    rounds.push(tick);
  }
  expect(rounds.length).toBeGreaterThan(5);
  expect(rounds.length).toBeLessThan(12);
});

test('R3: a normal backup stays silent, and follows a register that is ahead of it', () => {
  const solo = new Solo({ id: 2 });
  expect(solo.receive(requestStartView(1, 0, 2))).toEqual([]);
  solo.receive(requestStartView(1, 7, 2));
  expect([solo.state.view, solo.state.status]).toEqual([7, 'view-change']);
});

test('R4: below the register never, at it only with the own nonce, above it always', () => {
  const make = (): Solo => new Solo({ id: 2, register: { epoch: 0, view: 3 }, start: 4 });
  const told = (view: number, nonce: number, from = view % 3): string => {
    const solo = make();
    solo.receive(startView(from, view, entries(3), { nonce }));
    return solo.state.status;
  };
  expect([told(1, 4), told(3, 0), told(3, 3), told(3, 4)]).toEqual([
    ...['recovering', 'recovering', 'recovering'],
    'normal',
  ]);
  expect([told(4, 0), told(6, 9), told(5, 4, 2)]).toEqual(['normal', 'normal', 'recovering']);
});

test('R5, R6, R0: it installs everything, writes the register, acknowledges, and is normal', () => {
  const solo = new Solo({ id: 2, register: { epoch: 0, view: 3 }, start: 4 });
  const [ask] = solo.receive(startView(1, 4, LOG, { tail: LOG.slice(10), commitMax: 11 }));
  expect(ask).toMatchObject({ kind: 'getState', purpose: 'install', fromOp: 1, toOp: 10 });
  expect([solo.state.status, solo.head]).toEqual(['recovering', 0]);
  const reqId = ask?.kind === 'getState' ? ask.reqId : 0;
  const message = answer(0, reqId, { purpose: 'install', entries: LOG.slice(0, 10) });
  const effects = solo.step({ type: 'message', message });
  expect(effects[0]).toEqual({ type: 'writeRegister', epoch: 0, view: 4 });
  expect([solo.state.status, solo.head, solo.state.commit]).toEqual(['normal', 12, 11]);
  expect(solo.pass()).toMatchObject([{ kind: 'prepareOk', op: 12, view: 4 }]);
});

test('R5: when every donor refuses it asks anew', () => {
  const solo = new Solo({ id: 2, register: { epoch: 0, view: 3 }, start: 4 });
  let [ask] = solo.receive(startView(1, 4, LOG, { tail: [] }));
  for (let donor = 0; donor < 2 && ask?.kind === 'getState'; donor++)
    [ask] = solo.receive(answer(donor, ask.reqId, { status: 'refuse', entries: [] }));
  expect(ask).toBeUndefined();
  expect(kinds(solo.ticks(10))).toEqual(['requestStartView']);
});

test('W1, W3: a witness logs, acknowledges and votes, never executes, and no view is led by it', () => {
  const solo = new Solo({ id: 2, witnesses: 1 });
  solo.receive(prepare(LOG, { commitMax: 12 }));
  expect(solo.pass()).toMatchObject([{ kind: 'prepareOk', op: 12 }]);
  expect([solo.replica.hasWork, solo.state.commit]).toEqual([false, 12]);
  solo.execute();
  expect(solo.state.applied).toBe(0);
  for (let view = 1; view < 6; view++) {
    const effects = solo.step({ type: 'message', message: startViewChange(0, view, 'joined') });
    const to = effects.flatMap((e) =>
      e.type === 'send' && e.message.kind === 'doViewChange' ? [e.to] : [],
    );
    expect(to).toEqual([view % 2]);
  }
});

scenario(
  'W5, VC8: an elect that lacks entries fetches them from the witness and executes them once committed',
  { replicas: 3, witnesses: 1, limits: { tailEntries: 0 } },
  (s) => {
    const cut = s.isolate('R1');
    for (let turn = 0; turn < 20; turn++) s.incr('n');
    s.settle();
    const fetched = s.record({ from: 'R2', to: 'R1', kinds: 'newState' });
    s.crash('R0');
    for (const rule of cut) rule.end();
    s.newView(1);
    expect([s.primary, fetched.hits > 0]).toEqual([1, true]);
    s.expect('n', 20);
    s.converge();
  },
);

test.each([
  ['without hints', false],
  ['told by the host (HH1)', true],
])(
  'an elect whose donor died goes on with a sender that came later (VC6, VC8), %s',
  (_how, hints) => {
    const s = story({ hints, limits: { tailEntries: 0, batchMax: 1 } });
    s.drop({ from: 'R0', to: 'R1' });
    for (let at = 0; at < 12; at++) s.incr('n');
    s.settle();
    s.drop({ from: 'R2', kinds: 'newState' });
    s.tell(['R1', 'R2'], { kind: 'suspect', id: 0 });
    s.until(() => s.state('R1').transfer?.purpose === 'vc', 20);
    s.crash('R2');
    s.heal();
    s.until(() => s.state('R1').doViewChanges.has(0), 60);
    s.newView(1, 60);
    s.converge();
    s.expect('n', 12);
  },
);
