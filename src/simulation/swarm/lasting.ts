// What stays broken while all else heals: a minority, each of it in a way of its own.

import { faultsTolerated } from '../../protocol/configuration.js';
import type { Dice } from './dice.js';
import type { Run } from './run.js';

export function breakForGood(run: Run, dice: Dice): void {
  const { faulty } = run;
  for (let id = 0; id < run.replicas; id++) {
    if (!dice.chance(0.5)) continue;
    // Whoever has no memory yet counts as broken whatever happens to it.
    const others = new Set([...faulty, ...run.broken, id]);
    if (others.size > faultsTolerated(run.replicas)) continue;
    run.broken.add(id);
    breakOne(run, id, dice);
  }
}

function breakOne(run: Run, id: number, dice: Dice): void {
  const peers = [...run.actors.keys()].filter((other) => other !== id);
  const way = dice.below(5);
  run.trace(() => `— R${id} is broken for good (${way})`);
  if (way === 0 && run.actors[id] !== undefined) run.crash(id);
  else if (way === 1 && run.actors[id] !== undefined) run.pause(id);
  else
    for (const other of peers) {
      if (way !== 2) run.weather.cut(other, id); // deaf, or cut off
      if (way !== 3) run.weather.cut(id, other); // mute, or cut off
    }
}
