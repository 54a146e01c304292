// What one replica has on disk, and whether it is what was written: checksums, chains, roots. Only read, never through LMDB, so it may
// be damaged and its owner may be at work. What changed while it was read is read again.

import { closeSync, openSync, statSync } from 'node:fs';
import { ChainHasher } from '../../protocol/chain.js';
import { rootOf, topsOf } from '../../protocol/checkpoint/image.js';
import { climb, emptyTree, grow, putLeaf, type Tree } from '../../protocol/checkpoint/merkle.js';
import {
  type Chain,
  type Digest64,
  type OpNumber,
  type ReplicaId,
  type Stamp,
  sameChain,
} from '../../protocol/types.js';
import { messageOf } from '../../storage/errors.js';
import type { ReplicaFiles } from '../../storage/files.js';
import { LoadedState } from '../../storage/load.js';
import { PageFile } from '../../storage/page-file.js';
import type { CheckpointRecord, StoredMeta } from '../../storage/records.js';
import { type RegisterState, readRegister } from '../../storage/register.js';
import { examineStore, type Survey } from '../../storage/survey.js';
import { ChainColumn } from './chain-column.js';

export interface StoredLog {
  readonly gen: number;
  readonly epoch: number;
  readonly lastNormal: Stamp;
  /** Lowest and highest op; the log is empty when `end` is below `start`. */
  readonly start: OpNumber;
  readonly end: OpNumber;
  readonly entries: number;
  /** Lower bound of what is committed. */
  readonly commit: OpNumber;
  /** Bytes of the file that the entries take. */
  readonly bytes: number;
  readonly checkpoint: StoredCheckpoint | null;
}

export interface StoredCheckpoint {
  readonly op: OpNumber;
  readonly root: Chain;
  readonly pages: number;
  readonly chain: Chain;
}

export type StoreReport =
  /** `broken`: structure, checksums and the chain of the log hold, and yet it is not what the replica wrote. */
  | {
      readonly kind: 'whole' | 'broken';
      readonly log: StoredLog;
      readonly chains: ChainColumn;
      readonly why: readonly string[];
    }
  /** Given up: the replica recovers from the others. */
  | { readonly kind: 'empty' }
  | Unread<'damaged'>
  /** Its owner wrote to it whenever it was read. */
  | Unread<'busy'>;

/** `log`: what it says of itself, as far as it was seen before something was found wrong; `why`: what that is. */
interface Unread<K> {
  readonly kind: K;
  readonly log: StoredLog | null;
  readonly why: readonly string[];
}

export interface ReplicaReport {
  readonly id: ReplicaId;
  /** null: what would tell is damaged. */
  readonly role: 'active' | 'witness' | null;
  readonly register: RegisterState;
  /** 0: there is none. */
  readonly fileBytes: number;
  readonly store: StoreReport;
}

export interface InspectReplicaOptions {
  readonly id: ReplicaId;
  readonly role: ReplicaReport['role'];
  readonly files: ReplicaFiles;
  /** null: unknown. */
  readonly clusterId: number | null;
  /** Somebody may be writing. */
  readonly inUse: boolean;
  readonly digest64: Digest64;
}

const ATTEMPTS = 10;

export function inspectReplica(options: InspectReplicaOptions): ReplicaReport {
  const { id, role, files } = options;
  const register = readRegister(files.register, id);
  const fileBytes = statSync(files.store, { throwIfNoEntry: false })?.size ?? 0;
  let last: Pick<Unread<'busy'>, 'log' | 'why'> = { log: null, why: [] };
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const before = newestTransaction(files.store);
    const store = readOnce(options);
    const after = newestTransaction(files.store);
    // While transaction n + 1 is written, the pages of n stay: what is wrong with those is wrong.
    const steady = !options.inUse || (before !== null && before === after);
    if (steady || !isWrong(store)) return { id, role, register, fileBytes, store };
    last = { log: store.log, why: store.why };
  }
  return { id, role, register, fileBytes, store: { kind: 'busy', ...last } };
}

function isWrong(
  store: StoreReport,
): store is Extract<StoreReport, { kind: 'broken' | 'damaged' }> {
  return store.kind === 'broken' || store.kind === 'damaged';
}

/** @returns null when it cannot be told. */
function newestTransaction(path: string): number | null {
  try {
    const fd = openSync(path, 'r');
    try {
      return new PageFile(fd).txnid;
    } finally {
      closeSync(fd);
    }
  } catch {
    return null;
  }
}

function readOnce(options: InspectReplicaOptions): StoreReport {
  const { survey, why } = examineStore(options.files, true);
  const { meta } = survey;
  const log = meta === null ? null : logOf(meta, survey);
  if (why !== null) return { kind: 'damaged', log, why: [why] };
  if (meta === null || log === null) return { kind: 'empty' };
  try {
    const state = new LoadedState(openSync(options.files.store, 'r'), survey, meta);
    try {
      return verify(options, log, state);
    } finally {
      state.close();
    }
  } catch (error) {
    return { kind: 'damaged', log, why: [messageOf(error)] };
  }
}

function verify(
  { clusterId, digest64 }: InspectReplicaOptions,
  log: StoredLog,
  state: LoadedState,
): StoreReport {
  const { meta, checkpoint } = state;
  const why: string[] = [];
  const hasher = new ChainHasher(digest64);
  if (clusterId !== null && meta.clusterId !== clusterId)
    why.push(`it is of cluster ${meta.clusterId}, and the directory of ${clusterId}`);
  if (meta.logStart === 1 && !sameChain(meta.baseChain, hasher.origin(meta.clusterId)))
    why.push('its log begins with another chain than that of its cluster');
  const chains = new ChainColumn(meta.logStart - 1, meta.head);
  let below = meta.baseChain;
  chains.put(meta.logStart - 1, below);
  for (const entry of state.entries()) {
    if (!hasher.links(below, entry)) {
      why.push(`entry ${entry.op} breaks the chain: its body is damaged, or it follows others`);
      return { kind: 'damaged', log, why };
    }
    below = entry.chain;
    chains.put(entry.op, below);
  }
  if (checkpoint !== null) why.push(...verifyCheckpoint(state, checkpoint, chains, digest64));
  return { kind: why.length === 0 ? 'whole' : 'broken', log, chains, why };
}

function logOf(meta: StoredMeta, { log, entries, checkpoint }: Survey): StoredLog {
  return {
    gen: meta.gen,
    epoch: meta.epoch,
    lastNormal: meta.lastNormal,
    start: meta.logStart,
    end: meta.head,
    entries: entries.length,
    commit: meta.commit,
    bytes: log.bytes,
    checkpoint:
      checkpoint === null
        ? null
        : {
            op: checkpoint.op,
            root: checkpoint.root,
            chain: checkpoint.chain,
            pages: checkpoint.pageCounts.reduce((sum, count) => sum + count, 0),
          },
  };
}

function verifyCheckpoint(
  state: LoadedState,
  { op, chain, root, pageCounts }: CheckpointRecord,
  chains: ChainColumn,
  digest64: Digest64,
): string[] {
  const why: string[] = [];
  const inLog = chains.at(op);
  if (inLog !== null && !sameChain(inLog, chain))
    why.push(`checkpoint ${op} has another chain than the log`);
  const trees = pageCounts.map((count, list) => treeOf(state, list, count, digest64));
  const computed = rootOf(digest64, { op, chain }, { counts: pageCounts, tops: topsOf(trees) });
  if (!sameChain(computed, root)) why.push(`checkpoint ${op} has another root than its pages`);
  return why;
}

function treeOf(state: LoadedState, list: number, count: number, digest64: Digest64): Tree {
  const growth = grow(emptyTree(), count);
  const out = new Uint32Array(2);
  for (let index = 0; index < count; index++) {
    const page = state.page(list, index);
    digest64(page, 0, page.length, out);
    putLeaf(growth, index, out);
  }
  climb(growth, Number.POSITIVE_INFINITY, digest64);
  return growth.tree;
}
