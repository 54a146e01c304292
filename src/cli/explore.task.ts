// One scope on a thread of its own. Figures go into shared words as they grow: nobody waits for them.

import { performance } from 'node:perf_hooks';
import { type Exploration, explore } from '../simulation/explorer/explore.js';
import { SCOPES, type ScopeName } from '../simulation/explorer/scope.js';
import { PAPER_DEFECTS, type PaperDefectName } from '../simulation/paper-defects.js';

/** Share of the time that walks do not get. */
const BREADTH_FIRST = 0.85;
/** Words per scope in `ExploreTask.figures`. */
export const FIGURES = 2;

export interface ExploreTask {
  readonly scope: ScopeName;
  readonly defect: PaperDefectName | null;
  readonly states: number;
  readonly walks: number;
  readonly seconds: number;
  /** Worlds and depth so far, `FIGURES` words per scope. */
  readonly figures: SharedArrayBuffer;
  readonly index: number;
}

export interface ExploreResult extends Exploration {
  readonly seconds: number;
}

export default function run(task: ExploreTask): ExploreResult {
  const { states, walks, defect } = task;
  const figures = new Int32Array(task.figures, task.index * FIGURES * 4, FIGURES);
  const started = performance.now();
  const seconds = (): number => (performance.now() - started) / 1e3;
  const scope = SCOPES[task.scope];
  // What a client would notice says more about a defect than the first rule that it breaks on the way.
  const chosen =
    defect === null
      ? scope
      : { ...scope, mutations: PAPER_DEFECTS[defect].mutations, watch: 'losses' as const };
  const found = explore(chosen, {
    states,
    walks,
    stop: (part) => seconds() > (part === 'walks' ? 1 : BREADTH_FIRST) * task.seconds,
    progress: (at) => {
      figures[0] = at.states;
      figures[1] = at.depth;
    },
  });
  return { ...found, seconds: seconds() };
}
