// One random run from a seed: a group drawn at random, load, and at most f members down or recovering at any time, while
// messages are lost, doubled, held back past the death of their senders, and actors pause. It ends with `converge`. It knows
// no scenario: what it finds becomes one.

import { faultsTolerated } from '../../src/protocol/configuration.js';
import type { MessageKind } from '../../src/protocol/message.js';
import type { Mutations } from '../../src/protocol/mutations.js';
import type { Rule } from '../../src/simulation/network.js';
import { seeded } from '../../src/simulation/seeded.js';
import { Story } from '../../src/simulation/story.js';

const TIMING = {
  heartbeat: 2,
  viewTimeout: 16,
  prepareResend: 4,
  transferRetry: 4,
  transferRetryMax: 32,
  startViewRequest: 2,
  recoveryResend: 2,
  recoveryResendMax: 16,
  downExpiry: 100,
  calm: 150,
  retryAfterMs: 20,
};
const SLOW_KINDS: readonly MessageKind[] = [
  'prepare',
  'commit',
  'prepareOk',
  'startViewChange',
  'doViewChange',
  'startView',
  'newState',
  'request',
  'reply',
];
const SIZES = [1, 2, 3, 3, 3, 3, 4, 5, 5];
const ACTIONS = 14;

class Dice {
  readonly #next: () => number;

  constructor(seed: number) {
    this.#next = seeded(seed);
  }

  below(limit: number): number {
    return this.#next() % limit;
  }

  chance(share: number): boolean {
    return this.#next() / 2 ** 32 < share;
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)] as T;
  }
}

function randomStory(
  seed: number,
  options: { mutations?: Mutations; replicas?: number } = {},
): Story {
  const dice = new Dice(seed * 2654435761);
  const replicas = options.replicas ?? dice.pick(SIZES);
  const tiny = dice.chance(0.5);
  return new Story({
    seed,
    replicas,
    witnesses: dice.chance(0.4) ? dice.below(faultsTolerated(replicas) + 1) : 0,
    clients: 1 + dice.below(3),
    hints: dice.chance(0.6),
    shuffle: true,
    timing: TIMING,
    clientTiming: { retry: 20, retryMax: 60, notPrimary: 3 },
    limits: tiny
      ? { window: 4, batchMax: 2, tailEntries: dice.below(3), messageBytes: 256, sessionWindow: 4 }
      : { batchMax: 8 },
    ...(options.mutations === undefined ? {} : { mutations: options.mutations }),
  });
}

/** Plays one run to its end. @throws what an invariant or a check of `converge` says. */
export function randomRun(
  seed: number,
  options: { mutations?: Mutations; replicas?: number; actions?: number } = {},
): Story {
  const story = randomStory(seed, options);
  const dice = new Dice(seed ^ 0x51ed270b);
  const actions = options.actions ?? ACTIONS;
  const slow = slowKinds(story, dice);
  story.network.latency = { low: 1, high: 1 + dice.below(6) };
  for (let turn = 0; turn < actions; turn++) {
    load(story, dice);
    act(story, dice, slow);
    story.run(1 + dice.below(dice.chance(0.3) ? 60 : 10));
  }
  story.converge();
  return story;
}

/** A random set of kinds that travels slowly for the whole run, so that ghosts arrive late. */
function slowKinds(story: Story, dice: Dice): Rule[] {
  const kinds = SLOW_KINDS.filter(() => dice.chance(0.25));
  if (kinds.length === 0) return [];
  return [story.hold({ kinds, share: 0.3 })];
}

function load(story: Story, dice: Dice): void {
  for (let calls = dice.below(6); calls > 0; calls--) {
    const client = dice.below(story.clients.length);
    const key = `k${dice.below(4)}`;
    if (dice.chance(0.25)) story.read(key, client);
    else if (dice.chance(0.5)) story.incr(key, client);
    else if (dice.chance(0.7)) story.put(key, dice.below(100), client);
    else story.del(key, client);
  }
}

/** Members that are down or have not become normal since their restart. */
function faulty(story: Story): number {
  let count = 0;
  for (const actor of story.actors)
    if (actor === undefined || actor.replica.state.status === 'recovering') count++;
  return count;
}

function act(story: Story, dice: Dice, slow: readonly Rule[]): void {
  const n = story.replicas;
  const someone = dice.below(n);
  const running = story.actors[someone] !== undefined;
  switch (dice.below(14)) {
    case 0:
    case 1:
    case 2: {
      const victim = dice.chance(0.5) ? story.primary : someone;
      const actor = story.actors[victim];
      if (actor === undefined) return;
      // A recovering one is faulty already: its crash costs nothing more.
      const more = actor.replica.state.status === 'recovering' ? 0 : 1;
      if (faulty(story) + more > faultsTolerated(n)) return;
      if (dice.chance(0.3)) story.killAfter(victim, dice.below(12));
      else story.crash(victim, { mute: dice.chance(0.3) });
      // Whoever is killed later counts as faulty from now on.
      if (actor.killAfter !== Number.POSITIVE_INFINITY) {
        story.run(2);
        story.crash(victim);
      }
      return;
    }
    case 3:
    case 4:
      for (let id = 0; id < n; id++) story.restart(id);
      return;
    case 5:
      if (running) story.pause(someone);
      return;
    case 6:
      for (const actor of story.actors) if (actor !== undefined) actor.paused = false;
      return;
    case 7: {
      const left = Array.from({ length: n }, (_, id) => id).filter(() => dice.chance(0.5));
      const right = Array.from({ length: n }, (_, id) => id).filter((id) => !left.includes(id));
      story.partition(left, right, dice.chance(0.4));
      return;
    }
    case 8:
      story.drop({ share: 0.05 + dice.below(3) / 10 });
      return;
    case 9:
      story.duplicate(1 + dice.below(30), { share: 0.3 });
      return;
    case 10:
      for (const rule of slow) story.network.release(rule, () => dice.chance(0.6));
      return;
    case 11:
      for (const rule of story.network.rules) if (!slow.includes(rule)) rule.end();
      return;
    case 12:
      rareAct(story, dice);
      return;
    case 13:
      story.delay(1 + dice.below(20), { from: dice.below(n), share: 0.4 });
      return;
  }
}

function rareAct(story: Story, dice: Dice): void {
  const id = dice.below(story.replicas);
  switch (dice.below(6)) {
    case 0:
      story.stepDown();
      return;
    case 1:
      story.tell(dice.below(story.replicas), { kind: 'suspect', id });
      return;
    case 2:
      story.tell('R_', { kind: 'exited', id, start: story.starts[id] ?? 1 });
      return;
    case 3:
      story.crashClient(dice.below(story.clients.length));
      return;
    case 4:
      story.skewClock(id, (dice.below(20) - 10) * 1_000_000);
      return;
    case 5:
      story.ringDepth(null, id, { frames: 1 + dice.below(4) });
      return;
  }
}
