// Scenarios of protocol.md 6.5 about the transfer of checkpoints: how much of them moves, donors that go away meanwhile, and
// states that should be the same and are not.

import { expect, test } from 'vitest';
import type { Story } from '../../src/simulation/story.js';
import { donorDies, donorMovesOn } from './donor-stories.js';
import { Grid } from './grid.js';
import { grow, lostBit, SMALL } from './mistakes/checkpoints.js';
import { scenario } from './scenario.js';

/** The list of the service; those before are meta page and sessions. */
const SERVICE = 2;
const PAGES = 4096;
const DIFFERENT = [5, 1000, 4095];

for (const hints of [true, false])
  test(`merkle-delta (CP2, CP6): of 4096 pages three differ, and only those and their path move [${hints ? 'with' : 'without'} hints]`, {
    timeout: 30_000,
  }, () => {
    const limits = { batchMax: 1, checkpointEvery: 8, retain: 0 };
    const grid = new Grid(PAGES, { hints, limits });
    const round = (first: number): void => {
      for (let turn = 0; turn < 24; turn++) grid.write(DIFFERENT[turn % 3] as number, first + turn);
      grid.answered();
      grid.until(() => grid.states.every(({ taking }) => taking === null), 2000, 'a checkpoint');
    };
    round(1);
    // Above its newest checkpoint, and the same everywhere: nothing to fetch.
    for (const page of [7, 8, 2000]) grid.write(page, 50);
    grid.answered();
    grid.agreed();
    const cut = [grid.rule('drop', { to: 'R2' }), grid.rule('drop', { from: 'R2' })];
    round(100);
    round(200);
    const lagging = grid.state('R2').applied;
    expect(grid.state('R2').checkpoints.at(-1)?.op).toBeLessThanOrEqual(lagging - 3);
    expect(grid.state('R0').log.start).toBeGreaterThan(lagging + 1);
    for (const rule of cut) rule.end();
    const asked = grid.rule('record', { from: 'R2', kinds: ['getNodes', 'getPages'] });
    const answered = grid.rule('record', { to: 'R2', kinds: ['nodes', 'pages'] });
    grid.agreed();
    expect(grid.notices('R2').filter(({ kind }) => kind === 'fetched')).toHaveLength(1);
    // By level: the top node, then those above the three pages, then the pages.
    const wanted: Record<number, number[]> = {};
    for (const { message } of asked.kept)
      if (message.kind === 'getNodes' && message.list === SERVICE)
        wanted[message.level] = [...(wanted[message.level] ?? []), ...message.indices];
      else if (message.kind === 'getPages' && message.list === SERVICE)
        wanted[0] = [...(wanted[0] ?? []), ...message.indices];
    for (const indices of Object.values(wanted)) indices.sort((a, b) => a - b);
    expect(wanted).toEqual({ 3: [0], 2: [0, 3, 15], 1: [0, 62, 255], 0: DIFFERENT });
    const bytes = answered.kept.reduce((sum, envelope) => sum + envelope.bytes, 0);
    expect(bytes).toBeLessThan(16 * 256);
  });

for (const hints of [true, false]) {
  const when = hints ? 'with hints' : 'without hints';
  test(`merkle-donor-moves (CP6, CP7): the donor has given the checkpoint up, so its newer one is fetched, but no page twice [${when}]`, () => {
    donorMovesOn({ hints });
  });
  test(`merkle-donor-moves (CP6, HH1): the donor dies, and another goes on with its newer checkpoint, but no page moves twice [${when}]`, () => {
    donorDies({ hints });
  });
}

/** Whoever halted starts again, with what the others have. */
function healed(s: Story, id: number): void {
  expect([...s.halted.keys()]).toEqual([id]);
  expect(s.halted.get(id)).toMatch(
    /^CP8 replica \d: the checkpoint at op \d+ has root \w+, the others/,
  );
  s.settle();
  s.restart(id);
  s.together();
  grow(s, 8);
  const values = s.actors.flatMap((actor) =>
    actor?.machine ? [actor.machine.values.has('noise')] : [],
  );
  expect(new Set(values).size).toBe(1);
  s.expect('n', 28);
  s.converge();
  expect(s.halted.size).toBe(1);
}

scenario(
  'nondeterminism-trap (CP8, CP3): a backup whose state differs halts, and comes back with that of the others',
  { limits: SMALL, diverges: true },
  (s) => {
    lostBit(s, 2);
    expect([s.view, s.states.length]).toEqual([0, 2]);
    healed(s, 2);
  },
);

scenario(
  'nondeterminism-trap (CP8): a primary whose state differs halts, and another leads',
  { replicas: 5, limits: SMALL, diverges: true },
  (s) => {
    lostBit(s, 0);
    s.newView(1);
    healed(s, 0);
  },
);

scenario(
  'nondeterminism-trap (CP8): of two actives and a witness it is the backup that halts, whichever differs',
  { witnesses: 1, limits: SMALL, diverges: true },
  (s) => {
    lostBit(s, 1);
    healed(s, 1);
  },
);

scenario(
  'nondeterminism-trap (CP8): with two actives the primary counts, though it is the one that differs',
  { witnesses: 1, limits: SMALL, diverges: true },
  (s) => {
    lostBit(s, 0, 1);
    healed(s, 1);
  },
);
