// What a checkpoint is: the pages of the state after one op, and the trees over them. The first two lists are the core's own
// (meta, sessions); the service's follow, and their pages stay in its images, named by the op (CP2).

import { assert, violated } from '../assert.js';
import type { Core } from '../core.js';
import type { PagedState } from '../state-machine.js';
import type { Chain, Digest64, OpNumber } from '../types.js';
import { type Tree, topHash } from './merkle.js';

/** Lists before those of the service. */
export const META_LIST = 0;
export const SESSION_LIST = 1;
export const OWN_LISTS = 2;

export interface Checkpoint {
  readonly op: OpNumber;
  /** chain(op), and the time of the entry there. */
  readonly chain: Chain;
  readonly ts: number;
  readonly root: Chain;
  readonly trees: readonly Tree[];
  /** Pages of the own lists. */
  readonly own: readonly (readonly Uint8Array[])[];
}

export const NO_ROOT: Chain = [0, 0, 0, 0];

/** The newest complete checkpoint, or null before the first (CP3). */
export function newest(core: Core): Checkpoint | null {
  const { checkpoints } = core.state;
  return checkpoints[checkpoints.length - 1] ?? null;
}

export function checkpointAt(core: Core, op: OpNumber): Checkpoint | null {
  return core.state.checkpoints.find((checkpoint) => checkpoint.op === op) ?? null;
}

/** The service's pages; a witness has none, nor has a service that keeps its state to itself. */
export function pagesOf(core: Core): PagedState | null {
  return core.stateMachine?.pages ?? null;
}

/** A view of one page of a complete checkpoint, valid until something changes. */
export function pageOf(
  core: Core,
  checkpoint: Checkpoint,
  list: number,
  index: number,
): Uint8Array {
  if (list < OWN_LISTS) {
    const page = checkpoint.own[list]?.[index];
    if (page === undefined) violated(`checkpoint ${checkpoint.op} has no page ${list}.${index}`);
    return page;
  }
  const pages = pagesOf(core);
  assert(pages !== null, 'a replica without pages has no checkpoint');
  return pages.page(checkpoint.op, list - OWN_LISTS, index);
}

/** The hashes of the top nodes, list after list. */
export function topsOf(trees: readonly Tree[]): Uint8Array {
  const words = new Uint32Array(2 * trees.length);
  for (const [list, tree] of trees.entries()) words.set(topHash(tree), 2 * list);
  return new Uint8Array(words.buffer);
}

const AT_CHAIN = 16;
const AT_LISTS = 32;
const LIST_BYTES = 16;

/** 128 bits over op, chain and the lists (CP2); the configuration lies in the meta page. */
export function rootOf(
  digest64: Digest64,
  at: { op: OpNumber; chain: Chain },
  lists: { counts: readonly number[]; tops: Uint8Array },
): Chain {
  const block = new Uint8Array(AT_LISTS + LIST_BYTES * lists.counts.length);
  const view = new DataView(block.buffer);
  view.setFloat64(8, at.op, true);
  for (const [word, value] of at.chain.entries()) view.setInt32(AT_CHAIN + 4 * word, value, true);
  for (const [list, count] of lists.counts.entries()) {
    view.setUint32(AT_LISTS + LIST_BYTES * list, count, true);
    block.set(lists.tops.subarray(8 * list, 8 * list + 8), AT_LISTS + LIST_BYTES * list + 8);
  }
  const out = new Uint32Array(4);
  view.setUint32(0, 1, true);
  digest64(block, 0, block.length, out.subarray(0, 2));
  view.setUint32(0, 2, true);
  digest64(block, 0, block.length, out.subarray(2, 4));
  const [a = 0, b = 0, c = 0, d = 0] = out;
  return [a | 0, b | 0, c | 0, d | 0];
}
