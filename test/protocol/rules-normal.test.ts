// The normal case, repair and backpressure (protocol.md 3.2, 3.4, 3.16), rule by rule at one replica.

import { expect, test } from 'vitest';
import { DEFAULT_TIMING } from '../../src/protocol/limits.js';
import type { NewState, Prepare, ReplicaMessage } from '../../src/protocol/message.js';
import { REQUEST_HEADER_BYTES } from '../../src/protocol/request-body.js';
import { story } from '../../src/simulation/story.js';
import { scenario } from './scenario.js';
import {
  chainOf,
  commit,
  entries,
  getState,
  header,
  prepare,
  prepareOk,
  Solo,
  startViewChange,
} from './solo.js';

const LOG = entries(6);

function newState(from: number, reqId: number, more: Partial<NewState> = {}): NewState {
  const { fromOp = 1 } = more;
  return {
    kind: 'newState',
    ...header(from, 0),
    reqId,
    purpose: 'gap',
    fromOp,
    prevChain: chainOf(LOG, fromOp - 1),
    entries: LOG.slice(fromOp - 1),
    head: LOG.length,
    commitMax: 0,
    logStart: 1,
    status: 'ok',
    ...more,
  };
}

function asked(messages: readonly ReplicaMessage[]): { reqId: number; fromOp: number }[] {
  return messages.flatMap((m) => (m.kind === 'getState' ? [m] : []));
}

/** Primary 0 with a session of its client and `count` entries of one request each. */
function leading(count: number, replicas = 3): Solo {
  const solo = new Solo({ id: 0, replicas, limits: { batchMax: 1, window: 4 } });
  solo.execute();
  for (let at = 0; at < count; at++)
    solo.client({ kind: 'register', clientId: [9, 9, 9, at], nonce: 1, epoch: 0, seenView: 0 });
  return solo;
}

test('N4: too early a Prepare waits and asks, and is appended once the gap is filled', () => {
  const solo = new Solo();
  const [ask] = asked(solo.receive(prepare(LOG, { first: 4 })));
  expect(ask).toMatchObject({ purpose: 'gap', fromOp: 1, toOp: 3 });
  expect([solo.head, solo.state.buffered.size]).toEqual([0, 1]);
  solo.receive(prepare(LOG, { last: 3 }));
  expect([solo.head, solo.state.buffered.size]).toEqual([6, 0]);
});

test('N4, I22: what waits is bounded by the window', () => {
  const solo = new Solo({ limits: { window: 4 } });
  const log = entries(20);
  for (let first = 20; first > 2; first--) solo.receive(prepare(log, { first, last: first }));
  expect(solo.state.buffered.size).toBe(4);
});

test('N4, N9: another entry at the same op halts, at a backup and at the primary', () => {
  const other = entries(3, 5);
  const backup = new Solo();
  backup.receive(prepare(LOG));
  expect(() => backup.receive(prepare(other))).toThrow(/differs/);
  const broken = [{ ...LOG[0], ts: 1 } as (typeof LOG)[0]];
  expect(() => new Solo().receive(prepare(broken))).toThrow(/breaks the chain/);
  const primary = leading(2);
  primary.pass();
  expect(() => primary.receive(prepareOk(1, LOG, 2))).toThrow(/acknowledges another entry/);
});

test('N5: no acknowledgement in any status but normal, none for an older view', () => {
  const solo = new Solo({ id: 2 });
  solo.receive(prepare(LOG), startViewChange(0, 1, 'joined'));
  expect(solo.pass().filter(({ kind }) => kind === 'prepareOk')).toEqual([]);
});

test('N6: a backup commits what the message says, as far as its log goes, and never less', () => {
  const solo = new Solo();
  solo.receive(prepare(LOG, { last: 2, commitMax: 5 }));
  expect([solo.state.commitMax, solo.state.commit]).toEqual([5, 2]);
  solo.receive(commit({ op: 6, commitMax: 3, hbSeq: 2 }));
  expect([solo.state.commitMax, solo.state.commit]).toEqual([5, 2]);
  solo.receive(prepare(LOG, { first: 3, commitMax: 4, hbSeq: 3 }));
  expect([solo.state.commitMax, solo.state.commit]).toEqual([5, 5]);
});

test('N6, N9: the primary counts a quorum with itself; an acknowledgement covers all below, and never above its head', () => {
  const solo = leading(3, 5);
  solo.pass();
  const log = [...solo.state.log.entries];
  solo.receive(prepareOk(1, log, 3));
  expect(solo.state.commitMax).toBe(0);
  solo.receive(prepareOk(2, log, 2), prepareOk(1, log, 1));
  expect(solo.state.commitMax).toBe(2);
  solo.receive({ ...prepareOk(3, log, 3), op: 9 });
  expect(solo.state.commitMax).toBe(2);
});

test('N9: an acknowledgement is waited for until a majority has everything and all are sent it, or while a read or the log needs one', () => {
  const solo = leading(3, 5);
  const awaits = (): boolean => solo.replica.awaitsAcknowledgements;
  solo.pass();
  solo.pass();
  const log = [...solo.state.log.entries];
  solo.receive(prepareOk(1, log, 3), prepareOk(2, log, 2));
  expect([solo.state.commitMax, awaits()]).toEqual([2, true]);
  solo.receive(prepareOk(2, log, 3));
  // Two of five have not answered in this view yet: their first acknowledgements say where their streams begin.
  expect([solo.state.commitMax, awaits()]).toEqual([3, true]);
  solo.receive(prepareOk(3, log, 1), prepareOk(4, log, 0));
  solo.pass();
  solo.execute();
  expect(awaits()).toBe(false);
  // They say as well what is in checkpoints, which is what a log without room waits for (BP6).
  solo.state.pressure = 'high';
  expect(awaits()).toBe(true);
  solo.state.pressure = 'none';
  const asker = { clientId: [9, 9, 9, 0], epoch: 0, seenView: 0 } as const;
  const body = new Uint8Array(8);
  solo.client({ kind: 'read', ...asker, session: 0, readId: 1, afterRequest: 0, body });
  expect([solo.state.reads.length, awaits()]).toEqual([1, true]);
  expect(new Solo({ id: 1 }).replica.awaitsAcknowledgements).toBe(true);
});

test('a backup is at rest when it has executed all it was told of, suspects nobody and owes nobody an answer', () => {
  const solo = new Solo();
  const rests = (): boolean => solo.replica.followsAtRest;
  expect(rests()).toBe(true);
  solo.receive(prepare(LOG, { last: 2 }));
  solo.pass();
  expect([solo.state.commit, rests()]).toEqual([0, false]);
  solo.receive(commit({ op: 2, commitMax: 2 }));
  expect([solo.state.commit, rests()]).toEqual([2, false]);
  solo.execute();
  expect([solo.state.applied, rests()]).toEqual([2, true]);
  // Told of more than it has.
  solo.receive(prepare(LOG, { first: 4 }));
  expect([solo.state.buffered.size, rests()]).toEqual([1, false]);
  const lonely = new Solo();
  lonely.ticks(DEFAULT_TIMING.viewTimeout * 2);
  expect([lonely.state.suspect, lonely.replica.followsAtRest]).toEqual([true, false]);
  expect(leading(3).replica.followsAtRest).toBe(false);
});

test('N8: the stream repeats from what was acknowledged once that stands still', () => {
  const solo = leading(3);
  solo.pass();
  const log = [...solo.state.log.entries];
  solo.receive(prepareOk(1, log, 1), prepareOk(2, log, 3));
  solo.pass(); // the first acknowledgement of a view says where the stream begins
  const again = solo.ticks(11).flatMap((m) => (m.kind === 'prepare' ? [m] : []));
  expect(again.map(({ first, entries: run }) => [first, run.length])).toEqual([[2, 2]]);
});

test('N8: a Prepare that is known entirely is acknowledged again', () => {
  const solo = new Solo();
  solo.receive(prepare(LOG));
  solo.pass();
  solo.receive(prepare(LOG, { last: 2 }));
  expect(solo.pass()).toMatchObject([{ kind: 'prepareOk', op: 6 }]);
});

test('T1: a repair takes only answers to its own requests that link to the own head', () => {
  const solo = new Solo();
  const [ask] = asked(solo.receive(prepare(LOG, { first: 6 })));
  const reqId = ask?.reqId ?? 0;
  solo.receive(newState(2, reqId + 77));
  const [retry] = asked(solo.receive(newState(2, reqId, { entries: LOG.slice(2) })));
  expect(solo.head).toBe(0);
  expect(retry).toBeDefined();
  solo.receive(newState(2, reqId));
  expect(solo.head).toBe(0); // the answer to a request that was given up
  solo.receive(newState(0, retry?.reqId ?? 0));
  expect(solo.head).toBe(6);
});

test('T1: up to four adjoining ranges are asked for at once', () => {
  const solo = new Solo();
  const ranges = asked(solo.receive(prepare(entries(200), { first: 200 })));
  expect(ranges.map(({ fromOp }) => fromOp)).toEqual([1, 17, 33, 49]);
});

test('BP1: a full ring defers the stream to that peer only, from the own log', () => {
  const solo = leading(3);
  const room = [0, 1 << 20, 0];
  const effects = solo.step({ type: 'endOfPass', nowUs: 1, room, drainedAt: null });
  const to = effects.flatMap((e) =>
    e.type === 'send' && e.message.kind === 'prepare' ? [e.to] : [],
  );
  expect(to).toEqual([1]);
  const later = solo.pass().flatMap((m) => (m.kind === 'prepare' ? [m] : []));
  expect(later.map(({ first, entries: run }) => [first, run.length])).toEqual([[1, 3]]);
});

test('BP2: requests stay unread while a window is in flight', () => {
  const solo = leading(3);
  solo.pass();
  expect(solo.replica.takesRequests).toBe(true);
  const full = leading(4);
  full.pass();
  expect(full.replica.takesRequests).toBe(false);
  const log = [...full.state.log.entries];
  full.receive(prepareOk(1, log, 1));
  expect(full.replica.takesRequests).toBe(true);
});

test('BP4, T1: an answer to a request of an earlier start means nothing to a later one', () => {
  const first = new Solo({ register: { epoch: 0, view: 0 }, start: 2 });
  const second = new Solo({ register: { epoch: 0, view: 0 }, start: 3 });
  const target = {
    kind: 'startView',
    start: 1,
    ladder: [],
    tail: [],
    stableOp: 0,
    logStart: 1,
    cpOp: 0,
    hbSeq: 0,
    viewStartOp: 6,
  } as const;
  const view = { ...target, ...header(0, 0), op: 6, chain: chainOf(LOG, 6), commitMax: 0 };
  const [old] = asked(first.receive({ ...view, nonce: 2 }));
  const [fresh] = asked(second.receive({ ...view, nonce: 3 }));
  second.receive(newState(2, old?.reqId ?? 0, { purpose: 'install' }));
  expect([second.state.status, second.head]).toEqual(['recovering', 0]);
  second.receive(newState(2, fresh?.reqId ?? 0, { purpose: 'install' }));
  expect([second.state.status, second.head]).toEqual(['normal', 6]);
});

test('BP5: while a member fetches, a pass takes at most half of the room in its ring', () => {
  const solo = new Solo({ id: 0, limits: { batchBytes: 8192 } });
  solo.execute();
  solo.pass(100_000);
  expect(solo.state.passBytes).toBe(Number.POSITIVE_INFINITY);
  solo.receive(getState(2, 0, 'gap'));
  solo.pass(10_000);
  expect(solo.state.passBytes).toBe(5000);
  solo.ticks(20);
  expect(solo.state.passBytes).toBe(Number.POSITIVE_INFINITY);
});

test('BP5: what a pass takes while a member fetches is counted over all its entries', () => {
  const solo = new Solo({ id: 0, limits: { batchMax: 1, batchBytes: 512 } });
  solo.execute();
  solo.receive(getState(2, 0, 'gap'));
  solo.pass(1000);
  expect(solo.state.passBytes).toBe(500);
  let taken = 0;
  for (; solo.replica.takesRequests; taken++)
    solo.client({ kind: 'register', clientId: [9, 9, 9, taken], nonce: 1, epoch: 0, seenView: 0 });
  expect(taken).toBe(Math.ceil(500 / REQUEST_HEADER_BYTES));
});

test('BP5, L3: with a narrow ring and a steady load the lag stays bounded', () => {
  const limits = { batchMax: 16, batchBytes: 1000, messageBytes: 750 };
  const s = story({ clients: 4, limits });
  s.ringDepth('R0', 'R2', { bytes: 3000 });
  for (let turn = 0; turn < 200; turn++) {
    for (let at = 0; at < 80; at++) s.incr('n', at % 4);
    s.run(1);
  }
  const lag = s.state('R0').log.entries.length - s.state('R2').log.entries.length;
  expect(lag).toBeLessThan(5 * s.limits.window);
});

scenario(
  'BP5, L3: a member that lags under full load reaches the head while the load goes on',
  { clients: 4, limits: { window: 4, batchMax: 2, batchBytes: 512 } },
  (s) => {
    s.ringDepth('R_', 'R_', { bytes: 4096 });
    const cut = s.isolate('R2');
    const more = (): void => {
      for (let client = 0; client < 4; client++)
        for (let at = s.client(client).waiting.length; at < 40; at++) s.incr('n', client);
    };
    for (let turn = 0; turn < 40; turn++) {
      more();
      s.run(1);
    }
    for (const rule of cut) rule.end();
    const top = s.state('R0').log.entries.length;
    expect(top - s.state('R2').log.entries.length).toBeGreaterThan(30);
    let turns = 0;
    const lag = (): number => s.state('R0').log.entries.length - s.state('R2').log.entries.length;
    for (; lag() > 8 && turns < 400; turns++) {
      more();
      s.run(1);
    }
    expect([turns < 400, s.state('R0').log.entries.length > top]).toEqual([true, true]);
    s.converge();
  },
);

function prepares(messages: readonly ReplicaMessage[]): Prepare[] {
  return messages.flatMap((m) => (m.kind === 'prepare' ? [m] : []));
}

test('N3, DT2: entries are cut at batchMax, in the order taken, with times that only grow', () => {
  const solo = new Solo({ id: 0, limits: { batchMax: 2 } });
  solo.execute();
  for (let at = 0; at < 5; at++)
    solo.client({ kind: 'register', clientId: [9, 9, 9, at], nonce: 1, epoch: 0, seenView: 0 });
  solo.nowUs = -50_000; // a clock that went back
  const [run] = prepares(solo.pass());
  expect(run?.entries.map(({ count }) => count)).toEqual([2, 2, 1]);
  const times = run?.entries.map(({ ts }) => ts) ?? [];
  expect(times).toEqual([...times].sort((a, b) => a - b));
  expect(new Set(times).size).toBe(3);
});

test('N3: the primary tells of each entry that it makes, once; nobody else tells of any', () => {
  const told: [requests: number, bytes: number][] = [];
  const tell = (requests: number, bytes: number) => told.push([requests, bytes]);
  const solo = new Solo({ id: 0, limits: { batchMax: 2 }, entries: tell });
  solo.execute();
  const register = (at: number) =>
    solo.client({ kind: 'register', clientId: [9, 9, 9, at], nonce: 1, epoch: 0, seenView: 0 });
  for (let at = 0; at < 5; at++) register(at);
  expect(told).toEqual([
    [2, 2 * REQUEST_HEADER_BYTES],
    [2, 2 * REQUEST_HEADER_BYTES],
  ]);
  solo.pass();
  expect(told.slice(2)).toEqual([[1, REQUEST_HEADER_BYTES]]);
  const made = [...solo.state.log.entries].map(({ count, body }) => [count, body.length]);
  expect(told).toEqual(made);
  solo.pass();
  register(5);
  solo.receive(startViewChange(1, 1, 'joined'), startViewChange(2, 1, 'joined'));
  solo.pass();
  expect(solo.state.status).toBe('view-change');
  const backup = new Solo({ entries: tell });
  backup.receive(prepare(LOG));
  backup.pass();
  expect([backup.head, told.length]).toEqual([6, 3]);
});

test('N3, W2: the stream goes to every member, witnesses included, without waiting for earlier entries', () => {
  const solo = new Solo({ id: 0, replicas: 5, witnesses: 2 });
  solo.execute();
  for (let at = 0; at < 3; at++) {
    solo.client({ kind: 'register', clientId: [9, 9, 9, at], nonce: 1, epoch: 0, seenView: 0 });
    const room = [0, 1000, 1000, 1000, 1000];
    const effects = solo.step({ type: 'endOfPass', nowUs: at, room, drainedAt: null });
    const to = effects.flatMap((e) =>
      e.type === 'send' && e.message.kind === 'prepare' ? [[e.to, e.message.first]] : [],
    );
    expect(to).toEqual([1, 2, 3, 4].map((id) => [id, at + 1]));
  }
  expect(solo.state.commitMax).toBe(0);
});
