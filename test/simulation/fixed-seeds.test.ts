// The same seeds at every run: nothing fails, and every rare path of the protocol is taken by them or by the directed scenarios.

import { expect, test } from 'vitest';
import { story } from '../../src/simulation/story.js';
import type { Counter } from '../../src/simulation/swarm/simulate.js';
import { DIRECTED } from '../protocol/mistakes/registry.js';
import { RARE_PATHS } from './rare-paths.js';
import { neverTaken, playSeeds } from './swarm.js';

const FIRST = 1;
const COUNT = 400;

test('fixed seeds: nothing acknowledged is lost, doubled or reordered, and all of it comes to an end (I1-I9, I11-I14, I17, I19, I22-I25, L1-L6)', {
  timeout: 600_000,
}, () => {
  const sum = playSeeds(FIRST, COUNT);
  // The runs were worth something.
  expect(sum.operations).toBeGreaterThan(COUNT * 200);
  expect(sum.virtualMs).toBeGreaterThan(COUNT * 2000);
  const counters = new Map(sum.counters);
  const marks = (name: Counter): void => void counters.set(name, (counters.get(name) ?? 0) + 1);
  for (const { options, script } of DIRECTED) script(story({ ...options, marks }));
  for (const { script } of RARE_PATHS) script(marks);
  expect(neverTaken(counters), 'rare paths that nothing takes').toEqual([]);
});
