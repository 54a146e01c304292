// The thread's side of making a failing seed short: it takes up to a minute, in which the process still listens to Ctrl-C.

import type { MistakeName } from '../../protocol/mutations.js';
import { type Replayed, replayShort } from './replay.js';

export interface ShrinkTask {
  readonly seed: number;
  readonly mistake: MistakeName | null;
}

export default function run({ seed, mistake }: ShrinkTask): Replayed {
  return replayShort(seed, mistake);
}
