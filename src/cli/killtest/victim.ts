// The process that is killed, as the one that kills it sees it: started, asked, listened to, and ended at any instant.

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import type { ClusterStatus, DiskOptions } from '../../index.js';
import type { LaneStart } from './appender.js';
import { type JournalRecord, parseJournal } from './journal.js';

export interface VictimOptions {
  readonly replicas: number;
  readonly witnesses: number;
  readonly durability: DiskOptions;
}

export interface LoadOptions {
  readonly threads: number;
  /** Dealt out to the threads by their number. */
  readonly appenders: readonly LaneStart[];
  /** Clients per thread that meet on few keys; 0: none. */
  readonly lanes: number;
  /** Of those keys. */
  readonly prefix: string;
  readonly seed: number;
}

export type Question =
  | { readonly type: 'read'; readonly keys: readonly string[] }
  | { readonly type: 'digests' | 'status' | 'close' }
  | { readonly type: 'load'; readonly load: LoadOptions };

/** What a key holds; null: it is absent. */
export type Found = {
  readonly value: unknown;
  readonly revision: number;
  readonly created: number;
} | null;

/** A thread of a replica ended. */
export interface Crash {
  readonly replica: number;
  readonly code: string | null;
  readonly message: string;
}

export interface Opened {
  /** Until it served, and until all replicas were normal. */
  readonly openMs: number;
  readonly wholeMs: number;
}

export type VictimNews =
  | ({ readonly type: 'open' } & Opened)
  | ({ readonly type: 'crash' } & Crash)
  | { readonly type: 'damage'; readonly replica: number; readonly message: string }
  | { readonly type: 'failed'; readonly code: string | null; readonly message: string }
  | { readonly type: 'reply'; readonly id: number; readonly reply: unknown }
  | { readonly type: 'reply'; readonly id: number; readonly error: string };

/** It ended, and had been asked something or was about to open. */
export class VictimGone extends Error {
  override readonly name = 'VictimGone';
  /** Of what it failed with, if it did. */
  readonly code: string | null;

  constructor(message: string, code: string | null = null) {
    super(message);
    this.code = code;
  }
}

/** Keys read at a time: their answers have to come within the time of one call. */
const READ_BATCH = 1000;

const ACKED = '"type":"acked"';

interface Asked {
  resolve(reply: unknown): void;
  reject(error: Error): void;
}

export class Victim {
  /** What must not be: stores that a mere kill has damaged, states that differ. */
  readonly damages: string[] = [];
  readonly crashes: Crash[] = [];
  readonly opened: Promise<Opened>;
  /** Resolves when a client has something to say. */
  readonly #busy: Promise<void>;
  readonly #fsync: DiskOptions['fsync'];
  readonly #process: ChildProcess;
  readonly #ended: Promise<unknown>;
  readonly #journals: string[];
  readonly #asked = new Map<number, Asked>();
  #acknowledged = 0;
  #questions = 0;
  #failure: VictimGone | null = null;
  #failed: (error: VictimGone) => void = () => undefined;

  /** `threads`: of clients; each has a journal. */
  constructor(options: VictimOptions, threads: number) {
    const journals = Array.from({ length: threads }, () => 'pipe' as const);
    const child = fork(new URL('./victim.process.js', import.meta.url), [JSON.stringify(options)], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc', ...journals],
      serialization: 'advanced',
    });
    this.#process = child;
    this.#fsync = options.durability.fsync;
    this.#journals = journals.map(() => '');
    this.#busy = new Promise((resolve) => {
      for (const index of journals.keys()) {
        const stream = child.stdio[4 + index] as Readable;
        stream.setEncoding('utf8').on('data', (text: string) => {
          this.#journals[index] += text;
          this.#acknowledged += text.split(ACKED).length - 1;
          resolve();
        });
      }
    });
    this.#ended = once(child, 'close');
    this.opened = new Promise((resolve, reject) => {
      this.#failed = reject;
      child.on('message', (news: VictimNews) => {
        if (news.type === 'open') resolve(news);
        else this.#take(news);
      });
    });
    // It is awaited by whoever started this, or the end was wanted.
    this.opened.catch(() => undefined);
    child.once('close', (code, signal) =>
      this.#fail(new VictimGone(`it ended, with ${signal ?? `code ${code}`}`)),
    );
  }

  get fsync(): DiskOptions['fsync'] {
    return this.#fsync;
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  /** Why it ended by itself, or a client of it did. */
  get failure(): VictimGone | null {
    return this.#failure;
  }

  #take(news: Exclude<VictimNews, { type: 'open' }>): void {
    switch (news.type) {
      case 'crash':
        this.crashes.push(news);
        break;
      case 'damage':
        this.damages.push(`replica ${news.replica}: ${news.message}`);
        break;
      case 'failed':
        this.#fail(new VictimGone(news.message, news.code));
        break;
      case 'reply': {
        const asked = this.#asked.get(news.id);
        this.#asked.delete(news.id);
        if ('error' in news) asked?.reject(new Error(news.error));
        else asked?.resolve(news.reply);
      }
    }
  }

  #fail(failure: VictimGone): void {
    this.#failure ??= failure;
    this.#failed(this.#failure);
    for (const { reject } of this.#asked.values()) reject(this.#failure);
    this.#asked.clear();
  }

  async #ask(question: Question): Promise<unknown> {
    if (this.#failure !== null) throw this.#failure;
    const id = this.#questions++;
    const reply = new Promise((resolve, reject) => this.#asked.set(id, { resolve, reject }));
    this.#process.send({ id, question }, () => undefined);
    return await reply;
  }

  async read(keys: readonly string[]): Promise<Found[]> {
    const found: Found[] = [];
    for (let from = 0; from < keys.length; from += READ_BATCH) {
      const batch = keys.slice(from, from + READ_BATCH);
      found.push(...((await this.#ask({ type: 'read', keys: batch })) as Found[]));
    }
    return found;
  }

  async digestsEqual(): Promise<boolean> {
    return (await this.#ask({ type: 'digests' })) as boolean;
  }

  async status(): Promise<ClusterStatus> {
    return (await this.#ask({ type: 'status' })) as ClusterStatus;
  }

  /** Resolves when the clients are at work. */
  async load(load: LoadOptions): Promise<void> {
    await this.#ask({ type: 'load', load });
    await Promise.race([this.#busy, this.#ended]);
  }

  /** Ends it as a user would. */
  async close(): Promise<void> {
    await this.#ask({ type: 'close' });
    // It hangs up; after a hang-up from here its end would not be told.
    await this.#ended;
  }

  /** Ends it now. Resolves when it is gone and all that it said has arrived. */
  async kill(): Promise<void> {
    this.#process.kill('SIGKILL');
    await this.#ended;
  }

  /** Acknowledgements that have arrived. */
  get acknowledged(): number {
    return this.#acknowledged;
  }

  /** What its client threads said, by thread. Whole only after its end. */
  get journals(): JournalRecord[][] {
    return this.#journals.map(parseJournal);
  }
}
