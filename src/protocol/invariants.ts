// All invariants of protocol.md 5.1 that stage 1 has, in one place. After each step of a replica they look at that replica
// alone (bounds, monotony, register), and at what the step means for the others (agreement, lost acknowledgements, promises).
// What they need of the past is one plain record, `History`: a watcher of one run keeps one, an explorer one per world.
// Tests and simulators run this after every step; production does not.

import { assert } from './assert.js';
import type { SessionRow } from './client-table.js';
import { faultsTolerated, primaryOf, quorumSize, roleOf } from './configuration.js';
import type { Effect } from './effect.js';
import type { ProtocolLimits } from './limits.js';
import { chainAt, chainIfPresent, entryAt, head } from './log.js';
import type { PrepareOk, ReplicaMessage, Reply, StartView } from './message.js';
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
export type Remembered = Pick<
  ReplicaState,
  'start' | 'epoch' | 'view' | 'lastNormal' | 'commit' | 'commitMax' | 'applied' | 'status'
>;

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

/** What of a group's past decides whether a step is right. Plain data; `cloneHistory` copies it. */
export interface History {
  /** As the effects wrote them, by replica. */
  readonly registers: Map<ReplicaId, Stamp>;
  /** committed[op - 1] */
  readonly committed: Committed[];
  /** By stamp, as text. */
  readonly started: Map<string, StartedView>;
  /** Highest PrepareOk that each replica ever sent, by stamp (I8). */
  readonly oks: Map<string, Map<ReplicaId, OpNumber>>;
  /** Highest stamp for which each replica ever sent a DoViewChange (I9). */
  readonly promised: Map<ReplicaId, Stamp>;
  /** Op of each request that was answered, by `session.request number`. */
  readonly acknowledged: Map<string, OpNumber>;
}

export function emptyHistory(): History {
  return {
    registers: new Map(),
    committed: [],
    started: new Map(),
    oks: new Map(),
    promised: new Map(),
    acknowledged: new Map(),
  };
}

/** Shares nothing that changes. */
export function cloneHistory(history: History): History {
  const { registers, committed, started, oks, promised, acknowledged } = history;
  return {
    registers: new Map(registers),
    committed: [...committed],
    started: new Map(started),
    oks: new Map([...oks].map(([key, byReplica]) => [key, new Map(byReplica)])),
    promised: new Map(promised),
    acknowledged: new Map(acknowledged),
  };
}

/** What becomes of a statement that should be true: `assert`, or something that lets part of them pass. */
export type Expect = (holds: boolean, message: string) => void;

export interface Watch {
  readonly history: History;
  readonly replicas: number;
  readonly expect: Expect;
}

/** What only the primary of a view sends. */
const LEADING: ReadonlySet<ReplicaMessage['kind']> = new Set(['prepare', 'commit', 'startView']);

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
  if (state.status === 'normal') {
    checkNormal(state, who);
    checkInFlight(state, limits, who);
  }
  if (roleOf(state.configuration, state.id) === 'witness')
    assert(state.applied === 0, `I17 ${who}: a witness executed up to ${state.applied}`);
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

/** Of a primary: inherited entries came in under another window; of the last request taken two entries may have become. */
function checkInFlight(state: ReplicaState, limits: ProtocolLimits, who: string): void {
  if (primaryOf(state.configuration, state.view) !== state.id) return;
  const inFlight = head(state.log) - Math.max(state.commitMax, state.viewStartOp);
  assert(inFlight <= limits.window + 1, `I22 ${who}: ${inFlight} entries in flight`);
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

/**
 * The step that led from `before` to `state` (null: there was none in this start) and wants `effects`; notes in the history
 * what later steps are compared with.
 */
export function checkStep(
  watch: Watch,
  before: Remembered | null,
  state: ReplicaState,
  effects: readonly Effect[],
): void {
  if (before !== null) checkMonotone(before, state, watch.expect);
  checkEffects(watch, state, effects);
  checkStarted(watch, state);
  checkCommitted(watch, before, state);
}

/** I5, within one start. */
export function checkMonotone(before: Remembered, state: ReplicaState, expect: Expect): void {
  const who = `replica ${state.id}`;
  expect(compareStamps(state, before) >= 0, `I5 ${who}: the view went back to ${state.view}`);
  const calm =
    compareStamps(state.lastNormal, before.lastNormal) >= 0 || before.status === 'recovering';
  expect(calm, `I5 ${who}: the last normal view went back`);
  expect(state.commit >= before.commit, `I5 ${who}: commit fell to ${state.commit}`);
  expect(state.commitMax >= before.commitMax, `I5 ${who}: commitMax fell to ${state.commitMax}`);
  expect(state.applied >= before.applied, `I5 ${who}: applied fell to ${state.applied}`);
}

/** I23a, I23c in order of the effects, I8 and I9 from what is sent. */
function checkEffects(watch: Watch, state: ReplicaState, effects: readonly Effect[]): void {
  const witness = roleOf(state.configuration, state.id) === 'witness';
  for (const effect of effects) {
    if (witness) checkWitness(watch, state, effect);
    if (effect.type === 'writeRegister') {
      const { epoch, view } = effect;
      watch.history.registers.set(state.id, { epoch, view });
    } else if (effect.type === 'send') checkSent(watch, state, effect.message);
    else if (effect.type === 'reply' && effect.message.kind === 'reply')
      checkReply(watch, state, effect.message);
  }
}

/** I17: a witness neither leads nor answers. */
function checkWitness(watch: Watch, state: ReplicaState, effect: Effect): void {
  const leading = effect.type === 'send' && LEADING.has(effect.message.kind);
  const answering =
    effect.type === 'announce' || (effect.type === 'reply' && effect.message.kind !== 'notPrimary');
  watch.expect(
    !leading && !answering,
    `I17 witness ${state.id} ${leading ? 'leads' : 'answers'}: ${'message' in effect ? effect.message.kind : effect.type}`,
  );
}

function checkReply(watch: Watch, state: ReplicaState, reply: Reply): void {
  if (reply.requestNumber === 0 || reply.code !== 'ok') return;
  watch.expect(
    reply.op <= watch.history.committed.length || reply.op <= state.commit,
    `I2 replica ${state.id}: replied to op ${reply.op} before it was committed`,
  );
  const request = `${reply.session}.${reply.requestNumber}`;
  const known = watch.history.acknowledged.get(request);
  watch.expect(
    known === undefined || known === reply.op,
    `I12 replica ${state.id}: request ${request} is op ${reply.op}, but was answered as op ${known}`,
  );
  watch.history.acknowledged.set(request, reply.op);
}

function checkSent(watch: Watch, state: ReplicaState, message: ReplicaMessage): void {
  const written = watch.history.registers.get(state.id);
  watch.expect(
    written !== undefined && compareStamps(message, written) <= 0,
    `I23a replica ${state.id}: ${message.kind} of view ${message.view} is above its register`,
  );
  if (message.kind === 'doViewChange') notePromise(watch, message.from, message);
  else if (message.kind === 'prepareOk') noteOk(watch, message);
  else if (message.kind === 'startView') noteStart(watch, message);
}

function notePromise(watch: Watch, id: ReplicaId, { epoch, view }: Stamp): void {
  const known = watch.history.promised.get(id);
  if (known === undefined || compareStamps({ epoch, view }, known) > 0)
    watch.history.promised.set(id, { epoch, view });
}

/** I9: who promised a stamp acknowledges nothing below it, in any start. */
function noteOk(watch: Watch, message: PrepareOk): void {
  const promised = watch.history.promised.get(message.from);
  watch.expect(
    promised === undefined || compareStamps(message, promised) >= 0,
    `I9 replica ${message.from}: acknowledges in view ${message.view} after promising view ${promised?.view}`,
  );
  const key = stampText(message);
  const oks = watch.history.oks.get(key) ?? new Map<ReplicaId, OpNumber>();
  watch.history.oks.set(key, oks);
  oks.set(message.from, Math.max(oks.get(message.from) ?? 0, message.op));
}

/** I4: every StartView of one stamp agrees. */
function noteStart(watch: Watch, message: StartView): void {
  const started = watch.history.started.get(stampText(message));
  if (started === undefined) return;
  watch.expect(
    started.viewStartOp === message.viewStartOp && started.primary === message.from,
    `I4 view ${message.view}: another StartView by ${message.from} from op ${message.viewStartOp}`,
  );
}

/** I4, I2, I23d: at most one primary of a stamp, in one start, beginning with all that was committed below. */
function checkStarted(watch: Watch, state: ReplicaState): void {
  if (state.status !== 'normal' || primaryOf(state.configuration, state.view) !== state.id) return;
  const key = stampText(state);
  const known = watch.history.started.get(key);
  if (known !== undefined) {
    watch.expect(
      known.primary === state.id && known.start === state.start,
      `I4 view ${state.view}: led by ${known.primary} (start ${known.start}) and ${state.id} (start ${state.start})`,
    );
    return;
  }
  const { viewStartOp } = state;
  const chain = chainAt(state.log, viewStartOp);
  watch.history.started.set(key, { viewStartOp, chain, primary: state.id, start: state.start });
  for (const [at, committed] of watch.history.committed.entries()) {
    if (compareStamps(committed.stamp, state) >= 0) continue;
    const own = chainIfPresent(state.log, at + 1);
    watch.expect(
      own !== null && sameChain(own, committed.chain),
      `I2 view ${state.view}: starts without op ${at + 1}, committed in view ${committed.stamp.view}`,
    );
  }
}

/** I1 and I8: one history, with a quorum behind each commit. */
function checkCommitted(watch: Watch, before: Remembered | null, state: ReplicaState): void {
  for (let op = (before?.commit ?? 0) + 1; op <= state.commit; op++) {
    const chain = chainAt(state.log, op);
    const known = watch.history.committed[op - 1];
    const late = op === 1 || entryAt(state.log, op).ts > entryAt(state.log, op - 1).ts;
    watch.expect(late, `I5 replica ${state.id}: entry ${op} is not later than the one below (DT2)`);
    if (known === undefined) {
      checkEvidence(watch, state, op);
      const { epoch, view } = state;
      watch.history.committed[op - 1] = { chain, stamp: { epoch, view } };
    } else
      watch.expect(
        sameChain(known.chain, chain),
        `I1 replica ${state.id}: another entry committed at op ${op}`,
      );
  }
}

function checkEvidence(watch: Watch, state: ReplicaState, op: OpNumber): void {
  let holders = 1; // the primary's own log
  for (const acknowledged of watch.history.oks.get(stampText(state))?.values() ?? [])
    if (acknowledged >= op) holders++;
  const quorum = quorumSize(watch.replicas);
  watch.expect(
    holders >= quorum,
    `I8 view ${state.view}: op ${op} committed with ${holders} of ${quorum} holders`,
  );
}

/** I7: a normal replica's log is a prefix of the log of its view's primary. */
export function checkLikePrimary(state: ReplicaState, primary: ReplicaState): void {
  if (state.status !== 'normal' || primary.status !== 'normal') return;
  if (primary.view !== state.view || primaryOf(state.configuration, state.view) !== primary.id)
    return;
  const top = Math.min(head(state.log), head(primary.log));
  assert(
    sameChain(chainAt(state.log, top), chainAt(primary.log, top)),
    `I7 replica ${state.id}: differs from the primary of view ${state.view} at op ${top}`,
  );
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
      if (own === null || !sameChain(own, chain)) holders--;
    }
    expect(
      holders >= quorum,
      `I2 op ${op} was acknowledged, but only ${holders} of the ${quorum} replicas needed can hold it`,
    );
  }
}

/**
 * I15 between steps: however many more of the f allowed faults come now, somebody is left with every entry up to the highest
 * that was answered. `states`: of all that run; whoever recovers has no memory to speak of.
 */
function checkReconstructible(watch: Watch, states: readonly ReplicaState[], op: OpNumber): void {
  const chain = watch.history.committed[op - 1]?.chain;
  if (chain === undefined) return;
  const sound = states.filter((state) => state.status !== 'recovering');
  const holders = sound.filter((state) => {
    const own = chainIfPresent(state.log, op);
    return own !== null && sameChain(own, chain);
  });
  const spare = faultsTolerated(watch.replicas) - (watch.replicas - sound.length);
  watch.expect(
    spare < 0 || holders.length > spare,
    `I15 op ${op} was answered, ${holders.length} hold it, and ${spare} more may fail`,
  );
}

/** Watches one run of a group, over all starts of its replicas. */
export class Invariants {
  readonly #limits: ProtocolLimits;
  readonly #watch: Watch;
  readonly #remembered = new Map<ReplicaId, Remembered>();
  readonly #running = new Map<ReplicaId, ReplicaState>();
  #answeredOp = 0;

  constructor(options: { replicas: number; limits: ProtocolLimits }) {
    this.#limits = options.limits;
    this.#watch = { history: emptyHistory(), replicas: options.replicas, expect: assert };
  }

  /** Highest op seen committed anywhere. */
  get committedOp(): OpNumber {
    return this.#watch.history.committed.length;
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
