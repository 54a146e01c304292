// From a seed to a verdict.

import { TICK_MS } from '../../protocol/limits.js';
import { MARKS, type Mark } from '../../protocol/marks.js';
import type { Mutations } from '../../protocol/mutations.js';
import { type Cuts, cutPlan, drawPlan, type Plan } from './plan.js';
import { Run } from './run.js';
import { answered, checkEnd, converged } from './verdict.js';

/** Second phase, in view timeouts of the plan: until every call is answered and everybody agrees. */
const RECOVERY_TIMEOUTS = 10;
/** The longest that one view change waits, likewise (VC10). */
const BACKED_OFF_TIMEOUTS = 26;
/** Round trip of one call. */
const TICKS_PER_CALL = 2;
/** View changes that the second phase may still need. */
const VIEW_CHANGES_MAX = 3;

export interface SimulationOptions {
  readonly seed: number;
  readonly cuts?: Cuts;
  readonly mutations?: Mutations;
}

/** Rare paths of the core, and those that only the simulation sees. */
const SEEN_BY_SIMULATION = [
  'ringFull',
  'messageLost',
  'messageDuplicated',
  'clientDied',
  'clientResent',
  'memoryLost',
  'minorityBroken',
] as const;

export type Counter = Mark | (typeof SEEN_BY_SIMULATION)[number];

/**
 * Too rare for chance, so left to a scenario: a donor of a later view whose log differs from what the asker had kept of an
 * earlier one.
 */
export const DIRECTED_ONLY: readonly Counter[] = ['transferMismatch'];

export const COUNTERS: readonly Counter[] = [...MARKS, ...SEEN_BY_SIMULATION];

export interface RunReport {
  readonly seed: number;
  readonly plan: Plan;
  /** null: nothing was wrong. */
  readonly failure: { readonly message: string; readonly trace: string } | null;
  /** Milliseconds of virtual time. */
  readonly virtualMs: number;
  /** Operations of clients in the history. */
  readonly operations: number;
  readonly requests: number;
  readonly messages: number;
  readonly views: number;
  /** The history could not be decided; a failure. */
  readonly undecided: boolean;
  /** Virtual milliseconds of the second phase. */
  readonly healedMs: number;
  readonly viewsAfterHealing: number;
  /** Of the whole event trace. */
  readonly hash: string;
  readonly counters: ReadonlyMap<Counter, number>;
}

export function simulate(options: SimulationOptions): RunReport {
  const plan = cutPlan(drawPlan(options.seed), options.cuts ?? {});
  const counters = new Map<Counter, number>();
  const count = (counter: Counter, by = 1): void => {
    counters.set(counter, (counters.get(counter) ?? 0) + by);
  };
  const run = new Run(plan, {
    marks: count,
    ...(options.mutations === undefined ? {} : { mutations: options.mutations }),
  });
  let failure: RunReport['failure'] = null;
  let operations = 0;
  let healedAt = 0;
  let viewsAfterHealing = 0;
  try {
    run.storm();
    healedAt = run.tick;
    const started = counters.get('viewChangeFinished') ?? 0;
    settle(run, plan);
    viewsAfterHealing = (counters.get('viewChangeFinished') ?? 0) - started;
    if (viewsAfterHealing > VIEW_CHANGES_MAX)
      throw run.failure(`L1: ${viewsAfterHealing} view changes after everything had healed`);
    operations = checkEnd(run);
  } catch (error) {
    failure = failureOf(run, error);
  }
  count('ringFull', run.network.refused);
  count('messageLost', run.weather.lost);
  count('messageDuplicated', run.weather.duplicated);
  count('clientDied', run.clientsDied);
  count('memoryLost', run.restarts);
  for (const client of run.allClients) count('clientResent', client.resent);
  if (run.broken.size > 0) count('minorityBroken');
  return {
    seed: options.seed,
    plan,
    failure,
    virtualMs: run.tick * TICK_MS,
    operations,
    requests: run.calls.length,
    messages: run.network.posted,
    views: run.view,
    undecided: failure?.message.includes('is undecided') === true,
    healedMs: (run.tick - healedAt) * TICK_MS,
    viewsAfterHealing,
    hash: run.fingerprint.toString(),
    counters,
  };
}

/** L1 to L6: with a majority healed everything is answered, and all of it agree. */
function settle(run: Run, plan: Plan): void {
  run.heal();
  // VC10: whoever tried in vain for long waits longer, and again for each elect that is broken for good.
  const timeouts = RECOVERY_TIMEOUTS + BACKED_OFF_TIMEOUTS * (1 + run.broken.size);
  // With room for one waiting read each takes a round trip.
  const open = run.calls.filter((call) => call.code === null && !call.abandoned).length;
  const limit =
    timeouts * plan.timing.viewTimeout + 4 * plan.clientTiming.retryMax + TICKS_PER_CALL * open;
  run.until(() => answered(run), limit, 'L2: an answer to every call');
  run.askClosing();
  run.until(() => answered(run) && converged(run), limit, 'L6: one view and equal logs');
}

function failureOf(run: Run, error: unknown): { message: string; trace: string } {
  const whole = run.withTrace(error instanceof Error ? error : new Error(String(error)));
  const [message = '', ...rest] = whole.message.split('\n');
  return { message, trace: rest.join('\n') };
}
