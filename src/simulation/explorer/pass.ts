// One atomic step of one replica: what happens to it, then the rest of its pass as a worker makes it (end of the pass, execute,
// idle). Nobody sees a replica in the middle of a pass, so nothing is lost by not stopping there.
//
// Time is abstracted away: the clock stands still, and each timer is an event of its own that may come at any moment. That allows
// everything that real clocks allow, whatever their rates. What states hold of clocks is set to the same values after each
// pass (`withoutClocks`), so that it does not tell states apart.

import { emptyArena } from '../../protocol/arena.js';
import { assert } from '../../protocol/assert.js';
import type { Configuration } from '../../protocol/configuration.js';
import type { Effect, Event } from '../../protocol/effect.js';
import { checkMonotone } from '../../protocol/history.js';
import { checkState } from '../../protocol/invariants.js';
import { DEFAULT_LIMITS, DEFAULT_TIMING, type ProtocolLimits } from '../../protocol/limits.js';
import type { ReplicaMessage } from '../../protocol/message.js';
import { Replica } from '../../protocol/replica.js';
import type { ReplicaOptions } from '../../protocol/replica-options.js';
import { cloneState, type ReplicaState } from '../../protocol/state.js';
import type { StateMachine } from '../../protocol/state-machine.js';
import type { Stamp } from '../../protocol/types.js';
import { digest64 } from '../seeded.js';
import type { Scope } from './scope.js';

const NOW = 0;
const LATER = 1;
const LONG_AGO = -1_000_000;
const NEW_HEARTBEAT = 1;
/** Feeds the times of entries only. */
const CLOCK_US = 1_000_000;
const ROOM_BYTES = 1 << 20;
const EXECUTE_BUDGET = 16;
/** Bytes of log that a pass can write; the core would take 64 KiB for each clone. */
const ARENA_BYTES = 1024;
const CLUSTER_ID = 7;
export const CLIENT_ID = [1, 0, 0, 0] as const;
const ADDRESS = 5;
const NO_BYTES = new Uint8Array(0);

/** Results are no part of the protocol, and the log decides them. */
const SILENT: StateMachine = {
  apply: () => {},
  read: () => {},
  digest: () => '',
};

export type Cause =
  | { readonly type: 'message'; readonly message: ReplicaMessage }
  /** Request `number` of the client arrives. */
  | { readonly type: 'submit'; readonly session: number; readonly number: number }
  | { readonly type: 'register' }
  | { readonly type: 'timer' }
  | { readonly type: 'repeat' };

export interface Passed {
  readonly state: ReplicaState;
  readonly effects: readonly Effect[];
}

export class Passes {
  readonly #scope: Scope;
  readonly #configuration: Configuration;
  readonly #replicas = new Map<string, Replica>();
  readonly limits: ProtocolLimits;

  constructor(scope: Scope, configuration: Configuration) {
    this.#scope = scope;
    this.#configuration = configuration;
    this.limits = { ...DEFAULT_LIMITS, tailEntries: scope.tailEntries, batchBytes: 64 };
  }

  /** A start of `id` that remembers nothing but its register. @throws {ProtocolViolation} */
  boot(id: number, start: number, register: Stamp | null): Passed {
    const replica = new Replica(this.#options(id, start, register));
    return this.#run(replica, null, { type: 'boot' });
  }

  /** One that can be told any state of that start: making a new one for each pass would cost more than the pass. */
  #replica({ id, start, register }: ReplicaState): Replica {
    const key = `${id}.${start}`;
    let replica = this.#replicas.get(key);
    if (replica === undefined) {
      replica = new Replica(this.#options(id, start, register));
      this.#replicas.set(key, replica);
    }
    return replica;
  }

  /** `from` is left as it is. @throws {ProtocolViolation} */
  pass(from: ReplicaState, cause: Cause): Passed {
    const state = cloneState(from);
    if (state.building.count === 0) {
      const segment = new Uint8Array(ARENA_BYTES);
      state.log.arena = { ...emptyArena(), segment, view: new DataView(segment.buffer) };
    }
    if (cause.type === 'timer') expirePatience(state);
    else if (cause.type === 'repeat') expireRepeats(state);
    const replica = this.#replica(from);
    Object.assign(replica.state, state);
    return this.#run(replica, from, eventOf(cause));
  }

  #options(id: number, start: number, register: Stamp | null): ReplicaOptions {
    const role = this.#configuration.members[id]?.role;
    return {
      id,
      configuration: this.#configuration,
      clusterId: CLUSTER_ID,
      gen: 0,
      start,
      register,
      limits: this.limits,
      timing: DEFAULT_TIMING,
      random: () => 0,
      digest64,
      stateMachine: role === 'active' ? SILENT : null,
      mutations: this.#scope.mutations,
    };
  }

  #run(replica: Replica, before: ReplicaState | null, event: Event): Passed {
    const { state } = replica;
    const room = this.#configuration.members.map(() => ROOM_BYTES);
    const effects: Effect[] = [];
    const step = (next: Event): void => {
      for (const effect of replica.step(next)) effects.push(withoutHeartbeats(effect));
      if (this.#scope.watch === 'everything') checkState(state, this.limits);
    };
    step(event);
    step({ type: 'endOfPass', nowUs: CLOCK_US, room, drainedAt: null });
    if (replica.hasWork) step({ type: 'execute', budget: EXECUTE_BUDGET, reads: EXECUTE_BUDGET });
    step({ type: 'idle' });
    if (before !== null && this.#scope.watch === 'everything') checkMonotone(before, state, assert);
    withoutClocks(state, this.#scope);
    return { state: { ...state }, effects };
  }
}

function eventOf(cause: Cause): Event {
  switch (cause.type) {
    case 'message':
      return cause;
    case 'register':
      return {
        type: 'client',
        address: ADDRESS,
        message: { kind: 'register', clientId: CLIENT_ID, nonce: 1, epoch: 0, seenView: 0 },
      };
    case 'submit':
      return {
        type: 'client',
        address: ADDRESS,
        message: {
          kind: 'request',
          clientId: CLIENT_ID,
          session: cause.session,
          requestNumber: cause.number,
          acked: 0,
          epoch: 0,
          seenView: 0,
          body: NO_BYTES,
        },
      };
    default:
      return { type: 'tick', count: 0 };
  }
}

/** Only the timer by which this replica gives up on the present view is due. */
function expirePatience(state: ReplicaState): void {
  state.failureDeadline = NOW;
  state.viewChangeDeadline = NOW;
  for (const progress of state.peers) progress.echoTick = LONG_AGO;
}

/** Everything that is said again after a while is due. */
function expireRepeats(state: ReplicaState): void {
  state.voteResendAt = NOW;
  state.joinResendAt = NOW;
  state.askAt = NOW;
  if (state.transfer !== null) state.transfer.deadline = NOW;
  for (const progress of state.peers) {
    progress.sentTick = LONG_AGO;
    progress.grewTick = LONG_AGO;
  }
}

/**
 * Heartbeat numbers and their echoes serve reads, the primary's patience, and backups that must not be calmed by old news
 * (HB2). There are no reads here, patience is an event, and a backup that an old Prepare calmed could have received it
 * before it lost patience: every heartbeat may be new.
 */
function withoutHeartbeats(effect: Effect): Effect {
  if (effect.type !== 'send') return effect;
  const { message } = effect;
  switch (message.kind) {
    case 'prepareOk':
      return { ...effect, message: { ...message, hbEcho: 0 } };
    case 'prepare':
    case 'commit':
      return { ...effect, message: { ...message, hbSeq: NEW_HEARTBEAT } };
    case 'startView':
      return { ...effect, message: { ...message, hbSeq: 0 } };
    default:
      return effect;
  }
}

function withoutClocks(state: ReplicaState, scope: Scope): void {
  const over = scope.pauses === 'over';
  // Deadlines come when `timer` and `repeat` say so.
  state.failureDeadline = LATER;
  state.viewChangeDeadline = LATER;
  state.voteResendAt = LATER;
  state.joinResendAt = LATER;
  state.askAt = LATER;
  for (const id of state.votes.keys()) state.votes.set(id, LATER);
  for (const mark of state.down.values()) mark.expires = LATER;
  state.hbSeq = 0;
  state.lastHbSeq = 0;
  // How long the next deadline would be, and what only operators read.
  state.askTicks = 1;
  state.failedViewChanges = 0;
  state.normalSince = NOW;
  state.leaveReason = null;
  // Backpressure in bytes: rings are never full here.
  state.passBytes = Number.POSITIVE_INFINITY;
  state.headTick = over ? LONG_AGO : NOW;
  if (over || state.status === 'normal') state.startViewAskedAt = LONG_AGO;
  const { transfer } = state;
  if (transfer !== null) {
    transfer.deadline = LATER;
    transfer.retryTicks = 1;
  }
  for (const progress of state.peers) {
    progress.echo = 0;
    progress.echoTick = NOW;
    progress.grewTick = NOW;
    progress.sentTick = NOW;
    progress.fetchTick = NOW;
    progress.startViewTick = over ? LONG_AGO : NOW;
  }
}
