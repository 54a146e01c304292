// The normal case between replicas: the entry stream of the primary (N3, BP1b), what a backup does with it (N4, N5), and how
// acknowledgements become a commit number (N6, N9). Also the heartbeats, since every Prepare is one (HB1).

import { cut, gateOpen, lingers } from './admission.js';
import { violated } from './assert.js';
import { countCheckpoints, noteStable } from './checkpoint/collect.js';
import { NO_ROOT, newest } from './checkpoint/image.js';
import { noteRoot } from './checkpoint/roots.js';
import {
  type Core,
  isPrimary,
  isWitness,
  leads,
  mark,
  members,
  nthHighest,
  peer,
  primaryNow,
  quorum,
  send,
} from './core.js';
import { durableHead, storeAppended } from './durability.js';
import { heard } from './failure-detector.js';
import { forgetBeats, holdsLease, noteBeat, noteEcho, notePass } from './lease.js';
import { appendCopy, chainAt, chainIfPresent, costAt, entryCost, head, slice } from './log.js';
import type { Commit, Entry, Prepare, PrepareOk } from './message.js';
import type { PeerProgress } from './state.js';
import { type Chain, type OpNumber, sameChain } from './types.js';

/** What a Prepare takes besides its entries, generously. */
const ENVELOPE_BYTES = 128;

// ── backup ──

/** N4. The caller has checked view and status. @returns whether entries are missing below this Prepare. */
export function onPrepare(core: Core, message: Prepare): boolean {
  const { state } = core;
  if (isPrimary(core)) return false;
  heard(core, message);
  let gap = false;
  if (message.first > head(state.log) + 1) {
    mark(core, 'prepareEarly');
    keepForLater(core, message);
    gap = true;
  } else {
    appendVerified(core, message.prevChain, message.entries);
    drainBuffered(core);
  }
  noteCommit(core, message.commitMax);
  noteStable(core, message.stableOp);
  state.owesOk = true;
  return gap;
}

/** Appends what is new of `entries`; what is there already must be the same (I3). */
export function appendVerified(core: Core, prevChain: Chain, entries: readonly Entry[]): void {
  const { log } = core.state;
  const first = entries[0];
  if (first === undefined) return;
  if (first.op < log.start) {
    appendKnown(core, entries);
    return;
  }
  const below = chainIfPresent(log, first.op - 1);
  if (below === null) violated(`entries from ${first.op} do not touch the head ${head(log)}`);
  if (!sameChain(below, prevChain))
    violated(`the log below op ${first.op} differs from the sender's`);
  for (const entry of entries) {
    if (entry.op <= head(log)) {
      if (!sameChain(chainAt(log, entry.op), entry.chain))
        violated(`entry ${entry.op} differs from the own`);
      continue;
    }
    if (
      !(
        core.mutations.chainUnverified === true ||
        core.hasher.links(chainAt(log, entry.op - 1), entry)
      )
    )
      violated(`entry ${entry.op} breaks the chain`);
    appendCopy(log, entry);
    core.state.headTick = core.state.now;
  }
}

/** A repetition that begins below the log: what it says of dropped entries was true when they were executed. */
function appendKnown(core: Core, entries: readonly Entry[]): void {
  const { start } = core.state.log;
  const last = entries.find((entry) => entry.op === start - 1);
  if (last !== undefined)
    appendVerified(
      core,
      last.chain,
      entries.filter((entry) => entry.op >= start),
    );
}

/** Prepares that came too early wait, at most a window of them; the rest is repaired (T1). */
export function keepForLater(core: Core, message: Prepare): void {
  const { buffered } = core.state;
  if (buffered.has(message.first) || buffered.size >= core.limits.window) {
    mark(core, 'prepareNotKept');
    return;
  }
  const entries = message.entries.map((entry) => ({ ...entry, body: entry.body.slice() }));
  buffered.set(message.first, { prevChain: message.prevChain, entries });
}

export function drainBuffered(core: Core): void {
  const { buffered, log } = core.state;
  if (buffered.size === 0) return;
  for (const first of [...buffered.keys()].sort((a, b) => a - b)) {
    if (first > head(log) + 1) break;
    const run = buffered.get(first);
    buffered.delete(first);
    if (run !== undefined) appendVerified(core, run.prevChain, run.entries);
  }
}

/** HB3, HB4. @returns whether the head has been behind the primary's for too long. */
export function onCommit(core: Core, message: Commit): boolean {
  const { state } = core;
  if (isPrimary(core)) return false;
  heard(core, message);
  noteCommit(core, message.commitMax);
  noteStable(core, message.stableOp);
  state.owesOk ||= core.mutations.heartbeatsUnanswered !== true;
  if (message.op <= head(state.log)) {
    state.headTick = state.now;
    return false;
  }
  return state.now - state.headTick >= core.timing.transferRetry;
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

/** N5: one cumulative acknowledgement per pass, before anything is executed. */
function sendPrepareOk(core: Core): void {
  const { state } = core;
  state.owesOk = false;
  const op = durableHead(core);
  const checkpoint = newest(core);
  const { clusterId, gen, epoch, view, id } = state;
  // Not by spreading a header, here and below: what follows a spread is defined one by one, at a microsecond each.
  send(core, primaryNow(core), {
    kind: 'prepareOk',
    clusterId,
    gen,
    epoch,
    view,
    from: id,
    op,
    chain: chainAt(state.log, op),
    cpOp: checkpoint?.op ?? 0,
    cpRoot: checkpoint?.root ?? NO_ROOT,
    hbEcho: state.lastHbSeq,
  });
}

// ── primary ──

const matchOf = (progress: PeerProgress): OpNumber => progress.matchOp;
const echoOf = (progress: PeerProgress): number => progress.echo;

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

function markQuorum(core: Core, op: OpNumber): void {
  const holders = core.state.peers.filter((progress) => progress.matchOp >= op);
  if (holders.length + 1 === quorum(core)) mark(core, 'commitWithSmallestQuorum');
  const actives = holders.filter((progress) => !isWitness(core, progress.id));
  if (actives.length + 1 < quorum(core)) mark(core, 'acknowledgementByWitnessDecides');
}

/** Highest heartbeat number that a quorum has echoed, self counted (RD2). */
export function echoedByQuorum(core: Core): number {
  const { state } = core;
  if (core.mutations.readsWithoutQuorum === true) return Number.MAX_SAFE_INTEGER;
  return nthHighest(state.peers, echoOf, quorum(core) - 1);
}

/** Cuts what was taken, streams what fits, and sends heartbeats to whoever got nothing (N3, HB1, SP2). */
export function endPass(core: Core, nowUs: number, room: readonly number[]): void {
  const { state } = core;
  state.clockUs = nowUs;
  notePass(core);
  if (state.status !== 'normal') return;
  if (!isPrimary(core)) {
    storeAppended(core);
    if (state.owesOk) sendPrepareOk(core);
    return;
  }
  if (state.abdicating) {
    storeAppended(core);
    return;
  }
  if (core.mutations.fullRingBlocks === true && room.includes(0)) return;
  if (!lingers(core, nowUs)) cut(core);
  storeAppended(core);
  if (members(core).length === 1) countAcknowledgements(core);
  const hbSeq = state.hbSeq + 1;
  noteBeat(core, hbSeq);
  // RD2, as far as no lease answers for it: what waits wants a heartbeat that was sent after it came.
  const last = state.reads[state.reads.length - 1];
  if (last !== undefined && last.need > state.hbSeq && !holdsLease(core))
    state.heartbeatForced = true;
  let sent = false;
  for (const progress of state.peers) {
    const streamed = stream(core, progress, hbSeq, room[progress.id] ?? 0);
    const due = state.heartbeatForced || state.now - progress.sentTick >= core.timing.heartbeat;
    if (!streamed && due) sendCommit(core, progress, hbSeq);
    sent = sent || streamed || due;
  }
  state.heartbeatForced = false;
  if (sent) {
    state.hbSeq = hbSeq;
    state.announcedCommit = state.commitMax;
  }
  state.passBytes = passBudget(core, room);
}

/** BP1b: entries go on from the own log while the ring has room, never waiting for earlier ones. */
function stream(core: Core, progress: PeerProgress, hbSeq: number, room: number): boolean {
  const { state, limits } = core;
  // Nothing acknowledged yet: it may still be fetching what came before, and would drop more than a window.
  const last =
    progress.matchOp < 0
      ? Math.min(head(state.log), progress.startOp + limits.window)
      : head(state.log);
  let left = room;
  let sent = false;
  if (left <= 0 && progress.sentOp < last) mark(core, 'streamDeferred');
  // Heartbeats tell it that it is behind; it asks for the rest, and hears that it is gone (T2).
  if (progress.sentOp + 1 < state.log.start) {
    mark(core, 'streamBelowLog');
    return false;
  }
  while (left > 0 && progress.sentOp < last) {
    const first = progress.sentOp + 1;
    // Only the first message of a pass may be larger than the room that is left.
    if (sent && costAt(state.log, first) > left) break;
    const bytes = Math.min(left, limits.messageBytes);
    const entries = slice(state.log, { fromOp: first, toOp: last, bytes });
    left -= ENVELOPE_BYTES;
    for (const entry of entries) left -= entryCost(entry);
    const { clusterId, gen, epoch, view, id } = state;
    send(core, progress.id, {
      kind: 'prepare',
      clusterId,
      gen,
      epoch,
      view,
      from: id,
      start: state.start,
      first,
      prevChain: chainAt(state.log, first - 1),
      entries,
      commitMax: state.commitMax,
      stableOp: state.stableOp,
      hbSeq,
    });
    progress.sentOp += entries.length;
    progress.sentTick = state.now;
    sent = true;
  }
  return sent;
}

function sendCommit(core: Core, progress: PeerProgress, hbSeq: number): void {
  const { state } = core;
  progress.sentTick = state.now;
  const { clusterId, gen, epoch, view, id } = state;
  send(core, progress.id, {
    kind: 'commit',
    clusterId,
    gen,
    epoch,
    view,
    from: id,
    start: state.start,
    op: head(state.log),
    commitMax: state.commitMax,
    stableOp: state.stableOp,
    hbSeq,
  });
}

/** HB7: something was committed since the others were told last. */
export function hasNews(core: Core): boolean {
  return gateOpen(core) && core.state.commitMax > core.state.announcedCommit;
}

/** HB7: the commit number rides on the next Prepare; only before sleep it is worth a message of its own. */
export function onIdle(core: Core): void {
  const { state } = core;
  if (!hasNews(core)) return;
  state.hbSeq++;
  noteBeat(core, state.hbSeq);
  state.announcedCommit = state.commitMax;
  for (const progress of state.peers) sendCommit(core, progress, state.hbSeq);
}

/** BP5: while somebody catches up, new traffic takes half of the room in its ring, so that it converges. */
function passBudget(core: Core, room: readonly number[]): number {
  const { state, limits, timing } = core;
  let budget = Number.POSITIVE_INFINITY;
  for (const progress of state.peers) {
    const alive = state.now - progress.echoTick <= 2 * timing.heartbeat;
    const behind = progress.matchOp >= 0 && head(state.log) - progress.matchOp > limits.window;
    const fetches = state.now - progress.fetchTick <= 2 * timing.heartbeat;
    if ((alive && behind) || fetches) {
      mark(core, 'catchUpBudget');
      budget = Math.min(budget, (room[progress.id] ?? 0) / 2);
    }
  }
  return budget;
}

/** N8: the stream of a peer repeats from what it acknowledged when that has not grown for too long. */
export function repeatStreams(core: Core): void {
  const { state, timing } = core;
  for (const progress of state.peers) {
    if (progress.matchOp < 0 || progress.matchOp >= progress.sentOp) continue;
    if (state.now - progress.grewTick < timing.prepareResend) continue;
    mark(core, 'streamRepeated');
    progress.sentOp = progress.matchOp;
    progress.grewTick = state.now;
  }
}

/** Fresh counters for the view that this replica has just begun to lead (VC9). */
export function startLeading(core: Core): void {
  const { state, mutations } = core;
  const known = new Map(state.peers.map((progress) => [progress.id, progress.matchOp]));
  const op = head(state.log);
  state.peers = members(core)
    .filter((member) => member.id !== state.id)
    .map((member) => ({
      id: member.id,
      matchOp:
        mutations.staleAcknowledgements === true ? Math.min(op, known.get(member.id) ?? -1) : -1,
      sentOp: op,
      startOp: op,
      echo: 0,
      echoTick: state.now,
      grantedFrom: Number.NEGATIVE_INFINITY,
      grewTick: state.now,
      sentTick: state.now,
      startViewTick: state.now,
      fetchTick: -1_000_000,
      cpOp: 0,
    }));
  state.hbSeq = 0;
  forgetBeats(core);
  state.announcedCommit = state.commitMax;
  state.primaryStart = state.start;
  state.serving = false;
  state.passBytes = Number.POSITIVE_INFINITY;
  if (mutations.admissionsKept !== true) state.admissions.clear();
  if (state.applied < state.viewStartOp) mark(core, 'servingDelayed');
  countAcknowledgements(core);
}
