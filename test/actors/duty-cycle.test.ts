// When a replica's thread makes another pass, and when it sleeps.

import { expect, test } from 'vitest';
import { type Actor, runDutyCycle } from '../../src/actors/replica/duty-cycle.js';
import { allocateMesh, ReplicaBlock } from '../../src/transport/mesh.js';

const IDLE: Actor = {
  pass: () => 0,
  hasData: () => false,
  beforePark: () => 0,
  sleepMs: 1,
  rests: false,
  atEase: true,
  publishTraffic: () => undefined,
};

/** Until something throws. @returns what it said. */
async function run(actor: Actor, aside: Iterator<undefined> = [].values()): Promise<string> {
  const block = new ReplicaBlock(allocateMesh({ replicas: 3, ringBytes: 64 << 10 }), 0);
  return await runDutyCycle({ actor, block, spinMicros: 0, aside }).catch(String);
}

/** @returns after which pass it first wanted to sleep. */
async function passesBeforeSleep(what: Partial<Actor>): Promise<number> {
  let passes = 0;
  const said = await run({
    ...IDLE,
    pass: () => (++passes === 1 ? 1 : 0),
    beforePark: () => {
      throw new Error(`sleeps after ${passes}`);
    },
    ...what,
  });
  return Number(/sleeps after (\d+)/.exec(said)?.[1]);
}

test('a pass that did something and left nothing is the last one before sleep', async () => {
  expect(await passesBeforeSleep({})).toBe(1);
});

test('what a pass leaves is taken by another one before sleep', async () => {
  let looks = 0;
  expect(await passesBeforeSleep({ hasData: () => ++looks === 1 })).toBe(2);
});

test('what is done aside ends no long sleep of its thread, and comes between passes, one step at a time', async () => {
  const done: string[] = [];
  const aside = (function* steps(): Generator<undefined, void> {
    for (let step = 0; step < 3; step++) {
      done.push('step');
      yield;
    }
    throw new Error('all done');
  })();
  const pass = (): number => {
    done.push('pass');
    return 0;
  };
  const said = await run({ ...IDLE, pass, sleepMs: 3_600_000 }, aside);
  expect(said).toBe('Error: all done');
  expect(done.filter((what) => what === 'step')).toHaveLength(3);
  for (const [at, what] of done.entries()) if (what === 'step') expect(done[at - 1]).toBe('pass');
});

test('what is done aside has its time under load too, and none while somebody waits for the next pass', async () => {
  let passes = 0;
  const steps: number[] = [];
  const aside = (function* noted(): Generator<undefined, void> {
    for (;;) {
      steps.push(passes);
      yield;
    }
  })();
  const loaded = {
    ...IDLE,
    atEase: false,
    hasData: () => true,
    pass: () => {
      const until = performance.now() + 25;
      while (performance.now() < until);
      if (++passes === 8) throw new Error('enough');
      loaded.atEase = passes >= 4;
      return 1;
    },
  };
  const said = await run(loaded, aside);
  expect(said).toBe('Error: enough');
  expect(steps).toEqual([4, 5, 6, 7]);
});
