// `viewstamp bench` from flags to figures: the forms of its result, sweeps, mixes, threads, witnesses, files of operations. The
// figures themselves are of no interest here, only that they are there and count what was asked for.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { drive } from '#dist/cli/drive.js';
import { LoadGenerator, type LoadTarget } from '#dist/cli/load.js';
import { LoadControl } from '#dist/cli/load-control.js';
import { CANONICAL, Workload } from '#dist/cli/workload.js';
import { type Ending, FIXTURES, operations, ROOT, scratch, start } from './fixtures/command.js';

const OPERATIONS = join(FIXTURES, 'operations.ndjson');
const BRIEF = ['--runs', '1', '--warmup', '0', '-n', '400'];
const CSV_HEAD =
  'workload,api,replicas,witnesses,clients,pipeline,threads,batch,window,linger_us,fsync,rate_per_s,runs,ops_per_s,spread_pct,' +
  'cpu_ns_per_op,p50_us,p90_us,p99_us,p999_us,max_us,operations,errors,dropped,unsent,capacity,doubtful';

function bench(...args: string[]): Promise<Ending> {
  return start(['bench', ...args], FIXTURES).ending;
}

/** A run that must end well. @returns its JSON document: all that is on standard output. */
async function measured(...args: string[]) {
  const { code, stdout, stderr } = await bench(...args, '--quiet', '--format', 'json');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout);
}

/** Fields by name, one record a line (RFC 4180). */
function records(text: string): Record<string, string>[] {
  const [head = [], ...rows] = text
    .trimEnd()
    .split('\n')
    .map((line) =>
      [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^",]*))/g)].map((cell) => cell[1] ?? cell[2]),
    );
  return rows.map((row) => {
    expect(row).toHaveLength(head.length);
    return Object.fromEntries(head.map((name, index) => [name ?? '', row[index] ?? '']));
  });
}

/** Command lines of the README, without `viewstamp bench`. */
const README = [
  ...readFileSync(join(ROOT, 'README.md'), 'utf8').matchAll(/^viewstamp bench([^#\n]*)/gm),
].map((match) => match[1]?.trim() ?? '');

describe('results', () => {
  test('--format json: one document with everything that the figures depend on', async () => {
    const where = ['--batch', '8', '--window', '16', '--linger', '50us'];
    const { code, stdout, stderr } = await bench(...BRIEF, ...where, '--format', 'json');
    const latency = { count: 50, p50Us: expect.any(Number), p99Us: expect.any(Number) };
    const point = { batch: 8, window: 16, lingerMicros: 50 };
    const figures = { operations: 400, errors: 0, misses: 0, opsPerSecond: expect.any(Number) };
    const document = JSON.parse(stdout);
    expect(document).toMatchObject({
      kind: 'viewstamp.bench',
      schemaVersion: 1,
      env: { node: process.versions.node, cores: expect.any(Number) },
      cluster: { replicas: 3, witnesses: 0 },
      load: { api: 'pipeline', clients: 16, pipeline: 2, threads: 0, mix: { get: 50, set: 50 } },
      runs: [{ ...point, run: 1, ...figures, latency }],
      summary: [{ ...point, runs: 1, ...figures, latency, firstError: null }],
      histogram: [{ ...point, unit: 'us', percentiles: expect.any(Array) }],
    });
    expect(document.load).toMatchObject({ warmUpMs: 0, operations: 400, durationMs: null });
    const [{ entries }] = document.runs;
    // Fifty pipelines that set something: a request each, and none of what was filled in before.
    expect(entries.requests).toBeGreaterThanOrEqual(50);
    expect(entries.requests).toBeLessThan(100);
    for (const buckets of [entries.byRequests, entries.byBytes])
      expect(buckets.reduce((sum: number, [, count]: number[]) => sum + (count ?? 0), 0)).toBe(
        entries.entries,
      );
    expect(document.summary[0].entries).toEqual(entries);
    expect(stderr).toMatch(/linger 50us: \d+\.\d requests and \d+.* per entry\n/);
    expect(document.histogram[0].percentiles.at(-1)).toEqual([100, expect.any(Number)]);
    // Words go to standard error, and no bar is drawn where nobody watches.
    expect(stderr).toMatch(/^viewstamp .* Node [\s\S]*\nlatency is of one pipeline/);
    expect([...stderr].some((letter) => letter === '\r' || letter === '\u001b')).toBe(false);
    expect(code).toBe(0);
  });

  test('--format csv of a sweep: a stable header, a row each; the same in the files', async () => {
    const folder = scratch();
    const files = ['sweep.json', 'sweep.csv', 'sweep.txt'].map((name) => join(folder, name));
    const outputs = files.flatMap((file) => ['--output', file]);
    const sweep = README.find((command) => command.includes('--batch'))?.split(' ') ?? [];
    const { code, stdout } = await bench(...sweep, ...BRIEF, '--format', 'csv', ...outputs);
    expect(code).toBe(0);
    expect(stdout.split('\n')[0]).toBe(CSV_HEAD);
    const rows = records(stdout);
    expect(rows.map((row) => row['batch'])).toEqual(['1', '8', '64', '512']);
    for (const row of rows)
      expect(row).toMatchObject({
        workload: 'get=50,set=50 16..100B',
        operations: '400',
        errors: '0',
      });
    const [json = '', csv = '', table = ''] = files.map((file) => readFileSync(file, 'utf8'));
    expect(csv).toBe(stdout);
    expect(JSON.parse(json).summary.map((row: { batch: number }) => row.batch)).toEqual([
      1, 8, 64, 512,
    ]);
    expect(table).toMatch(/│ workload +│ clients×pipe │ batch │ window │ linger │ +ops\/s │/);
    expect(table.match(/^│ get=50,set=50 16..100B │ +16×2 │ +\d+ │ +32 │ +0us │/gm)).toHaveLength(
      4,
    );
  });
});

describe('load', () => {
  test('--mix, --threads 2, and a witness as the README says it', async () => {
    const witness = README.find((command) => command.includes('--witness'))?.split(' ') ?? [];
    const load = ['--mix', 'get=1,delete=1,incr=2', '--threads', '2', '--keyspace', '10'];
    const document = await measured(...witness, ...BRIEF, ...load);
    expect(document).toMatchObject({
      cluster: { replicas: 3, witnesses: 1 },
      load: { threads: 2, keyspace: 10, mix: { get: 1, delete: 1, incr: 2 } },
      summary: [{ operations: 400, errors: 0 }],
    });
    // Of ten keys most are deleted soon.
    expect(document.summary[0].misses).toBeGreaterThan(0);
  });

  test('--api promise, one replica, large values', async () => {
    const load = ['--api', 'promise', '-c', '4', '-P', '8', '-d', '64KiB', '-r', '16'];
    const document = await measured(...BRIEF, '--replicas', '1', ...load);
    expect(document).toMatchObject({
      cluster: { replicas: 1 },
      load: { api: 'promise', clients: 4, pipeline: 8, valueBytes: { least: 65536, most: 65536 } },
      summary: [{ operations: 400, errors: 0, misses: 0 }],
    });
  });

  test('large values need no other flags: pipelines get shorter', async () => {
    const { summary } = await measured(...BRIEF, '-d', '256KiB', '-r', '16', '-n', '40');
    // Four of them are a mebibyte, less their keys; at 512 a pipeline, a single one would have taken all.
    expect(summary).toMatchObject([{ batch: 'auto', operations: 40, latency: { count: 14 } }]);
  });
});

describe('a rate', () => {
  test('of ycsb-f from two threads; its result is the baseline of the same command', async () => {
    const folder = scratch();
    const [json, text] = ['before.json', 'before.txt'].map((name) => join(folder, name));
    const load = ['--workload', 'ycsb-f', '--rate', '20k', '--threads', '2', '-n', '2000'];
    const brief = ['--runs', '1', '--warmup', '0', ...load];
    const files = ['--output', json ?? '', '--output', text ?? ''];
    const before = await measured(...brief, ...files);
    expect(before).toMatchObject({
      load: { rate: 20_000, backlog: 20_000, distribution: 'zipfian', mix: { get: 50, rmw: 50 } },
      summary: [{ rate: 20_000, errors: 0, misses: 0, backlog: { unsent: 0 } }],
    });
    expect(before.command.slice(0, 3)).toEqual(['bench', '--runs', '1']);
    const [run] = before.runs;
    expect(run.operations + run.backlog.dropped).toBe(2000);
    // Ten operations come in a millisecond to each thread; every pipeline counts, none is only a sample.
    expect(run.latency.count).toBe(run.operations / 10);
    expect(run.timeline.length).toBeGreaterThan(0);
    expect(readFileSync(text ?? '', 'utf8')).toMatch(
      /wanted\/s[\s\S]*ycsb-f 16..100B[\s\S]* 20,000 │/,
    );

    const conditions = 'throughput<+1000%,p99<-99.9%';
    const flags = ['--baseline', json ?? '', '--fail-if', conditions, '--format', 'json'];
    const after = await bench(...brief, ...flags);
    const { comparison } = JSON.parse(after.stdout);
    expect(comparison.points[0].figures[0]).toMatchObject({
      metric: 'throughput',
      baseline: before.summary[0].opsPerSecond,
    });
    expect(comparison.points[0].failed).toMatchObject([{ text: 'throughput<+1000%' }]);
    expect(after.stderr).toContain('FAILED throughput<+1000%');
    expect(after.code).toBe(3);
  });

  test('of single operations; ycsb-d finds what it inserted', async () => {
    const load = ['--workload', 'ycsb-d', '--api', 'promise', '--rate', '5k', '-t', '200ms'];
    const document = await measured('--runs', '1', '--warmup', '50ms', '-r', '500', ...load);
    const [run] = document.runs;
    expect(document.load).toMatchObject({ distribution: 'latest', durationMs: 200 });
    expect(document.summary[0]).toMatchObject({ errors: 0, misses: 0 });
    expect(run.operations).toBeGreaterThan(0);
    // Counted from when it was due, each of them, sent or not.
    expect(run.latency.count).toBe(run.operations + run.backlog.unsent);
  });
});

describe('input', () => {
  test('a file, as the README says it, runs once', async () => {
    const input = README.find((command) => command.includes('--input'))?.split(' ') ?? [];
    const document = await measured(...input, '--runs', '1');
    expect(document.load).toMatchObject({ input: true, warmUpMs: 0, operations: null });
    // One of its gets asks for what nobody set, the other sees the set before it.
    expect(document.summary).toMatchObject([{ operations: 6, errors: 0, misses: 1 }]);
  });

  test('--requests runs it over and over, on two threads too', async () => {
    const load = ['--threads', '2', '--batch', '6', '--runs', '1', '-n', '60'];
    const document = await measured('--input', OPERATIONS, ...load);
    expect(document.summary).toMatchObject([{ operations: 60, errors: 0 }]);
  });

  test('an operation that the store refuses is counted, told, and fails the command', async () => {
    const path = operations('{"op":"set","key":"a","value":"text"}\n{"op":"incr","key":"a"}\n');
    const { code, stdout } = await bench('--input', path, '--runs', '1');
    expect(stdout).toMatch(/: first error: .*not an integer/);
    expect(code).toBe(1);
  });

  test('the mark that some editors put first is no part of the first line', async () => {
    const path = operations('\ufeff{"op":"get","key":"a"}\r\n');
    const { summary } = await measured('--input', path, '--runs', '1');
    expect(summary).toMatchObject([{ operations: 1, errors: 0, misses: 1 }]);
  });
});

describe('a generator', () => {
  const memory = { taken: 0, released: 0 };

  /** Answers every pipeline in the next turn, or refuses it. */
  function target(refusal: Error | null): LoadTarget<Uint8Array> {
    const call = (): Promise<unknown> => turn();
    const sink = { get: call, set: call, delete: call, incr: call };
    const release = (): number => memory.released++;
    const answer = { ok: () => true, copyValue: () => 0, error: () => undefined, release };
    const submit = async () => {
      await turn();
      if (refusal !== null) throw refusal;
      memory.taken++;
      return answer;
    };
    return { ...sink, pipeline: () => ({ ...sink, submit }) };
  }

  async function run(refusal: Error | null) {
    const control = LoadControl.allocate(1);
    const done: number[] = [];
    const generator = new LoadGenerator<Uint8Array>({
      target: target(refusal),
      source: new Workload({ ...CANONICAL, keyspace: 10 }),
      shape: { api: 'pipeline', slots: 2, batch: 5 },
      control,
      index: 0,
    });
    const result = await drive(
      control,
      generator.run(5000).then((stage) => [stage]),
      {
        generators: 1,
        warmUpMs: 100,
        operations: 5000,
        durationMs: null,
        progress: (share) => done.push(share),
      },
    );
    return { result, done };
  }

  test('that is refused while it warms up is a failed run, not an empty one', async () => {
    const { result } = await run(new Error('no room'));
    expect(result).toMatchObject({ operations: 0, errors: 10, firstError: 'no room' });
  });

  test('tells how far it is, and never goes back', async () => {
    const { result, done } = await run(null);
    expect(result).toMatchObject({ operations: 5000, errors: 0 });
    expect(done.length).toBeGreaterThan(0);
    expect(done).toEqual([...done].sort((a, b) => a - b));
    expect(done[0]).toBeLessThan(0.5);
  });

  test('gives back the memory of all that it has read', async () => {
    await run(null);
    expect(memory.taken).toBeGreaterThan(1000);
    expect(memory.released).toBe(memory.taken);
  });
});
