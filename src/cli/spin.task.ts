// Work for the capacity gate: arithmetic for a given time. @returns how much of it was done.

import { performance } from 'node:perf_hooks';

const STEPS = 10_000;

export default function spin(milliseconds: number): number {
  const end = performance.now() + milliseconds;
  let rounds = 0;
  let x = 1;
  while (performance.now() < end) {
    for (let step = 0; step < STEPS; step++) x = (Math.imul(x, 1_664_525) + 1_013_904_223) | 0;
    // The sum depends on x, so the loop cannot be left out.
    rounds += x === 0 ? 2 : 1;
  }
  return rounds;
}
