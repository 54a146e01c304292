// The promise register of one replica on disk (R0, H2): what it must never forget. A file of its own, so that damage of the large
// one costs the log and not the identity. It holds two copies, written and flushed one after the other: a write cut off by a
// power failure, or rot, leaves one that is whole, and that one is at least what was last promised. A file rather than an
// LMDB environment because the replica's own thread writes it and may be ended at any instant, which plain file calls survive;
// and because LMDB would answer a damaged newest state with the one before, which is a register that shrinks.
//
//  register file, 12288 bytes, little-endian
//    0                 4096              8192
//   +-----------------+-----------------+------------------+
//   | copy            | copy            | mark of the store|
//   +-----------------+-----------------+------------------+
//   copy: crc u32 @0, format u32 @4, replica u32 @8, promised u32 @12, start f64 @16, epoch u32 @24, view u32 @28
//   mark: crc u32 @0, 0 @4, transaction f64 @8

import { closeSync, fdatasyncSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';
import { violated } from '../protocol/assert.js';
import { compareStamps, type ReplicaId, type Stamp, type StartNumber } from '../protocol/types.js';
import { messageOf, StorageError } from './errors.js';

const FORMAT = 1;
const COPY_BYTES = 4096;
const COPIES = 2;
const MARK_AT: number = COPIES * COPY_BYTES;
const FILE_BYTES: number = MARK_AT + COPY_BYTES;
/** What of a copy is covered by its checksum. */
const USED_BYTES = 32;
const MARK_BYTES = 16;

export interface Register {
  /** Starts so far (H1); 0: never started. */
  readonly start: StartNumber;
  /** The highest stamp promised; null: this id never promised anything. */
  readonly stamp: Stamp | null;
}

export const EMPTY_REGISTER: Register = { start: 0, stamp: null };

/** `dead`: the id must never run again (D21); a reconfiguration replaces it by a new one. */
export type RegisterState =
  | { readonly kind: 'alive'; readonly register: Register; readonly copies: number }
  | { readonly kind: 'dead'; readonly why: string };

/** Durable when it returns. @throws {StorageError} VR_DISK */
export function createRegister(path: string, id: ReplicaId): void {
  disk(path, () => {
    const fd = openSync(path, 'w');
    try {
      const file = Buffer.alloc(FILE_BYTES);
      const copy = encode(id, EMPTY_REGISTER);
      for (let index = 0; index < COPIES; index++) copy.copy(file, index * COPY_BYTES);
      encodeMark(0).copy(file, MARK_AT);
      writeSync(fd, file, 0, FILE_BYTES, 0);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    syncDirectory(dirname(path));
  });
}

/** Makes the names in a directory durable; Windows does so by itself, and opens no directory. */
export function syncDirectory(path: string): void {
  if (process.platform === 'win32') return;
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Never throws: what cannot be read is a dead id. */
export function readRegister(path: string, id: ReplicaId): RegisterState {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (error) {
    return { kind: 'dead', why: `the register of replica ${id}: ${messageOf(error)}` };
  }
  try {
    return readCopies(fd, id).state;
  } catch (error) {
    return { kind: 'dead', why: `the register of replica ${id}: ${messageOf(error)}` };
  } finally {
    closeSync(fd);
  }
}

export class RegisterStore {
  readonly #fd: number;
  readonly #path: string;
  readonly #id: ReplicaId;

  /** @throws {StorageError} VR_CORRUPT_LOG with `details.dead` for a dead id, VR_DISK */
  constructor(path: string, id: ReplicaId) {
    this.#path = path;
    this.#id = id;
    const state = readRegister(path, id);
    if (state.kind === 'dead') throw deadId(path, id, state.why);
    this.#fd = disk(path, () => openSync(path, 'r+'));
  }

  read(): Register {
    const { state } = disk(this.#path, () => readCopies(this.#fd, this.#id));
    if (state.kind === 'dead') throw deadId(this.#path, this.#id, state.why);
    return state.register;
  }

  /** Durable when it returns. What is left out stays; nothing may become lower. @throws {StorageError} VR_DISK */
  raise(to: Partial<Register>): Register {
    const { state, valid } = disk(this.#path, () => readCopies(this.#fd, this.#id));
    if (state.kind === 'dead') throw deadId(this.#path, this.#id, state.why);
    const before = state.register;
    const after: Register = {
      start: to.start ?? before.start,
      stamp: to.stamp === undefined ? before.stamp : to.stamp,
    };
    const grows =
      after.start >= before.start &&
      (before.stamp === null ||
        (after.stamp !== null && compareStamps(after.stamp, before.stamp) >= 0));
    if (!grows) violated(`the register of replica ${this.#id} would shrink`);
    const copy = encode(this.#id, after);
    // The copy that is whole stays until the other one is.
    const order = valid[0] ? [1, 0] : [0, 1];
    disk(this.#path, () => {
      for (const index of order) {
        writeSync(this.#fd, copy, 0, COPY_BYTES, index * COPY_BYTES);
        fdatasyncSync(this.#fd);
      }
    });
    return after;
  }

  close(): void {
    closeSync(this.#fd);
  }
}

/**
 * The mark that the store's thread leaves after every commit, in a file that is not the store's: the number of its newest
 * transaction. A store that is older than its mark has lost commits that were flushed, or was put back from a copy.
 */
export class StoreMark {
  readonly #fd: number;
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
    this.#fd = disk(path, () => openSync(path, 'r+'));
  }

  /** Not flushed: it guards against rot, and that comes later. */
  write(txnid: number): void {
    disk(this.#path, () => writeSync(this.#fd, encodeMark(txnid), 0, MARK_BYTES, MARK_AT));
  }

  close(): void {
    closeSync(this.#fd);
  }
}

/** @returns 0 when there is none that can be read: it proves nothing then. */
export function readMark(path: string): number {
  const bytes = Buffer.alloc(MARK_BYTES);
  try {
    const fd = openSync(path, 'r');
    try {
      readSync(fd, bytes, 0, MARK_BYTES, MARK_AT);
    } finally {
      closeSync(fd);
    }
  } catch {
    return 0;
  }
  const whole = bytes.readUInt32LE(0) === crc32(bytes.subarray(4));
  return whole ? bytes.readDoubleLE(8) : 0;
}

function encodeMark(txnid: number): Buffer {
  const bytes = Buffer.alloc(MARK_BYTES);
  bytes.writeDoubleLE(txnid, 8);
  bytes.writeUInt32LE(crc32(bytes.subarray(4)), 0);
  return bytes;
}

function encode(id: ReplicaId, register: Register): Buffer {
  const bytes = Buffer.alloc(COPY_BYTES);
  const { start, stamp } = register;
  bytes.writeUInt32LE(FORMAT, 4);
  bytes.writeUInt32LE(id, 8);
  bytes.writeUInt32LE(stamp === null ? 0 : 1, 12);
  bytes.writeDoubleLE(start, 16);
  bytes.writeUInt32LE(stamp?.epoch ?? 0, 24);
  bytes.writeUInt32LE(stamp?.view ?? 0, 28);
  bytes.writeUInt32LE(crc32(bytes.subarray(4, USED_BYTES)), 0);
  return bytes;
}

function decode(bytes: Buffer, id: ReplicaId): Register | null {
  if (bytes.readUInt32LE(0) !== crc32(bytes.subarray(4, USED_BYTES))) return null;
  if (bytes.readUInt32LE(4) !== FORMAT || bytes.readUInt32LE(8) !== id) return null;
  const promised = bytes.readUInt32LE(12) === 1;
  return {
    start: bytes.readDoubleLE(16),
    stamp: promised ? { epoch: bytes.readUInt32LE(24), view: bytes.readUInt32LE(28) } : null,
  };
}

function readCopies(fd: number, id: ReplicaId): { state: RegisterState; valid: boolean[] } {
  let best: Register | null = null;
  const valid: boolean[] = [];
  for (let index = 0; index < COPIES; index++) {
    const bytes = Buffer.alloc(USED_BYTES);
    readSync(fd, bytes, 0, USED_BYTES, index * COPY_BYTES);
    const register = decode(bytes, id);
    valid.push(register !== null);
    if (register !== null && (best === null || isHigher(register, best))) best = register;
  }
  const copies = valid.filter(Boolean).length;
  const state: RegisterState =
    best === null
      ? { kind: 'dead', why: `no copy of the register of replica ${id} is whole` }
      : { kind: 'alive', register: best, copies };
  return { state, valid };
}

function isHigher(a: Register, b: Register): boolean {
  if (a.start !== b.start) return a.start > b.start;
  return a.stamp !== null && (b.stamp === null || compareStamps(a.stamp, b.stamp) > 0);
}

function deadId(path: string, id: ReplicaId, why: string): StorageError {
  return new StorageError('VR_CORRUPT_LOG', `${why}; this id is dead`, {
    path,
    replica: id,
    dead: true,
  });
}

function disk<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (error instanceof StorageError) throw error;
    throw new StorageError('VR_DISK', `${path}: ${messageOf(error)}`, { path }, error);
  }
}
