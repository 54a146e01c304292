// A virtual store (protocol.md P11): transactions in the order in which they came, of which a prefix is flushed. A crash leaves any
// prefix that has all that was flushed, and nothing else (P1).

import { assert } from '../protocol/assert.js';
import { OWN_LISTS } from '../protocol/checkpoint/image.js';
import type { Durability } from '../protocol/durability.js';
import { head, slice } from '../protocol/log.js';
import type { Entry, ReplicaMessage } from '../protocol/message.js';
import type { Stored, StoredCheckpoint } from '../protocol/restart.js';
import type { ReplicaState } from '../protocol/state.js';
import type { PagedState } from '../protocol/state-machine.js';
import type { OpNumber } from '../protocol/types.js';

export type Image = Omit<Stored, 'trusted'>;

/** What is told when a transaction is flushed. */
export type News =
  | { readonly kind: 'entries'; readonly series: number; readonly op: OpNumber }
  | { readonly kind: 'checkpoint'; readonly op: OpNumber }
  | null;

interface Transaction {
  readonly image: Image;
  readonly news: News;
}

/** Everything that the log says of itself, besides its entries. */
function metaOf(state: ReplicaState): Omit<Image, 'entries' | 'checkpoint'> {
  const { lastNormal, viewStartOp, primaryStart, commit, log } = state;
  return {
    lastNormal,
    viewStartOp,
    primaryStart,
    commit,
    baseOp: log.start - 1,
    baseChain: log.baseChain,
    baseTs: log.baseTs,
  };
}

function entriesOf(state: ReplicaState, fromOp: OpNumber): Entry[] {
  const toOp = head(state.log);
  return toOp < fromOp ? [] : slice(state.log, { fromOp, toOp, bytes: Number.POSITIVE_INFINITY });
}

export class Disk {
  /** The flushed state, or null when there is none; and what was stored since. */
  #flushed: Image | null = null;
  #pending: Transaction[] = [];
  flushes = 0;

  get unflushed(): number {
    return this.#pending.length;
  }

  get #newest(): Image | null {
    return this.#pending[this.#pending.length - 1]?.image ?? this.#flushed;
  }

  /** What a crash of the machine cannot take any more. */
  get flushed(): Image | null {
    return this.#flushed;
  }

  append(state: ReplicaState, series: number, fromOp: OpNumber, toOp: OpNumber): void {
    const before = this.#newest;
    assert(before !== null, 'a store begins with a switch');
    const news = { kind: 'entries', series, op: toOp } as const;
    const { baseOp, baseChain, baseTs } = before;
    // What begins the log is changed by `collect` alone, together with the entries that go.
    const meta = {
      ...metaOf(state),
      baseOp,
      baseChain,
      baseTs,
      commit: Math.min(state.commit, toOp),
    };
    const kept = before.entries.filter((entry) => entry.op < fromOp);
    const entries = [...kept, ...entriesOf(state, fromOp).filter((entry) => entry.op <= toOp)];
    this.#pending.push({ image: { ...before, ...meta, entries }, news });
  }

  /** P8b: flushed when it returns. */
  switch(state: ReplicaState, adopted: StoredCheckpoint | null): void {
    const checkpoint = adopted ?? this.#newest?.checkpoint ?? null;
    const image = { ...metaOf(state), entries: entriesOf(state, state.log.start), checkpoint };
    this.#pending.push({ image, news: null });
    this.flush(this.#pending.length);
  }

  saveCheckpoint(checkpoint: StoredCheckpoint): void {
    const before = this.#newest;
    assert(before !== null, 'a store begins with a switch');
    const news = { kind: 'checkpoint', op: checkpoint.op } as const;
    this.#pending.push({ image: { ...before, checkpoint }, news });
  }

  collect(state: ReplicaState): void {
    const before = this.#newest;
    assert(before !== null, 'a store begins with a switch');
    const { baseOp, baseChain, baseTs, commit } = metaOf(state);
    const entries = before.entries.filter((entry) => entry.op > baseOp);
    const top = entries[entries.length - 1]?.op ?? baseOp;
    const meta = { baseOp, baseChain, baseTs, commit: Math.min(commit, top) };
    const image = { ...before, ...meta, entries };
    this.#pending.push({ image, news: null });
  }

  wipe(): void {
    this.#flushed = null;
    this.#pending = [];
  }

  /** Flushes the oldest `count` transactions. @returns what is to be told of them. */
  flush(count: number): News[] {
    const done = this.#pending.splice(0, count);
    const last = done[done.length - 1];
    if (last === undefined) return [];
    this.flushes++;
    this.#flushed = last.image;
    return done.map(({ news }) => news).filter((news) => news !== null);
  }

  /** The thread, or the machine, stops: of what was not flushed the oldest `kept` transactions remain. */
  crash(kept: number): void {
    this.#pending.splice(kept);
    this.flush(this.#pending.length);
  }

  read(): Image | null {
    return this.#newest;
  }

  /** Rot: one bit of what is stored turns. @returns false when there is nothing to turn. */
  rot(random: number): boolean {
    const image = this.#newest;
    if (image === null) return false;
    const pages = image.checkpoint?.lists.flat() ?? [];
    const bodies = image.entries.filter((entry) => entry.body.length > 0);
    const at = random % Math.max(1, pages.length + bodies.length);
    const turn = (bytes: Uint8Array): Uint8Array => {
      const copy = bytes.slice();
      const byte = (random >>> 8) % copy.length;
      copy[byte] = (copy[byte] ?? 0) ^ (1 << (random & 7));
      return copy;
    };
    const hurt = pages[at];
    const { checkpoint } = image;
    if (hurt !== undefined && checkpoint !== null) {
      const lists = checkpoint.lists.map((list) =>
        list.map((page) => (page === hurt ? turn(page) : page)),
      );
      this.#flushed = { ...image, checkpoint: { ...checkpoint, lists } };
    } else {
      const body = bodies[at - pages.length];
      if (body === undefined) return false;
      const entries = image.entries.map((entry) =>
        entry === body ? { ...entry, body: turn(entry.body) } : entry,
      );
      this.#flushed = { ...image, entries };
    }
    this.#pending = [];
    return true;
  }
}

/** What `saveCheckpoint` stores of the checkpoint at `op`, which is complete, or being stored. */
export function storedCheckpoint(
  state: ReplicaState,
  pages: PagedState,
  op: OpNumber,
): StoredCheckpoint {
  const known = [...state.checkpoints, state.saving].find((checkpoint) => checkpoint?.op === op);
  assert(known !== undefined && known !== null, `there is no checkpoint at ${op}`);
  const lists = known.trees.map((tree, list) =>
    Array.from({ length: tree.pages }, (_, index) =>
      list < OWN_LISTS
        ? (known.own[list]?.[index] as Uint8Array)
        : pages.page(op, list - OWN_LISTS, index).slice(),
    ),
  );
  return { op, root: known.root, lists };
}

/** I21: of a message that is about to be sent, what P2 wants flushed is flushed. */
export function checkDisclosure(disk: Disk, durability: Durability, message: ReplicaMessage): void {
  const { flushed } = disk;
  const top = flushed === null ? 0 : flushed.baseOp + flushed.entries.length;
  const who = `I21 replica ${message.from}: ${message.kind}`;
  if (message.kind === 'prepareOk') {
    const stored = flushed?.checkpoint?.op ?? 0;
    assert(message.cpOp <= stored, `${who} of checkpoint ${message.cpOp}, flushed is ${stored}`);
  }
  if (durability === 'sync' && (message.kind === 'prepareOk' || message.kind === 'doViewChange'))
    assert(message.op <= top, `${who} of op ${message.op}, flushed is ${top}`);
}
