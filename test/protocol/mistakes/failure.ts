// Mistakes about who is alive: heartbeats, hints of the host, abdication, and what a restart says about its predecessor.

import { expect } from 'vitest';
import type { Story } from '../../../src/simulation/story.js';
import { load } from '../../../src/simulation/words.js';
import type { Directed } from './directed.js';

/** No timer of a replica or of a client can expire in such a story; only what happens makes it go on. */
export const NO_TIMERS = {
  timing: { viewTimeout: 1e6, startViewRequest: 1e6, prepareResend: 1e6, transferRetry: 1e6 },
  clientTiming: { retry: 1e6, retryMax: 1e6, notPrimary: 1e6 },
};

/** A fifth of the usual times. */
export const FAST = { timing: { heartbeat: 1, viewTimeout: 10 } };

/** HB5, E19: it is heard, and hears nobody. */
function heardAndDeaf(s: Story): void {
  s.drop({ from: ['R1', 'R2'], to: 'R0' });
  const call = s.put('a', 1);
  s.until(() => call.code === 'ok', 1000);
  s.converge();
}

/** E47: R2 has seen many heartbeats of view 0 when view 1 begins to number its own. */
export function quietAfterMany(s: Story, heartbeats: number): void {
  s.until(() => s.state('R2').lastHbSeq > heartbeats, 6000);
  s.crash('R0', { hint: true });
  s.newView(1);
  s.run(heartbeats);
  expect(s.view).toBe(1);
  s.converge();
}

/** The dead primary's heartbeats keep arriving; how long until there is another? */
export function staleHeartbeats(s: Story): void {
  const old = s.record({ from: 'R0', kinds: 'commit' });
  s.put('a', 1);
  s.run(60);
  old.end();
  s.crash('R0', { mute: true, hint: false });
  for (let tick = 0; tick < 200 && s.view === 0; tick++) {
    for (const { to, message } of old.kept) s.inject('R0', to, message);
    s.run(1);
  }
  expect(s.view).toBe(1);
  s.converge();
  s.expect('a', 1);
}

/** The frames of a thread that is being ended lie in the rings behind the host's word. */
export function lastFrames(s: Story): void {
  load(s, 20);
  s.until(() => s.calls.some(({ code }) => code === 'ok'), 5);
  const last = s.hold({ from: 'R0' });
  const votes = s.hold({ kinds: 'startViewChange' });
  s.until(() => last.kept.length >= 2, 5);
  s.tell('R_', { kind: 'suspect', id: 0, start: 1 });
  s.until(() => votes.kept.length >= 4, 2);
  s.pause('R0');
  s.release(last);
  s.run(1);
  s.release(votes);
  s.newView(1, 2);
  s.crash('R0');
  s.settle(20);
  s.expect('n', 40);
}

/** HH3: primary and next primary exit together. */
export function hintCascade(s: Story): void {
  load(s, 20);
  s.until(() => s.calls.some(({ code }) => code === 'ok'), 5);
  s.crash('R0');
  s.crash('R1');
  s.newView(2, 3);
  s.settle(20);
  expect([s.view, s.primary]).toEqual([2, 2]);
  s.expect('n', 40);
}

/** HH1: R0 leads again in its second start, and its first one is reported once more. */
export function oldExit(s: Story): void {
  s.restart(s.crash('R0', { hint: true }));
  for (let view = 1; view <= 3; view++) {
    s.newView(view);
    s.together();
    if (view < 3) s.stepDown();
  }
  expect([s.primary, s.state('R1').primaryStart]).toEqual([0, 2]);
  const votes = s.record({ kinds: 'startViewChange' });
  s.tell('R_', { kind: 'exited', id: 0, start: 1 });
  s.tell('R_', { kind: 'exited', id: 0, start: 1 });
  s.put('a', 1);
  s.run(200);
  expect([votes.hits, s.view]).toEqual([0, 3]);
  s.tell('R_', { kind: 'exited', id: 0, start: 2 }); // false, and about this one
  s.newView(4);
  s.run(500);
  expect(s.view).toBe(4);
  s.converge();
  s.expect('a', 1);
}

/** HB6, E36: R1 leads view 1, dies, and comes back without any hint of the host. */
export function restartedLeader(s: Story): void {
  s.stepDown();
  s.newView(1);
  load(s, 5);
  s.settle();
  s.crash('R1', { hint: false });
  s.restart('R1');
  s.newView(2, 20); // a failure timer takes 50 at least
  s.together();
  expect([s.view, s.primary, s.state('R1').view]).toEqual([2, 2, 2]);
  s.converge();
  s.expect('n', 5 * s.clients.length);
}

export const FAILURE: readonly Directed[] = [
  {
    mistake: 'neverAbdicates',
    rules: 'HB5, E19',
    options: {},
    script: heardAndDeaf,
    noticed: /did not come true/,
  },
  {
    mistake: 'heartbeatsKept',
    rules: 'HB2, E47',
    options: FAST,
    script: (s) => quietAfterMany(s, 100),
    noticed: /expected \d+ to be 1/,
  },
  {
    mistake: 'staleHeartbeats',
    rules: 'HB2, E31',
    options: {},
    script: staleHeartbeats,
    noticed: /expected \+?0 to be 1/,
  },
  {
    mistake: 'lastFramesHeard',
    rules: 'HB2, HH1',
    options: { clients: 2, limits: { batchMax: 4 }, ...NO_TIMERS },
    script: lastFrames,
    noticed: /view 1 did not come true/,
  },
  {
    mistake: 'deadPrimaryAwaited',
    rules: 'HH3',
    options: { replicas: 5, clients: 2, limits: { batchMax: 4 }, ...NO_TIMERS },
    script: hintCascade,
    noticed: /view 2 did not come true/,
  },
  {
    mistake: 'exitOfOlderStart',
    rules: 'HH1, HH4, HB6',
    options: {},
    script: oldExit,
    noticed: /expected \[ \d+, \d+ \] to deeply equal \[ \+?0, 3 \]/,
  },
  {
    mistake: 'restartUnnoticed',
    rules: 'HB6, E36',
    options: {},
    script: restartedLeader,
    noticed: /view 2 did not come true/,
  },
];
