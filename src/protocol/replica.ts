// The replica: one entrance, `step(event)`, one exit, an ordered list of effects. Every guard that decides *which* rule runs
// stands here, always in the same order (3.1); the rules themselves live in one module per sub-protocol.

import { laterView, onClient, onRead, onRequest, takesReads, takesRequests } from './admission.js';
import { violated } from './assert.js';
import { followsAtRest, onCommit, onPrepare } from './backup.js';
import { BodyPool } from './body-pool.js';
import { ChainHasher } from './chain.js';
import { tickPins } from './checkpoint/collect.js';
import { onGetCheckpoint, onGetNodes, onGetPages } from './checkpoint/donate.js';
import { resumeFetch } from './checkpoint/fetch.js';
import { onCheckpointRoot } from './checkpoint/roots.js';
import { advanceTaking, keep } from './checkpoint/take.js';
import { awaitsAcknowledgements, onPrepareOk } from './commit-number.js';
import { roleOf } from './configuration.js';
import { type Core, emptyRotation, isMember, leads, makeSink, mark, primaryNow } from './core.js';
import { onGetState } from './donors.js';
import type { Effect, Event } from './effect.js';
import { announceView, considerStart, onDoViewChange } from './elect.js';
import { assertRole, execute, hasWork } from './execution.js';
import { enter, onHint, onTick, sendHeldPromise } from './failure-detector.js';
import { onCheckpointStored, onStored } from './flushed.js';
import { onCheckpointAnswer } from './install.js';
import { noteDeparture, noteDrained } from './lease.js';
import type { ProtocolTiming } from './limits.js';
import { takesLocalReads } from './local-reads.js';
import type {
  CheckpointMessage,
  ClientMessage,
  GetState,
  MessageKind,
  NewState,
  ReplicaMessage,
} from './message.js';
import { missedStartView } from './missed-view.js';
import { forgetReads, noteBlocked } from './reads.js';
import {
  boot,
  onStartViewWhileRecovering,
  promiseWhileRecovering,
  tickRecovery,
} from './recovery.js';
import type { ReplicaOptions } from './replica-options.js';
import { cloneState, emptyState, type ReplicaState } from './state.js';
import type { StateMachine } from './state-machine.js';
import { endPass, hasNews, onIdle, repeatStreams } from './stream.js';
import {
  beginGapRepair,
  donorExited,
  forgetLostLog,
  onNewState,
  tickTransfer,
} from './transfer.js';
import type { ClientAddress, Clock, Random32 } from './types.js';
import { jump, onRequestStartView, onStartView, onStartViewChange } from './view-change.js';

const SINK_BYTES = 64 << 10;

/**
 * One replica of the group (VR Revisited section 4, as hardened in docs/protocol.md). Pure: no clock, no I/O, no randomness
 * of its own.
 *
 * @throws {ProtocolViolation} from `step` when an invariant is broken; the replica must not be used any more.
 */
export class Replica {
  readonly #core: Core;
  readonly #options: ReplicaOptions;

  /** `from`: continue in that state instead of an empty one (clones, of the explorer). */
  constructor(options: ReplicaOptions, from?: ReplicaState) {
    const role = roleOf(options.configuration, options.id);
    if (role === null) violated(`replica ${options.id} is not a member`);
    if (
      !(
        (role === 'active') === (options.stateMachine !== null) ||
        options.mutations?.witnessMayLead === true
      )
    )
      violated(`an active has a state machine, a witness has none (replica ${options.id})`);
    if (!(options.start >= 1)) violated(`start counters begin at 1, got ${options.start}`);
    const hasher = new ChainHasher(options.digest64);
    const { id, clusterId, gen, start, configuration } = options;
    const origin = hasher.origin(clusterId);
    this.#options = options;
    const state = from ?? emptyState({ id, role, clusterId, gen, start, configuration, origin });
    if (from === undefined) {
      state.log.arena.spare.push(...(options.logSegments ?? []));
      state.log.arena.reuses = options.reusesMemory === true;
    }
    this.#core = {
      state,
      limits: options.limits,
      timing: options.timing,
      random: options.random,
      clock: options.clock ?? standingStill(options.timing),
      timed: options.clock !== undefined,
      revoked: options.revoked ?? (() => false),
      hasher,
      digest64: options.digest64,
      durability: options.durability ?? 'memory',
      stateMachine: options.stateMachine,
      sink: makeSink(SINK_BYTES),
      mutations: options.mutations ?? {},
      marks: options.marks ?? null,
      entries: options.entries ?? null,
      bodies: options.reusesMemory === true ? new BodyPool() : null,
      effects: [],
      rotation: emptyRotation(),
      blockedUpTo: noteBlocked(new Map(), state.blockedReads),
    };
  }

  get state(): ReplicaState {
    return this.#core.state;
  }

  /** False: leave Register, Unregister and Request unread (N1, BP2). */
  get takesRequests(): boolean {
    return takesRequests(this.#core);
  }

  /** False: leave Read unread. */
  get takesReads(): boolean {
    return takesReads(this.#core);
  }

  /** False: leave a message of this kind unread in its ring. */
  takes(kind: MessageKind): boolean {
    if (kind === 'localRead') return takesLocalReads(this.#core);
    return kind === 'read' ? this.takesReads : this.takesRequests;
  }

  /** True: an `execute` event would do something. */
  get hasWork(): boolean {
    return hasWork(this.#core);
  }

  /** True: an `idle` event would tell the others what is committed (HB7). */
  get hasNews(): boolean {
    return hasNews(this.#core);
  }

  /** False at a primary that has heard all it needs: what acknowledgements still come may wait for the next pass. */
  get awaitsAcknowledgements(): boolean {
    return awaitsAcknowledgements(this.#core);
  }

  /** True at a backup whose ticks may come in bundles: it has nothing to repeat and nobody to answer. */
  get followsAtRest(): boolean {
    return followsAtRest(this.#core);
  }

  /** True: a `checkpoint` event would do something. */
  get checkpointing(): boolean {
    return this.#core.state.taking !== null;
  }

  /** True: an unfinished entry waits for company, so another endOfPass must follow soon. */
  get lingering(): boolean {
    return this.#core.state.building.count > 0;
  }

  /** A replica in the same state that shares nothing mutable; the caller hands in a state machine of its own. */
  clone(stateMachine: StateMachine | null, random: Random32): Replica {
    return new Replica({ ...this.#options, stateMachine, random }, cloneState(this.state));
  }

  /** Everything that happens to a replica. */
  step(event: Event): readonly Effect[] {
    const core = this.#core;
    // Emptying a list takes longer than making one, and gives up its memory all the same.
    if (core.effects.length > 0) core.effects = [];
    const ledView = leads(core) ? core.state.view : -1;
    switch (event.type) {
      case 'boot':
        boot(core, this.#options.register, {
          stored: this.#options.stored ?? null,
          cold: this.#options.cold === true,
          alone: this.#options.alone === true,
        });
        break;
      case 'message':
        onMessage(core, event.message);
        break;
      case 'client':
        if (!isLate(core, event.message)) onClient(core, event.address, event.message);
        break;
      case 'request':
        if (!isLate(core, event.request)) onRequest(core, event.address, event.request);
        break;
      case 'read':
        if (!isLate(core, event.read)) onRead(core, event.address, event.read);
        break;
      case 'tick':
        core.state.now += event.count;
        onTimers(core);
        break;
      case 'endOfPass':
        endPass(core, event.nowUs, event.room);
        noteDrained(core, event.drainedAt);
        break;
      case 'execute':
        execute(core, event.budget, event.reads);
        break;
      case 'stored':
        onStored(core, event.series, event.op);
        break;
      case 'checkpointStored':
        onCheckpointStored(core, event.op, (checkpoint) => keep(core, checkpoint));
        break;
      case 'storeFull':
        this.#core.state.storeFull = event.full;
        break;
      case 'checkpoint':
        advanceTaking(core, event.budget);
        resumeFetch(core);
        break;
      case 'idle':
        onIdle(core);
        break;
      case 'hint':
        onHint(core, event.hint);
        if (event.hint.kind === 'exited') {
          forgetLostLog(core, event.hint.id, event.hint.start + 1);
          donorExited(core, event.hint.id);
        } else if (event.hint.kind === 'started')
          forgetLostLog(core, event.hint.id, event.hint.start);
        break;
      case 'detach':
        forget(core, event.address);
        break;
    }
    sendHeldPromise(core);
    considerStart(core);
    if (leads(core) && core.state.view !== ledView && event.type !== 'boot') announceView(core);
    assertRole(core);
    return core.effects;
  }
}

function standingStill({ leaseMs }: ProtocolTiming): Clock {
  if (leaseMs !== 0) violated(`leases of ${leaseMs} ms need a clock`);
  return () => 0;
}

/** The acceptance filter (3.1): one place decides what an old, foreign or early message may still do. */
function onMessage(core: Core, message: ReplicaMessage): void {
  const { state } = core;
  if (message.clusterId !== state.clusterId || message.gen !== state.gen) return; // G1
  if (message.epoch !== state.epoch) return; // one epoch until reconfiguration exists
  if (message.from === state.id || !isMember(core, message.from)) return; // G4
  noteDeparture(core, message);
  if (state.status === 'recovering') {
    onMessageWhileRecovering(core, message);
    return;
  }
  if (onCheckpointMessage(core, message)) return;
  // Repair carries no view of its own: request ids and chains decide (G5 lists what is view-scoped).
  if (message.kind === 'getState') {
    onGetState(core, message);
    return;
  }
  if (message.kind === 'newState') {
    onNewState(core, message);
    return;
  }
  if (message.view < state.view) {
    const late = message.kind === 'requestStartView' && message.nonce > 0;
    if (!late) {
      mark(core, 'messageOfEarlierView');
      return;
    }
  }
  if (message.view > state.view) jump(core, message);
  onMessageOfView(core, message);
}

/** G6: nothing but what ends the recovery, in particular no vote and no promise (E9). */
function onMessageWhileRecovering(core: Core, message: ReplicaMessage): void {
  if (message.kind === 'startView') onStartViewWhileRecovering(core, message);
  else if (message.kind === 'newState') onNewState(core, message);
  else if (ANSWERS.has(message.kind)) onCheckpointMessage(core, message);
  else if (
    core.mutations.recoveringPromises === true &&
    (message.kind === 'startViewChange' || message.kind === 'doViewChange') &&
    message.view >= core.state.view
  ) {
    promiseWhileRecovering(core, message.view);
    onMessageOfView(core, message);
  }
}

/** What a recovering replica may hear of checkpoints: answers, no questions (CP7). */
const ANSWERS: ReadonlySet<ReplicaMessage['kind']> = new Set(['checkpointMeta', 'nodes', 'pages']);

/** CP6, CP7: in any status and view, for a checkpoint is committed state. */
function onCheckpointMessage(core: Core, message: ReplicaMessage): message is CheckpointMessage {
  switch (message.kind) {
    case 'getCheckpoint':
      onGetCheckpoint(core, message);
      return true;
    case 'getNodes':
      onGetNodes(core, message);
      return true;
    case 'getPages':
      onGetPages(core, message);
      return true;
    case 'checkpointMeta':
    case 'nodes':
    case 'pages':
      onCheckpointAnswer(core, message);
      return true;
    default:
      return false;
  }
}

function onMessageOfView(
  core: Core,
  message: Exclude<ReplicaMessage, CheckpointMessage | GetState | NewState>,
): void {
  const normal = core.state.status === 'normal';
  switch (message.kind) {
    case 'prepare':
      if (!normal) missedStartView(core, message);
      else if (onPrepare(core, message)) beginGapRepair(core, message.first - 1);
      return;
    case 'commit':
      if (!normal) missedStartView(core, message);
      else if (onCommit(core, message)) beginGapRepair(core, message.op);
      return;
    case 'prepareOk':
      if (leads(core)) onPrepareOk(core, message);
      return;
    case 'startViewChange':
      onStartViewChange(core, message);
      return;
    case 'doViewChange':
      onDoViewChange(core, message);
      return;
    case 'startView':
      onStartView(core, message);
      return;
    case 'requestStartView':
      onRequestStartView(core, message);
      return;
    case 'checkpointRoot':
      if (normal && message.from === primaryNow(core)) onCheckpointRoot(core, message);
      return;
  }
}

/** CS4: the client knows of a later view, which this replica enters instead of answering. */
function isLate(core: Core, message: Pick<ClientMessage, 'epoch' | 'seenView'>): boolean {
  const later = laterView(core, message);
  if (later !== null) enter(core, later);
  return later !== null;
}

function onTimers(core: Core): void {
  onTick(core);
  tickTransfer(core);
  tickRecovery(core);
  tickPins(core);
  if (leads(core)) repeatStreams(core);
}

/** The client behind `address` is gone; its session lives on until it is removed through the log (CS8). */
function forget(core: Core, address: ClientAddress): void {
  const { state } = core;
  for (const [session, admission] of state.admissions)
    if (admission.address === address) state.admissions.delete(session);
  for (const [key, waiting] of state.registrations)
    if (waiting === address) state.registrations.delete(key);
  forgetReads(core, address);
}
