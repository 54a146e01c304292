// All invariants of protocol.md 5.1 that stage 1 has. After each step of a replica they look at that replica alone (bounds,
// register), and at what the step means for its past (history.ts) and for the others (between-steps.ts). Tests and simulators run this
// after every step; production does not.

import { assert, violated } from './assert.js';
import { checkLikePrimary, checkReconstructible } from './between-steps.js';
import type { SessionRow } from './client-table.js';
import { primaryOf, roleOf } from './configuration.js';
import type { Effect } from './effect.js';
import { checkStep, emptyHistory, type Remembered, stampText, type Watch } from './history.js';
import type { ProtocolLimits } from './limits.js';
import { chainAt, head } from './log.js';
import type { ReplicaState } from './state.js';
import { compareStamps, type OpNumber, type ReplicaId, type Stamp, sameChain } from './types.js';

/** I6, I17, I22, I23b, I24: true of one replica at any time. */
export function checkState(state: ReplicaState, limits: ProtocolLimits): void {
  const top = head(state.log);
  const who = `replica ${state.id}`;
  if (!(state.applied <= state.commit))
    violated(`I6 ${who}: applied ${state.applied} > commit ${state.commit}`);
  if (!(state.commit <= top)) violated(`I6 ${who}: commit ${state.commit} > head ${top}`);
  if (!(state.log.start - 1 <= state.commit))
    violated(`I6 ${who}: the log begins at ${state.log.start}, above commit ${state.commit}`);
  if (!(state.stableOp <= state.commitMax))
    violated(`I6 ${who}: stable ${state.stableOp} > commitMax ${state.commitMax}`);
  if (!(state.commit <= state.commitMax))
    violated(`I6 ${who}: commit ${state.commit} > commitMax ${state.commitMax}`);
  checkRegister(state, who);
  if (state.status === 'normal') {
    checkNormal(state, who);
    checkInFlight(state, limits, who);
  }
  if (roleOf(state.configuration, state.id) === 'witness')
    if (state.applied !== 0) violated(`I17 ${who}: a witness executed up to ${state.applied}`);
  if (!(state.buffered.size <= limits.window))
    violated(`I22 ${who}: ${state.buffered.size} Prepares wait`);
  const reads = state.reads.length + state.blockedReads.length;
  if (!(reads <= limits.waitingReads)) violated(`I22 ${who}: ${reads} reads wait`);
  checkLocalReads(state, limits, who);
  for (const row of state.table.rows.values()) checkReplies(row, limits, who);
  if (!(state.table.rows.size <= limits.maxSessions))
    violated(`I22 ${who}: ${state.table.rows.size} sessions`);
}

function checkLocalReads(
  { localReads, localReadBytes }: ReplicaState,
  limits: ProtocolLimits,
  who: string,
): void {
  if (!(localReads.length <= limits.waitingReads))
    violated(`I22 ${who}: ${localReads.length} local reads wait`);
  const bytes = localReads.reduce((sum, { body }) => sum + body.length, 0);
  if (bytes !== localReadBytes)
    violated(`I22 ${who}: local reads of ${bytes} bytes count as ${localReadBytes}`);
}

function checkRegister(state: ReplicaState, who: string): void {
  const { register } = state;
  if (register === null) return;
  if (!(compareStamps(register, state) >= 0))
    violated(`I23b ${who}: register ${stampText(register)} is below its stamp ${stampText(state)}`);
  if (state.status === 'recovering') return;
  if (!(compareStamps(state, state.lastNormal) >= 0))
    violated(
      `I23b ${who}: last normal ${stampText(state.lastNormal)} is above its stamp ${stampText(state)}`,
    );
}

function checkNormal(state: ReplicaState, who: string): void {
  if (compareStamps(state, state.lastNormal) !== 0)
    violated(`I7 ${who}: normal, but not in its last normal view`);
  const top = head(state.log);
  if (!(top >= state.viewStartOp))
    violated(`I7 ${who}: head ${top} is below the view's start ${state.viewStartOp}`);
}

/** Of a primary: inherited entries came in under another window; of the last request taken two entries may have become. */
function checkInFlight(state: ReplicaState, limits: ProtocolLimits, who: string): void {
  if (primaryOf(state.configuration, state.view) !== state.id) return;
  const inFlight = head(state.log) - Math.max(state.commitMax, state.viewStartOp);
  if (!(inFlight <= limits.window + 1)) violated(`I22 ${who}: ${inFlight} entries in flight`);
}

function checkReplies(row: SessionRow, limits: ProtocolLimits, who: string): void {
  const count = row.replies.length;
  if (!(count <= limits.sessionWindow)) violated(`I22 ${who}: ${count} replies are kept`);
  for (let at = 0; at < count; at++)
    if (!(row.replies[at]?.requestNumber === row.lastRequest - (count - 1 - at)))
      violated(`I24 ${who}: the kept replies have a hole below ${row.lastRequest}`);
  const bounded =
    row.replyBytes <= limits.sessionReplyBytes ||
    row.replies.filter((r) => r.code === 'ok').length <= 1;
  if (!bounded) violated(`I22 ${who}: ${row.replyBytes} bytes of replies are kept`);
}

/** Watches one run of a group, over all starts of its replicas. */
export class Invariants {
  readonly #limits: ProtocolLimits;
  readonly #watch: Watch;
  readonly #remembered = new Map<ReplicaId, Remembered>();
  readonly #running = new Map<ReplicaId, ReplicaState>();
  #answeredOp = 0;

  /** `diverges`: as `Watch` has it. */
  constructor(options: { replicas: number; limits: ProtocolLimits; diverges?: boolean }) {
    const { replicas, diverges = false } = options;
    this.#limits = options.limits;
    this.#watch = { history: emptyHistory(), replicas, expect: assert, diverges };
  }

  /** Highest op seen committed anywhere. */
  get committedOp(): OpNumber {
    return this.#watch.history.committed.length;
  }

  /** Promises are kept when all else is another history. */
  remember(registers: readonly (Stamp | null)[]): void {
    for (const [id, stamp] of registers.entries())
      if (stamp !== null) this.#watch.history.registers.set(id, stamp);
  }

  /** Whenever nobody is in the middle of a step. */
  betweenSteps(): void {
    checkReconstructible(this.#watch, [...this.#running.values()], this.#answeredOp);
  }

  /** The thread of `id` has ended with all its memory. */
  crashed(id: ReplicaId): void {
    this.#remembered.delete(id);
    this.#running.delete(id);
  }

  /** @throws {ProtocolViolation} naming the invariant that the step broke. */
  afterStep(state: ReplicaState, effects: readonly Effect[]): void {
    this.#running.set(state.id, state);
    checkState(state, this.#limits);
    const known = this.#remembered.get(state.id);
    const before = known?.start === state.start ? known : null;
    checkStep(this.#watch, before, state, effects);
    const primary = this.#running.get(primaryOf(state.configuration, state.view));
    if (primary !== undefined) checkLikePrimary(state, primary);
    const { start, epoch, view, lastNormal, commit, commitMax, applied, status } = state;
    const now = { start, epoch, view, lastNormal, commit, commitMax, applied, status };
    this.#remembered.set(state.id, now);
    for (const effect of effects)
      if (effect.type === 'reply' && effect.message.kind === 'reply')
        if (effect.message.requestNumber > 0)
          this.#answeredOp = Math.max(this.#answeredOp, effect.message.op);
  }
}

/** L6 at the end of a run: all in one stamp, with one log. */
export function checkConverged(states: readonly ReplicaState[]): void {
  const first = states[0];
  if (first === undefined) return;
  for (const state of states) {
    if (state.status !== 'normal') violated(`replica ${state.id} is ${state.status}`);
    if (compareStamps(state, first) !== 0) violated(`replica ${state.id} is in view ${state.view}`);
    const top = head(first.log);
    if (head(state.log) !== top)
      violated(`replica ${state.id} has head ${head(state.log)} instead of ${top}`);
    for (let op = Math.max(state.log.start, first.log.start) - 1; op <= top; op++)
      if (!sameChain(chainAt(state.log, op), chainAt(first.log, op)))
        violated(`I3 logs differ at op ${op}`);
  }
}
