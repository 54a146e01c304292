// When a replica's thread makes another pass, and when it sleeps.

import { expect, test } from 'vitest';
import { type Actor, runDutyCycle } from '../../src/actors/replica/duty-cycle.js';
import { allocateMesh, ReplicaBlock } from '../../src/transport/mesh.js';

/** @returns after which pass it first wanted to sleep. */
async function passesBeforeSleep(what: Partial<Actor>): Promise<number> {
  const block = new ReplicaBlock(allocateMesh({ replicas: 3, ringBytes: 64 << 10 }), 0);
  let passes = 0;
  const actor = {
    pass: () => (++passes === 1 ? 1 : 0),
    hasData: () => false,
    beforePark: () => {
      throw new Error(`sleeps after ${passes}`);
    },
    sleepMs: 1,
    rests: false,
    publishTraffic: () => undefined,
    ...what,
  };
  const error = await runDutyCycle({ actor, block, spinMicros: 0 }).catch((cause) => cause);
  return Number(/sleeps after (\d+)/.exec(String(error))?.[1]);
}

test('a pass that did something and left nothing is the last one before sleep', async () => {
  expect(await passesBeforeSleep({})).toBe(1);
});

test('what a pass leaves is taken by another one before sleep', async () => {
  let looks = 0;
  expect(await passesBeforeSleep({ hasData: () => ++looks === 1 })).toBe(2);
});
