// The books of a kill test: what each writer sent and what was acknowledged, and the audit of what is there after a restart. A writer's
// sequence must be there as a prefix, and over all writers as a prefix in the order of revisions; nothing is there twice, and
// counters hold exactly what is there. Where everything is flushed first, the prefix holds all that was acknowledged.

import { appendKey, BATCH_COUNTER, counterKey, headKey, type LaneStart } from './appender.js';
import type { AppendKind, JournalRecord } from './journal.js';
import type { Found } from './victim.js';

interface Append {
  readonly lane: number;
  readonly seq: number;
  readonly kind: AppendKind;
  state: 'unknown' | 'acked' | 'refused';
  /** When it was acknowledged, nanoseconds. */
  ackedAt: number;
  revision: number | null;
  /** Of the counter that it raised. */
  value: number | null;
}

interface LaneBooks {
  readonly lane: number;
  /** The next operation of the sequence. */
  seq: number;
  /** As the last audit found them. */
  head: number | null;
  counter: number;
  /** Since the last audit. */
  appends: Append[];
}

export interface AuditResult {
  readonly acked: number;
  readonly unknown: number;
  /** Acknowledged, and not there. */
  readonly lost: number;
  /** When the last acknowledgement came of what is there, and the first of what is not; nanoseconds, null: there is none. */
  readonly lastKeptAt: number | null;
  readonly firstLostAt: number | null;
  readonly violations: readonly string[];
}

/** How much of a list of violations is told. */
const TOLD = 20;

export class Books {
  readonly #lanes: readonly LaneBooks[];
  /** Keys that an audit has found, and their revisions: they never change again. */
  readonly #kept: { readonly key: string; readonly revision: number }[] = [];
  #batches = 0;
  #recent = 0;

  constructor(lanes: number) {
    this.#lanes = Array.from({ length: lanes }, (_, lane) => ({
      lane,
      seq: 1,
      head: null,
      counter: 0,
      appends: [],
    }));
  }

  get starts(): LaneStart[] {
    return this.#lanes.map(({ lane, seq, head }) => ({ lane, seq, head }));
  }

  /** In the order in which a thread wrote it. */
  enter(records: readonly JournalRecord[]): void {
    for (const record of records) {
      if (record.type !== 'sent' && record.type !== 'acked' && record.type !== 'refused') continue;
      const books = this.#lanes[record.lane];
      if (books === undefined) throw new Error(`there is no writer ${record.lane}`);
      if (record.type === 'sent') {
        const { lane, seq, kind } = record;
        books.seq = seq + 1;
        const unknown = { state: 'unknown', ackedAt: 0, revision: null, value: null } as const;
        books.appends.push({ lane, seq, kind, ...unknown });
        continue;
      }
      const append = books.appends.at(-1);
      if (append?.seq !== record.seq)
        throw new Error(`writer ${record.lane} has not sent ${record.seq}`);
      append.state = record.type;
      if (record.type === 'refused') continue;
      append.ackedAt = record.at;
      append.revision = record.revision;
      append.value = record.value;
    }
  }

  /** What `audit` has to be given the content of. */
  get keys(): string[] {
    const fixed = this.#lanes.flatMap(({ lane }) => [counterKey(lane), headKey(lane)]);
    return [BATCH_COUNTER, ...fixed, ...this.#written().map((append) => keyOf(append))];
  }

  #written(): Append[] {
    return this.#lanes.flatMap(({ appends }) => appends.filter(({ kind }) => leavesKey(kind)));
  }

  /**
   * Compares, and closes the books of what was written since the last audit: what is lost is gone.
   * @param durable whether everything acknowledged must be there
   */
  audit(found: ReadonlyMap<string, Found>, durable: boolean): AuditResult {
    const audit = new Audit(found, durable);
    for (const books of this.#lanes) audit.lane(books);
    const there = audit.kept.filter(({ kind }) => kind === 'batch').length;
    audit.batchCounter(this.#batches + there);
    audit.acrossLanes();
    this.#batches += there;
    this.#recent = this.#kept.length;
    for (const append of audit.kept.filter(({ kind }) => leavesKey(kind))) {
      const key = keyOf(append);
      this.#kept.push({ key, revision: found.get(key)?.revision ?? 0 });
    }
    for (const books of this.#lanes) {
      books.head = numberIn(found.get(headKey(books.lane)));
      books.counter = numberIn(found.get(counterKey(books.lane))) ?? 0;
      books.appends = [];
    }
    return audit.result;
  }

  /** Keys that earlier audits found: those of the last one, or all. */
  settled(which: 'recent' | 'all'): string[] {
    return this.#kept.slice(which === 'all' ? 0 : this.#recent).map(({ key }) => key);
  }

  /** Compares keys that earlier audits have found. @returns violations */
  recheck(keys: readonly string[], found: readonly Found[]): string[] {
    const revisions = new Map(this.#kept.map(({ key, revision }) => [key, revision]));
    const wrong = keys.flatMap((key, index) => {
      const is = found[index]?.revision ?? null;
      const was = revisions.get(key);
      return is === was ? [] : [`${key} was there with revision ${was}, and is with ${is}`];
    });
    return wrong.slice(0, TOLD);
  }
}

/** One look at everything that was written since the last one. */
class Audit {
  readonly kept: Append[] = [];
  readonly #lost: Append[] = [];
  readonly #found: ReadonlyMap<string, Found>;
  readonly #durable: boolean;
  readonly #violations: string[] = [];
  #acked = 0;
  #unknown = 0;

  constructor(found: ReadonlyMap<string, Found>, durable: boolean) {
    this.#found = found;
    this.#durable = durable;
  }

  lane(books: LaneBooks): void {
    const head = numberIn(this.#found.get(headKey(books.lane)));
    const counter = numberIn(this.#found.get(counterKey(books.lane))) ?? 0;
    let firstLost: Append | null = null;
    for (const append of books.appends) {
      if (append.state === 'acked') this.#acked++;
      if (append.state === 'unknown') this.#unknown++;
      const there = this.#isThere(append, head, counter);
      if (there === null) continue;
      if (there) {
        this.kept.push(append);
        if (append.state === 'refused') this.#wrong(append, 'was refused, and is there');
        if (firstLost !== null)
          this.#wrong(append, `is there, and ${firstLost.seq} before it is lost`);
      } else if (append.state === 'acked') {
        this.#lost.push(append);
        firstLost ??= append;
        if (this.#durable) this.#wrong(append, 'was acknowledged, and is not there');
      }
    }
    this.#ownCounter(books, counter);
    this.#ownHead(books, head);
  }

  /** @returns null: it cannot be told. */
  #isThere(append: Append, head: number | null, counter: number): boolean | null {
    switch (append.kind) {
      case 'incr':
        return append.value === null ? null : counter >= append.value;
      case 'cas':
        // Each is made from the one before; of one whose answer never came the head tells only if it is the last.
        if (append.state === 'refused') return null;
        return head !== null && head >= append.seq;
      default: {
        const item = this.#found.get(keyOf(append)) ?? null;
        if (item !== null) this.#written(append, item);
        return item !== null;
      }
    }
  }

  /** A key is written once, by the operation whose answer said so. */
  #written(append: Append, item: NonNullable<Found>): void {
    if (item.value !== append.seq) this.#wrong(append, `holds ${String(item.value)}`);
    if (item.created !== item.revision)
      this.#wrong(append, `was done twice, at revisions ${item.created} and ${item.revision}`);
    if (append.revision !== null && append.revision !== item.revision)
      this.#wrong(append, `was done at ${append.revision}, and is there with ${item.revision}`);
  }

  #ownCounter({ lane, counter, appends }: LaneBooks, found: number): void {
    const incrs = appends.filter(({ kind }) => kind === 'incr');
    const unknown = incrs.filter(({ state }) => state === 'unknown').length;
    const kept = this.kept.filter(
      (append) => append.lane === lane && append.kind === 'incr',
    ).length;
    // Those that are lost are none of those that are there.
    const least = counter + kept;
    if (found < least || found > least + unknown)
      this.#violations.push(
        `the counter of writer ${lane} stands at ${found}, and must from ${least} to ${least + unknown}`,
      );
  }

  #ownHead({ lane, head, appends }: LaneBooks, found: number | null): void {
    if (found === head) return;
    const move = appends.find(({ kind, seq }) => kind === 'cas' && seq === found);
    if (move === undefined || move.state === 'refused')
      this.#violations.push(`the head of writer ${lane} is ${found}, where nobody moved it`);
  }

  /** Every batch raised it with its key, in one atomic operation. */
  batchCounter(expected: number): void {
    const is = numberIn(this.#found.get(BATCH_COUNTER)) ?? 0;
    if (is !== expected)
      this.#violations.push(
        `the counter of all batches stands at ${is}, and the keys of ${expected} batches are there`,
      );
  }

  /** What is there was executed before all that is lost. */
  acrossLanes(): void {
    const revision = (append: Append): number | null =>
      append.revision ?? this.#found.get(keyOf(append))?.revision ?? null;
    let last: Append | null = null;
    for (const append of this.kept)
      if ((revision(append) ?? 0) > (last === null ? 0 : (revision(last) ?? 0))) last = append;
    if (last === null) return;
    for (const lost of this.#lost)
      if (lost.revision !== null && lost.revision < (revision(last) ?? 0))
        this.#wrong(
          lost,
          `of revision ${lost.revision} is lost, and ${nameOf(last)} of revision ${revision(last)} is there`,
        );
  }

  #wrong(append: Append, what: string): void {
    this.#violations.push(`${nameOf(append)} ${what}`);
  }

  get result(): AuditResult {
    const times = (appends: readonly Append[]): number[] =>
      appends.filter(({ state }) => state === 'acked').map(({ ackedAt }) => ackedAt);
    const kept = times(this.kept);
    const lost = times(this.#lost);
    return {
      acked: this.#acked,
      unknown: this.#unknown,
      lost: this.#lost.length,
      lastKeptAt: kept.length === 0 ? null : kept.reduce((a, b) => Math.max(a, b)),
      firstLostAt: lost.length === 0 ? null : lost.reduce((a, b) => Math.min(a, b)),
      violations: this.#violations.slice(0, TOLD),
    };
  }
}

function leavesKey(kind: AppendKind): boolean {
  return kind === 'set' || kind === 'batch';
}

function keyOf({ lane, seq }: Append): string {
  return appendKey(lane, seq);
}

function nameOf({ lane, seq, kind }: Append): string {
  return `operation ${seq} (${kind}) of writer ${lane}`;
}

function numberIn(found: Found | undefined): number | null {
  return typeof found?.value === 'number' ? found.value : null;
}
