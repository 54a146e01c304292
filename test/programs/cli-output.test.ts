// What becomes of a command whose output nobody reads any more, or cannot be written: its verdict stands, and it leaves nothing behind.

import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { leftover, refused, scratch, start, viewstamp } from './fixtures/command.js';

const BRIEF = ['--runs', '1', '--warmup', '0s', '--pretouch', '0', '--keyspace', '50', '-q'];

/** Ends like its reader: closes its end before anything is said, or after so many lines. */
async function readLines(args: readonly string[], lines: number): Promise<number | null> {
  const running = start(args);
  const { stdout } = running.process;
  let read = 0;
  if (lines === 0) stdout?.destroy();
  stdout?.on('data', (text: string) => {
    read += text.split('\n').length - 1;
    if (read >= lines) stdout.destroy();
  });
  const { code, stderr } = await running.ending;
  expect(stderr).not.toMatch(/\n\s+at /);
  expect(leftover(running)).toBe(false);
  return code;
}

test('a pipe that is closed in the middle ends the run: what was found counts, and nothing found so far is no success', async () => {
  const found = ['sim', '--mistake', 'ownClock', '--seeds', '1..40', '-q', '--lines'];
  expect(await readLines(found, 1)).toBe(4);
  expect(await readLines(['sim', '--seeds', '1..1000', '-q', '--lines'], 1)).toBe(141);
});

test('a pipe that is closed before the last word changes no verdict', async () => {
  const file = join(scratch(), 'base.json');
  const bench = ['bench', '-n', '200', ...BRIEF];
  expect((await viewstamp(...bench, '-o', file)).code).toBe(0);
  expect(await readLines(bench, 0)).toBe(0);
  const slower = ['--baseline', file, '--fail-if', 'throughput<+1000000%'];
  expect(await readLines([...bench, ...slower], 0)).toBe(3);
});

test('killtest whose reader has gone leaves no directory and no process', async () => {
  const parent = scratch();
  expect(await readLines(['killtest', '--rounds', '9', '-q', '--data', parent], 1)).toBe(141);
  expect(readdirSync(parent)).toEqual([]);
});

test('SIGHUP drains as Ctrl-C does', async () => {
  const parent = scratch();
  const running = start(['bench', '-t', '60s', '--data', parent, '--runs', '1', '-q']);
  while (readdirSync(parent).length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
  running.process.kill('SIGHUP');
  const { code, stderr } = await running.ending;
  expect({ code, stderr }).toEqual({ code: 129, stderr: 'ended by SIGHUP\n' });
  expect(readdirSync(parent)).toEqual([]);
});

test('a file that cannot be written is found before anything is measured', async () => {
  const folder = scratch();
  const taken = join(folder, 'taken.json');
  mkdirSync(taken);
  const free = join(folder, 'free.csv');
  for (const args of [
    ['bench', '-o', taken, '-o', free],
    ['tune', '--write', taken],
  ])
    expect(await refused(args)).toContain('EISDIR');
  expect(readdirSync(folder)).toEqual(['taken.json']);
});

test('up keeps nothing on a disk that nobody named', async () => {
  expect(await refused(['up', '--fsync', 'interval'])).toContain('--fsync needs a directory');
  expect(await refused(['up', '--data', ''])).toContain('the name of the directory is empty');
});
