// What goes out at the end of a pass in the normal case: the entry stream of the primary (N3, BP1b), and its heartbeats, since every
// Prepare is one (HB1). A backup only acknowledges.

import { cut, gateOpen, lingers } from './admission.js';
import { sendPrepareOk } from './backup.js';
import { countAcknowledgements } from './commit-number.js';
import { type Core, isPrimary, mark, members, nthHighest, quorum, send } from './core.js';
import { storeAppended } from './durability.js';
import { doubtMs, forgetBeats, holdsLease, noteBeat, notePass } from './lease.js';
import { chainAt, costAt, entryCost, head, slice } from './log.js';
import type { Commit } from './message.js';
import type { PeerProgress } from './state.js';

/** What a Prepare takes besides its entries, generously. */
const ENVELOPE_BYTES = 128;

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
  const beat: Beat = { hbSeq, doubtMs: doubtMs(core) };
  let sent = false;
  for (const progress of state.peers) {
    const streamed = stream(core, progress, beat, room[progress.id] ?? 0);
    const due = state.heartbeatForced || state.now - progress.sentTick >= core.timing.heartbeat;
    if (!streamed && due) sendCommit(core, progress, beat);
    sent = sent || streamed || due;
  }
  state.heartbeatForced = false;
  if (sent) {
    state.hbSeq = hbSeq;
    state.announcedCommit = state.commitMax;
  }
  state.passBytes = passBudget(core, room);
}

/** What Prepare and Commit say besides entries and op-numbers. */
type Beat = Pick<Commit, 'hbSeq' | 'doubtMs'>;

/** BP1b: entries go on from the own log while the ring has room, never waiting for earlier ones. */
function stream(core: Core, progress: PeerProgress, beat: Beat, room: number): boolean {
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
      hbSeq: beat.hbSeq,
      doubtMs: beat.doubtMs,
    });
    progress.sentOp += entries.length;
    progress.sentTick = state.now;
    sent = true;
  }
  return sent;
}

function sendCommit(core: Core, progress: PeerProgress, beat: Beat): void {
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
    hbSeq: beat.hbSeq,
    doubtMs: beat.doubtMs,
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
  const beat: Beat = { hbSeq: state.hbSeq, doubtMs: doubtMs(core) };
  for (const progress of state.peers) sendCommit(core, progress, beat);
}

const echoOf = (progress: PeerProgress): number => progress.echo;

/** Highest heartbeat number that a quorum has echoed, self counted (RD2). */
export function echoedByQuorum(core: Core): number {
  const { state } = core;
  if (core.mutations.readsWithoutQuorum === true) return Number.MAX_SAFE_INTEGER;
  return nthHighest(state.peers, echoOf, quorum(core) - 1);
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
