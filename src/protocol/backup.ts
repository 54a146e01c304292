// A backup in the normal case: it appends what the primary streams, verified (N4), keeps what comes too early, and acknowledges once per
// pass (N5).

import { violated } from './assert.js';
import { noteStable } from './checkpoint/collect.js';
import { NO_ROOT, newest } from './checkpoint/image.js';
import { noteCommit } from './commit-number.js';
import { type Core, isPrimary, mark, primaryNow, send } from './core.js';
import { durableHead } from './durability.js';
import { heard } from './failure-detector.js';
import { appendCopy, chainAt, chainIfPresent, head } from './log.js';
import type { Commit, Entry, Prepare } from './message.js';
import { type Chain, sameChain } from './types.js';

/** N4. The caller has checked view and status. @returns whether entries are missing below this Prepare. */
export function onPrepare(core: Core, message: Prepare): boolean {
  const { state } = core;
  if (isPrimary(core)) return false;
  heard(core, message);
  let gap = false;
  if (message.first > head(state.log) + 1) {
    mark(core, 'prepareEarly');
    keepForLater(core, message);
    gap = true;
  } else {
    appendVerified(core, message.prevChain, message.entries);
    drainBuffered(core);
  }
  noteCommit(core, message.commitMax);
  noteStable(core, message.stableOp);
  state.owesOk = true;
  return gap;
}

/** Appends what is new of `entries`; what is there already must be the same (I3). */
export function appendVerified(core: Core, prevChain: Chain, entries: readonly Entry[]): void {
  const { log } = core.state;
  const first = entries[0];
  if (first === undefined) return;
  if (first.op < log.start) {
    appendKnown(core, entries);
    return;
  }
  const below = chainIfPresent(log, first.op - 1);
  if (below === null) violated(`entries from ${first.op} do not touch the head ${head(log)}`);
  if (!sameChain(below, prevChain))
    violated(`the log below op ${first.op} differs from the sender's`);
  for (const entry of entries) {
    if (entry.op <= head(log)) {
      if (!sameChain(chainAt(log, entry.op), entry.chain))
        violated(`entry ${entry.op} differs from the own`);
      continue;
    }
    if (
      !(
        core.mutations.chainUnverified === true ||
        core.hasher.links(chainAt(log, entry.op - 1), entry)
      )
    )
      violated(`entry ${entry.op} breaks the chain`);
    appendCopy(log, entry);
    core.state.headTick = core.state.now;
  }
}

/** A repetition that begins below the log: what it says of dropped entries was true when they were executed. */
function appendKnown(core: Core, entries: readonly Entry[]): void {
  const { start } = core.state.log;
  const last = entries.find((entry) => entry.op === start - 1);
  if (last !== undefined)
    appendVerified(
      core,
      last.chain,
      entries.filter((entry) => entry.op >= start),
    );
}

/** Prepares that came too early wait, at most a window of them; the rest is repaired (T1). */
export function keepForLater(core: Core, message: Prepare): void {
  const { buffered } = core.state;
  if (buffered.has(message.first) || buffered.size >= core.limits.window) {
    mark(core, 'prepareNotKept');
    return;
  }
  const entries = message.entries.map((entry) => ({ ...entry, body: entry.body.slice() }));
  buffered.set(message.first, { prevChain: message.prevChain, entries });
}

export function drainBuffered(core: Core): void {
  const { buffered, log } = core.state;
  if (buffered.size === 0) return;
  for (const first of [...buffered.keys()].sort((a, b) => a - b)) {
    if (first > head(log) + 1) break;
    const run = buffered.get(first);
    buffered.delete(first);
    if (run !== undefined) appendVerified(core, run.prevChain, run.entries);
  }
}

/** HB3, HB4. @returns whether the head has been behind the primary's for too long. */
export function onCommit(core: Core, message: Commit): boolean {
  const { state } = core;
  if (isPrimary(core)) return false;
  heard(core, message);
  noteCommit(core, message.commitMax);
  noteStable(core, message.stableOp);
  state.owesOk ||= core.mutations.heartbeatsUnanswered !== true;
  if (message.op <= head(state.log)) {
    state.headTick = state.now;
    return false;
  }
  return state.now - state.headTick >= core.timing.transferRetry;
}

/**
 * Has, and has executed, all it was told of, and nobody waits for it: until somebody speaks there is nothing to notice but that the
 * primary is silent.
 */
export function followsAtRest(core: Core): boolean {
  const { state } = core;
  if (state.status !== 'normal' || isPrimary(core) || state.suspect) return false;
  if (state.votes.size > 0 || state.transfer !== null || state.localReads.length > 0) return false;
  if (state.buffered.size > 0 || state.commit < state.commitMax) return false;
  return (core.stateMachine === null ? state.commit : state.applied) === head(state.log);
}

/** N5: one cumulative acknowledgement per pass, before anything is executed. */
export function sendPrepareOk(core: Core): void {
  const { state } = core;
  state.owesOk = false;
  const op = durableHead(core);
  const checkpoint = newest(core);
  const { clusterId, gen, epoch, view, id } = state;
  // Not by spreading a header, here and in the stream: what follows a spread is defined one by one, at a microsecond each.
  send(core, primaryNow(core), {
    kind: 'prepareOk',
    clusterId,
    gen,
    epoch,
    view,
    from: id,
    op,
    chain: chainAt(state.log, op),
    cpOp: checkpoint?.op ?? 0,
    cpRoot: checkpoint?.root ?? NO_ROOT,
    hbEcho: state.lastHbSeq,
  });
}
