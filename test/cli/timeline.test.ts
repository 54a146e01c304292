import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Timeline } from '../../src/cli/timeline.js';
import { PROPERTY } from '../fuzz/counts.js';

test('samples of a tenth of a second; a short rest belongs to the last one', () => {
  const timeline = new Timeline();
  for (let ms = 20; ms <= 320; ms += 20) timeline.look(ms, ms * 2);
  timeline.end(330, 1000);
  expect(timeline.samples).toEqual([
    { atMs: 100, opsPerSecond: 2000 },
    { atMs: 200, opsPerSecond: 2000 },
    { atMs: 330, opsPerSecond: 600 / 0.13 },
  ]);
});

test('a run that is shorter than a sample has one; one without time has none', () => {
  const short = new Timeline();
  short.end(7, 14);
  expect(short.samples).toEqual([{ atMs: 7, opsPerSecond: 2000 }]);
  const none = new Timeline();
  none.end(0, 0);
  expect(none.samples).toEqual([]);
});

test('whatever the length, samples are few, in order, and add up to all operations', () => {
  const steps = fc.array(fc.tuple(fc.integer({ min: 1, max: 90_000 }), fc.nat(1e6)), {
    maxLength: 3000,
  });
  fc.assert(
    fc.property(steps, (walk) => {
      const timeline = new Timeline();
      let at = 0;
      let operations = 0;
      for (const [ms, more] of walk) {
        at += ms;
        operations += more;
        timeline.look(at, operations);
      }
      timeline.end(at, operations);
      const { samples } = timeline;
      expect(samples.length).toBeLessThanOrEqual(1200);
      expect(samples.at(-1)?.atMs ?? 0).toBe(at);
      let before = 0;
      let sum = 0;
      for (const { atMs, opsPerSecond } of samples) {
        expect(atMs).toBeGreaterThan(before);
        sum += (opsPerSecond * (atMs - before)) / 1e3;
        before = atMs;
      }
      expect(Math.abs(sum - operations)).toBeLessThan(1e-6 * operations + 1e-6);
    }),
    { ...PROPERTY, numRuns: 20 },
  );
});
