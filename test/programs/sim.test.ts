// `viewstamp sim` as a user meets it, and seeds in other processes: on other threads, and with another compiler.

import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { ROOT, viewstamp } from './fixtures/command.js';

/** The line of each seed, in their order. */
function lines(stdout: string): string[] {
  const numbered = stdout.split('\n').filter((line) => line.startsWith('seed '));
  return numbered.sort((a, b) => Number(a.split(' ')[1]) - Number(b.split(' ')[1]));
}

test('fifty seeds give the same hashes in another process, without the optimising compiler, on another number of threads', {
  timeout: 240_000,
}, async () => {
  const seeds = ['sim', '--seeds', '1..50', '--lines', '--quiet'];
  const main = join(ROOT, 'dist/cli/main.js');
  const [first, other] = await Promise.all([
    viewstamp(...seeds, '--threads', '1'),
    promisify(execFile)(process.execPath, ['--no-opt', main, ...seeds, '--threads', '2']),
  ]);
  expect(first.code).toBe(0);
  expect(lines(first.stdout)).toHaveLength(50);
  expect(lines(other.stdout)).toEqual(lines(first.stdout));
});

test('the figures of a run parse, and nothing was found', async () => {
  const { code, stdout, stderr } = await viewstamp('sim', '--seeds', '1..4', '-f', 'json');
  const figures = JSON.parse(stdout);
  expect(code).toBe(0);
  expect(stderr).toContain('seeds 1 to 4');
  expect(figures).toMatchObject({ kind: 'viewstamp.sim', seeds: 4, violations: 0, undecided: 0 });
  expect(figures.operations).toBeGreaterThan(100);
  expect(figures.counters.viewChangeStarted).toBeGreaterThan(0);
});

test('a mistake ends with code 4, a short schedule, and the command that repeats it', {
  timeout: 180_000,
}, async () => {
  const mistake = ['--mistake', 'smallViewChangeQuorum'];
  const found = await viewstamp('sim', '--seeds', '1..40', ...mistake);
  expect(found.code).toBe(4);
  expect(found.stdout).toMatch(/seed \d+: I\d+/);
  const again = /^again: viewstamp (sim --replay .*)$/m.exec(found.stderr)?.[1] ?? '';
  const repeated = await viewstamp(...again.split(' '));
  expect(repeated.code).toBe(4);
  expect(repeated.stdout.split('\n')[0]).toBe(
    found.stderr.split('\n').find((line) => line.startsWith('seed ') && line.includes('FAILED')),
  );
});

describe('the defects of the published protocol', () => {
  test.each(['truncate-early', 'stale-life'])('%s is told with and without', async (name) => {
    const { code, stdout } = await viewstamp('sim', '--paper-defect', name);
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /As published[\s\S]*VIOLATED I\d[\s\S]*As implemented[\s\S]*no invariant is broken/,
    );
  });
});

describe('wrong usage', () => {
  test.each([
    [['--seeds', '0'], /out of range: from 1/],
    [['--seeds', '9..3'], /ends before it starts/],
    [['--seeds', '1..2..3'], /not a count or a range/],
    [['--replay', '-1'], /not a whole number/],
    [['--storm', '1s'], /--storm needs --replay/],
    [['--paper-defect', 'stale-life', '--lines'], /cannot be used with option '--lines'/],
    [['--replay', '1', '--without', 'los'], /'los' is no kind of fault: loss, delay/],
    [['--replay', '1', '--faults', '1,x'], /not a whole number/],
    [['--mistake', 'nope'], /Allowed choices are truncateOnLaterView/],
    [['--paper-defect', 'nope'], /Allowed choices are truncate-early, stale-life/],
  ])('%j', async (flags, said) => {
    const { code, stdout, stderr } = await viewstamp('sim', ...flags);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(said);
  });
});
