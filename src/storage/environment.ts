// One LMDB environment, written by one thread through synchronous transactions only: a commit is one fdatasync of the pages and
// one synchronous write of the head, done when the call returns. LMDB's classic order (no overlapping sync, no asynchronous
// batches) is what gives the prefix property of P1 after any crash; and the asynchronous half of the binding cannot say
// reliably that a commit failed.

import { statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { open, type RootDatabase, type TransactionFlags } from 'lmdb';
import { violated } from '../protocol/assert.js';
import { messageOf, StorageError } from './errors.js';
import type { ExitGuard } from './exit-guard.js';

/** Abort on error, commit before returning. */
const DURABLE = 3 as TransactionFlags;
/** The same without any flush: the commit survives the process, not the machine. */
const NOT_FLUSHED = (3 | 0x10000) as TransactionFlags;
const ENOSPC = 28;
const EDQUOT = 122;
/** The limit of file sizes. */
const EFBIG = 27;
/** What LMDB says when only a part of a page could be written, which is how a full disk begins. */
const EIO = 5;
/** With less room than this an EIO is taken for a full disk. */
const LITTLE_ROOM_BYTES: number = 16 << 20;
/** Address space for the map; the file grows by itself, and beyond this LMDB maps it anew. */
const MAP_BYTES: number = 2 ** 34;
const SMALL_MAP_BYTES: number = 2 ** 20;

export class Environment {
  readonly #database: RootDatabase<Buffer, Uint8Array>;
  readonly #guard: ExitGuard;
  readonly #path: string;
  #txnid = 0;

  /** Creates the file if there is none. Check a file that exists with `PageFile` first. @throws {StorageError} VR_DISK */
  constructor(path: string, size: 'small' | 'large', guard: ExitGuard) {
    this.#guard = guard;
    this.#path = path;
    this.#database = this.#run('open', () =>
      open<Buffer, Uint8Array>({
        path,
        noSubdir: true,
        encoding: 'binary',
        keyEncoding: 'binary',
        overlappingSync: false,
        mapSize: size === 'large' ? MAP_BYTES : SMALL_MAP_BYTES,
      }),
    );
  }

  /**
   * All that `change` puts and removes, or nothing. `change` is told the number of the transaction.
   * @param durable false: atomic, but not flushed (mode `none`)
   * @throws {StorageError} VR_DISK, with `details.full` when there is no room; whatever `change` throws.
   */
  commit<T>(change: (txnid: number) => T, durable: boolean = true): T {
    let changed = false;
    let thrown: unknown;
    let txnid = 0;
    const result = this.#run(
      'write',
      () =>
        this.#database.transactionSync(
          () => {
            try {
              txnid = this.#database.getWriteTxnId();
              const result = change(txnid);
              changed = true;
              return result;
            } catch (error) {
              thrown = error;
              throw error;
            }
          },
          durable ? DURABLE : NOT_FLUSHED,
        ),
      () => !changed && thrown !== undefined && !isNative(thrown),
    );
    this.#txnid = txnid;
    return result;
  }

  /** Number of the newest transaction that this one committed; 0: none. */
  get txnid(): number {
    return this.#txnid;
  }

  /** Only within `commit`. */
  put(key: Uint8Array, value: Uint8Array): void {
    this.#database.putSync(key, value as Buffer);
  }

  /** Like `put`, for a key that is greater than all others. */
  append(key: Uint8Array, value: Uint8Array): void {
    // Its declaration says void.
    const last: unknown = this.#database.putSync(key, value as Buffer, { append: true });
    if (last !== true) violated(`not the last key of ${this.#path}`);
  }

  /** Only within `commit`; nothing happens where there is nothing. */
  remove(key: Uint8Array): void {
    this.#database.removeSync(key);
  }

  /** @returns a copy */
  get(key: Uint8Array): Buffer | undefined {
    return this.#run('read', () => this.#database.get(key));
  }

  /** @returns whether no other thread of this process has said so of the same environment, in which this one holds it now. */
  claimInProcess(key: Uint8Array): boolean {
    const locks = this.#database as unknown as {
      attemptLock(key: Uint8Array, version: number): boolean;
    };
    return this.#run('lock', () => locks.attemptLock(key, 1));
  }

  /** Closed when it returns: the binding waits for asynchronous writes only, and there never is one. */
  close(): void {
    void this.#guard.within(() => this.#database.close());
  }

  #run<T>(what: string, action: () => T, own: () => boolean = () => false): T {
    try {
      return this.#guard.within(action);
    } catch (error) {
      if (error instanceof StorageError || own()) throw error;
      const code = (error as { code?: unknown }).code;
      const full =
        code === ENOSPC ||
        code === EDQUOT ||
        code === EFBIG ||
        (code === EIO && roomBeside(this.#path) < LITTLE_ROOM_BYTES);
      throw new StorageError(
        'VR_DISK',
        `cannot ${what} ${this.#path}: ${messageOf(error)}`,
        { path: this.#path, errno: code, full },
        error,
      );
    }
  }
}

/** Bytes that the file system of `path` still has. */
function roomBeside(path: string): number {
  try {
    const { bavail, bsize } = statfsSync(dirname(path));
    return bavail * bsize;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

/** Thrown by LMDB rather than by the code that used it. */
function isNative(error: unknown): boolean {
  return typeof (error as { code?: unknown }).code === 'number';
}
