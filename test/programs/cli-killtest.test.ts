// `viewstamp killtest`, briefly; and that its books are books: whatever is planted in what they find is found.

import { readdirSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  appendKey,
  BATCH_COUNTER,
  counterKey,
  headKey,
  kindOf,
} from '#dist/cli/killtest/appender.js';
import { type AuditResult, Books } from '#dist/cli/killtest/books.js';
import { eioLack } from '#dist/cli/killtest/eio.js';
import { type JournalRecord, parseJournal } from '#dist/cli/killtest/journal.js';
import type { Found } from '#dist/cli/killtest/victim.js';
import { scratch, viewstamp } from './fixtures/command.js';

describe('three kills in a row', () => {
  test.each([
    ['batch', ['--witnesses', '1']],
    ['interval', []],
  ])('fsync %s: what must be there is there', async (fsync, more) => {
    const parent = scratch();
    const { code, stdout, stderr } = await viewstamp(
      ...['killtest', '--rounds', '3', '--seed', '5', '--data', parent, '--fsync', fsync],
      ...[...more, '--format', 'json', '--quiet'],
    );
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({ kind: 'viewstamp.killtest', violations: [], failure: null });
    expect(report.rounds.map(({ round }: { round: number }) => round)).toEqual([1, 2, 3]);
    expect(report.summary.kills).toBe(3);
    expect(report.summary.acked).toBeGreaterThan(0);
    if (fsync === 'batch') expect(report.summary.lost).toBe(0);
    expect(readdirSync(parent)).toEqual([]);
  });
});

describe('a disk that fails', () => {
  test.skipIf(eioLack() !== null)(
    'under one replica after the other: it stops with VR_DISK, the others go on, nothing is lost',
    async () => {
      const { code, stdout } = await viewstamp(
        ...['killtest', '--eio', '--witnesses', '1', '--data', scratch(), '--format', 'json'],
      );
      const { results } = JSON.parse(stdout);
      for (const result of results)
        expect(result).toMatchObject({
          crash: { replica: result.replica, code: 'VR_DISK' },
          audit: { lost: 0 },
          wrong: [],
        });
      expect(results.map(({ role }: { role: string }) => role)).toEqual([
        'primary',
        'backup',
        'witness',
      ]);
      expect(code).toBe(0);
    },
    180_000,
  );
});

const LANES = 2;

/** Operation `index` of all, in the order of execution: two writers in turns. */
function operation(index: number) {
  const lane = index % LANES;
  const seq = Math.floor(index / LANES) + 1;
  return { lane, seq, kind: kindOf(seq), revision: index + 1 };
}

/** What the store holds after the first `count` operations. */
function store(count: number): Map<string, NonNullable<Found>> {
  const found = new Map<string, NonNullable<Found>>();
  const put = (key: string, value: unknown, revision: number): void => {
    found.set(key, { value, revision, created: found.get(key)?.created ?? revision });
  };
  const raise = (key: string, revision: number): void =>
    put(key, Number(found.get(key)?.value ?? 0) + 1, revision);
  for (let index = 0; index < count; index++) {
    const { lane, seq, kind, revision } = operation(index);
    if (kind === 'set' || kind === 'batch') put(appendKey(lane, seq), seq, revision);
    if (kind === 'batch') raise(BATCH_COUNTER, revision);
    if (kind === 'incr') raise(counterKey(lane), revision);
    if (kind === 'cas') put(headKey(lane), seq, revision);
  }
  return found;
}

/** What the writers say of the first `sent` operations, of which the first `acked` were acknowledged. */
function journal(sent: number, acked: number): JournalRecord[] {
  return Array.from({ length: sent }, (_, index): JournalRecord[] => {
    const { lane, seq, kind, revision } = operation(index);
    const told = kind === 'incr' ? null : revision;
    const value = kind === 'incr' ? Number(store(index + 1).get(counterKey(lane))?.value) : null;
    const answer = { type: 'acked', lane, seq, revision: told, value, at: index } as const;
    return [{ type: 'sent', lane, seq, kind, at: index }, ...(index < acked ? [answer] : [])];
  }).flat();
}

/** Violations that one audit tells. */
const TOLD = 20;
const SENT = 24;
/** One call of each writer is open. */
const ACKED = SENT - LANES;

function audited(found: ReadonlyMap<string, Found>, durable = true): AuditResult {
  const books = new Books(LANES);
  books.enter(journal(SENT, ACKED));
  return books.audit(found, durable);
}

describe('the books', () => {
  test('all of it is there, with or without what was never answered', () => {
    for (const executed of [ACKED, SENT - 1, SENT])
      expect(audited(store(executed))).toEqual({
        ...{ acked: ACKED, unknown: LANES, lost: 0, lastKeptAt: ACKED - 1, firstLostAt: null },
        violations: [],
      });
  });

  test('a lost end is a violation only where everything is flushed first', () => {
    for (let executed = 0; executed < ACKED; executed++) {
      const { violations } = audited(store(executed));
      expect(violations).toHaveLength(Math.min(TOLD, ACKED - executed));
      expect(audited(store(executed), false)).toMatchObject({
        ...{ lost: ACKED - executed, firstLostAt: executed, violations: [] },
        lastKeptAt: executed === 0 ? null : executed - 1,
      });
    }
  });

  test('a hole in the sequence of a writer', () => {
    const found = store(SENT);
    found.delete(appendKey(0, 2));
    expect(audited(found, false).violations).toContainEqual(
      'operation 4 (batch) of writer 0 is there, and 2 before it is lost',
    );
  });

  test('one writer lost its end and the other one has executed later', () => {
    // Writer 1 has all, writer 0 nothing of its last four operations.
    const found = store(SENT);
    const early = store(SENT - 8);
    for (const [key] of found)
      if (key.startsWith('append:0:') || key === headKey(0) || key === counterKey(0)) {
        const was = early.get(key);
        if (was === undefined) found.delete(key);
        else found.set(key, was);
      }
    expect(audited(found, false).violations).toContainEqual(
      expect.stringMatching(/of writer 0 of revision \d+ is lost, and .* of writer 1 .* is there$/),
    );
  });

  test.each<[string, (found: Map<string, NonNullable<Found>>) => void, RegExp]>([
    [
      'a set that ran twice',
      (found) => found.set(appendKey(0, 2), { value: 2, revision: 99, created: 3 }),
      /operation 2 \(set\) of writer 0 was done twice/,
    ],
    [
      'one that ran again, after its key had gone',
      (found) => found.set(appendKey(0, 2), { value: 2, revision: 99, created: 99 }),
      /was done at 3, and is there with 99/,
    ],
    [
      'another value',
      (found) => found.set(appendKey(1, 2), { value: 7, revision: 4, created: 4 }),
      /operation 2 \(set\) of writer 1 holds 7/,
    ],
    [
      'a counter too high',
      (found) => found.set(counterKey(0), { value: 99, revision: 1, created: 1 }),
      /the counter of writer 0 stands at 99, and must from \d+ to \d+$/,
    ],
    [
      'a batch of which only the key is there',
      (found) => {
        const { value, ...rest } = found.get(BATCH_COUNTER) as NonNullable<Found>;
        found.set(BATCH_COUNTER, { ...rest, value: Number(value) - 1 });
      },
      /the counter of all batches stands at \d+, and the keys of \d+ batches are there/,
    ],
    [
      'a head that nobody moved there',
      (found) => found.set(headKey(1), { value: 12, revision: 1, created: 1 }),
      /the head of writer 1 is 12, where nobody moved it/,
    ],
  ])('%s', (_what, plant, said) => {
    const found = store(SENT);
    plant(found);
    for (const durable of [true, false])
      expect(audited(found, durable).violations.join('\n')).toMatch(said);
  });

  test('what was refused must not be there', () => {
    const books = new Books(LANES);
    books.enter([
      { type: 'sent', lane: 0, seq: 2, kind: 'set', at: 1 },
      { type: 'refused', lane: 0, seq: 2 },
    ]);
    const found = new Map([[appendKey(0, 2), { value: 2, revision: 1, created: 1 }]]);
    expect(books.audit(found, true).violations).toEqual([
      'operation 2 (set) of writer 0 was refused, and is there',
    ]);
  });

  test('what one audit has found, a later one must find as well', () => {
    const books = new Books(LANES);
    books.enter(journal(SENT, SENT));
    expect(books.audit(store(SENT), true).violations).toEqual([]);
    const keys = books.settled('all');
    const found = keys.map((key): Found => store(SENT).get(key) ?? null);
    expect(books.recheck(keys, found)).toEqual([]);
    found[0] = null;
    expect(books.recheck(keys, found)).toEqual([
      `${keys[0]} was there with revision 1, and is with null`,
    ]);
    // The next round goes on behind it.
    expect(books.starts).toEqual([
      { lane: 0, seq: SENT / LANES + 1, head: 11 },
      { lane: 1, seq: SENT / LANES + 1, head: 11 },
    ]);
  });

  test('a journal that was cut off ends with its last whole line', () => {
    const lines = journal(2, 2).map((record) => JSON.stringify(record));
    expect(parseJournal(`${lines.join('\n')}\n{"type":"se`)).toEqual(journal(2, 2));
  });
});
