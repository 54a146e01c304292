// Handing out a checkpoint (CP6, CP7): committed state, so any active that remembers may do it in any status. Whoever asks is
// expected back: the checkpoint he was told of is pinned, and the entries above it with it.

import { type Core, header, mark, send } from '../core.js';
import type { CheckpointMeta, GetCheckpoint, GetNodes, GetPages } from '../message.js';
import type { OpNumber } from '../types.js';
import {
  type Checkpoint,
  checkpointAt,
  NO_ROOT,
  newest,
  pageOf,
  pagesOf,
  topsOf,
} from './image.js';
import { childHashes, childrenOf, HASH_BYTES } from './merkle.js';

const NO_BYTES = new Uint8Array(0);
/** Most nodes or pages that one message asks for or brings (CP6). */
export const INDICES_MAX = 256;
/** Pinned at a time: each may hold a copy of every page that was written since. */
const PINS_MAX = 4;

export function onGetCheckpoint(core: Core, message: GetCheckpoint): void {
  const checkpoint = newest(core);
  const donates = core.stateMachine !== null && core.state.status !== 'recovering';
  if (!donates || checkpoint === null || checkpoint.op < message.minOp) {
    sendMeta(core, message, null, donates ? 'gone' : 'refuse');
    return;
  }
  pin(core, checkpoint.op);
  sendMeta(core, message, checkpoint, 'ok');
}

function sendMeta(
  core: Core,
  { from, reqId }: GetCheckpoint,
  checkpoint: Checkpoint | null,
  status: CheckpointMeta['status'],
): void {
  send(core, from, {
    kind: 'checkpointMeta',
    ...header(core),
    reqId,
    cpOp: checkpoint?.op ?? 0,
    cpChain: checkpoint?.chain ?? NO_ROOT,
    root: checkpoint?.root ?? NO_ROOT,
    pageCounts: checkpoint?.trees.map((tree) => tree.pages) ?? [],
    tops: checkpoint === null ? NO_BYTES : topsOf(checkpoint.trees),
    status,
  });
}

function pin(core: Core, op: OpNumber): void {
  const { pins, now } = core.state;
  pins.set(op, now + core.timing.pin);
  if (pins.size > PINS_MAX) pins.delete(Math.min(...pins.keys()));
}

/** The checkpoint that was asked for, pinned anew; null when it was given up meanwhile. */
function asked(core: Core, { cpOp, from }: GetNodes | GetPages): Checkpoint | null {
  const progress = core.state.peers.find((known) => known.id === from);
  if (progress !== undefined) progress.fetchTick = core.state.now;
  const checkpoint = checkpointAt(core, cpOp);
  if (checkpoint === null) mark(core, 'checkpointGivenUp');
  else pin(core, cpOp);
  return checkpoint;
}

export function onGetNodes(core: Core, message: GetNodes): void {
  const { reqId, cpOp, list, level } = message;
  const checkpoint = asked(core, message);
  const tree = checkpoint?.trees[list];
  const indices = message.indices.slice(0, INDICES_MAX);
  const sizes = indices.map((index) =>
    tree === undefined || level < 1 ? 0 : childrenOf(tree, level, index) * HASH_BYTES,
  );
  const ok = tree !== undefined && sizes.every((size) => size > 0);
  const hashes = ok ? new Uint8Array(sizes.reduce((sum, size) => sum + size, 0)) : NO_BYTES;
  let at = 0;
  if (ok)
    for (const index of indices) {
      const bytes = childHashes(tree, level, index);
      hashes.set(bytes, at);
      at += bytes.length;
    }
  const status = ok ? 'ok' : 'gone';
  const answer = { reqId, cpOp, list, level, indices, hashes, status } as const;
  send(core, message.from, { kind: 'nodes', ...header(core), ...answer });
}

export function onGetPages(core: Core, message: GetPages): void {
  const { reqId, cpOp, list } = message;
  const checkpoint = asked(core, message);
  const count = checkpoint?.trees[list]?.pages ?? 0;
  const most = pagesPerMessage(core);
  const indices = message.indices.slice(0, most).filter((index) => index < count);
  const status = checkpoint !== null && indices.length > 0 ? 'ok' : 'gone';
  const bytes = checkpoint === null ? NO_BYTES : joinPages(core, checkpoint, list, indices);
  const answer = { reqId, cpOp, list, indices, bytes, status } as const;
  send(core, message.from, { kind: 'pages', ...header(core), ...answer });
}

/** At least one, however large pages are. */
export function pagesPerMessage(core: Core): number {
  const pageBytes = pagesOf(core)?.pageBytes ?? Number.POSITIVE_INFINITY;
  return Math.max(1, Math.min(INDICES_MAX, Math.floor(core.limits.messageBytes / pageBytes)));
}

function joinPages(
  core: Core,
  checkpoint: Checkpoint,
  list: number,
  indices: readonly number[],
): Uint8Array {
  let bytes = NO_BYTES;
  for (const [at, index] of indices.entries()) {
    const page = pageOf(core, checkpoint, list, index);
    if (at === 0) bytes = new Uint8Array(page.length * indices.length);
    bytes.set(page, at * page.length);
  }
  return bytes;
}
