// Short random runs of the whole core, each from its seed. A failing one is repeated alone with
// `STORY_SEED=<seed> npx vitest run test/protocol/random.test.ts`.

import { expect, test } from 'vitest';
import { randomRun } from './story-random.js';

const { STORY_RUNS, STORY_SEED } = process.env;
const FIRST = Number(STORY_SEED ?? 1);
const COUNT = Number(STORY_RUNS ?? (STORY_SEED === undefined ? 300 : 1));

test(`random runs: nothing acknowledged is lost, doubled or reordered (I1-I9, I11-I14, I17, I19, I22-I25)`, {
  timeout: 600_000,
}, () => {
  const failed: string[] = [];
  let views = 0;
  let answered = 0;
  for (let seed = FIRST; seed < FIRST + COUNT; seed++) {
    try {
      const story = randomRun(seed);
      views += story.view;
      answered += story.calls.filter((call) => call.code !== null).length;
    } catch (error) {
      failed.push(`seed ${seed}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  if (failed.length > 0)
    expect.fail(
      `${failed.length} of ${COUNT} failed: ${failed.map((f) => f.split('\n')[0]).join('\n')}\n\n${failed[0]}`,
    );
  // The runs must have been worth something: views changed and calls were answered.
  expect(views).toBeGreaterThan(COUNT / 2);
  expect(answered).toBeGreaterThan(COUNT * 10);
});
