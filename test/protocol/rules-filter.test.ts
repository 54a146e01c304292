// The acceptance filter (protocol.md 3.1) and the pass (3.18), rule by rule at one replica.

import { expect, test } from 'vitest';
import { REPLICAS_MAX } from '../../src/protocol/configuration.js';
import {
  commit,
  doViewChange,
  entries,
  getState,
  kinds,
  prepare,
  requestStartView,
  Solo,
  startView,
  startViewChange,
} from './solo.js';

const LOG = entries(3);

test('G1: another cluster or generation is not heard', () => {
  const solo = new Solo();
  solo.receive({ ...prepare(LOG), clusterId: 8 }, { ...prepare(LOG), gen: 1 });
  expect([solo.head, solo.state.lastHbSeq]).toEqual([0, 0]);
  solo.receive(prepare(LOG));
  expect(solo.head).toBe(3);
});

test('G4: only members are heard, and nobody hears itself', () => {
  const solo = new Solo();
  solo.receive(prepare(LOG, { from: REPLICAS_MAX }));
  solo.receive(startViewChange(1, 5), startViewChange(7, 5), startViewChange(-1, 5));
  expect([solo.head, solo.state.view]).toEqual([0, 0]);
});

test('G5, VC3: lower views are dropped, a higher one is entered before its message is looked at', () => {
  const solo = new Solo({ id: 2 });
  solo.receive(startViewChange(0, 3, 'joined'));
  expect([solo.state.view, solo.state.status]).toEqual([3, 'view-change']);
  solo.receive(prepare(LOG, { view: 2 }), commit({ view: 2, op: 3, commitMax: 3 }));
  solo.receive(startView(0, 2, LOG), startViewChange(1, 2));
  expect([solo.head, solo.state.commitMax, solo.state.votes.size]).toEqual([0, 0, 0]);
  solo.receive(startView(0, 3, LOG));
  expect([solo.state.status, solo.head]).toEqual(['normal', 3]);
});

test('G5, R3: a lower view is heard from one that recovers, since it is the sender who is late', () => {
  const solo = new Solo({ id: 1 });
  solo.receive(doViewChange(2, 1, LOG), startViewChange(0, 1, 'joined'));
  expect([solo.state.view, solo.state.status]).toEqual([1, 'normal']);
  expect(solo.receive(requestStartView(0, 0, 0))).toEqual([]);
  expect(solo.receive(requestStartView(0, 0, 2))).toMatchObject([{ kind: 'startView', nonce: 2 }]);
});

test('G6, VC13: a recovering replica neither votes, promises, acknowledges nor hands out entries', () => {
  const solo = new Solo({ id: 1, register: { epoch: 0, view: 1 }, start: 2 });
  const out = solo.receive(
    startViewChange(0, 1),
    startViewChange(2, 1),
    startViewChange(0, 4, 'joined'),
    doViewChange(0, 1, LOG),
    doViewChange(2, 1, LOG),
    prepare(LOG, { view: 4 }),
    getState(2, 1, 'vc'),
    requestStartView(2, 1, 9),
  );
  solo.step({ type: 'hint', hint: { kind: 'suspect', id: 0 } });
  out.push(...solo.ticks(400));
  expect(kinds(out)).toEqual(['requestStartView']);
  expect([solo.state.status, solo.state.view, solo.head]).toEqual(['recovering', 1, 0]);
});

test('SP1, R0: the register is written before anything of the view goes out', () => {
  const solo = new Solo({ id: 1 });
  const effects = solo.step({ type: 'message', message: startViewChange(0, 4, 'joined') });
  expect(effects[0]).toEqual({ type: 'writeRegister', epoch: 0, view: 4 });
  expect(effects.filter(({ type }) => type === 'send').length).toBeGreaterThan(0);
});

test('SP2, N5: a pass acknowledges all its Prepares once, at its end and before executing', () => {
  const solo = new Solo();
  const during = solo.receive(
    prepare(LOG, { last: 1, hbSeq: 1 }),
    prepare(LOG, { first: 2, last: 2, hbSeq: 2 }),
    prepare(LOG, { first: 3, hbSeq: 3, commitMax: 3 }),
  );
  expect(during).toEqual([]);
  expect(solo.pass()).toMatchObject([{ kind: 'prepareOk', op: 3, hbEcho: 3 }]);
  expect([solo.state.commit, solo.state.applied]).toEqual([3, 0]);
  expect(solo.pass()).toEqual([]);
});

test('SP2, BP3: execution stops at its budget and is taken up again', () => {
  const solo = new Solo();
  solo.receive(prepare(entries(20), { commitMax: 20 }));
  solo.execute(16);
  expect([solo.state.applied, solo.replica.hasWork]).toEqual([16, true]);
  solo.execute(16);
  expect([solo.state.applied, solo.replica.hasWork]).toEqual([20, false]);
});

test('SP3, HB2: what lies in the rings is heard before the ticks of the same pass', () => {
  const solo = new Solo();
  solo.ticks(45);
  solo.receive(commit({ hbSeq: 9 }));
  expect(kinds(solo.ticks(45))).toEqual(['prepareOk']);
  expect(kinds(solo.ticks(40))).toEqual(['startViewChange']);
});
