// The checker against planted faults, each in the smallest history that shows it, and against its innocent twin.

import { expect, test } from 'vitest';
import {
  checkLinearizable,
  type KeyOutput,
  type KeyStep,
  type Operation,
} from '../../src/simulation/linearizability.js';

const get = (key: string, output?: KeyOutput): KeyStep => step(key, { type: 'get' }, output);
const set = (key: string, value: string): KeyStep => step(key, { type: 'set', value }, null);
const del = (key: string, output?: boolean): KeyStep => step(key, { type: 'delete' }, output);
const incr = (key: string, output?: number, by = 1): KeyStep =>
  step(key, { type: 'incr', by }, output);
const cas = (key: string, expected: string | null, value: string, output?: boolean): KeyStep =>
  step(key, { type: 'cas', expected, value }, output);

function step(key: string, input: KeyStep['input'], output?: KeyOutput): KeyStep {
  return output === undefined ? { key, input } : { key, input, output };
}

let clients = 0;
function op(call: number, end: number, ...steps: KeyStep[]): Operation {
  return { client: clients++, call, end, steps };
}

/** Outcome unknown: outputs too. */
function open(call: number, ...steps: KeyStep[]): Operation {
  return op(call, Infinity, ...steps.map(({ key, input }) => ({ key, input })));
}

function verdict(...history: Operation[]): string {
  return checkLinearizable(history).verdict;
}

/** The same key is written and deleted by others too, so that no shortcut for plain registers applies. */
const MIXED = [op(-9, -8, set('x', '0')), op(-7, -6, del('x', true))];

test.each([
  ['registers', [] as Operation[]],
  ['a key of mixed use', MIXED],
])('planted faults on %s', (_, before) => {
  const of = (...history: Operation[]) => verdict(...before, ...history);
  const twoWrites = [op(0, 1, set('x', 'a')), op(2, 3, set('x', 'b'))];
  // Stale read, and the same read while the write is still under way.
  expect(of(...twoWrites, op(4, 5, get('x', 'a')))).toBe('violation');
  expect(of(...twoWrites, op(3, 5, get('x', 'a')))).toBe('linearizable');
  // Lost acknowledged write.
  expect(of(op(0, 1, set('x', 'a')), op(2, 3, get('x', null)))).toBe('violation');
  expect(of(op(0, 2, set('x', 'a')), op(2, 3, get('x', null)))).toBe('linearizable');
  // A value is read before its write begins, and one that nobody writes.
  expect(of(op(0, 1, get('x', 'a')), op(2, 3, set('x', 'a')))).toBe('violation');
  expect(of(op(0, 2, get('x', 'a')), op(2, 3, set('x', 'a')))).toBe('linearizable');
  expect(of(op(0, 1, get('x', 'z')))).toBe('violation');
  // Two reads one after the other see two overlapping writes in one order, two others in the other.
  const overlapping = [op(0, 9, set('x', 'a')), op(0, 9, set('x', 'b'))];
  const reads = (a: string, b: string) => [op(1, 2, get('x', a)), op(3, 4, get('x', b))];
  expect(of(...overlapping, ...reads('a', 'b'))).toBe('linearizable');
  expect(of(...overlapping, ...reads('a', 'b'), op(5, 6, get('x', 'a')))).toBe('violation');
});

test('lost update: two swaps from the same value both succeed', () => {
  const start = op(0, 1, set('x', 'a'));
  const both = [op(2, 9, cas('x', 'a', 'b', true)), op(2, 9, cas('x', 'a', 'c', true))];
  expect(verdict(start, ...both)).toBe('violation');
  expect(verdict(start, ...both, op(3, 8, set('x', 'a')))).toBe('linearizable');
  const refused = op(2, 9, cas('x', 'a', 'c', false));
  expect(verdict(start, op(2, 9, cas('x', 'a', 'b', true)), refused)).toBe('linearizable');
  expect(verdict(start, refused)).toBe('violation');
});

test('increments: doubled, lost and counted twice', () => {
  expect(verdict(op(0, 1, incr('n', 1)), op(2, 3, incr('n', 3)))).toBe('violation');
  expect(verdict(op(0, 1, incr('n', 1)), op(2, 3, incr('n', 1)))).toBe('violation');
  expect(verdict(op(0, 5, incr('n', 2)), op(0, 5, incr('n', 1)))).toBe('linearizable');
  expect(verdict(op(0, 1, incr('n', 1)), op(2, 3, get('n', '2')))).toBe('violation');
  expect(verdict(op(0, 1, incr('n', 1)), op(2, 3, get('n', '1')))).toBe('linearizable');
  // Somebody's increment without an answer explains one that is missing, not two.
  const missing = (by: number) => [op(0, 1, incr('n', 1)), op(2, 3, incr('n', 2 + by))];
  expect(verdict(open(0, incr('n')), ...missing(1))).toBe('linearizable');
  expect(verdict(open(0, incr('n')), ...missing(2))).toBe('violation');
  expect(verdict(open(2.5, incr('n')), open(0, incr('n')), ...missing(2))).toBe('linearizable');
  expect(verdict(open(4, incr('n')), ...missing(1))).toBe('violation');
});

test('operations of one client out of order', () => {
  const client = 7;
  const [first, second] = [op(0, 1, set('x', 'a')), op(2, 3, set('x', 'b'))];
  const history = [
    { ...first, client },
    { ...second, client },
  ];
  expect(verdict(...history, op(4, 5, get('x', 'b')))).toBe('linearizable');
  expect(verdict(...history, op(4, 5, get('x', 'a')))).toBe('violation');
  expect(verdict(...history, op(4, 5, get('x', 'b')), op(6, 7, get('x', 'a')))).toBe('violation');
});

test('an atomic request is not to be seen torn', () => {
  const write = op(0, 9, set('x', '1'), set('y', '1'));
  const both = (x: string | null, y: string | null) => op(1, 2, get('x', x), get('y', y));
  expect(verdict(write, both('1', '1'))).toBe('linearizable');
  expect(verdict(write, both(null, null))).toBe('linearizable');
  expect(verdict(write, both('1', null))).toBe('violation');
  // Reads of one key after the other see as much, also where nothing is known of the outcome.
  const torn = [op(1, 2, get('x', '1')), op(3, 4, get('y', null))];
  expect(verdict(write, ...torn)).toBe('violation');
  expect(verdict(open(0, set('x', '1'), set('y', '1')), ...torn)).toBe('violation');
  expect(verdict(open(0, set('x', '1')), open(0, set('y', '1')), ...torn)).toBe('linearizable');
  // Its steps take effect in their order, and see each other.
  expect(verdict(op(0, 1, set('x', '1'), incr('x', 2), get('x', '2')))).toBe('linearizable');
  expect(verdict(op(0, 1, incr('x', 2), set('x', '1')))).toBe('violation');
  expect(verdict(op(0, 1, set('x', 'a'), get('x', 'b')))).toBe('violation');
});

test('an unknown outcome: late, never, but not twice and not before its call', () => {
  const lost = open(0, set('x', 'a'));
  const later = op(1, 2, set('x', 'b'));
  expect(verdict(lost, later, op(3, 4, get('x', 'b')))).toBe('linearizable');
  expect(verdict(lost, later, op(3, 4, get('x', 'a')))).toBe('linearizable');
  const again = [op(3, 4, get('x', 'a')), op(5, 6, set('x', 'c')), op(7, 8, get('x', 'a'))];
  expect(verdict(lost, later, ...again)).toBe('violation');
  expect(verdict(lost, lost, later, ...again)).toBe('linearizable');
  expect(verdict(op(0, 1, get('x', 'a')), open(2, set('x', 'a')))).toBe('violation');
  // Chains of them: a swap that needs a write, a delete that another needs.
  const swap = open(0, cas('x', 'a', 'z'));
  expect(verdict(lost, swap, op(3, 4, get('x', 'z')))).toBe('linearizable');
  expect(verdict(swap, op(3, 4, get('x', 'z')))).toBe('violation');
  expect(verdict(lost, op(3, 4, del('x', true)))).toBe('linearizable');
  expect(verdict(lost, op(3, 4, del('x', true)), op(5, 6, del('x', true)))).toBe('violation');
  expect(verdict(later, open(0, del('x')), op(3, 4, get('x', null)))).toBe('linearizable');
  expect(verdict(later, lost, op(3, 4, cas('x', 'b', 'q', false)))).toBe('linearizable');
});

test('unknown outcomes that must take effect together, in a row or sparingly', () => {
  // One for each key of an atomic request.
  const reads = op(1, 2, get('x', 'a'), get('y', 'b'));
  expect(verdict(open(0, set('x', 'a')), open(0, set('y', 'b')), reads)).toBe('linearizable');
  expect(verdict(open(0, set('x', 'a')), reads)).toBe('violation');
  // What the first leads to is excluded as well.
  const neither = op(1, 2, cas('x', 'a', 'q', false), del('x', true));
  const [write, swap] = [open(0, set('x', 'a')), open(0, cas('x', 'a', 'b'))];
  expect(verdict(write, swap, neither)).toBe('linearizable');
  expect(verdict(write, neither)).toBe('violation');
  // The first order that comes to mind wastes the write on the swap, and comes to the same values as one that does not.
  const race = [op(0, 10, set('x', 'b')), op(0, 12, cas('x', 'a', 'b', true))];
  const deletes = [op(20, 21, del('x', true)), op(22, 23, del('x', true))];
  const history = [op(-2, -1, set('x', 'a')), ...race, ...deletes];
  expect(verdict(...history, open(0, set('x', 'a')))).toBe('linearizable');
  expect(verdict(...history, open(24, set('x', 'a')))).toBe('violation');
  // Needed by one that would be legal without it.
  const both = op(1, 2, get('x', '5'), get('y', 'q'));
  const adds = open(0, incr('x'), set('y', 'q'));
  expect(verdict(open(0, set('x', '4')), adds, both)).toBe('linearizable');
  expect(verdict(open(0, set('x', '3')), adds, both)).toBe('violation');
  const quiet = [op(1, 2, incr('x')), op(3, 4, get('x', '5'))];
  expect(verdict(open(0, set('x', '4')), ...quiet)).toBe('linearizable');
  expect(verdict(open(0, set('x', '3')), ...quiet)).toBe('violation');
  // Of a value that nothing names, and yet leant on.
  const leans = op(1, 2, cas('x', 'a', 'w'), del('x', true));
  expect(verdict(open(0, set('x', 'z')), leans)).toBe('linearizable');
  expect(verdict(open(0, del('x')), leans)).toBe('violation');
});

test('outputs given of an unknown outcome hold if it took effect', () => {
  const late = (...steps: KeyStep[]) => op(0, Infinity, ...steps);
  const [a, b] = [op(1, 2, set('x', 'a')), op(3, 4, get('x', 'b'))];
  expect(verdict(a, late(cas('x', 'a', 'b', true)), b)).toBe('linearizable');
  expect(verdict(a, late(cas('x', 'a', 'b', false)), b)).toBe('violation');
  expect(verdict(a, late(cas('x', 'a', 'c', false), set('x', 'b')), b)).toBe('violation');
  expect(verdict(a, late(cas('x', 'c', 'a', false), set('x', 'b')), b)).toBe('linearizable');
});

test('outputs that are not known of operations that did take effect', () => {
  expect(verdict(op(0, 1, incr('n')), op(2, 3, get('n', '1')))).toBe('linearizable');
  expect(verdict(op(0, 1, incr('n')), op(2, 3, get('n', null)))).toBe('violation');
  expect(verdict(op(0, 1, cas('x', null, 'a')), op(2, 3, get('x', null)))).toBe('violation');
  expect(verdict(op(0, 1, get('x')), op(0, 1, get('y')))).toBe('linearizable');
});

test('values that were there at the start', () => {
  const initial = new Map([['x', '4']]);
  const check = (...history: Operation[]) => checkLinearizable(history, { initial }).verdict;
  expect(check(op(0, 1, get('x', '4')), op(0, 1, get('y', null)))).toBe('linearizable');
  expect(check(op(0, 1, get('x', null)))).toBe('violation');
  expect(check(op(0, 1, incr('x', 5)), op(2, 3, del('x', true)))).toBe('linearizable');
});

test('a search cut short decides nothing', () => {
  const history = Array.from({ length: 20 }, (_, n) => op(n, n + 5, incr('n', n + 1)));
  expect(checkLinearizable(history, { stepsMax: 5 })).toMatchObject({
    verdict: 'undecided',
    keys: ['n'],
  });
  expect(checkLinearizable(history).verdict).toBe('linearizable');
  const registers = history.map(({ call, end }) => op(call, end, set('x', `${call}`)));
  expect(checkLinearizable(registers, { stepsMax: 5 }).verdict).toBe('undecided');
});

test('a violation names its key and the operations around it', () => {
  const elsewhere = Array.from({ length: 50 }, (_, n) => op(n, n + 1, incr('other', n + 1)));
  const { keys, explanation } = checkLinearizable([
    ...elsewhere,
    op(0, 1, set('x', 'early'), incr('n', 1)),
    op(30, 31, incr('n', 2)),
    op(32, 33, incr('n', 2)),
  ]);
  expect(keys).toEqual(['n']);
  expect(explanation).toContain('n: no order explains "incr n 1 -> 2"');
  expect(explanation).toContain('[30, 31] incr n 1 -> 2');
  expect(explanation).toContain('[32, 33] incr n 1 -> 2');
  expect(explanation).not.toContain('other');
  const stale = checkLinearizable([
    op(0, 1, set('x', 'a')),
    op(2, 3, set('x', 'b')),
    op(4, 5, get('x', 'a')),
  ]);
  expect(stale.explanation?.split('\n')).toHaveLength(4);
});

test('a history that ends before it begins is refused', () => {
  expect(() => verdict(op(2, 1, get('x', null)))).toThrow(RangeError);
  expect(() => verdict(op(Number.NaN, 1, get('x', null)))).toThrow(RangeError);
});
