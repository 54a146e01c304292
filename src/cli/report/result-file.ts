// Reads what `viewstamp bench` and `viewstamp tune` have written, whatever else it may be: a file comes from anywhere. What a report
// needs is checked, with the place in the file in the error; what only adds to it may be missing.

import { readFileSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { SCHEMA_VERSION } from '../bench-document.js';
import { formatBytes, formatMicros } from '../units.js';
import { UsageError } from '../usage.js';
import { Field } from './fields.js';

/** What is known under a name, as text. */
export type Fact = readonly [name: string, value: string];
export type Pair = readonly [number, number];

/** How many entries of the log were so large: [up to so much, and above the pair before; entries]. */
export interface EntryBuckets {
  readonly byRequests: readonly Pair[];
  readonly byBytes: readonly Pair[];
}

/** One combination of settings, and what all its runs found. */
export interface ResultPoint {
  /** As the file has it: a number, or 'auto'. */
  readonly batch: string;
  readonly window: number;
  readonly lingerMicros: number;
  readonly fsync: string;
  readonly runs: number;
  readonly opsPerSecond: number;
  readonly spread: number;
  readonly cpuNsPerOp: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
  readonly maxUs: number;
  readonly errors: number;
  readonly capacity: number;
  /** Reasons to doubt the figures. */
  readonly doubtful: readonly string[];
  /** [percentile, microseconds], rising; empty: not in the file. */
  readonly percentiles: readonly Pair[];
  /** Of its last run: [milliseconds since the beginning, operations/s since the pair before]; empty: not in the file. */
  readonly timeline: readonly Pair[];
  /** null: not in the file. */
  readonly entries: EntryBuckets | null;
}

export interface Tuning {
  readonly objective: string;
  /** In words; null: nothing was proposed. */
  readonly proposal: string | null;
  /** Options for `open()`, as JSON. */
  readonly options: string | null;
  /** How many there were to search; null: the file does not say. */
  readonly combinations: number | null;
  /** The first look at them was not finished. */
  readonly preliminary: boolean;
  /** Of them, the first run of a process is the only one, and slow for it. */
  readonly firstRunOnly: boolean;
}

export interface Result {
  /** Of the file, without its folder. */
  readonly name: string;
  /** What was typed behind `viewstamp`; null: the file does not say. */
  readonly command: readonly string[] | null;
  readonly environment: readonly Fact[];
  readonly cluster: readonly Fact[];
  readonly load: readonly Fact[];
  readonly points: readonly ResultPoint[];
  /** null: of a benchmark. */
  readonly tuning: Tuning | null;
}

const KINDS = ['viewstamp.bench', 'viewstamp.tune'];
const FILE_BYTES_MAX = 64 * 2 ** 20;

/** @throws UsageError that names the file, and the place in it. */
export function readResult(path: string): Result {
  const name = basename(path);
  try {
    const { size } = statSync(path);
    if (size > FILE_BYTES_MAX)
      throw new UsageError(`${formatBytes(size)} is more than ${formatBytes(FILE_BYTES_MAX)}`);
    return parseResult(name, readFileSync(path, 'utf8'));
  } catch (error) {
    throw new UsageError(`${path}: ${(error as Error).message}`);
  }
}

/** @throws UsageError that says what is not as it should be. */
export function parseResult(name: string, text: string): Result {
  const root = new Field(parse(text), 'the result');
  const kind = root.get('kind');
  if (!KINDS.some((known) => known === kind.value))
    throw kind.wrong(`'viewstamp.bench' or 'viewstamp.tune'`);
  const version = root.get('schemaVersion').number();
  if (version !== SCHEMA_VERSION)
    throw new UsageError(
      `it has schema version ${version}, this program reads version ${SCHEMA_VERSION}`,
    );
  return {
    name,
    command:
      root
        .optional('command')
        ?.items()
        .map((item) => item.text()) ?? null,
    environment: facts(root.get('env')),
    cluster: facts(root.get('cluster')),
    load: facts(root.get('load')),
    points: points(root),
    tuning: kind.value === 'viewstamp.tune' ? tuning(root) : null,
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // What the parser says quotes the file, which may be anything.
    throw new UsageError('it is not JSON');
  }
}

/** Anything that is there, one line a name. */
function facts(field: Field): Fact[] {
  return field
    .entries()
    .map(([name, { value }]) => [
      name,
      typeof value === 'object' ? JSON.stringify(value) : String(value),
    ]);
}

/** What tells combinations from each other. */
function keyOf(field: Field): string {
  const names = ['fsync', 'batch', 'window', 'lingerMicros'];
  return names.map((name) => String(field.get(name).value)).join(' ');
}

function points(root: Field): ResultPoint[] {
  const percentiles = new Map(
    root
      .optional('histogram')
      ?.items()
      .map((field) => [keyOf(field), field.get('percentiles').items().map(pair)]),
  );
  const timelines = new Map<string, Pair[]>();
  for (const run of root.optional('runs')?.items() ?? []) {
    const timeline = run.optional('timeline');
    if (timeline !== null) timelines.set(keyOf(run), timeline.items().map(pair));
  }
  return root
    .get('summary')
    .items()
    .map((field) => ({
      ...pointOf(field),
      percentiles: percentiles.get(keyOf(field)) ?? [],
      timeline: timelines.get(keyOf(field)) ?? [],
    }));
}

function pair(field: Field): Pair {
  const [first, second] = field.items();
  if (first === undefined || second === undefined) throw field.wrong('a pair of numbers');
  return [first.number(), second.number()];
}

function pointOf(field: Field): Omit<ResultPoint, 'percentiles' | 'timeline'> {
  const number = (name: string): number => field.get(name).number();
  const latency = field.get('latency');
  const entries = field.optional('entries');
  const batch = field.get('batch');
  if (batch.value !== 'auto') batch.number();
  return {
    batch: String(batch.value),
    window: number('window'),
    lingerMicros: number('lingerMicros'),
    fsync: field.get('fsync').text(),
    runs: number('runs'),
    opsPerSecond: number('opsPerSecond'),
    spread: number('spread'),
    cpuNsPerOp: number('cpuNsPerOp'),
    p50Us: latency.get('p50Us').number(),
    p99Us: latency.get('p99Us').number(),
    p999Us: latency.get('p999Us').number(),
    maxUs: latency.get('maxUs').number(),
    errors: number('errors'),
    capacity: number('capacity'),
    doubtful: field
      .get('doubtful')
      .items()
      .map((item) => item.text()),
    entries: entries === null ? null : bucketsOf(entries),
  };
}

function bucketsOf(field: Field): EntryBuckets {
  const pairs = (name: string): Pair[] => field.get(name).items().map(pair);
  return { byRequests: pairs('byRequests'), byBytes: pairs('byBytes') };
}

function tuning(root: Field): Tuning {
  const proposal = root.optional('proposal');
  const options = root.optional('options');
  return {
    objective: root.get('objective').text(),
    proposal: proposal === null ? null : proposalOf(proposal),
    options: options === null ? null : JSON.stringify(options.value, null, 2),
    combinations: root.optional('combinations')?.number() ?? null,
    preliminary: root.get('complete').value === false,
    firstRunOnly: root.get('firstRunOnly').value === true,
  };
}

function proposalOf(field: Field): string {
  const [rate, p99] = [field.get('opsPerSecond').number(), field.get('p99Us').number()];
  const linger = formatMicros(field.get('lingerMicros').number());
  const where = `batch ${field.get('batch').value}, window ${field.get('window').number()}, linger ${linger}`;
  const runs = field.get('runs').number();
  return `${where}: ${Math.round(rate).toLocaleString('en-US')} operations/s, p99 ${formatMicros(p99)} (${runs === 1 ? 'one run' : `medians of ${runs} runs`})`;
}
