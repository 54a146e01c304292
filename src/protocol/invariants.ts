// All invariants of protocol.md 5.1 that stage 1 has, in one place. `Invariants` watches a whole group: after each step of a
// replica it looks at that replica alone (bounds, monotony, register), and at what the step means for the others (agreement,
// lost acknowledgements, promises). Tests and simulators run it after every step; production does not.

import { assert } from './assert.js';
import type { SessionRow } from './client-table.js';
import { primaryOf, quorumSize, roleOf } from './configuration.js';
import type { Effect } from './effect.js';
import type { ProtocolLimits } from './limits.js';
import { chainAt, chainIfPresent, head } from './log.js';
import type { PrepareOk, ReplicaMessage, StartView } from './message.js';
import type { ReplicaState } from './state.js';
import {
  type Chain,
  compareStamps,
  type OpNumber,
  type ReplicaId,
  type Stamp,
  sameChain,
} from './types.js';

/** What of a replica is compared with its next state (I5). */
interface Remembered {
  readonly start: number;
  readonly stamp: Stamp;
  readonly lastNormal: Stamp;
  readonly commit: OpNumber;
  readonly commitMax: OpNumber;
  readonly applied: OpNumber;
  readonly status: ReplicaState['status'];
}

interface Committed {
  readonly chain: Chain;
  /** Stamp in which it was first seen committed. */
  readonly stamp: Stamp;
}

interface StartedView {
  readonly viewStartOp: OpNumber;
  readonly chain: Chain;
  readonly primary: ReplicaId;
  readonly start: number;
}

function stampText(stamp: Stamp): string {
  return `${stamp.epoch}.${stamp.view}`;
}

/** I6, I17, I22, I23b, I24: true of one replica at any time. */
export function checkState(state: ReplicaState, limits: ProtocolLimits): void {
  const top = head(state.log);
  const who = `replica ${state.id}`;
  assert(
    state.applied <= state.commit,
    `I6 ${who}: applied ${state.applied} > commit ${state.commit}`,
  );
  assert(state.commit <= top, `I6 ${who}: commit ${state.commit} > head ${top}`);
  assert(
    state.commit <= state.commitMax,
    `I6 ${who}: commit ${state.commit} > commitMax ${state.commitMax}`,
  );
  checkRegister(state, who);
  if (state.status === 'normal') checkNormal(state, who);
  if (roleOf(state.configuration, state.id) === 'witness') {
    assert(state.applied === 0, `I17 ${who}: a witness executed up to ${state.applied}`);
    assert(primaryOf(state.configuration, state.view) !== state.id, `I17 ${who}: a witness leads`);
  }
  assert(state.buffered.size <= limits.window, `I22 ${who}: ${state.buffered.size} Prepares wait`);
  const reads = state.reads.length + state.blockedReads.length;
  assert(reads <= limits.waitingReads, `I22 ${who}: ${reads} reads wait`);
  for (const row of state.table.rows.values()) checkReplies(row, limits, who);
  assert(
    state.table.rows.size <= limits.maxSessions,
    `I22 ${who}: ${state.table.rows.size} sessions`,
  );
}

function checkRegister(state: ReplicaState, who: string): void {
  const { register } = state;
  if (register === null) return;
  assert(
    compareStamps(register, state) >= 0,
    `I23b ${who}: register ${stampText(register)} is below its stamp ${stampText(state)}`,
  );
  if (state.status === 'recovering') return;
  assert(
    compareStamps(state, state.lastNormal) >= 0,
    `I23b ${who}: last normal ${stampText(state.lastNormal)} is above its stamp ${stampText(state)}`,
  );
}

function checkNormal(state: ReplicaState, who: string): void {
  assert(
    compareStamps(state, state.lastNormal) === 0,
    `I7 ${who}: normal, but not in its last normal view`,
  );
  const top = head(state.log);
  assert(
    top >= state.viewStartOp,
    `I7 ${who}: head ${top} is below the view's start ${state.viewStartOp}`,
  );
}

function checkReplies(row: SessionRow, limits: ProtocolLimits, who: string): void {
  const count = row.replies.length;
  assert(count <= limits.sessionWindow, `I22 ${who}: ${count} replies are kept`);
  for (let at = 0; at < count; at++)
    assert(
      row.replies[at]?.requestNumber === row.lastRequest - (count - 1 - at),
      `I24 ${who}: the kept replies have a hole below ${row.lastRequest}`,
    );
  const bounded =
    row.replyBytes <= limits.sessionReplyBytes ||
    row.replies.filter((r) => r.code === 'ok').length <= 1;
  assert(bounded, `I22 ${who}: ${row.replyBytes} bytes of replies are kept`);
}

/** Watches a group over all starts of its replicas. */
export class Invariants {
  readonly #limits: ProtocolLimits;
  readonly #quorum: number;
  readonly #remembered = new Map<ReplicaId, Remembered>();
  readonly #registers = new Map<ReplicaId, Stamp>();
  readonly #committed: Committed[] = [];
  readonly #started = new Map<string, StartedView>();
  /** Highest PrepareOk that each replica ever sent, by stamp (I8). */
  readonly #oks = new Map<string, Map<ReplicaId, OpNumber>>();
  /** Highest stamp for which each replica ever sent a DoViewChange (I9). */
  readonly #promised = new Map<ReplicaId, Stamp>();
  readonly #running = new Map<ReplicaId, ReplicaState>();

  constructor(options: { replicas: number; limits: ProtocolLimits }) {
    this.#limits = options.limits;
    this.#quorum = quorumSize(options.replicas);
  }

  /** Highest op seen committed anywhere. */
  get committedOp(): OpNumber {
    return this.#committed.length;
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
    this.#checkMonotone(state);
    this.#checkEffects(state, effects);
    this.#checkStarted(state);
    this.#checkCommitted(state);
    this.#checkLikePrimary(state);
    this.#remember(state);
  }

  #remember(state: ReplicaState): void {
    const { start, lastNormal, commit, commitMax, applied, status, epoch, view } = state;
    this.#remembered.set(state.id, {
      start,
      stamp: { epoch, view },
      lastNormal,
      commit,
      commitMax,
      applied,
      status,
    });
  }

  /** I5, within one start. */
  #checkMonotone(state: ReplicaState): void {
    const before = this.#remembered.get(state.id);
    if (before === undefined || before.start !== state.start) return;
    const who = `replica ${state.id}`;
    assert(
      compareStamps(state, before.stamp) >= 0,
      `I5 ${who}: the view went back to ${state.view}`,
    );
    const calm =
      compareStamps(state.lastNormal, before.lastNormal) >= 0 || before.status === 'recovering';
    assert(calm, `I5 ${who}: the last normal view went back`);
    assert(state.commit >= before.commit, `I5 ${who}: commit fell to ${state.commit}`);
    assert(state.commitMax >= before.commitMax, `I5 ${who}: commitMax fell to ${state.commitMax}`);
    assert(state.applied >= before.applied, `I5 ${who}: applied fell to ${state.applied}`);
  }

  /** I23a, I23c in order of the effects, I8 and I9 from what is sent. */
  #checkEffects(state: ReplicaState, effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.type === 'writeRegister') this.#registers.set(state.id, effect);
      else if (effect.type === 'send') this.#checkSent(state, effect.message);
      else if (
        effect.type === 'reply' &&
        effect.message.kind === 'reply' &&
        effect.message.requestNumber > 0
      )
        assert(
          effect.message.code !== 'ok' ||
            effect.message.op <= this.committedOp ||
            effect.message.op <= state.commit,
          `I2 replica ${state.id}: replied to op ${effect.message.op} before it was committed`,
        );
    }
  }

  #checkSent(state: ReplicaState, message: ReplicaMessage): void {
    const written = this.#registers.get(state.id);
    assert(
      written !== undefined && compareStamps(message, written) <= 0,
      `I23a replica ${state.id}: ${message.kind} of view ${message.view} is above its register`,
    );
    if (message.kind === 'doViewChange') this.#notePromise(message.from, message);
    else if (message.kind === 'prepareOk') this.#noteOk(message);
    else if (message.kind === 'startView') this.#noteStart(message);
  }

  #notePromise(id: ReplicaId, stamp: Stamp): void {
    const known = this.#promised.get(id);
    if (known === undefined || compareStamps(stamp, known) > 0) this.#promised.set(id, stamp);
  }

  /** I9: who promised a stamp acknowledges nothing below it, in any start. */
  #noteOk(message: PrepareOk): void {
    const promised = this.#promised.get(message.from);
    assert(
      promised === undefined || compareStamps(message, promised) >= 0,
      `I9 replica ${message.from}: acknowledges in view ${message.view} after promising view ${promised?.view}`,
    );
    const key = stampText(message);
    const oks = this.#oks.get(key) ?? new Map<ReplicaId, OpNumber>();
    this.#oks.set(key, oks);
    oks.set(message.from, Math.max(oks.get(message.from) ?? 0, message.op));
  }

  /** I4: every StartView of one stamp agrees. */
  #noteStart(message: StartView): void {
    const started = this.#started.get(stampText(message));
    if (started === undefined) return;
    assert(
      started.viewStartOp === message.viewStartOp && started.primary === message.from,
      `I4 view ${message.view}: another StartView by ${message.from} from op ${message.viewStartOp}`,
    );
  }

  /** I4, I2, I23d: at most one primary of a stamp, in one start, beginning with all that was committed below. */
  #checkStarted(state: ReplicaState): void {
    if (state.status !== 'normal' || primaryOf(state.configuration, state.view) !== state.id)
      return;
    const key = stampText(state);
    const known = this.#started.get(key);
    if (known !== undefined) {
      assert(
        known.primary === state.id && known.start === state.start,
        `I4 view ${state.view}: led by ${known.primary} (start ${known.start}) and ${state.id} (start ${state.start})`,
      );
      return;
    }
    const { viewStartOp } = state;
    const chain = chainAt(state.log, viewStartOp);
    this.#started.set(key, { viewStartOp, chain, primary: state.id, start: state.start });
    for (const [at, committed] of this.#committed.entries()) {
      if (compareStamps(committed.stamp, state) >= 0) continue;
      const own = chainIfPresent(state.log, at + 1);
      assert(
        own !== null && sameChain(own, committed.chain),
        `I2 view ${state.view}: starts without op ${at + 1}, committed in view ${committed.stamp.view}`,
      );
    }
  }

  /** I1 and I8: one history, with a quorum behind each commit. */
  #checkCommitted(state: ReplicaState): void {
    const before = this.#remembered.get(state.id);
    const from = before !== undefined && before.start === state.start ? before.commit : 0;
    for (let op = from + 1; op <= state.commit; op++) {
      const chain = chainAt(state.log, op);
      const known = this.#committed[op - 1];
      if (known === undefined) {
        this.#checkEvidence(state, op);
        this.#committed[op - 1] = { chain, stamp: { epoch: state.epoch, view: state.view } };
      } else
        assert(
          sameChain(known.chain, chain),
          `I1 replica ${state.id}: another entry committed at op ${op}`,
        );
    }
  }

  #checkEvidence(state: ReplicaState, op: OpNumber): void {
    const oks = this.#oks.get(stampText(state));
    let holders = 1; // the primary's own log
    for (const acknowledged of oks?.values() ?? []) if (acknowledged >= op) holders++;
    assert(
      holders >= this.#quorum,
      `I8 view ${state.view}: op ${op} committed with ${holders} of ${this.#quorum} holders`,
    );
  }

  /** I7: a normal replica's log is a prefix of the log of its view's primary. */
  #checkLikePrimary(state: ReplicaState): void {
    if (state.status !== 'normal') return;
    const primary = this.#running.get(primaryOf(state.configuration, state.view));
    if (primary === undefined || primary.status !== 'normal' || primary.view !== state.view) return;
    const top = Math.min(head(state.log), head(primary.log));
    assert(
      sameChain(chainAt(state.log, top), chainAt(primary.log, top)),
      `I7 replica ${state.id}: differs from the primary of view ${state.view} at op ${top}`,
    );
  }
}

/** L6 at the end of a run: all in one stamp, with one log. */
export function checkConverged(states: readonly ReplicaState[]): void {
  const first = states[0];
  if (first === undefined) return;
  for (const state of states) {
    assert(state.status === 'normal', `replica ${state.id} is ${state.status}`);
    assert(compareStamps(state, first) === 0, `replica ${state.id} is in view ${state.view}`);
    const top = head(first.log);
    assert(
      head(state.log) === top,
      `replica ${state.id} has head ${head(state.log)} instead of ${top}`,
    );
    for (let op = 0; op <= top; op++)
      assert(
        sameChain(chainAt(state.log, op), chainAt(first.log, op)),
        `I3 logs differ at op ${op}`,
      );
  }
}
