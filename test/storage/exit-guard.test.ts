import { expect, test } from 'vitest';
import { ExitGuard } from '../../src/storage/exit-guard.js';

test('a stop waits for those inside, and only for those', () => {
  const memory = ExitGuard.memory();
  const inside = new ExitGuard(memory);
  const main = new ExitGuard(memory);
  inside.enter();
  inside.enter();
  expect(main.stopping).toBe(false);
  expect(main.stop(1)).toBe(false);
  expect(inside.stopping).toBe(true);
  // Who is inside may go on, and in again.
  expect(inside.within(() => 7)).toBe(7);
  inside.leave();
  expect(main.stop(1)).toBe(false);
  inside.leave();
  expect(main.stop(1)).toBe(true);
});

test('who stopped the others goes in alone', () => {
  const guard = new ExitGuard(ExitGuard.memory());
  expect(guard.stop(1)).toBe(true);
  expect(guard.within(() => 7)).toBe(7);
  expect(guard.stop(1)).toBe(true);
});

test('what throws inside has left', () => {
  const guard = new ExitGuard(ExitGuard.memory());
  expect(() =>
    guard.within(() => {
      throw new Error('inside');
    }),
  ).toThrow('inside');
  expect(guard.stop(1)).toBe(true);
});
