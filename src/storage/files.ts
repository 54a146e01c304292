// The names of all files in a data directory. They lie in it directly; beside each `.mdb` LMDB keeps a `.mdb-lock`, which means
// nothing without a process that has it open.

import { join } from 'node:path';
import type { ReplicaId } from '../protocol/types.js';

/** Of one replica. */
export interface ReplicaFiles {
  readonly store: string;
  readonly register: string;
}

const DIRECTORY_FILE = 'directory.mdb';
const REPLICA_FILE = /^replica-\d+\.(mdb|mdb-lock|register)$/;

export function directoryFile(path: string): string {
  return join(path, DIRECTORY_FILE);
}

export function lockFile(environment: string): string {
  return `${environment}-lock`;
}

export function replicaFiles(path: string, id: ReplicaId): ReplicaFiles {
  return {
    store: join(path, `replica-${id}.mdb`),
    register: join(path, `replica-${id}.register`),
  };
}

export function isReplicaFile(name: string): boolean {
  return REPLICA_FILE.test(name);
}

export function isDirectoryFile(name: string): boolean {
  return name === DIRECTORY_FILE || name === lockFile(DIRECTORY_FILE);
}
