// Which pages of checkpoints the store holds, and which of them nobody needs. A page is stored under the checkpoint for which it was
// put; the page of checkpoint X is the newest one that is not newer than X. So an unchanged page is stored once, a new version never
// touches the one before, and whatever is older than the newest finished checkpoint needs is garbage. Only numbers are kept here.

import type { OpNumber } from '../protocol/types.js';
import type { CheckpointRecord } from './records.js';

export interface PageKey {
  readonly list: number;
  readonly index: number;
  readonly cpOp: OpNumber;
}

export class PageIndex {
  /** newest[list][index]: for which finished checkpoint the newest version was put; 0: there is none. */
  readonly #newest: number[][] = [];
  /** Of a checkpoint that is not finished: nobody refers to them. */
  #staged: PageKey[] = [];
  #garbage: PageKey[] = [];
  /** How many of the garbage are deleted. */
  #swept = 0;
  #count = 0;

  /** Of a store that is being opened, in the order of list, index and cpOp. */
  found(key: PageKey, record: CheckpointRecord | null): void {
    this.#count++;
    if (record === null || key.cpOp > record.op) {
      this.#staged.push(key);
      return;
    }
    if (key.index >= (record.pageCounts[key.list] ?? 0)) this.#garbage.push(key);
    else this.#supersede(key);
  }

  #supersede(key: PageKey): void {
    let versions = this.#newest[key.list];
    if (versions === undefined) {
      versions = [];
      this.#newest[key.list] = versions;
    }
    while (versions.length < key.index) versions.push(0);
    const before = versions[key.index] ?? 0;
    if (before !== 0 && before !== key.cpOp) this.#garbage.push({ ...key, cpOp: before });
    versions[key.index] = key.cpOp;
  }

  stage(keys: readonly PageKey[]): void {
    this.#count += keys.length;
    for (const key of keys) this.#staged.push(key);
  }

  /** All that was staged is gone from the store. */
  unstage(): void {
    this.#count -= this.#staged.length;
    this.#staged = [];
  }

  /** Pages that were put for another checkpoint than `cpOp` and would pass for pages of it or of a later one. */
  strays(cpOp: OpNumber): PageKey[] {
    return this.#staged.filter((key) => key.cpOp !== cpOp);
  }

  /** `record` is the newest finished checkpoint now, and the strays are gone. */
  finish(record: CheckpointRecord): void {
    for (const key of this.#staged) {
      if (key.cpOp === record.op) this.#supersede(key);
      else this.#count--;
    }
    this.#staged = [];
    for (const [list, versions] of this.#newest.entries()) {
      const count = record.pageCounts[list] ?? 0;
      for (let index = count; index < versions.length; index++) {
        const cpOp = versions[index] as number;
        if (cpOp !== 0) this.#garbage.push({ list, index, cpOp });
      }
      if (versions.length > count) versions.length = count;
    }
  }

  /** The next `limit` pieces of garbage; `drop` them when they are deleted. */
  garbage(limit: number): PageKey[] {
    return this.#garbage.slice(this.#swept, this.#swept + limit);
  }

  drop(count: number): void {
    this.#swept += count;
    this.#count -= count;
    if (this.#swept * 2 < this.#garbage.length) return;
    this.#garbage = this.#garbage.slice(this.#swept);
    this.#swept = 0;
  }

  get garbageCount(): number {
    return this.#garbage.length - this.#swept;
  }

  /** Versions of pages in the store, garbage included. */
  get count(): number {
    return this.#count;
  }
}
