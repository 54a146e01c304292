// Writes one replica's store: makes transactions of what its thread handed over. It runs in the store's thread and decides nothing
// about the protocol. Whatever it keeps in memory changes only after the commit that it describes, so that a failed one can
// be tried again.

import { rmSync } from 'node:fs';
import { violated } from '../protocol/assert.js';
import type { OpNumber } from '../protocol/types.js';
import { Environment } from './environment.js';
import { StorageError } from './errors.js';
import type { ExitGuard } from './exit-guard.js';
import { lockFile, type ReplicaFiles } from './files.js';
import type { HandoverReader } from './handover.js';
import { KIND, type SwitchHead, takeCollect, VALUE_AT } from './handover-records.js';
import { LogIndex, roomOf } from './log-index.js';
import { bootId } from './owner.js';
import { DamagedFile } from './page-file.js';
import { PageIndex, type PageKey } from './page-index.js';
import {
  CHECKPOINT_KEY,
  type CheckpointRecord,
  encodeCheckpoint,
  encodeMeta,
  KeyWriter,
  META_KEY,
  type StoredMeta,
  seal,
  UNFLUSHED_KEY,
} from './records.js';
import { StoreMark } from './register.js';
import { surveyStore } from './survey.js';

/**
 * `batch`: flushed at once. `interval`: gathered, and flushed every so often; a kill loses what was gathered. `none`: never flushed by us;
 * a store that was not closed is trusted only in the same boot of the machine, and where the system does not name its boots
 * never (P1).
 */
export type FlushMode = 'batch' | 'interval' | 'none';

export interface StoreWriterOptions {
  readonly files: ReplicaFiles;
  readonly mode: FlushMode;
  readonly guard: ExitGuard;
}

/** Garbage that is deleted along with other changes. */
const SWEEP_BESIDE = 64;

/** The replica's thread has ended, or the store is to stop, in the middle of a switch: nothing of it happens. */
export class SwitchAbandoned extends Error {
  override readonly name = 'SwitchAbandoned';
}

export class StoreWriter {
  readonly #files: ReplicaFiles;
  readonly #mode: FlushMode;
  readonly #guard: ExitGuard;
  readonly #mark: StoreMark;
  readonly #keys = new KeyWriter();
  /** A value on its way from the queue: LMDB cannot read from shared memory. */
  #staging: Buffer = Buffer.alloc(0);
  #environment: Environment | null = null;
  #meta: StoredMeta | null = null;
  #checkpointOp: OpNumber = 0;
  #log = new LogIndex(1);
  #pages = new PageIndex();
  #pageRoom = 0;
  #damage: string | null = null;

  /** @throws {StorageError} VR_DISK */
  constructor(options: StoreWriterOptions) {
    this.#files = options.files;
    this.#mode = options.mode;
    this.#guard = options.guard;
    this.#mark = new StoreMark(options.files.register);
    this.#open();
  }

  /** Why the file was not opened; only `reset` helps then. */
  get damage(): string | null {
    return this.#damage;
  }

  get head(): OpNumber {
    return this.#meta?.head ?? 0;
  }

  get checkpointOp(): OpNumber {
    return this.#checkpointOp;
  }

  /** Bytes of the file in use, but for trees and what was freed. */
  get usedBytes(): number {
    return this.#log.bytes + this.#pages.count * this.#pageRoom;
  }

  get hasGarbage(): boolean {
    const front = this.#meta?.logStart ?? 0;
    return this.#log.first < Math.min(front, this.#log.next) || this.#pages.garbageCount > 0;
  }

  #open(): void {
    try {
      // LMDB maps the file and trusts it.
      const found = surveyStore(this.#files, false);
      this.#meta = found.meta;
      this.#checkpointOp = found.checkpoint?.op ?? 0;
      this.#log = found.log;
      this.#pages = found.pages;
      this.#pageRoom = roomOf(found.pagePlaces.flat()[0]?.bytes ?? 0);
      this.#damage = null;
      this.#environment = new Environment(this.#files.store, 'large', this.#guard);
      this.#noteFlushing(found.unflushed, this.#mode !== 'none');
      this.dropUnfinished();
    } catch (error) {
      if (!(error instanceof DamagedFile)) throw error;
      this.#damage = error.message;
    }
  }

  /** Whoever put pages without finishing the checkpoint will not go on: a new thread begins anew. @throws {StorageError} */
  dropUnfinished(): void {
    const strays = this.#pages.strays(0);
    if (strays.length === 0) return;
    this.#commit((environment) => {
      this.#removePages(environment, strays);
      return this.#meta;
    });
    this.#pages.unstage();
  }

  /** Flushes everything, and notes whether what follows will be. */
  #noteFlushing(noted: boolean, flushes: boolean): void {
    if (flushes && !noted) return;
    const note = Buffer.concat([Buffer.alloc(4), Buffer.from(bootId() ?? '')]);
    // Durable, whatever the mode: so what was not flushed before is now, and only then may the note go.
    this.#commit((environment) => {
      environment.put(UNFLUSHED_KEY, seal(UNFLUSHED_KEY, note));
      return this.#meta;
    }, true);
    if (!flushes) return;
    this.#commit((environment) => {
      environment.remove(UNFLUSHED_KEY);
      return this.#meta;
    }, true);
  }

  #opened(): Environment {
    if (this.#environment === null)
      throw new StorageError('VR_CORRUPT_LOG', `${this.#files.store}: ${this.#damage}`);
    return this.#environment;
  }

  /** @param change returns what the meta is then */
  #commit(
    change: (environment: Environment) => StoredMeta | null,
    durable: boolean = this.#mode !== 'none',
  ): void {
    const environment = this.#opened();
    environment.commit((txnid) => {
      const meta = change(environment);
      if (meta !== null) environment.put(META_KEY, encodeMeta(meta, txnid));
    }, durable);
    this.#mark.write(environment.txnid);
  }

  /**
   * Writes the records that stand at the front of the queue, up to about `bytes`, in one transaction, and releases them. Stops
   * before what needs a transaction of its own.
   *
   * @throws {StorageError} and leaves the queue as it was
   */
  write(queue: HandoverReader, bytes: number): void {
    let meta = this.#state();
    const rooms: number[] = [];
    const staged: PageKey[] = [];
    let sweep: Sweep = NO_SWEEP;
    try {
      this.#commit((environment) => {
        while (queue.taken < bytes && queue.peek()) {
          const at = queue.at;
          if (queue.kind === KIND.entry) {
            const op = queue.bytes.readDoubleLE(at + 8);
            if (op !== meta.head + 1) violated(`entry ${op} behind entry ${meta.head}`);
            rooms.push(this.#putEntry(environment, op, queue));
            meta = { ...meta, head: op };
          } else if (queue.kind === KIND.page) staged.push(this.#putPage(environment, queue));
          else if (queue.kind === KIND.collect) {
            const front = takeCollect(queue);
            if (!(front.logStart <= meta.head + 1))
              violated(`no entry ${front.logStart - 1} to begin at`);
            if (front.logStart > meta.logStart) meta = { ...meta, ...front };
          } else if (queue.kind !== KIND.commit) break;
          if (queue.kind === KIND.entry || queue.kind === KIND.commit) {
            const commit = Math.min(queue.bytes.readDoubleLE(at), meta.head);
            if (commit > meta.commit) meta = { ...meta, commit };
          }
          queue.take();
        }
        sweep = this.#sweepInto(environment, meta.logStart, SWEEP_BESIDE + 2 * rooms.length);
        return meta;
      });
    } catch (error) {
      queue.rewind();
      throw error;
    }
    this.#meta = meta;
    for (const room of rooms) this.#log.push(room);
    this.#pages.stage(staged);
    this.#swept(sweep);
    queue.release();
  }

  #putEntry(environment: Environment, op: OpNumber, queue: HandoverReader): number {
    const key = this.#keys.log(op);
    const value = this.#stage(queue);
    environment.append(key, seal(key, value));
    return roomOf(value.length);
  }

  #putPage(environment: Environment, queue: HandoverReader): PageKey {
    const { bytes, at } = queue;
    const cpOp = bytes.readDoubleLE(at);
    const list = bytes.readUInt32LE(at + 8);
    const index = bytes.readUInt32LE(at + 12);
    if (!(cpOp > this.#checkpointOp))
      violated(`a page of checkpoint ${cpOp} after ${this.#checkpointOp}`);
    const key = this.#keys.page(list, index, cpOp);
    const value = this.#stage(queue);
    environment.put(key, seal(key, value));
    this.#pageRoom = roomOf(value.length);
    return { list, index, cpOp };
  }

  #stage(queue: HandoverReader): Buffer {
    const from = queue.at + VALUE_AT;
    const length = queue.length - VALUE_AT;
    if (this.#staging.length < length)
      this.#staging = Buffer.allocUnsafeSlow(Math.max(length, 256 << 10));
    queue.bytes.copy(this.#staging, 0, from, from + length);
    return this.#staging.subarray(0, length);
  }

  /** The pages of `record` were put; from now on it is the newest checkpoint. Durable when it returns. @throws {StorageError} */
  finishCheckpoint(record: CheckpointRecord): void {
    const meta = this.#state();
    if (!(record.op <= meta.head)) violated(`checkpoint ${record.op} above the head ${meta.head}`);
    if (!(record.op > this.#checkpointOp))
      violated(`checkpoint ${record.op} after ${this.#checkpointOp}`);
    this.#commit((environment) => {
      this.#removePages(environment, this.#pages.strays(record.op));
      environment.put(CHECKPOINT_KEY, encodeCheckpoint(record));
      return meta;
    });
    this.#pages.finish(record);
    this.#checkpointOp = record.op;
  }

  /**
   * Install (P8b): drops what is above `base`, puts the entries that `next` moves the queue to, one after the other until it
   * returns false, and replaces the meta and, if there is one, the checkpoint, all in one transaction that is durable when it
   * returns.
   *
   * @throws {StorageError}, or whatever `next` throws: nothing has changed then
   */
  switch(head: SwitchHead, queue: HandoverReader, next: () => boolean): void {
    const { meta, base, checkpoint } = head;
    const before = this.#meta;
    // Below the old front or beyond the old head there is nothing to join.
    const joins = before !== null && base + 1 >= this.#log.first && base < this.#log.next;
    if (!(joins || base === meta.logStart - 1))
      violated(`entries from ${base + 1} on join nothing`);
    if (!(base >= meta.logStart - 1)) violated(`base ${base} below the front ${meta.logStart}`);
    const newest = checkpoint?.op ?? this.#checkpointOp;
    if (!(newest <= meta.head)) violated(`checkpoint ${newest} above the head ${meta.head}`);
    if (!(checkpoint === null || checkpoint.op > this.#checkpointOp))
      violated(`checkpoint ${newest} after ${this.#checkpointOp}`);
    const rooms: number[] = [];
    this.#commit((environment) => {
      const from = joins ? base + 1 : this.#log.first;
      for (let op = from; op < this.#log.next; op++) environment.remove(this.#keys.log(op));
      while (next()) {
        const op = queue.bytes.readDoubleLE(queue.at + 8);
        if (op !== base + 1 + rooms.length) violated(`entry ${op} behind ${base + rooms.length}`);
        rooms.push(this.#putEntry(environment, op, queue));
      }
      if (meta.head !== base + rooms.length)
        violated(`head ${meta.head}, not ${base + rooms.length}`);
      if (checkpoint !== null) {
        this.#removePages(environment, this.#pages.strays(checkpoint.op));
        environment.put(CHECKPOINT_KEY, encodeCheckpoint(checkpoint));
      }
      return meta;
    });
    this.#meta = meta;
    if (joins) this.#log.dropBack(base);
    else this.#log = new LogIndex(base + 1);
    for (const room of rooms) this.#log.push(room);
    if (checkpoint === null) return;
    this.#pages.finish(checkpoint);
    this.#checkpointOp = checkpoint.op;
  }

  /** Deletes at most `limit` pieces of garbage. @throws {StorageError} */
  sweep(limit: number): void {
    let sweep: Sweep = NO_SWEEP;
    const meta = this.#state();
    this.#commit((environment) => {
      sweep = this.#sweepInto(environment, meta.logStart, limit);
      return meta;
    });
    this.#swept(sweep);
  }

  #sweepInto(environment: Environment, logStart: OpNumber, limit: number): Sweep {
    const { first, next } = this.#log;
    const to = Math.min(logStart, next, first + limit);
    for (let op = first; op < to; op++) environment.remove(this.#keys.log(op));
    const pages = this.#pages.garbage(limit);
    this.#removePages(environment, pages);
    return { to: Math.max(first, to), pages: pages.length };
  }

  #swept(sweep: Sweep): void {
    if (sweep.to > this.#log.first) this.#log.dropFront(sweep.to);
    this.#pages.drop(sweep.pages);
  }

  #removePages(environment: Environment, pages: readonly PageKey[]): void {
    for (const { list, index, cpOp } of pages)
      environment.remove(this.#keys.page(list, index, cpOp));
  }

  /** Everything is given up: an empty store, without a meta, which nobody takes for a state. @throws {StorageError} VR_DISK */
  reset(): void {
    this.#environment?.close();
    this.#environment = null;
    this.#mark.write(0);
    rmSync(this.#files.store, { force: true });
    rmSync(lockFile(this.#files.store), { force: true });
    this.#environment = new Environment(this.#files.store, 'large', this.#guard);
    this.#damage = null;
    this.#meta = null;
    this.#checkpointOp = 0;
    this.#log = new LogIndex(1);
    this.#pages = new PageIndex();
    this.#noteFlushing(false, this.#mode !== 'none');
  }

  /** After a failed commit: LMDB may refuse to go on with the environment that it happened in. @throws {StorageError} VR_DISK */
  reopen(): void {
    this.#environment?.close();
    this.#environment = new Environment(this.#files.store, 'large', this.#guard);
  }

  /** Flushes what the mode left unflushed. @throws {StorageError} VR_DISK */
  close(): void {
    if (this.#environment !== null) {
      if (this.#mode === 'none') this.#noteFlushing(true, true);
      this.#environment.close();
    }
    this.#environment = null;
    this.#mark.close();
  }

  #state(): StoredMeta {
    if (this.#meta === null)
      throw new StorageError('VR_CONFIG', 'the store has no state yet: switch to one first');
    return this.#meta;
  }
}

interface Sweep {
  /** Lowest op that is left. */
  readonly to: OpNumber;
  readonly pages: number;
}

const NO_SWEEP: Sweep = { to: 0, pages: 0 };
