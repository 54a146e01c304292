// Sessions, the client's half and determinism (protocol.md 3.13 to 3.15), rule by rule.

import { expect, test } from 'vitest';
import { ClientSession } from '../../src/protocol/client.js';
import type { ClientEffect } from '../../src/protocol/client-event.js';
import type { Event } from '../../src/protocol/effect.js';
import type { ClientMessage, Reply, Request, ServerMessage } from '../../src/protocol/message.js';
import { hashState } from '../../src/protocol/state.js';
import type { ApplyContext, ResultSink } from '../../src/protocol/state-machine.js';
import type { ClientId } from '../../src/protocol/types.js';
import { operation, StoryMachine } from '../../src/simulation/story-machine.js';
import {
  CLIENT,
  doViewChange,
  entries,
  prepare,
  prepareOk,
  Solo,
  startViewChange,
} from './solo.js';

const NONE = new Uint8Array(0);

/** Primary 0 in whose state CLIENT has session 4096, alone in its group. */
function serving(options: ConstructorParameters<typeof Solo>[0] = {}): Solo {
  const solo = new Solo({ id: 0, replicas: 1, ...options });
  solo.execute();
  solo.client({ kind: 'register', clientId: CLIENT, nonce: 77, epoch: 0, seenView: 0 });
  commitAll(solo);
  expect([...solo.state.table.rows.keys()]).toEqual([4096]);
  return solo;
}

function commitAll(solo: Solo): ServerMessage[] {
  solo.pass();
  for (let id = 1; id < solo.replicas; id++)
    solo.receive(prepareOk(id, [...solo.state.log.entries], solo.head));
  return solo.execute();
}

function request(requestNumber: number, more: Partial<Request> = {}): Request {
  const body = operation(`solo.${requestNumber}`, 'incr', 'k', '1');
  const rest = { session: 4096, requestNumber, acked: 0, epoch: 0, seenView: 0, body };
  return { kind: 'request', clientId: CLIENT, ...rest, ...more };
}

test('N1, D18: until what was inherited is executed, rings stay unread and nothing is taken', () => {
  const log = entries(3);
  const elect = new Solo({ id: 1 });
  elect.receive(prepare(log), startViewChange(2, 1, 'joined'));
  expect([elect.replica.takesRequests, elect.replica.takesReads]).toEqual([false, false]);
  elect.receive(doViewChange(2, 1, log, { commitMax: 3 }));
  expect([elect.state.status, elect.replica.takesRequests]).toEqual(['normal', false]);
  expect(elect.client(request(3, { seenView: 1 }))).toEqual([]);
  expect(elect.state.building.count).toBe(0);
  const effects = elect.step({ type: 'execute', budget: 16, reads: 16 });
  expect(effects.filter(({ type }) => type === 'announce')).toMatchObject([
    { message: { kind: 'viewStarted', view: 1, primaryId: 1 } },
  ]);
  expect([elect.replica.takesRequests, elect.replica.takesReads]).toEqual([true, true]);
  expect(elect.step({ type: 'execute', budget: 16, reads: 16 })).toEqual([]); // said once
  elect.client(request(3, { seenView: 1 }));
  expect(elect.state.building.count).toBe(1);
});

test('N1: one that is no primary points at it, and one whose client knows a later view is silent', () => {
  const backup = new Solo({ id: 2 });
  expect(backup.client(request(1))).toMatchObject([{ kind: 'notPrimary', primaryId: 0, view: 0 }]);
  const primary = serving();
  expect(primary.client(request(1, { seenView: 5 }))).toEqual([]);
  expect(primary.state.building.count).toBe(0);
});

test('N2: r is taken only as the next number; older ones are answered again, later ones ignored', () => {
  const solo = serving();
  expect(solo.client(request(2))).toEqual([]);
  expect(solo.client(request(1))).toEqual([]);
  expect(solo.client(request(1))).toEqual([]);
  expect(solo.state.building.count).toBe(1);
  const [reply] = commitAll(solo);
  expect(reply).toMatchObject({ kind: 'reply', requestNumber: 1, code: 'ok' });
  expect(solo.client(request(1))).toMatchObject([{ kind: 'reply', requestNumber: 1, code: 'ok' }]);
  solo.client(request(2, { acked: 1 }));
  commitAll(solo);
  expect(solo.client(request(1, { acked: 1 }))).toEqual([]); // acknowledged: nobody waits for it
});

test('N2, BP2: Busy leaves the admission alone, so the same number is taken later', () => {
  const solo = serving({ limits: { queueMax: 1 } });
  solo.client(request(1));
  expect(solo.client(request(2))).toMatchObject([
    { kind: 'busy', requestNumber: 2, reason: 'queue' },
  ]);
  commitAll(solo);
  solo.client(request(2));
  expect(commitAll(solo)).toMatchObject([{ requestNumber: 2, code: 'ok' }]);
});

test('N7, CS3: a request in the log of a session that is gone is answered and not executed', () => {
  const solo = serving();
  const session = { session: 0, epoch: 0, seenView: 0 };
  solo.client({ kind: 'unregister', clientId: CLIENT, ...session });
  solo.client(request(1));
  commitAll(solo);
  expect(solo.machine?.history).toEqual([]);
  expect(solo.client(request(1))).toMatchObject([{ kind: 'evicted', session: 4096 }]);
});

test('CS1: a full table gives up the session that is idle longest, the same one everywhere', () => {
  const solo = serving({ limits: { maxSessions: 2 } });
  const other: ClientId = [2, 2, 2, 2];
  solo.client({ kind: 'register', clientId: other, nonce: 1, epoch: 0, seenView: 0 });
  commitAll(solo);
  solo.client(request(1));
  commitAll(solo);
  solo.client({ kind: 'register', clientId: [3, 3, 3, 3], nonce: 1, epoch: 0, seenView: 0 });
  commitAll(solo);
  const clients = [...solo.state.table.rows.values()].map(({ clientId }) => clientId[0]);
  expect(clients).toEqual([1, 3]);
});

test('CS4: a primary that is behind its client says nothing, not even Evicted', () => {
  const solo = serving({ replicas: 3 });
  const late = request(1, { session: 999, seenView: 4 });
  expect(solo.client({ ...late, seenView: 0 })).toMatchObject([{ kind: 'evicted', session: 999 }]);
  expect(solo.client(late)).toEqual([]);
  // VC3: a quorum has left what it is in.
  expect([solo.state.view, solo.state.status]).toEqual([4, 'view-change']);
});

test('CS5: a Register is answered with its nonce, also the second time', () => {
  const solo = serving();
  const again = { kind: 'register', clientId: CLIENT, nonce: 77, epoch: 0, seenView: 0 } as const;
  expect(solo.client(again)).toMatchObject([{ kind: 'reply', session: 4096, nonce: 77 }]);
  solo.client({ ...again, nonce: 78 });
  expect(commitAll(solo)).toMatchObject([{ kind: 'reply', session: 8192, nonce: 78 }]);
});

test('CS7: what is taken of one session is executed in the order of its numbers', () => {
  const solo = serving({ limits: { batchMax: 3 } });
  for (let number = 1; number <= 10; number++) solo.client(request(number));
  commitAll(solo);
  const tags = solo.machine?.history.map(({ tag }) => tag);
  expect(tags).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map((number) => `solo.${number}`));
});

// ── the client's half ──

function session(): {
  client: ClientSession;
  step: (event: Parameters<ClientSession['step']>[0]) => ClientEffect[];
} {
  let fresh = 0;
  const client = new ClientSession({
    freshClientId: () => [++fresh, 0, 0, 0],
    freshNonce: () => 500 + fresh,
    replicas: 3,
    actives: 3,
    timing: { retry: 10, retryMax: 20, notPrimary: 2, local: 5 },
    sessionWindow: 4,
    sessionReplyBytes: 1000,
    readsMax: 4,
    home: 1,
    random: () => 2 ** 31,
  });
  return { client, step: (event) => [...client.step(event)] };
}

const ROOM = [1e6, 1e6, 1e6];
const ALL_READ = { written: 0, read: 0 };
const UNREAD = { written: 1, read: 0 };

function opened(): ReturnType<typeof session> {
  const made = session();
  made.step({ type: 'open' });
  made.step({ type: 'flush', room: ROOM });
  made.step({ type: 'message', from: 0, message: reply(0, { nonce: 501, session: 4096 }) });
  return made;
}

function reply(requestNumber: number, more: Partial<Reply> = {}): Reply {
  return {
    kind: 'reply',
    clientId: [1, 0, 0, 0],
    session: 4096,
    requestNumber,
    ...{ gen: 0, epoch: 0, view: 0, op: 1, idx: 0, code: 'ok', nonce: 0, result: NONE },
    ...more,
  };
}

function targets(effects: readonly ClientEffect[]): string[] {
  return effects.flatMap((e) => {
    if (e.type !== 'send') return [];
    const number = e.message.kind === 'request' ? e.message.requestNumber : '';
    return [`${e.message.kind}${number}>${e.to}`];
  });
}

test('CL1: it follows the highest view it heard of, and nothing older', () => {
  const { client, step } = opened();
  step({
    type: 'message',
    from: 2,
    message: { kind: 'viewStarted', epoch: 0, view: 5, primaryId: 2 },
  });
  expect([client.view, client.primary]).toEqual([5, 2]);
  step({
    type: 'message',
    from: 1,
    message: { kind: 'viewStarted', epoch: 0, view: 4, primaryId: 1 },
  });
  expect([client.view, client.primary]).toEqual([5, 2]);
});

test('CL2: silence repeats everything in order, from the second time on to everybody, unless it is unread', () => {
  const { step } = opened();
  for (const token of [1, 2]) step({ type: 'submit', token, body: NONE, replyBytes: 1 });
  expect(targets(step({ type: 'flush', room: ROOM }))).toEqual(['request1>0', 'request2>0']);
  step({ type: 'tick', count: 15, ring: UNREAD });
  expect(targets(step({ type: 'flush', room: ROOM }))).toEqual([]);
  step({ type: 'tick', count: 50, ring: ALL_READ });
  expect(targets(step({ type: 'flush', room: ROOM }))).toEqual(['request1>0', 'request2>0']);
  step({ type: 'tick', count: 50, ring: ALL_READ });
  expect(targets(step({ type: 'flush', room: ROOM })).sort()).toEqual([
    ...['request1>0', 'request1>1', 'request1>2'],
    ...['request2>0', 'request2>1', 'request2>2'],
  ]);
});

test('CL2: nothing is repeated while the primary has not read it but reads on, however slowly, also after an earlier repetition', () => {
  const { step } = opened();
  let read = 0;
  const asked = (ticks: number): string[] => {
    const sent: string[] = [];
    for (let tick = 0; tick < ticks; tick++) {
      step({ type: 'tick', count: 1, ring: { written: 1000, read } });
      sent.push(...targets(step({ type: 'flush', room: ROOM })));
    }
    return sent;
  };
  step({ type: 'submit', token: 1, body: NONE, replyBytes: 1 });
  step({ type: 'flush', room: ROOM });
  for (; read < 20; read++) expect(asked(10)).toEqual([]);
  expect(asked(50)).toContain('request1>0'); // after retryMax without a sign
  for (; read < 40; read++) expect(asked(10)).toEqual([]);
});

test.each(['request', 'read'] as const)(
  'CL2: a %s that was lost is repeated while others are answered all the time, in a ring that is never empty',
  (kind) => {
    const { client, step } = opened();
    const { clientId, session } = client;
    const state = { gen: 0, epoch: 0, view: 0, op: 1, code: 'ok', result: NONE } as const;
    let token = 0;
    let lost = 0;
    const call = (): void => {
      step({ type: 'read', token: ++token, body: NONE, level: null });
    };
    if (kind === 'request') step({ type: 'submit', token: ++token, body: NONE, replyBytes: 1 });
    else call();
    for (let tick = 0; tick < 100; tick++) {
      step({ type: 'tick', count: 1, ring: { written: tick + 1, read: tick } });
      call();
      for (const effect of step({ type: 'flush', room: ROOM })) {
        if (effect.type !== 'send') continue;
        const { message } = effect;
        if (
          message.kind === 'request' ||
          (message.kind === 'read' && message.readId === 1 && kind === 'read')
        )
          lost++;
        else if (message.kind === 'read') {
          const { readId } = message;
          step({
            type: 'message',
            from: 0,
            message: { kind: 'readReply', clientId, readId, ...state },
          });
        }
      }
    }
    expect(session).toBeGreaterThan(0);
    expect(lost).toBeGreaterThan(2);
  },
);

test('CL2, L2: a replica out of office that says so each time it is asked does not keep a client from asking everybody', () => {
  const { step } = opened();
  step({ type: 'submit', token: 1, body: NONE, replyBytes: 1 });
  const asked = new Set<string>();
  const away = { kind: 'notPrimary', epoch: 0, view: 0, primaryId: null } as const;
  for (let tick = 0; tick < 100; tick++) {
    step({ type: 'tick', count: 1, ring: ALL_READ });
    const sent = targets(step({ type: 'flush', room: ROOM }));
    for (const target of sent) asked.add(target);
    if (sent.length > 0)
      step({ type: 'message', from: 0, message: { ...away, status: 'view-change' } });
  }
  expect([...asked].sort()).toEqual(['request1>0', 'request1>1', 'request1>2']);
});

test('CL2, L2: a ring that nobody ever reads is not waited for without end', () => {
  const { step } = opened();
  step({ type: 'submit', token: 1, body: NONE, replyBytes: 1 });
  step({ type: 'flush', room: ROOM });
  const asked = new Set<string>();
  for (let tick = 0; tick < 100; tick++) {
    step({ type: 'tick', count: 1, ring: UNREAD });
    for (const target of targets(step({ type: 'flush', room: ROOM }))) asked.add(target);
    if (tick === 18) expect([...asked]).toEqual([]);
  }
  expect([...asked].sort()).toEqual(['request1>0', 'request1>1', 'request1>2']);
});

test('CL3: Busy waits and repeats; Evicted settles what is open and registers under a new id', () => {
  const { client, step } = opened();
  step({ type: 'submit', token: 1, body: NONE, replyBytes: 1 });
  step({ type: 'flush', room: ROOM });
  const busy = {
    kind: 'busy',
    requestNumber: 1,
    readId: 0,
    retryAfterMs: 20,
    reason: 'queue',
  } as const;
  step({ type: 'message', from: 0, message: busy });
  expect(targets(step({ type: 'flush', room: ROOM }))).toEqual([]);
  step({ type: 'tick', count: 2, ring: ALL_READ });
  expect(targets(step({ type: 'flush', room: ROOM }))).toEqual(['request1>0']);
  const evicted = { kind: 'evicted', clientId: client.clientId, session: 4096 } as const;
  const out = step({ type: 'message', from: 0, message: evicted });
  expect(out).toContainEqual({ type: 'settle', token: 1, outcome: { code: 'evicted' } });
  expect(client.clientId).toEqual([2, 0, 0, 0]);
  expect(targets(step({ type: 'flush', room: ROOM }))).toEqual(['register>0']);
});

test('CL4: only a reply that matches client, session and number settles, and it settles once', () => {
  const { step } = opened();
  step({ type: 'submit', token: 1, body: NONE, replyBytes: 1 });
  step({ type: 'flush', room: ROOM });
  const settles = (message: ServerMessage): number =>
    step({ type: 'message', from: 0, message }).filter(({ type }) => type === 'settle').length;
  expect(settles(reply(1, { clientId: [1, 0, 0, 9] }))).toBe(0);
  expect(settles(reply(1, { session: 8192 }))).toBe(0);
  expect(settles(reply(2))).toBe(0);
  expect(settles(reply(1))).toBe(1);
  expect(settles(reply(1))).toBe(0);
});

test('CL5, CS2: numbers start at 1 in each session, and at most a window of them is open', () => {
  const { client, step } = opened();
  for (let token = 1; token <= 4; token++)
    step({ type: 'submit', token, body: NONE, replyBytes: 1 });
  expect(client.canSubmit(1)).toBe(false);
  expect(() => step({ type: 'submit', token: 5, body: NONE, replyBytes: 1 })).toThrow(/window/);
  step({ type: 'message', from: 0, message: reply(2) });
  expect(client.canSubmit(1)).toBe(false); // the window begins at the lowest unanswered one
  step({ type: 'message', from: 0, message: reply(1) });
  expect(client.canSubmit(1)).toBe(true);
});

test('CS6: open requests are bounded by the bytes that their replies may take', () => {
  const { client, step } = opened();
  expect(client.canSubmit(5000)).toBe(true); // alone, any size
  step({ type: 'submit', token: 1, body: NONE, replyBytes: 600 });
  expect([client.canSubmit(400), client.canSubmit(401)]).toEqual([true, false]);
});

// ── determinism ──

class Watching extends StoryMachine {
  readonly contexts: ApplyContext[] = [];

  override apply(
    context: ApplyContext,
    bytes: Uint8Array,
    from: number,
    to: number,
    sink: ResultSink,
  ): void {
    this.contexts.push({ ...context });
    super.apply(context, bytes, from, to, sink);
  }
}

test('DT1, DT2, DT5: a service is told nothing that the log does not say, the same on every replica', () => {
  const log = entries(5);
  const told = [1, 2].map((id) => {
    const machine = new Watching();
    const solo = new Solo({ id, machine });
    solo.nowUs = id * 1e9;
    solo.receive(prepare(log, { commitMax: 5 }));
    solo.pass();
    solo.execute();
    return machine.contexts;
  });
  expect(told[0]).toEqual(told[1]);
  expect(told[0]?.map(({ op, idx, ts, seed }) => [op, idx, ts, seed])).toEqual(
    log.slice(1).map(({ op, ts, seed }) => [op, 0, ts, seed]),
  );
});

test('DT4: whatever a service throws ends the replica, so no state differs silently', () => {
  class Failing extends StoryMachine {
    override apply(): void {
      throw new Error('out of memory');
    }
  }
  const solo = serving({ machine: new Failing() });
  solo.client(request(1));
  solo.pass();
  expect(() => solo.execute()).toThrow('out of memory');
  expect(solo.state.applied).toBe(1);
});

test('a request and a read without a message for each do what their messages do, and nothing of the record is kept', () => {
  const [one, other] = [serving(), serving()];
  const body = operation('solo.1', 'incr', 'k', '1');
  const bytes = Uint8Array.of(9, 9, ...body, 9);
  const words: [number, number, number, number] = [...CLIENT];
  const common = { clientId: words, session: 4096, epoch: 0, seenView: 0 };
  const place = { bytes, from: 2, to: 2 + body.length };
  const asks: Event[] = [
    { type: 'request', address: 5, request: { ...common, ...place, requestNumber: 1, acked: 0 } },
    { type: 'read', address: 5, read: { ...common, ...place, readId: 1, afterRequest: 1 } },
    {
      type: 'read',
      address: 5,
      read: { ...common, ...place, session: 0, readId: 2, afterRequest: 0 },
    },
    {
      type: 'request',
      address: 5,
      request: { ...common, ...place, session: 8192, requestNumber: 1, acked: 0 },
    },
  ];
  const read = { kind: 'read', clientId: CLIENT, epoch: 0, seenView: 0, body } as const;
  const messages: ClientMessage[] = [
    request(1),
    { ...read, session: 4096, readId: 1, afterRequest: 1 },
    { ...read, session: 0, readId: 2, afterRequest: 0 },
    request(1, { session: 8192 }),
  ];
  const evicted = asks.flatMap((event) => one.step(event));
  bytes.fill(0);
  words.fill(0);
  expect(evicted).toEqual(
    messages.flatMap((message) => other.step({ type: 'client', address: 5, message })),
  );
  expect(evicted).toHaveLength(1);
  const replies = commitAll(one);
  expect(replies).toEqual(commitAll(other));
  expect(replies.map(({ kind }) => kind)).toEqual(['reply', 'readReply', 'readReply']);
  expect(hashState(one.state)).toBe(hashState(other.state));
});
