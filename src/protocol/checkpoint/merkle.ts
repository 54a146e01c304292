// The tree over one list of pages (CP2): leaves are digests of pages, sixteen children to a node, up to one top node. A node's
// place is its level and index: leaf i is (0, i), its ancestors (k, i >> 4k), whatever the number of pages. So nodes of two trees
// can be compared place by place, and equal hashes mean equal children.

import { violated } from '../assert.js';
import type { Digest64 } from '../types.js';

export const FAN_OUT = 16;
const FAN_SHIFT = 4;
export const HASH_BYTES = 8;
/** Work of one digest of hashes, as a part of one digest of a page. */
const NODES_PER_PAGE = 8;

/** `levels[k]` holds two words per node of level k, low first; an empty list has one level without nodes. */
export interface Tree {
  readonly pages: number;
  readonly levels: readonly Uint32Array[];
}

export function emptyTree(pages = 0): Tree {
  const levels = [new Uint32Array(2 * pages)];
  for (let nodes = pages; nodes > 1; ) {
    nodes = Math.ceil(nodes / FAN_OUT);
    levels.push(new Uint32Array(2 * nodes));
  }
  return { pages, levels };
}

/** A tree of `pages` pages that begins as a copy of `tree`, as far as both reach. */
export function resized(tree: Tree, pages: number): Tree {
  const copy = emptyTree(pages);
  for (const [level, hashes] of copy.levels.entries()) {
    const known = tree.levels[level];
    if (known !== undefined) hashes.set(known.subarray(0, hashes.length));
  }
  return copy;
}

export function topLevel(tree: Tree): number {
  return tree.levels.length - 1;
}

export function nodesAt(tree: Tree, level: number): number {
  return (tree.levels[level]?.length ?? 0) / 2;
}

/** Children of node `(level, index)`, level from 1 on. */
export function childrenOf(tree: Tree, level: number, index: number): number {
  return Math.max(0, Math.min(FAN_OUT, nodesAt(tree, level - 1) - index * FAN_OUT));
}

export function putHash(tree: Tree, level: number, index: number, hash: ArrayLike<number>): void {
  const hashes = tree.levels[level];
  if (!(hashes !== undefined && 2 * index < hashes.length)) violated(`no node ${level}.${index}`);
  hashes[2 * index] = hash[0] as number;
  hashes[2 * index + 1] = hash[1] as number;
}

/** True when both trees have the node and it is the same in both. */
export function sameNode(
  tree: Tree,
  level: number,
  index: number,
  hash: ArrayLike<number>,
): boolean {
  const hashes = tree.levels[level];
  if (hashes === undefined || 2 * index >= hashes.length) return false;
  return hashes[2 * index] === hash[0] && hashes[2 * index + 1] === hash[1];
}

/** True when both have page `index` and it is the same in both. */
export function sameLeaf(one: Tree, other: Tree, index: number): boolean {
  const [ours] = one.levels;
  const [theirs] = other.levels;
  if (ours === undefined || theirs === undefined || index >= Math.min(one.pages, other.pages))
    return false;
  return ours[2 * index] === theirs[2 * index] && ours[2 * index + 1] === theirs[2 * index + 1];
}

/** Bytes of the hashes of the children of `(level, index)`, to be digested or sent. */
export function childHashes(tree: Tree, level: number, index: number): Uint8Array {
  const hashes = tree.levels[level - 1];
  if (hashes === undefined) violated(`no level ${level - 1}`);
  const from = 2 * FAN_OUT * index;
  const words = hashes.subarray(from, from + 2 * childrenOf(tree, level, index));
  return new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
}

/** Hash of the top node; of an empty list, zeros. */
export function topHash(tree: Tree): Uint32Array {
  const top = tree.levels[topLevel(tree)];
  return top === undefined || top.length === 0 ? new Uint32Array(2) : top;
}

/**
 * A tree that is brought up to date after some of its leaves changed, in slices: leaves are put by `putLeaf`, then `climb`
 * computes what is above them until nothing is left.
 */
export interface Growth {
  readonly tree: Tree;
  /** Per level: 1 for nodes that are out of date; of level 0 nothing is noted. */
  readonly stale: readonly Uint8Array[];
  level: number;
  index: number;
}

/** `from`: the tree before, whose nodes hold as long as no child of theirs changes. */
export function grow(from: Tree, pages: number): Growth {
  const tree = resized(from, pages);
  const stale = tree.levels.map((hashes) => new Uint8Array(hashes.length / 2));
  // Where the old list ended nodes have other children now, and so have all levels that it did not have.
  if (pages !== from.pages)
    for (let level = 1; level < tree.levels.length; level++) {
      const edge = Math.floor(Math.max(0, Math.min(from.pages, pages) - 1) / FAN_OUT ** level);
      stale[level]?.fill(1, Math.min(nodesAt(from, level), edge));
    }
  return { tree, stale, level: 1, index: 0 };
}

export function putLeaf(growth: Growth, index: number, hash: ArrayLike<number>): void {
  putHash(growth.tree, 0, index, hash);
  const parents = growth.stale[1];
  if (parents !== undefined) parents[index >>> FAN_SHIFT] = 1;
}

/** @returns what is left of `budget`, counted in pages; 0 or less: there may be more to do. */
export function climb(growth: Growth, budget: number, digest64: Digest64): number {
  const { tree, stale } = growth;
  const out = new Uint32Array(2);
  let left = budget;
  for (; growth.level < tree.levels.length; growth.level++, growth.index = 0) {
    const nodes = stale[growth.level] as Uint8Array;
    const parents = stale[growth.level + 1];
    for (; growth.index < nodes.length; growth.index++) {
      if (nodes[growth.index] === 0) continue;
      if (left <= 0) return left;
      left -= 1 / NODES_PER_PAGE;
      const children = childHashes(tree, growth.level, growth.index);
      digest64(children, 0, children.length, out);
      putHash(tree, growth.level, growth.index, out);
      if (parents !== undefined) parents[growth.index >>> FAN_SHIFT] = 1;
    }
  }
  return left;
}

export function grown(growth: Growth): boolean {
  return growth.level >= growth.tree.levels.length;
}
