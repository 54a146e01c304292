// What a search looks at first. Time may be over after a few runs, and what few have shown should be worth something: the settings
// that `open()` has without options, then a batch size in the middle of the list.

import type { Configuration } from '../bench-plan.js';

const DEFAULTS: Pick<Configuration, 'batch' | 'window' | 'lingerMicros'> = {
  batch: 'auto',
  window: 32,
  lingerMicros: 0,
};

/**
 * At most two candidates, the better known one first. `sizes`: values of each axis (batch, window, linger), of whose combinations
 * `configurations` are numbered, the last axis varying fastest. A list without the default stands in with its middle.
 */
export function firstOf(
  configurations: readonly Configuration[],
  sizes: readonly number[],
): [number, ...number[]] {
  const [batches = 1, windows = 1, lingers = 1] = sizes;
  const values = <T>(of: (point: Configuration) => T): T[] => [...new Set(configurations.map(of))];
  const usual = <T>(all: readonly T[], wanted: T): number =>
    all.includes(wanted) ? all.indexOf(wanted) : all.length >> 1;
  const batch = usual(
    values((point) => point.batch),
    DEFAULTS.batch,
  );
  const window = usual(
    values((point) => point.window),
    DEFAULTS.window,
  );
  const linger = usual(
    values((point) => point.lingerMicros),
    DEFAULTS.lingerMicros,
  );
  const at = (place: number): number => (place * windows + window) * lingers + linger;
  const middle = batches >> 1;
  return middle === batch ? [at(batch)] : [at(batch), at(middle)];
}
