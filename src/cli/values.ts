// Values of a workload: made once, so that a set costs a choice and not a value, and handed out in random order.

import { Random, Zipfian } from './distributions.js';

/** How large values are: drawn evenly from `least` to `most`, or with `zipf` so that small ones are the most frequent. */
export interface ValueSizes {
  readonly least: number;
  readonly most: number;
  readonly zipf?: true;
}

/** Different values in circulation; they take at most VALUE_POOL_BYTES. */
const VALUES = 1024;
const VALUE_POOL_BYTES = 64 << 20;
const VALUES_SEED = 1;
const PRINTABLE_FIRST = 0x20;
const PRINTABLE = 95;

/** The sizes in circulation: evenly spread over the distribution, so that their mean hardly depends on how many there are. */
export function sizesOf(sizes: ValueSizes): number[] {
  if (sizes.zipf === true) {
    const all = zipfSizes(sizes, VALUES);
    const most = Math.floor(VALUE_POOL_BYTES / Math.max(1, mean(all)));
    return most >= VALUES ? all : zipfSizes(sizes, Math.max(1, most));
  }
  const { least, most } = sizes;
  const count = Math.max(1, Math.min(VALUES, Math.floor(VALUE_POOL_BYTES / Math.max(1, most))));
  return Array.from(
    { length: count },
    (_, index) => least + Math.round(((most - least) * index) / Math.max(1, count - 1)),
  );
}

function zipfSizes({ least, most }: ValueSizes, count: number): number[] {
  const zipfian = new Zipfian(most - least + 1);
  return Array.from({ length: count }, (_, index) => least + zipfian.rank((index + 0.5) / count));
}

function mean(sizes: readonly number[]): number {
  return sizes.reduce((sum, size) => sum + size, 0) / sizes.length;
}

export function meanSize(sizes: ValueSizes): number {
  return sizes.zipf === true ? mean(sizesOf(sizes)) : (sizes.least + sizes.most) / 2;
}

/** Printable bytes, the same ones for the same sizes. */
export function makeValues(sizes: ValueSizes): Uint8Array[] {
  const random = new Random(VALUES_SEED);
  return sizesOf(sizes).map((bytes) => {
    const value = new Uint8Array(bytes);
    for (let at = 0; at < bytes; at++)
      value[at] = PRINTABLE_FIRST + ((random.next() >>> 8) % PRINTABLE);
    return value;
  });
}
