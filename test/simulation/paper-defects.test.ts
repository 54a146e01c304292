// The two published defects of VR Revisited, played as a user plays them: with the defect an acknowledged write is lost, by the
// same script without it nothing is.

import { expect, test } from 'vitest';
import {
  PAPER_DEFECTS,
  type PaperDefectName,
  runPaperDefect,
} from '../../src/simulation/paper-defects.js';
import { ToldStory } from '../../src/simulation/paper-scripts.js';
import { story } from '../../src/simulation/story.js';

const NAMES = Object.keys(PAPER_DEFECTS) as PaperDefectName[];

/** Rules and errata by defect, for the titles. */
const ERRATA: Record<PaperDefectName, string> = {
  'truncate-early': 'VC3, E1',
  'stale-life': 'R0, R4, E8',
};

for (const name of NAMES) {
  const { breaks, script, options, mutations } = PAPER_DEFECTS[name];

  test(`paper defect ${name} (${ERRATA[name]}): with it an invariant breaks, and a write is lost`, () => {
    const { story: lines, violation } = runPaperDefect(name, { withDefect: true });
    expect(violation?.startsWith(breaks)).toBe(true);
    expect(lines).toContain(`  Broken: ${violation}`);
    expect(lines.at(-1)).toMatch(/acknowledged, and view \d goes on without (it|them)\.$/);
    // The primary of the last view holds nothing of what the client was told is stored.
    const primary = lines.findLast((line) => line.includes('normal primary'));
    expect(primary).toMatch(/log \[\]$/);
  });

  test(`paper defect ${name} (${ERRATA[name]}): without it the same script ends well`, () => {
    const { story: lines, violation } = runPaperDefect(name, { withDefect: false });
    expect(violation).toBe(null);
    expect(lines.some((line) => line.includes('Broken'))).toBe(false);
    expect(lines.at(-1)).toMatch(/still there\.$/);
    expect(lines.findLast((line) => line.includes('normal primary'))).toMatch(/log \[.*a\*.*\]$/);
  });

  test(`paper defect ${name} (${ERRATA[name]}): both runs begin alike, and are told alike each time`, () => {
    for (const withDefect of [true, false])
      expect(runPaperDefect(name, { withDefect })).toEqual(runPaperDefect(name, { withDefect }));
    const [wrong, right] = [true, false].map(
      (on) => runPaperDefect(name, { withDefect: on }).story,
    );
    expect(wrong?.slice(0, 4)).toEqual(right?.slice(0, 4));
    expect(wrong).not.toEqual(right);
  });

  test(`paper defect ${name} (${ERRATA[name]}): a plain story stops at the invariant`, () => {
    expect(() => script(story({ ...options, mutations }))).toThrow(breaks);
    expect(() => script(new ToldStory({ ...options, mutations }))).not.toThrow();
  });
}
