// Commands on a data directory: `up` runs a cluster in it and drains, `inspect` shows what lies there whole or damaged, `bench --data`
// leaves nothing behind.

import { createHash } from 'node:crypto';
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type OpenOptions, open } from 'viewstamp';
import { describe, expect, test } from 'vitest';
import { countUp, untilTrue } from '../live/counting.js';
import { leftover, type Running, refused, scratch, start, viewstamp } from './fixtures/command.js';

/** A directory with a cluster that was written to and closed. @returns its path. */
async function directory(
  options: Pick<OpenOptions, 'replicas' | 'witnesses'> = {},
  writes = 40,
): Promise<string> {
  const dir = join(scratch(), 'data');
  await write(dir, 'made', { ...options, writes });
  return dir;
}

async function write(
  dir: string,
  prefix: string,
  options: Pick<OpenOptions, 'replicas' | 'witnesses'> & { readonly writes: number },
): Promise<void> {
  const { writes, ...shape } = options;
  await using cluster = await open({ ...shape, durability: { dir }, checkpointEvery: 16 });
  // One entry each: they wait for each other.
  for (let at = 0; at < writes; at++)
    await cluster.kv.set(`${prefix}:${at}`, `${prefix}-value-${at}`);
  // A quorum has them; each store is to.
  const heads = async (): Promise<number> => {
    const { replicas } = await cluster.status();
    return new Set(replicas.map(({ opNumber }) => opNumber)).size;
  };
  await expect.poll(heads, { timeout: 20_000 }).toBe(1);
}

function hashes(dir: string): Record<string, string> {
  const hash = (name: string): string =>
    createHash('sha256')
      .update(readFileSync(join(dir, name)))
      .digest('hex');
  return Object.fromEntries(readdirSync(dir).map((name) => [name, hash(name)]));
}

/** Changes one bit wherever `text` stands in the file: pages that are not in use any more may still show it. */
function flip(file: string, text: string): void {
  const bytes = readFileSync(file);
  let count = 0;
  for (let at = bytes.indexOf(text); at >= 0; at = bytes.indexOf(text, at + 1), count++)
    bytes[at] = (bytes[at] as number) ^ 1;
  expect(count).toBeGreaterThan(0);
  writeFileSync(file, bytes);
}

async function inspected(dir: string): Promise<{ code: number | null; report: InspectJson }> {
  const { code, stdout, stderr } = await viewstamp('inspect', dir, '--format', 'json');
  expect(stderr).toBe('');
  return { code, report: JSON.parse(stdout) };
}

interface InspectJson {
  readonly sound: boolean;
  readonly owner: { readonly pid: number; readonly state: string } | null;
  readonly problems: readonly string[];
  readonly remarks: readonly string[];
  readonly replicas: readonly {
    readonly store: string;
    readonly log: { readonly start: number; readonly end: number; readonly commit: number } | null;
    readonly checkpoint: { readonly op: number; readonly root: string } | null;
  }[];
  readonly comparisons: readonly {
    readonly replicas: readonly number[];
    readonly equalUpTo: number | null;
    readonly equalRoots: boolean | null;
  }[];
}

/** What a running command has said so far. */
function heard(running: Running): { readonly text: () => string } {
  let text = '';
  running.process.stderr?.on('data', (more: string) => {
    text += more;
  });
  return { text: () => text };
}

async function ready(running: Running): Promise<() => string> {
  const { text } = heard(running);
  await untilTrue(() => text().includes('ready after'));
  return text;
}

describe('up', () => {
  test('says where it is and who leads; SIGINT drains, and the next one goes on there', async () => {
    const dir = join(scratch(), 'data');
    const first = start(['up', '--data', dir, '--replicas', '3', '--witnesses', '1']);
    await ready(first);
    first.process.kill('SIGINT');
    const ending = await first.ending;
    expect(ending).toMatchObject({ code: 130, signal: null, stdout: '' });
    expect(ending.stderr).toMatch(
      /^\S+Z process \d+: 3 replicas \(1 of them witnesses\) in \S+data, fsync batch; replica 0 leads view 0, /m,
    );
    expect(ending.stderr).toMatch(/ draining\n[\s\S]* closed\nended by SIGINT\n$/);
    expect(leftover(first)).toBe(false);
    expect((await inspected(dir)).report).toMatchObject({ sound: true, owner: null });
    // It need not be told again what was made there.
    const second = start(['up', '--data', dir]);
    const text = await ready(second);
    expect(text()).toMatch(/3 replicas \(1 of them witnesses\) in .* leads view [1-9]/);
    second.process.kill('SIGTERM');
    expect(await second.ending).toMatchObject({ code: 143, signal: null });
  });

  test('a directory in use is refused with code 5, one made otherwise with 2', async () => {
    const dir = await directory();
    const { code, stderr } = await viewstamp('up', '--data', dir, '--replicas', '5');
    expect(code).toBe(2);
    expect(stderr).toContain('was made with replicas 3, not 5 (VR_CONFIG)');
    await using _ = await open({ durability: { dir } });
    const refused = await viewstamp('up', '--data', dir);
    expect(refused).toMatchObject({ code: 5, stdout: '' });
    expect(refused.stderr).toMatch(
      new RegExp(`^error: .* is in use by process ${process.pid}, .*\\(VR_DIR_LOCKED\\)\n$`),
    );
  });

  test('a damaged store is told, given up, and whole again after it', async () => {
    const dir = await directory();
    flip(join(dir, 'replica-1.mdb'), 'made-value-39');
    const running = start(['up', '--data', dir]);
    const text = await ready(running);
    expect(text()).toMatch(
      / replica 1: its store is damaged and given up, it recovers: entry \d+ is broken/,
    );
    running.process.kill('SIGINT');
    expect(await running.ending).toMatchObject({ code: 130 });
    expect((await inspected(dir)).report).toMatchObject({ sound: true, problems: [] });
  });

  test('in memory, and without a directory to flush', async () => {
    const running = start(['up', '--replicas', '1']);
    const text = await ready(running);
    expect(text()).toContain('1 replicas (0 of them witnesses) in memory; replica 0 leads view 0');
    running.process.kill('SIGTERM');
    expect(await running.ending).toMatchObject({ code: 143, stdout: '' });
  });
});

describe('inspect', () => {
  test('shows what every replica holds and that they agree, and changes nothing', async () => {
    const dir = await directory({ witnesses: 1 });
    const before = hashes(dir);
    const { code, report } = await inspected(dir);
    expect({ code, ...report }).toMatchObject({ code: 0, sound: true, owner: null, problems: [] });
    expect(report.replicas.map(({ store }) => store)).toEqual(['whole', 'whole', 'whole']);
    for (const { log } of report.replicas) expect(log?.end).toBeGreaterThan(40);
    const [first, second, witness] = report.replicas;
    expect(first?.checkpoint).toMatchObject({ root: expect.stringMatching(/^[0-9a-f]{32}$/) });
    expect(second?.checkpoint).toEqual(first?.checkpoint);
    expect(witness?.checkpoint).toBeNull();
    expect(report.comparisons).toHaveLength(3);
    for (const { equalUpTo } of report.comparisons)
      expect(equalUpTo).toBeGreaterThanOrEqual(first?.log?.commit ?? Number.NaN);
    expect(report.comparisons[0]).toMatchObject({ replicas: [0, 1], equalRoots: true });
    const { code: tableCode, stdout } = await viewstamp('inspect', dir);
    expect(tableCode).toBe(0);
    expect(stdout).toMatch(/^│ 2 +│ witness │ [\s\S]*\nnothing wrong was found\n$/m);
    expect(hashes(dir)).toEqual(before);
  });

  test('says who has it open, while that one writes', async () => {
    const dir = join(scratch(), 'data');
    await using cluster = await open({ durability: { dir, fsync: 'none' } });
    const load = countUp(cluster, 'n');
    const { code, report } = await inspected(dir);
    await load.stop();
    expect({ code, sound: report.sound }).toEqual({ code: 0, sound: true });
    expect(report.owner).toMatchObject({ pid: process.pid, state: 'alive' });
    for (const { store } of report.replicas) expect(['whole', 'busy']).toContain(store);
  });

  test('one flipped bit in a store: names the entry, shows the others, code 4', async () => {
    const dir = await directory();
    flip(join(dir, 'replica-1.mdb'), 'made-value-39');
    const { code, report } = await inspected(dir);
    expect(code).toBe(4);
    expect(report.replicas.map(({ store }) => store)).toEqual(['whole', 'damaged', 'whole']);
    expect(report.problems).toEqual([
      expect.stringMatching(/^the store of replica 1 is damaged: entry \d+ breaks the chain: /),
    ]);
    const table = await viewstamp('inspect', dir);
    expect(table.code).toBe(4);
    expect(table.stdout).toContain('\nWRONG: the store of replica 1 is damaged');
  });

  test('a replica with another history than the others disagrees with each of them', async () => {
    const dir = await directory();
    const other = join(scratch(), 'other');
    cpSync(dir, other, { recursive: true });
    await write(dir, 'here', { writes: 10 });
    await write(other, 'there', { writes: 10 });
    for (const name of ['replica-2.mdb', 'replica-2.register'])
      cpSync(join(other, name), join(dir, name));
    const { code, report } = await inspected(dir);
    expect(code).toBe(4);
    expect(report.problems.filter((problem) => problem.includes('differ from op'))).toEqual([
      expect.stringMatching(/^the logs of replicas 0 and 2 differ from op \d+ on/),
      expect.stringMatching(/^the logs of replicas 1 and 2 differ from op \d+ on/),
    ]);
  });

  test('a store of another cluster, a lost register, a lost head', async () => {
    const dir = await directory();
    const other = await directory();
    cpSync(join(other, 'replica-0.mdb'), join(dir, 'replica-0.mdb'));
    rmSync(join(dir, 'replica-1.register'));
    const { code, report } = await inspected(dir);
    expect(code).toBe(4);
    expect(report.problems).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^the store of replica 0 is (broken|damaged): /),
        expect.stringMatching(/^replica 1 is dead, it must not run again: /),
      ]),
    );
    rmSync(join(dir, 'directory.mdb'));
    const headless = await inspected(dir);
    expect(headless.code).toBe(4);
    expect(headless.report.problems[0]).toMatch(/directory\.mdb: missing or empty$/);
    expect(headless.report.replicas).toHaveLength(3);
  });

  test('where there is no cluster it is wrong usage', async () => {
    const { code, stdout, stderr } = await viewstamp('inspect', scratch());
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/^error: .* holds no cluster\n$/);
    expect(await refused(['inspect', 'package.json'])).toContain('package.json is no directory');
    expect(await refused(['inspect', ''])).toContain('the name of the directory is empty');
  });
});

describe('bench --data', () => {
  test('a row for each way to flush, and nothing stays', async () => {
    const parent = scratch();
    const modes = ['batch', 'interval', 'none', 'memory'];
    const { code, stdout } = await viewstamp(
      ...['bench', '--data', parent, '--fsync', modes.join(','), '--interval', '20ms'],
      ...['-n', '400', '--runs', '1', '--warmup', '0', '--keyspace', '50', '--format', 'json'],
    );
    expect(code).toBe(0);
    const { summary, load } = JSON.parse(stdout);
    expect(summary.map(({ fsync }: { fsync: string }) => fsync)).toEqual(modes);
    for (const row of summary) expect(row).toMatchObject({ operations: 400, errors: 0 });
    expect(load).toMatchObject({ flushIntervalMs: 20 });
    expect(readdirSync(parent)).toEqual([]);
  });

  test.each([
    [['--fsync', 'batch'], '--fsync batch needs a directory: give one with --data'],
    [['--interval', '5ms'], '--interval needs a directory: give one with --data'],
    [['--data', '.', '--interval', '5ms'], '--interval needs --fsync interval or none'],
    [['--data', '/dev/null/x', '-n', '10'], "there is no directory '/dev/null/x'"],
    [['--data', '', '-n', '10'], 'the name of the directory is empty'],
    [['--data', 'package.json', '-n', '10'], "'package.json' is no directory"],
    [['--data', 'x', '--fsync', 'always'], "'always' is not one of batch, interval, none, memory"],
  ])('%j is refused', async (args, said) => {
    const { code, stdout, stderr } = await viewstamp('bench', ...args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(said);
  });
});
