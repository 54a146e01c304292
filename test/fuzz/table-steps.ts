// Sequences of steps that a client table may see, for tests of the table and of what is made of it.

import fc from 'fast-check';
import { expect } from 'vitest';
import {
  type ClientTable,
  keepReply,
  register,
  sessionOf,
  type TableLimits,
  unregister,
} from '../../src/protocol/client-table.js';
import type { ClientId } from '../../src/protocol/types.js';

/** Ids that are alike as text, as numbers, and in all words but one. */
export const CLIENTS: readonly ClientId[] = [
  [0, 0, 0, 0],
  [0, 0, 0, 1],
  [0, 0, 0, 10],
  [0, 0, 0, 9],
  [1, 0, 0, 0],
  [0, 1, 0, 0],
  [1, 11, 1, 1],
  [11, 1, 1, 1],
  [0xffff_ffff, 0, 0, 0],
];

export type Step =
  | { readonly do: 'register'; readonly client: number; readonly nonce: number }
  | { readonly do: 'unregister'; readonly client: number; readonly which: 'any' | 'own' | 'other' }
  | {
      readonly do: 'request';
      readonly client: number;
      readonly bytes: number;
      /** How many of the latest requests are not acknowledged; negative: more than there are. */
      readonly behind: number;
    };

export const client = fc.nat(CLIENTS.length - 1);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('register' as const), client, nonce: fc.nat(2) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('unregister' as const),
      client,
      which: fc.constantFrom('any' as const, 'own' as const, 'other' as const),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('request' as const),
      client,
      bytes: fc.oneof(fc.nat(20), fc.constantFrom(0, 99, 100, 101, 300)),
      behind: fc.oneof(fc.integer({ min: -2, max: 9 }), fc.constant(1000)),
    }),
  },
);
/** Several requests share an entry, so `lastOp` ties happen. */
export const steps: fc.Arbitrary<[Step, boolean][]> = fc.array(fc.tuple(step, fc.boolean()), {
  maxLength: 80,
});
/** Each step with its place in the log, which begins above `op`. */
export function* placed(
  list: readonly [Step, boolean][],
  op = 1,
): Generator<{ readonly one: Step; readonly at: { op: number; idx: number } }> {
  const at = { op, idx: 0 };
  for (const [one, nextEntry] of list) {
    if (nextEntry) {
      at.op++;
      at.idx = 0;
    } else at.idx++;
    yield { one, at: { ...at } };
  }
}

export const limits: fc.Arbitrary<TableLimits> = fc.record({
  sessionWindow: fc.integer({ min: 1, max: 6 }),
  sessionReplyBytes: fc.constantFrom(0, 1, 50, 100, 1000),
  maxSessions: fc.integer({ min: 1, max: 6 }),
});

export function resultOf(session: number, number: number, bytes: number): Uint8Array {
  return new Uint8Array(bytes).fill(session * 7 + number);
}

export function execute(
  table: ClientTable,
  one: Step,
  at: { op: number; idx: number },
  bounds: TableLimits,
): void {
  const clientId = CLIENTS[one.client] as ClientId;
  const known = sessionOf(table, clientId);
  switch (one.do) {
    case 'register':
      expect(register(table, { clientId, nonce: one.nonce, ...at }, bounds, false)).toBe(
        sessionOf(table, clientId)?.session,
      );
      return;
    case 'unregister':
      unregister(table, clientId, sessionToLeave(one.which, known?.session));
      return;
    case 'request': {
      if (known === null) return;
      const requestNumber = known.row.lastRequest + 1;
      const result = resultOf(known.session, requestNumber, one.bytes);
      const acked = Math.max(0, requestNumber - one.behind);
      keepReply(known.row, { requestNumber, ...at, result }, acked, bounds);
    }
  }
}

function sessionToLeave(which: 'any' | 'own' | 'other', own: number | undefined): number {
  if (which === 'any' || own === undefined) return 0;
  return which === 'own' ? own : own + 1;
}
