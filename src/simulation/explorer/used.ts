// What of the budgets a world has used, in one word.

/** Four bits for each budget, in this order. */
export const TIMERS = 0;
export const REPEATS = 4;
export const DROPS = 8;
export const DUPLICATES = 12;
export const LOSSES = 16;
export const SUBMITTED = 20;
export const RESUBMITTED = 24;
export const TRANSFERS = 28;
export const USED_MAX = 15;
export const TRANSFERS_MAX = 7;

export function count(used: number, budget: number): number {
  return (used >>> budget) & (budget === TRANSFERS ? TRANSFERS_MAX : USED_MAX);
}
