// Scenarios of protocol.md 6.5 and the parts of others that need checkpoints: logs that are cut, what must stay in them, and
// replicas that come back although what they lack is gone.

import { expect, test } from 'vitest';
import { entryCost } from '../../src/protocol/log.js';
import { CHANGED } from '../../src/service/operation.js';
import { OperationWriter } from '../../src/service/operation-writer.js';
import { WriteResult } from '../../src/service/result-reader.js';
import { Services } from '../../src/service/services.js';
import { type Story, story } from '../../src/simulation/story.js';
import { fromHex } from '../../src/simulation/story-machine.js';
import { head, load } from '../../src/simulation/words.js';
import { type Cost, costOf, Grid } from './grid.js';
import {
  grow,
  retBound,
  SMALL,
  stragglerReturns,
  witnessAmnesia,
  witnessGcBound,
} from './mistakes/checkpoints.js';
import { scenario } from './scenario.js';

scenario(
  'CP1, CP5: checkpoints have equal roots everywhere, and the log keeps what lies above them',
  { limits: SMALL },
  (s) => {
    for (let round = 0; round < 10; round++) {
      load(s, 4);
      s.settle();
      s.run(10);
    }
    for (const state of s.states) {
      expect(state.checkpoints.map(({ op }) => op)).toEqual([36, 40]);
      expect([state.log.start, head(s, `R${state.id}`)]).toEqual([41, 42]);
      expect(state.checkpoints).toEqual(s.state('R0').checkpoints);
    }
    s.converge();
  },
);

/** As slowly as checkpoints are hashed, so that nobody has to leave one out. */
function steady(s: Story, count: number): void {
  for (let turn = 0; turn < count; turn++) {
    s.incr('n');
    s.settle();
    s.until(() => s.states.every(({ taking }) => taking === null), 200);
  }
  s.run(20);
}

// ── lili-growing-log ──

interface Costs {
  readonly viewChange: Cost;
  readonly recovery: Cost;
}

/** Entries between checkpoints, and those kept below (3.17). */
const C = 1024;
const RETAIN = 2 * C;
const PAGES = 64;

/** After `ops` writes: the primary dies, and comes back with no memory. */
function growingLog(hints: boolean, ops: number): Costs {
  const grid = new Grid(PAGES, {
    hints,
    clients: 4,
    limits: { batchMax: 1, checkpointEvery: C, retain: RETAIN },
  });
  for (let written = 0; written < ops; ) {
    for (let turn = 0; turn < C; turn++)
      grid.write(written % PAGES, written++, turn % grid.clients.length);
    grid.answered();
  }
  grid.agreed();
  expect(grid.state('R0').applied).toBeGreaterThan(ops);
  for (const { log } of grid.states) expect(log.entries.length).toBeLessThan(C + RETAIN + C / 2);
  const messages = grid.rule('record', { from: 'R_', to: 'R_' });
  grid.crash('R0');
  grid.newView(1);
  const viewChange = costOf(messages.kept.splice(0));
  grid.run(10);
  messages.kept.length = 0;
  grid.restart('R0');
  grid.agreed();
  return { viewChange, recovery: costOf(messages.kept) };
}

for (const hints of [true, false])
  test(`lili-growing-log (CP5, CP6, R5, VC7): view change and recovery cost no more after 10^5 ops than after 5000 [${hints ? 'with' : 'without'} hints]`, {
    timeout: 120_000,
  }, () => {
    const short = growingLog(hints, 5 * C);
    const long = growingLog(hints, 98 * C);
    for (const { viewChange, recovery } of [short, long]) {
      expect(viewChange.pages).toBe(0);
      expect(viewChange.entries).toBeLessThan(5 * 8); // tails
      expect(recovery.entries).toBeLessThan(C);
      expect(recovery.pages).toBeLessThan(2 * PAGES);
    }
    for (const part of ['viewChange', 'recovery'] as const)
      for (const what of ['messages', 'bytes', 'entries', 'pages'] as const)
        expect(long[part][what], `${part}: ${what}`).toBeLessThanOrEqual(short[part][what] * 1.25);
  });

scenario(
  'lili-growing-log (R5, CP6): whoever lost its memory comes back by the pages of a checkpoint',
  { limits: SMALL },
  (s) => {
    load(s, 41);
    s.settle();
    s.crash('R2');
    load(s, 3);
    s.settle();
    s.restart('R2');
    s.together();
    s.run(5);
    expect(s.notices('R2').filter(({ kind }) => kind === 'fetched')).toHaveLength(1);
    s.expect('n', 44);
    s.converge();
  },
);

scenario(
  'T2, CP6: who was cut off for longer than the log reaches fetches what differs',
  { limits: SMALL },
  stragglerReturns,
);

scenario(
  'govr-11-churn (CP2, I11): one key put and deleted 500 times over crashes leaves equal roots',
  {
    clients: 2,
    services: () => new Services({ storeBytes: 1 << 20, pageBytes: 256 }),
    limits: { ...SMALL, batchMax: 4, checkpointEvery: 8 },
  },
  (s) => {
    const writer = new OperationWriter();
    const call = (write: () => void, client: number): void => {
      writer.reset();
      write();
      s.raw(writer.take(false), client);
    };
    for (let round = 0; round < 10; round++) {
      for (let turn = 0; turn < 25; turn++) {
        const value = new Uint8Array(1 + ((round * 25 + turn) % 300)).fill(turn);
        call(() => writer.set('churn', value), 0);
        call(() => writer.delete('churn'), 1);
      }
      s.run(2);
      const dead = s.crash(round % 2 === 0 ? 'A0' : 'B1');
      s.run(40);
      s.restart(dead);
      s.together();
      s.settle();
    }
    expect(s.calls.map(({ value }) => new WriteResult(fromHex(value), false).status(0))).toContain(
      CHANGED,
    );
    s.converge();
    steady(s, 8);
    const [newest, ...others] = s.states.map((state) => state.checkpoints.at(-1));
    expect(newest?.op).toBeGreaterThan(100);
    for (const other of others)
      expect([other?.op, other?.root]).toEqual([newest?.op, newest?.root]);
    for (const actor of s.actors) expect(actor?.machine?.history.length).toBe(508);
  },
);

// ── witnesses ──

scenario(
  'witness-gc-bound (CP4, CP5, W4, E23b): what one active lacks is kept until it has a checkpoint of it',
  { witnesses: 1, limits: SMALL },
  witnessGcBound,
);

scenario(
  'witness-amnesia (R5, W4, E23c): a witness that lost its memory gets back what one active may need',
  { witnesses: 1, limits: SMALL },
  witnessAmnesia,
);

scenario(
  'witness-amnesia (R5, W4, E23c): an active that comes back by a checkpoint keeps the entries below it',
  { witnesses: 1, limits: SMALL },
  retBound,
);

scenario(
  'witness-recover (R5, W4): with only one active up to date, a witness has the log down to what is stable',
  { replicas: 5, witnesses: 2, limits: SMALL },
  (s) => {
    grow(s, 10);
    const { stableOp } = s.state('R0');
    const cut = [s.isolate('R1'), s.isolate('R2')];
    grow(s, 30);
    expect([stableOp > 0, s.state('R0').stableOp]).toEqual([true, stableOp]);
    s.restart(s.crash('W1'));
    s.until(() => s.state('W1').status === 'normal', 200);
    s.run(10);
    const { log } = s.state('W1');
    expect(log.start).toBeGreaterThan(1);
    expect(log.start).toBeLessThanOrEqual(stableOp + 1);
    expect([head(s, 'W1'), s.state('W1').checkpoints]).toEqual([head(s, 'R0'), []]);
    s.crash('R0');
    s.crash('W2');
    for (const rule of cut.flat()) rule.end();
    s.newView(1);
    s.expect('n', 40);
    s.converge();
  },
);

/** The log of R0 fills up; whatever frees it comes later. */
function fillLog(s: Story): void {
  grow(s, 10);
  s.crash('R1');
  load(s, 150);
  s.until(() => s.client(0).logFull, 500, 'Busy');
  const pressure = s.notices('R0').flatMap((what) => (what.kind === 'logPressure' ? [what] : []));
  expect(pressure.map(({ full }) => full)).toEqual([false, true]);
  const { bytes } = s.state('R0').log;
  s.run(100);
  expect(s.state('R0').log.bytes).toBe(bytes);
  expect(bytes).toBeLessThan(LOG_BYTES + 32 * 300);
  expect(s.calls.some(({ code }) => code === null)).toBe(true);
}

const LOG_BYTES = 12_000;

scenario(
  'log-pressure (W7, BP6, CP5): while one of f+1 actives is down the log grows to its limit, and goes on when it is back',
  { witnesses: 1, limits: { ...SMALL, logBytes: LOG_BYTES } },
  (s) => {
    fillLog(s);
    s.restart('R1');
    s.settle();
    expect(s.client(0).logFull).toBe(false);
    steady(s, 8);
    for (const { log } of s.states) expect(log.bytes).toBeLessThan(LOG_BYTES / 10);
    s.expect('n', 168);
    s.converge();
  },
);

scenario(
  'log-pressure (W7, BP6): where no witness needs the entries, one that is down stops nobody',
  { limits: { ...SMALL, retain: 1000, logBytes: LOG_BYTES } },
  (s) => {
    s.crash('R1');
    steady(s, 120);
    expect(s.notices('R0').filter((what) => what.kind === 'logPressure' && what.full)).toEqual([]);
    expect(s.state('R0').log.start).toBeGreaterThan(40);
    s.restart('R1');
    s.converge();
    s.expect('n', 120);
  },
);

// At the last point before the limit four fifths are not reached yet, and there is no further one.
test('log-limit (BP6, CP5): a log that fills up between two checkpoints gives up what it keeps for stragglers', () => {
  const s = story({
    limits: {
      ...SMALL,
      checkpointEvery: 1_000_000,
      checkpointBytes: 4000,
      retain: 1_000_000,
      logBytes: 16_000,
    },
  });
  for (let turn = 0; turn < 200; turn++) {
    s.incr('n');
    s.settle(100);
    s.until(() => s.states.every(({ taking }) => taking === null), 200);
  }
  expect(s.state('R0').log.start).toBeGreaterThan(1);
});

test.each([
  {
    pages: 1,
    least: 1500,
    most: 9000,
    expected: 1500,
    why: 'a small state: not more often than that',
  },
  { pages: 4, least: 1500, most: 9000, expected: 4096, why: 'in proportion to the state' },
  { pages: 16, least: 1500, most: 9000, expected: 9000, why: 'a large state: not more seldom' },
])('CP1: a checkpoint after so many bytes of entries, whatever their number; $why', (limit) => {
  const { pages, least, most, expected } = limit;
  const grid = new Grid(pages, {
    limits: {
      batchMax: 1,
      checkpointEvery: 1_000_000,
      checkpointBytesLeast: least,
      checkpointBytes: most,
    },
  });
  const state = grid.state('R1');
  while (state.log.bytes < 1.5 * expected) {
    grid.write(0, state.applied);
    grid.answered();
  }
  grid.until(() => state.checkpoints.length > 0, 100, 'a checkpoint');
  const op = state.checkpoints[0]?.op ?? 0;
  const bytes = (to: number): number =>
    [...state.log.entries].slice(0, to).reduce((sum, entry) => sum + entryCost(entry), 0);
  expect(bytes(op)).toBeGreaterThanOrEqual(expected);
  expect(bytes(op - 1)).toBeLessThan(expected);
});
