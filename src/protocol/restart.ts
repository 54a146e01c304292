// A replica that finds something on its disk (protocol.md 3.8): what it may believe of it, and where it goes on. Everything is verified
// before anything of it counts: pages against their tree and root, entries against their chain.

import { hasWitnesses } from './checkpoint/collect.js';
import {
  type Checkpoint,
  META_LIST,
  OWN_LISTS,
  pagesOf,
  rootOf,
  SESSION_LIST,
  topsOf,
} from './checkpoint/image.js';
import { climb, emptyTree, grow, putLeaf, type Tree } from './checkpoint/merkle.js';
import { decodeMeta } from './checkpoint/meta-page.js';
import { noteOwnRoot } from './checkpoint/roots.js';
import { decodeRows } from './checkpoint/session-pages.js';
import { type Core, isPrimary, mark, noticeStatus } from './core.js';
import {
  resetFailureTimer,
  sendJoined,
  startViewChangeTimer,
  suspect,
  writeRegister,
} from './failure-detector.js';
import { appendOwned, head, restartAbove } from './log.js';
import type { Entry } from './message.js';
import { startLeading } from './stream.js';
import {
  type Chain,
  compareStamps,
  type OpNumber,
  type Stamp,
  type StartNumber,
  sameChain,
} from './types.js';

/** A checkpoint as it was found: pages of all lists, meta and sessions first. */
export interface StoredCheckpoint {
  readonly op: OpNumber;
  readonly root: Chain;
  readonly lists: readonly (readonly Uint8Array[])[];
}

/** What a replica's store showed. Entries may view memory that stays as it is. */
export interface Stored {
  /** P4: it is known to hold all that was acknowledged, or everybody starts from such a store; else a hint (R1). */
  readonly trusted: boolean;
  readonly lastNormal: Stamp;
  readonly viewStartOp: OpNumber;
  readonly primaryStart: StartNumber;
  readonly commit: OpNumber;
  readonly baseOp: OpNumber;
  readonly baseChain: Chain;
  readonly baseTs: number;
  readonly entries: readonly Entry[];
  /** null: none was taken yet, or a witness. */
  readonly checkpoint: StoredCheckpoint | null;
}

/** @returns null when all of it is whole; else what is wrong with it (P3), and nothing was taken over. */
export function load(core: Core, stored: Stored): string | null {
  let below = stored.baseChain;
  let op = stored.baseOp;
  for (const entry of stored.entries) {
    if (entry.op !== op + 1 || !core.hasher.links(below, entry)) return `entry ${op + 1} is broken`;
    below = entry.chain;
    op = entry.op;
  }
  if (stored.commit > op) return `the log ends at ${op}, below commit ${stored.commit}`;
  const { checkpoint } = stored;
  const found = checkpoint === null ? null : verified(core, checkpoint, stored);
  if (typeof found === 'string') return found;
  if (found === null && stored.baseOp > 0 && core.stateMachine !== null)
    return `the log begins above ${stored.baseOp}, without a checkpoint`;
  if (found !== null && found.op < stored.baseOp) return `checkpoint ${found.op} is below the log`;
  takeOver(core, stored, found);
  return null;
}

/** Its trees, computed anew; or why it is of no use. */
function verified(core: Core, stored: StoredCheckpoint, log: Stored): Checkpoint | string {
  const pages = pagesOf(core);
  if (pages === null) return 'a checkpoint for a replica without pages';
  const trees: Tree[] = stored.lists.map((list) => treeOf(core, list));
  const [meta] = stored.lists[META_LIST] ?? [];
  if (meta === undefined || stored.lists.length !== OWN_LISTS + pages.lists)
    return `checkpoint ${stored.op} has ${stored.lists.length} lists`;
  const { op } = stored;
  const { ts } = decodeMeta(meta);
  const chain = op === log.baseOp ? log.baseChain : log.entries[op - log.baseOp - 1]?.chain;
  if (chain === undefined) return `checkpoint ${op} is outside of the log`;
  const lists = { counts: trees.map((tree) => tree.pages), tops: topsOf(trees) };
  const root = rootOf(core.digest64, { op, chain }, lists);
  if (!sameChain(root, stored.root)) return `checkpoint ${op} has another root than it says`;
  return { op, chain, ts, root, trees, own: stored.lists.slice(0, OWN_LISTS) };
}

function treeOf(core: Core, pages: readonly Uint8Array[]): Tree {
  const growth = grow(emptyTree(), pages.length);
  const out = new Uint32Array(2);
  for (const [index, page] of pages.entries()) {
    core.digest64(page, 0, page.length, out);
    putLeaf(growth, index, out);
  }
  climb(growth, Number.POSITIVE_INFINITY, core.digest64);
  return growth.tree;
}

function takeOver(core: Core, stored: Stored, checkpoint: Checkpoint | null): void {
  const { state } = core;
  const { baseOp, baseChain, baseTs } = stored;
  restartAbove(state.log, { op: baseOp, chain: baseChain, ts: baseTs });
  // E11: of a store that may lack acknowledged entries only what was committed counts.
  const committed = Math.max(stored.commit, checkpoint?.op ?? 0);
  const last = stored.trusted ? Number.POSITIVE_INFINITY : committed;
  for (const entry of stored.entries) if (entry.op <= last) appendOwned(state.log, entry);
  state.lastNormal = stored.lastNormal;
  state.viewStartOp = stored.viewStartOp;
  state.primaryStart = stored.primaryStart;
  // Where there are witnesses, nothing was dropped above it (CP5); it grows with the first news of the primary.
  if (hasWitnesses(core)) state.stableOp = baseOp;
  // The commit number is stored with the next entries only; a checkpoint is of what was committed.
  state.commit = committed;
  state.commitMax = Math.max(state.commit, state.stableOp);
  state.storedOp = head(state.log);
  state.durableOp = head(state.log);
  state.haveOp = state.commit;
  const pages = pagesOf(core);
  if (checkpoint === null || pages === null) return;
  const lists = stored.checkpoint?.lists.slice(OWN_LISTS) ?? [];
  pages.restore(
    null,
    lists.map((list) => ({ count: list.length, pages: new Map(list.entries()) })),
  );
  pages.freeze(checkpoint.op);
  state.table = decodeRows(checkpoint.own[SESSION_LIST] ?? [], pages.pageBytes);
  state.checkpoints = [checkpoint];
  state.applied = checkpoint.op;
  noteOwnRoot(core, checkpoint.op, checkpoint.root);
}

/**
 * P4: with a trusted store the replica goes on where it was, unless it led: then it never leads that view again (D20). `cold`: all
 * of them do, from stores that may lack their ends (P6).
 */
export function goOn(core: Core, register: Stamp, cold: boolean): void {
  const { state } = core;
  mark(core, 'restartedFromDisk');
  const stamp = compareStamps(register, state.lastNormal) >= 0 ? register : state.lastNormal;
  state.register = register;
  writeRegister(core, stamp);
  state.epoch = stamp.epoch;
  state.view = stamp.view;
  state.cold = cold;
  if (cold) state.coldUntil = state.now + core.timing.coldWait;
  resetFailureTimer(core);
  const led = isPrimary(core) && core.mutations.restartedLeads !== true;
  if (compareStamps(stamp, state.lastNormal) === 0 && !led) {
    state.status = 'normal';
    if (isPrimary(core)) startLeading(core);
    state.owesOk = true;
    noticeStatus(core);
    return;
  }
  state.status = 'view-change';
  state.cannotLead = isPrimary(core);
  noticeStatus(core);
  startViewChangeTimer(core);
  sendJoined(core);
  if (state.cannotLead) suspect(core, 'crash');
}
