// The comparison with peers: its short run with those that need no server, what it says of servers that are not installed, fail to
// start or are interrupted, and its figure for Redis. Servers are played by scripts: what counts is that none is left behind.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { pipelinesOverRedis } from '../../bench/peers/over-redis.js';
import { type Ending, type Running, scratch, startProgram } from './fixtures/command.js';

function start(args: readonly string[], path: string = ''): Running {
  return startProgram('build/bench/peers/main.js', args, { env: { ...process.env, PATH: path } });
}

function peers(...args: string[]): Promise<Ending> {
  return start(args).ending;
}

/** A folder with a `redis-server` that does what `script` says; a file named as its process id lies beside it. */
function fakeRedis(script: string): { path: string; pids: () => number[] } {
  const folder = scratch();
  const pids = join(folder, 'pids');
  mkdirSync(pids);
  const text = `#!/bin/sh\n: > "${pids}/$$"\n${script}\n`;
  writeFileSync(join(folder, 'redis-server'), text, { mode: 0o755 });
  return {
    path: [folder, process.env['PATH']].join(delimiter),
    pids: () => readdirSync(pids).map(Number),
  };
}

/** Neither gone nor a zombie that waits for its parent. */
function lives(pid: number): boolean {
  const { stdout } = spawnSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' });
  return /^[^Z]/.test(stdout.trim());
}

describe('the short run', () => {
  test('viewstamp, LMDB, Map, naive; Redis and etcd are not installed and skipped', async () => {
    const file = join(scratch(), 'peers.json');
    const only = ['--only', 'map,lmdb,naive,redis,etcd'];
    const { code, stdout, stderr } = await peers('--smoke', ...only, '--json', file);
    expect(stderr).toBe(
      'redis skipped: redis-server is not installed (apt-get install redis-server)\n' +
        'etcd skipped: etcd is not installed (apt-get install etcd-server)\n',
    );
    expect(code).toBe(0);
    const document = JSON.parse(readFileSync(file, 'utf8'));
    expect(document).toMatchObject({
      kind: 'viewstamp.peers',
      schemaVersion: 1,
      env: { node: process.versions.node },
      rounds: 1,
      capacity: [expect.any(Number), expect.any(Number)],
      pipelinesOverRedis: null,
    });
    expect(document.skipped.map(({ peer }: { peer: string }) => peer)).toEqual(['redis', 'etcd']);
    const copies = document.rows.map((row: { id: string; guarantees: { copies: number } }) => [
      row.id,
      row.guarantees.copies,
    ]);
    expect(copies).toEqual([
      ['viewstamp-pipelines', 3],
      ['viewstamp-promises', 3],
      ['lmdb', 1],
      ['map', 1],
      ['naive', 3],
    ]);
    expect(document.rows[0].ofViewstamp).toBe(1);
    for (const row of document.rows) {
      expect(row.rounds).toHaveLength(1);
      const [round] = row.rounds;
      for (const figure of ['operations', 'opsPerSecond', 'cpuNsPerOp', 'p50Us'])
        expect(round[figure], `${row.id} ${figure}`).toBeGreaterThan(0);
      expect(round.p99Us).toBeGreaterThanOrEqual(round.p50Us);
      expect(row.opsPerSecond).toBe(round.opsPerSecond);
    }
    expect(stdout).toMatch(/│ LMDB, transactions of 512 +│.*│ +1 of 1 │ +yes │ +- │ +kill -9 │\n/);
    expect(stdout).toMatch(/│ naive: postMessage per operation +│.*│ +2 of 3 │ +no │/);
    expect(stdout).not.toContain('Redis');
  });

  test('nothing but what is not installed: says so, and measures nothing', async () => {
    const { code, stdout, stderr } = await peers('--smoke', '--only', 'redis');
    expect({ code, stdout }).toEqual({ code: 5, stdout: '' });
    expect(stderr).toMatch(/^redis skipped: .*\nnothing is left to compare viewstamp with\n$/);
  });
});

describe('servers', () => {
  test('one that ends at once: its last words, and nothing left behind', async () => {
    const redis = fakeRedis('echo "boom $*"; exit 7');
    const { code, stderr } = await start(['--smoke', '--only', 'redis'], redis.path).ending;
    expect(code).toBe(1);
    expect(stderr).toMatch(/redis-server \d ended with code 7\n {2}boom .*--dir (\S+)/);
    const directory = /--dir (\S+)/.exec(stderr)?.[1] ?? '';
    expect(directory).toContain('viewstamp-peers-');
    expect(existsSync(directory)).toBe(false);
  });

  test('Ctrl-C while they start: none is left', async () => {
    const redis = fakeRedis('exec sleep 600');
    const running = start(['--smoke', '--only', 'redis'], redis.path);
    while (redis.pids().length < 3) await sleep(10);
    expect(redis.pids().every(lives)).toBe(true);
    running.process.kill('SIGINT');
    const { code, stderr } = await running.ending;
    expect({ code, stderr }).toEqual({ code: 130, stderr: 'ended by SIGINT\n' });
    while (redis.pids().some(lives)) await sleep(10);
  });
});

test.each([
  [['--seconds', 'long'], "'long' is not a number of seconds from 0.05 to 60"],
  [['--only', 'redsi'], "'redsi' is not one of redis, etcd, nats, lmdb, map, naive"],
  [['--json', 'peers.csv'], "'peers.csv' must end in .json"],
])('%s is refused', async (args, message) => {
  const { code, stdout, stderr } = await peers(...args);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toContain(message);
});

test('pipelines over Redis: each at its best length, ratios within rounds, their median', () => {
  const rounds = (...speeds: number[]) =>
    speeds.map((opsPerSecond) => ({
      operations: 1,
      opsPerSecond,
      cpuNsPerOp: 1,
      p50Us: 1,
      p99Us: 1,
    }));
  const redis = [rounds(1, 1, 40), rounds(10, 30, 20)];
  expect(pipelinesOverRedis([rounds(100, 60, 100), rounds(1, 900, 1)], redis)).toBe(5);
});
