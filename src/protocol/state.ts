// The replica's state: plain data, so that it can be cloned and hashed. The sub-protocols are functions over this record;
// each field states its own invariant. protocol.md 1.4 is the table behind it.

import { type Arena, emptyArena } from './arena.js';
import type { BodyMemory } from './body-pool.js';
import type { Fetch, KeptPages, Shadow } from './checkpoint/fetch.js';
import type { Checkpoint } from './checkpoint/image.js';
import type { AgreedRoot, Roots } from './checkpoint/roots.js';
import type { Taking } from './checkpoint/take.js';
import { type ClientTable, emptyTable } from './client-table.js';
import type { Configuration } from './configuration.js';
import type { ViewReason } from './effect.js';
import { emptyLease, type LeaseState } from './lease.js';
import { emptyLog, type Log } from './log.js';
import type { DoViewChange, Entry, StartView, TransferPurpose } from './message.js';
import { cloneValue, hashValue } from './plain-data.js';
import type {
  Chain,
  ClientAddress,
  ClientId,
  OpNumber,
  ReplicaId,
  RequestNumber,
  Role,
  Rung,
  SessionNumber,
  Stamp,
  StartNumber,
  Status,
} from './types.js';

/** What the primary knows of one other member in this view. */
export interface PeerProgress {
  readonly id: ReplicaId;
  /** Highest op acknowledged in this view; -1 before the first PrepareOk. */
  matchOp: OpNumber;
  /** The entry stream has been sent up to here (BP1b). */
  sentOp: OpNumber;
  /** The stream does not run further ahead than the window of this while nothing is acknowledged. */
  startOp: OpNumber;
  /** Highest heartbeat number echoed. */
  echo: number;
  /** Tick of the newest echo; the start of the view before any. */
  echoTick: number;
  /** Own clock when the newest heartbeat that it has answered was sent: its promise runs from there at the latest (RD4). */
  grantedFrom: number;
  /** Tick at which matchOp last grew, or the stream was last set back. */
  grewTick: number;
  /** Tick of the last Prepare or Commit sent. */
  sentTick: number;
  /** Tick of the last unsolicited StartView. */
  startViewTick: number;
  /** Tick at which it last asked for state: it is catching up (BP5). */
  fetchTick: number;
  /** Newest checkpoint that it has reported in this view (CP3). */
  cpOp: OpNumber;
}

/** A request taken but not yet cut into an entry lies at the arena's tail (N3). */
export interface Building {
  count: number;
  bytes: number;
  /** Microseconds at which the first pass ended with it unfinished; -1 before. */
  sinceUs: number;
}

export interface Admission {
  requestNumber: RequestNumber;
  address: ClientAddress;
}

export interface WaitingRead {
  /** Heartbeat number that a quorum must echo first (RD2). */
  readonly need: number;
  /** Committed when it came: a backup may have executed that, and shown it to this reader. */
  readonly known: OpNumber;
  readonly address: ClientAddress;
  readonly clientId: ClientId;
  readonly session: SessionNumber;
  readonly afterRequest: RequestNumber;
  readonly readId: number;
  /** Its body is `memory.bytes[from..to)`. */
  readonly memory: BodyMemory;
  readonly from: number;
  readonly to: number;
}

/** A read that waits until this replica has executed enough (RD8). */
export interface WaitingLocalRead {
  readonly address: ClientAddress;
  readonly clientId: ClientId;
  readonly readId: number;
  readonly session: SessionNumber;
  readonly afterRequest: RequestNumber;
  readonly tokenOp: OpNumber;
  readonly maxStaleMs: number;
  /** Tick at which it is given up. */
  readonly until: number;
  readonly body: Uint8Array;
}

export interface Chunk {
  readonly reqId: number;
  readonly fromOp: OpNumber;
  readonly toOp: OpNumber;
  /** In order of arrival, applied in order of ops. */
  entries: readonly Entry[] | null;
}

export interface TransferTarget {
  readonly stamp: Stamp;
  readonly op: OpNumber;
  readonly chain: Chain;
  readonly viewStartOp: OpNumber;
  readonly commitMax: OpNumber;
  readonly stableOp: OpNumber;
  readonly hbSeq: number;
  /** Start counter of the view's primary. */
  readonly start: StartNumber;
}

/** The one staging area of Install, and of same-view repair (T1). */
export interface Transfer {
  readonly purpose: TransferPurpose;
  /** null: a gap is filled in place. */
  target: TransferTarget | null;
  /** Own log up to here is kept; unless `fresh` says that it begins anew, above an entry with this chain. */
  base: OpNumber;
  fresh: { readonly chain: Chain; readonly ts: number } | null;
  /** The checkpoint that is being fetched before the entries above it, or was (3.6 step 3). */
  fetch: Fetch | null;
  shadow: Shadow | null;
  /** Where there are witnesses: the log must begin no later than above this (RET, 3.6 step 2b). */
  readonly floor: Rung | null;
  /** Verified entries (base, base + staged.length]. */
  staged: Entry[];
  /** Entries to fetch end here; the tail of the message that named the target follows. */
  toOp: OpNumber;
  tail: readonly Entry[];
  chunks: Chunk[];
  /** Next op to ask for. */
  askedOp: OpNumber;
  donors: ReplicaId[];
  donor: number;
  /** Donors that have lost their entries. */
  readonly lost: ReplicaId[];
  /** Donors tried in a row without progress. */
  fruitless: number;
  retryTicks: number;
  deadline: number;
  /** Ops per request, from the size of what came. */
  rangeOps: number;
}

export interface DownMark {
  /** Highest start known to have ended, or about to end. */
  start: StartNumber;
  expires: number;
  /** False: it is only suspected. */
  exited: boolean;
  /** False once a later start was seen (HH4); the number stays for comparing. */
  skip: boolean;
}

export interface ReplicaState {
  readonly id: ReplicaId;
  readonly role: Role;
  readonly clusterId: number;
  readonly gen: number;
  readonly start: StartNumber;
  /** Highest stamp ever put into a header; register >= (epoch, view) >= lastNormal (I23b). */
  register: Stamp | null;
  configuration: Configuration;
  epoch: number;
  view: number;
  status: Status;
  /** Stamp in which this replica was last normal. */
  lastNormal: Stamp;
  log: Log;
  /** Highest op known committed, a number only. */
  commitMax: OpNumber;
  /** Highest op committed and in the own verified log: applied <= commit <= head. */
  commit: OpNumber;
  applied: OpNumber;
  viewStartOp: OpNumber;
  /** Normal, with more than two windows to execute: for operators only. */
  replaying: boolean;
  /** `start` quoted by the first Prepare, Commit or StartView of the view; 0 before. */
  primaryStart: StartNumber;
  table: ClientTable;
  /** Ticks since boot. */
  now: number;
  /** Microseconds, as the last endOfPass told: feeds entry timestamps only (DT2). */
  clockUs: number;

  // ── checkpoints ──
  /** Complete ones, oldest first: the two newest and what is pinned (CP3, CP6). */
  checkpoints: readonly Checkpoint[];
  taking: Taking | null;
  /** The state at a later op than the newest checkpoint's, for a fetch to compare with (CP6). */
  basis: Checkpoint | null;
  /** Bytes of entries executed since the last point at which checkpoints are taken. */
  sincePoint: number;
  /** f+1 actives have a checkpoint at or above it (CP4); never falls. */
  stableOp: OpNumber;
  /** Op of a checkpoint that somebody fetches, and the tick until which it is kept for him. */
  readonly pins: Map<OpNumber, number>;
  readonly roots: Roots;
  agreedRoot: AgreedRoot | null;
  /** Pages that arrived, until the replica is normal. */
  readonly keptPages: KeptPages;

  // ── disk ──
  /** Handed over to be stored up to here, and flushed up to here, of the present series. */
  storedOp: OpNumber;
  durableOp: OpNumber;
  /** How often the log was replaced: news of flushes from before mean nothing. */
  storeSeries: number;
  /** Complete, and being stored: it counts when it is flushed (CP3). */
  saving: Checkpoint | null;
  /** P9: there is no room on the disk; new requests are answered Busy. */
  storeFull: boolean;
  /** This replica led the view before it was restarted, and never does so again (D20). */
  cannotLead: boolean;
  /** Restarted with all others from disks that may lack their ends, and not normal since by an Install (P6). */
  cold: boolean;
  /** Until then, after a restart of all, an elect waits for everybody (P6). */
  coldUntil: number;
  /** Own log up to here, of a store that may lack its end, was committed: a recovery need not fetch it again (R1). */
  haveOp: OpNumber;

  // ── failure detection and votes ──
  lastHbSeq: number;
  readonly lease: LeaseState;
  failureDeadline: number;
  suspect: boolean;
  voteResendAt: number;
  votes: Map<ReplicaId, number>;
  down: Map<ReplicaId, DownMark>;
  abdicating: boolean;
  leaveReason: ViewReason | null;

  // ── view change ──
  doViewChanges: Map<ReplicaId, DoViewChange>;
  viewChangeDeadline: number;
  joinResendAt: number;
  failedViewChanges: number;
  normalSince: number;
  startViewAskedAt: number;
  /** StartView that an Install is working on. */
  installing: StartView | null;
  transfer: Transfer | null;
  requestCounter: number;

  // ── recovery ──
  askAt: number;
  askTicks: number;

  // ── backup ──
  /** Out-of-order Prepares, by first op, at most `window` entries in all (N4). */
  buffered: Map<OpNumber, { prevChain: Chain; entries: readonly Entry[] }>;
  /** A PrepareOk is due at the end of this pass (N5). */
  owesOk: boolean;
  /** Tick at which the head last moved while behind the primary's (HB4). */
  headTick: number;

  // ── primary ──
  peers: PeerProgress[];
  hbSeq: number;
  announcedCommit: OpNumber;
  heartbeatForced: boolean;
  serving: boolean;
  building: Building;
  /** Entry bytes that may still be taken before the next pass while a member catches up (BP5). */
  passBytes: number;
  admissions: Map<SessionNumber, Admission>;
  /** Registrations and removals under way: where their replies go. */
  registrations: Map<string, ClientAddress>;
  reads: WaitingRead[];
  /** Echoed, but a write that their client sent before is not executed yet (RD0). */
  blockedReads: WaitingRead[];
  localReads: WaitingLocalRead[];
  /** Of their bodies. */
  localReadBytes: number;
  /** Bytes of both, and of those set aside. */
  readBytes: number;
  blockedBytes: number;
  pressure: 'none' | 'high' | 'full';
}

export function emptyState(at: {
  id: ReplicaId;
  role: Role;
  clusterId: number;
  gen: number;
  start: StartNumber;
  configuration: Configuration;
  origin: Chain;
}): ReplicaState {
  return {
    id: at.id,
    role: at.role,
    clusterId: at.clusterId,
    gen: at.gen,
    start: at.start,
    register: null,
    configuration: at.configuration,
    epoch: at.configuration.epoch,
    view: 0,
    status: 'recovering',
    lastNormal: { epoch: 0, view: 0 },
    log: emptyLog(at.origin),
    commitMax: 0,
    commit: 0,
    applied: 0,
    viewStartOp: 0,
    replaying: false,
    primaryStart: 0,
    table: emptyTable(),
    now: 0,
    clockUs: 0,
    checkpoints: [],
    taking: null,
    basis: null,
    sincePoint: 0,
    stableOp: 0,
    pins: new Map(),
    roots: new Map(),
    agreedRoot: null,
    keptPages: new Map(),
    storedOp: 0,
    durableOp: 0,
    storeSeries: 0,
    saving: null,
    storeFull: false,
    cannotLead: false,
    cold: false,
    coldUntil: 0,
    haveOp: 0,
    lastHbSeq: 0,
    lease: emptyLease(),
    failureDeadline: 0,
    suspect: false,
    voteResendAt: 0,
    votes: new Map(),
    down: new Map(),
    abdicating: false,
    leaveReason: null,
    doViewChanges: new Map(),
    viewChangeDeadline: 0,
    joinResendAt: 0,
    failedViewChanges: 0,
    normalSince: 0,
    startViewAskedAt: -1_000_000,
    installing: null,
    transfer: null,
    requestCounter: 0,
    askAt: 0,
    askTicks: 0,
    buffered: new Map(),
    owesOk: false,
    headTick: 0,
    peers: [],
    hbSeq: 0,
    announcedCommit: 0,
    heartbeatForced: false,
    serving: false,
    building: { count: 0, bytes: 0, sinceUs: -1 },
    passBytes: Number.POSITIVE_INFINITY,
    admissions: new Map(),
    registrations: new Map(),
    reads: [],
    blockedReads: [],
    localReads: [],
    localReadBytes: 0,
    readBytes: 0,
    blockedBytes: 0,
    pressure: 'none',
  };
}

/**
 * A deep copy. Entries are immutable and shared; the arena is not, for two clones must never append into the same
 * segment: the copy takes only the bytes of the unfinished entry along.
 */
export function cloneState(state: ReplicaState): ReplicaState {
  const { log, building } = state;
  const arena: Arena = emptyArena();
  if (building.bytes > 0) {
    const from = log.arena.used;
    // With the same room behind it, or the copy would cut the entry earlier than the original.
    arena.segment = new Uint8Array(log.arena.segment.length - from);
    arena.segment.set(log.arena.segment.subarray(from, from + building.bytes));
    arena.view = new DataView(arena.segment.buffer);
  }
  const copy: Record<string, unknown> = { ...state };
  for (const name in copy) if (!APART.has(name)) copy[name] = cloneValue(copy[name]);
  return {
    ...(copy as unknown as ReplicaState),
    log: { ...log, entries: log.entries.clone(), arena },
  };
}

/** 64 bits over everything that can influence a later step, as text; equal states have equal hashes. */
export function hashState(state: ReplicaState): string {
  const { log, building } = state;
  const unfinished = log.arena.segment.subarray(log.arena.used, log.arena.used + building.bytes);
  return hashValue([log.start, log.baseChain, log.entries.chains(), unfinished, state], APART);
}

/** The log has ways of its own; everybody's configuration is the same, and nothing changes it yet. */
const APART: ReadonlySet<string> = new Set(['log', 'configuration']);
