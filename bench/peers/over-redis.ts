// The target that names Redis: viewstamp's pipelines against a primary with two replicas and WAIT 1.

import type { Round } from '../cluster/contender.js';
import { mediansOf, ratioOf } from '../cluster/interleave.js';

/** Of several ways to load one system, the one with the highest median. */
function best(ways: readonly (readonly Round[])[]): readonly Round[] {
  const speed = (rounds: readonly Round[]): number => mediansOf(rounds).opsPerSecond;
  return ways.reduce((first, second) => (speed(second) > speed(first) ? second : first));
}

/**
 * Operations per second of viewstamp over those of Redis, each at the pipeline length that suits it best: median of the ratios
 * within rounds. Of both, for each length, all rounds of one interleaved run.
 */
export function pipelinesOverRedis(
  viewstamp: readonly (readonly Round[])[],
  redis: readonly (readonly Round[])[],
): number {
  return ratioOf(best(viewstamp), best(redis));
}
