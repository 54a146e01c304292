// How often properties run. As part of the suite each file takes a few seconds and always sees the same inputs, so that a
// red run is a change's fault; `npm run fuzz` takes ten times as many inputs, new ones each time. A failing property prints
// seed and path: set FUZZ_SEED to the former to see it again.

import fc from 'fast-check';

// Else arrays have ten items or so, however many are allowed: too few for a ring to wrap or a table to grow.
fc.configureGlobal({ defaultSizeToMaxWhenMaxSpecified: true });

const factor = Number(process.env['FUZZ_FACTOR'] ?? 1);
const seed = process.env['FUZZ_SEED'];
if (!(factor > 0)) throw new RangeError(`FUZZ_FACTOR must be a number above 0, got ${factor}`);

const FIXED_SEED = 20_250_607;

function parameters(count: number): { numRuns: number; seed?: number } {
  const numRuns = Math.ceil(count * factor);
  if (seed !== undefined) return { numRuns, seed: Number(seed) };
  return factor === 1 ? { numRuns, seed: FIXED_SEED } : { numRuns };
}

/** For a property over sequences or values. */
export const PROPERTY: fc.Parameters<unknown> = parameters(1000);

/** For a decoder; `share` of the 20 000 inputs that each decoder gets. */
export function inputs(share = 1): fc.Parameters<unknown> {
  return parameters(20_000 * share);
}

/** Vitest's own limit is no part of what is shown here. */
export const TIMEOUT_MS: number = 60_000 * Math.max(1, factor);
