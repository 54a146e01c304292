// Conditions as they are typed: what is accepted means what it says, what could mean two things is refused with the reason.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { holds, METRIC_NAMES, parseFailIf } from '../../src/cli/fail-if.js';
import { UsageError } from '../../src/cli/usage.js';
import { PROPERTY } from '../fuzz/counts.js';

test('throughput<-10%, p99>+20% and p99.9>+7.5%', () => {
  expect(parseFailIf('throughput<-10%, p99>+20%,p99.9 > +7.5%')).toEqual([
    { metric: 'throughput', than: '<', change: -0.1, text: 'throughput<-10%' },
    { metric: 'p99', than: '>', change: 0.2, text: 'p99>+20%' },
    { metric: 'p99.9', than: '>', change: 0.075, text: 'p99.9 > +7.5%' },
  ]);
});

test.each([
  ['', "'' is not a condition, like throughput<-10% or p99>+20%"],
  ['p99', "'p99' is not a condition"],
  ['p99>+20%,', "'' is not a condition"],
  ['p98>+20%', "'p98' of 'p98>+20%' is not one of throughput, cpu, p50, p90, p99, p99.9, max"],
  ['P99>+20%', "'P99' of 'P99>+20%' is not one of"],
  ['>+20%', "'' of '>+20%' is not one of"],
  ['p99>20%', "'20%' of 'p99>20%' is not a change with its sign"],
  ['p99>+20', "'+20' of 'p99>+20' is not a change with its sign"],
  ['p99>=+20%', "'=+20%' of 'p99>=+20%' is not a change"],
  ['p99>>+20%', "'>+20%' of 'p99>>+20%' is not a change"],
  ['p99>+2e1%', "'+2e1%' of 'p99>+2e1%' is not a change"],
  ['p99>+20%%', "'+20%%' of 'p99>+20%%' is not a change"],
  ['throughput<-100%', 'no figure falls by more than 100 %'],
  ['throughput>-101%', 'no figure falls by more than 100 %'],
  ['p99>+20%,p99>+30%', "'p99>+20%,p99>+30%' says p99> twice"],
])('%j is refused: %s', (text, message) => {
  expect(() => parseFailIf(text)).toThrow(UsageError);
  expect(() => parseFailIf(text)).toThrow(message);
});

describe('what holds', () => {
  test.each([
    ['throughput<-10%', 0.89, true],
    ['throughput<-10%', 0.91, false],
    ['throughput<-10%', 1.5, false],
    ['p99>+20%', 1.21, true],
    ['p99>+20%', 1.19, false],
    ['p99>+20%', 0.1, false],
    ['p50>-5%', 0.96, true],
    ['cpu<+5%', 1.04, true],
  ] as const)('%s at %d: %s', (text, ratio, expected) => {
    const [condition] = parseFailIf(text);
    expect(condition !== undefined && holds(condition, ratio)).toBe(expected);
  });

  test('is the sign and the number that were typed', () => {
    const percent = fc.integer({ min: -99, max: 500 });
    const metric = fc.constantFrom(...METRIC_NAMES);
    fc.assert(
      fc.property(metric, fc.constantFrom('<', '>'), percent, percent, (name, than, limit, now) => {
        fc.pre(limit !== now);
        const sign = limit < 0 ? '' : '+';
        const [condition] = parseFailIf(`${name}${than}${sign}${limit}%`);
        const expected = than === '<' ? now < limit : now > limit;
        expect(condition !== undefined && holds(condition, 1 + now / 100)).toBe(expected);
      }),
      PROPERTY,
    );
  });

  test('any text: conditions, or an error that says what is wrong', () => {
    const piece = fc.constantFrom(
      'p99',
      'throughput',
      'p99.9',
      '<',
      '>',
      '+',
      '-',
      '20',
      '.5',
      '%',
      ',',
      ' ',
      '=',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 10 }), (pieces) => {
        const text = pieces.join('');
        try {
          const conditions = parseFailIf(text);
          expect(conditions).toHaveLength(text.split(',').length);
          for (const { change } of conditions) expect(Number.isFinite(change)).toBe(true);
        } catch (error) {
          expect(error).toBeInstanceOf(UsageError);
          expect((error as Error).message).toMatch(/^'/);
        }
      }),
      PROPERTY,
    );
  });
});
