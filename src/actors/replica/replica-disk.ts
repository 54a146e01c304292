// A replica's disk, seen from its thread: what the core wants stored goes to the store in the order of its effects, and what is flushed
// comes back as events. Pages of a checkpoint are handed over in slices. Only promises and switches wait for the disk.

import { performance } from 'node:perf_hooks';
import { type Checkpoint, OWN_LISTS } from '../../protocol/checkpoint/image.js';
import { sameLeaf, type Tree } from '../../protocol/checkpoint/merkle.js';
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
/** Pages that the store has already, passed over between two looks at the clock. */
const LOOKS_STEP = 4096;

export type StoreEffect = Extract<
  Effect,
  { type: 'append' | 'switch' | 'saveCheckpoint' | 'collect' | 'wipe' }
>;

/** A checkpoint on its way to the disk: which page is next. */
interface Saving {
  readonly checkpoint: Checkpoint;
  /** Pages that are the same in these trees are stored already. */
  readonly stored: readonly Tree[];
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
  /** Of the newest checkpoint that the store was given whole. */
  #storedTrees: readonly Tree[] | null = null;

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
        this.#saving = this.#begin(effect.op);
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
        this.#storedTrees = [];
        return;
    }
  }

  #entries(fromOp: OpNumber, toOp: OpNumber): Entry[] {
    const { log } = this.#state;
    return toOp < fromOp ? [] : slice(log, { fromOp, toOp, bytes: Number.POSITIVE_INFINITY });
  }

  #begin(op: OpNumber): Saving {
    const { checkpoints, saving } = this.#state;
    const checkpoint = [...checkpoints, saving].find((known) => known?.op === op);
    if (checkpoint === undefined || checkpoint === null)
      throw new Error(`there is no checkpoint at ${op}`);
    // Nothing was stored since the start: the store has the one that the replica began with.
    const loaded = checkpoints.find((known) => known.op === this.stored?.checkpoint?.op);
    return { checkpoint, stored: this.#storedTrees ?? loaded?.trees ?? [], list: 0, index: 0 };
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

  /** P8b: waits. Pages of a checkpoint that is on its way go on after it, unless there is another state now. */
  #switch({ base, fresh, adopted }: Extract<StoreEffect, { type: 'switch' }>): void {
    const { log } = this.#state;
    let checkpoint: CheckpointRecord | null = null;
    if (adopted !== null) {
      this.#saving = null;
      const saving = this.#begin(adopted);
      while (!this.#handOver(saving, Number.POSITIVE_INFINITY)) this.#store.flush();
      checkpoint = this.#whole(saving);
    }
    const above = fresh ? log.start - 1 : base;
    this.#store.switchTo({
      meta: this.#meta(),
      base: above,
      entries: this.#entries(above + 1, head(log)),
      checkpoint,
    });
  }

  /** All of its pages were handed over. */
  #whole({ checkpoint }: Saving): CheckpointRecord {
    const { op, chain, ts, root, trees } = checkpoint;
    this.#storedTrees = trees;
    return { op, chain, ts, root, pageCounts: trees.map((tree) => tree.pages) };
  }

  /** Hands over pages of a checkpoint until `until`. @returns false when there are more. */
  #handOver(saving: Saving, until: number): boolean {
    const { checkpoint, stored } = saving;
    const pages = this.#pages;
    if (pages === null) return true;
    const { op, trees, own } = checkpoint;
    let left = PAGES_STEP;
    let looks = LOOKS_STEP;
    for (; saving.list < trees.length; saving.list++, saving.index = 0) {
      const { list } = saving;
      const tree = trees[list] as Tree;
      for (; saving.index < tree.pages; saving.index++) {
        if (left === 0 || looks === 0) {
          if (performance.now() >= until) return false;
          left = PAGES_STEP;
          looks = LOOKS_STEP;
        }
        looks--;
        const { index } = saving;
        const known = stored[list];
        if (known !== undefined && sameLeaf(tree, known, index)) continue;
        const page =
          list < OWN_LISTS ? own[list]?.[index] : pages.page(op, list - OWN_LISTS, index);
        if (page !== undefined && !this.#store.putPage(op, list, index, page)) return false;
        left--;
      }
    }
    return true;
  }

  /** Once per pass: what waits goes on, what is flushed is told. @returns the events for the core; valid until the next call */
  poll(): readonly Event[] {
    this.#events.length = 0;
    const saving = this.#saving;
    if (saving !== null && this.#handOver(saving, performance.now() + PAGES_MS)) {
      this.#saving = null;
      this.#store.finishCheckpoint(this.#whole(saving));
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
