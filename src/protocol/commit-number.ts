// How acknowledgements become a commit number at the primary (N6, N9), and how far the own log lets anybody follow it.

import { violated } from './assert.js';
import { countCheckpoints } from './checkpoint/collect.js';
import { noteRoot } from './checkpoint/roots.js';
import { type Core, isWitness, leads, mark, nthHighest, peer, quorum } from './core.js';
import { durableHead } from './durability.js';
import { noteEcho } from './lease.js';
import { chainIfPresent, head } from './log.js';
import type { PrepareOk } from './message.js';
import type { PeerProgress } from './state.js';
import { type OpNumber, sameChain } from './types.js';

const matchOf = (progress: PeerProgress): OpNumber => progress.matchOp;

/** N9. The caller has checked view and status. */
export function onPrepareOk(core: Core, message: PrepareOk): void {
  const { state } = core;
  const progress = peer(core, message.from);
  if (progress === undefined || !leads(core)) return;
  if (message.op > head(state.log)) return; // acknowledges what this primary never sent
  // Below the log there is nothing to compare with: it was the same when it was committed.
  const own = chainIfPresent(state.log, message.op);
  if (!(own === null || sameChain(own, message.chain)))
    violated(`replica ${message.from} acknowledges another entry at op ${message.op}`);
  if (progress.matchOp < 0) {
    progress.matchOp = message.op;
    progress.sentOp = Math.min(progress.sentOp, message.op);
    progress.grewTick = state.now;
  } else if (message.op > progress.matchOp) {
    progress.matchOp = message.op;
    progress.sentOp = Math.max(progress.sentOp, message.op);
    progress.grewTick = state.now;
  }
  if (message.hbEcho > progress.echo && message.hbEcho <= state.hbSeq) {
    progress.echo = message.hbEcho;
    progress.echoTick = state.now;
    noteEcho(core, progress, message.hbEcho);
  }
  if (message.cpOp !== progress.cpOp) {
    progress.cpOp = message.cpOp;
    noteRoot(core, message.from, message.cpOp, message.cpRoot);
    countCheckpoints(core);
  }
  countAcknowledgements(core);
}

/** N6 at the primary: the highest op that a quorum holds, own log included. */
export function countAcknowledgements(core: Core): void {
  const { state, mutations } = core;
  const needed = mutations.commitAlone === true ? 1 : quorum(core);
  const withOwn = Math.min(durableHead(core), nthHighest(state.peers, matchOf, needed - 1));
  const committed = Math.max(withOwn, nthHighest(state.peers, matchOf, needed));
  if (core.marks !== null && committed > state.commitMax) markQuorum(core, committed);
  state.commitMax = Math.max(state.commitMax, committed);
  advanceCommit(core);
}

/** Whether anything waits for another replica's acknowledgement. That of a backup is a primary's affair: it says true. */
export function awaitsAcknowledgements(core: Core): boolean {
  const { state } = core;
  if (!leads(core) || !state.serving || state.abdicating || state.reads.length > 0) return true;
  const top = head(state.log);
  // They also say whose checkpoints have what, which a log without room waits for (CP5, BP6).
  if (state.commitMax < top || state.pressure !== 'none') return true;
  for (const progress of state.peers)
    if (progress.matchOp < 0 || progress.sentOp < top) return true;
  return false;
}

function markQuorum(core: Core, op: OpNumber): void {
  const holders = core.state.peers.filter((progress) => progress.matchOp >= op);
  if (holders.length + 1 === quorum(core)) mark(core, 'commitWithSmallestQuorum');
  const actives = holders.filter((progress) => !isWitness(core, progress.id));
  if (actives.length + 1 < quorum(core)) mark(core, 'acknowledgementByWitnessDecides');
}

/** N6 at a backup: only from messages of the present view, and only while normal (E7). */
export function noteCommit(core: Core, commitMax: OpNumber): void {
  const { state } = core;
  state.commitMax = Math.max(state.commitMax, commitMax);
  advanceCommit(core);
}

export function advanceCommit(core: Core): void {
  const { state } = core;
  if (state.status !== 'normal') return;
  const last = core.mutations.commitBeyondHead === true ? state.commitMax : head(state.log);
  state.commit = Math.max(state.commit, Math.min(state.commitMax, last));
}
