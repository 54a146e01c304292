import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ProtocolViolation } from '../../src/protocol/assert.js';
import {
  createRegister,
  EMPTY_REGISTER,
  RegisterStore,
  readMark,
  readRegister,
  StoreMark,
} from '../../src/storage/register.js';
import { temporaryPath } from './kit.js';

const PROMISED = { start: 3, stamp: { epoch: 1, view: 9 } };

function register(): string {
  const path = join(temporaryPath(), 'register');
  createRegister(path, 4);
  return path;
}

function promised(): string {
  const path = register();
  const store = new RegisterStore(path, 4);
  store.raise(PROMISED);
  store.close();
  return path;
}

test('R0: a new register promised nothing, and what is raised is there for the next', () => {
  const path = register();
  expect(readRegister(path, 4)).toEqual({ kind: 'alive', register: EMPTY_REGISTER, copies: 2 });
  const store = new RegisterStore(path, 4);
  expect(store.raise({ start: 1 })).toEqual({ start: 1, stamp: null });
  expect(store.raise({ stamp: { epoch: 0, view: 0 } })).toEqual({
    start: 1,
    stamp: { epoch: 0, view: 0 },
  });
  store.close();
  const next = new RegisterStore(path, 4);
  expect(next.read()).toEqual({ start: 1, stamp: { epoch: 0, view: 0 } });
  next.close();
});

test('H2: two that write it in turn do not undo each other', () => {
  const path = register();
  const supervisor = new RegisterStore(path, 4);
  const replica = new RegisterStore(path, 4);
  supervisor.raise({ start: 1 });
  replica.raise({ stamp: { epoch: 0, view: 5 } });
  supervisor.raise({ start: 2 });
  expect(replica.read()).toEqual({ start: 2, stamp: { epoch: 0, view: 5 } });
  supervisor.close();
  replica.close();
});

test('R0: it only grows', () => {
  const store = new RegisterStore(promised(), 4);
  expect(() => store.raise({ start: 2 })).toThrow(ProtocolViolation);
  expect(() => store.raise({ stamp: { epoch: 1, view: 8 } })).toThrow(ProtocolViolation);
  expect(() => store.raise({ stamp: { epoch: 0, view: 99 } })).toThrow(ProtocolViolation);
  expect(() => store.raise({ stamp: null })).toThrow(ProtocolViolation);
  expect(store.raise({ stamp: { epoch: 2, view: 0 } }).stamp).toEqual({ epoch: 2, view: 0 });
  store.close();
});

test('R0: any flipped bit of one copy leaves the promise as it was', () => {
  const path = promised();
  const good = readFileSync(path);
  for (let copy = 0; copy < 2; copy++)
    for (let bit = 0; bit < 32 * 8; bit++) {
      const bytes = Buffer.from(good);
      const at = copy * 4096 + (bit >> 3);
      bytes[at] = (bytes[at] as number) ^ (1 << (bit & 7));
      writeFileSync(path, bytes);
      expect(readRegister(path, 4)).toEqual({ kind: 'alive', register: PROMISED, copies: 1 });
    }
});

test('R0: a write cut off by a power failure leaves the old promise or the new one', () => {
  const path = promised();
  const old = readFileSync(path);
  const store = new RegisterStore(path, 4);
  store.raise({ start: 4 });
  store.close();
  const full = readFileSync(path);
  for (const end of [10, 31, 32, 4096, 4100, 4128, 8192]) {
    writeFileSync(path, Buffer.concat([full.subarray(0, end), old.subarray(end)]));
    const state = readRegister(path, 4);
    expect(state.kind === 'alive' && [3, 4].includes(state.register.start)).toBe(true);
  }
});

test('a damaged copy is written before the whole one is touched', () => {
  const path = promised();
  const bytes = readFileSync(path);
  bytes.fill(0xff, 0, 32);
  writeFileSync(path, bytes);
  const store = new RegisterStore(path, 4);
  store.raise({ start: 4 });
  store.close();
  expect(readRegister(path, 4)).toEqual({
    kind: 'alive',
    register: { ...PROMISED, start: 4 },
    copies: 2,
  });
});

test('D21: no whole copy, another replica, no file: a dead id', () => {
  const path = promised();
  const good = readFileSync(path);
  const bad = Buffer.from(good);
  bad[16] = 1;
  bad[4096 + 20] = 7;
  for (const bytes of [bad, good.subarray(0, 20), Buffer.alloc(0), Buffer.alloc(12288)]) {
    writeFileSync(path, bytes);
    expect(readRegister(path, 4).kind).toBe('dead');
  }
  writeFileSync(path, good);
  expect(readRegister(path, 5).kind).toBe('dead');
  rmSync(path);
  expect(readRegister(path, 4).kind).toBe('dead');
  expect(() => new RegisterStore(path, 4)).toThrow(
    expect.objectContaining({
      code: 'VR_CORRUPT_LOG',
      details: expect.objectContaining({ dead: true, replica: 4 }),
    }),
  );
});

test('the mark of the store is a number, and nothing when it is damaged', () => {
  const path = promised();
  const mark = new StoreMark(path);
  expect(readMark(path)).toBe(0);
  mark.write(12345);
  mark.close();
  expect(readMark(path)).toBe(12345);
  expect(readRegister(path, 4)).toMatchObject({ kind: 'alive', register: PROMISED });
  const bytes = readFileSync(path);
  bytes[8192 + 9] = 1;
  writeFileSync(path, bytes);
  expect(readMark(path)).toBe(0);
  rmSync(path);
  expect(readMark(path)).toBe(0);
});
