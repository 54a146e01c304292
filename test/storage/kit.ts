// A store on one thread: the queue is filled and emptied by the same hands, and every transaction happens when the test says so.

import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { ChainHasher } from '../../src/protocol/chain.js';
import type { Entry } from '../../src/protocol/message.js';
import type { Chain } from '../../src/protocol/types.js';
import { digest64 } from '../../src/simulation/seeded.js';
import { DataDirectory, type OpenDirectoryOptions } from '../../src/storage/directory.js';
import { ExitGuard } from '../../src/storage/exit-guard.js';
import type { ReplicaFiles } from '../../src/storage/files.js';
import { HandoverReader, HandoverWriter, handoverMemory } from '../../src/storage/handover.js';
import {
  KIND,
  type LogFront,
  offerBegin,
  offerCollect,
  offerCommit,
  offerEntry,
  offerPage,
  offerRequest,
  takeBegin,
} from '../../src/storage/handover-records.js';
import { type LoadedState, loadStore } from '../../src/storage/load.js';
import type { CheckpointRecord } from '../../src/storage/records.js';
import type { Switch } from '../../src/storage/replica-store.js';
import { type FlushMode, StoreWriter } from '../../src/storage/store-writer.js';

/** A directory that another run wrote, and that is never written again: see format.test.ts. */
export const GOLDEN: string = new URL('./testdata/format-2/', import.meta.url).pathname;

export const guard = new ExitGuard(ExitGuard.memory());

export const PAGE_BYTES = 256;

export const hasher = new ChainHasher(digest64);

export const CLUSTER = {
  clusterId: 77,
  configuration: {
    epoch: 0,
    members: [
      { id: 0, role: 'active' },
      { id: 1, role: 'witness' },
    ],
    storeBytes: 1 << 20,
  },
  pageBytes: PAGE_BYTES,
  origin: hasher.origin(77),
} as const;

export function temporaryPath(): string {
  const path = mkdtempSync(join(tmpdir(), 'viewstamp-storage-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

export function openDirectory(
  path: string,
  options: Partial<OpenDirectoryOptions> = {},
): DataDirectory {
  return DataDirectory.open({ path, guard, create: () => CLUSTER, ...options });
}

/** The files of replica 0 in a directory that is closed again. */
export function freshFiles(path: string = temporaryPath()): ReplicaFiles {
  const directory = openDirectory(path);
  directory.close();
  return directory.files(0);
}

export function entryAt(op: number, view = 1, bytes = 40): Entry {
  return {
    op,
    epoch: 0,
    view,
    ts: op * 10,
    seed: op * 7,
    kind: 'batch',
    count: 1 + (op % 5),
    body: new Uint8Array(bytes).fill(op + view),
    chain: [op, view, -op, 1 << 30],
  };
}

export function entriesFrom(from: number, to: number, view = 1, bytes?: number): Entry[] {
  const entries: Entry[] = [];
  for (let op = from; op <= to; op++) entries.push(entryAt(op, view, bytes));
  return entries;
}

/** The same entries with chains that link, above one whose chain is `below`. */
export function linked(entries: readonly Entry[], below: Chain): Entry[] {
  let chain = below;
  return entries.map((entry) => {
    chain = hasher.next(chain, entry, entry.body);
    return { ...entry, chain };
  });
}

export function recordAt(op: number, pageCounts: readonly number[]): CheckpointRecord {
  return { op, chain: [op, 1, -op, 1 << 30], ts: op * 10, root: [op, 0, 0, 9], pageCounts };
}

export function frontAt(logStart: number): LogFront {
  const op = logStart - 1;
  return { logStart, baseChain: [op, 1, -op, 1 << 30], baseTs: op * 10 };
}

const BATCH_BYTES = 1 << 20;

export class Store {
  readonly files: ReplicaFiles;
  readonly input: HandoverWriter;
  readonly output: HandoverReader;
  readonly writer: StoreWriter;

  constructor(files: ReplicaFiles, mode: FlushMode = 'batch') {
    this.files = files;
    const memory = handoverMemory(4 << 20);
    this.input = new HandoverWriter(memory);
    this.output = new HandoverReader(memory, null);
    this.writer = new StoreWriter({ files, mode, guard });
  }

  /** One transaction. */
  #write(): void {
    this.input.publish();
    this.writer.write(this.output, BATCH_BYTES);
  }

  append(entries: readonly Entry[], commit: number): void {
    for (const entry of entries) offerEntry(this.input, entry, commit);
    if (entries.length === 0) offerCommit(this.input, commit);
    this.#write();
  }

  putPages(cpOp: number, list: number, pages: ReadonlyMap<number, Uint8Array>): void {
    for (const [index, bytes] of pages) offerPage(this.input, { cpOp, list, index }, bytes);
    this.#write();
  }

  finishCheckpoint(record: CheckpointRecord): void {
    this.writer.finishCheckpoint(record);
  }

  collect(front: LogFront): void {
    offerCollect(this.input, front);
    this.#write();
  }

  /** @param stopAt throws in place of the entry of this number (counted from 0) */
  switchTo(change: Switch, stopAt = Number.POSITIVE_INFINITY): void {
    offerBegin(this.input, 1, change);
    for (const entry of change.entries) offerEntry(this.input, entry, 0);
    offerRequest(this.input, KIND.end, 1);
    this.input.publish();
    const { output } = this;
    output.peek();
    const head = takeBegin(output);
    output.take();
    let taken = 0;
    try {
      this.writer.switch(head, output, () => {
        output.release();
        if (taken++ === stopAt) throw new Error('stopped');
        output.peek();
        output.take();
        return output.kind === KIND.entry;
      });
    } finally {
      while (output.peek()) output.take();
      output.release();
    }
  }

  sweepAll(): void {
    while (this.writer.hasGarbage) this.writer.sweep(3);
  }

  close(): void {
    this.writer.close();
  }
}

/** What a kill at this instant would leave, loaded. @throws when it is damaged */
export function afterKill(files: ReplicaFiles): LoadedState {
  const path = temporaryPath();
  const copies = { store: join(path, 'store'), register: join(path, 'register') };
  copyFileSync(files.store, copies.store);
  copyFileSync(files.register, copies.register);
  const result = loadStore(copies);
  if (result.kind === 'damaged') throw new Error(result.why);
  onTestFinished(() => result.state.close());
  return result.state;
}

export function contentOf(state: LoadedState): unknown {
  const { meta, checkpoint } = state;
  const pages = checkpoint?.pageCounts.map((count, list) =>
    Array.from({ length: count }, (_, index) =>
      Buffer.from(state.page(list, index)).toString('hex'),
    ),
  );
  const entries = [...state.entries()].map((entry) => ({
    ...entry,
    body: Buffer.from(entry.body).toString('hex'),
  }));
  return { meta, checkpoint, entries, pages };
}
