// Units as people type them: what is printed can be typed again, what is typed means what long multiplication says, and anything
// else is a UsageError that quotes it.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type Bounds,
  formatMicros,
  formatMix,
  formatSizeRange,
  formatValueSizes,
  parseCount,
  parseList,
  parseMicros,
  parseMillis,
  parseMix,
  parseSize,
  parseSizeRange,
  parseValueSizes,
} from '../../src/cli/units.js';
import { UsageError } from '../../src/cli/usage.js';
import { KINDS, type Mix } from '../../src/cli/workload.js';
import { inputs, PROPERTY, TIMEOUT_MS } from './counts.js';

const timeout = TIMEOUT_MS;
const WIDE: Bounds = { least: 0, most: Number.MAX_SAFE_INTEGER };

const UNITS = {
  count: { parse: parseCount, factors: { '': 1n, k: 1_000n, M: 1_000_000n, G: 1_000_000_000n } },
  size: {
    parse: parseSize,
    factors: { '': 1n, B: 1n, KiB: 2n ** 10n, MiB: 2n ** 20n, GiB: 2n ** 30n },
  },
  micros: { parse: parseMicros, factors: { us: 1n, ms: 1_000n, s: 1_000_000n, m: 60_000_000n } },
} as const;
const sorts = Object.entries(UNITS).map(([sort, of]) => ({ sort, ...of }));

function outcome<T>(run: () => T): T | UsageError {
  try {
    return run();
  } catch (error) {
    if (error instanceof UsageError) return error;
    throw error;
  }
}

describe.each(sorts)('$sort', ({ parse, factors }) => {
  const units = Object.entries(factors) as [string, bigint][];
  const unit = fc.constantFrom(...units);

  test('is the number times the unit, exactly, or refused', () => {
    const whole = fc.oneof(fc.nat(2000), fc.nat(2 ** 31), fc.constantFrom(0, 1, 8388607));
    const places = fc.stringMatching(/^[0-9]{0,4}$/);
    fc.assert(
      fc.property(whole, places, unit, (number, fraction, [name, factor]) => {
        const text = `${number}${fraction === '' ? '' : `.${fraction}`}${name}`;
        const scaled = BigInt(`${number}${fraction}`) * factor;
        const divisor = 10n ** BigInt(fraction.length);
        const found = outcome(() => parse(text, WIDE));
        // Binary fractions are exact to a millionth only so far, which is more than a benchmark asks for.
        fc.pre(fraction === '' || scaled / divisor < 100_000_000n);
        const exact = scaled % divisor === 0n && scaled / divisor <= BigInt(WIDE.most);
        if (exact) expect(found).toBe(Number(scaled / divisor));
        else expect(found).toBeInstanceOf(UsageError);
      }),
      PROPERTY,
    );
  });

  test('is within its bounds, which the error names', () => {
    const bound = fc.tuple(fc.nat(5000), fc.nat(5000)).map(([a, b]) => ({
      least: Math.min(a, b),
      most: Math.max(a, b),
    }));
    fc.assert(
      fc.property(fc.nat(9000), unit, bound, (number, [name, factor], bounds) => {
        const value = BigInt(number) * factor;
        const found = outcome(() => parse(`${number}${name}`, bounds));
        if (value >= bounds.least && value <= bounds.most) expect(found).toBe(Number(value));
        else expect((found as UsageError).message).toContain(`'${number}${name}' is out of range`);
      }),
      PROPERTY,
    );
  });
});

const character = fc.constantFrom(...'0123456789.,=-+ekMGiBusm_ \t');
const words = ['1..2', '..', '__proto__', 'constructor=1', 'NaN', 'Infinity', '0x10', '1e3', '٣'];
const nearly = fc.oneof(
  fc.string({ unit: character, maxLength: 12 }),
  fc.string({ unit: 'binary', maxLength: 12 }),
  fc
    .array(fc.constantFrom(...words, 'get=50', 'set', '10', 'k', ','), { maxLength: 4 })
    .map((all) => all.join('')),
);

test('any text: a whole number within the bounds, or an error that quotes it', { timeout }, () => {
  const bounds = { least: 3, most: 70_000 };
  fc.assert(
    fc.property(nearly, (text) => {
      for (const { parse } of sorts) {
        const found = outcome(() => parse(text, bounds));
        if (found instanceof UsageError) {
          expect(found.message.startsWith(`'${text}' is `)).toBe(true);
          continue;
        }
        expect(Number.isInteger(found)).toBe(true);
        expect(found).toBeGreaterThanOrEqual(bounds.least);
        expect(found).toBeLessThanOrEqual(bounds.most);
        expect(text.trim()).toMatch(/^[0-9]/);
      }
      const range = outcome(() => parseSizeRange(text, bounds));
      if (!(range instanceof UsageError)) {
        expect(range.least).toBeLessThanOrEqual(range.most);
        expect(outcome(() => parseSizeRange(formatSizeRange(range), bounds))).toEqual(range);
      }
      const mix = outcome(() => parseMix(text));
      if (!(mix instanceof UsageError)) {
        expect(Object.keys(mix).every((kind) => KINDS.some((known) => known === kind))).toBe(true);
        expect(Object.values(mix).some((weight) => (weight ?? 0) > 0)).toBe(true);
      }
    }),
    inputs(0.5),
  );
});

test('a mix that is printed means the same when it is typed', () => {
  const mix = fc.record(
    Object.fromEntries(KINDS.map((kind) => [kind, fc.nat(1000)])) as Record<
      string,
      fc.Arbitrary<number>
    >,
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(mix, (weights) => {
      const positive = Object.entries(weights).filter(([, weight]) => (weight ?? 0) > 0);
      const text = formatMix(weights as Mix);
      if (positive.length === 0) expect(outcome(() => parseMix(text))).toBeInstanceOf(UsageError);
      else expect(parseMix(text)).toEqual(Object.fromEntries(positive));
    }),
    PROPERTY,
  );
});

test('a range of sizes that is printed means the same when it is typed', () => {
  fc.assert(
    fc.property(fc.nat(100_000), fc.nat(100_000), (a, b) => {
      const range = { least: Math.min(a, b), most: Math.max(a, b) };
      expect(parseSizeRange(formatSizeRange(range), WIDE)).toEqual(range);
      const sizes = { ...range, zipf: true as const };
      expect(parseValueSizes(formatValueSizes(sizes), WIDE)).toEqual(sizes);
      expect(parseValueSizes(formatValueSizes(range), WIDE)).toEqual(range);
    }),
    PROPERTY,
  );
});

test('a duration that is printed is off by half of its last figure at most', () => {
  const micros = fc.oneof(fc.nat(2000), fc.nat(2_000_000), fc.nat(1_000_000_000));
  fc.assert(
    fc.property(micros, (value) => {
      const text = formatMicros(value);
      expect(text).toMatch(/^\d+(\.\d{1,2})?(us|ms|s)$/);
      const back = parseMicros(text, WIDE);
      expect(Math.abs(back - value)).toBeLessThanOrEqual(value / 180);
    }),
    PROPERTY,
  );
});

test('milliseconds are thousandths of what microseconds are', () => {
  fc.assert(
    fc.property(fc.nat(10_000_000), (micros) => {
      const bounds = { least: 0, most: 20_000 };
      expect(parseMillis(`${micros}us`, bounds)).toBe(micros / 1000);
    }),
    PROPERTY,
  );
});

test('a list has its items in order, none empty, none twice', () => {
  const item = fc.oneof(fc.nat(20).map(String), fc.constantFrom('', ' ', ' 7', 'x'));
  const parse = (text: string): number => parseCount(text, { least: 0, most: 100 });
  fc.assert(
    fc.property(fc.array(item, { minLength: 1, maxLength: 6 }), (list) => {
      const found = outcome(() => parseList(list.join(','), parse));
      const values = list.map((text) => (text.trim() === '' ? Number.NaN : Number(text)));
      if (values.some(Number.isNaN) || new Set(values).size < values.length)
        expect(found).toBeInstanceOf(UsageError);
      else expect(found).toEqual(values);
    }),
    PROPERTY,
  );
});
