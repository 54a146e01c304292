// The thread's side of a check: one group of keys out of all histories.

import type { Verdict } from '../../simulation/linearizability/types.js';
import { checkLinearizable } from '../../simulation/linearizability.js';
import type { CheckTask } from './check.js';
import { History } from './history.js';
import { keySpace } from './keys.js';

export default function check({ histories, threads, group }: CheckTask): Verdict {
  const { keys, groups } = keySpace(threads);
  const wanted = new Set(groups[group]);
  const operations = histories.flatMap((history) =>
    new History(history).operations(keys, (key) => wanted.has(key)),
  );
  return checkLinearizable(operations);
}
