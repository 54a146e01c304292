// What stands in directory.mdb, and how it is read without LMDB: before it is opened, and by an inspection that may run beside its
// owner. In every format version, past and future, the content is a CRC-32 and then JSON with `formatVersion`.

import { closeSync, existsSync, openSync, statSync } from 'node:fs';
import type { Configuration } from '../protocol/configuration.js';
import { messageOf, StorageError } from './errors.js';
import { directoryFile } from './files.js';
import type { Owner } from './owner.js';
import { DamagedFile, PageFile } from './page-file.js';
import { isSealed, seal } from './records.js';

export const FORMAT_VERSION = 2;

export const CONTENT_KEY: Buffer = Buffer.from('content');
export const OWNER_KEY: Buffer = Buffer.from('owner');

export interface DirectoryContent {
  readonly formatVersion: number;
  /** Whole, below 2^53. */
  readonly clusterId: number;
  /** Rises when acknowledged history may have been lost (H6). */
  readonly gen: number;
  readonly configuration: Configuration;
  /** Bytes of a page of checkpoints. */
  readonly pageBytes: number;
  /**
   * It was open in a mode that acknowledges before it flushes, and not closed since with all replicas whole: what is stored may lack
   * what was acknowledged, and differ. Absent: false.
   */
  readonly loose?: boolean;
}

export type DirectoryReading =
  /** No file, or an empty one. */
  | { readonly kind: 'none' }
  /** Nobody finished to create a cluster. */
  | { readonly kind: 'unfinished' }
  | { readonly kind: 'content'; readonly content: DirectoryContent; readonly owner: Owner | null }
  | { readonly kind: 'damaged'; readonly why: string };

const CRC_BYTES = 4;
/** The owner may write while it is read: what looks damaged is looked at again. */
const READ_ATTEMPTS = 4;
const READ_PAUSE_MS = 2;

/** @throws {StorageError} VR_VERSION_MISMATCH */
export function readDirectory(path: string): DirectoryReading {
  const file = directoryFile(path);
  if (!existsSync(file) || statSync(file).size === 0) return { kind: 'none' };
  for (let attempt = 1; ; attempt++) {
    try {
      return readOnce(file);
    } catch (error) {
      if (error instanceof StorageError) throw error;
      const why = error instanceof DamagedFile ? error.message : messageOf(error);
      if (attempt === READ_ATTEMPTS) return { kind: 'damaged', why };
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, READ_PAUSE_MS);
    }
  }
}

function readOnce(file: string): DirectoryReading {
  const fd = openSync(file, 'r');
  try {
    let content: DirectoryContent | null = null;
    let owner: Owner | null = null;
    new PageFile(fd).walk((key, value) => {
      if (key.equals(CONTENT_KEY)) content = decodeContent(value);
      if (key.equals(OWNER_KEY)) owner = decodeOwner(value);
    });
    return content === null ? { kind: 'unfinished' } : { kind: 'content', content, owner };
  } finally {
    closeSync(fd);
  }
}

export function encodeContent(content: DirectoryContent): Buffer {
  return encodeJson(CONTENT_KEY, content);
}

/** @throws {StorageError} VR_VERSION_MISMATCH, {DamagedFile} */
export function decodeContent(value: Buffer): DirectoryContent {
  const content = decodeJson(CONTENT_KEY, value) as Partial<DirectoryContent>;
  const found = content.formatVersion;
  if (found !== FORMAT_VERSION)
    throw new StorageError(
      'VR_VERSION_MISMATCH',
      `the directory has format version ${found}, this version of viewstamp reads and writes ${FORMAT_VERSION}`,
      { found, supported: FORMAT_VERSION },
    );
  return content as DirectoryContent;
}

export function encodeOwner(owner: Owner): Buffer {
  return encodeJson(OWNER_KEY, owner);
}

/** @throws {DamagedFile} */
export function decodeOwner(value: Buffer): Owner {
  return decodeJson(OWNER_KEY, value) as Owner;
}

function encodeJson(key: Buffer, content: object): Buffer {
  return seal(key, Buffer.concat([Buffer.alloc(CRC_BYTES), Buffer.from(JSON.stringify(content))]));
}

function decodeJson(key: Buffer, value: Buffer): unknown {
  if (!isSealed(key, value)) throw new DamagedFile(`the checksum of "${key}" is wrong`);
  return JSON.parse(value.toString('utf8', CRC_BYTES));
}
