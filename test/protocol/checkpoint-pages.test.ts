// What the core itself puts into a checkpoint (CP2): the client table in pages, and the page with the rest.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ProtocolViolation } from '../../src/protocol/assert.js';
import { decodeMeta, encodeMeta } from '../../src/protocol/checkpoint/meta-page.js';
import {
  decodeRows,
  encodeRow,
  type FrozenRow,
  freezeRows,
} from '../../src/protocol/checkpoint/session-pages.js';
import {
  type ClientTable,
  emptyTable,
  keepReply,
  register,
} from '../../src/protocol/client-table.js';
import type { Member } from '../../src/protocol/configuration.js';
import { PROPERTY, TIMEOUT_MS } from '../fuzz/counts.js';
import { execute, limits, placed, type Step, steps } from '../fuzz/table-steps.js';

const timeout = TIMEOUT_MS;
const pageBytes = fc.constantFrom(256, 512, 4096);

function run(
  table: ClientTable,
  list: readonly [Step, boolean][],
  bounds: Parameters<typeof execute>[3],
  op: number,
): void {
  for (const { one, at } of placed(list, op)) execute(table, one, at, bounds);
}

function pagesOf(rows: readonly FrozenRow[], bytes: number): Uint8Array[] {
  return rows.flatMap((row) => encodeRow(row, bytes));
}

test('CP2: any client table comes back from its pages, row by row and in the same order', {
  timeout,
}, () => {
  fc.assert(
    fc.property(steps, limits, pageBytes, (list, bounds, bytes) => {
      const table = emptyTable();
      run(table, list, bounds, 1);
      const pages = pagesOf(freezeRows(table), bytes);
      for (const page of pages) expect(page.length).toBe(bytes);
      const back = decodeRows(pages, bytes);
      expect([...back.rows]).toEqual([...table.rows]);
      expect(back.byClient).toEqual(table.byClient);
      // And goes on like the one that never stopped.
      run(back, list, bounds, 1000);
      run(table, list, bounds, 1000);
      expect([...back.rows]).toEqual([...table.rows]);
    }),
    PROPERTY,
  );
});

test('CP1, CP2: frozen rows stay what they were, and rows that did not change have the same pages at any place', {
  timeout,
}, () => {
  fc.assert(
    fc.property(steps, steps, limits, pageBytes, (list, more, bounds, bytes) => {
      const table = emptyTable();
      run(table, list, bounds, 1);
      const frozen = freezeRows(table);
      const bytesOf = (row: FrozenRow): Buffer => Buffer.concat(encodeRow(row, bytes));
      const before = new Map(frozen.map((row) => [row.session, bytesOf(row)]));
      const textOf = (): Map<number, string> =>
        new Map([...table.rows].map(([session, row]) => [session, JSON.stringify(row)]));
      const known = textOf();
      run(table, more, bounds, 1000);
      for (const row of frozen)
        if (!bytesOf(row).equals(before.get(row.session) as Buffer)) expect.fail('it changed');
      const now = textOf();
      for (const row of freezeRows(table)) {
        const { session } = row;
        const same = bytesOf(row).equals(before.get(session) ?? Buffer.alloc(0));
        expect(same).toBe(now.get(session) === known.get(session));
      }
    }),
    PROPERTY,
  );
});

/** One row with replies of these lengths. */
function rowOf(lengths: readonly number[], session = 4096): FrozenRow {
  const table = emptyTable();
  const bounds = { sessionWindow: 32, sessionReplyBytes: 1 << 20, maxSessions: 8 };
  const at = { op: session / 4096, idx: 0 };
  register(table, { clientId: [1, 2, 3, session], nonce: 2 ** 52 + 1, ...at }, bounds, false);
  const [row] = freezeRows(table);
  for (const [n, length] of lengths.entries())
    keepReply(
      row?.row as FrozenRow['row'],
      {
        requestNumber: n + 1,
        op: 2 ** 40 + n,
        idx: 4095 - n,
        result: new Uint8Array(length).fill(n + 1),
      },
      0,
      bounds,
    );
  return row as FrozenRow;
}

test('CP2: a row takes as many pages as it needs, filled up with zeros', () => {
  // 56 bytes of row, 24 of a reply, and its result up to the next multiple of 8.
  for (const [lengths, count] of [
    [[], 1],
    [[176], 1],
    [[169], 1],
    [[177], 2],
    [[0, 0, 0, 0, 0, 0, 0, 0], 1],
    [[0, 0, 0, 0, 0, 0, 0, 0, 0], 2],
    [[1000, 1, 7, 8, 9], 5],
  ] as const) {
    const row = rowOf(lengths);
    const pages = encodeRow(row, 256);
    expect(pages.length, lengths.join()).toBe(count);
    const used =
      56 + lengths.reduce<number>((sum, length) => sum + 24 + 8 * Math.ceil(length / 8), 0);
    expect(
      Buffer.concat(pages)
        .subarray(used)
        .every((byte) => byte === 0),
    ).toBe(true);
    expect([...decodeRows(pages, 256).rows.values()]).toEqual([row.row]);
  }
});

test('CP2: pages that no table has are refused', () => {
  const pages = encodeRow(rowOf([400, 5]), 256);
  const damaged = (at: number, value: number, all = pages): Uint8Array[] => {
    const copy = all.map((page) => page.slice());
    new DataView((copy[0] as Uint8Array).buffer).setUint32(at, value, true);
    return copy;
  };
  for (const wrong of [
    pages.slice(0, -1),
    [...pages, new Uint8Array(256)],
    [...pages, ...pages],
    damaged(48, 0), // no pages
    damaged(48, 9), // more than there are
    damaged(44, 3), // a reply behind the last one, of no length, and then none
    damaged(44, 1_000_000),
    damaged(56 + 16, 4), // no such code
    damaged(56 + 20, 100_000), // longer than its row
    pages.map((page) => page.subarray(0, 255)),
  ])
    expect(() => decodeRows(wrong, 256)).toThrow(ProtocolViolation);
  expect(decodeRows([], 256)).toEqual(emptyTable());
});

const members: fc.Arbitrary<Member[]> = fc.uniqueArray(
  fc.record({
    id: fc.nat(2 ** 32 - 1),
    role: fc.constantFrom('active' as const, 'witness' as const),
  }),
  { minLength: 1, maxLength: 9, selector: (member) => member.id },
);
const number = fc.maxSafeNat();

test('CP2: the meta page gives back op, time and configuration, and nothing else is in it', {
  timeout,
}, () => {
  fc.assert(
    fc.property(number, number, number, fc.nat(2 ** 32 - 1), members, pageBytes, (...drawn) => {
      const [op, ts, storeBytes, epoch, list, bytes] = drawn;
      const meta = { op, ts, configuration: { epoch, members: list, storeBytes } };
      const page = encodeMeta(meta, bytes);
      expect(page.length).toBe(bytes);
      expect(decodeMeta(page)).toEqual(meta);
      expect(page.subarray(32 + 8 * list.length).every((byte) => byte === 0)).toBe(true);
      // It may lie anywhere in what arrived.
      const shifted = new Uint8Array(bytes + 3);
      shifted.set(page, 3);
      expect(decodeMeta(shifted.subarray(3))).toEqual(meta);
    }),
    PROPERTY,
  );
});

test('CP2: a meta page that names more members than it holds is refused', () => {
  const page = new Uint8Array(256);
  new DataView(page.buffer).setUint32(28, 29, true);
  expect(() => decodeMeta(page)).toThrow(ProtocolViolation);
  new DataView(page.buffer).setUint32(28, 28, true);
  expect(decodeMeta(page).configuration.members).toHaveLength(28);
});
