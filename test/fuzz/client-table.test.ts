// The client table next to a plain list of sessions: who is in it, who is evicted, which replies are kept and which of them whole,
// after any sequence of registrations, requests and departures; and that two tables that execute the same are the same.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ProtocolViolation } from '../../src/protocol/assert.js';
import {
  type ClientTable,
  emptyTable,
  keptReply,
  register,
  sessionOf,
  type TableLimits,
  unregister,
} from '../../src/protocol/client-table.js';
import { type ClientId, SESSION_STRIDE } from '../../src/protocol/types.js';
import { PROPERTY, TIMEOUT_MS } from './counts.js';
import {
  CLIENTS,
  client,
  execute,
  limits,
  placed,
  resultOf,
  type Step,
  steps,
} from './table-steps.js';

const timeout = TIMEOUT_MS;

interface Kept {
  readonly number: number;
  readonly op: number;
  readonly idx: number;
  readonly bytes: number;
  dropped: boolean;
}

interface Session {
  readonly session: number;
  readonly client: number;
  readonly nonce: number;
  last: number;
  lastOp: number;
  kept: Kept[];
}

/** The sessions as the rules of protocol.md 3.13 say, as slowly as you like. */
class Model {
  sessions: Session[] = [];
  readonly #limits: TableLimits;

  constructor(of: TableLimits) {
    this.#limits = of;
  }

  of(which: number): Session | undefined {
    return this.sessions.find((one) => one.client === which);
  }

  register(which: number, nonce: number, op: number, idx: number): number {
    const known = this.of(which);
    if (known?.nonce === nonce) return known.session; // E48
    if (known !== undefined) this.remove(known);
    else if (this.sessions.length >= this.#limits.maxSessions) this.remove(this.#idlest());
    const session = op * SESSION_STRIDE + idx;
    this.sessions.push({ session, client: which, nonce, last: 0, lastOp: op, kept: [] });
    return session;
  }

  /** The least recently used one; among equals the least id, word by word. */
  #idlest(): Session {
    const [idlest] = [...this.sessions].sort((a, b) => {
      if (a.lastOp !== b.lastOp) return a.lastOp - b.lastOp;
      const [x, y] = [CLIENTS[a.client] as ClientId, CLIENTS[b.client] as ClientId];
      return x[0] - y[0] || x[1] - y[1] || x[2] - y[2] || x[3] - y[3];
    });
    return idlest as Session;
  }

  remove(gone: Session): void {
    this.sessions = this.sessions.filter((one) => one !== gone);
  }

  request(row: Session, at: { op: number; idx: number }, bytes: number, acked: number): void {
    row.last += 1;
    row.lastOp = at.op;
    row.kept.push({ number: row.last, ...at, bytes, dropped: false });
    row.kept = row.kept.filter(
      ({ number }) => number > acked && number > row.last - this.#limits.sessionWindow,
    );
    for (const reply of row.kept.slice(0, -1))
      if (bytesOf(row) > this.#limits.sessionReplyBytes) reply.dropped = true;
  }
}

function bytesOf(row: Session): number {
  return row.kept.reduce((sum, reply) => sum + (reply.dropped ? 0 : reply.bytes), 0);
}

/** Everything of the table, in the order of its sessions. */
function contents(table: ClientTable): unknown {
  return [...table.rows]
    .sort(([a], [b]) => a - b)
    .map(([session, row]) => ({
      session,
      ...row,
      replies: row.replies.map((reply) => ({ ...reply, result: [...reply.result] })),
    }));
}

function expectSame(table: ClientTable, model: Model): void {
  const expected = [...model.sessions]
    .sort((a, b) => a.session - b.session)
    .map((one) => ({
      session: one.session,
      clientId: CLIENTS[one.client],
      nonce: one.nonce,
      lastRequest: one.last,
      lastOp: one.lastOp,
      replyBytes: bytesOf(one),
      replies: one.kept.map((reply) => ({
        requestNumber: reply.number,
        op: reply.op,
        idx: reply.idx,
        code: reply.dropped ? 'replyDropped' : 'ok',
        result: [...resultOf(one.session, reply.number, reply.dropped ? 0 : reply.bytes)],
      })),
    }));
  expect(contents(table)).toEqual(expected);
  expect(table.byClient.size).toBe(table.rows.size);
}

test('CS1, CS6, CS8, N7: any sequence of steps leaves what the model has', { timeout }, () => {
  fc.assert(
    fc.property(steps, limits, (list, bounds) => {
      const table = emptyTable();
      const twin = emptyTable();
      const model = new Model(bounds);
      for (const [turn, { one, at }] of [...placed(list)].entries()) {
        for (const each of [table, twin]) execute(each, one, at, bounds);
        mirror(model, one, at);
        if (turn % 8 === 0) expectSame(table, model);
      }
      expectSame(table, model);
      expect(contents(twin)).toEqual(contents(table));
      for (const [which, clientId] of CLIENTS.entries()) {
        const row = model.of(which);
        const found = sessionOf(table, clientId);
        expect(found?.session).toBe(row?.session);
        if (row === undefined || found === null) continue;
        // Of a number, the reply is there or it is not: never that of another.
        for (let number = 0; number <= row.last + 2; number++)
          expect(keptReply(found.row, number)?.requestNumber).toBe(
            row.kept.find((reply) => reply.number === number)?.number,
          );
      }
    }),
    PROPERTY,
  );
});

function mirror(model: Model, one: Step, at: { op: number; idx: number }): void {
  const known = model.of(one.client);
  if (one.do === 'register') model.register(one.client, one.nonce, at.op, at.idx);
  else if (known === undefined) return;
  else if (one.do === 'request')
    model.request(known, at, one.bytes, Math.max(0, known.last + 1 - one.behind));
  else if (one.which !== 'other') model.remove(known);
}

test('CS1: a table that is full stays full, and the newest session is in it', { timeout }, () => {
  fc.assert(
    fc.property(fc.array(client, { maxLength: 40 }), limits, (list, bounds) => {
      const table = emptyTable();
      const live = new Set<string>();
      list.forEach((which, op) => {
        const clientId = CLIENTS[which] as ClientId;
        const session = register(table, { clientId, nonce: op, op, idx: 0 }, bounds, false);
        live.add(clientId.join());
        expect(table.rows.size).toBe(Math.min(live.size, bounds.maxSessions));
        expect(table.rows.get(session)?.clientId).toBe(clientId);
      });
    }),
    PROPERTY,
  );
});

test('two indexes that disagree are a violation, not a session out of nothing', () => {
  const bounds = { sessionWindow: 1, sessionReplyBytes: 0, maxSessions: 1 };
  const clientId: ClientId = [1, 2, 3, 4];
  const table = emptyTable();
  const session = register(table, { clientId, nonce: 1, op: 1, idx: 0 }, bounds, false);
  table.rows.delete(session);
  const message = new RegExp(`session ${session} is indexed but has no row`);
  expect(() => sessionOf(table, clientId)).toThrow(message);
  expect(() => unregister(table, clientId, session)).toThrow(ProtocolViolation);
  const full = { ...bounds, maxSessions: 0 };
  expect(() => register(emptyTable(), { clientId, nonce: 1, op: 1, idx: 0 }, full, false)).toThrow(
    /nobody to evict/,
  );
});
