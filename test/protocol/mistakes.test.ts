// Mistakes that an implementation of the protocol makes easily (src/protocol/mutations.ts), each with a directed scenario that
// notices it: without the mistake the script passes, with it an invariant or the script's own expectation fails.

import { describe, expect, test } from 'vitest';
import { MISTAKES, type MistakeName } from '../../src/protocol/mutations.js';
import { type Story, story } from '../../src/simulation/story.js';
import { CHECKPOINTS } from './mistakes/checkpoints.js';
import type { Directed } from './mistakes/directed.js';
import { DISKS } from './mistakes/disks.js';
import { FAILURE } from './mistakes/failure.js';
import { LEASES } from './mistakes/leases.js';
import { LOCAL_READS } from './mistakes/local-reads.js';
import { NORMAL } from './mistakes/normal.js';
import { READS } from './mistakes/reads.js';
import { RECOVERY } from './mistakes/recovery.js';
import { DIRECTED } from './mistakes/registry.js';
import { REPAIR } from './mistakes/repair.js';
import { SESSIONS } from './mistakes/sessions.js';
import { VIEW_CHANGE } from './mistakes/view-change.js';
import { entries, prepare, Solo } from './solo.js';

/** Virtual time in which each mistake is noticed, in ticks of 10 ms: what makes the search directed. */
const TICKS_MAX = 1500;

function play({ options, script, mistake }: Directed, wrong: boolean): void {
  const mutations = wrong ? { ...options.mutations, [mistake]: true } : options.mutations;
  let told: Story | null = null;
  try {
    told = story({ ...options, ...(mutations === undefined ? {} : { mutations }) });
    script(told);
  } catch (error) {
    expect(told?.tick ?? 0, `ticks until ${mistake} was noticed`).toBeLessThan(TICKS_MAX);
    throw error;
  }
}

function each(group: readonly Directed[]): void {
  for (const directed of group) {
    const { mistake, rules, noticed } = directed;
    test(`mistake ${mistake} (${rules}): the rule holds`, () => {
      play(directed, false);
    });
    test(`mistake ${mistake} (${rules}): it is noticed when it is made`, () => {
      expect(() => play(directed, true)).toThrow(noticed);
    });
  }
}

describe('mistakes on the way to a view', () => each(VIEW_CHANGE));
describe('mistakes about who is alive', () => each(FAILURE));
describe('register-mutants (R0, R4, G6, VC13): mistakes about memory', () => each(RECOVERY));
describe('mistakes about entries to fetch', () => each(REPAIR));
describe('mistakes of the normal case', () => each(NORMAL));
describe('mistakes about sessions and time', () => each(SESSIONS));
describe('mistakes about checkpoints', () => each(CHECKPOINTS));
describe('mistakes about reads', () => each(READS));
describe('mistakes about leases', () => each(LEASES));
describe('mistakes about local reads', () => each(LOCAL_READS));
describe('mistakes about disks', () => each(DISKS));

test('every mistake that can be switched on has a directed scenario, and names what it breaks', () => {
  const names = Object.keys(MISTAKES) as MistakeName[];
  const told = new Set(DIRECTED.map(({ mistake }) => mistake));
  expect(names.filter((name) => !told.has(name))).toEqual([]);
  expect(names.length).toBeGreaterThanOrEqual(34);
  for (const { rules } of [...Object.values(MISTAKES), ...DIRECTED])
    expect(rules).toMatch(/\b[A-Z]{1,2}\d+\b/);
});

test('mistake duplicatesExecuted (N7, D15): the check at execution alone keeps a duplicate out', () => {
  const log = entries(3);
  const twice = entries(4, 0, log).map((entry) => entry.op);
  expect(twice).toEqual([1, 2, 3, 4]);
  for (const duplicatesExecuted of [false, true]) {
    const solo = new Solo({ mutations: { duplicatesExecuted } });
    const copy = entries(4, 0, log, () => 1);
    solo.receive(prepare(copy, { commitMax: 4 }));
    solo.execute();
    const tags = solo.machine?.history.map(({ tag }) => tag);
    expect(tags).toEqual(['solo.1', 'solo.2', ...(duplicatesExecuted ? ['solo.1'] : [])]);
  }
});
