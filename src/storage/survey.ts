// Reads a whole store without LMDB and without trust: is it what was written, and where in the file does everything lie? What uses
// it: the store's thread before LMDB maps the file, a replica that loads, an inspection. Hashes of the core (chains, roots) are for
// the caller to verify; here it is structure, checksums, completeness, and the mark that tells how new the store must be.

import { closeSync, openSync, readSync } from 'node:fs';
import type { OpNumber } from '../protocol/types.js';
import { messageOf } from './errors.js';
import type { ReplicaFiles } from './files.js';
import { LogIndex, roomOf } from './log-index.js';
import { bootId } from './owner.js';
import { DamagedFile, PageFile } from './page-file.js';
import { PageIndex } from './page-index.js';
import {
  type CheckpointRecord,
  decodeCheckpoint,
  decodeMeta,
  isEntry,
  isSealed,
  type Key,
  parseKey,
  type StoredMeta,
  transactionOf,
} from './records.js';
import { readMark } from './register.js';

/** Where a value lies in the file. */
export interface Place {
  readonly at: number;
  readonly bytes: number;
}

export interface PagePlace extends Place {
  /** For which checkpoint the page was put. */
  readonly cpOp: OpNumber;
}

export interface Survey {
  /** null: there never was a state, or it was given up. */
  readonly meta: StoredMeta | null;
  readonly checkpoint: CheckpointRecord | null;
  /** The mode `none` was at work, in this boot of the machine. */
  readonly unflushed: boolean;
  readonly log: LogIndex;
  readonly pages: PageIndex;
  /** Of the entries from `meta.logStart` on. */
  readonly entries: readonly Place[];
  /** `pagePlaces[list][index]`, of the pages of `checkpoint`. */
  readonly pagePlaces: readonly (readonly PagePlace[])[];
}

/**
 * @param thorough whether to verify the checksum of every value, and not only what LMDB relies on
 * @throws {DamagedFile} with the reason, for everything that is wrong
 */
export function surveyStore(files: ReplicaFiles, thorough: boolean): Survey {
  const { survey, why } = examineStore(files, thorough);
  if (why !== null) throw new DamagedFile(why);
  return survey;
}

/** Never throws: shows what it came to see before it found something wrong, and what that is. */
export function examineStore(
  files: ReplicaFiles,
  thorough: boolean,
): { readonly survey: Survey; readonly why: string | null } {
  const surveyor = new Surveyor(files, thorough);
  let why: string | null = null;
  try {
    const fd = openSync(files.store, 'r');
    try {
      surveyor.run(fd);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    why = messageOf(error);
  }
  return { survey: surveyor.survey, why };
}

/** @throws {DamagedFile} when the value at `place` cannot be read, or its checksum is wrong */
export function readPlace(fd: number, key: Buffer, place: Place): Buffer {
  const value = Buffer.allocUnsafe(place.bytes);
  const count = readSync(fd, value, 0, place.bytes, place.at);
  if (count !== place.bytes || !isSealed(key, value))
    throw new DamagedFile(`the value at ${place.at} is not what it was`);
  return value;
}

function damaged(why: string): never {
  throw new DamagedFile(why);
}

class Surveyor {
  readonly #files: ReplicaFiles;
  readonly #thorough: boolean;
  #txnid = 0;
  #meta: StoredMeta | null = null;
  #checkpoint: CheckpointRecord | null = null;
  #unflushed: string | null = null;
  #log: LogIndex | null = null;
  readonly #pages = new PageIndex();
  readonly #entries: Place[] = [];
  readonly #places: PagePlace[][] = [];

  constructor(files: ReplicaFiles, thorough: boolean) {
    this.#files = files;
    this.#thorough = thorough;
  }

  run(fd: number): void {
    const file = new PageFile(fd);
    this.#txnid = file.txnid;
    const mark = readMark(this.#files.register);
    if (file.txnid < mark)
      damaged(`the store ends with transaction ${file.txnid}, and once had ${mark}`);
    file.walk(
      (bytes, value, at, size) => {
        const key = parseKey(bytes) ?? damaged('a key of no known kind');
        const read = this.#thorough || isSmall(key);
        if (read && !isSealed(bytes, value)) damaged(`the checksum of ${describe(key)} is wrong`);
        this.#take(key, value, { at, bytes: size });
      },
      (bytes) => this.#thorough || isSmall(parseKey(bytes)),
    );
    this.#check();
  }

  get survey(): Survey {
    return {
      meta: this.#meta,
      checkpoint: this.#checkpoint,
      unflushed: this.#unflushed !== null,
      log: this.#log ?? new LogIndex(this.#meta?.logStart ?? 1),
      pages: this.#pages,
      entries: this.#entries,
      pagePlaces: this.#places,
    };
  }

  /** Keys come in their order: meta, checkpoint, pages by list, index and age, log. */
  #take(key: Key, value: Buffer, place: Place): void {
    switch (key.table) {
      case 'meta':
        this.#meta = decodeMeta(value) ?? damaged('meta of no known form');
        if (transactionOf(value) !== this.#txnid)
          damaged(`transaction ${this.#txnid} shows the state of ${transactionOf(value)}`);
        break;
      case 'checkpoint':
        this.#checkpoint = decodeCheckpoint(value) ?? damaged('a checkpoint of no known form');
        break;
      case 'unflushed':
        this.#unflushed = value.toString('utf8', 4);
        break;
      case 'log':
        if (this.#thorough && !isEntry(value)) damaged(`entry ${key.op} is of no known form`);
        this.#takeEntry(key.op, place);
        break;
      case 'page': {
        this.#pages.found(key, this.#checkpoint);
        if (this.#checkpoint === null || key.cpOp > this.#checkpoint.op) break;
        if (key.index >= (this.#checkpoint.pageCounts[key.list] ?? 0)) break;
        this.#places[key.list] ??= [];
        (this.#places[key.list] as PagePlace[])[key.index] = { ...place, cpOp: key.cpOp };
        break;
      }
    }
  }

  #takeEntry(op: OpNumber, place: Place): void {
    this.#log ??= new LogIndex(op);
    if (op !== this.#log.next) damaged(`entry ${op} follows entry ${this.#log.next - 1}`);
    this.#log.push(roomOf(place.bytes));
    if (this.#meta !== null && op >= this.#meta.logStart) this.#entries.push(place);
  }

  #check(): void {
    const meta = this.#meta;
    const checkpoint = this.#checkpoint;
    if (this.#unflushed !== null && (this.#unflushed === '' || this.#unflushed !== bootId()))
      damaged('the machine stopped while writes were not flushed');
    if (meta === null) {
      if (this.#log !== null || checkpoint !== null) damaged('there is no meta');
      return;
    }
    const last = meta.logStart + this.#entries.length - 1;
    if (last !== meta.head) damaged(`the log ends at ${last}, and should at ${meta.head}`);
    if (meta.commit > meta.head) damaged(`commit ${meta.commit} above the head ${meta.head}`);
    if (checkpoint === null) return;
    if (checkpoint.op > meta.head) damaged(`checkpoint ${checkpoint.op} above the head`);
    for (const [list, count] of checkpoint.pageCounts.entries())
      for (let index = 0; index < count; index++)
        if (this.#places[list]?.[index] === undefined)
          damaged(`page ${index} of list ${list} of checkpoint ${checkpoint.op} is missing`);
  }
}

function isSmall(key: Key | null): boolean {
  return key !== null && key.table !== 'log' && key.table !== 'page';
}

function describe(key: Key): string {
  switch (key.table) {
    case 'log':
      return `entry ${key.op}`;
    case 'page':
      return `page ${key.index} of list ${key.list} of checkpoint ${key.cpOp}`;
    default:
      return key.table;
  }
}
