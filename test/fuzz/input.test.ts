// Files of operations: any text gives operations or a UsageError that names the first broken line, and where the text is cut
// makes no difference.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { type InputOperation, parseInput, readInput } from '../../src/cli/input.js';
import { UsageError } from '../../src/cli/usage.js';
import { KEY_BYTES_MAX } from '../../src/service/operation.js';
import { inputs, PROPERTY, TIMEOUT_MS } from './counts.js';
import { damaged, hits } from './damage.js';

const timeout = TIMEOUT_MS;
/** Longest message of an error, whatever the line holds: it is one line on a terminal. */
const MESSAGE_MAX = 2000;

const name = fc.oneof(
  fc.string({ unit: 'binary', minLength: 1, maxLength: 20 }),
  fc.constantFrom('__proto__', 'constructor', 'toString', 'hasOwnProperty', 'key', ' ', '\u2028'),
);
const json: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom<unknown>(null, true, 0, -0, 1.5, 1e300, Number.MAX_SAFE_INTEGER, '', 'x'),
    fc.string({ unit: 'binary', maxLength: 20 }),
    fc.array(tie('value'), { maxLength: 4 }),
    // `__proto__` cannot be told from its like in what a decoder gives back, and is refused.
    fc.dictionary(
      name.filter((key) => key !== '__proto__'),
      tie('value'),
      { maxKeys: 4 },
    ),
  ),
})).value;

/** What a line says, and an operation that must come out of it. */
const operation: fc.Arbitrary<InputOperation> = fc.oneof(
  fc.record({ op: fc.constantFrom('get' as const, 'delete' as const), key: name }),
  fc.record({ op: fc.constant('set' as const), key: name, value: json }),
  fc.record({ op: fc.constant('incr' as const), key: name }),
  fc.record({ op: fc.constant('incr' as const), key: name, by: fc.maxSafeInteger() }),
);
const blank = fc.constantFrom('', ' ', '\t', '\r', '\ufeff', '   \t ');
const line = operation.chain((one) =>
  fc.tuple(blank, blank).map(([before, after]) => ({
    one,
    text: `${before.replace('\ufeff', '')}${JSON.stringify(one)}${after.replace('\ufeff', '')}`,
  })),
);

function outcome(text: string): InputOperation[] | string {
  try {
    return parseInput(text);
  } catch (error) {
    if (error instanceof UsageError) return error.message;
    throw error;
  }
}

/** Number of the line that an error names. */
function lineOf(message: string): number {
  const match = /^line (\d+): ./.exec(message);
  if (match === null) throw new Error(`names no line: ${message.slice(0, 200)}`);
  return Number(match[1]);
}

/** Checks what holds of any text: lines stand for themselves, the first that is broken is named. */
function checked(text: string): InputOperation[] | string {
  const whole = outcome(text);
  const lines = text.split('\n');
  const apart = lines.map((each) => outcome(each));
  const broken = apart.findIndex((each) => typeof each === 'string');
  if (typeof whole === 'string') {
    expect(lineOf(whole)).toBe(broken + 1);
    expect(whole.length).toBeLessThan(MESSAGE_MAX);
    expect(whole).not.toMatch(/[\p{Cc}\u2028]/u);
    expect(whole.replace(/^line \d+/, '')).toBe(String(apart[broken]).replace(/^line \d+/, ''));
  } else {
    expect(broken).toBe(-1);
    expect(whole).toEqual(apart.flat());
  }
  return whole;
}

test('lines among blank ones: every operation comes out, in order', { timeout }, () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(line, blank), { maxLength: 12 }), (list) => {
      const text = list.map((each) => (typeof each === 'string' ? each : each.text)).join('\n');
      const operations = list.flatMap((each) => (typeof each === 'string' ? [] : [each.one]));
      // JSON has no -0, and what comes back has a prototype.
      expect(checked(text)).toEqual(JSON.parse(JSON.stringify(operations)));
    }),
    PROPERTY,
  );
});

const CORPUS = fc
  .sample(fc.array(line, { minLength: 1, maxLength: 4 }), { numRuns: 200, seed: 9 })
  .map((list) => Buffer.from(list.map(({ text }) => text).join('\n')));
const which = fc.nat(CORPUS.length - 1);

test('damaged lines: operations that are whole, or an error that names the line', {
  timeout,
}, () => {
  let accepted = 0;
  let refused = 0;
  fc.assert(
    fc.property(which, which, hits, (one, other, list) => {
      const bytes = damaged(new Uint8Array(CORPUS[one] as Buffer), list, CORPUS[other] as Buffer);
      const result = checked(Buffer.from(bytes).toString('utf8'));
      if (typeof result === 'string') refused++;
      else {
        accepted++;
        for (const { key } of result) {
          const length = Buffer.byteLength(key);
          expect(length).toBeGreaterThan(0);
          expect(length).toBeLessThanOrEqual(KEY_BYTES_MAX);
        }
      }
    }),
    inputs(0.5),
  );
  expect(accepted).toBeGreaterThan(0);
  expect(refused).toBeGreaterThan(0);
});

test('random text, and records with random fields, __proto__ among them', { timeout }, () => {
  const field = fc.constantFrom('op', 'key', 'value', 'by', '__proto__', 'constructor', 'Op');
  const anything = fc.oneof(json, fc.constantFrom<unknown>('get', 'set', 'delete', 'incr', 'k', 7));
  const record = fc
    .array(fc.tuple(field, anything), { maxLength: 5 })
    .map((fields) => `{${fields.map(([k, v]) => `"${k}":${JSON.stringify(v)}`).join(',')}}`);
  const text = fc.oneof(record, fc.string({ unit: 'binary', maxLength: 60 }), fc.json());
  const prototype = Object.keys(Object.prototype);
  fc.assert(
    fc.property(fc.array(text, { minLength: 1, maxLength: 4 }), (list) => {
      checked(list.join('\n'));
    }),
    inputs(0.5),
  );
  expect(Object.keys(Object.prototype)).toEqual(prototype);
});

const folder = mkdtempSync(join(tmpdir(), 'viewstamp-input-'));
afterAll(() => rmSync(folder, { recursive: true }));

test('a file cut anywhere: its parts have the operations of the whole; bytes that are no text are refused', {
  timeout,
}, () => {
  const path = join(folder, 'operations.ndjson');
  const read = (bytes: Uint8Array): InputOperation[] | string => {
    writeFileSync(path, bytes);
    try {
      return readInput(path);
    } catch (error) {
      if (error instanceof UsageError) return error.message;
      throw error;
    }
  };
  const empty = `--input ${path}: no operations in it`;
  fc.assert(
    fc.property(which, fc.nat(), fc.option(hits, { freq: 2 }), (one, cut, list) => {
      const source = new Uint8Array(CORPUS[one] as Buffer);
      const bytes = list === null ? source : damaged(source, list, source);
      const whole = read(bytes);
      let text: string;
      try {
        text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
      } catch {
        expect(whole).toMatch(/^--input .*: .*not valid/);
        return;
      }
      const expected = outcome(text);
      if (typeof expected === 'string') expect(whole).toBe(`--input ${path}: ${expected}`);
      else if (expected.length === 0) expect(whole).toBe(empty);
      else {
        // A line break is where a file may be cut.
        const breaks = [...text.matchAll(/\n/g)].map(({ index }) => index);
        const at = breaks.length === 0 ? text.length : (breaks[cut % breaks.length] as number);
        const parts = [text.slice(0, at), text.slice(at + 1)].map((part) =>
          read(Buffer.from(part)),
        );
        expect(parts.flatMap<unknown>((part) => (part === empty ? [] : part))).toEqual(expected);
        expect(whole).toEqual(expected);
      }
    }),
    PROPERTY,
  );
});

test.each([
  [
    'a value of a million brackets',
    `{"op":"set","key":"k","value":${'['.repeat(1e6)}${']'.repeat(1e6)}}`,
  ],
  [
    'a value nested by objects',
    `{"op":"set","key":"k","value":${'{"a":'.repeat(1e5)}1${'}'.repeat(1e5)}}`,
  ],
  ['an operation of brackets', `{"op":${'['.repeat(1e6)}${']'.repeat(1e6)},"key":"k"}`],
  ['an operation of a megabyte', `{"op":"${'x'.repeat(1 << 20)}","key":"k"}`],
  ['a field of a megabyte', `{"op":"get","key":"k","${'x'.repeat(1 << 20)}":1}`],
  ['a key of a megabyte', `{"op":"get","key":"${'k'.repeat(1 << 20)}"}`],
  ['a value of two megabytes', `{"op":"set","key":"k","value":"${'v'.repeat(2 << 20)}"}`],
  ['a field of a value named __proto__', '{"op":"set","key":"k","value":{"__proto__":{"a":1}}}'],
  ['half a surrogate pair as key', '{"op":"get","key":"\\ud800"}'],
  ['half a surrogate pair in a value', '{"op":"set","key":"k","value":["\\udc00"]}'],
  ['a field that turns the terminal red', '{"op":"get","key":"k","\\u001b[31m\\u2028\\u009b":1}'],
  ['a field of its own named __proto__', '{"op":"get","key":"k","__proto__":1}'],
  ['the key by way of __proto__', '{"op":"get","__proto__":{"key":"k"}}'],
  ['a megabyte that is no JSON', 'x'.repeat(1 << 20)],
])('%s is refused by the number of its line, in few words', (_, text) => {
  const message = checked(`{"op":"get","key":"k"}\n\n${text}\n{"op":"get","key":"k"}`);
  expect(lineOf(message as string)).toBe(3);
});
