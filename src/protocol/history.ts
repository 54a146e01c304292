// What a group's past allows: agreement, lost acknowledgements, promises. The past is one plain record, `History`, that
// each step is compared with and adds to: a watcher of one run keeps one, an explorer one per world.

import { faultsTolerated, primaryOf, quorumSize, roleOf } from './configuration.js';
import type { Effect } from './effect.js';
import { chainIfPresent, tsAt } from './log.js';
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
  /** Highest stamp in which anything was committed. */
  newestCommit: Stamp;
  /** By stamp, as text. */
  readonly started: Map<string, StartedView>;
  /** Highest PrepareOk that each replica ever sent, by stamp (I8). */
  readonly oks: Map<string, Map<ReplicaId, OpNumber>>;
  /** Highest stamp for which each replica ever sent a DoViewChange (I9). */
  readonly promised: Map<ReplicaId, Stamp>;
  /** Op of each request that was answered, by `session.request number`. */
  readonly acknowledged: Map<string, OpNumber>;
  /** Root of each checkpoint that anybody had, by op (I11). */
  readonly roots: Map<OpNumber, Chain>;
  /** Op of the newest checkpoint that each replica ever had, its dead threads included (I16). */
  readonly checkpoints: Map<ReplicaId, OpNumber>;
  /** Committed before this history began, as far as the disks knew after a restart of all. */
  inherited: OpNumber;
}

export function emptyHistory(): History {
  return {
    registers: new Map(),
    committed: [],
    newestCommit: { epoch: 0, view: -1 },
    started: new Map(),
    oks: new Map(),
    promised: new Map(),
    acknowledged: new Map(),
    roots: new Map(),
    checkpoints: new Map(),
    inherited: 0,
  };
}

/** Shares nothing that changes. */
export function cloneHistory(history: History): History {
  const { registers, committed, started, oks, promised, acknowledged } = history;
  const { roots, checkpoints } = history;
  return {
    registers: new Map(registers),
    committed: [...committed],
    newestCommit: history.newestCommit,
    started: new Map(started),
    oks: new Map([...oks].map(([key, byReplica]) => [key, new Map(byReplica)])),
    promised: new Map(promised),
    acknowledged: new Map(acknowledged),
    roots: new Map(roots),
    checkpoints: new Map(checkpoints),
    inherited: history.inherited,
  };
}

/** What becomes of a statement that should be true: `assert`, or something that lets part of them pass. */
export type Expect = (holds: boolean, message: string) => void;

export interface Watch {
  readonly history: History;
  readonly replicas: number;
  readonly expect: Expect;
  /** One replica's state may differ from that of the others: roots are compared by the replicas alone (CP8). */
  readonly diverges?: boolean;
}

/** What only the primary of a view sends. */
const LEADING: ReadonlySet<ReplicaMessage['kind']> = new Set(['prepare', 'commit', 'startView']);

export function stampText(stamp: Stamp): string {
  return `${stamp.epoch}.${stamp.view}`;
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
  checkCheckpoints(watch, state);
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
    else if (effect.type === 'reply' && effect.leased === true) checkLeased(watch, state);
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

/** I19: while a read on a lease is executed, nothing has been committed in a later view. */
function checkLeased(watch: Watch, state: ReplicaState): void {
  const { newestCommit } = watch.history;
  watch.expect(
    compareStamps(newestCommit, state) <= 0,
    `I19 replica ${state.id}: reads on its lease of view ${state.view}, view ${newestCommit.view} has committed`,
  );
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
  const chain = chainIfPresent(state.log, viewStartOp) ?? state.log.baseChain;
  watch.history.started.set(key, { viewStartOp, chain, primary: state.id, start: state.start });
  for (const [at, committed] of watch.history.committed.entries()) {
    // What a checkpoint covers is not in the log any more.
    if (compareStamps(committed.stamp, state) >= 0 || at + 1 < state.log.start) continue;
    const own = chainIfPresent(state.log, at + 1);
    watch.expect(
      own !== null && sameChain(own, committed.chain),
      `I2 view ${state.view}: starts without op ${at + 1}, committed in view ${committed.stamp.view}`,
    );
  }
}

/** I1 and I8: one history, with a quorum behind each commit. */
function checkCommitted(watch: Watch, before: Remembered | null, state: ReplicaState): void {
  // What it holds was committed in an earlier generation, and the others may have gone on without it (E42).
  if (state.cold) {
    watch.history.inherited = Math.max(watch.history.inherited, state.commit);
    return;
  }
  for (let op = (before?.commit ?? 0) + 1; op <= state.commit; op++) {
    const chain = chainIfPresent(state.log, op);
    const known = watch.history.committed[op - 1];
    if (chain === null) {
      watch.expect(known !== undefined, `I1 replica ${state.id}: a checkpoint has op ${op}`);
      continue;
    }
    const late = op <= state.log.start || tsAt(state.log, op) > tsAt(state.log, op - 1);
    watch.expect(late, `I5 replica ${state.id}: entry ${op} is not later than the one below (DT2)`);
    if (known === undefined) {
      if (op > watch.history.inherited) checkEvidence(watch, state, op);
      const { epoch, view } = state;
      watch.history.committed[op - 1] = { chain, stamp: { epoch, view } };
      if (compareStamps(state, watch.history.newestCommit) > 0)
        watch.history.newestCommit = { epoch, view };
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

/** I11 for checkpoints, I16: what is called stable is in the checkpoints of f+1 actives, and with witnesses no log begins above it. */
function checkCheckpoints(watch: Watch, state: ReplicaState): void {
  const { history, replicas, expect } = watch;
  for (const { op, root } of state.checkpoints) {
    const known = history.roots.get(op);
    if (known === undefined) history.roots.set(op, root);
    else if (watch.diverges !== true)
      expect(sameChain(known, root), `I11 replica ${state.id}: another root at checkpoint ${op}`);
    if (op > (history.checkpoints.get(state.id) ?? 0)) history.checkpoints.set(state.id, op);
  }
  if (state.stableOp === 0 && state.log.start === 1) return;
  const holders = [...history.checkpoints.values()].filter((op) => op >= state.stableOp).length;
  expect(
    state.stableOp === 0 || holders > faultsTolerated(replicas),
    `I16 replica ${state.id}: op ${state.stableOp} is called stable, ${holders} have a checkpoint of it`,
  );
  const witnesses = state.configuration.members.some((member) => member.role === 'witness');
  expect(
    state.status !== 'normal' || !witnesses || state.log.start <= state.stableOp + 1,
    `I16 replica ${state.id}: the log begins at ${state.log.start}, stable is ${state.stableOp}`,
  );
}
