// Which key comes next. The skewed choices are those of YCSB: Gray et al., "Quickly Generating Billion-Record Synthetic Databases"
// (SIGMOD 1994), which draws a rank from one random number without a table of all ranks. Everything is drawn from a seed.

export const DISTRIBUTIONS = ['uniform', 'zipfian', 'latest', 'sequential'] as const;
export type Distribution = (typeof DISTRIBUTIONS)[number];

/** How skewed: the chance of rank i, from 1, is proportional to 1 / i^THETA. YCSB's constant. */
export const THETA = 0.99;
/** YCSB draws from so many, however few keys there are, and hashes: how popular a key is then does not depend on their number. */
const SCRAMBLED_ITEMS = 1e10;
/** Terms of a sum that are added one by one. */
const SUMMED = 1000;
const U32 = 2 ** 32;

/** xorshift32: a few instructions, and good enough to draw operations with. */
export class Random {
  /** Never 0. */
  #state: number;

  constructor(seed: number) {
    // Multiplied, for neighbouring seeds would start with neighbouring numbers.
    this.#state = Math.imul(seed + 1, 0x9e3779b1) | 1;
  }

  /** @returns a whole number below 2^32. */
  next(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return x >>> 0;
  }
}

/** Sum of 1 / i^THETA up to `items`; what lies beyond the first terms by the formula of Euler and Maclaurin, right to 1e-11. */
export function zeta(items: number): number {
  const summed = Math.min(items, SUMMED);
  let sum = 0;
  for (let item = 1; item <= summed; item++) sum += item ** -THETA;
  return sum + (primitive(items) - primitive(summed));
}

function primitive(x: number): number {
  return x ** (1 - THETA) / (1 - THETA) + x ** -THETA / 2 - (THETA * x ** (-1 - THETA)) / 12;
}

/** `x` to the power of 1 / (1 - THETA): `**` would cost more than all the rest of an operation's choice. */
function hundredth(x: number): number {
  const x2 = x * x;
  const x4 = x2 * x2;
  const x8 = x4 * x4;
  const x16 = x8 * x8;
  const x32 = x16 * x16;
  return x32 * x32 * x32 * x4;
}

/** Weight of the first two ranks, of which the first has 1. */
const FIRST_TWO: number = zeta(2);

/** Ranks from 0, the most popular. The first two have their exact chance, the others nearly, as in the paper. */
export class Zipfian {
  #items: number;
  #zeta: number;
  #eta = 0;

  constructor(items: number) {
    this.#items = items;
    this.#zeta = zeta(items);
    this.#prepare();
  }

  #prepare(): void {
    this.#eta = (1 - (2 / this.#items) ** (1 - THETA)) / (1 - FIRST_TWO / this.#zeta);
  }

  /** One item more. */
  grow(): void {
    this.#items++;
    this.#zeta += this.#items ** -THETA;
    this.#prepare();
  }

  /** `share`: from 0 to below 1; a larger one never gives a smaller rank. */
  rank(share: number): number {
    const weighed = share * this.#zeta;
    if (weighed < 1) return 0;
    if (weighed < FIRST_TWO) return 1;
    const rank = Math.floor(this.#items * hundredth(this.#eta * share - this.#eta + 1));
    return Math.min(this.#items - 1, Math.max(1, rank));
  }
}

/** The keys that there are, in the order in which they came: a ring, once there are as many as may be. */
export interface Population {
  readonly count: number;
  /** Index of the key that came last. */
  readonly newest: number;
  /** Keys from the beginning; the rest was inserted. */
  readonly initial: number;
}

export interface KeyChooser {
  /** `drawn`: a random number below 2^32 that belongs to the operation. @returns the index of a key. */
  choose(drawn: number): number;
  /** There is one key more. */
  grow(): void;
}

class Uniform implements KeyChooser {
  readonly #keys: Population;

  constructor(keys: Population) {
    this.#keys = keys;
  }

  choose(drawn: number): number {
    return drawn % this.#keys.count;
  }

  grow(): void {}
}

/** Popular keys are scattered over all that there were in the beginning: what is popular must not change with each insert. */
class Scrambled implements KeyChooser {
  readonly #zipfian = new Zipfian(SCRAMBLED_ITEMS);
  readonly #keys: number;

  constructor(keys: Population) {
    this.#keys = keys.initial;
  }

  choose(drawn: number): number {
    return scatter(this.#zipfian.rank(drawn / U32)) % this.#keys;
  }

  grow(): void {}
}

/** The finish of MurmurHash3. YCSB takes FNV; which keys become the popular ones is all that it decides. */
function scatter(rank: number): number {
  let x = (rank ^ Math.imul(Math.floor(rank / U32), 0x9e3779b1)) | 0;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}

/** What came last is the most popular. */
class Latest implements KeyChooser {
  readonly #zipfian: Zipfian;
  readonly #keys: Population;

  constructor(keys: Population) {
    this.#keys = keys;
    this.#zipfian = new Zipfian(keys.count);
  }

  choose(drawn: number): number {
    const at = this.#keys.newest - this.#zipfian.rank(drawn / U32);
    return at < 0 ? at + this.#keys.count : at;
  }

  grow(): void {
    this.#zipfian.grow();
  }
}

class Sequential implements KeyChooser {
  readonly #keys: Population;
  #next: number;

  constructor(keys: Population, first: number) {
    this.#keys = keys;
    this.#next = first;
  }

  choose(): number {
    if (this.#next >= this.#keys.count) this.#next = 0;
    return this.#next++;
  }

  grow(): void {}
}

/** `share`: where in the keys one that goes through them in order begins, from 0 to below 1. */
export function chooserOf(distribution: Distribution, keys: Population, share: number): KeyChooser {
  switch (distribution) {
    case 'uniform':
      return new Uniform(keys);
    case 'zipfian':
      return new Scrambled(keys);
    case 'latest':
      return new Latest(keys);
    case 'sequential':
      return new Sequential(keys, Math.floor(keys.initial * share));
  }
}
