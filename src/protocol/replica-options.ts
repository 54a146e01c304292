// What a replica is handed: who it is, what it remembers, and everything that it has not of itself - time, randomness, the digest, the
// service that executes.

import type { Configuration } from './configuration.js';
import type { EntrySink } from './core.js';
import type { Durability } from './durability.js';
import type { ProtocolLimits, ProtocolTiming } from './limits.js';
import type { MarkSink } from './marks.js';
import type { Mutations } from './mutations.js';
import type { Stored } from './restart.js';
import type { StateMachine } from './state-machine.js';
import type { Clock, Digest64, Random32, ReplicaId, Stamp, StartNumber } from './types.js';

export interface ReplicaOptions {
  readonly id: ReplicaId;
  readonly configuration: Configuration;
  readonly clusterId: number;
  readonly gen: number;
  /** Strictly above that of every earlier start of this id (H1). */
  readonly start: StartNumber;
  /** What the register held at start; null: empty, so a founding member that boots normal in view 0 (H2). */
  readonly register: Stamp | null;
  readonly limits: ProtocolLimits;
  readonly timing: ProtocolTiming;
  readonly random: Random32;
  /** @default stands still: only for leases, which are off then */
  readonly clock?: Clock;
  /**
   * Asked after each read on a lease. True: the host has revoked it, for as long as this thread lives, and not said so to anybody
   * before. @default never
   */
  readonly revoked?: () => boolean;
  readonly digest64: Digest64;
  /** null for a witness. */
  readonly stateMachine: StateMachine | null;
  /** @default 'memory' */
  readonly durability?: Durability;
  /** What its store showed; null: nothing, or nothing readable. */
  readonly stored?: Stored | null;
  /** Everybody starts from disk, and the ends of their logs may be missing (P6). */
  readonly cold?: boolean;
  /** No thread of an earlier start, of whichever replica, is left: whoever had a lease from this one's predecessor has ended (RD7). */
  readonly alone?: boolean;
  /** Memory that the log takes first, from `touchedSegments`. */
  readonly logSegments?: readonly Uint8Array[];
  /** Nobody keeps a body beyond the step that handed it out, nor a clone: memory of dropped entries and answered reads is written again. */
  readonly reusesMemory?: boolean;
  /** Mistakes to switch on; only tests pass it. */
  readonly mutations?: Mutations;
  /** Hears of rare paths; only simulations pass it. */
  readonly marks?: MarkSink;
  readonly entries?: EntrySink;
}
