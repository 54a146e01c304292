// A directed scenario for one mistake: the shortest script that tells a replica that makes it from one that does not.

import type { MistakeName } from '../../../src/protocol/mutations.js';
import type { StoryOptions } from '../../../src/simulation/cast.js';
import type { Story } from '../../../src/simulation/story.js';

export interface Directed {
  readonly mistake: MistakeName;
  /** Rules and errata that the script is about. */
  readonly rules: string;
  readonly options: StoryOptions;
  /** Passes as long as the rule holds. */
  readonly script: (s: Story) => void;
  /** The invariant that breaks, or what the script waits for in vain. */
  readonly noticed: RegExp;
}
