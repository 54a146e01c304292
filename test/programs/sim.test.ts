// `viewstamp sim` as a user meets it, and seeds in other processes: on other threads, and with another compiler.

import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { ROOT, refused, start, viewstamp } from './fixtures/command.js';

const BAD = ['--mistake', 'smallViewChangeQuorum'] as const;

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

test('with --quiet a violation comes with the command that repeats it, and nothing else', async () => {
  const found = await viewstamp('sim', '--seeds', '5..5', ...BAD, '-q');
  expect(found.code).toBe(4);
  expect(found.stdout).toMatch(/^seed 5: I\d+/m);
  expect(found.stderr).toBe('again: viewstamp sim --replay 5 --mistake smallViewChangeQuorum\n');
});

test('Ctrl-C ends the shortening, and leaves the command that repeats the whole seed', async () => {
  const running = start(['sim', '--seeds', '5..5', ...BAD]);
  await new Promise<void>((resolve) => {
    running.process.stderr?.on('data', (text: string) => {
      if (text.includes('is being made short')) resolve();
    });
  });
  running.process.kill('SIGINT');
  const { code, stderr } = await running.ending;
  expect(code).toBe(4);
  expect(stderr).toMatch(/^again: viewstamp sim --replay 5 --mistake smallViewChangeQuorum$/m);
});

describe('a mistake that is not found', () => {
  const mistake = ['--mistake', 'truncateOnLaterView'];
  const said = /^error: truncateOnLaterView was switched on and not found in /m;

  test('is no clean run: the table names it, and the code is 1', async () => {
    const { code, stdout, stderr } = await viewstamp('sim', '--seeds', '1..2', ...mistake, '-q');
    expect(code).toBe(1);
    expect(stdout).toMatch(/ mistake switched on +│ +truncateOnLaterView /);
    expect(stdout).toMatch(/ virtual time +│ +\d+(\.\d+)?s /);
    expect(stderr).toMatch(said);
  });

  test('in one seed neither', async () => {
    const { code, stdout, stderr } = await viewstamp('sim', '--replay', '1', ...mistake);
    expect({ code, ok: stdout.startsWith('seed 1  ok') }).toEqual({ code: 1, ok: true });
    expect(stderr).toMatch(said);
  });
});

describe('one seed again', () => {
  test('numbers its faults, as --faults takes them, and names the kinds that are left', async () => {
    const whole = await viewstamp('sim', '--replay', '42');
    const all = whole.stdout.split('\n').filter((line) => /^ {2}\d+: at \d+ ms: /.test(line));
    expect(all.map((line) => Number.parseInt(line, 10))).toEqual(all.map((_, index) => index));
    const part = await viewstamp('sim', '--replay', '42', '--faults', '0,3', '--without', 'delay');
    const [line, ...faults] = part.stdout.trimEnd().split('\n');
    expect(faults).toEqual([all[0], all[3]]);
    expect(line).toMatch(/ {2}duplicate diskLost failingFlush$/);
  });

  test('as JSON', async () => {
    const { code, stdout } = await viewstamp(
      'sim',
      '--replay',
      '42',
      '--faults',
      '3',
      '-f',
      'json',
    );
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      kind: 'viewstamp.replay',
      schemaVersion: 1,
      seed: 42,
      mistake: null,
      failure: null,
      faults: [{ index: 3, kind: 'diskLost', atMs: 250, forMs: 650 }],
      again: 'viewstamp sim --replay 42 --faults 3',
    });
  });
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

test('a defect of the published protocol as JSON', async () => {
  const { code, stdout } = await viewstamp('sim', '--paper-defect', 'stale-life', '-f', 'json');
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({
    kind: 'viewstamp.paperDefect',
    name: 'stale-life',
    published: { violation: expect.stringMatching(/^I\d/) },
    implemented: { violation: null },
  });
});

describe('wrong usage', () => {
  test('a misspelt mistake gets suggestions, and not all names', async () => {
    const said = await refused(['sim', '--mistake', 'smallViewChangQuorum']);
    expect(said).toContain('Did you mean smallViewChangeQuorum?');
    expect(said).not.toContain('truncateOnLaterView');
  });

  test.each([
    [['--seeds', '0'], /out of range: from 1/],
    [['--seeds', '9..3'], /ends before it starts/],
    [['--seeds', '1..2..3'], /not a count or a range/],
    [['--replay', '-1'], /not a whole number/],
    [['--storm', '1s'], /--storm needs --replay/],
    [['--paper-defect', 'stale-life', '--lines'], /cannot be used with option '--lines'/],
    [['--replay', '1', '--without', 'los'], /'los' is no kind of fault: loss, delay/],
    [['--replay', '1', '--faults', '1,x'], /not a whole number/],
    [['--replay', '42', '--faults', '3,999'], /--faults 999: seed 42 has faults 0 to 33\n/],
    [['--replay', '1', '--seeds', '5'], /'--replay <seed>' cannot be used with option '--seeds/],
    [['--replay', '1', '--lines'], /cannot be used with option '--lines'/],
    [['--replay', '1', '--threads', '1'], /cannot be used with option '--threads/],
    [['--paper-defect', 'stale-life', '--seeds', '4'], /cannot be used with option '--seeds/],
    [['--paper-defect', 'stale-life', '--storm', '1s'], /--storm needs --replay/],
    [['--lines', '--format', 'json'], /--lines cannot be used with --format json/],
    [['--mistake', 'nope'], /Allowed choices are truncateOnLaterView/],
    [['--paper-defect', 'nope'], /Allowed choices are truncate-early, stale-life/],
  ])('%j', async (flags, said) => {
    const { code, stdout, stderr } = await viewstamp('sim', ...flags);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(said);
  });
});
