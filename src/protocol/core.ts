// What every sub-protocol works on: the state record, what was handed in at construction, and the list of effects of the
// present step. Helpers here only read, send or draw; they decide nothing.

import type { BodyPool } from './body-pool.js';
import type { ChainHasher } from './chain.js';
import { type Configuration, type Member, primaryOf, quorumSize } from './configuration.js';
import type { Durability } from './durability.js';
import type { Effect, Notice } from './effect.js';
import type { ProtocolLimits, ProtocolTiming } from './limits.js';
import type { Mark, MarkSink } from './marks.js';
import type { ReplicaHeader, ReplicaMessage, ServerMessage } from './message.js';
import type { Mutations } from './mutations.js';
import type { BlockedUpTo } from './reads.js';
import type { PeerProgress, ReplicaState } from './state.js';
import type { ResultSink, StateMachine } from './state-machine.js';
import type {
  ClientAddress,
  Clock,
  Digest64,
  Random32,
  ReplicaId,
  Stamp,
  ViewNumber,
} from './types.js';

/** Hears of every entry that this replica makes as primary: how many requests it holds, in how many bytes. Nothing comes of it. */
export type EntrySink = (requests: number, bytes: number) => void;

export interface Core {
  readonly state: ReplicaState;
  readonly limits: ProtocolLimits;
  readonly timing: ProtocolTiming;
  readonly random: Random32;
  readonly clock: Clock;
  /** False: the clock stands still, and nothing is noted by it. */
  readonly timed: boolean;
  readonly revoked: () => boolean;
  readonly hasher: ChainHasher;
  readonly digest64: Digest64;
  readonly durability: Durability;
  readonly stateMachine: StateMachine | null;
  readonly sink: ResultSink;
  readonly mutations: Mutations;
  readonly marks: MarkSink | null;
  readonly entries: EntrySink | null;
  /** For bodies of reads; null: somebody may keep them, or a copy of the state. */
  readonly bodies: BodyPool | null;
  /** Of the present step; each step has a list of its own. */
  effects: Effect[];
  readonly rotation: Rotation;
  readonly blockedUpTo: BlockedUpTo;
}

/** Who leads the view that was asked about last: it is asked several times for each message. */
interface Rotation {
  configuration: Configuration | null;
  view: ViewNumber;
  primary: ReplicaId;
}

export function emptyRotation(): Rotation {
  return { configuration: null, view: -1, primary: -1 };
}

/** A rare path is taken. */
export function mark(core: Core, what: Mark): void {
  core.marks?.(what);
}

export function members(core: Core): readonly Member[] {
  return core.state.configuration.members;
}

export function quorum(core: Core): number {
  const { length } = members(core);
  return core.mutations.smallEvenQuorum === true ? Math.ceil(length / 2) : quorumSize(length);
}

export function isWitness(core: Core, id: ReplicaId): boolean {
  return members(core).some((member) => member.id === id && member.role === 'witness');
}

export function isMember(core: Core, id: ReplicaId): boolean {
  return members(core).some((member) => member.id === id);
}

export function primaryIn(core: Core, view: ViewNumber): ReplicaId {
  const { rotation } = core;
  const { configuration } = core.state;
  if (rotation.view !== view || rotation.configuration !== configuration) {
    rotation.configuration = configuration;
    rotation.view = view;
    rotation.primary =
      core.mutations.witnessMayLead === true
        ? (configuration.members[view % configuration.members.length]?.id ?? 0)
        : primaryOf(configuration, view);
  }
  return rotation.primary;
}

/** Primary of the present view; it leads only while its status is normal. */
export function primaryNow(core: Core): ReplicaId {
  return primaryIn(core, core.state.view);
}

export function isPrimary(core: Core): boolean {
  return primaryNow(core) === core.state.id;
}

/** True while this replica leads the present view. */
export function leads(core: Core): boolean {
  return core.state.status === 'normal' && isPrimary(core);
}

export function stampNow(core: Core): Stamp {
  return { epoch: core.state.epoch, view: core.state.view };
}

export function header(core: Core): ReplicaHeader {
  const { clusterId, gen, epoch, view, id } = core.state;
  return { clusterId, gen, epoch, view, from: id };
}

export function send(core: Core, to: ReplicaId, message: ReplicaMessage): void {
  core.effects.push({ type: 'send', to, message });
}

export function broadcast(core: Core, message: ReplicaMessage): void {
  for (const member of members(core))
    if (member.id !== core.state.id) send(core, member.id, message);
}

export function reply(core: Core, address: ClientAddress, message: ServerMessage): void {
  core.effects.push({ type: 'reply', address, message });
}

export function notice(core: Core, what: Notice): void {
  core.effects.push({ type: 'notice', notice: what });
}

export function noticeStatus(core: Core): void {
  const { state } = core;
  const { status, view, leaveReason } = state;
  const caughtUp = status === 'normal' && !state.replaying;
  notice(core, { kind: 'status', status, view, reason: leaveReason, caughtUp });
}

export function peer(core: Core, id: ReplicaId): PeerProgress | undefined {
  return core.state.peers.find((progress) => progress.id === id);
}

/** The `nth` highest of a figure of `peers`: so many have reached it. Infinite for none at all, and when there are not so many, negative. */
export function nthHighest(
  peers: readonly PeerProgress[],
  figure: (progress: PeerProgress) => number,
  nth: number,
): number {
  if (nth === 0) return Number.POSITIVE_INFINITY;
  let highest = Number.NEGATIVE_INFINITY;
  for (const candidate of peers) {
    const value = figure(candidate);
    if (value <= highest) continue;
    let reached = 0;
    for (const other of peers) if (figure(other) >= value) reached++;
    if (reached >= nth) highest = value;
  }
  return highest;
}

/** Request ids are `start * this + counter`, so that an answer to an earlier start never fits (BP4). */
const REQUESTS_PER_START = 2 ** 24;

export function nextRequest(core: Core): number {
  const { state } = core;
  state.requestCounter = (state.requestCounter + 1) % REQUESTS_PER_START;
  return state.start * REQUESTS_PER_START + state.requestCounter;
}

/** Uniform in [low, high], whole ticks. */
export function drawTicks(core: Core, low: number, high: number): number {
  return Math.round(low + (core.random() / 2 ** 32) * (high - low));
}

/** `ticks` +- 20 %, at least one. */
export function jitter(core: Core, ticks: number): number {
  return Math.max(1, drawTicks(core, ticks * 0.8, ticks * 1.2));
}

/** A sink that grows by doubling; the one implementation that core and tests share. */
export function makeSink(initialBytes: number): ResultSink {
  return {
    bytes: new Uint8Array(initialBytes),
    length: 0,
    reserve(count: number): number {
      if (this.length + count > this.bytes.length) {
        const grown = new Uint8Array(Math.max(this.bytes.length * 2, this.length + count));
        grown.set(this.bytes.subarray(0, this.length));
        this.bytes = grown;
      }
      return this.length;
    },
  };
}
