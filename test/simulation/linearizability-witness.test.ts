// An order that somebody claims is checked by the definition alone.

import { expect, test } from 'vitest';
import { whyNot } from '../../src/simulation/linearizability/witness.js';
import {
  checkLinearizable,
  type KeyInput,
  type KeyOutput,
  type Operation,
} from '../../src/simulation/linearizability.js';

function op(call: number, end: number, input: KeyInput, output: KeyOutput, key = 'k'): Operation {
  return { client: call, call, end, steps: [{ key, input, output }] };
}

const set = (value: string): KeyInput => ({ type: 'set', value });
const GET: KeyInput = { type: 'get' };
const INCR: KeyInput = { type: 'incr', by: 1 };
const NEVER = Number.POSITIVE_INFINITY;

const a = op(1, 4, set('a'), null);
const b = op(2, 6, set('b'), null);
const read = op(5, 8, GET, 'b');

test('an order that explains a history does so, whatever the search would have tried first', () => {
  expect(whyNot([a, b, read], [a, b, read])).toBe(null);
  expect(whyNot([a, b, read], [b, a, read])).toMatch(/found 'k' = a/);
});

test.each<[string, readonly Operation[], readonly Operation[], RegExp]>([
  ['a lost acknowledged write', [a, b, read], [b, read], /was answered and never took effect/],
  ['a doubled increment', [op(1, 2, INCR, 2)], [op(1, 2, INCR, 2)], /found 'k' = absent/],
  ['one operation twice', [a], [a, a], /took effect twice/],
  ['a stale read', [a, op(5, 6, GET, null)], [op(5, 6, GET, null), a], /had ended before/],
  ['a read of the future', [op(1, 2, GET, 'a'), op(3, 4, set('a'), null)], [], /never took effect/],
])('%s is refused', (_what, history, order, why) => {
  const claimed = order.map((known) => history.find((one) => one.call === known.call) ?? known);
  expect(whyNot(history, claimed)).toMatch(why);
});

test('what was never answered may be anywhere after its call, or nowhere', () => {
  const open = op(3, NEVER, set('x'), null);
  expect(whyNot([a, open, op(9, 10, GET, 'a')], [a, op(9, 10, GET, 'a')].slice(0, 1))).toMatch(
    /never/,
  );
  const late = op(9, 10, GET, 'x');
  expect(whyNot([a, open, late], [a, open, late])).toBe(null);
  const without = op(9, 10, GET, 'a');
  expect(whyNot([a, open, without], [a, without])).toBe(null);
  const early = op(1, 2, GET, 'x');
  expect(whyNot([early, open], [open, early])).toMatch(/had ended before/);
});

test('what an order explains, the search accepts', () => {
  expect(checkLinearizable([a, b, read]).verdict).toBe('linearizable');
});
