// A replica's disk, seen from its thread: what the core wants stored goes to the store in the order of its effects, and what is flushed
// comes back as events. Pages of a checkpoint are handed over in slices. Only promises and switches wait for the disk.

import { OWN_LISTS } from '../../protocol/checkpoint/image.js';
import type { Effect, Event } from '../../protocol/effect.js';
import { head, slice } from '../../protocol/log.js';
import type { Entry } from '../../protocol/message.js';
import type { Replica } from '../../protocol/replica.js';
import type { Stored, StoredCheckpoint } from '../../protocol/restart.js';
import type { PagedState } from '../../protocol/state-machine.js';
import type { OpNumber, Stamp } from '../../protocol/types.js';
import type { LoadedState } from '../../storage/load.js';
import type { CheckpointRecord, StoredMeta } from '../../storage/records.js';
import { RegisterStore } from '../../storage/register.js';
import { ReplicaStore } from '../../storage/replica-store.js';
import type { DiskBoot, ReplicaBoot } from '../boot.js';

/** Pages handed over between two looks at the clock, and the time for it in one pass. */
const PAGES_STEP = 8;
const PAGES_MS = 0.3;

export type StoreEffect = Extract<
  Effect,
  { type: 'append' | 'switch' | 'saveCheckpoint' | 'collect' | 'wipe' }
>;

/** A checkpoint on its way to the disk: which page is next. */
interface Saving {
  readonly op: OpNumber;
  /** Pages that are as in this image are stored already; null: none are. */
  readonly from: OpNumber | null;
  list: number;
  index: number;
}

export class ReplicaDisk {
  readonly stored: Stored | null;
  readonly #boot: ReplicaBoot;
  readonly #disk: DiskBoot;
  readonly #pages: PagedState | null;
  readonly #store: ReplicaStore;
  readonly #register: RegisterStore;
  readonly #events: Event[] = [];
  #replica: Replica | null = null;
  #saving: Saving | null = null;

  /** @throws {StorageError} */
  constructor(boot: ReplicaBoot, disk: DiskBoot, pages: PagedState | null) {
    this.#boot = boot;
    this.#disk = disk;
    this.#pages = pages;
    this.#register = new RegisterStore(disk.register, boot.id);
    this.#store = new ReplicaStore(disk.link, {
      onFlushed: (op) => this.#flushed(op),
      onCheckpoint: (op) => this.#events.push({ type: 'checkpointStored', op }),
      onFull: (full) => this.#events.push({ type: 'storeFull', full }),
      onFailed: (error) => {
        throw error;
      },
    });
    const found = this.#store.load();
    if (found.kind === 'damaged' || disk.wipe) {
      this.stored = null;
      this.damage = found.kind === 'damaged' ? found.why : 'the others went on without it';
      if (found.kind === 'loaded') found.state.close();
      this.#store.reset();
      return;
    }
    this.damage = null;
    this.stored = this.#read(found.state);
    found.state.close();
  }

  /** Why what was found was not used. */
  readonly damage: string | null;

  get promised(): Stamp | null {
    return this.#register.read().stamp;
  }

  #read(state: LoadedState): Stored {
    const { meta } = state;
    const { lastNormal, viewStartOp, primaryStart, commit, logStart, baseChain, baseTs } = meta;
    return {
      trusted: this.#disk.trusted,
      lastNormal,
      viewStartOp,
      primaryStart,
      commit,
      baseOp: logStart - 1,
      baseChain,
      baseTs,
      entries: [...state.entries()],
      checkpoint: readCheckpoint(state),
    };
  }

  attach(replica: Replica): void {
    this.#replica = replica;
  }

  get #state(): Replica['state'] {
    if (this.#replica === null) throw new Error('the disk has no replica yet');
    return this.#replica.state;
  }

  #flushed(op: OpNumber): void {
    this.#events.push({ type: 'stored', series: this.#state.storeSeries, op });
  }

  /** R0: durable when it returns. */
  writeRegister(stamp: Stamp): void {
    this.#register.raise({ stamp });
  }

  perform(effect: StoreEffect): void {
    const { log, commit } = this.#state;
    switch (effect.type) {
      case 'append':
        this.#store.append(this.#entries(effect.fromOp, effect.toOp), commit);
        return;
      case 'switch':
        this.#switch(effect);
        return;
      case 'saveCheckpoint':
        this.#saving = { op: effect.op, from: this.#before(effect.op), list: 0, index: 0 };
        return;
      case 'collect':
        this.#store.collect({
          logStart: log.start,
          baseChain: log.baseChain,
          baseTs: log.baseTs,
        });
        return;
      case 'wipe':
        this.#store.reset();
        return;
    }
  }

  #entries(fromOp: OpNumber, toOp: OpNumber): Entry[] {
    const { log } = this.#state;
    return toOp < fromOp ? [] : slice(log, { fromOp, toOp, bytes: Number.POSITIVE_INFINITY });
  }

  /** The checkpoint before, which the store has. */
  #before(op: OpNumber): OpNumber | null {
    const earlier = this.#state.checkpoints.filter((checkpoint) => checkpoint.op < op);
    return earlier[earlier.length - 1]?.op ?? null;
  }

  #meta(): StoredMeta {
    const { state } = { state: this.#state };
    const { log } = state;
    return {
      clusterId: this.#boot.clusterId,
      gen: this.#disk.gen,
      lastNormal: state.lastNormal,
      viewStartOp: state.viewStartOp,
      primaryStart: state.primaryStart,
      epoch: state.epoch,
      commit: Math.min(state.commit, head(log)),
      logStart: log.start,
      baseChain: log.baseChain,
      baseTs: log.baseTs,
      head: head(log),
    };
  }

  /** P8b: waits. */
  #switch({ base, fresh, adopted, from }: Extract<StoreEffect, { type: 'switch' }>): void {
    const { log } = this.#state;
    this.#saving = null;
    if (adopted !== null) {
      const saving = { op: adopted, from, list: 0, index: 0 };
      while (!this.#handOver(saving, Number.POSITIVE_INFINITY)) this.#store.flush();
    }
    const above = fresh ? log.start - 1 : base;
    this.#store.switchTo({
      meta: this.#meta(),
      base: above,
      entries: this.#entries(above + 1, head(log)),
      checkpoint: adopted === null ? null : this.#record(adopted),
    });
  }

  #record(op: OpNumber): CheckpointRecord {
    const { checkpoints, saving } = this.#state;
    const known = [...checkpoints, saving].find((checkpoint) => checkpoint?.op === op);
    if (known === undefined || known === null) throw new Error(`there is no checkpoint at ${op}`);
    const { chain, ts, root, trees } = known;
    return { op, chain, ts, root, pageCounts: trees.map((tree) => tree.pages) };
  }

  /** Hands over pages of a checkpoint until `until`. @returns false when there are more. */
  #handOver(saving: Saving, until: number): boolean {
    const { checkpoints, saving: fresh } = this.#state;
    const whole = [...checkpoints, fresh].find((checkpoint) => checkpoint?.op === saving.op);
    const pages = this.#pages;
    if (whole === undefined || whole === null || pages === null) return true;
    let left = PAGES_STEP;
    for (; saving.list < whole.trees.length; saving.list++, saving.index = 0) {
      const count = whole.trees[saving.list]?.pages ?? 0;
      for (; saving.index < count; saving.index++) {
        if (left === 0) {
          if (performance.now() >= until) return false;
          left = PAGES_STEP;
        }
        if (!this.#isNew(saving, pages)) continue;
        const { op, list, index } = saving;
        const page =
          list < OWN_LISTS ? whole.own[list]?.[index] : pages.page(op, list - OWN_LISTS, index);
        if (page !== undefined && !this.#store.putPage(op, list, index, page)) return false;
        left--;
      }
    }
    return true;
  }

  /** False: the store has it with the checkpoint before. An adopted checkpoint was made from the image that it names. */
  #isNew({ op, from, list, index }: Saving, pages: PagedState): boolean {
    if (from === null || list < OWN_LISTS) return true;
    return pages.changed(op, list - OWN_LISTS, index);
  }

  /** Once per pass: what waits goes on, what is flushed is told. @returns the events for the core; valid until the next call */
  poll(): readonly Event[] {
    this.#events.length = 0;
    const saving = this.#saving;
    if (saving !== null && this.#handOver(saving, performance.now() + PAGES_MS)) {
      this.#saving = null;
      this.#store.finishCheckpoint(this.#record(saving.op));
    }
    this.#store.poll();
    // Nobody flushes in this mode: handed over is all that there is to wait for.
    const { link } = this.#disk;
    const { storedOp, durableOp, storeSeries } = this.#state;
    if (link.mode === 'none' && this.#store.waitingBytes === 0 && storedOp > durableOp)
      this.#events.push({ type: 'stored', series: storeSeries, op: storedOp });
    return this.#events;
  }

  /** True: there is more to hand over. */
  get busy(): boolean {
    return this.#saving !== null || this.#store.waitingBytes > 0;
  }
}

function readCheckpoint(state: LoadedState): StoredCheckpoint | null {
  const { checkpoint } = state;
  if (checkpoint === null) return null;
  const lists = checkpoint.pageCounts.map((count, list) =>
    Array.from({ length: count }, (_, index) => state.page(list, index)),
  );
  return { op: checkpoint.op, root: checkpoint.root, lists };
}
