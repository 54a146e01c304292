// A data directory as it lies there: what it says of itself, who has it open, and what each replica has. Changes nothing.

import { existsSync, readdirSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Digest64, ReplicaId } from '../../protocol/types.js';
import { type DirectoryContent, readDirectory } from '../../storage/directory-file.js';
import { directoryFile, isReplicaFile, replicaFiles } from '../../storage/files.js';
import { type Owner, type OwnerState, stateOf } from '../../storage/owner.js';
import { UsageError } from '../usage.js';
import { type Comparison, compareReplicas, disagreement, remark } from './agreement.js';
import { inspectReplica, type ReplicaReport } from './replica.js';

export interface DirectoryReport {
  readonly path: string;
  /** null: damaged. */
  readonly content: DirectoryContent | null;
  /** The last one that opened it and did not close it. */
  readonly owner: (Owner & { readonly state: OwnerState }) | null;
  readonly replicas: readonly ReplicaReport[];
  readonly comparisons: readonly Comparison[];
  /** What must not be; empty: the directory is sound, as far as it could be read. */
  readonly problems: readonly string[];
  /** What may be, and is worth knowing. */
  readonly remarks: readonly string[];
}

interface Head {
  readonly content: DirectoryContent | null;
  readonly owner: Owner | null;
  readonly damage: string | null;
}

/** @throws UsageError when it holds no cluster, StorageError VR_VERSION_MISMATCH */
export function inspectDirectory(path: string, digest64: Digest64): DirectoryReport {
  if (path === '') throw new UsageError('the name of the directory is empty');
  const directory = resolve(path);
  if (existsSync(directory) && !statSync(directory).isDirectory())
    throw new UsageError(`${directory} is no directory`);
  const { content, owner: last, damage } = readHead(directory);
  const owner = last === null ? null : { ...last, state: stateOf(last) };
  // On another host a dead process looks like a living one.
  const inUse = owner !== null && owner.state !== 'dead';
  const replicas = membersOf(directory, content).map(({ id, role }) =>
    inspectReplica({
      id,
      role,
      files: replicaFiles(directory, id),
      clusterId: content?.clusterId ?? null,
      inUse,
      digest64,
    }),
  );
  const comparisons = compareReplicas(replicas);
  const problems = [
    ...(damage === null ? [] : [`${directoryFile(directory)}: ${damage}`]),
    ...replicas.flatMap(problemsOf),
    ...comparisons.flatMap((comparison) => disagreement(comparison) ?? []),
  ];
  const remarks = [
    ...replicas.flatMap(remarksOf),
    ...comparisons.flatMap((comparison) => remark(comparison) ?? []),
  ];
  return { path: directory, content, owner, replicas, comparisons, problems, remarks };
}

function readHead(directory: string): Head {
  const found = existsSync(directory) ? readDirectory(directory) : { kind: 'none' as const };
  switch (found.kind) {
    case 'content':
      return { content: found.content, owner: found.owner, damage: null };
    case 'damaged':
      return { content: null, owner: null, damage: found.why };
    case 'unfinished':
      throw new UsageError(`${directory} holds no cluster: nobody finished to create one`);
    case 'none': {
      if (idsOf(directory).length === 0) throw new UsageError(`${directory} holds no cluster`);
      return { content: null, owner: null, damage: 'missing or empty' };
    }
  }
}

function membersOf(
  directory: string,
  content: DirectoryContent | null,
): readonly { readonly id: ReplicaId; readonly role: ReplicaReport['role'] }[] {
  if (content !== null) return content.configuration.members;
  return idsOf(directory).map((id) => ({ id, role: null }));
}

/** By the files that are there. */
function idsOf(directory: string): ReplicaId[] {
  if (!existsSync(directory)) return [];
  const ids = readdirSync(directory)
    .filter(isReplicaFile)
    .map((name) => Number(/\d+/.exec(name)?.[0]));
  return [...new Set(ids)].sort((a, b) => a - b);
}

function problemsOf({ id, register, store }: ReplicaReport): string[] {
  const problems: string[] = [];
  if (register.kind === 'dead')
    problems.push(`replica ${id} is dead, it must not run again: ${register.why}`);
  if (store.kind === 'damaged')
    problems.push(`the store of replica ${id} is damaged: ${store.why}`);
  if (store.kind === 'broken')
    for (const why of store.why) problems.push(`the store of replica ${id} is broken: ${why}`);
  return problems;
}

function remarksOf({ id, register, store }: ReplicaReport): string[] {
  const remarks: string[] = [];
  if (register.kind === 'alive' && register.copies < 2)
    remarks.push(`one copy of the register of replica ${id} is not whole, the other one counts`);
  if (store.kind === 'empty')
    remarks.push(`replica ${id} has given up its store, and recovers from the others`);
  if (store.kind === 'busy')
    remarks.push(
      `the store of replica ${id} was written whenever it was read: look again when there is less load`,
    );
  return remarks;
}
