// Counts, sizes, durations, lists and mixes as people type them, and back. Units are never guessed: `10` is no duration and `64K`
// no size, for a benchmark that ran with other numbers than its user meant is worse than none.

import type { Consistency } from '../index.js';
import { UsageError } from './usage.js';
import type { ValueSizes } from './values.js';
import { KINDS, type Kind, type Mix } from './workload.js';

export interface Bounds {
  readonly least: number;
  readonly most: number;
}

export interface SizeRange {
  readonly least: number;
  readonly most: number;
}

/** Levels of reads that have a name. */
const CONSISTENCY_WORDS = ['linearizable', 'session', 'local'] as const;
const STALE_MOST_MS = 3_600_000;

const COUNT_FACTORS: Readonly<Record<string, number>> = { '': 1, k: 1e3, M: 1e6, G: 1e9 };
const SIZE_FACTORS: Readonly<Record<string, number>> = {
  '': 1,
  B: 1,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
};
const DURATION_MICROS: Readonly<Record<string, number>> = { us: 1, ms: 1e3, s: 1e6, m: 6e7 };

/** A number with one of the known suffixes. @returns undefined when `text` is not that. */
function scaled(text: string, factors: Readonly<Record<string, number>>): number | undefined {
  const match = /^(\d+(?:\.\d+)?)([a-zA-Z]*)$/.exec(text.trim());
  if (match === null) return undefined;
  const unit = match[2] ?? '';
  if (!Object.hasOwn(factors, unit)) return undefined;
  // Rounded because 0.1 x 1e6 is not always whole in binary, nor 512.2 x 1e9, where a last place is worth more.
  const value = Number(match[1]) * (factors[unit] as number);
  return Math.abs(value - Math.round(value)) <= 1e-12 * value ? Math.round(value) : value;
}

function within(
  text: string,
  value: number | undefined,
  bounds: Bounds,
  form: { readonly what: string; readonly say?: (bound: number) => string },
): number {
  const { what, say = String } = form;
  const range = `from ${say(bounds.least)} to ${say(bounds.most)}`;
  if (value === undefined || !Number.isInteger(value))
    throw new UsageError(`'${text}' is not ${what}, ${range}`);
  if (value < bounds.least || value > bounds.most)
    throw new UsageError(`'${text}' is out of range: ${range}`);
  return value;
}

/** As it may be typed. */
function sizeText(bytes: number): string {
  for (const [unit, factor] of Object.entries(SIZE_FACTORS).reverse())
    if (bytes >= factor && bytes % factor === 0)
      return `${bytes / factor}${factor > 1 ? unit : ''}`;
  return String(bytes);
}

/** `10`, `10k`, `2M`. `what`: what the flag takes. @throws UsageError */
export function parseCount(
  text: string,
  bounds: Bounds,
  what = 'a whole number, like 10, 10k or 2M',
): number {
  return within(text, scaled(text, COUNT_FACTORS), bounds, { what });
}

const A_SIZE = 'a size, like 100, 64KiB or 1MiB';

/** `100`, `64KiB`, `1MiB`. @throws UsageError */
export function parseSize(text: string, bounds: Bounds, what: string = A_SIZE): number {
  return within(text, scaled(text, SIZE_FACTORS), bounds, { what, say: sizeText });
}

const A_RANGE = `${A_SIZE}, nor a range of them, like 16..100`;

/** One size, or `16..100` for sizes drawn evenly from a range. @throws UsageError */
export function parseSizeRange(text: string, bounds: Bounds, what: string = A_RANGE): SizeRange {
  const parts = text.split('..');
  if (parts.length > 2 || parts.includes('')) throw new UsageError(`'${text}' is not ${what}`);
  const least = parseSize(parts[0] ?? '', bounds, what);
  const most = parts.length === 1 ? least : parseSize(parts[1] ?? '', bounds);
  if (most < least) throw new UsageError(`'${text}' is a range that ends before it starts`);
  return { least, most };
}

const ZIPF = 'zipf:';

/** One size, `16..100`, or `zipf:16..4096` for a range in which small sizes are frequent. @throws UsageError */
export function parseValueSizes(text: string, bounds: Bounds): ValueSizes {
  const what = `${A_RANGE}, nor ${ZIPF}16..4096`;
  if (!text.startsWith(ZIPF)) return parseSizeRange(text, bounds, what);
  return { ...parseSizeRange(text.slice(ZIPF.length), bounds, what), zipf: true };
}

/** `50us`, `500ms`, `10s`, `2m`; only `0` needs no unit. @returns microseconds. @throws UsageError */
export function parseMicros(text: string, bounds: Bounds): number {
  const value = text.trim() === '0' ? 0 : scaled(text, DURATION_MICROS);
  const range = `from ${formatMicros(bounds.least)} to ${formatMicros(bounds.most)}`;
  if (value === undefined || !Number.isInteger(value))
    throw new UsageError(`'${text}' is not a duration, like 50us, 500ms, 10s or 2m, ${range}`);
  if (value < bounds.least || value > bounds.most)
    throw new UsageError(`'${text}' is out of range: ${range}`);
  return value;
}

/** @returns milliseconds. @throws UsageError */
export function parseMillis(text: string, bounds: Bounds): number {
  const micros = parseMicros(text, { least: bounds.least * 1e3, most: bounds.most * 1e3 });
  return micros / 1e3;
}

/** What a read asks of whoever answers it: a word, or for a stale one its age. @throws UsageError */
export function parseConsistency(text: string): Consistency {
  const level = CONSISTENCY_WORDS.find((known) => known === text);
  if (level !== undefined) return level;
  if (!/^\d/.test(text))
    throw new UsageError(
      `'${text}' is not one of ${CONSISTENCY_WORDS.join(', ')}, nor an age like 50ms`,
    );
  return { maxStaleMs: parseMillis(text, { least: 1, most: STALE_MOST_MS }) };
}

/** `1,8,64`: every item through `parse`, none empty, none twice. @throws UsageError */
export function parseList<T>(text: string, parse: (item: string) => T): T[] {
  const items = text.split(',').map((item) => item.trim());
  const values: T[] = [];
  for (const item of items) {
    if (item === '') throw new UsageError(`'${text}' has an empty item`);
    const value = parse(item);
    if (values.includes(value)) throw new UsageError(`'${text}' names ${item} twice`);
    values.push(value);
  }
  return values;
}

/** `get=50,set=50`: weights, not necessarily adding up to 100. @throws UsageError */
export function parseMix(text: string): Mix {
  const mix: Partial<Record<Kind, number>> = {};
  for (const part of text.split(',')) {
    const [name = '', weight = '', ...rest] = part.trim().split('=');
    const kind = KINDS.find((known) => known === name);
    if (kind === undefined || weight === '' || rest.length > 0)
      throw new UsageError(`'${part}' is not <operation>=<weight> with one of ${KINDS.join(', ')}`);
    if (mix[kind] !== undefined) throw new UsageError(`'${text}' names ${kind} twice`);
    mix[kind] = parseCount(weight, { least: 0, most: 1000 });
  }
  if (Object.values(mix).every((weight) => weight === 0))
    throw new UsageError(`'${text}' leaves no operation to run`);
  return mix;
}

export function formatMix(mix: Mix): string {
  return KINDS.filter((kind) => (mix[kind] ?? 0) > 0)
    .map((kind) => `${kind}=${mix[kind]}`)
    .join(',');
}

export function formatSizeRange(range: SizeRange): string {
  return range.least === range.most ? `${range.least}` : `${range.least}..${range.most}`;
}

export function formatValueSizes(sizes: ValueSizes): string {
  return (sizes.zipf === true ? ZIPF : '') + formatSizeRange(sizes);
}

/** Three significant figures in the unit that keeps the number short. */
export function formatMicros(micros: number): string {
  if (micros < 1e3) return `${figures(micros)}us`;
  if (micros < 1e6) return `${figures(micros / 1e3)}ms`;
  return `${figures(micros / 1e6)}s`;
}

export function formatMillis(millis: number): string {
  return formatMicros(millis * 1e3);
}

function figures(value: number): string {
  if (value >= 100 || Number.isInteger(value)) return value.toFixed(0);
  return value.toFixed(value >= 10 ? 1 : 2);
}

export function formatBytes(bytes: number): string {
  // Means of sizes have digits behind the point.
  if (bytes < 2 ** 10) return `${figures(bytes)} B`;
  if (bytes < 2 ** 20) return `${(bytes / 2 ** 10).toFixed(1)} KiB`;
  if (bytes < 2 ** 30) return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  return `${(bytes / 2 ** 30).toFixed(2)} GiB`;
}

/** 1234567 as 1,234,567. */
export function formatCount(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}
