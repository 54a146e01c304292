// Rounds of a kill test on one directory: open, audit what was there before, load, kill. Some rounds are killed before they serve.

import { setTimeout as sleep } from 'node:timers/promises';
import { loadDigest } from '../../actors/replica/digest.js';
import type { Digest64 } from '../../protocol/types.js';
import { seeded } from '../../simulation/seeded.js';
import type { FsyncMode } from '../flags.js';
import { sharedClock } from '../soak/history.js';
import { Auditor, type AuditTotals, THREADS } from './auditor.js';
import { type Opened, Victim, VictimGone } from './victim.js';

export interface SeriesOptions {
  readonly rounds: number;
  readonly seed: number;
  readonly replicas: number;
  readonly witnesses: number;
  readonly dir: string;
  /** In turns, one for each process. */
  readonly fsync: readonly FsyncMode[];
  readonly intervalMs: number;
  readonly signal: AbortSignal;
  readonly onRound: (round: RoundResult) => void;
}

export interface RoundResult {
  readonly round: number;
  /** From when its clients were at work, or where it was killed before, from its start. */
  readonly killedAfterMs: number;
  /** It was killed before there was a load. */
  readonly early: boolean;
  readonly acked: number;
  readonly unknown: number;
  readonly lost: number;
  /** From the last acknowledgement of what is there, and from the first of what is lost, to the kill; null: there is none. */
  readonly lastKeptMs: number | null;
  readonly firstLostMs: number | null;
  /** Until the next process served, and all its replicas were normal; null: that one was killed as well. */
  readonly recoveredMs: number | null;
  readonly wholeMs: number | null;
}

export interface SeriesResult {
  readonly rounds: readonly RoundResult[];
  readonly violations: readonly string[];
  /** What ended the series before its time, and is no violation. */
  readonly failure: string | null;
}

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

const NOTHING: AuditTotals = { acked: 0, unknown: 0, lost: 0, lastKeptAt: null, firstLostAt: null };

export class Series {
  readonly #options: SeriesOptions;
  readonly #random: () => number;
  readonly #auditor: Auditor;
  readonly #rounds: RoundResult[] = [];
  /** Since the last audit. */
  #kills: Kill[] = [];
  #starts = 0;

  static async run(options: SeriesOptions): Promise<SeriesResult> {
    return await new Series(options, await loadDigest()).#run();
  }

  private constructor(options: SeriesOptions, digest64: Digest64) {
    this.#options = options;
    this.#random = seeded(options.seed);
    this.#auditor = new Auditor(options.dir, digest64);
  }

  async #run(): Promise<SeriesResult> {
    const { rounds, signal } = this.#options;
    const { violations } = this.#auditor;
    let failure: string | null = null;
    try {
      for (let round = 1; round <= rounds && violations.length === 0; round++) {
        signal.throwIfAborted();
        await this.#round(round);
      }
      if (violations.length === 0) await this.#last(rounds);
    } catch (error) {
      if (signal.aborted) throw error;
      const message = error instanceof Error ? error.message : String(error);
      // A kill leaves no store that cannot be opened any more.
      const corrupt = error instanceof VictimGone && error.code === 'VR_CORRUPT_LOG';
      if (corrupt) violations.push(message);
      else failure = message;
    }
    return { rounds: this.#rounds, violations, failure };
  }

  #start(): Victim {
    const { replicas, witnesses, dir, fsync: modes, intervalMs } = this.#options;
    const fsync = modes[this.#starts++ % modes.length] ?? 'batch';
    return new Victim({ replicas, witnesses, durability: { dir, fsync, intervalMs } }, THREADS);
  }

  async #round(round: number): Promise<void> {
    const early = round > 1 && this.#below(EARLY_EVERY) === 0;
    const victim = this.#start();
    try {
      const kill = early ? await this.#killEarly(victim) : await this.#killAtWork(victim);
      this.#kills.push({ round, early, ...kill });
    } finally {
      await victim.kill();
      this.#collect(victim, `after the kill of round ${round}`);
    }
  }

  /** Nobody but this test may end anything: a replica that ends by itself has found something that must not be. */
  #collect(victim: Victim, when: string): void {
    this.#auditor.collect(victim, when);
    const crashes = victim.crashes.map(({ replica, message }) => `replica ${replica}: ${message}`);
    this.#auditor.violations.push(...new Set(crashes));
  }

  async #killAtWork(victim: Victim): Promise<Pick<Kill, 'at' | 'killedAfterMs'>> {
    await this.#audit(victim);
    await this.#auditor.load(victim, this.#random());
    const loadedAt = performance.now();
    await sleep(LOAD_LEAST_MS + this.#below(LOAD_MOST_MS - LOAD_LEAST_MS));
    return await this.#kill(victim, loadedAt);
  }

  /** Whatever it has come to by then. */
  async #killEarly(victim: Victim): Promise<Pick<Kill, 'at' | 'killedAfterMs'>> {
    const startedAt = performance.now();
    const audited = this.#audit(victim);
    // It is looked at below.
    audited.catch(() => undefined);
    await sleep(this.#below(EARLY_MOST_MS));
    const kill = await this.#kill(victim, startedAt);
    await audited.catch((error: unknown) => {
      if (!(error instanceof VictimGone)) throw error;
    });
    return kill;
  }

  /** @throws why it had ended by itself */
  async #kill(victim: Victim, since: number): Promise<Pick<Kill, 'at' | 'killedAfterMs'>> {
    if (victim.failure !== null) throw victim.failure;
    const kill = { at: sharedClock(), killedAfterMs: performance.now() - since };
    await victim.kill();
    return kill;
  }

  async #audit(victim: Victim): Promise<void> {
    const opened = await victim.opened;
    this.#report(await this.#auditor.audit(victim), opened);
  }

  #report(audit: AuditTotals, opened: Opened): void {
    const kills = this.#kills;
    this.#kills = [];
    for (const [index, { at, ...kill }] of kills.entries()) {
      const last = index === kills.length - 1;
      const { lastKeptAt, firstLostAt, ...counts } = kill.early ? NOTHING : audit;
      const before = (time: number | null): number | null =>
        time === null ? null : (at - time) / 1e6;
      const result: RoundResult = {
        ...kill,
        ...counts,
        lastKeptMs: before(lastKeptAt),
        firstLostMs: before(firstLostAt),
        recoveredMs: last ? opened.openMs : null,
        wholeMs: last ? opened.wholeMs : null,
      };
      this.#rounds.push(result);
      this.#options.onRound(result);
    }
  }

  /** After the last kill: everything once more, and an end without violence. */
  async #last(rounds: number): Promise<void> {
    const victim = this.#start();
    try {
      await this.#audit(victim);
      await this.#auditor.recheckAll(victim);
      await victim.close();
    } finally {
      await victim.kill();
      this.#collect(victim, `closed after ${rounds} rounds`);
    }
  }

  #below(limit: number): number {
    return this.#random() % limit;
  }
}
