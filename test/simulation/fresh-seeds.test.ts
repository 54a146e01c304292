// Other seeds at every run, so that the suite goes on learning. The first one is printed; `SIM_SEED` plays the same again.

import { randomInt } from 'node:crypto';
import { expect, test } from 'vitest';
import { SEED_MAX } from '../../src/simulation/swarm/plan.js';
import { playSeeds } from './swarm.js';

const { SIM_SEED, SIM_COUNT } = process.env;
const COUNT = Number(SIM_COUNT ?? 150);
const FIRST = SIM_SEED === undefined ? randomInt(SEED_MAX - COUNT) : Number(SIM_SEED);

test('fresh seeds: nothing acknowledged is lost, doubled or reordered', {
  timeout: 600_000,
}, () => {
  console.log(`simulation: seeds ${FIRST}..${FIRST + COUNT - 1}`);
  expect(playSeeds(FIRST, COUNT).operations).toBeGreaterThan(0);
});
