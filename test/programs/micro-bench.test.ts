// The micro benchmarks for a moment each: every piece still starts, does what it says and ends. The figures are of no interest.

import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { scratch } from './fixtures/command.js';

const run = promisify(execFile);
const SUITE = 'build/bench/micro/suite.js';
const STORAGE = 'build/bench/micro/storage.js';
/** One piece of each file at least, and all that are compared with each other. */
const PIECES = [
  'request body: write a set',
  'request body, msgpackr: write a set',
  'entry body: walk a request of 64 B',
  'value, msgpackr: read a small object',
  'frame: read a Prepare of 32 KiB',
  'frame, msgpackr: read a Prepare of 32 KiB',
  'table of 1,000 keys: byte table, get',
  'table of 1,000 keys: Map, set, from bytes',
  'store: execute a set, 10,000 keys',
  'image: freeze and release a page',
  'checkpoint: digest of a page',
  'log: append a copy of an entry of 32 KiB',
  'log: truncate the end, an entry',
  'core, a set in an entry of 1 request of 512: primary admits and cuts',
  'core, a set in an entry of 256 requests of 1: all of it, executed by both',
  ...['64 B', '1 KiB', '64 KiB', '1 MiB'].flatMap((size) =>
    ['ring', 'postMessage', 'ringbuf.js', 'memcpy'].map((how) => `frames of ${size}: ${how}`),
  ),
];

interface Measured {
  readonly name: string;
  readonly ns: number;
}

test('--smoke runs every piece, and --json writes what the table shows', async () => {
  const file = join(scratch(), 'micro.json');
  const { stdout, stderr } = await run(process.execPath, [SUITE, '--smoke', '--json', file]);
  expect(stderr).toBe('');
  const document = JSON.parse(readFileSync(file, 'utf8'));
  expect(document).toMatchObject({
    kind: 'viewstamp.micro',
    schemaVersion: 1,
    env: { node: process.versions.node },
    effort: { rounds: 1 },
    capacity: [expect.any(Number), expect.any(Number)],
    ringRatios: { overPostMessage: expect.any(Number), overCopy: expect.any(Number) },
  });
  const pieces = document.pieces as Measured[];
  expect(pieces.map(({ name }) => name)).toEqual(expect.arrayContaining(PIECES));
  for (const { name, ns } of pieces) {
    expect(ns, name).toBeGreaterThan(0);
    expect(stdout).toContain(name);
  }
});

test.each([
  [['no', 'such', 'piece'], 'no piece has all of these words in its name: no, such, piece'],
  [['--rounds', '0'], "'0' is out of range: from 1 to 1000"],
  [['--json', 'micro.csv'], "'micro.csv' must end in .json"],
])('%j is refused', async (flags, why) => {
  await expect(run(process.execPath, [SUITE, ...flags])).rejects.toMatchObject({
    code: 2,
    stdout: '',
    stderr: expect.stringContaining(why),
  });
});

test('what storage costs: --smoke prints every line, and leaves nothing behind', async () => {
  const dir = scratch();
  const { stdout } = await run(process.execPath, [STORAGE, '--smoke', '--dir', dir]);
  const lines = stdout.trimEnd().split('\n');
  expect(lines.map((line) => line.split(/ {2,}/)[0])).toEqual([
    'fdatasync after 64 KiB',
    'append to durable, 1 KiB',
    ...['1 KiB', '64 KiB'].flatMap((bytes) =>
      ['batch', 'interval', 'none'].map((mode) => `append ${bytes} ${mode}`),
    ),
    'switch, 10 x 1 KiB',
    '40 pages of 4 KiB',
  ]);
  for (const line of lines) expect(line).not.toMatch(/NaN|Infinity|undefined/);
  expect(readdirSync(dir)).toEqual([]);
});
