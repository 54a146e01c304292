// Donors of checkpoints that go away in the middle of a transfer. Told by scenarios, and for the rare paths that they take.

import { expect } from 'vitest';
import type { StoryOptions } from '../../src/simulation/cast.js';
import type { Rule } from '../../src/simulation/network.js';
import { Grid } from './grid.js';

const PAGES = 200;
const SERVICE = 2;
const EVERY = 8;

type Options = Pick<StoryOptions, 'hints' | 'marks'>;

/** Donors that soon forget who fetched from them, and fetchers that wait for them. */
function makeGrid(options: Options, replicas: number): Grid {
  return new Grid(PAGES, {
    ...options,
    replicas,
    limits: { batchMax: 1, checkpointEvery: EVERY, retain: 0, messageBytes: 1024 },
    timing: { pin: 3, transferRetry: 100 },
  });
}

/** As many writes to one page as there are entries between two checkpoints, and the checkpoint. */
function checkpoint(grid: Grid): void {
  for (let turn = 0; turn < EVERY; turn++) grid.write(7, grid.tick);
  grid.answered();
  grid.until(() => grid.states.every(({ taking }) => taking === null), 500, 'a checkpoint');
}

interface Begun {
  readonly donor: number;
  /** What is asked of it and held back. */
  readonly questions: Rule;
  /** All pages that reach `who`. */
  readonly pages: Rule;
}

/** `who` has lost its memory and got the first pages from its donor. */
function begin(grid: Grid, who: string): Begun {
  checkpoint(grid);
  grid.crash(who);
  const pages = grid.rule('record', { to: who, kinds: 'pages' });
  grid.restart(who);
  grid.until(() => pages.hits > 15, 200, 'some pages');
  const questions = grid.rule('hold', { from: who, kinds: 'getPages' });
  grid.until(() => questions.hits > 1, 20, 'two more questions');
  const donor = pages.kept[0]?.from ?? -1;
  expect([...questions.kept, ...pages.kept].every((m) => [m.to, m.from].includes(donor))).toBe(
    true,
  );
  return { donor, questions, pages };
}

/** `who` gets the newer checkpoint, and each page moved once, but for the one that was written since. */
function frugal(grid: Grid, who: string, { pages }: Begun): void {
  const older = grid.state(who).transfer?.fetch?.meta?.cpOp ?? 0;
  grid.agreed();
  const fetched = grid.notices(who).flatMap((what) => (what.kind === 'fetched' ? [what] : []));
  expect(fetched).toHaveLength(1);
  expect(fetched[0]?.op).toBeGreaterThan(older + EVERY);
  const moved = pages.kept.flatMap(({ message }) =>
    message.kind === 'pages' && message.list === SERVICE && message.status === 'ok'
      ? message.indices
      : [],
  );
  expect(new Set(moved).size).toBe(PAGES);
  expect(moved.length).toBeLessThanOrEqual(PAGES + 1);
}

/** The donor gives the checkpoint up, for nobody has asked for so long, and has newer ones. */
export function donorMovesOn(options: Options): void {
  const grid = makeGrid(options, 3);
  const under = begin(grid, 'R2');
  for (let round = 0; round < 3; round++) checkpoint(grid);
  under.questions.end();
  grid.network.release(under.questions);
  frugal(grid, 'R2', under);
  const refused = under.pages.kept.some(
    (m) => 'status' in m.message && m.message.status === 'gone',
  );
  expect(refused).toBe(true);
}

/** The donor dies; the others have newer checkpoints by then. */
export function donorDies(options: Options): void {
  const grid = makeGrid(options, 5);
  const under = begin(grid, 'R4');
  const start = grid.actor(under.donor).start;
  grid.crash(under.donor, { hint: false });
  for (let round = 0; round < 3; round++) checkpoint(grid);
  under.questions.end();
  if (grid.hints) grid.tell('R_', { kind: 'exited', id: under.donor, start });
  frugal(grid, 'R4', under);
}
