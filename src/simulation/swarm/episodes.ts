// The faults of a run, one function each: it does its harm and says how it ends. Where memory is lost, at most f members are
// down or recovering at a time, for that is what the protocol promises to survive without disks.

import { CLIENT_BASE } from '../network.js';
import { ROUNDS_PER_TICK } from '../stage.js';
import { Dice } from './dice.js';
import type { Episode, EpisodeKind } from './plan.js';
import type { Run } from './run.js';

type End = () => void;
type Fault = (run: Run, dice: Dice, episode: Episode) => End;

const nothing: End = () => {};

export function beginEpisode(run: Run, episode: Episode): End {
  return FAULTS[episode.kind](run, new Dice(episode.seed), episode);
}

const FAULTS: { readonly [Kind in EpisodeKind]: Fault } = {
  partition,
  deposed,
  flapping,
  clog,
  swizzle,
  crash,
  crashAtEffect,
  crashInRepair,
  restart,
  pause,
  clockRate,
  clockStep,
  smallRings,
  overload,
  clientDeath,
  falseHint,
  slowApply,
  stepDown,
  killAll,
  diskLost,
  diskRot,
  slowDisk,
  failingFlush,
};

// ── the network ──

/** Directed pairs of one split: a member alone, random halves, or a ring in which each hears only its neighbours. */
function splitOf(run: Run, dice: Dice): [number, number][] {
  const all = Array.from({ length: run.replicas }, (_, id) => id);
  const shape = dice.below(run.replicas >= 5 ? 4 : 3);
  const side =
    shape === 0 ? [dice.below(run.replicas)] : shape === 1 ? [run.primary] : dice.some(all, 0.5);
  const oneWay = dice.chance(0.4);
  const pairs: [number, number][] = [];
  if (shape === 3) {
    const n = run.replicas;
    for (const from of all)
      for (const to of all) {
        const far = (to - from + n) % n;
        if (far > 1 && far < n - 1) pairs.push([from, to]);
      }
    return pairs;
  }
  for (const from of side)
    for (const to of all) {
      if (side.includes(to)) continue;
      pairs.push([from, to]);
      if (!oneWay) pairs.push([to, from]);
    }
  // Sometimes the clients are on one side as well.
  if (dice.chance(0.3))
    for (const client of run.clients)
      for (const id of side) pairs.push([CLIENT_BASE + client.address, id]);
  return oneWay && dice.chance(0.5) ? pairs.map(([from, to]) => [to, from]) : pairs;
}

function cutAll(run: Run, pairs: readonly (readonly [number, number])[]): End {
  for (const [from, to] of pairs) run.weather.cut(from, to);
  return () => {
    for (const [from, to] of pairs) run.weather.mend(from, to);
  };
}

function partition(run: Run, dice: Dice): End {
  return cutAll(run, splitOf(run, dice));
}

/** The primary hears no replica and some clients hear nobody else, so they go on asking it after another was elected. */
function deposed(run: Run, dice: Dice): End {
  const old = run.primary;
  const others = Array.from({ length: run.replicas }, (_, id) => id).filter((id) => id !== old);
  const pairs = others.flatMap((id): [number, number][] => [
    [old, id],
    [id, old],
  ]);
  for (const id of others) if (dice.chance(0.7)) run.tell(id, { kind: 'suspect', id: old });
  const end = cutAll(run, pairs);
  let deaf: End = nothing;
  // Late enough for them to have heard of the new view.
  run.after(dice.between(2, 10), () => {
    deaf = cutAll(
      run,
      dice
        .some(run.clients, 0.6)
        .flatMap((client) =>
          others.map((id): [number, number] => [id, CLIENT_BASE + client.address]),
        ),
    );
  });
  return () => {
    end();
    deaf();
  };
}

/** The same split comes and goes. */
function flapping(run: Run, dice: Dice, episode: Episode): End {
  const pairs = splitOf(run, dice);
  const period = dice.between(2, 12);
  let end: End | null = cutAll(run, pairs);
  run.every(period, episode.ticks, () => {
    if (end === null) end = cutAll(run, pairs);
    else {
      end();
      end = null;
    }
  });
  return () => end?.();
}

function clog(run: Run, dice: Dice, episode: Episode): End {
  const until = run.network.round + episode.ticks * ROUNDS_PER_TICK;
  const someone = dice.below(run.replicas);
  const inbound = dice.chance(0.5);
  for (let id = 0; id < run.replicas; id++) {
    if (id === someone || dice.chance(0.4)) continue;
    if (inbound) run.weather.clog(id, someone, until);
    else run.weather.clog(someone, id, until);
  }
  return nothing;
}

/** Links stop one by one and start again in another order. */
function swizzle(run: Run, dice: Dice, episode: Episode): End {
  const start = run.network.round;
  const half = Math.max(1, Math.floor((episode.ticks * ROUNDS_PER_TICK) / 2));
  for (let from = 0; from < run.replicas; from++)
    for (let to = 0; to < run.replicas; to++) {
      if (from === to || dice.chance(0.5)) continue;
      const until = start + half + dice.below(half);
      run.after(1 + dice.below(Math.max(1, Math.floor(episode.ticks / 2))), () =>
        run.weather.clog(from, to, until),
      );
    }
  return nothing;
}

function smallRings(run: Run, dice: Dice): End {
  const from = dice.chance(0.5) ? null : dice.below(run.replicas);
  const to = dice.chance(0.5) ? null : dice.below(run.replicas);
  const depth = { frames: dice.between(1, 6), bytes: dice.chance(0.5) ? 1 << 20 : 2048 };
  run.network.setDepth(from, to, depth);
  return () => run.network.setDepth(from, to, { frames: 1 << 20, bytes: 1 << 20 });
}

// ── threads ──

/** Its thread ends; a successor begins when the episode ends. */
function kill(run: Run, id: number, dice: Dice): End {
  if (!run.mayEnd(id)) return nothing;
  run.crash(id, { mute: dice.chance(0.3) });
  return () => run.restart(id);
}

function crash(run: Run, dice: Dice): End {
  return kill(run, dice.chance(0.4) ? run.primary : dice.below(run.replicas), dice);
}

/** Between any two effects of a step. */
function crashAtEffect(run: Run, dice: Dice): End {
  const id = dice.chance(0.5) ? run.primary : dice.below(run.replicas);
  if (!run.mayEnd(id)) return nothing;
  run.killAfter(id, dice.below(12));
  if (run.durability !== 'sync') run.doom(id);
  return () => run.restart(id);
}

/** Whoever recovers, fetches, changes its view, or hands out entries when the time comes. */
function crashInRepair(run: Run, dice: Dice, episode: Episode): End {
  let end: End = nothing;
  run.every(1, Math.max(20, episode.ticks), () => {
    if (end !== nothing || dice.chance(0.5)) return;
    const busy = run.states.find(
      ({ transfer, status }) => transfer !== null || status !== 'normal',
    );
    if (busy === undefined) return;
    const { donors = [], donor = 0 } = busy.transfer ?? {};
    const giver = donors[donor % Math.max(1, donors.length)];
    const victim = giver !== undefined && dice.chance(0.5) ? giver : busy.id;
    if (!run.mayEnd(victim)) return;
    run.crash(victim, { mute: dice.chance(0.3) });
    end = () => run.restart(victim);
  });
  return () => end();
}

/** Dies and is back within a few ticks, as under a supervisor. */
function restart(run: Run, dice: Dice): End {
  const id = dice.below(run.replicas);
  if (!run.mayEnd(id)) return nothing;
  run.crash(id, { mute: dice.chance(0.2) });
  run.after(dice.below(6), () => run.restart(id));
  return nothing;
}

function pause(run: Run, dice: Dice): End {
  const ids = dice.chance(0.1)
    ? Array.from({ length: run.replicas }, (_, id) => id)
    : [dice.chance(0.4) ? run.primary : dice.below(run.replicas)];
  // Half of them in the middle of a pass, where what was looked at before is not true any more.
  const stall = dice.chance(0.5) ? dice.between(5, 80) : 0;
  for (const id of ids) {
    if (stall === 0 && run.actors[id] !== undefined) run.pause(id);
    run.stall(id, stall);
    // The host notices, and is right or wrong about it.
    if (dice.chance(0.2)) run.after(dice.below(20), () => run.actors[id] && run.revoke(id));
  }
  return () => {
    for (const id of ids) run.wake(id);
  };
}

function slowApply(run: Run, dice: Dice): End {
  const id = dice.below(run.replicas);
  run.slowApply(id, dice.between(1, 12));
  return () => run.slowApply(id, 0);
}

/** Runs fast or slow, far beyond what hardware does. */
function clockRate(run: Run, dice: Dice): End {
  const id = dice.below(run.replicas);
  run.setClockRate(id, dice.pick([0.5, 0.8, 1.25, 2]));
  return () => run.setClockRate(id, 1);
}

function clockStep(run: Run, dice: Dice): End {
  const hour = 3_600_000_000;
  run.skewClock(dice.below(run.replicas), dice.pick([-hour, -3_000_000, 3_000_000, hour]));
  return nothing;
}

// ── disks ──

/** The process stops, and all come back one after the other with what had been flushed. */
function killAll(run: Run, dice: Dice): End {
  if (run.durability !== 'sync') return nothing;
  const ids = Array.from({ length: run.replicas }, (_, id) => id);
  if (!ids.every((id) => run.actors[id] === undefined || run.mayEnd(id))) return nothing;
  for (const id of ids)
    if (run.actors[id] !== undefined) run.crash(id, { mute: true, hint: false });
  for (const id of ids) run.after(1 + dice.below(10), () => run.restart(id));
  return nothing;
}

/** Its thread ends, and the store with it; the register stays (D21 is another story). */
function diskLost(run: Run, dice: Dice): End {
  const id = dice.below(run.replicas);
  if (run.durability === 'memory' || !run.mayLose(id)) return nothing;
  run.crash(id);
  run.disks[id]?.wipe();
  return () => run.restart(id);
}

/** P3: found when the store is read again. */
function diskRot(run: Run, dice: Dice): End {
  const id = dice.below(run.replicas);
  if (run.durability === 'memory' || !run.mayLose(id)) return nothing;
  run.crash(id);
  run.disks[id]?.rot(dice.seed());
  run.doom(id);
  return () => run.restart(id);
}

function slowDisk(run: Run, dice: Dice): End {
  const ids = dice.some(
    Array.from({ length: run.replicas }, (_, id) => id),
    0.5,
  );
  const before = run.plan.flushTicks;
  const set = (ticks: number): void => {
    for (const id of ids) {
      const actor = run.actors[id];
      if (actor !== undefined) actor.flushTicks = ticks;
    }
  };
  set(dice.between(5, 60));
  return () => set(before);
}

/** VR_DISK: the thread ends, and nothing that was not flushed is there any more. */
function failingFlush(run: Run, dice: Dice): End {
  const id = dice.below(run.replicas);
  if (run.durability === 'memory' || !run.mayEnd(id)) return nothing;
  run.crash(id, { kept: 0 });
  return () => run.restart(id);
}

// ── clients and the host ──

function overload(run: Run): End {
  run.loadFactor *= 5;
  return () => {
    run.loadFactor /= 5;
  };
}

function clientDeath(run: Run, dice: Dice): End {
  run.killClient(dice.below(run.clients.length));
  return nothing;
}

/** I25: nothing depends on what the host claims. */
function falseHint(run: Run, dice: Dice): End {
  const id = dice.below(run.replicas);
  const start = Math.max(1, (run.starts[id] ?? 1) - dice.below(3) + dice.below(2));
  const kind = dice.pick(['exited', 'started', 'suspect'] as const);
  const to = dice.chance(0.5) ? 'R_' : dice.below(run.replicas);
  run.tell(to, { kind, id, start });
  return nothing;
}

function stepDown(run: Run): End {
  run.tell('A0', { kind: 'stepDown' });
  return nothing;
}
