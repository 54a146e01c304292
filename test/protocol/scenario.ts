// A named scenario of protocol.md section 6 is a test that is told twice.

import { test } from 'vitest';
import type { StoryOptions } from '../../src/simulation/cast.js';
import { Story } from '../../src/simulation/story.js';

/** With and without the host's hints. */
export function scenario(title: string, options: StoryOptions, script: (s: Story) => void): void {
  for (const hints of [true, false])
    test(`${title} [${hints ? 'with' : 'without'} hints]`, () => {
      script(new Story({ ...options, hints }));
    });
}
