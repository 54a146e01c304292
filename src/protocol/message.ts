// One record per message of the protocol (protocol.md section 2). `kind` comes first; every message between replicas
// carries the header, every number is named as in the paper. Bodies of requests are opaque bytes.
//
// A `Uint8Array` in a *received* message may be a view into the transport's memory and is valid only during the
// step that receives it: who keeps it copies it.

import type {
  Chain,
  ClientId,
  EpochNumber,
  OpNumber,
  ReplicaId,
  RequestNumber,
  Rung,
  SessionNumber,
  Stamp,
  StartNumber,
  Status,
  ViewNumber,
} from './types.js';

/** What an entry holds; `reconfig` and `tick` come with their stages. */
export type EntryKind = 'batch';

/** One position of the log: a batch of 1..batchMax requests (1.5). Immutable once made. */
export interface Entry {
  readonly op: OpNumber;
  /** Epoch and view in which the entry was first proposed; they never change. */
  readonly epoch: EpochNumber;
  readonly view: ViewNumber;
  /** Microseconds, strictly increasing along the log (DT2). */
  readonly ts: number;
  /** Unsigned 32 bits: the only randomness that services may use (D17, DT5). */
  readonly seed: number;
  readonly kind: EntryKind;
  /** Number of requests in `body`. */
  readonly count: number;
  /** Requests back to back in the layout of request-body.ts. */
  readonly body: Uint8Array;
  /** Hash of everything up to and including this entry. */
  readonly chain: Chain;
}

/** Header of every replica-to-replica message (2.1). The stamp is the sender's, never above its register. */
export interface ReplicaHeader {
  readonly clusterId: number;
  readonly gen: number;
  readonly epoch: EpochNumber;
  readonly view: ViewNumber;
  readonly from: ReplicaId;
}

export interface Prepare extends ReplicaHeader {
  readonly kind: 'prepare';
  readonly start: StartNumber;
  readonly first: OpNumber;
  /** chain(first - 1) */
  readonly prevChain: Chain;
  readonly entries: readonly Entry[];
  readonly commitMax: OpNumber;
  readonly stableOp: OpNumber;
  readonly hbSeq: number;
  readonly doubtMs: number;
}

export interface Commit extends ReplicaHeader {
  readonly kind: 'commit';
  readonly start: StartNumber;
  readonly op: OpNumber;
  readonly commitMax: OpNumber;
  /** Nothing above it may be dropped where there are witnesses (D13). */
  readonly stableOp: OpNumber;
  readonly hbSeq: number;
  /** Milliseconds, rounded up, in which a later view may have committed something without the sender's knowledge (RD8); 0: on a lease. */
  readonly doubtMs: number;
}

export interface PrepareOk extends ReplicaHeader {
  readonly kind: 'prepareOk';
  /** Durable verified head; covers all lower ops. */
  readonly op: OpNumber;
  readonly chain: Chain;
  /** Newest complete checkpoint and its root; 0 before the first, and at a witness (CP3, CP8). */
  readonly cpOp: OpNumber;
  readonly cpRoot: Chain;
  readonly hbEcho: number;
}

export interface StartViewChange extends ReplicaHeader {
  readonly kind: 'startViewChange';
  /** `abdicated`: the vote of a primary that does not lead this view any more, for good (HB5). */
  readonly phase: 'vote' | 'abdicated' | 'joined';
}

export interface DoViewChange extends ReplicaHeader {
  readonly kind: 'doViewChange';
  readonly start: StartNumber;
  readonly lastNormal: Stamp;
  readonly op: OpNumber;
  readonly chain: Chain;
  readonly commit: OpNumber;
  readonly commitMax: OpNumber;
  readonly stableOp: OpNumber;
  /** Lowest op in the log; everything below is in checkpoints only. */
  readonly logStart: OpNumber;
  readonly cpOp: OpNumber;
  readonly ladder: readonly Rung[];
  readonly tail: readonly Entry[];
}

export interface StartView extends ReplicaHeader {
  readonly kind: 'startView';
  /** Start counter of the recovering requester this answers, else 0. */
  readonly nonce: StartNumber;
  readonly start: StartNumber;
  readonly op: OpNumber;
  readonly chain: Chain;
  readonly viewStartOp: OpNumber;
  readonly commitMax: OpNumber;
  readonly stableOp: OpNumber;
  readonly logStart: OpNumber;
  readonly cpOp: OpNumber;
  readonly hbSeq: number;
  readonly ladder: readonly Rung[];
  readonly tail: readonly Entry[];
}

export interface RequestStartView extends ReplicaHeader {
  readonly kind: 'requestStartView';
  /** Own start counter if recovering, else 0. */
  readonly nonce: StartNumber;
  readonly haveOp: OpNumber;
}

/** gap: same view (T1); vc: the new primary collects (VC9); install: a backup enters a view (3.6). */
export type TransferPurpose = 'gap' | 'vc' | 'install';

export interface GetState extends ReplicaHeader {
  readonly kind: 'getState';
  /** Unique per requester, its start counter included. */
  readonly reqId: number;
  readonly purpose: TransferPurpose;
  readonly fromOp: OpNumber;
  readonly toOp: OpNumber;
  /** chain(fromOp - 1) of the requester; null while the chunk below is still under way. */
  readonly prevChain: Chain | null;
  readonly maxBytes: number;
}

export interface NewState extends ReplicaHeader {
  readonly kind: 'newState';
  readonly reqId: number;
  readonly purpose: TransferPurpose;
  readonly fromOp: OpNumber;
  /** chain(fromOp - 1) of the donor. */
  readonly prevChain: Chain;
  readonly entries: readonly Entry[];
  readonly head: OpNumber;
  readonly commitMax: OpNumber;
  readonly logStart: OpNumber;
  /** `gone`: dropped, a checkpoint covers it (T2). */
  readonly status: 'ok' | 'mismatch' | 'gone' | 'refuse';
}

/** Asks for the newest checkpoint at or above `minOp` (CP6). */
export interface GetCheckpoint extends ReplicaHeader {
  readonly kind: 'getCheckpoint';
  readonly reqId: number;
  readonly minOp: OpNumber;
}

/** Eight bytes per hash, low word first. */
export interface CheckpointMeta extends ReplicaHeader {
  readonly kind: 'checkpointMeta';
  readonly reqId: number;
  readonly cpOp: OpNumber;
  readonly cpChain: Chain;
  readonly root: Chain;
  /** Pages of each list (CP2). */
  readonly pageCounts: readonly number[];
  /** Hash of the top node of each list, in one piece. */
  readonly tops: Uint8Array;
  /** `gone`: nothing as new as that; `refuse`: not one who has checkpoints. */
  readonly status: 'ok' | 'gone' | 'refuse';
}

/** Asks for the hashes of the children of nodes of one level; the children of level 1 are pages. */
export interface GetNodes extends ReplicaHeader {
  readonly kind: 'getNodes';
  readonly reqId: number;
  readonly cpOp: OpNumber;
  readonly list: number;
  readonly level: number;
  readonly indices: readonly number[];
}

export interface Nodes extends ReplicaHeader {
  readonly kind: 'nodes';
  readonly reqId: number;
  readonly cpOp: OpNumber;
  readonly list: number;
  readonly level: number;
  readonly indices: readonly number[];
  /** Of all children of the first index, then of the second, ... */
  readonly hashes: Uint8Array;
  readonly status: 'ok' | 'gone';
}

export interface GetPages extends ReplicaHeader {
  readonly kind: 'getPages';
  readonly reqId: number;
  readonly cpOp: OpNumber;
  readonly list: number;
  readonly indices: readonly number[];
}

export interface Pages extends ReplicaHeader {
  readonly kind: 'pages';
  readonly reqId: number;
  readonly cpOp: OpNumber;
  readonly list: number;
  readonly indices: readonly number[];
  /** The pages of these indices, back to back, all of one size. */
  readonly bytes: Uint8Array;
  readonly status: 'ok' | 'gone';
}

/** The root that most actives have of the checkpoint at `cpOp`: whoever has another one stops (CP8). */
export interface CheckpointRoot extends ReplicaHeader {
  readonly kind: 'checkpointRoot';
  readonly cpOp: OpNumber;
  readonly root: Chain;
}

/** Repair: carries no view that decides anything; request ids, chains and hashes do. */
export type CheckpointAnswer = CheckpointMeta | Nodes | Pages;
export type CheckpointMessage = GetCheckpoint | GetNodes | GetPages | CheckpointAnswer;

export type ReplicaMessage =
  | Prepare
  | Commit
  | PrepareOk
  | StartViewChange
  | DoViewChange
  | StartView
  | RequestStartView
  | GetState
  | NewState
  | CheckpointMessage
  | CheckpointRoot;

// ── Client to replica (2.2) ──

export interface Register {
  readonly kind: 'register';
  readonly clientId: ClientId;
  /** Below 2^53; matches the reply to this very registration (CS5). */
  readonly nonce: number;
  readonly epoch: EpochNumber;
  readonly seenView: ViewNumber;
}

export interface Unregister {
  readonly kind: 'unregister';
  readonly clientId: ClientId;
  /** 0: whichever the client has. */
  readonly session: SessionNumber;
  readonly epoch: EpochNumber;
  readonly seenView: ViewNumber;
}

export interface Request {
  readonly kind: 'request';
  readonly clientId: ClientId;
  readonly session: SessionNumber;
  readonly requestNumber: RequestNumber;
  /** All replies up to this number have been received. */
  readonly acked: RequestNumber;
  readonly epoch: EpochNumber;
  readonly seenView: ViewNumber;
  readonly body: Uint8Array;
}

export interface Read {
  readonly kind: 'read';
  readonly clientId: ClientId;
  readonly session: SessionNumber;
  /** Highest request number sent before this read (RD0). */
  readonly afterRequest: RequestNumber;
  readonly readId: number;
  readonly epoch: EpochNumber;
  readonly seenView: ViewNumber;
  readonly body: Uint8Array;
}

/** A read that any active may answer (RD8). */
export interface LocalRead {
  readonly kind: 'localRead';
  readonly clientId: ClientId;
  readonly session: SessionNumber;
  /** Highest request number sent before this read, where that matters (RD0); else 0. */
  readonly afterRequest: RequestNumber;
  readonly readId: number;
  readonly epoch: EpochNumber;
  readonly seenView: ViewNumber;
  /** RD9: the newest state that the reader has seen; `tokenOp` 0: none. */
  readonly tokenGen: number;
  readonly tokenOp: OpNumber;
  /** How long ago the replica may have heard of the primary, whole milliseconds; `ANY_AGE`: never mind. */
  readonly maxStaleMs: number;
  readonly body: Uint8Array;
}

export const ANY_AGE: number = Number.MAX_SAFE_INTEGER;

export type ClientMessage = Register | Unregister | Request | Read | LocalRead;

// ── Replica to client ──

/** Outcome on the protocol's level; errors of the service are results, not codes. */
export type ReplyCode = 'ok' | 'sessionInvalid' | 'replyDropped' | 'serviceError';

export interface Reply {
  readonly kind: 'reply';
  readonly clientId: ClientId;
  /** The new session for Register; the removed one for Unregister. */
  readonly session: SessionNumber;
  /** 0 for Register and Unregister. */
  readonly requestNumber: RequestNumber;
  readonly gen: number;
  readonly epoch: EpochNumber;
  readonly view: ViewNumber;
  readonly op: OpNumber;
  readonly idx: number;
  readonly code: ReplyCode;
  /** Nonce of the Register this answers, else 0. */
  readonly nonce: number;
  readonly result: Uint8Array;
}

/** `behind`: this replica cannot answer a local read as it was asked for. `badToken`: its token is of another generation (RD8). */
export type ReadCode = 'ok' | 'behind' | 'badToken';

export interface ReadReply {
  readonly kind: 'readReply';
  readonly clientId: ClientId;
  readonly readId: number;
  readonly gen: number;
  readonly epoch: EpochNumber;
  readonly view: ViewNumber;
  /** applied op on which the read ran. */
  readonly op: OpNumber;
  readonly code: ReadCode;
  readonly result: Uint8Array;
}

export interface NotPrimary {
  readonly kind: 'notPrimary';
  readonly epoch: EpochNumber;
  readonly view: ViewNumber;
  readonly primaryId: ReplicaId | null;
  readonly status: Status;
}

export interface ViewStarted {
  readonly kind: 'viewStarted';
  readonly epoch: EpochNumber;
  readonly view: ViewNumber;
  readonly primaryId: ReplicaId;
}

export interface Busy {
  readonly kind: 'busy';
  /** Of the refused request; 0 for a refused read or registration. */
  readonly requestNumber: RequestNumber;
  /** Of the refused read; 0 otherwise. */
  readonly readId: number;
  readonly retryAfterMs: number;
  readonly reason: 'queue' | 'log';
}

export interface Evicted {
  readonly kind: 'evicted';
  readonly clientId: ClientId;
  readonly session: SessionNumber;
}

export type ServerMessage = Reply | ReadReply | NotPrimary | ViewStarted | Busy | Evicted;

export type Message = ReplicaMessage | ClientMessage | ServerMessage;
export type MessageKind = Message['kind'];
