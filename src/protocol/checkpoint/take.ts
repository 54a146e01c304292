// Taking a checkpoint (CP1): at fixed points of the log the state is frozen, which costs next to nothing, and then hashed in slices
// between passes, while later entries are executed. Only pages written since the checkpoint before are hashed again.

import { assert, violated } from '../assert.js';
import { type Core, mark } from '../core.js';
import { entryCost } from '../log.js';
import type { Entry } from '../message.js';
import type { PagedState } from '../state-machine.js';
import type { Chain, OpNumber } from '../types.js';
import { collect, countCheckpoints, releaseOld } from './collect.js';
import {
  type Checkpoint,
  META_LIST,
  newest,
  OWN_LISTS,
  pagesOf,
  rootOf,
  SESSION_LIST,
  topsOf,
} from './image.js';
import { climb, emptyTree, type Growth, grow, grown, putLeaf } from './merkle.js';
import { encodeMeta } from './meta-page.js';
import { noteOwnRoot } from './roots.js';
import { encodeRow, type FrozenRow, freezeRows } from './session-pages.js';

/** Work of finding that a page has not changed, as a part of hashing one. */
const LOOKS_PER_PAGE = 64;
/** Bytes of entries between two checkpoints per byte of state, between the limits. */
const BYTES_PER_STATE = 4;

/** Of this replica and all others; or of its own only, for a fetch to compare with. */
export type Purpose = 'checkpoint' | 'basis';

/** A checkpoint in the making: frozen, not yet hashed. */
export interface Taking {
  readonly op: OpNumber;
  readonly chain: Chain;
  readonly ts: number;
  readonly purpose: Purpose;
  /** Frozen sessions; those before `row` are encoded. */
  readonly rows: readonly FrozenRow[];
  row: number;
  readonly own: Uint8Array[][];
  /** One per list that was begun. */
  readonly growths: Growth[];
  /** The next page to hash. */
  list: number;
  index: number;
}

/**
 * After each executed entry. Points are the multiples of `checkpointEvery`, and in between wherever enough bytes of entries have
 * come since the last one: with large entries the log would reach its limit before the first multiple. Both depend on the history
 * only, so they are the same everywhere.
 */
export function atPoint(core: Core, entry: Entry): void {
  const { state, limits } = core;
  state.sincePoint += entryCost(entry);
  const pages = pagesOf(core);
  if (entry.op % limits.checkpointEvery !== 0 && !enoughBytes(core, pages)) return;
  state.sincePoint = 0;
  if (pages === null) return;
  if (state.taking === null && state.saving === null) freeze(core, entry, 'checkpoint');
  else mark(core, 'checkpointSkipped');
}

function enoughBytes({ state, limits }: Core, pages: PagedState | null): boolean {
  if (state.sincePoint < Math.min(limits.checkpointBytesLeast, limits.checkpointBytes))
    return false;
  const wanted = BYTES_PER_STATE * (pages?.liveBytes ?? 0);
  return state.sincePoint >= Math.min(wanted, limits.checkpointBytes);
}

/** `at`: the last executed entry. */
export function freeze(
  core: Core,
  at: { op: OpNumber; chain: Chain; ts: number },
  purpose: Purpose,
): void {
  const { state } = core;
  const pages = pagesOf(core);
  assert(pages !== null && state.taking === null, 'nothing to freeze, or not now');
  const { op, chain, ts } = at;
  pages.freeze(op);
  const meta = encodeMeta({ op, ts, configuration: state.configuration }, pages.pageBytes);
  const rows = freezeRows(state.table);
  const own = [[meta], []];
  state.taking = { op, chain, ts, purpose, rows, row: 0, own, growths: [], list: 0, index: 0 };
}

/** Hashes about `budget` pages. @returns what is left of it; more than 0: the checkpoint is complete. */
export function advanceTaking(core: Core, budget: number): number {
  const { taking } = core.state;
  const pages = pagesOf(core);
  if (taking === null || pages === null) return budget;
  let left = budget;
  for (; taking.row < taking.rows.length; taking.row++) {
    if (left <= 0) return left;
    const encoded = encodeRow(taking.rows[taking.row] as FrozenRow, pages.pageBytes);
    taking.own[SESSION_LIST]?.push(...encoded);
    left -= encoded.length;
  }
  for (; taking.list < OWN_LISTS + pages.lists; taking.list++, taking.index = 0) {
    const growth = taking.growths[taking.list] ?? beginList(core, taking);
    for (; taking.index < growth.tree.pages; taking.index++) {
      if (left <= 0) return left;
      left -= hashPage(core, taking, pages, growth);
    }
    left = climb(growth, left, core.digest64);
    if (!grown(growth)) return left;
  }
  complete(core, taking);
  return left;
}

function beginList(core: Core, taking: Taking): Growth {
  const before = taking.list < OWN_LISTS ? undefined : imageBefore(core)?.trees[taking.list];
  const growth = grow(before ?? emptyTree(), countOf(core, taking));
  taking.growths.push(growth);
  return growth;
}

/** The last one that was completed, of whatever purpose: which pages changed is known since then. */
function imageBefore(core: Core): Checkpoint | null {
  const { saving, basis } = core.state;
  let last = newest(core);
  for (const image of [saving, basis])
    if (image !== null && image.op > (last?.op ?? 0)) last = image;
  return last;
}

function countOf(core: Core, { op, list, own }: Taking): number {
  if (list < OWN_LISTS) return own[list]?.length ?? 0;
  return pagesOf(core)?.pageCount(op, list - OWN_LISTS) ?? 0;
}

/** @returns the work it was, in pages. */
function hashPage(core: Core, taking: Taking, pages: PagedState, growth: Growth): number {
  const { op, list, index } = taking;
  const service = list - OWN_LISTS;
  if (service >= 0 && !pages.changed(op, service, index)) return 1 / LOOKS_PER_PAGE;
  const page = service < 0 ? taking.own[list]?.[index] : pages.page(op, service, index);
  if (page === undefined) violated(`no page ${list}.${index} to hash`);
  const out = new Uint32Array(2);
  core.digest64(page, 0, page.length, out);
  putLeaf(growth, index, out);
  return 1;
}

function complete(core: Core, taking: Taking): void {
  const { state } = core;
  const { op, chain, ts, own, purpose } = taking;
  const trees = taking.growths.map((growth) => growth.tree);
  assert(own[META_LIST]?.length === 1, 'a checkpoint has one meta page');
  const counts = trees.map((tree) => tree.pages);
  const root = rootOf(core.digest64, { op, chain }, { counts, tops: topsOf(trees) });
  state.taking = null;
  const checkpoint = { op, chain, ts, root, trees, own };
  dropBasis(core);
  if (purpose === 'basis') {
    state.basis = checkpoint;
    return;
  }
  if (core.durability === 'memory') keep(core, checkpoint);
  else {
    state.saving = checkpoint;
    core.effects.push({ type: 'saveCheckpoint', op });
  }
}

/** A later image is complete, and which pages changed is known since that one. */
function dropBasis(core: Core): void {
  const { state } = core;
  if (state.basis !== null) pagesOf(core)?.release(state.basis.op);
  state.basis = null;
}

/** It is complete, and durable where there are disks. */
export function keep(core: Core, checkpoint: Checkpoint): void {
  const { state } = core;
  const { op, root } = checkpoint;
  state.checkpoints = [...state.checkpoints, checkpoint];
  mark(core, 'checkpointTaken');
  // Whoever leads should hear of it (CP3).
  if (state.status === 'normal') state.owesOk = true;
  noteOwnRoot(core, op, root);
  releaseOld(core);
  countCheckpoints(core);
  collect(core);
}
