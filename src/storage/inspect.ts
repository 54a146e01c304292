// Looks at a data directory for people: read only, without LMDB and without the lock, beside an owner at work or on a directory
// that nobody can open any more.

import type { Configuration } from '../protocol/configuration.js';
import type { OpNumber, ReplicaId } from '../protocol/types.js';
import { readDirectory } from './directory-file.js';
import { replicaFiles } from './files.js';
import { type Owner, type OwnerState, stateOf } from './owner.js';
import type { CheckpointRecord, StoredMeta } from './records.js';
import { type RegisterState, readRegister } from './register.js';
import { examineStore } from './survey.js';

/** `changing`: its owner wrote all the time; look again when it is quieter. */
export type Verdict =
  | { readonly kind: 'intact' }
  | { readonly kind: 'damaged'; readonly why: string }
  | { readonly kind: 'changing' };

export interface ReplicaInspection {
  readonly id: ReplicaId;
  readonly register: RegisterState;
  /** Every checksum, and whether all is there; the rest is what was seen before the first thing found wrong. */
  readonly verdict: Verdict;
  /** null: none, or not readable */
  readonly meta: StoredMeta | null;
  readonly checkpoint: CheckpointRecord | null;
  readonly log: {
    readonly first: OpNumber;
    readonly last: OpNumber;
    readonly entries: number;
    readonly bytes: number;
  };
  /** Versions of pages in the store, and how many of them nobody needs any more. */
  readonly pages: { readonly stored: number; readonly garbage: number };
  readonly fileBytes: number;
}

export interface DirectoryInspection {
  readonly path: string;
  readonly formatVersion: number;
  readonly clusterId: number;
  readonly gen: number;
  readonly configuration: Configuration;
  readonly pageBytes: number;
  readonly owner: { readonly process: Owner; readonly state: OwnerState } | null;
  readonly replicas: readonly ReplicaInspection[];
}

export type InspectionResult =
  | { readonly kind: 'directory'; readonly directory: DirectoryInspection }
  /** No cluster was created here, or what says so is gone. */
  | { readonly kind: 'none'; readonly why: string };

/** A store that looks damaged while its owner writes is looked at so often. */
const ATTEMPTS = 3;

/** @throws {StorageError} VR_VERSION_MISMATCH */
export function inspectDirectory(path: string): InspectionResult {
  const found = readDirectory(path);
  if (found.kind !== 'content') {
    const why = found.kind === 'damaged' ? found.why : `no cluster in ${path}`;
    return { kind: 'none', why };
  }
  const { content, owner } = found;
  const replicas = content.configuration.members.map(({ id }) => inspectReplica(path, id));
  return {
    kind: 'directory',
    directory: {
      path,
      ...content,
      owner: owner === null ? null : { process: owner, state: stateOf(owner) },
      replicas,
    },
  };
}

function inspectReplica(path: string, id: ReplicaId): ReplicaInspection {
  const files = replicaFiles(path, id);
  let { survey, why } = examineStore(files, true);
  let verdict: Verdict = why === null ? { kind: 'intact' } : { kind: 'damaged', why };
  for (let attempt = 2; attempt <= ATTEMPTS && why !== null; attempt++) {
    const before = survey.txnid;
    ({ survey, why } = examineStore(files, true));
    if (why === null) verdict = { kind: 'intact' };
    else verdict = survey.txnid === before ? { kind: 'damaged', why } : { kind: 'changing' };
  }
  const { meta, checkpoint, log, pages, entries, fileBytes } = survey;
  return {
    id,
    register: readRegister(files.register, id),
    verdict,
    meta,
    checkpoint,
    log: {
      first: meta?.logStart ?? log.first,
      last: log.next - 1,
      entries: entries.length,
      bytes: entries.reduce((sum, { bytes }) => sum + bytes, 0),
    },
    pages: { stored: pages.count, garbage: pages.garbageCount },
    fileBytes,
  };
}
