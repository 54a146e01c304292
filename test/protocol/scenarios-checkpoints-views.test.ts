// Scenarios of protocol.md 6.3 and 6.5 about views that begin while logs have been cut: elects that lack what others have dropped, and
// checkpoints of a later view than the one that is to be installed.

import { expect } from 'vitest';
import type { Rule } from '../../src/simulation/network.js';
import type { Story } from '../../src/simulation/story.js';
import { head, load } from '../../src/simulation/words.js';
import { ANSWERS, checkpointOf, grow, laggardElect, SMALL } from './mistakes/checkpoints.js';
import { scenario } from './scenario.js';
import { header } from './solo.js';

// ── laggard-elect ──

for (const { replicas, witnesses } of [
  { replicas: 3, witnesses: 0 },
  { replicas: 5, witnesses: 0 },
  { replicas: 5, witnesses: 1 },
])
  scenario(
    `laggard-elect (VC8, W6, E34): n=${replicas} with ${witnesses} witnesses, an elect that lacks what all have collected forfeits once`,
    { replicas, witnesses, limits: SMALL },
    laggardElect,
  );

scenario(
  'laggard-elect (VC8, W6, W5, E34): the longest log is that of a witness, and still an active that has the rest leads',
  { replicas: 5, witnesses: 1, limits: SMALL },
  (s) => {
    grow(s, 10);
    const cut = s.isolate('R1');
    grow(s, 20);
    const before = head(s, 'R0');
    s.drop({ from: 'R0', to: ['R2', 'R3'], kinds: 'prepare' });
    load(s, 3, 'x');
    s.run(2);
    expect([head(s, 'W'), head(s, 'R2'), s.state('W').log.start > head(s, 'R1') + 1]).toEqual([
      ...[before + 3, before, true],
    ]);
    s.isolate('R3'); // so the witness is needed
    s.crash('R0', { mute: true });
    for (const rule of cut) rule.end();
    s.newView(2);
    expect([s.view, s.primary, s.state('R2').viewStartOp]).toEqual([2, 2, before + 3]);
    s.converge();
    s.expect('x', 3);
  },
);

scenario(
  'laggard-elect (VC8, T4): what the longest log has dropped another one still has, so nobody forfeits',
  { replicas: 5, limits: SMALL },
  (s) => {
    grow(s, 10);
    const cut = s.isolate('R1');
    const lagging = head(s, 'R1');
    // R4 seems to fetch a checkpoint of R2, which keeps the entries above it for that.
    s.inject('R4', 'R2', { kind: 'getCheckpoint', ...header(4, 0), reqId: 1, minOp: 0 });
    grow(s, 20);
    s.drop({ from: 'R0', to: 'R2', kinds: 'prepare' });
    load(s, 3);
    s.until(() => head(s, 'R3') > head(s, 'R2'), 5);
    s.isolate('R4');
    s.crash('R0', { mute: true });
    const [longest, holder] = [s.state('R3').log, s.state('R2').log];
    expect(longest.start).toBeGreaterThan(lagging + 1);
    expect(holder.start).toBeLessThanOrEqual(lagging + 1);
    const last = head(s, 'R3');
    for (const rule of cut) rule.end();
    s.newView(1);
    expect([s.view, s.primary, s.state('R1').viewStartOp]).toEqual([1, 1, last]);
    s.settle();
    s.converge();
    s.expect('n', 33);
  },
);

scenario(
  'T2, W4: a witness that was cut off for longer than the logs reach begins anew where they begin',
  { replicas: 5, witnesses: 1, limits: SMALL },
  (s) => {
    grow(s, 10);
    const cut = s.isolate('W');
    const before = head(s, 'W');
    grow(s, 40);
    expect(s.state('R0').log.start).toBeGreaterThan(before + 1);
    for (const rule of cut) rule.end();
    s.until(() => head(s, 'W') === head(s, 'R0'), 200, 'the log of W');
    const { log, commit, stableOp } = s.state('W');
    expect([log.start > before + 1, log.start <= stableOp + 1]).toEqual([true, true]);
    expect(commit).toBeGreaterThan(before);
    // And it is as good a holder of the log as any.
    s.isolate('R2');
    s.crash('R0');
    grow(s, 10);
    s.expect('n', 60);
    s.converge();
  },
);

// ── E27 ──

/** E27: view 1 begins at R1 without what view 2 keeps, and nobody hears of it. @returns what R1 says of it. */
function twoViews(s: Story): Rule {
  grow(s, 10);
  const [others, quick] = [['R0', 'R2', 'R3'], { kind: 'suspect', id: 0 } as const];
  s.isolate('R4');
  grow(s, 20);
  s.heal();
  const late = s.hold({ from: 'R1', to: 'R_', kinds: 'startView' });
  s.drop({ from: 'R1', to: 'R_', kinds: ['prepare', 'commit'] });
  s.drop({ from: 'R0', to: ['R1', 'R2', 'R4'], kinds: ['prepare', 'commit'] });
  load(s, 2, 'x');
  s.run(1);
  const kept = head(s, 'R3');
  expect(kept).toBe(head(s, 'R2') + 2);
  s.drop({ from: ['R0', 'R3'], to: 'R1', kinds: 'doViewChange' });
  s.drop({ from: others, to: 'R4', where: ({ kind }) => !kind.startsWith('startViewChange') });
  s.tell(['R1', 'R2', 'R3'], quick);
  s.until(() => late.hits > 0 && s.state('R4').view === 1, 60, 'view 1');
  expect([s.state('R1').viewStartOp, s.state('R4').status]).toEqual([kept - 2, 'view-change']);
  s.drop({ from: [...others, 'R1', 'C0'], to: 'R4' });
  s.drop({ from: 'R1', to: others });
  s.tell(others, { kind: 'suspect', id: 1 });
  s.newView(2);
  expect([s.primary, s.state('R2').viewStartOp]).toEqual([2, kept]);
  return late;
}

scenario(
  'checkpoint-then-old-sv (E27, Install 3): with a checkpoint of view 2 there is no way into view 1 any more',
  { replicas: 5, limits: SMALL },
  (s) => {
    const late = twoViews(s);
    const copies = late.kept.filter(({ to }) => to === 4).map(({ message }) => message);
    s.network.rules.length = 0;
    s.network.release(late, ({ to }) => to !== 4);
    const cut = s.drop({ to: 'R4', where: ({ kind }) => !ANSWERS.has(kind) });
    const answers = s.record({ to: 'R4', kinds: 'checkpointMeta' });
    grow(s, 20);
    expect([s.state('R4').view, s.state('R4').lastNormal.view]).toEqual([1, 0]);
    for (const copy of copies) s.inject('R1', 'R4', copy);
    s.until(() => answers.hits > 0, 20, 'an answer from view 2');
    s.run(1);
    expect([s.state('R4').view, s.state('R4').status]).toEqual([2, 'view-change']);
    cut.end();
    s.until(() => s.state('R4').status === 'normal', 100);
    expect([s.state('R4').view, checkpointOf(s, 'R4') > 30]).toEqual([2, true]);
    const before = head(s, 'R4');
    for (const copy of copies) s.inject('R1', 'R4', copy);
    s.run(5);
    expect([s.state('R4').view, head(s, 'R4')]).toEqual([2, before]);
    s.converge();
    s.expect('x', 2);
    s.expect('n', 50);
  },
);
