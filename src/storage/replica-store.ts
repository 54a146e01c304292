// The replica's end of its durable store. What it is given goes, in its order, into a bounded queue; the store's thread makes
// transactions of it. Nothing here waits for a disk but `load`, `switchTo`, `flush` and `reset`, which say so. The thread that uses it may
// be ended at any instant.

import type { Entry } from '../protocol/message.js';
import type { OpNumber } from '../protocol/types.js';
import { StorageError } from './errors.js';
import { HandoverWriter } from './handover.js';
import {
  entryPayloadBytes,
  KIND,
  type LogFront,
  offerBegin,
  offerCheckpoint,
  offerCollect,
  offerCommit,
  offerEntry,
  offerPage,
  offerRequest,
} from './handover-records.js';
import { type LoadResult, loadStore } from './load.js';
import type { CheckpointRecord, StoredMeta } from './records.js';
import type { StoreLink } from './store-host.js';

export interface StoreEvents {
  /** Everything up to `op` is durable. Never called in mode `none`. */
  onFlushed(op: OpNumber): void;
  /** The checkpoint at `op` is complete, and durable but in mode `none` (CP3). */
  onCheckpoint(op: OpNumber): void;
  /** P9. True: answer Busy; what was handed over is kept and written as soon as there is room. */
  onFull(full: boolean): void;
  /** VR_DISK: nothing is written any more. */
  onFailed(error: StorageError): void;
}

/** What waits for room in the queue. Entries are kept by reference: they are the replica's own log. */
type Waiting =
  | { readonly kind: 'entry'; readonly entry: Entry; readonly commit: OpNumber }
  | { readonly kind: 'commit'; readonly commit: OpNumber }
  | { readonly kind: 'checkpoint'; readonly record: CheckpointRecord }
  | { readonly kind: 'collect'; readonly front: LogFront };

export interface Switch {
  readonly meta: StoredMeta;
  /** Entries above it are replaced by `entries`, which follow it without a gap up to `meta.head`. */
  readonly base: OpNumber;
  readonly entries: Iterable<Entry>;
  /** Adopted with the switch: those of its pages that differ from the newest finished checkpoint were put before. */
  readonly checkpoint: CheckpointRecord | null;
}

export class ReplicaStore {
  readonly #link: StoreLink;
  readonly #events: StoreEvents;
  readonly #queue: HandoverWriter;
  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #waitingCheckpoints = 0;
  #appended: OpNumber = 0;
  #flushed: OpNumber = 0;
  #checkpoint: OpNumber = 0;
  #commit: OpNumber = 0;
  /** The commit number that was handed over last. */
  #given: OpNumber = 0;
  #full = false;
  #failed = false;

  constructor(link: StoreLink, events: StoreEvents) {
    this.#link = link;
    this.#events = events;
    this.#queue = new HandoverWriter(link.memory);
  }

  /** Longest body of an entry that the queue takes. */
  get bodyMax(): number {
    return this.#queue.payloadMax - entryPayloadBytes(0);
  }

  /** Bytes of entries that wait for room in the queue: how far the disk is behind. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  /**
   * First of all. Waits until what an earlier thread handed over is written, and reads the file.
   * @throws {StorageError} VR_DISK when the store has failed; with `details.full` it may go on later, for another thread
   */
  load(): LoadResult {
    this.#request(KIND.attach);
    const result = loadStore(this.#link.files);
    if (result.kind === 'loaded') this.#begin(result.state.meta, result.state.checkpoint);
    return result;
  }

  #begin(meta: StoredMeta, checkpoint: CheckpointRecord | null): void {
    this.#appended = meta.head;
    this.#flushed = meta.head;
    this.#commit = meta.commit;
    this.#given = meta.commit;
    this.#checkpoint = checkpoint?.op ?? this.#checkpoint;
  }

  /** The entries of a pass, each the next op, or none. `commit` is a lower bound of what is committed. */
  append(entries: readonly Entry[], commit: OpNumber): void {
    for (const entry of entries) {
      if (entry.op !== this.#appended + 1)
        throw new StorageError('VR_CONFIG', `entry ${entry.op} behind entry ${this.#appended}`);
      if (entry.body.length > this.bodyMax)
        throw new StorageError('VR_CONFIG', `an entry of ${entry.body.length} bytes`);
      this.#appended = entry.op;
      this.#give({ kind: 'entry', entry, commit });
    }
    if (entries.length > 0) this.#given = commit;
    this.#commit = Math.max(this.#commit, commit);
    this.#queue.publish();
  }

  /** A commit number alone is not worth a flush: it goes along with the next entry, or with what is to be flushed anyway. */
  #giveCommit(): void {
    if (this.#commit <= this.#given) return;
    this.#given = this.#commit;
    this.#give({ kind: 'commit', commit: this.#commit });
  }

  /**
   * Puts a page ahead of `finishCheckpoint` or of a switch; one checkpoint at a time: those of another one are dropped when it is
   * finished. The content is copied.
   *
   * @returns false when the queue is full, or the checkpoint before still waits for room: try again in a later pass
   */
  putPage(cpOp: OpNumber, list: number, index: number, content: Uint8Array): boolean {
    if (this.#waiting.length > 0) this.#drain();
    // It may overtake entries, but not the end of the checkpoint before: that one drops all pages but its own.
    if (this.#waitingCheckpoints > 0) return false;
    const taken = offerPage(this.#queue, { cpOp, list, index }, content);
    this.#queue.publish();
    return taken;
  }

  /** All pages of `record` that differ from the newest finished checkpoint were put. `onCheckpoint` tells when it is durable. */
  finishCheckpoint(record: CheckpointRecord): void {
    this.#giveCommit();
    this.#give({ kind: 'checkpoint', record });
    this.#queue.publish();
  }

  /** Drops the log's front (P8e): `front` counts at once, the entries below it go in slices. */
  collect(front: LogFront): void {
    this.#give({ kind: 'collect', front });
    this.#queue.publish();
  }

  /**
   * Install (P8b), in one transaction; write the register before. Waits until it is durable (in mode `none`: done).
   * @throws {StorageError} VR_DISK: it may have happened or not, or happen when there is room again (`details.full`), but never
   * by half; this thread has to end, and a successor loads what there is
   */
  switchTo(change: Switch): void {
    const { meta, base, checkpoint } = change;
    this.#drainAll();
    const queue = this.#queue;
    const request = queue.newRequest();
    this.#insist(() => offerBegin(queue, request, { meta, base, checkpoint }));
    for (const entry of change.entries) this.#insist(() => offerEntry(queue, entry, meta.commit));
    this.#insist(() => offerRequest(queue, KIND.end, request));
    queue.publish();
    queue.await(request);
    this.#begin(meta, checkpoint);
  }

  /** Waits until everything handed over is written, and durable but in mode `none`. @throws {StorageError} VR_DISK as above */
  flush(): void {
    this.#giveCommit();
    this.#drainAll();
    this.#request(KIND.flush);
    this.poll();
  }

  /** Empties the store, which then holds no state until a switch (P3). Waits. @throws {StorageError} VR_DISK */
  reset(): void {
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#waitingCheckpoints = 0;
    this.#request(KIND.reset);
    this.#appended = 0;
    this.#flushed = 0;
    this.#commit = 0;
    this.#given = 0;
    this.#checkpoint = 0;
  }

  /** Once per pass: hands over what waited, and calls the events. @returns how much there was to do. */
  poll(): number {
    let work = this.#drain();
    const queue = this.#queue;
    const flushed = this.#flushed + ((queue.flushedLow - this.#flushed) | 0);
    if (flushed > this.#flushed && this.#link.mode !== 'none') {
      this.#flushed = flushed;
      this.#events.onFlushed(flushed);
      work++;
    }
    const checkpoint = this.#checkpoint + ((queue.checkpointLow - this.#checkpoint) | 0);
    if (checkpoint > this.#checkpoint) {
      this.#checkpoint = checkpoint;
      this.#events.onCheckpoint(checkpoint);
      work++;
    }
    if (queue.full !== this.#full) {
      this.#full = queue.full;
      this.#events.onFull(this.#full);
      work++;
    }
    const failure = this.#failed ? null : queue.failure;
    if (failure !== null) {
      this.#failed = true;
      this.#events.onFailed(failure);
      work++;
    }
    return work;
  }

  #give(item: Waiting): void {
    if (this.#failed) return;
    if (this.#waiting.length === 0 && this.#offer(item)) return;
    this.#waiting.push(item);
    this.#account(item, 1);
  }

  #account(item: Waiting, sign: 1 | -1): void {
    if (item.kind === 'entry') this.#waitingBytes += sign * item.entry.body.length;
    if (item.kind === 'checkpoint') this.#waitingCheckpoints += sign;
  }

  #offer(item: Waiting): boolean {
    switch (item.kind) {
      case 'entry':
        return offerEntry(this.#queue, item.entry, item.commit);
      case 'commit':
        return offerCommit(this.#queue, item.commit);
      case 'checkpoint':
        return offerCheckpoint(this.#queue, item.record);
      case 'collect':
        return offerCollect(this.#queue, item.front);
    }
  }

  #drain(): number {
    let count = 0;
    for (const item of this.#waiting) {
      if (!this.#offer(item)) break;
      this.#account(item, -1);
      count++;
    }
    if (count > 0) {
      this.#waiting = this.#waiting.slice(count);
      this.#queue.publish();
    }
    return count;
  }

  #drainAll(): void {
    for (;;) {
      this.#drain();
      if (this.#waiting.length === 0) return;
      this.#queue.awaitRoom();
    }
  }

  #insist(offer: () => boolean): void {
    while (!offer()) {
      this.#queue.publish();
      this.#queue.awaitRoom();
    }
  }

  #request(kind: (typeof KIND)['attach' | 'flush' | 'reset']): void {
    const request = this.#queue.newRequest();
    this.#insist(() => offerRequest(this.#queue, kind, request));
    this.#queue.publish();
    this.#queue.await(request);
  }
}
