// Mistakes about checkpoints: logs that are cut too far or too silently, and pages that are taken for what they are not.

import { expect } from 'vitest';
import type { Message, Pages } from '../../../src/protocol/message.js';
import type { Rule } from '../../../src/simulation/network.js';
import type { Story } from '../../../src/simulation/story.js';
import { head, load } from '../../../src/simulation/words.js';
import type { Directed } from './directed.js';

/** A checkpoint every four entries of one request, and nothing kept below it. */
export const SMALL = {
  batchMax: 1,
  checkpointEvery: 4,
  retain: 0,
  tailEntries: 2,
  messageBytes: 1024,
};

/** Ticks in which a view begins when no timer has to run out first. */
export const AT_ONCE = 30;

function end(rules: readonly Rule[]): void {
  for (const rule of rules) rule.end();
}

/** Op of the newest checkpoint of `who`. */
export function checkpointOf(s: Story, who: string): number {
  return s.state(who).checkpoints.at(-1)?.op ?? 0;
}

/** `count` increments, answered and executed, and the checkpoints they lead to taken and reported. */
export function grow(s: Story, count: number, key = 'n'): void {
  load(s, count, key);
  s.settle();
  s.run(20);
}

// ── what must be kept for others ──

/** E23b: A and the witness go on without B. @returns what B had in a checkpoint. */
function aheadOfOneActive(s: Story, cut: () => void): number {
  grow(s, 10);
  const stable = s.state('R0').stableOp;
  expect(stable).toBeGreaterThan(0);
  cut();
  grow(s, 40);
  expect(checkpointOf(s, 'R0')).toBeGreaterThan(40);
  for (const who of ['R0', 'W']) {
    expect(s.state(who).stableOp).toBe(stable);
    expect(s.state(who).log.start).toBeLessThanOrEqual(stable + 1);
  }
  return stable;
}

/** E23b: the entries that B needs when A dies are still at the witness. */
export function witnessGcBound(s: Story): void {
  let cut: Rule[] = [];
  aheadOfOneActive(s, () => {
    cut = s.isolate('R1');
  });
  s.crash('R0');
  end(cut);
  s.newView(1);
  s.until(() => s.primary === 1);
  s.expect('n', 50);
  s.converge();
}

/** E23c: the witness loses its memory and gets it back from A, which then dies. */
export function witnessAmnesia(s: Story): void {
  let cut: Rule[] = [];
  const stable = aheadOfOneActive(s, () => {
    cut = s.isolate('R1');
  });
  s.crash('W');
  s.restart('W');
  s.until(() => s.state('W').status === 'normal', 200);
  expect(s.state('W').log.start).toBeLessThanOrEqual(stable + 1);
  expect(head(s, 'W')).toBe(head(s, 'R0'));
  s.crash('R0');
  end(cut);
  s.newView(1);
  s.expect('n', 50);
  s.converge();
}

/** W4: an active that comes back by a checkpoint holds the entries below it that a witness may have to get from it. */
export function retBound(s: Story): void {
  const stable = aheadOfOneActive(s, () => s.crash('R1'));
  s.restart('R1');
  s.until(() => s.state('R1').status === 'normal', 200);
  expect(checkpointOf(s, 'R1')).toBeGreaterThan(40);
  expect(s.state('R1').log.start).toBeLessThanOrEqual(stable + 1);
  s.expect('n', 50);
  s.converge();
}

/** T4: R2 finishes a checkpoint after it has told the elect what its log holds. */
function frozenLog(s: Story): void {
  const cut = s.isolate('R1');
  const lagging = head(s, 'R1');
  for (let turn = 0; turn < 4; turn++) s.put('big', 'x'.repeat(4000));
  s.until(() => (s.state('R2').taking?.op ?? 0) > lagging, 40, 'a checkpoint in the making');
  s.crash('R0');
  end(cut);
  const answers = s.hold({ from: 'R2', to: 'R1', kinds: 'newState' });
  s.until(() => answers.hits > 0, AT_ONCE, 'a question of the elect');
  s.until(() => s.state('R2').taking === null, AT_ONCE, 'the whole checkpoint');
  expect([s.state('R2').status, checkpointOf(s, 'R2') > lagging]).toEqual(['view-change', true]);
  s.release(answers);
  s.newView(1, AT_ONCE);
  expect(s.view).toBe(1);
  s.settle();
  s.converge();
}

// ── what is gone ──

/** R2 is cut off while the log moves on, and comes back by what differs of a checkpoint. */
export function stragglerReturns(s: Story): void {
  grow(s, 20);
  const cut = s.isolate('R2');
  grow(s, 40);
  expect(s.state('R0').log.start).toBeGreaterThan(head(s, 'R2') + 1);
  end(cut);
  s.until(() => head(s, 'R2') === head(s, 'R0'), 200, 'the log of R2');
  expect(s.notices('R2').filter(({ kind }) => kind === 'fetched')).toHaveLength(1);
  grow(s, 8);
  s.expect('n', 68);
  s.converge();
}

/** E34: the primary of the next view lacks what everybody else has collected. @returns once somebody serves. */
export function laggardElect(s: Story): void {
  grow(s, 10);
  const cut = s.isolate('R1');
  grow(s, 20);
  for (const id of s.actors.keys())
    if (id !== 1) expect(s.state(id).log.start).toBeGreaterThan(head(s, 'R1') + 1);
  s.crash('R0');
  end(cut);
  s.newView(2, s.hints ? AT_ONCE : 200);
  expect([s.view, s.primary]).toEqual([2, 2]);
  s.expect('n', 30);
  s.converge();
  expect(s.view).toBe(2);
}

// ── what a checkpoint is ──

/**
 * E27: R4 is to install view 0 as its deposed primary describes it, and what it fetches is of view 1, which kept other entries at
 * the same ops.
 */
function laterCheckpoint(s: Story): void {
  grow(s, 10);
  s.crash('R4');
  const [alone, others] = ['R0', ['R1', 'R2', 'R3']];
  s.partition([alone, 'C0'], others);
  for (let turn = 0; turn < 3; turn++) s.incr('x', 0);
  s.run(2);
  s.tell(others, { kind: 'suspect', id: 0 });
  s.drop({ from: 'R0', to: 'R4', kinds: ['prepare', 'commit'] });
  const late = s.hold({ from: 'R1', to: 'R4', where: ({ kind }) => !ANSWERS.has(kind) });
  s.newView(1, AT_ONCE);
  for (let turn = 0; turn < 8; turn++) s.incr('n', 1);
  s.until(() => checkpointOf(s, 'R1') > head(s, 'R0'), AT_ONCE);
  const fetched = s.record({ from: others, to: 'R4', kinds: 'checkpointMeta' });
  s.restart('R4');
  s.until(() => fetched.hits > 0, AT_ONCE);
  s.run(5);
  for (let turn = 0; turn < 8; turn++) s.incr('x', 0);
  s.run(5);
  expect([s.state('R4').status, s.state('R0').status]).toEqual(['recovering', 'normal']);
  s.release(late);
  s.until(() => s.state('R4').status === 'normal', 200);
  expect(s.state('R4').view).toBe(1);
  s.converge();
  s.expect('x', 11);
}

/** What repairs, and carries no view that decides anything. */
export const ANSWERS: ReadonlySet<Message['kind']> = new Set([
  'checkpointMeta',
  'nodes',
  'pages',
  'newState',
]);

/** One digit of the value of 'n' as it travels. @returns whether it was in there. */
function damage(message: Pages): boolean {
  const text = String.fromCharCode(...message.bytes);
  const at = text.indexOf('["n","');
  if (message.list !== 2 || at < 0) return false;
  message.bytes[at + 6] = (message.bytes[at + 6] as number) ^ 1;
  return true;
}

/** CP6: a page is damaged on its way to R2, which comes back with no memory. */
function damagedPage(s: Story): void {
  grow(s, 41);
  s.crash('R2');
  s.restart('R2');
  const answers = s.hold({ to: 'R2', kinds: 'pages' });
  let damaged = 0;
  for (let turn = 0; turn < 200 && s.state('R2').status !== 'normal'; turn++) {
    const arrived = answers.kept.splice(0);
    for (const { from, message } of arrived) {
      if (damaged === 0 && message.kind === 'pages' && damage(message)) damaged++;
      s.inject(from, 'R2', message);
    }
    s.run(1);
  }
  answers.end();
  expect(damaged).toBe(1);
  grow(s, 4);
  s.expect('n', 45);
  s.converge();
}

/** CP8: the state of `who` comes to differ by itself, in what no request touches, and `halts` ends for it. */
export function lostBit(s: Story, who: number, halts = who): void {
  grow(s, 10);
  s.actor(who).machine?.values.set('noise', '1');
  load(s, 10);
  s.until(() => s.halted.has(halts), 200, `the end of R${halts}`);
}

export const CHECKPOINTS: readonly Directed[] = [
  {
    mistake: 'stableByOne',
    rules: 'E23b, CP4',
    options: { witnesses: 1, limits: SMALL },
    script: witnessGcBound,
    noticed: /I16/,
  },
  {
    mistake: 'stableIgnored',
    rules: 'E23c, CP5, W4',
    options: { witnesses: 1, limits: SMALL },
    script: witnessAmnesia,
    noticed: /I16/,
  },
  {
    mistake: 'retIgnored',
    rules: 'E23c, W4, R5',
    options: { witnesses: 1, limits: SMALL },
    script: retBound,
    noticed: /I16 replica 1/,
  },
  {
    mistake: 'collectsFrozenLog',
    rules: 'T4',
    options: { limits: { ...SMALL, tailEntries: 0, messageBytes: 1 } },
    script: frozenLog,
    noticed: /view 1 did not come true/,
  },
  {
    mistake: 'goneUnsaid',
    rules: 'T2',
    options: { limits: SMALL },
    script: stragglerReturns,
    noticed: /the log of R2 did not come true/,
  },
  {
    mistake: 'neverForfeits',
    rules: 'VC8, E34',
    options: { limits: SMALL },
    script: laggardElect,
    noticed: /view 2 did not come true/,
  },
  {
    mistake: 'checkpointOfAnyView',
    rules: 'E27, R4',
    options: { replicas: 5, clients: 2, limits: SMALL },
    script: laterCheckpoint,
    noticed: /I7 replica 4/,
  },
  {
    mistake: 'pagesUnverified',
    rules: 'CP6',
    options: { limits: SMALL },
    script: damagedPage,
    noticed: /I11/,
  },
  {
    mistake: 'tableNotTransferred',
    rules: 'CP2, D15',
    options: { limits: SMALL },
    script: stragglerReturns,
    noticed: /I11/,
  },
  {
    mistake: 'rootsNotCompared',
    rules: 'CP8',
    options: { limits: SMALL, diverges: true },
    script: (s) => lostBit(s, 2),
    noticed: /the end of R2 did not come true/,
  },
];
