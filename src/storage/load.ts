// What a replica finds in its store when it starts. Structure and checksums are verified before anything is shown, so a damaged store
// is a result and never half a state (P3). Chains, which alone cover the bodies of entries, and roots need the core's hashes and are for
// the caller to verify before it uses anything; who gets all they are made of.

import { closeSync, openSync } from 'node:fs';
import type { Entry } from '../protocol/message.js';
import type { OpNumber } from '../protocol/types.js';
import { messageOf, StorageError } from './errors.js';
import type { ReplicaFiles } from './files.js';
import { DamagedFile } from './page-file.js';
import {
  type CheckpointRecord,
  KeyWriter,
  pageBytesOf,
  readEntry,
  type StoredMeta,
} from './records.js';
import { type Place, readPlace, type Survey, surveyStore } from './survey.js';

export type LoadResult =
  | { readonly kind: 'loaded'; readonly state: LoadedState }
  /** Not trusted: `reset` it, recover with the register (P3). `why` is for people. */
  | { readonly kind: 'damaged'; readonly why: string };

/** Reads the file until `close`; read it all before anything is written to the store. */
export class LoadedState {
  readonly meta: StoredMeta;
  /** The newest complete one. */
  readonly checkpoint: CheckpointRecord | null;
  readonly #survey: Survey;
  #fd: number | null;
  readonly #keys = new KeyWriter();

  constructor(fd: number, survey: Survey, meta: StoredMeta) {
    this.#fd = fd;
    this.#survey = survey;
    this.meta = meta;
    this.checkpoint = survey.checkpoint;
  }

  /** From `from` (not below `meta.logStart`) up to `meta.head`; their bodies are unverified. @throws {StorageError} VR_CORRUPT_LOG */
  *entries(from: OpNumber = this.meta.logStart): Generator<Entry, void, undefined> {
    const { logStart, head } = this.meta;
    for (let op = from; op <= head; op++) {
      const place = this.#survey.entries[op - logStart];
      yield readEntry(op, this.#read(this.#keys.log(op), place));
    }
  }

  /** A page of `checkpoint`, in memory of its own. @throws {StorageError} VR_CORRUPT_LOG */
  page(list: number, index: number): Uint8Array {
    const place = this.#survey.pagePlaces[list]?.[index];
    return pageBytesOf(this.#read(this.#keys.page(list, index, place?.cpOp ?? 0), place));
  }

  #read(key: Buffer, place: Place | undefined): Buffer {
    if (place === undefined || this.#fd === null)
      throw new StorageError('VR_CONFIG', 'there is no such entry or page');
    try {
      return readPlace(this.#fd, key, place);
    } catch (error) {
      throw new StorageError('VR_CORRUPT_LOG', messageOf(error), {}, error);
    }
  }

  close(): void {
    if (this.#fd !== null) closeSync(this.#fd);
    this.#fd = null;
  }
}

/** Nobody may write to the store meanwhile. Never throws. */
export function loadStore(files: ReplicaFiles): LoadResult {
  let fd: number | null = null;
  try {
    const survey = surveyStore(files, true);
    if (survey.meta === null) throw new DamagedFile('it holds no state');
    fd = openSync(files.store, 'r');
    return { kind: 'loaded', state: new LoadedState(fd, survey, survey.meta) };
  } catch (error) {
    if (fd !== null) closeSync(fd);
    return { kind: 'damaged', why: messageOf(error) };
  }
}
