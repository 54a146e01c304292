// Results beside earlier ones: what is written can be read and compared, and nothing else is taken for it.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  checkSameShape,
  compareWith,
  comparisonTable,
  isMissed,
  readBaseline,
} from '../../src/cli/baseline.js';
import { shapeOf } from '../../src/cli/bench-document.js';
import { type BenchFlags, planBench } from '../../src/cli/bench-plan.js';
import { parseFailIf } from '../../src/cli/fail-if.js';
import { UsageError } from '../../src/cli/usage.js';
import { FLAGS, result } from './results.js';

function file(content: unknown): string {
  const folder = mkdtempSync(join(tmpdir(), 'viewstamp-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'before.json');
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}

const BEFORE = { opsPerSecond: 1e6, p99Us: 2000 };

function refused(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(UsageError);
    return (error as Error).message;
  }
  throw new Error('it was accepted');
}

describe('a file that is no result', () => {
  const whole = result(FLAGS, BEFORE);
  const summary = whole.summary.map((row) => ({ ...row, operations: 0, opsPerSecond: 0 }));

  test.each([
    ['not JSON', '{', /JSON/],
    ['an array', [], /not a result of viewstamp bench/],
    ['null', 'null', /not a result of viewstamp bench/],
    ['another result', { kind: 'viewstamp.demo', schemaVersion: 1 }, /not a result of viewstamp/],
    ['of another version', { ...whole, schemaVersion: 2 }, /schemaVersion 2, this version reads 1/],
    ['without a summary', { ...whole, summary: undefined }, /not a whole result/],
    ['with an empty summary', { ...whole, summary: [] }, /nothing was measured in it/],
    ['where nothing ran', { ...whole, summary }, /nothing was measured in it/],
    ['with a row that is none', { ...whole, summary: [7] }, /figures are missing/],
    ['with errors', result(FLAGS, { ...BEFORE, errors: 3 }), /operations failed in it/],
  ])('%s', (_, content, message) => {
    const path = file(content);
    const said = refused(() => readBaseline(path));
    expect(said).toMatch(message);
    expect(said.startsWith(`--baseline ${path}: `)).toBe(true);
  });

  test('none there', () => {
    expect(refused(() => readBaseline('nowhere/x.json'))).toMatch(/nowhere\/x\.json: ENOENT/);
  });
});

describe('a result of another configuration', () => {
  test.each<[Partial<BenchFlags>, string]>([
    [{ clients: 8 }, 'load.clients was 16, and is 8 now'],
    [{ replicas: 5 }, 'cluster.replicas was 3, and is 5 now'],
    [{ rate: 1000 }, 'load.rate was null, and is 1000 now'],
    [{ workload: 'ycsb-b' }, 'load.distribution was uniform, and is zipfian now'],
    [
      { valueSize: { least: 16, most: 100, zipf: true } },
      'load.valueBytes was {"least":16,"most":100}, and is {',
    ],
    [{ mix: { get: 1 } }, 'load.mix was {"get":50,"set":50}, and is {"get":1} now'],
    [{ requests: 10 }, 'load.operations was null, and is 10 now'],
    [{ pretouch: 0 }, 'load.pretouch was auto, and is 0 now'],
    [{ consistency: 'local' }, 'load.consistency was not there, and is local now'],
    [{ lease: 0 }, 'cluster.leaseMs was not there, and is 0 now'],
    [
      { batch: [1, 8] },
      'the sweep was memory, batch auto, window 32, linger 0us, and is memory, batch 1, window',
    ],
    [{ data: '.', fsync: ['memory'] }, 'load.flushIntervalMs was not there, and is 50 now'],
  ])('%j', (change, message) => {
    const baseline = readBaseline(file(result(FLAGS, BEFORE)));
    const flags = { ...FLAGS, ...change };
    expect(refused(() => checkSameShape(baseline, shapeOf(flags, planBench(flags))))).toContain(
      `is of another configuration: ${message}`,
    );
  });

  test('is not one with more runs, or with the sweep in another order', () => {
    const sweep = { ...FLAGS, batch: [1, 8], window: [4, 32] };
    const baseline = readBaseline(file(result(sweep, BEFORE)));
    const flags = { ...sweep, batch: [8, 1], runs: 9 };
    expect(() => checkSameShape(baseline, shapeOf(flags, planBench(flags)))).not.toThrow();
  });
});

describe('a comparison', () => {
  const sweep: BenchFlags = { ...FLAGS, batch: [1, 8] };

  test('is by configuration: figures, ratios, conditions that hold', () => {
    const baseline = readBaseline(file(result(sweep, BEFORE)));
    // The other way round, and everything a quarter faster: points are found by what they are.
    const reversed = result({ ...sweep, batch: [8, 1] }, { opsPerSecond: 625e3, p99Us: 3200 });
    const conditions = parseFailIf('throughput<-10%,p99>+20%,p99.9>+100%');
    const comparison = compareWith(baseline, reversed, conditions);
    expect(comparison.doubts).toEqual([]);
    const [eight, one] = comparison.points;
    expect(eight?.point.batch).toBe(8);
    expect(eight?.failed).toEqual([]);
    expect(one?.point.batch).toBe(1);
    expect(one?.failed.map(({ text }) => text)).toEqual([
      'throughput<-10%',
      'p99>+20%',
      'p99.9>+100%',
    ]);
    const ratio = (metric: string) =>
      one?.figures.find((figure) => figure.metric === metric)?.ratio;
    expect(ratio('throughput')).toBeCloseTo(0.3125, 3);
    expect(ratio('p99')).toBeCloseTo(3.2, 1);
    expect(ratio('cpu')).toBe(1);
    expect(isMissed(comparison)).toBe(true);
    const text = comparisonTable(comparison);
    expect(text).toMatch(
      /memory, batch 1, .*│ throughput │ +1,000,000 │ +312,500 │ +0\.31 │ FAILED throughput<-10% │/,
    );
    expect(text).toMatch(
      /batch 1, .*│ +p99 │ +2\.00ms │ +6\.\d+ms │ +3\.\d+ │ +FAILED p99>\+20% │/,
    );
    expect(text).toMatch(/batch 8, .*│ +p99\.9 │ +4\.00ms │ +3\.2\d*ms │ +0\.80 │ +│/);
  });

  test('without a condition, or with none that holds, is only shown', () => {
    const baseline = readBaseline(file(result(FLAGS, BEFORE)));
    const now = result(FLAGS, { opsPerSecond: 0.95e6, p99Us: 2100 });
    expect(isMissed(compareWith(baseline, now, []))).toBe(false);
    const conditions = parseFailIf('throughput<-10%,p99>+20%');
    const comparison = compareWith(baseline, now, conditions);
    expect(isMissed(comparison)).toBe(false);
    expect(comparisonTable(comparison)).not.toContain('FAILED');
  });

  test('with another machine says so', () => {
    const before = result(FLAGS, BEFORE);
    const env = { ...before.env, cores: 64 };
    const baseline = readBaseline(file({ ...before, env }));
    const now = result(FLAGS, BEFORE);
    const { doubts } = compareWith(baseline, now, []);
    expect(doubts).toEqual([`the baseline's cores was 64, and is ${now.env.cores} now`]);
  });
});

test('a document has what a report needs: command, timeline, percentiles, what could not be sent', () => {
  const flags: BenchFlags = { ...FLAGS, workload: 'ycsb-d', rate: 5000 };
  const document = JSON.parse(JSON.stringify(result(flags, BEFORE)));
  expect(document).toMatchObject({
    command: ['bench'],
    load: { distribution: 'latest', mix: { get: 95, insert: 5 }, rate: 5000, backlog: 5000 },
    runs: [{ timeline: [[100, 1e6]], backlog: { dropped: 0, unsent: 0, most: 0 } }],
    summary: [{ rate: 5000, backlog: { dropped: 0, unsent: 0, most: 0 } }],
  });
  expect(document.histogram[0].percentiles.at(-1)).toEqual([100, expect.any(Number)]);
  // What is drawn from a fixed set of keys is not what comes from a file.
  expect(document.load.input).toBeUndefined();
});
