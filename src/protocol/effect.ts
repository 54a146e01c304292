// What happens to a replica (event) and what it wants done (effect), protocol.md 3.18. The order of the effects is the
// durability contract: a host performs them first to last, and publishes what it wrote into rings only after all
// effects before it were performed.

import type { AskedRead, AskedRequest } from './asked.js';
import type { ClientMessage, ReplicaMessage, ServerMessage, ViewStarted } from './message.js';
import type {
  ClientAddress,
  EpochNumber,
  OpNumber,
  ReplicaId,
  StartNumber,
  Status,
  ViewNumber,
} from './types.js';

/** What the host knows for certain about threads (H7), and the administrator's wish (HB8). */
export type Hint =
  | { readonly kind: 'exited'; readonly id: ReplicaId; readonly start: StartNumber }
  | { readonly kind: 'started'; readonly id: ReplicaId; readonly start: StartNumber }
  /**
   * The host believes so. `start`: the thread that is about to end: it has no lease from before this was said, and never gets
   * another, and what it still says calms nobody.
   */
  | { readonly kind: 'suspect'; readonly id: ReplicaId; readonly start?: StartNumber }
  | { readonly kind: 'stepDown' };

export type Event =
  /** First of all: a founding member writes its register and is normal in view 0, anybody else asks to recover (R1). */
  | { readonly type: 'boot' }
  | { readonly type: 'message'; readonly message: ReplicaMessage }
  | { readonly type: 'client'; readonly address: ClientAddress; readonly message: ClientMessage }
  /** The same for a request and a read, without a message for each. */
  | { readonly type: 'request'; readonly address: ClientAddress; readonly request: AskedRequest }
  | { readonly type: 'read'; readonly address: ClientAddress; readonly read: AskedRead }
  /** `count` whole ticks of coreTickMs have passed (SP3). */
  | { readonly type: 'tick'; readonly count: number }
  /**
   * The in-rings are drained. `nowUs` feeds only entry timestamps and linger. `room[id]` is how many bytes of entries
   * may be streamed to replica id in this pass (BP1b): 0 defers the stream, a positive number admits at least one
   * entry whatever its size. `drainedAt`: all that the others had said by then, on the own clock, was taken; null: some was left (RD8).
   */
  | {
      readonly type: 'endOfPass';
      readonly nowUs: number;
      readonly room: readonly number[];
      readonly drainedAt: number | null;
    }
  /** Execute at most `budget` entries, then at most `reads` reads (SP2). */
  | { readonly type: 'execute'; readonly budget: number; readonly reads: number }
  /** Everything of this series of `append` effects up to `op` is flushed (P10). */
  | { readonly type: 'stored'; readonly series: number; readonly op: OpNumber }
  /** The checkpoint of a `saveCheckpoint` effect is flushed. */
  | { readonly type: 'checkpointStored'; readonly op: OpNumber }
  /** P9: the disk is full, or has room again. */
  | { readonly type: 'storeFull'; readonly full: boolean }
  /** Hash about `budget` pages of the checkpoint in the making (CP1). */
  | { readonly type: 'checkpoint'; readonly budget: number }
  /** The actor found nothing to do and is about to sleep (HB7). */
  | { readonly type: 'idle' }
  | { readonly type: 'hint'; readonly hint: Hint }
  /** The client behind `address` is gone: forget the address (its session stays until Unregister). */
  | { readonly type: 'detach'; readonly address: ClientAddress };

/** Why a replica left a view or entered one: for operators, never read back by the protocol. */
export type ViewReason = 'timeout' | 'crash' | 'step-down' | 'higher-view';

/** Facts an operator acts on; at most a few per second. */
export type Notice =
  | {
      readonly kind: 'status';
      readonly status: Status;
      readonly view: ViewNumber;
      readonly reason: ViewReason | null;
      /** False: normal by the protocol, but most of its log is still to be executed. */
      readonly caughtUp: boolean;
    }
  /** What was to be executed when the replica became normal is executed. */
  | { readonly kind: 'caughtUp'; readonly view: ViewNumber }
  /** The primary serves requests of this view: the gate of N1 opened. */
  | { readonly kind: 'serving'; readonly view: ViewNumber }
  /** What lay on the disk was not whole, and is not used (P3). */
  | { readonly kind: 'damaged'; readonly damage: string }
  /** Another replica's checkpoint was fetched: `pages` of its `of`, in `bytes`. */
  | {
      readonly kind: 'fetched';
      readonly op: OpNumber;
      readonly pages: number;
      readonly bytes: number;
      readonly of: number;
    }
  /** The log passed 80 % of logBytes, or reached it (BP6). */
  | {
      readonly kind: 'logPressure';
      readonly usedBytes: number;
      readonly limitBytes: number;
      readonly full: boolean;
    };

export type Effect =
  /** Write the promise register, before anything that follows becomes visible to anybody (R0). */
  | { readonly type: 'writeRegister'; readonly epoch: EpochNumber; readonly view: ViewNumber }
  /** Disk: store these entries of the log, and lazily the commit number, in one transaction; say when it is flushed (P8a). */
  | {
      readonly type: 'append';
      readonly series: number;
      readonly fromOp: OpNumber;
      readonly toOp: OpNumber;
    }
  /**
   * Disk: in one transaction, flushed before the next effect is performed: drop every entry above `base` (`fresh`: every entry),
   * store those that the log has above it, and what belongs to the view; `adopted`: that checkpoint as well (P8b).
   */
  | {
      readonly type: 'switch';
      readonly base: OpNumber;
      readonly fresh: boolean;
      readonly adopted: OpNumber | null;
    }
  /** Disk: store the complete checkpoint `state.saving`, in slices; say when it is flushed (P8d). */
  | { readonly type: 'saveCheckpoint'; readonly op: OpNumber }
  /** Disk: drop the entries below the log's start together with what says where it begins (P8e). */
  | { readonly type: 'collect' }
  /** Disk: what was found there is of no use (P3); the register stays. */
  | { readonly type: 'wipe' }
  | { readonly type: 'send'; readonly to: ReplicaId; readonly message: ReplicaMessage }
  | {
      readonly type: 'reply';
      readonly address: ClientAddress;
      readonly message: ServerMessage;
      /** Of a read: the primary relied on its lease (RD4). */
      readonly leased?: boolean;
    }
  /** To every attached client. */
  | { readonly type: 'announce'; readonly message: ViewStarted }
  | { readonly type: 'notice'; readonly notice: Notice };
