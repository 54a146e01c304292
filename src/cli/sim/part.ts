// What a task of the simulation is told and what it tells back: a run of neighbouring seeds, summed up.

import type { MistakeName } from '../../protocol/mutations.js';
import type { Counter } from '../../simulation/swarm/simulate.js';

export interface SimTask {
  readonly first: number;
  readonly count: number;
  readonly mistake: MistakeName | null;
  /** One line for each seed comes back. */
  readonly lines: boolean;
}

export interface SimFailure {
  readonly seed: number;
  readonly message: string;
}

export interface SimPart {
  readonly seeds: number;
  readonly operations: number;
  readonly requests: number;
  readonly messages: number;
  readonly views: number;
  readonly virtualMs: number;
  readonly undecided: number;
  readonly failures: readonly SimFailure[];
  readonly lines: readonly string[];
  readonly counters: Readonly<Partial<Record<Counter, number>>>;
}
