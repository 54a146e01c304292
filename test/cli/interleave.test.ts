// What is measured again when the host disturbed it.

import { expect, test } from 'vitest';
import { leastDisturbed } from '../../bench/cluster/interleave.js';

test.each([
  ['undisturbed: once', [0.05], 3, { result: 1, stolen: 0.05, attempts: 1 }],
  ['nobody tells: once', [null], 3, { result: 1, stolen: 0, attempts: 1 }],
  ['until it is not', [0.2, 0.06, 0.01, 0], 9, { result: 3, stolen: 0.01, attempts: 3 }],
  ['the least disturbed', [0.2, 0.1, 0.3, 0], 3, { result: 2, stolen: 0.1, attempts: 3 }],
  ['one attempt', [0.9, 0], 1, { result: 1, stolen: 0.9, attempts: 1 }],
])('%s', async (_what, shares, attempts, found) => {
  let measured = 0;
  let watched = 0;
  const counted = await leastDisturbed(
    attempts,
    async () => ++measured,
    () => {
      const share = shares[watched++] as number | null;
      return { share: () => share };
    },
  );
  expect(counted).toEqual(found);
  expect(measured).toBe(found.attempts);
});
