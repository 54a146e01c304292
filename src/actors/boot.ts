// What threads are started with, and what they say to each other besides operations: one record per thing.

import type { MessagePort } from 'node:worker_threads';
import type { Configuration } from '../protocol/configuration.js';
import type { Durability } from '../protocol/durability.js';
import type { Notice } from '../protocol/effect.js';
import type { ProtocolLimits, ProtocolTiming } from '../protocol/limits.js';
import type { ClientAddress, ReplicaId } from '../protocol/types.js';
import type { StoreLink } from '../storage/store-host.js';
import type { ClientLinkMemory, MeshMemory } from '../transport/mesh.js';
import type { ClusterEvents, ReplicaState } from './api.js';
import type { ClientSettings, Settings } from './options.js';

export interface AttachedClient {
  readonly address: ClientAddress;
  readonly link: ClientLinkMemory;
}

/**
 * Where a replica can be ended to the instruction: ring space claimed, nothing written in it; frames published, nobody woken;
 * between the effects of one step; the promise register written, nobody told; recovering; in the middle of a transfer.
 */
export const STOP_POINTS = [
  'afterClaim',
  'afterPublish',
  'betweenEffects',
  'afterRegister',
  'inRecovery',
  'inTransfer',
] as const;
export type StopPoint = (typeof STOP_POINTS)[number];

/** What `faults` lets a thread do to itself. */
export type ThreadFault = 'hang' | 'exhaustHeap' | 'diverge' | StopPoint;

/** Whose unread frames are to be damaged: those of a replica, or those of the clients of a name. */
export type FlipTarget = { readonly replica: ReplicaId } | { readonly client: string };

/** What a replica's thread needs of its disk. */
export interface DiskBoot {
  readonly link: StoreLink;
  /** File of the promise register. */
  readonly register: string;
  readonly gen: number;
  readonly durability: Durability;
  /** E42: what is stored contradicts what the others went on with; it is given up. */
  readonly wipe: boolean;
  /** P4: what is stored is all that counts. */
  readonly trusted: boolean;
  readonly cold: boolean;
  /** Its first start in this process: those before it ended with another process. */
  readonly first: boolean;
}

/** workerData of a replica. */
export interface ReplicaBoot {
  readonly id: ReplicaId;
  readonly configuration: Configuration;
  readonly clusterId: number;
  /** null: in memory. */
  readonly disk: DiskBoot | null;
  readonly start: number;
  readonly limits: ProtocolLimits;
  readonly timing: ProtocolTiming;
  /** Log to make resident before the first pass. */
  readonly pretouchBytes: number;
  readonly mesh: MeshMemory;
  readonly clients: readonly AttachedClient[];
  /** Notices to the supervisor. */
  readonly notices: MessagePort;
  /** Live tests may hang the thread, exhaust its heap, or stop it at a point. */
  readonly faults: boolean;
  /** Only with `faults`: it stops when it first comes there. */
  readonly stopAt?: StopPoint;
}

/** What the supervisor may ask of a replica. */
export interface ReplicaControl {
  addClient(client: AttachedClient): void;
  removeClient(address: ClientAddress): void;
  stepDown(): void;
  /** Digest of the service state and the op it belongs to. */
  digest(): { applied: number; digest: string };
  /** Only with `faults`. `times`: how often a stop point is passed, plus one. */
  fault(kind: ThreadFault, times: number): void;
}

export type ReplicaNotice = { readonly id: ReplicaId; readonly start: number } & (
  | { readonly notice: Notice }
  /** It does nothing any more, and waits for its end. */
  | { readonly stoppedAt: StopPoint }
);

/** workerData of the supervisor. */
export interface SupervisorBoot {
  readonly settings: Settings;
  /** Events to the thread that opened the cluster. */
  readonly events: MessagePort;
  readonly faults: boolean;
  /** Memory of the guard that keeps the process from exiting inside the storage library. */
  readonly guard: SharedArrayBuffer;
}

export type ClusterEvent = {
  [K in keyof ClusterEvents]: { readonly type: K; readonly detail: ClusterEvents[K] };
}[keyof ClusterEvents];

/** What `metrics()` says besides the counters of the replicas. */
export interface ClusterCounts {
  readonly viewChanges: number;
  readonly restarts: number;
  readonly clients: number;
}

/** Everything that comes over the port of the events. */
export type SupervisorNews = ClusterEvent | { readonly counts: ClusterCounts };

/** What a client gets to work with. */
export interface ClientBoot {
  readonly address: ClientAddress;
  readonly clusterName: string;
  readonly replicas: number;
  readonly actives: number;
  readonly mesh: MeshMemory;
  readonly link: ClientLinkMemory;
  readonly settings: ClientSettings;
}

/** Codes of the status word in shared memory. */
export const STATUS_CODES: readonly ReplicaState[] = [
  'down',
  'normal',
  'view-change',
  'recovering',
];
