// What a soak does to its clusters, drawn from a seed: under which settings each of them runs, which fault comes next and whom it
// hits. What the threads make of it is not repeatable, the order of the faults is.

import { STOP_POINTS, type StopPoint } from '../../actors/boot.js';
import type { OpenOptions } from '../../index.js';
import { seeded } from '../../simulation/seeded.js';

/** Whoever is primary when the fault comes. */
export const PRIMARY = 'primary';
export type Target = number | typeof PRIMARY;

export type Fault =
  | { readonly kind: 'terminate'; readonly replica: Target; readonly others: number }
  | { readonly kind: StopPoint; readonly replica: Target; readonly times: number }
  | { readonly kind: 'hang' | 'exhaustHeap'; readonly replica: Target }
  | { readonly kind: 'pause'; readonly replica: Target; readonly ms: number }
  | { readonly kind: 'flip'; readonly replica: Target; readonly count: number }
  | { readonly kind: 'flipReplies'; readonly client: number; readonly count: number }
  | { readonly kind: 'endClient'; readonly client: number };
export type FaultKind = Fault['kind'];

/** Every kind, in the order of the report. `kills`: it ends the thread of a replica. */
export const FAULTS: readonly {
  readonly kind: FaultKind;
  readonly kills: boolean;
  readonly what: string;
}[] = [
  { kind: 'terminate', kills: true, what: 'ended at random' },
  { kind: 'afterClaim', kills: true, what: 'ended with ring space claimed' },
  { kind: 'afterPublish', kills: true, what: 'ended after publishing' },
  { kind: 'betweenEffects', kills: true, what: 'ended between two effects' },
  { kind: 'afterRegister', kills: true, what: 'ended after its promise' },
  { kind: 'inRecovery', kills: true, what: 'ended twice: again while recovering' },
  { kind: 'inTransfer', kills: true, what: 'ended twice: again in a transfer' },
  { kind: 'hang', kills: true, what: 'endless loop, ended by the watchdog' },
  { kind: 'exhaustHeap', kills: true, what: 'out of heap' },
  { kind: 'pause', kills: false, what: 'paused' },
  { kind: 'flip', kills: false, what: 'bytes flipped before a replica' },
  { kind: 'flipReplies', kills: false, what: 'bytes flipped before a client' },
  { kind: 'endClient', kills: false, what: 'client thread ended' },
];

/** Weights; kinds that take long are rare. */
const WEIGHTS: Readonly<Record<FaultKind, number>> = {
  terminate: 40,
  ...(Object.fromEntries(STOP_POINTS.map((point) => [point, 6])) as Record<StopPoint, number>),
  hang: 2,
  exhaustHeap: 2,
  pause: 6,
  flip: 7,
  flipReplies: 4,
  endClient: 4,
};
const WHOLE: number = Object.values(WEIGHTS).reduce((sum, weight) => sum + weight, 0);

/** Most times that a stop point is passed before it counts. */
const TIMES_MAX = 20;
const PAUSE_LEAST_MS = 5;
const PAUSE_MOST_MS = 700;
const FLIPS_MAX = 8;
/** Mean quiet time between two faults: a system that is never left alone shows only half of its mistakes. */
const QUIET_MS = 120;

/** Small rings meet their ends often; half of the clusters have the smallest. */
const RINGS = [64 << 10, 64 << 10, 64 << 10, 128 << 10, 256 << 10, 1 << 20] as const;
const WINDOWS = [1, 4, 32] as const;
const LINGERS = [0, 0, 200] as const;
const MAX_OPS = ['auto', 'auto', 1, 8] as const;

export interface ClusterShape {
  readonly replicas: number;
  readonly witnesses: number;
  readonly clients: number;
}

export class Plan {
  readonly #shape: ClusterShape;
  readonly #random: () => number;
  /** Kinds that have not come yet. */
  readonly #due: FaultKind[];

  constructor(seed: number, shape: ClusterShape) {
    this.#random = seeded(seed);
    this.#shape = shape;
    this.#due = this.#shuffled(FAULTS.map(({ kind }) => kind));
  }

  /** Settings of the next cluster that users may choose; `ringBytes`: chosen already. */
  nextSettings(ringBytes: number | null): Required<Pick<OpenOptions, 'batch'>> & {
    readonly ringBytes: number;
  } {
    return {
      ringBytes: ringBytes ?? this.#pick(RINGS),
      batch: {
        window: this.#pick(WINDOWS),
        lingerMicros: this.#pick(LINGERS),
        maxOps: this.#pick(MAX_OPS),
      },
    };
  }

  /** Before anything is repeated, every kind comes once. */
  nextFault(): Fault {
    return this.#aim(this.#due.pop() ?? this.#weighted());
  }

  #weighted(): FaultKind {
    let left = this.#random() % WHOLE;
    for (const [kind, weight] of Object.entries(WEIGHTS)) {
      if (left < weight) return kind as FaultKind;
      left -= weight;
    }
    return 'terminate';
  }

  #aim(kind: FaultKind): Fault {
    const { replicas, clients } = this.#shape;
    const replica = this.#below(2) === 0 ? PRIMARY : this.#below(replicas);
    switch (kind) {
      case 'terminate':
        return { kind, replica, others: this.#below(Math.floor((replicas - 1) / 2)) };
      case 'pause':
        return {
          kind,
          replica,
          ms: PAUSE_LEAST_MS + this.#below(PAUSE_MOST_MS - PAUSE_LEAST_MS),
        };
      case 'flip':
        return { kind, replica, count: 1 + this.#below(FLIPS_MAX) };
      case 'flipReplies':
        return { kind, client: this.#below(clients), count: 1 + this.#below(FLIPS_MAX) };
      case 'endClient':
        return { kind, client: this.#below(clients) };
      case 'hang':
      case 'exhaustHeap':
        return { kind, replica };
      case 'betweenEffects':
        // Nobody else says things to several others in one pass.
        return { kind, replica: PRIMARY, times: 1 + this.#below(TIMES_MAX) };
      case 'afterRegister':
      case 'inRecovery':
      case 'inTransfer':
        return { kind, replica, times: 1 };
      default:
        return { kind, replica, times: 1 + this.#below(TIMES_MAX) };
    }
  }

  /** Milliseconds without a fault. */
  quiet(): number {
    return this.#below(2 * QUIET_MS);
  }

  #below(limit: number): number {
    return this.#random() % limit;
  }

  #pick<T>(from: readonly T[]): T {
    return from[this.#below(from.length)] as T;
  }

  #shuffled<T>(from: readonly T[]): T[] {
    const list = [...from];
    for (let at = list.length - 1; at > 0; at--) {
      const other = this.#below(at + 1);
      [list[at], list[other]] = [list[other] as T, list[at] as T];
    }
    return list;
  }
}
