// The command as people and scripts meet it: help, wrong usage, the demonstration, and how it ends when it must not go on.

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { open } from 'viewstamp';
import { describe, expect, test } from 'vitest';
import { isClean, LEDGER_CANONICAL, Ledger } from '#dist/cli/ledger.js';
import { pause, untilTrue } from '../live/counting.js';
import {
  leftover,
  operations,
  ROOT,
  refused,
  scratch,
  start,
  viewstamp,
} from './fixtures/command.js';

describe('help', () => {
  test('--version is the version of the package', async () => {
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
    expect(await viewstamp('--version')).toMatchObject({ code: 0, stdout: `${version}\n` });
  });

  test('--help names the commands; without a command it is said as an error', async () => {
    const help = await viewstamp('--help');
    expect(help).toMatchObject({ code: 0, stderr: '' });
    expect(help.stdout).toMatch(/^ {2}bench .*\n[\s\S]*^ {2}demo /m);
    expect(await viewstamp()).toMatchObject({ code: 2, stdout: '', stderr: help.stdout });
  });

  test.each([
    ['bench', 'clients pipeline requests duration warmup value-size key-size keyspace replicas'],
    ['bench', 'witnesses batch window linger threads mix api runs seed input format output quiet'],
    ['bench', 'rate backlog dist workload baseline fail-if'],
    ['demo', 'replicas witnesses load format'],
  ])('%s --help explains --%s', async (command, flags) => {
    const { code, stdout, stderr } = await viewstamp(command, '--help');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    for (const flag of flags.split(' '))
      expect(stdout).toMatch(new RegExp(`^ +(-\\w, )?--${flag}( <\\w+>)? +\\S`, 'm'));
    // A time without its unit could not be typed back.
    expect(stdout).not.toMatch(/<time>[^<]*\(default:\s+\d+\)/);
  });
});

describe('wrong usage', () => {
  test.each([
    [['benhc'], "unknown command 'benhc'", 'bench'],
    [['dmeo'], "unknown command 'dmeo'", 'demo'],
    [['bench', '--bach', '8'], "unknown option '--bach'", '--batch'],
    [['bench', '--witness', '1'], "unknown option '--witness'", '--witnesses'],
    [['demo', '--lod', '1s'], "unknown option '--lod'", '--load'],
  ])('%j: did you mean?', async (args, wrong, meant) => {
    expect(await refused(args)).toBe(
      `error: ${wrong}\n(Did you mean ${meant}?)\n(viewstamp <command> --help lists the flags)\n`,
    );
  });

  test.each([
    ['bench', '--requests', '-5', 'not a whole number, like 10, 10k or 2M, from 1 to 1000000000'],
    ['bench', '--clients', '0', 'out of range: from 1 to 4096'],
    ['bench', '--runs', 'many', 'not a whole number'],
    ['bench', '--replicas', '1.5', 'not a whole number, like 10, 10k or 2M, from 1 to 9'],
    ['bench', '--replicas', '10', 'out of range: from 1 to 9'],
    ['bench', '--value-size', '2MiB', 'out of range: from 0 to 1MiB'],
    ['bench', '--value-size', '64K', 'not a size, like 100, 64KiB or 1MiB, nor a range of them'],
    ['bench', '--value-size', '64K', 'nor zipf:16..4096, from 0 to 1MiB'],
    ['bench', '--value-size', '100..16', 'a range that ends before it starts'],
    ['bench', '--duration', '10', 'not a duration, like 50us, 500ms, 10s or 2m, from 10ms to'],
    ['bench', '--linger', '1s', 'out of range: from 0us to 100ms'],
    ['bench', '--lease', '1s', 'out of range: from 0us to 500ms'],
    [
      'bench',
      '--consistency',
      'stale',
      'not one of linearizable, session, local, nor an age like 50ms',
    ],
    ['bench', '--consistency', '0ms', 'out of range: from 1ms to'],
    ['bench', '--batch', '0', 'out of range: from 1 to 4096'],
    ['bench', '--batch', 'all', 'not auto or a whole number, from 1 to 4096'],
    ['bench', '--batch', '1,,8', 'has an empty item'],
    ['bench', '--batch', '8,8', 'names 8 twice'],
    ['bench', '--mix', 'get=50,put=50', 'with one of get, set, delete, incr'],
    ['bench', '--mix', 'get', 'is not <operation>=<weight>'],
    ['bench', '--mix', 'get=0', 'leaves no operation to run'],
    ['bench', '--value-size', 'zipf:16-96', 'not a size, like 100, 64KiB or 1MiB'],
    ['bench', '--dist', 'zipf', 'Allowed choices are uniform, zipfian, latest, sequential'],
    ['bench', '--workload', 'ycsb-e', 'Allowed choices are ycsb-a, ycsb-b, ycsb-c, ycsb-d, ycsb-f'],
    ['bench', '--rate', '0', 'out of range: from 1 to 10000000'],
    ['bench', '--fail-if', 'p99>20%', 'is not a change with its sign, like throughput<-10% or'],
    ['bench', '--format', 'xml', 'Allowed choices are table, json, csv'],
    ['bench', '--output', 'x.xml', 'must end in .json, .csv, .txt'],
    ['bench', '--output', 'no/such/folder/x.csv', 'cannot be written'],
    ['demo', '--replicas', '2', 'out of range: from 3 to 9'],
    ['demo', '--load', '5s', 'out of range: from 10ms to 1s'],
  ])('%s %s %s: names the flag, the mistake and what is allowed', async (...line) => {
    const [command, flag, text, said] = line;
    const stderr = await refused([command, flag, text]);
    expect(stderr).toMatch(
      new RegExp(`^error: option '(-\\w, )?${flag} <\\w+>' argument '${text}' is invalid. `),
    );
    expect(stderr).toContain(said);
  });

  test.each([
    [['bench', '--witnesses', '2'], '--witnesses 2 are too many for --replicas 3: from 0 to 1'],
    [['demo', '--witnesses', '2'], '--witnesses 2 are too many for --replicas 3: from 0 to 1'],
    [['bench', '-n', '10', '-t', '1s'], 'give --requests or --duration, not both'],
    [['bench', '--threads', '3'], '--clients 16 do not spread evenly over --threads 3'],
    [['bench', '-r', '1M', '--key-size', '2'], '--key-size of at least 7 bytes'],
    [['bench', '--backlog', '5'], '--backlog is for --rate: without it nothing waits to be sent'],
    [
      ['bench', '--fail-if', 'p99>+20%'],
      '--fail-if compares with an earlier result: give one with',
    ],
    [['bench', '--baseline', 'package.json'], 'package.json: not a result of viewstamp bench'],
    [['bench', '--workload', 'ycsb-d', '--dist', 'uniform'], "'--workload <name>' cannot be used"],
    [['bench', '--workload', 'ycsb-d', '--key-size', '6'], 'keys need a --key-size of at least 8'],
    [['bench', '-c', '4k', '-P', '60k'], 'operations open, at most 1000000 are allowed'],
    [['bench', '--batch', '512', '-d', '1MiB', '--keyspace', '9'], 'GiB open, at most 256.0 MiB'],
    [['bench', '-d', '1MiB'], '10000 keys with their values are 9.77 GiB, and a store holds 1.00'],
    [['bench', '--input', 'x', '--mix', 'get=1'], "'--input <file>' cannot be used with option '-"],
    [['bench', '--input', 'x', '--dist', 'latest'], "'--input <file>' cannot be used with option"],
    [['bench', 'set'], "too many arguments for 'bench'"],
  ])('%j: flags that do not go together', async (args, said) => {
    expect(await refused(args)).toContain(said);
  });
});

describe('wrong input', () => {
  const good = '{"op":"get","key":"a"}';
  const megabyte = 'x'.repeat(1 << 20);
  test.each([
    ['a line that breaks off', `${good}\n\n{"op":"set"`, 'line 3: not JSON: '],
    ['an unknown operation', `${good}\n{"op":"put","key":"a"}`, 'line 2: op is "put", not one of'],
    ['no operation', '{"key":"a"}', 'line 1: op is undefined, not one of get, set, delete, incr'],
    ['no key', '{"op":"get"}', 'line 1: key must be a non-empty string'],
    ['a key of another type', '{"op":"get","key":7}', 'line 1: key must be a non-empty string'],
    ['half a character as key', '{"op":"get","key":"\\ud800"}', 'line 1: key is not well-formed'],
    ['a key too long', `{"op":"get","key":"${'k'.repeat(1025)}"}`, 'line 1: key has 1025 bytes'],
    ['no value', '{"op":"set","key":"a"}', 'line 1: a set needs a value'],
    ['a value too large', `{"op":"set","key":"a","value":"${megabyte}"}`, 'line 1: value takes 10'],
    ['a fraction', '{"op":"incr","key":"a","by":0.5}', 'line 1: by must be a whole number'],
    ['a misspelt field', '{"op":"set","key":"a","val":1}', "line 1: a set has no 'val', only op"],
    ['an array', `[${good}]`, 'line 1: not an object like'],
    ['nothing', '', 'no operations in it'],
    ['blank lines', '\n \n', 'no operations in it'],
    ['another encoding', Buffer.from('{"op":"get","key":"\xe4"}', 'latin1'), 'utf-8'],
  ])('%s: names the file and the line', async (_what, content, said) => {
    const path = operations(content);
    const stderr = await refused(['bench', '--input', path]);
    expect(stderr.startsWith(`error: --input ${path}: `)).toBe(true);
    expect(stderr).toContain(said);
  });

  test('no such file', async () => {
    const path = join(scratch(), 'none.ndjson');
    expect(await refused(['bench', '--input', path])).toMatch(/--input .*none\.ndjson: ENOENT/);
  });
});

describe('demo', () => {
  test('kills every replica and tells in plain words that nothing is missing', async () => {
    const { code, stdout, stderr } = await viewstamp('demo', '--load', '20ms');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^3 replicas on threads of their own \(3 execute, 0 are witnesses\)/);
    for (const replica of [0, 1, 2])
      expect(stdout).toMatch(new RegExp(`the thread of replica ${replica} \\(\\w+\\) was ended`));
    expect(stdout).toContain('Acknowledged writes that are missing: 0. The counter stands at');
    expect(stdout).toMatch(/, once per request\.\n/);
  });

  test('--format json with a witness: one document, and it is clean', async () => {
    const flags = ['--witnesses', '1', '--load', '20ms', '--format', 'json'];
    const { code, stdout } = await viewstamp('demo', ...flags);
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({
      kind: 'viewstamp.demo',
      schemaVersion: 1,
      cluster: { replicas: 3, witnesses: 1 },
      kills: [{ replica: 0 }, { replica: 1 }, { replica: 2, role: 'witness' }],
      audit: { missing: 0, unexplained: 0 },
      clean: true,
    });
    expect(report.audit.acknowledged).toBeGreaterThan(0);
    expect(code).toBe(0);
  });

  test('writers that pause when the log is nearly full do not fill it', async () => {
    // With a witness nothing is dropped that one of two actives has not.
    await using cluster = await open({ witnesses: 1, limits: { logBytes: 16 << 20 } });
    await cluster.admin.pause(1);
    const ledger = new Ledger(cluster, { ...LEDGER_CANONICAL, writers: 4 });
    let pressed = false;
    using _ = cluster.on('logpressure', () => {
      pressed = true;
      ledger.slowDown(1000);
    });
    ledger.start();
    await untilTrue(() => pressed);
    // Unchecked they would need less than this for the last fifth.
    await pause(700);
    await ledger.stop();
    const audit = await ledger.audit();
    expect(audit).toMatchObject({ missing: 0, unexplained: 0, unknown: 0 });
    expect(isClean(audit)).toBe(true);
  });
});

describe('ending early', () => {
  test.each([
    ['SIGINT', 130, ['demo', '--load', '1s'], 'stdout'],
    ['SIGTERM', 143, ['demo', '--load', '1s'], 'stdout'],
    ['SIGINT', 130, ['bench', '--duration', '1m', '--threads', '2', '--format', 'json'], 'stderr'],
  ] as const)('%s ends with %i, a word and nothing left: %j', async (...line) => {
    const [signal, code, args, stream] = line;
    const running = start(args);
    await once(running.process[stream] ?? running.process, 'data');
    // By then it opens its cluster, or is under load.
    await pause(700);
    running.process.kill(signal);
    const ending = await running.ending;
    expect(ending).toMatchObject({ code, signal: null });
    expect(ending.stderr).toMatch(new RegExp(`^ended by ${signal}\n$`, 'm'));
    expect(ending.stderr).not.toMatch(/error|\n\s+at /i);
    if (stream === 'stderr') expect(ending.stdout).toBe('');
    expect(leftover(running)).toBe(false);
  });

  test('a reader that has seen enough, as `| head -1`, ends it quietly', async () => {
    const running = start(['demo', '--load', '20ms']);
    await once(running.process.stdout ?? running.process, 'data');
    running.process.stdout?.destroy();
    // As if SIGPIPE had ended it: the end of the story was not told, and a 0 would say that it was a good one.
    expect(await running.ending).toMatchObject({ code: 141, signal: null, stderr: '' });
    expect(leftover(running)).toBe(false);
  });

  test('the results come even when nobody reads what is said about them', async () => {
    const running = start(['bench', '-n', '100', '--runs', '1', '--warmup', '0', '-f', 'csv']);
    running.process.stderr?.destroy();
    const { code, stdout } = await running.ending;
    expect(code).toBe(0);
    expect(stdout.trim().split('\n')).toHaveLength(2);
  });
});
