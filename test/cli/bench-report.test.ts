// What the table says of a rate that was not reached, and of the entries of the log.

import { expect, test } from 'vitest';
import { benchCsv, benchTable, summaries } from '../../src/cli/bench-report.js';
import { describeEntries, entriesBetween, sumOfEntries } from '../../src/cli/entries.js';
import { ENTRIES, FLAGS, report, result } from './results.js';

const FIGURES = { opsPerSecond: 4000, p99Us: 2000 };

function tableOf(
  rate: number | undefined,
  backlog: { dropped: number; unsent: number; most: number },
) {
  const flags = rate === undefined ? FLAGS : { ...FLAGS, rate };
  return benchTable(report(flags, { ...FIGURES, backlog }));
}

test('a closed loop has no rate that was wanted', () => {
  const text = tableOf(undefined, { dropped: 0, unsent: 0, most: 0 });
  expect(text).not.toContain('wanted/s');
  expect(text).toContain('latency is of one pipeline, from submit to answer');
});

test('a rate that was reached stands beside the one that was wanted, and nothing more is said', () => {
  const text = tableOf(4000, { dropped: 0, unsent: 0, most: 0 });
  expect(text).toMatch(/ wanted\/s │ +ops\/s /);
  expect(text).toMatch(/ 4,000 │ 4,000/);
  expect(text).toContain('latency is of one pipeline, from when it was due to answer');
  expect(text).not.toMatch(/waited|not sent|dropped/);
});

test('what waited and what was not sent is said', () => {
  const text = tableOf(9000, { dropped: 0, unsent: 700, most: 1234 });
  expect(text).toMatch(/: 4,000 of 9,000 operations\/s; up to 1,234 waited to be sent/);
  expect(text).toMatch(/: 700 operations not sent when the time was up; latency contains/);
  expect(text).not.toContain('dropped');
});

test('what was dropped makes the row doubtful, also where nothing may wait', () => {
  const backlog = { dropped: 5000, unsent: 0, most: 0 };
  const text = tableOf(9000, backlog);
  expect(text).toMatch(/ 9,000 │ 4,000 \? │/);
  expect(text).toMatch(/^\? .*5,000 operations dropped that found no room in the backlog/m);
  expect(text).toMatch(/: 4,000 of 9,000 operations\/s; up to 0 waited/);
  const [head = '', row = ''] = benchCsv(
    report({ ...FLAGS, workload: 'ycsb-a', rate: 9000 }, { ...FIGURES, backlog }),
  ).split('\n');
  const at = head.split(',').indexOf('dropped');
  expect(row.split(',')[at]).toBe('5000');
});

test.each([
  [133.2757444873835, '133 B'],
  [16.64, '16.6 B'],
  [512, '512 B'],
  [1536, '1.5 KiB'],
])('a mean of %d bytes is told as %s', (bytes, wanted) => {
  const entries = { ...ENTRIES, entries: 1, requests: 1, bytes };
  expect(describeEntries(entries)).toBe(`1.0 requests and ${wanted} per entry`);
});

test('the entries of all runs are told as one mean, and written bucket by bucket', () => {
  const once = report(FLAGS, FIGURES);
  const twice = { ...once, runs: [...once.runs, ...once.runs] };
  expect(benchTable(twice)).toMatch(/^batch auto, .*: 1\.3 requests and 1\.5 KiB per entry$/m);
  expect(summaries(twice)[0]?.entries).toEqual({
    entries: 8,
    requests: 10,
    bytes: 12_288,
    byRequests: ENTRIES.byRequests.map(([upTo, entries]) => [upTo, 2 * entries]),
    byBytes: ENTRIES.byBytes.map(([upTo, entries]) => [upTo, 2 * entries]),
  });
  const document = result(FLAGS, FIGURES);
  expect([document.runs[0]?.entries, document.summary[0]?.entries]).toEqual([ENTRIES, ENTRIES]);
});

test('a difference has the later figures less the earlier ones; without entries there is no mean', () => {
  const rest = entriesBetween(ENTRIES, sumOfEntries([ENTRIES, ENTRIES, ENTRIES]));
  expect(rest).toEqual(sumOfEntries([ENTRIES, ENTRIES]));
  expect(describeEntries(entriesBetween(ENTRIES, ENTRIES))).toBe('no entries');
});
