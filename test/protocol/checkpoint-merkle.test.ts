// Trees over pages (CP2): brought up to date after changes they are what a tree built from nothing is, and comparing them place by
// place finds the pages that differ and no others.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ProtocolViolation } from '../../src/protocol/assert.js';
import {
  childHashes,
  childrenOf,
  climb,
  emptyTree,
  FAN_OUT,
  grow,
  grown,
  HASH_BYTES,
  nodesAt,
  putHash,
  putLeaf,
  resized,
  sameNode,
  type Tree,
  topHash,
  topLevel,
} from '../../src/protocol/checkpoint/merkle.js';
import { digest64 } from '../../src/simulation/seeded.js';
import { PROPERTY, TIMEOUT_MS } from '../fuzz/counts.js';

const timeout = TIMEOUT_MS;

type Hash = readonly [number, number];

/** Digest of a page that holds one number. */
function leafOf(content: number): Hash {
  const out = new Uint32Array(2);
  digest64(Uint8Array.of(content, content >> 8, 7), 0, 3, out);
  return [out[0] as number, out[1] as number];
}

/** By the definition: sixteen hashes at a time, low words first, until there is one. */
function levelsOf(contents: readonly number[]): Hash[][] {
  const levels = [contents.map(leafOf)];
  for (let below = levels[0] as Hash[]; below.length > 1; ) {
    const level: Hash[] = [];
    for (let at = 0; at < below.length; at += 16) {
      const group = below.slice(at, at + 16);
      const bytes = new Uint8Array(8 * group.length);
      const view = new DataView(bytes.buffer);
      for (const [n, [low, high]] of group.entries()) {
        view.setUint32(8 * n, low, true);
        view.setUint32(8 * n + 4, high, true);
      }
      const out = new Uint32Array(2);
      digest64(bytes, 0, bytes.length, out);
      level.push([out[0] as number, out[1] as number]);
    }
    levels.push(level);
    below = level;
  }
  return levels;
}

function hashesOf(tree: Tree): number[][] {
  return tree.levels.map((words) => [...words]);
}

/** The tree of `contents`, from that of `before` and what changed; `budgets`: how much is done at a time, over and over. */
function update(
  from: Tree,
  before: readonly number[],
  contents: readonly number[],
  budgets: readonly number[] = [Number.POSITIVE_INFINITY],
): Tree {
  const growth = grow(from, contents.length);
  for (const [index, content] of contents.entries())
    if (content !== before[index]) putLeaf(growth, index, leafOf(content));
  for (let turn = 0; !grown(growth); turn++) {
    expect(turn).toBeLessThan(1 + 16 * contents.length);
    const budget = budgets[turn % budgets.length] as number;
    const left = climb(growth, budget, digest64);
    expect(left).toBeLessThanOrEqual(budget);
    if (left > 0) expect(grown(growth)).toBe(true);
  }
  return growth.tree;
}

function treeOf(contents: readonly number[]): Tree {
  return update(emptyTree(), [], contents);
}

/** Sizes around powers of sixteen, where trees get and lose levels and nodes. */
const size = fc.oneof(
  fc.nat(40),
  fc.nat(600),
  fc.constantFrom(0, 1, 15, 16, 17, 31, 32, 33, 255, 256, 257, 272, 4095, 4096, 4097),
);
const changes = fc.array(fc.nat(5000), { maxLength: 12 });
/** Pages; where they are changed, and to how many they grow or shrink. */
const rounds = fc.array(fc.tuple(size, changes), { minLength: 1, maxLength: 5 });
const budgets = fc.array(fc.double({ min: 0.125, max: 40, noNaN: true }), {
  minLength: 1,
  maxLength: 4,
});

/** Another content of so many pages: `changed` are new, and of the rest those that were there before stay. */
function next(before: readonly number[], count: number, changed: readonly number[]): number[] {
  const contents = Array.from({ length: count }, (_, index) => before[index] ?? index);
  for (const [n, index] of changed.entries())
    if (index < count) contents[index] = ((contents[index] as number) + 1000 + n) & 0xffff;
  return contents;
}

test('CP2: a tree kept up to date through growing, shrinking and changing lists is the tree of the list', {
  timeout,
}, () => {
  fc.assert(
    fc.property(rounds, budgets, (list, slices) => {
      let before: number[] = [];
      let tree = emptyTree();
      for (const [count, changed] of list) {
        const contents = next(before, count, changed);
        const old = hashesOf(tree);
        const updated = update(tree, before, contents, slices);
        expect(hashesOf(tree)).toEqual(old);
        expect(hashesOf(updated)).toEqual(levelsOf(contents).map((level) => level.flat()));
        [tree, before] = [updated, contents];
      }
    }),
    { ...PROPERTY, numRuns: (PROPERTY.numRuns ?? 1000) / 4 },
  );
});

/** Pages that a comparison from the top down finds, as a fetch makes it; and how many nodes it looked into. */
function differing(own: Tree, target: Tree): { pages: number[]; nodes: number } {
  const known = resized(own, target.pages);
  const pages: number[] = [];
  let nodes = 0;
  const compare = (level: number, index: number, hash: ArrayLike<number>): void => {
    if (sameNode(known, level, index, hash)) return;
    if (level === 0) {
      pages.push(index);
      return;
    }
    nodes++;
    const bytes = childHashes(target, level, index).slice();
    const words = new Uint32Array(bytes.buffer);
    for (let child = 0; child < childrenOf(target, level, index); child++)
      compare(level - 1, FAN_OUT * index + child, words.subarray(2 * child));
  };
  if (target.pages > 0) compare(topLevel(target), 0, topHash(target));
  return { pages, nodes };
}

test('CP6: comparing two trees place by place finds the pages that differ, and looks into their ancestors only', {
  timeout,
}, () => {
  fc.assert(
    fc.property(size, size, changes, (count, other, changed) => {
      const own = Array.from({ length: count }, (_, index) => index);
      const target = next(own, other, changed);
      const { pages, nodes } = differing(treeOf(own), treeOf(target));
      const different = [...target.keys()].filter((index) => target[index] !== own[index]);
      expect(pages).toEqual(different);
      // Where the lists end both have other children; else a node is looked into for a page that differs below it.
      const levels = topLevel(treeOf(target));
      const above = new Set<string>();
      for (const index of [...different, other - 1])
        for (let level = 1; level <= levels; level++)
          above.add(`${level}.${Math.floor(index / 16 ** level)}`);
      expect(nodes).toBeLessThanOrEqual(above.size);
    }),
    { ...PROPERTY, numRuns: (PROPERTY.numRuns ?? 1000) / 4 },
  );
});

test('CP2: shapes: levels, children and the hash of nothing', () => {
  for (const [pages, levels] of [
    [0, [0]],
    [1, [1]],
    [2, [2, 1]],
    [16, [16, 1]],
    [17, [17, 2, 1]],
    [256, [256, 16, 1]],
    [257, [257, 17, 2, 1]],
    [4096, [4096, 256, 16, 1]],
  ] as const) {
    const tree = emptyTree(pages);
    expect(levels.map((_, level) => nodesAt(tree, level))).toEqual([...levels]);
    expect([tree.levels.length, nodesAt(tree, levels.length)]).toEqual([levels.length, 0]);
  }
  const tree = emptyTree(17);
  expect([childrenOf(tree, 1, 0), childrenOf(tree, 1, 1), childrenOf(tree, 1, 2)]).toEqual([
    16, 1, 0,
  ]);
  expect([childrenOf(tree, 2, 0), childrenOf(tree, 3, 0)]).toEqual([2, 1]);
  expect(childHashes(tree, 1, 1).length).toBe(HASH_BYTES);
  expect([...topHash(emptyTree())]).toEqual([0, 0]);
  expect(sameNode(tree, 0, 17, [0, 0])).toBe(false);
  expect(sameNode(tree, 3, 0, [0, 0])).toBe(false);
  for (const [level, index] of [
    [0, 17],
    [1, 2],
    [3, 0],
  ] as const)
    expect(() => putHash(tree, level, index, [1, 2])).toThrow(ProtocolViolation);
  expect(() => childHashes(tree, 4, 0)).toThrow(ProtocolViolation);
});
