// Fetching a checkpoint (CP6): its root says whether anything differs from the own state, then only differing nodes are descended
// into and only differing pages fetched, each verified on arrival. When the donor dies or has moved on, another checkpoint may be
// the target; pages that are the same in it are not fetched again. Nothing of the own state changes before the Install's switch.

import { assert, violated } from '../assert.js';
import { type Core, header, mark, nextRequest, notice, send } from '../core.js';
import type { CheckpointAnswer, CheckpointMeta, Nodes, Pages } from '../message.js';
import type { ListContent } from '../state-machine.js';
import { type Chain, type OpNumber, type ReplicaId, sameChain } from '../types.js';
import { basisNow, imageAt } from './basis.js';
import { INDICES_MAX, pagesPerMessage } from './donate.js';
import { META_LIST, OWN_LISTS, pageOf, pagesOf, rootOf } from './image.js';
import {
  childrenOf,
  emptyTree,
  FAN_OUT,
  HASH_BYTES,
  putHash,
  resized,
  sameNode,
  type Tree,
  topHash,
  topLevel,
} from './merkle.js';
import { decodeMeta } from './meta-page.js';

/** Requests outstanding at a time (CP6). */
const REQUESTS_MAX = 2;

interface Place {
  readonly list: number;
  readonly level: number;
  readonly index: number;
}

interface OpenRequest {
  readonly reqId: number;
  readonly list: number;
  /** Level of the nodes whose children were asked for; 0: pages; -1: which checkpoint. */
  readonly level: number;
  readonly indices: readonly number[];
}

/** A page that arrived and was verified: worth keeping until the replica is normal, whatever becomes of this fetch. */
interface KeptPage {
  readonly low: number;
  readonly high: number;
  readonly bytes: Uint8Array;
}
/** By list, then by index. */
export type KeptPages = Map<number, Map<number, KeptPage>>;

export interface Fetch {
  /** A checkpoint below this leaves a gap to the entries that can be had. */
  readonly minOp: OpNumber;
  /** The own image, of which equal pages are taken; null: there is none. */
  from: OpNumber | null;
  /** False: the own state is still being hashed, and nobody has been asked. */
  begun: boolean;
  readonly donors: ReplicaId[];
  donor: number;
  fruitless: number;
  retryTicks: number;
  deadline: number;
  meta: Pick<CheckpointMeta, 'cpOp' | 'cpChain' | 'root' | 'pageCounts' | 'tops'> | null;
  /** The target's, as far as it is known; the rest as in the own image. */
  trees: Tree[];
  /** Nodes that differ, whose children are still to be asked for. */
  nodes: Place[];
  /** Pages still to be asked for, by list. */
  wanted: number[][];
  open: OpenRequest[];
  pages: number;
  bytes: number;
}

/** A complete, verified checkpoint of another replica, to be adopted by the switch. */
export interface Shadow {
  readonly op: OpNumber;
  readonly chain: Chain;
  readonly ts: number;
  readonly root: Chain;
  readonly trees: readonly Tree[];
  readonly own: readonly (readonly Uint8Array[])[];
  readonly from: OpNumber | null;
  readonly content: readonly ListContent[];
}

export function beginFetch(core: Core, minOp: OpNumber, donors: ReplicaId[]): Fetch {
  const { timing } = core;
  const fetch: Fetch = {
    minOp,
    from: null,
    begun: false,
    donors,
    donor: 0,
    fruitless: 0,
    retryTicks: timing.transferRetry,
    deadline: Number.POSITIVE_INFINITY,
    meta: null,
    trees: [],
    nodes: [],
    wanted: [],
    open: [],
    pages: 0,
    bytes: 0,
  };
  compareWith(core, fetch);
  return fetch;
}

/** After each slice of hashing: a fetch that waits for it may begin. */
export function resumeFetch(core: Core): void {
  const fetch = core.state.transfer?.fetch ?? null;
  if (fetch !== null && !fetch.begun) compareWith(core, fetch);
}

function compareWith(core: Core, fetch: Fetch): void {
  const basis = basisNow(core);
  if (basis === null) return;
  if (basis !== 'nothing') fetch.from = basis.op;
  fetch.begun = true;
  fetch.deadline = core.state.now + fetch.retryTicks;
  askMeta(core, fetch);
}

function donorOf(fetch: Fetch): ReplicaId | undefined {
  return fetch.donors[fetch.donor % Math.max(1, fetch.donors.length)];
}

function askMeta(core: Core, fetch: Fetch): void {
  const to = donorOf(fetch);
  if (to === undefined) return; // nobody to ask: the timers act
  const reqId = nextRequest(core);
  fetch.open = [{ reqId, list: 0, level: -1, indices: [] }];
  send(core, to, { kind: 'getCheckpoint', ...header(core), reqId, minOp: fetch.minOp });
}

/** @returns the shadow when this was the last piece; `next`: the donor is of no use. */
export function onFetched(
  core: Core,
  fetch: Fetch,
  message: CheckpointAnswer,
): Shadow | 'next' | null {
  const request = fetch.open.find((open) => open.reqId === message.reqId);
  if (request === undefined) {
    mark(core, 'transferAnswerLate');
    return null;
  }
  fetch.open = fetch.open.filter((open) => open !== request);
  let fine = false;
  if (message.kind === 'checkpointMeta') fine = useMeta(core, fetch, message);
  else if (message.status === 'gone') {
    // It has moved on: its newest checkpoint shares most of its pages with the one before.
    mark(core, 'checkpointMoved');
    askMeta(core, fetch);
    return null;
  } else if (message.kind === 'nodes') fine = useNodes(core, fetch, request, message);
  else if (message.kind === 'pages') fine = usePages(core, fetch, request, message);
  if (!fine) return 'next';
  fetch.fruitless = 0;
  fetch.retryTicks = core.timing.transferRetry;
  fetch.deadline = core.state.now + fetch.retryTicks;
  return pump(core, fetch);
}

// ── which checkpoint ──

function useMeta(core: Core, fetch: Fetch, message: CheckpointMeta): boolean {
  const { cpOp, cpChain, root, pageCounts, tops, status } = message;
  if (status !== 'ok' || cpOp < fetch.minOp) return false;
  const known = pagesOf(core)?.lists === pageCounts.length - OWN_LISTS;
  if (!known || tops.length !== pageCounts.length * HASH_BYTES) return false;
  const lists = { counts: pageCounts, tops };
  if (!sameChain(rootOf(core.digest64, { op: cpOp, chain: cpChain }, lists), root)) return false;
  fetch.meta = { cpOp, cpChain, root, pageCounts, tops: tops.slice() };
  fetch.open = [];
  fetch.nodes = [];
  const own = fetch.from === null ? null : imageAt(core, fetch.from);
  fetch.trees = pageCounts.map((count, list) => resized(own?.trees[list] ?? emptyTree(), count));
  fetch.wanted = pageCounts.map(() => []);
  const words = new Uint32Array(fetch.meta.tops.buffer);
  for (const [list, tree] of fetch.trees.entries())
    if (tree.pages > 0)
      compare(core, fetch, { list, level: topLevel(tree), index: 0 }, words.subarray(2 * list));
  return true;
}

/** What the target has at `place`: nothing to do where the own image has the same. */
function compare(core: Core, fetch: Fetch, place: Place, hash: ArrayLike<number>): void {
  const { list, level, index } = place;
  const tree = fetch.trees[list] as Tree;
  if (sameNode(tree, level, index, hash)) return;
  putHash(tree, level, index, hash);
  if (level > 0) {
    fetch.nodes.push(place);
    return;
  }
  const kept = core.state.keptPages.get(list)?.get(index);
  if (kept !== undefined && kept.low === hash[0] && kept.high === hash[1]) mark(core, 'pageReused');
  else fetch.wanted[list]?.push(index);
}

// ── nodes and pages ──

function useNodes(core: Core, fetch: Fetch, request: OpenRequest, message: Nodes): boolean {
  const { list, level, indices } = request;
  const tree = fetch.trees[list] as Tree;
  const bytes = message.hashes.slice(); // aligned, and ours
  const counts = indices.map((index) => childrenOf(tree, level, index));
  if (bytes.length !== HASH_BYTES * counts.reduce((sum, count) => sum + count, 0)) return false;
  const out = new Uint32Array(2);
  const words = new Uint32Array(bytes.buffer);
  let at = 0;
  for (const [place, index] of indices.entries()) {
    const count = counts[place] as number;
    core.digest64(bytes, at, at + HASH_BYTES * count, out);
    if (!sameNode(tree, level, index, out)) return false;
    for (let child = 0; child < count; child++)
      compare(
        core,
        fetch,
        { list, level: level - 1, index: index * FAN_OUT + child },
        words.subarray(at / 4 + 2 * child),
      );
    at += HASH_BYTES * count;
  }
  return true;
}

function usePages(core: Core, fetch: Fetch, request: OpenRequest, message: Pages): boolean {
  const { list, indices } = request;
  const { pageBytes } = pagesOf(core) ?? { pageBytes: 0 };
  if (message.bytes.length !== pageBytes * indices.length) return false;
  const kept = core.state.keptPages.get(list) ?? new Map<number, KeptPage>();
  core.state.keptPages.set(list, kept);
  const tree = fetch.trees[list] as Tree;
  const out = new Uint32Array(2);
  for (const [place, index] of indices.entries()) {
    const bytes = message.bytes.slice(place * pageBytes, (place + 1) * pageBytes);
    core.digest64(bytes, 0, pageBytes, out);
    if (!sameNode(tree, 0, index, out) && core.mutations.pagesUnverified !== true) return false;
    const [low = 0, high = 0] = tree.levels[0]?.subarray(2 * index, 2 * index + 2) ?? [];
    kept.set(index, { low, high, bytes });
    fetch.pages++;
    fetch.bytes += pageBytes;
  }
  return true;
}

/** Asks for what is missing, nodes first. @returns the shadow when nothing is. */
function pump(core: Core, fetch: Fetch): Shadow | null {
  const { meta } = fetch;
  const to = donorOf(fetch);
  if (meta === null || to === undefined) return null;
  while (fetch.open.length < REQUESTS_MAX) {
    const reqId = nextRequest(core);
    const request = nodesRequest(fetch, reqId) ?? pagesRequest(core, fetch, reqId);
    if (request === null) break;
    fetch.open.push(request);
    const { list, level, indices } = request;
    const common = { ...header(core), reqId, cpOp: meta.cpOp, list, indices };
    if (level === 0) send(core, to, { kind: 'getPages', ...common });
    else send(core, to, { kind: 'getNodes', ...common, level });
  }
  return fetch.open.length === 0 ? complete(core, fetch) : null;
}

function nodesRequest(fetch: Fetch, reqId: number): OpenRequest | null {
  const last = fetch.nodes[fetch.nodes.length - 1];
  if (last === undefined) return null;
  const { list, level } = last;
  const indices: number[] = [];
  for (let next: Place | undefined = last; next !== undefined; ) {
    if (next.list !== list || next.level !== level || indices.length === INDICES_MAX) break;
    indices.push(next.index);
    fetch.nodes.pop();
    next = fetch.nodes[fetch.nodes.length - 1];
  }
  return { reqId, list, level, indices };
}

function pagesRequest(core: Core, fetch: Fetch, reqId: number): OpenRequest | null {
  const list = fetch.wanted.findIndex((indices) => indices.length > 0);
  const indices = fetch.wanted[list]?.splice(0, pagesPerMessage(core));
  return indices === undefined ? null : { reqId, list, level: 0, indices };
}

// ── donors ──

/** The present donor is of no use, or silent. @returns false when all were asked in vain. */
export function nextFetchDonor(core: Core, fetch: Fetch): boolean {
  mark(core, 'checkpointNextDonor');
  fetch.donor++;
  fetch.fruitless++;
  if (fetch.donor % Math.max(1, fetch.donors.length) === 0)
    fetch.retryTicks = Math.min(fetch.retryTicks * 2, core.timing.transferRetryMax);
  fetch.deadline = core.state.now + fetch.retryTicks;
  if (fetch.fruitless >= fetch.donors.length) return false;
  askMeta(core, fetch);
  return true;
}

/** HH1: no answer of `id` is coming any more. */
export function fetchesFrom(fetch: Fetch, id: ReplicaId): boolean {
  return fetch.begun && donorOf(fetch) === id;
}

// ── the whole ──

function complete(core: Core, fetch: Fetch): Shadow {
  const { meta, trees, from } = fetch;
  assert(meta !== null, 'a checkpoint without root');
  const { cpOp, cpChain, root } = meta;
  const content = trees.map((tree, list) => contentOf(core, tree, list));
  const base = from === null ? null : imageAt(core, from);
  const own = content.slice(0, OWN_LISTS).map(({ count, pages }, list) =>
    Array.from({ length: count }, (_, index) => {
      const page = pages.get(index) ?? (base === null ? null : pageOf(core, base, list, index));
      if (page === null) violated(`page ${list}.${index} of checkpoint ${cpOp} is missing`);
      return page;
    }),
  );
  const { op, ts } = decodeMeta(own[META_LIST]?.[0] as Uint8Array);
  if (op !== cpOp) violated(`the checkpoint at ${cpOp} says that it is of ${op}`);
  const all = trees.reduce((sum, tree) => sum + tree.pages, 0);
  mark(core, from === null ? 'checkpointFetched' : 'checkpointDelta');
  notice(core, { kind: 'fetched', op, pages: fetch.pages, bytes: fetch.bytes, of: all });
  return { op, chain: cpChain, ts, root, trees, own, from, content: content.slice(OWN_LISTS) };
}

/** Pages that are not as in the own image. Kept ones of another checkpoint may have become useless. */
function contentOf(core: Core, tree: Tree, list: number): ListContent {
  const pages = new Map<number, Uint8Array>();
  for (const [index, { low, high, bytes }] of core.state.keptPages.get(list) ?? [])
    if (sameNode(tree, 0, index, [low, high])) pages.set(index, bytes);
  if (topHash(tree).length !== 2) violated(`list ${list} has no top`);
  return { count: tree.pages, pages };
}
