// The loop of a store's thread. It never looks at its event loop: it takes what is in the queue, commits it in one transaction,
// says so, and takes what has gathered meanwhile (group commit); with nothing to do it deletes garbage, then sleeps.

import { messageOf, StorageError } from './errors.js';
import type { ExitGuard } from './exit-guard.js';
import type { HandoverReader } from './handover.js';
import { KIND, takeBegin, takeCheckpoint, takeRequest } from './handover-records.js';
import { type StoreWriter, SwitchAbandoned } from './store-writer.js';

export interface StoreThreadOptions {
  readonly queue: HandoverReader;
  readonly writer: StoreWriter;
  readonly guard: ExitGuard;
  /** Gather for so long before a commit; 0: do not wait. */
  readonly intervalMs: number;
  /** Whether a commit is durable when it returns. */
  readonly flushes: boolean;
  /** Beyond it the store says that it is full. */
  readonly capacityBytes: number;
}

/** One transaction takes at most so much: it bounds what one flush waits for. */
const BATCH_BYTES_MAX: number = 4 << 20;
/** No longer full below this share of the capacity, so that it does not flicker. */
const FULL_SHARE = 0.95;
/** How often to try again when the disk is full. */
const FULL_RETRY_MS = 500;
/** Garbage deleted per transaction while there is nothing else to do. */
const SWEEP_IDLE = 1024;
/** How much of the queue may fill before an interval has passed. */
const GATHER_SHARE = 0.5;
const GATHER_STEP_MS = 5;

export class StoreThread {
  readonly #options: StoreThreadOptions;
  #committedAt = 0;
  /** A new thread of the replica reads the file: it must not change before the thread writes. */
  #quiet = false;
  #atCapacity = false;

  constructor(options: StoreThreadOptions) {
    this.#options = options;
  }

  /** Returns when it was asked to stop, after writing what is in the queue. */
  run(): void {
    const { queue, writer } = this.#options;
    try {
      while (this.#step());
      writer.close();
    } catch (error) {
      const known = error instanceof StorageError;
      queue.fail(known ? error.code : 'VR_DISK', messageOf(error));
      throw error;
    }
  }

  #step(): boolean {
    const { queue, writer } = this.#options;
    if (queue.peek()) {
      this.#work();
      return true;
    }
    if (queue.stopping) return false;
    if (writer.hasGarbage && !this.#quiet && writer.damage === null) this.#sweep();
    else queue.sleep(Number.POSITIVE_INFINITY);
    return true;
  }

  #work(): void {
    const { queue, writer } = this.#options;
    this.#quiet = false;
    switch (queue.kind) {
      case KIND.attach:
        this.#insist(() => {
          if (writer.damage === null) writer.dropUnfinished();
        });
        this.#quiet = true;
        this.#publish();
        this.#done();
        break;
      case KIND.flush:
        this.#done();
        break;
      case KIND.reset:
        this.#insist(() => writer.reset());
        this.#publish();
        this.#done();
        break;
      case KIND.begin:
        this.#switch();
        break;
      case KIND.checkpoint: {
        const record = takeCheckpoint(queue);
        this.#insist(() => writer.finishCheckpoint(record));
        queue.take();
        queue.release();
        this.#publish();
        break;
      }
      case KIND.entry:
      case KIND.page:
      case KIND.commit:
      case KIND.collect:
        this.#write();
        break;
      default:
        // What is left of a switch whose thread has ended.
        queue.take();
        queue.release();
    }
  }

  /** Answers the request at the front of the queue. */
  #done(): void {
    const { queue } = this.#options;
    const request = takeRequest(queue);
    queue.take();
    queue.release();
    queue.answer(request);
  }

  #write(): void {
    const { queue, writer, guard, intervalMs } = this.#options;
    const bytes = Math.min(BATCH_BYTES_MAX, queue.capacity / 2);
    // Who exits meanwhile waits for the interval rather than lose what was acknowledged in it.
    guard.within(() => {
      if (intervalMs > 0) this.#gather(intervalMs);
      this.#insist(() => writer.write(queue, bytes));
    });
    this.#committedAt = performance.now();
    this.#publish();
  }

  #gather(intervalMs: number): void {
    const { queue } = this.#options;
    const until = this.#committedAt + intervalMs;
    while (!queue.urgent && queue.waiting < queue.capacity * GATHER_SHARE) {
      const left = until - performance.now();
      if (left <= 0) return;
      queue.pause(Math.min(left, GATHER_STEP_MS));
    }
  }

  #sweep(): void {
    const { writer } = this.#options;
    this.#insist(() => writer.sweep(SWEEP_IDLE));
    this.#publish();
  }

  /** The records of a switch are taken as they come: there may be more of them than the queue holds. */
  #switch(): void {
    const { queue, writer, guard } = this.#options;
    const head = takeBegin(queue);
    const request = takeRequest(queue);
    queue.take();
    const next = (): boolean => {
      queue.release();
      while (!queue.peek()) {
        if (queue.stopping || guard.stopping) throw new SwitchAbandoned();
        queue.sleep(Number.POSITIVE_INFINITY);
      }
      if (queue.kind === KIND.entry) {
        queue.take();
        return true;
      }
      if (queue.kind !== KIND.end || takeRequest(queue) !== request) throw new SwitchAbandoned();
      queue.take();
      queue.release();
      return false;
    };
    let refusal: StorageError | null = null;
    let ended = false;
    try {
      writer.switch(head, queue, () => {
        ended = !next();
        return !ended;
      });
    } catch (error) {
      if (error instanceof SwitchAbandoned) return;
      if (!(error instanceof StorageError)) throw error;
      refusal = error;
    }
    this.#publish();
    if (refusal?.details['full'] === true) writer.reopen();
    else if (refusal !== null) throw refusal;
    try {
      while (!ended) ended = !next();
    } catch (error) {
      if (error instanceof SwitchAbandoned) return;
      throw error;
    }
    queue.answer(request, refusal);
  }

  /** P9: what finds no room is tried again until there is some. Anything else that fails ends the store. */
  #insist(action: () => void): void {
    const { queue, writer, guard } = this.#options;
    for (;;) {
      try {
        action();
        return;
      } catch (error) {
        if (!(error instanceof StorageError) || error.details['full'] !== true) throw error;
        queue.publishFull(2);
        if (queue.stopping || guard.stopping) throw error;
        queue.rest(FULL_RETRY_MS);
        writer.reopen();
      }
    }
  }

  #publish(): void {
    const { queue, writer, capacityBytes, flushes } = this.#options;
    const used = writer.usedBytes;
    if (used >= capacityBytes) this.#atCapacity = true;
    else if (used < capacityBytes * FULL_SHARE) this.#atCapacity = false;
    queue.publishFull(this.#atCapacity ? 1 : 0);
    if (flushes) queue.publishFlushed(writer.head);
    queue.publishCheckpoint(writer.checkpointOp);
  }
}
