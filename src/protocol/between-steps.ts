// What must be true of several replicas at once, whoever made the last step: equal logs, and that what was answered can be had
// again.

import { violated } from './assert.js';
import { faultsTolerated, primaryOf, quorumSize } from './configuration.js';
import type { History, Watch } from './history.js';
import { chainIfPresent, head } from './log.js';
import type { ReplicaState } from './state.js';
import { type Chain, type OpNumber, sameChain } from './types.js';

/** I7: a normal replica's log is a prefix of the log of its view's primary. */
export function checkLikePrimary(state: ReplicaState, primary: ReplicaState): void {
  if (state.status !== 'normal' || primary.status !== 'normal') return;
  if (primary.view !== state.view || primaryOf(state.configuration, state.view) !== primary.id)
    return;
  const top = Math.min(head(state.log), head(primary.log));
  const own = chainIfPresent(state.log, top);
  const other = chainIfPresent(primary.log, top);
  if (own === null || other === null) return; // one has long collected what the other ends with
  if (!sameChain(own, other))
    violated(`I7 replica ${state.id}: differs from the primary of view ${state.view} at op ${top}`);
}

/**
 * I2 between steps: what was answered is in the logs of a quorum, where a replica that is down or recovering counts, for it
 * joins nothing before it has the log again. `states`: of all that run.
 */
export function checkAcknowledged(watch: Watch, states: readonly ReplicaState[]): void {
  const { history, replicas, expect } = watch;
  const quorum = quorumSize(replicas);
  for (const op of history.acknowledged.values()) {
    const chain = history.committed[op - 1]?.chain;
    if (chain === undefined) continue; // answered by an entry of another op: I12 looks at that
    let holders = replicas;
    for (const state of states) {
      if (state.status === 'recovering') continue;
      const own = chainIfPresent(state.log, op);
      if (own === null ? op >= state.log.start : !sameChain(own, chain)) holders--;
    }
    expect(
      holders >= quorum,
      `I2 op ${op} was acknowledged, but only ${holders} of the ${quorum} replicas needed can hold it`,
    );
  }
}

/**
 * I15 between steps: however many more of the f allowed faults come now, those who are left hold together all that was answered:
 * an active with the state up to some op, and the entries above it. `states`: of all that run; whoever recovers has no memory.
 */
export function checkReconstructible(
  watch: Watch,
  states: readonly ReplicaState[],
  op: OpNumber,
): void {
  const chain = watch.history.committed[op - 1]?.chain;
  if (chain === undefined) return;
  const sound = states.filter((state) => state.status !== 'recovering');
  const spare = faultsTolerated(watch.replicas) - (watch.replicas - sound.length);
  if (spare < 0) return;
  // Nearly always: enough actives have everything by themselves.
  const whole = sound.filter((state) => state.role === 'active' && holds(state, op, chain));
  if (whole.length > spare) return;
  for (const left of without(sound, spare))
    watch.expect(
      together(watch.history, left, op),
      `I15 op ${op} was answered, and replicas ${left.map(({ id }) => id)} cannot give it back`,
    );
}

function holds(state: ReplicaState, op: OpNumber, chain: Chain): boolean {
  if (op < state.log.start) return state.role === 'active' && op <= state.applied;
  const own = chainIfPresent(state.log, op);
  return own !== null && sameChain(own, chain);
}

/** Every way to leave out `count` of them. */
function* without<T>(items: readonly T[], count: number): Generator<readonly T[]> {
  if (count === 0) {
    yield items;
    return;
  }
  for (let at = 0; at + count <= items.length; at++)
    for (const rest of without(items.slice(at + 1), count - 1))
      yield [...items.slice(0, at), ...rest];
}

function together(history: History, left: readonly ReplicaState[], op: OpNumber): boolean {
  const executed = left.filter(({ role }) => role === 'active').map(({ applied }) => applied);
  if (executed.length === 0) return false;
  for (let at = Math.max(...executed) + 1; at <= op; at++) {
    const chain = history.committed[at - 1]?.chain;
    if (chain === undefined || !left.some((state) => holds(state, at, chain))) return false;
  }
  return true;
}
