// One replica by itself, with everybody else played by the test: for rules that are about a single step. Messages are made
// here with sensible defaults; entries link as those of a real log do.

import { ChainHasher } from '../../src/protocol/chain.js';
import { makeConfiguration } from '../../src/protocol/configuration.js';
import type { EntrySink } from '../../src/protocol/core.js';
import type { Effect, Event } from '../../src/protocol/effect.js';
import {
  DEFAULT_LIMITS,
  DEFAULT_TIMING,
  type ProtocolLimits,
  type ProtocolTiming,
} from '../../src/protocol/limits.js';
import type { MarkSink } from '../../src/protocol/marks.js';
import type {
  ClientMessage,
  Commit,
  DoViewChange,
  Entry,
  GetState,
  Prepare,
  PrepareOk,
  ReplicaHeader,
  ReplicaMessage,
  RequestStartView,
  ServerMessage,
  StartView,
  StartViewChange,
} from '../../src/protocol/message.js';
import type { Mutations } from '../../src/protocol/mutations.js';
import { Replica } from '../../src/protocol/replica.js';
import { requestSpace, writeRequest } from '../../src/protocol/request-body.js';
import type { ReplicaState } from '../../src/protocol/state.js';
import type { Chain, ClientId, Stamp } from '../../src/protocol/types.js';
import { digest64, seeded } from '../../src/simulation/seeded.js';
import { operation, StoryMachine } from '../../src/simulation/story-machine.js';

export const CLUSTER = 7;
export const CLIENT: ClientId = [1, 2, 3, 4];
const hasher = new ChainHasher(digest64);
export const ORIGIN: Chain = hasher.origin(CLUSTER);

export interface SoloOptions {
  readonly id?: number;
  readonly replicas?: number;
  readonly witnesses?: number;
  readonly register?: Stamp | null;
  readonly start?: number;
  readonly limits?: Partial<ProtocolLimits>;
  readonly timing?: Partial<ProtocolTiming>;
  readonly clock?: () => number;
  readonly machine?: StoryMachine;
  readonly mutations?: Mutations;
  readonly marks?: MarkSink;
  readonly entries?: EntrySink;
}

export class Solo {
  readonly replica: Replica;
  readonly machine: StoryMachine | null;
  readonly replicas: number;
  nowUs = 1_000_000;
  readonly #clock: (() => number) | null;

  /** Booted; the backup 1 of three by default. */
  constructor(options: SoloOptions = {}) {
    const { id = 1, replicas = 3, witnesses = 0, register = null, start = 1 } = options;
    this.replicas = replicas;
    this.#clock = options.clock ?? null;
    this.machine = id < replicas - witnesses ? (options.machine ?? new StoryMachine()) : null;
    this.replica = new Replica({
      id,
      configuration: makeConfiguration(replicas, witnesses, 2 ** 30),
      clusterId: CLUSTER,
      gen: 0,
      start,
      register,
      limits: { ...DEFAULT_LIMITS, ...options.limits },
      timing: { ...DEFAULT_TIMING, ...options.timing },
      ...(options.clock === undefined ? {} : { clock: options.clock }),
      random: seeded(id + 1),
      digest64,
      stateMachine: this.machine,
      ...(options.mutations === undefined ? {} : { mutations: options.mutations }),
      ...(options.marks === undefined ? {} : { marks: options.marks }),
      ...(options.entries === undefined ? {} : { entries: options.entries }),
    });
    this.step({ type: 'boot' });
  }

  get state(): ReplicaState {
    return this.replica.state;
  }

  get head(): number {
    return this.state.log.entries.length;
  }

  step(event: Event): Effect[] {
    return [...this.replica.step(event)];
  }

  receive(...messages: ReplicaMessage[]): ReplicaMessage[] {
    return messages.flatMap((message) => sent(this.step({ type: 'message', message })));
  }

  client(message: ClientMessage, address = 5): ServerMessage[] {
    return answers(this.step({ type: 'client', address, message }));
  }

  /** Ends the pass; what it sends. */
  pass(room = 1 << 20): ReplicaMessage[] {
    this.nowUs += 1000;
    const rooms = new Array<number>(this.replicas).fill(room);
    const drainedAt = this.#clock === null ? null : this.#clock();
    return sent(this.step({ type: 'endOfPass', nowUs: this.nowUs, room: rooms, drainedAt }));
  }

  execute(budget = 16): ServerMessage[] {
    return answers(this.step({ type: 'execute', budget, reads: budget }));
  }

  /** `count` ticks, each with its pass; what they send. */
  ticks(count: number): ReplicaMessage[] {
    const out: ReplicaMessage[] = [];
    for (let at = 0; at < count; at++)
      out.push(...sent(this.step({ type: 'tick', count: 1 })), ...this.pass());
    return out;
  }
}

function sent(effects: readonly Effect[]): ReplicaMessage[] {
  return effects.flatMap((effect) => (effect.type === 'send' ? [effect.message] : []));
}

function answers(effects: readonly Effect[]): ServerMessage[] {
  return effects.flatMap((effect) => (effect.type === 'reply' ? [effect.message] : []));
}

export function kinds(messages: readonly { kind: string }[]): string[] {
  return [...new Set(messages.map(({ kind }) => kind))].sort();
}

export function header(from: number, view: number): ReplicaHeader {
  return { clusterId: CLUSTER, gen: 0, epoch: 0, view, from };
}

/** A body with one Register of CLIENT (`number` 0) or one of its requests. */
function body(number: number, session = 4096, key = 'k'): Uint8Array {
  const bytes = number === 0 ? new Uint8Array(0) : operation(`solo.${number}`, 'incr', key, '1');
  const target = new Uint8Array(requestSpace(bytes.length));
  writeRequest(
    target,
    new DataView(target.buffer),
    0,
    {
      type: number === 0 ? 'register' : 'op',
      clientId: CLIENT,
      session: number === 0 ? 77 : session,
      requestNumber: number,
      acked: 0,
    },
    bytes,
  );
  return target;
}

/**
 * Linked entries up to `last`, above those `below` of one view. Entry 1 registers CLIENT, entry k holds its request k-1, or
 * what `numberOf` says.
 */
export function entries(
  last: number,
  view = 0,
  below: readonly Entry[] = [],
  numberOf: (op: number) => number = (op) => op - 1,
): Entry[] {
  const all = [...below];
  for (let op = all.length + 1; op <= last; op++) {
    const entry = {
      op,
      epoch: 0,
      view,
      ts: op * 1000,
      seed: op,
      kind: 'batch' as const,
      count: 1,
      body: body(numberOf(op)),
    };
    const previous = all[op - 2]?.chain ?? ORIGIN;
    all.push({ ...entry, chain: hasher.next(previous, entry, entry.body) });
  }
  return all;
}

export function chainOf(log: readonly Entry[], op: number): Chain {
  return log[op - 1]?.chain ?? ORIGIN;
}

/** Carries `log[first..]` of a view led by `from`. */
export function prepare(
  log: readonly Entry[],
  more: Partial<Prepare> & { from?: number; view?: number; first?: number; last?: number } = {},
): Prepare {
  const { from = 0, view = 0, first = 1, last = log.length, ...rest } = more;
  return {
    kind: 'prepare',
    ...header(from, view),
    start: 1,
    first,
    prevChain: chainOf(log, first - 1),
    entries: log.slice(first - 1, last),
    commitMax: 0,
    stableOp: 0,
    hbSeq: 1,
    doubtMs: 0,
    ...rest,
  };
}

export function commit(more: Partial<Commit> = {}): Commit {
  const { from = 0, view = 0 } = more;
  return {
    kind: 'commit',
    ...header(from, view),
    start: 1,
    op: 0,
    commitMax: 0,
    stableOp: 0,
    hbSeq: 1,
    doubtMs: 0,
    ...more,
  };
}

export function prepareOk(
  from: number,
  log: readonly Entry[],
  op: number,
  more: Partial<PrepareOk> = {},
): PrepareOk {
  const chain = chainOf(log, op);
  const checkpoint = { cpOp: 0, cpRoot: [0, 0, 0, 0] } as const;
  return { kind: 'prepareOk', ...header(from, 0), op, chain, ...checkpoint, hbEcho: 0, ...more };
}

export function startViewChange(
  from: number,
  view: number,
  phase: 'vote' | 'joined' = 'vote',
): StartViewChange {
  return { kind: 'startViewChange', ...header(from, view), phase };
}

export function doViewChange(
  from: number,
  view: number,
  log: readonly Entry[],
  more: Partial<DoViewChange> = {},
): DoViewChange {
  return {
    kind: 'doViewChange',
    ...header(from, view),
    start: 1,
    lastNormal: { epoch: 0, view: 0 },
    op: log.length,
    chain: chainOf(log, log.length),
    commit: 0,
    commitMax: 0,
    stableOp: 0,
    logStart: 1,
    cpOp: 0,
    ladder: ladderOf(log),
    tail: log.slice(-8),
    ...more,
  };
}

export function startView(
  from: number,
  view: number,
  log: readonly Entry[],
  more: Partial<StartView> = {},
): StartView {
  return {
    kind: 'startView',
    ...header(from, view),
    nonce: 0,
    start: 1,
    op: log.length,
    chain: chainOf(log, log.length),
    viewStartOp: log.length,
    commitMax: 0,
    stableOp: 0,
    logStart: 1,
    cpOp: 0,
    hbSeq: 0,
    ladder: ladderOf(log),
    tail: log.slice(-8),
    ...more,
  };
}

function ladderOf(log: readonly Entry[]): { op: number; chain: Chain }[] {
  const rungs = [];
  for (let op = log.length; op >= 0; op--) rungs.push({ op, chain: chainOf(log, op) });
  return rungs;
}

export function requestStartView(from: number, view: number, nonce: number): RequestStartView {
  return { kind: 'requestStartView', ...header(from, view), nonce, haveOp: 0 };
}

export function getState(
  from: number,
  view: number,
  purpose: GetState['purpose'],
  more: Partial<GetState> = {},
): GetState {
  return {
    kind: 'getState',
    ...header(from, view),
    reqId: 1,
    purpose,
    fromOp: 1,
    toOp: 10,
    prevChain: ORIGIN,
    maxBytes: 1 << 16,
    ...more,
  };
}
