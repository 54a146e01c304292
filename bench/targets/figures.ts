// From what a run measured to the figures that targets name. Ratios are taken within rounds, and the median of them counts.

import { median } from '#dist/cli/statistics.js';
import type { Round } from '../cluster/contender.js';
import { ratioOf } from '../cluster/interleave.js';
import type { RingRatios } from '../micro/ring-ratios.js';
import { pipelinesOverRedis } from '../peers/over-redis.js';
import { BOUNDS, type BoundName, type Target } from './bounds.js';
import type { Collections } from './collections.js';
import type { SingleLatency } from './single.child.js';

/** What each probe measures in one round. */
export interface Samples {
  readonly unreplicated: Round;
  readonly unreplicatedWrites: Round;
  readonly replicas: Round;
  readonly writes: Round;
  readonly reads: Round;
  readonly witness: Round;
  readonly promise: Round;
  readonly singles: Round;
  readonly naive: Round;
  /** By pipeline length. */
  readonly redis: readonly Round[];
  readonly ring: RingRatios;
  readonly oneCore: SingleLatency;
  readonly allCores: SingleLatency;
  /** Gap of each kill, ms. */
  readonly kills: readonly number[];
  /** Time of a view change after few and after many operations, ms. */
  readonly viewChanges: { readonly few: number; readonly many: number };
  readonly collections: Collections;
}
export type ProbeId = keyof Samples;

/** Of each probe that took part what it measured, round by round. */
export type Measured = { readonly [P in ProbeId]?: readonly Samples[P][] };

/** The figures of targets: all bounds but those of `npm run bench` alone. */
export type FigureName = Exclude<BoundName, 'recoveryGrowth' | 'clientMemory'>;

interface Source {
  readonly needs: readonly ProbeId[];
  of(measured: Measured): number;
}

function samples<P extends ProbeId>(measured: Measured, probe: P): readonly Samples[P][] {
  const found: readonly Samples[P][] | undefined = measured[probe];
  if (found === undefined || found.length === 0) throw new Error(`${probe} was not measured`);
  return found;
}

type Loaded = Exclude<
  ProbeId,
  'redis' | 'ring' | 'oneCore' | 'allCores' | 'kills' | 'viewChanges' | 'collections'
>;

function ratio(own: Loaded, other: Loaded, figure: 'opsPerSecond' | 'cpuNsPerOp'): Source {
  return {
    needs: [own, other],
    of: (measured) => ratioOf(samples(measured, own), samples(measured, other), figure),
  };
}

/** `of`: of one round; the median counts. */
function middle<P extends ProbeId>(probe: P, of: (sample: Samples[P]) => number): Source {
  return { needs: [probe], of: (measured) => median(samples(measured, probe).map(of)) };
}

/** The smallest of `values` that is no less than a `share` of them. */
function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

function overFutex({ operationUs, futexUs }: SingleLatency): number {
  return operationUs / futexUs;
}

function gaps(measured: Measured): number[] {
  return samples(measured, 'kills').flat();
}

export const FIGURES: Readonly<Record<FigureName, Source>> = {
  pipelines: ratio('replicas', 'unreplicated', 'opsPerSecond'),
  cpuMix: ratio('replicas', 'unreplicated', 'cpuNsPerOp'),
  cpuWrites: ratio('writes', 'unreplicatedWrites', 'cpuNsPerOp'),
  cpuWitness: ratio('witness', 'replicas', 'cpuNsPerOp'),
  pipelinesOverNaive: ratio('replicas', 'naive', 'opsPerSecond'),
  promisesOverNaive: ratio('promise', 'naive', 'opsPerSecond'),
  singlesOverNaive: ratio('singles', 'naive', 'opsPerSecond'),
  pipelinesOverRedis: {
    needs: ['replicas', 'redis'],
    of: (measured) => {
      const rounds = samples(measured, 'redis');
      const ways = (rounds[0] ?? []).map((_, way) => rounds.map((row) => row[way] as Round));
      return pipelinesOverRedis([samples(measured, 'replicas')], ways);
    },
  },
  ringOverPostMessage: middle('ring', ({ overPostMessage }) => overPostMessage),
  ringOverCopy: middle('ring', ({ overCopy }) => overCopy),
  singleOneCore: middle('oneCore', overFutex),
  singleFree: middle('allCores', overFutex),
  gapMedian: { needs: ['kills'], of: (measured) => median(gaps(measured)) },
  gapTail: { needs: ['kills'], of: (measured) => percentile(gaps(measured), 0.99) },
  // A view change takes a few milliseconds, give or take a turn of a scheduler: medians first, or one such turn is the ratio.
  viewChangeGrowth: {
    needs: ['viewChanges'],
    of: (measured) => {
      const all = samples(measured, 'viewChanges');
      return median(all.map(({ many }) => many)) / median(all.map(({ few }) => few));
    },
  },
  readsOverWrites: ratio('reads', 'writes', 'opsPerSecond'),
  collecting: middle('collections', ({ share }) => share * 100),
  majorCollections: {
    needs: ['collections'],
    of: (measured) => samples(measured, 'collections').reduce((sum, { major }) => sum + major, 0),
  },
};

/** The figures of some targets, in their order. */
export function figuresOf(targets: readonly Target[]): FigureName[] {
  return (Object.keys(FIGURES) as FigureName[]).filter((name) => {
    const { target } = BOUNDS[name];
    return target !== null && targets.includes(target);
  });
}

/** What has to be measured for them, each once. */
export function probesFor(figures: readonly FigureName[]): ProbeId[] {
  return [...new Set(figures.flatMap((name) => FIGURES[name].needs))];
}
