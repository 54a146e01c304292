// A data directory: one cluster's replicas of this process, and who has it open. Its own environment is small and rarely written:
// what the cluster is, and the owner. The owner is looked at and replaced within one write transaction, which LMDB grants to one
// process at a time, so that of two that start together only one finds the directory free.

import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Chain, ReplicaId } from '../protocol/types.js';
import {
  CONTENT_KEY,
  type DirectoryContent,
  decodeContent,
  decodeOwner,
  encodeContent,
  encodeOwner,
  FORMAT_VERSION,
  OWNER_KEY,
  readDirectory,
} from './directory-file.js';
import { Environment } from './environment.js';
import { messageOf, StorageError } from './errors.js';
import type { ExitGuard } from './exit-guard.js';
import {
  directoryFile,
  isDirectoryFile,
  isReplicaFile,
  lockFile,
  type ReplicaFiles,
  replicaFiles,
} from './files.js';
import { type Owner, stateOf, thisProcess } from './owner.js';
import { DamagedFile } from './page-file.js';
import { encodeMeta, META_KEY, type StoredMeta } from './records.js';
import { createRegister, syncDirectory } from './register.js';

const CLAIM_KEY = Buffer.from('claim');

/** A new cluster. */
export interface NewDirectory
  extends Pick<DirectoryContent, 'clusterId' | 'configuration' | 'pageBytes'> {
  /** chain(0) of the cluster. */
  readonly origin: Chain;
}

export interface OpenDirectoryOptions {
  readonly path: string;
  readonly guard: ExitGuard;
  /** Asked only where there is no cluster yet. */
  readonly create: () => NewDirectory;
  /** The caller knows that an owner on another host is dead. @default false */
  readonly takeOver?: boolean;
}

export class DataDirectory {
  readonly path: string;
  readonly #environment: Environment;
  #content: DirectoryContent;

  /**
   * Creates the directory where there is none, and a cluster in one that is empty: every member gets a register that promised
   * nothing and a store with an empty log.
   *
   * @throws {StorageError} VR_DIR_LOCKED (`details.pid`, `details.hostname`), VR_VERSION_MISMATCH (`details.found`,
   * `details.supported`), VR_CONFIG for a directory with other things in it, VR_CORRUPT_LOG, VR_DISK
   */
  static open(options: OpenDirectoryOptions): DataDirectory {
    const path = resolve(options.path);
    survey(path);
    const environment = new Environment(directoryFile(path), 'small', options.guard);
    try {
      if (!environment.claimInProcess(CLAIM_KEY)) throw locked(path, thisProcess());
      environment.commit(() => takeOwnership(environment, path, options.takeOver === true));
      const bytes = environment.get(CONTENT_KEY);
      const content =
        bytes === undefined ? create(environment, path, options) : decodeContent(bytes);
      return new DataDirectory(path, environment, content);
    } catch (error) {
      environment.close();
      if (!(error instanceof DamagedFile)) throw error;
      throw new StorageError('VR_CORRUPT_LOG', `${directoryFile(path)}: ${error.message}`, {
        path,
      });
    }
  }

  private constructor(path: string, environment: Environment, content: DirectoryContent) {
    this.path = path;
    this.#environment = environment;
    this.#content = content;
  }

  get content(): DirectoryContent {
    return this.#content;
  }

  files(id: ReplicaId): ReplicaFiles {
    return replicaFiles(this.path, id);
  }

  /** Durable when it returns. @throws {StorageError} VR_DISK */
  update(change: Partial<Pick<DirectoryContent, 'gen' | 'configuration' | 'loose'>>): void {
    const content = { ...this.#content, ...change };
    putContent(this.#environment, content);
    this.#content = content;
  }

  /** Gives the directory up. Close first what uses its files. */
  close(): void {
    try {
      this.#environment.commit(() => this.#environment.remove(OWNER_KEY));
    } catch (error) {
      // On a full disk the record stays; once this process has ended it says nothing.
      if (!(error instanceof StorageError)) throw error;
    } finally {
      this.#environment.close();
    }
  }
}

/** Makes sure that LMDB may open `directory.mdb`, and that nobody else's directory becomes a cluster. */
function survey(path: string): void {
  let names: string[];
  try {
    mkdirSync(path, { recursive: true });
    names = readdirSync(path);
  } catch (error) {
    throw new StorageError('VR_DISK', messageOf(error), { path }, error);
  }
  const found = readDirectory(path);
  if (found.kind === 'content') return;
  if (found.kind === 'damaged')
    throw new StorageError('VR_CORRUPT_LOG', `${directoryFile(path)}: ${found.why}`, { path });
  const foreign = names.filter((name) => !isDirectoryFile(name) && !isReplicaFile(name));
  if (foreign.length > 0)
    throw new StorageError(
      'VR_CONFIG',
      `${path} holds no cluster but other things (${foreign.slice(0, 3).join(', ')}): give an empty directory`,
      { path, foreign },
    );
  // Whoever creates a cluster opens this file first. So it was here once.
  if (found.kind === 'none' && names.some(isReplicaFile))
    throw new StorageError('VR_CORRUPT_LOG', `${directoryFile(path)} is missing or empty`, {
      path,
    });
}

function takeOwnership(environment: Environment, path: string, takeOver: boolean): void {
  const self = thisProcess();
  const bytes = environment.get(OWNER_KEY);
  if (bytes !== undefined) {
    const owner = decodeOwner(bytes);
    const state = stateOf(owner, self);
    // `self`: a thread that has ended without closing. A living one would hold the claim.
    if (state === 'alive' || (state === 'elsewhere' && !takeOver)) throw locked(path, owner);
  }
  environment.put(OWNER_KEY, encodeOwner(self));
}

function locked(path: string, owner: Owner): StorageError {
  const who = owner.pid === process.pid ? 'this process already' : `process ${owner.pid}`;
  return new StorageError('VR_DIR_LOCKED', `${path} is in use by ${who}, on ${owner.hostname}`, {
    path,
    ...owner,
  });
}

/** The content is written last and makes the rest valid; what an unfinished attempt left is replaced. */
function create(
  environment: Environment,
  path: string,
  options: OpenDirectoryOptions,
): DirectoryContent {
  const { origin, ...fresh } = options.create();
  const { clusterId, configuration } = fresh;
  if (!Number.isSafeInteger(clusterId) || clusterId < 0)
    throw new StorageError('VR_CONFIG', `cluster id ${clusterId} is no whole number below 2^53`);
  const content: DirectoryContent = { formatVersion: FORMAT_VERSION, gen: 0, ...fresh };
  for (const { id } of configuration.members)
    createReplica(replicaFiles(path, id), id, { content, origin, guard: options.guard });
  syncDirectory(path);
  putContent(environment, content);
  return content;
}

/** Twice, so that both heads that LMDB keeps show it: there is no checksum on them, and damage of one shows the other. */
function putContent(environment: Environment, content: DirectoryContent): void {
  for (let time = 0; time < 2; time++)
    environment.commit(() => environment.put(CONTENT_KEY, encodeContent(content)));
}

function createReplica(
  files: ReplicaFiles,
  id: ReplicaId,
  cluster: {
    readonly content: DirectoryContent;
    readonly origin: Chain;
    readonly guard: ExitGuard;
  },
): void {
  const { clusterId, gen, configuration } = cluster.content;
  const { epoch } = configuration;
  rmSync(files.store, { force: true });
  rmSync(lockFile(files.store), { force: true });
  createRegister(files.register, id);
  const store = new Environment(files.store, 'large', cluster.guard);
  const meta: StoredMeta = {
    clusterId,
    gen,
    lastNormal: { epoch, view: 0 },
    viewStartOp: 0,
    primaryStart: 0,
    epoch,
    commit: 0,
    logStart: 1,
    baseChain: cluster.origin,
    baseTs: 0,
    head: 0,
  };
  store.commit((txnid) => store.put(META_KEY, encodeMeta(meta, txnid)));
  store.close();
}
