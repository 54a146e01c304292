// Leases (RD3 to RD7, RD10): whoever answers a heartbeat of the primary promises not to help any other view into being for a while,
// and the primary, as long as a quorum's promises last by its own clock, answers reads without asking again. The clock is read at the
// moment of each use: a time that was taken earlier in the pass would promise too little, or trust too long (E46).

import { type Core, mark, nthHighest, primaryIn, quorum } from './core.js';
import type { Commit, Prepare, ReplicaMessage, StartViewChange } from './message.js';
import type { PeerProgress } from './state.js';
import type { ReplicaId, StartNumber } from './types.js';

/** Heartbeats whose time is remembered; the echo of an older one extends nothing. */
export const BEATS_MAX = 4096;

/** What a heartbeat has room for; for ever, for whoever asks for a bound. */
const DOUBT_MAX = 2 ** 32 - 1;

export interface LeaseState {
  /** Own clock: no DoViewChange before, for somebody may be reading on the strength of that (RD3). */
  grantUntil: number;
  /** Own clock: no DoViewChange before, for the thread before this one may have granted (RD7). */
  holdOffUntil: number;
  /** `start` of the primary of the last normal view; 0: not known. */
  holderStart: StartNumber;
  /** A DoViewChange is due, and waits for the two. */
  held: boolean;
  /** Primary: when heartbeat `hbSeq` was sent, at `hbSeq % BEATS_MAX`. */
  sentAt: number[];
  /** For the mistakes of E46 only: the time of the last pass. */
  passMs: number;
  /** Own clock: all that the others had said by then was taken, so what is taken now was said later (RD8). */
  drainedAt: number;
  /**
   * Own clock: nothing that was committed before this time is unknown here. A heartbeat of a living primary says so, as of when it was
   * sent at the earliest, however long it lay in its ring, less the doubt that its sender had.
   */
  heardAt: number;
}

export function emptyLease(): LeaseState {
  return {
    grantUntil: 0,
    holdOffUntil: 0,
    holderStart: 0,
    held: false,
    sentAt: [],
    passMs: 0,
    drainedAt: Number.NEGATIVE_INFINITY,
    heardAt: Number.NEGATIVE_INFINITY,
  };
}

// ── who grants ──

/** RD3: a newer heartbeat of the view's living primary was taken. */
export function grant(core: Core, message: Prepare | Commit): void {
  if (!core.timed) return;
  const { lease } = core.state;
  const now = core.mutations.grantFromPassTime === true ? lease.passMs : core.clock();
  noteHeard(core, message.doubtMs, now);
  promise(core, message.start, now);
}

/** RD8: what was said after `drainedAt` was said in doubt for so long by another clock. */
function noteHeard({ state, timing, mutations }: Core, doubt: number, now: number): void {
  const { lease } = state;
  const { clockDrift } = timing;
  const saidAt = mutations.oldBeatsFresh === true ? now : lease.drainedAt;
  const since = saidAt - (doubt * (1 + clockDrift)) / (1 - clockDrift);
  lease.heardAt = Math.max(lease.heardAt, since);
}

/** A pass has taken what there was. */
export function noteDrained(core: Core, drainedAt: number | null): void {
  if (drainedAt !== null) core.state.lease.drainedAt = drainedAt;
}

/**
 * The view of a StartView is the own one now. The heartbeat that it names is echoed like any other, and the primary takes an echo for a
 * promise: so it is one, from now on, which is later than the StartView was sent (RD3).
 */
export function grantJoining(core: Core, holder: StartNumber): void {
  if (!core.timed || core.mutations.ungrantedEchoed === true) return;
  const { state } = core;
  const down = state.down.get(primaryIn(core, state.view));
  if (down === undefined || holder > down.start) promise(core, holder, core.clock());
}

function promise(core: Core, holder: StartNumber, from: number): void {
  const { leaseMs } = core.timing;
  const { lease } = core.state;
  if (leaseMs === 0) return;
  lease.grantUntil = Math.max(lease.grantUntil, from + leaseMs);
  lease.holderStart = holder;
}

/** RD7: what the thread before this one granted is not remembered. */
export function holdOff(core: Core): void {
  const { leaseMs } = core.timing;
  if (leaseMs > 0 && core.mutations.grantsForgotten !== true)
    core.state.lease.holdOffUntil = core.clock() + leaseMs;
}

/** False: a DoViewChange would break a promise (VC4). */
export function mayPromise(core: Core): boolean {
  const { lease } = core.state;
  const until = Math.max(lease.grantUntil, lease.holdOffUntil);
  lease.held = until > 0 && core.clock() < until && core.mutations.grantsBroken !== true;
  if (lease.held) mark(core, 'promiseWaitsForLease');
  return !lease.held;
}

/**
 * HH2: a thread that has ended reads no more, nor did any primary of an earlier view. Threads of one process need not even have
 * ended: what they share can revoke a lease at once.
 */
export function holderEnded(core: Core, id: ReplicaId, start: StartNumber): void {
  const { lease, lastNormal, status } = core.state;
  const known = lease.holderStart > 0 && lease.holderStart <= start;
  if (status === 'recovering' || !known || id !== primaryIn(core, lastNormal.view)) return;
  voidGrants(core);
}

/**
 * The primary of the last normal view has left it: it says so by a message of a later view, or by its vote after abdicating, and both
 * are for good (VC4, HB5). Nobody has to wait for the end of a lease that its holder gave up.
 */
export function noteDeparture(core: Core, message: ReplicaMessage): void {
  const { lease, lastNormal, status } = core.state;
  if (lease.grantUntil === 0 && lease.holdOffUntil === 0) return;
  if (status === 'recovering' || message.from !== primaryIn(core, lastNormal.view)) return;
  const abdicated = message.kind === 'startViewChange' && isFarewell(core, message);
  if (message.view > lastNormal.view || (abdicated && message.view === lastNormal.view))
    voidGrants(core);
}

/** Its votes from before it led this view may still be under way; they say nothing of the lease. */
function isFarewell(core: Core, { phase }: StartViewChange): boolean {
  return phase === 'abdicated' || (phase === 'vote' && core.mutations.anyVoteIsFarewell === true);
}

function voidGrants(core: Core): void {
  const { lease } = core.state;
  mark(core, 'grantsVoid');
  lease.grantUntil = 0;
  lease.holdOffUntil = 0;
}

// ── who holds ──

/** HB1: to be called before the frames that carry `hbSeq` are published. */
export function noteBeat(core: Core, hbSeq: number): void {
  if (core.timed) core.state.lease.sentAt[hbSeq % BEATS_MAX] = core.clock();
}

/** `progress` has answered heartbeat `hbEcho`. */
export function noteEcho(core: Core, progress: PeerProgress, hbEcho: number): void {
  const { lease, hbSeq } = core.state;
  const sentAt = lease.sentAt[hbEcho % BEATS_MAX];
  // The place of the next heartbeat is written before it is known whether there will be one.
  if (sentAt !== undefined && hbEcho > hbSeq + 1 - BEATS_MAX) progress.grantedFrom = sentAt;
}

/** RD4: true while a quorum's promises last, read now. The caller has seen to it that the gate is open, which it is not after abdicating (RD5). */
export function holdsLease(core: Core): boolean {
  const { timing, state, mutations } = core;
  if (timing.leaseMs === 0) return false;
  if (core.revoked() && mutations.revocationIgnored !== true) return false;
  const now = mutations.leaseOnPassTime === true ? state.lease.passMs : core.clock();
  return now < leaseEnd(core);
}

/** Since when, by the own clock, a peer's promise runs at the latest. */
export const grantOf = (progress: PeerProgress): number => progress.grantedFrom;

function leaseEnd(core: Core): number {
  const { leaseMs, clockDrift } = core.timing;
  const granted = (leaseMs * (1 - clockDrift)) / (1 + clockDrift);
  return lastFollowedAt(core) + granted;
}

/** Own clock: nothing that a later view committed before this time can be unknown to this primary, for a quorum still followed it. */
export function followedAt(core: Core): number {
  return followed(core) ? core.clock() : lastFollowedAt(core);
}

/** How long ago that is, as heartbeats say it. */
export function doubtMs(core: Core): number {
  if (followed(core) || core.mutations.doubtUnsaid === true) return 0;
  return Math.min(DOUBT_MAX, Math.ceil(core.clock() - lastFollowedAt(core)));
}

/** Now, for certain. */
function followed(core: Core): boolean {
  return quorum(core) === 1 || !core.timed || holdsLease(core);
}

function lastFollowedAt(core: Core): number {
  return nthHighest(core.state.peers, grantOf, quorum(core) - 1);
}

/** E46: what the mistakes take for the time. */
export function notePass(core: Core): void {
  const { grantFromPassTime, leaseOnPassTime } = core.mutations;
  if (grantFromPassTime === true || leaseOnPassTime === true)
    core.state.lease.passMs = core.clock();
}

/** A view begins that this replica leads. */
export function forgetBeats(core: Core): void {
  core.state.lease.sentAt.length = 0;
}
