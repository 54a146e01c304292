// What viewstamp has to reach and what it aims at: the one list of targets, and the verdict on a figure.

export const TARGETS = [
  'T1',
  'T2',
  'T3',
  'T4',
  'T5',
  'T6',
  'T7',
  'T8',
  'T9',
  'T10',
  'T11',
  'T12',
  'T13',
] as const;
export type Target = (typeof TARGETS)[number];

export type Limit =
  | { readonly least: number }
  | { readonly most: number }
  | { readonly below: number };

export interface Bound {
  /** Null: of `npm run bench` alone. */
  readonly target: Target | null;
  readonly what: string;
  readonly unit: '' | ' ms' | ' %' | ' MiB';
  /** Null: nothing has to be reached. */
  readonly must: Limit | null;
  readonly aim: Limit | null;
}

/** A ratio that should be high. */
function high(target: Target, what: string, must: number, aim: number): Bound {
  return { target, what, unit: '', must: { least: must }, aim: { least: aim } };
}

/** A ratio that should be low. */
function low(target: Target, what: string, must: number, aim: number): Bound {
  return { target, what, unit: '', must: { most: must }, aim: { most: aim } };
}

const BOUND_LIST = {
  pipelines: high('T1', 'pipelines / unreplicated, operations per second', 0.75, 1),
  cpuMix: low('T2', 'pipelines / unreplicated, CPU time per operation, half reads', 2.3, 1.8),
  cpuWrites: low('T2', 'pipelines / unreplicated, CPU time per operation, all writes', 2.6, 2.2),
  cpuWitness: low('T3', 'one witness / none, CPU time per operation', 0.93, 0.8),
  pipelinesOverNaive: high('T4', 'pipelines / naive', 50, 80),
  promisesOverNaive: high('T5', 'a promise per operation / naive', 25, 40),
  singlesOverNaive: high('T6', 'requests of one operation from many clients / naive', 20, 40),
  pipelinesOverRedis: high('T7', 'pipelines / Redis with two replicas and WAIT 1', 6, 10),
  ringOverPostMessage: high('T8', 'ring / postMessage, frames of 64 B', 15, 20),
  ringOverCopy: high('T8', 'ring / memcpy, frames of 1 MiB', 0.6, 0.85),
  singleOneCore: low('T9', 'single operation / futex round trip, p50, on one core', 6, 4),
  singleFree: low('T9', 'single operation / futex round trip, p50, on all cores', 6, 4),
  gapMedian: {
    target: 'T10',
    what: 'primary killed under load: gap between acknowledgements, p50',
    unit: ' ms',
    must: { most: 20 },
    aim: { most: 5 },
  },
  gapTail: {
    target: 'T10',
    what: 'the same, p99 (of fewer than 100 kills the longest)',
    unit: ' ms',
    must: null,
    aim: { most: 20 },
  },
  viewChangeGrowth: low('T11', 'view change after 10^6 operations / after 10^3', 1.5, 1.1),
  readsOverWrites: high('T12', 'linearizable reads / writes, pipelines', 1.3, 2),
  collecting: {
    target: 'T13',
    what: 'time of the busiest replica thread in its collector',
    unit: ' %',
    must: { below: 2 },
    aim: null,
  },
  majorCollections: {
    target: 'T13',
    what: 'major collections in replica threads',
    unit: '',
    must: null,
    aim: { most: 0 },
  },
  recoveryGrowth: {
    target: null,
    what: 'kill to all normal, second half of the kills / first half',
    unit: '',
    must: { most: 1.5 },
    aim: null,
  },
  clientMemory: {
    target: null,
    what: 'a further client, resident',
    unit: ' MiB',
    must: { most: 1 },
    aim: null,
  },
} satisfies Readonly<Record<string, Bound>>;
export type BoundName = keyof typeof BOUND_LIST;
export const BOUNDS: Readonly<Record<BoundName, Bound>> = BOUND_LIST;

export interface Judged extends Bound {
  readonly name: BoundName;
  readonly value: number;
  /** Null where there is no limit. */
  readonly mustMet: boolean | null;
  readonly aimMet: boolean | null;
}

function met(value: number, limit: Limit | null): boolean | null {
  if (limit === null) return null;
  if ('least' in limit) return value >= limit.least;
  return 'most' in limit ? value <= limit.most : value < limit.below;
}

/** What is not a number meets nothing. */
export function judge(name: BoundName, value: number): Judged {
  const bound = BOUNDS[name];
  return {
    name,
    ...bound,
    value,
    mustMet: met(value, bound.must),
    aimMet: met(value, bound.aim),
  };
}

export function formatLimit(limit: Limit | null, unit: string): string {
  if (limit === null) return '';
  if ('least' in limit) return `>= ${limit.least}${unit}`;
  return 'most' in limit ? `<= ${limit.most}${unit}` : `< ${limit.below}${unit}`;
}
