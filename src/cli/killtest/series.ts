// Rounds of a kill test on one directory: open, audit what was there before, load, kill. Some rounds are killed before they serve. What
// was acknowledged is only in the books of this process, which outlives them all.

import { setTimeout as sleep } from 'node:timers/promises';
import { loadDigest } from '../../actors/replica/digest.js';
import type { DiskOptions } from '../../index.js';
import type { Digest64 } from '../../protocol/types.js';
import { seeded } from '../../simulation/seeded.js';
import { inspectDirectory } from '../inspect/directory.js';
import { sharedClock } from '../soak/history.js';
import { type AuditResult, Books } from './books.js';
import { Encounters } from './encounters.js';
import { Victim, VictimGone } from './victim.js';

export interface SeriesOptions {
  readonly rounds: number;
  readonly seed: number;
  readonly replicas: number;
  readonly witnesses: number;
  readonly durability: DiskOptions;
  readonly signal: AbortSignal;
  readonly onRound: (round: RoundResult) => void;
}

export interface RoundResult {
  readonly round: number;
  /** From its load, or where it was killed before, from its start. */
  readonly killedAfterMs: number;
  /** It was killed before there was a load. */
  readonly early: boolean;
  /** Operations of the writers, and of the clients that meet. */
  readonly acked: number;
  readonly unknown: number;
  readonly lost: number;
  /** From the last acknowledgement of what is there, and from the first of what is lost, to the kill; null: there is none. */
  readonly lastKeptMs: number | null;
  readonly firstLostMs: number | null;
  /** Until the next process served; null: that one was killed before. */
  readonly recoveredMs: number | null;
  readonly wholeMs: number | null;
}

export interface SeriesResult {
  readonly rounds: readonly RoundResult[];
  readonly violations: readonly string[];
  /** What ended the series before its time, and is no violation. */
  readonly failure: string | null;
}

/** Client threads of a victim, and writers and others in each. */
export const THREADS = 2;
export const APPENDERS_PER_THREAD = 6;
const LANES_PER_THREAD = 2;

const LOAD_LEAST_MS = 20;
const LOAD_MOST_MS = 1500;
/** About what a process takes until it serves. */
const EARLY_MOST_MS = 1800;
/** One round of so many is killed early. */
const EARLY_EVERY = 6;

interface Kill {
  readonly round: number;
  readonly early: boolean;
  readonly killedAfterMs: number;
  /** Of `sharedClock`. */
  readonly at: number;
}

export class Series {
  readonly #options: SeriesOptions;
  readonly #random: () => number;
  readonly #books: Books;
  /** null: acknowledged operations may be lost, so there need not be an order. */
  readonly #encounters: Encounters | null;
  readonly #rounds: RoundResult[] = [];
  readonly #violations: string[] = [];
  readonly #digest64: Digest64;
  /** Since the last audit. */
  #kills: Kill[] = [];
  #loads = 0;
  #loadOpen = false;

  static async run(options: SeriesOptions): Promise<SeriesResult> {
    return await new Series(options, await loadDigest()).#run();
  }

  private constructor(options: SeriesOptions, digest64: Digest64) {
    const durable = options.durability.fsync === 'batch';
    this.#options = options;
    this.#digest64 = digest64;
    this.#random = seeded(options.seed);
    this.#books = new Books(THREADS * APPENDERS_PER_THREAD, durable);
    this.#encounters = durable ? new Encounters(THREADS) : null;
  }

  async #run(): Promise<SeriesResult> {
    const { rounds, signal } = this.#options;
    let failure: string | null = null;
    try {
      for (let round = 1; round <= rounds && this.#violations.length === 0; round++) {
        signal.throwIfAborted();
        await this.#round(round);
      }
      if (this.#violations.length === 0) await this.#last();
    } catch (error) {
      if (signal.aborted) throw error;
      const message = error instanceof Error ? error.message : String(error);
      // A kill leaves no store that cannot be opened any more.
      const corrupt = error instanceof VictimGone && error.code === 'VR_CORRUPT_LOG';
      if (corrupt) this.#violations.push(message);
      else failure = message;
    }
    return { rounds: this.#rounds, violations: this.#violations, failure };
  }

  #start(): Victim {
    const { replicas, witnesses, durability } = this.#options;
    return new Victim({ replicas, witnesses, durability }, THREADS);
  }

  async #round(round: number): Promise<void> {
    const early = round > 1 && this.#below(EARLY_EVERY) === 0;
    const victim = this.#start();
    const startedAt = performance.now();
    try {
      const prepared = this.#prepare(victim);
      if (early) {
        // Whatever it comes to until then.
        prepared.catch(() => undefined);
        await sleep(this.#below(EARLY_MOST_MS));
      } else {
        await prepared;
        await this.#load(victim);
      }
      const loadedAt = performance.now();
      if (!early) await sleep(LOAD_LEAST_MS + this.#below(LOAD_MOST_MS - LOAD_LEAST_MS));
      if (victim.failure !== null) throw victim.failure;
      const at = sharedClock();
      const killedAfterMs = performance.now() - (early ? startedAt : loadedAt);
      await victim.kill();
      await prepared.catch((error: unknown) => {
        if (!(error instanceof VictimGone)) throw error;
      });
      this.#kills.push({ round, early, killedAfterMs, at });
    } finally {
      await victim.kill();
    }
    this.#collect(victim);
    this.#inspect(`after the kill of round ${round}`);
  }

  /** What was said before the kill goes into the books. */
  #collect(victim: Victim): void {
    this.#violations.push(...victim.damages);
    for (const [thread, records] of victim.journals.entries()) {
      this.#books.enter(records);
      this.#encounters?.enter(thread, records);
    }
  }

  /** A kill damages nothing, however much of the end it takes. */
  #inspect(when: string): void {
    const { problems } = inspectDirectory(String(this.#options.durability.dir), this.#digest64);
    this.#violations.push(...problems.map((problem) => `${when}: ${problem}`));
  }

  /** Waits for a process that serves, and audits. */
  async #prepare(victim: Victim): Promise<void> {
    const { openMs, wholeMs } = await victim.opened;
    const keys = this.#books.keys;
    const found = await victim.read(keys);
    const settled = this.#books.settled('recent');
    this.#violations.push(...this.#books.recheck(settled, await victim.read(settled)));
    const check = this.#loadOpen
      ? await this.#encounters?.check((names) => victim.read(names))
      : undefined;
    if (check !== undefined && check.undecided.length > 0)
      throw new Error(`not decided whether there is an order: ${check.undecided.join('; ')}`);
    if (!(await victim.digestsEqual())) this.#violations.push('digests of the replicas differ');
    // From here on nothing is awaited: it is done, or it was killed before.
    const audit = this.#books.audit(new Map(keys.map((key, index) => [key, found[index] ?? null])));
    this.#violations.push(...audit.violations);
    if (check !== undefined) {
      this.#violations.push(...check.violations);
      if (check.lost > 0) this.#violations.push(`${check.lost} acknowledged increments are lost`);
      if (check.doubled > 0) this.#violations.push(`${check.doubled} increments too many`);
    }
    this.#loadOpen = false;
    this.#report(audit, check, { openMs, wholeMs });
  }

  #report(
    audit: AuditResult,
    check: { readonly operations: number; readonly unknown: number } | undefined,
    opened: { readonly openMs: number; readonly wholeMs: number },
  ): void {
    const kills = this.#kills;
    this.#kills = [];
    for (const [index, kill] of kills.entries()) {
      const last = index === kills.length - 1;
      const none = { acked: 0, unknown: 0, lost: 0, lastKeptAt: null, firstLostAt: null };
      const { acked, unknown, lost, lastKeptAt, firstLostAt } = kill.early ? none : audit;
      const met = kill.early ? undefined : check;
      const before = (at: number | null): number | null =>
        at === null ? null : (kill.at - at) / 1e6;
      const result: RoundResult = {
        round: kill.round,
        early: kill.early,
        killedAfterMs: kill.killedAfterMs,
        acked: acked + (met === undefined ? 0 : met.operations - met.unknown),
        unknown: unknown + (met?.unknown ?? 0),
        lost,
        lastKeptMs: before(lastKeptAt),
        firstLostMs: before(firstLostAt),
        recoveredMs: last ? opened.openMs : null,
        wholeMs: last ? opened.wholeMs : null,
      };
      this.#rounds.push(result);
      this.#options.onRound(result);
    }
  }

  async #load(victim: Victim): Promise<void> {
    const prefix = `meet:${this.#loads++}:`;
    this.#encounters?.begin(prefix);
    this.#loadOpen = true;
    await victim.load({
      threads: THREADS,
      appenders: this.#books.starts,
      lanes: this.#encounters === null ? 0 : LANES_PER_THREAD,
      prefix,
      seed: this.#random(),
    });
  }

  /** After the last kill: everything once more, and an end without violence. */
  async #last(): Promise<void> {
    const victim = this.#start();
    try {
      await this.#prepare(victim);
      const all = this.#books.settled('all');
      this.#violations.push(...this.#books.recheck(all, await victim.read(all)));
      await victim.close();
    } finally {
      await victim.kill();
    }
    this.#violations.push(...victim.damages);
    this.#inspect('at the end');
  }

  #below(limit: number): number {
    return this.#random() % limit;
  }
}
