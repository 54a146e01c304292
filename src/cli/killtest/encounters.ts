// Clients that meet on a few keys, over the death of their process: their histories and what is read after the restart must have one
// linear order. Keys are new for each load, so that what is checked stays small. The clients, the histories and the check are those of
// the soak.

import { type CheckResult, checkHistories, counterKeys } from '../soak/check.js';
import { History, isCounter } from '../soak/history.js';
import { keySpace } from '../soak/keys.js';
import { outputOf } from '../soak/lane.js';
import type { JournalRecord } from './journal.js';
import type { Found } from './victim.js';

/** In the history; lanes have smaller numbers. */
const CLOSING_CLIENT = 1 << 20;

export class Encounters {
  readonly #threads: number;
  readonly #histories: readonly SharedArrayBuffer[];
  readonly #closing: SharedArrayBuffer = History.allocate();
  #prefix = '';

  constructor(threads: number) {
    this.#threads = threads;
    this.#histories = Array.from({ length: threads }, () => History.allocate());
  }

  /** Forgets what was before. */
  begin(prefix: string): void {
    this.#prefix = prefix;
    for (const memory of this.#histories) new History(memory).clear();
  }

  /** Of client thread `thread`. */
  enter(thread: number, records: readonly JournalRecord[]): void {
    const history = new History(this.#histories[thread] as SharedArrayBuffer);
    const rows = new Map<number, number>();
    for (const record of records) {
      if (record.type === 'begin') {
        const row = history.begin(record.client, record.steps, record.at);
        if (row < 0) throw new Error('the history is full: kill sooner');
        rows.set(record.row, row);
      } else if (record.type === 'end') {
        history.end(rows.get(record.row) ?? 0, record.output ?? undefined, record.at);
      } else if (record.type === 'refuse') history.refuse(rows.get(record.row) ?? 0);
    }
  }

  /** Reads every key as one more client, and looks for the order. `operations`: without these reads. */
  async check(read: (keys: readonly string[]) => Promise<Found[]>): Promise<CheckResult> {
    const space = keySpace(this.#threads);
    const closing = new History(this.#closing);
    closing.clear();
    const rows = space.keys.map((_, key) =>
      closing.begin(CLOSING_CLIENT, [{ kind: 'get', key, value: 0, expected: 0 }]),
    );
    const found = await read(space.keys.map((key) => this.#prefix + key));
    const outputs = space.keys.map((key, place) => outputOf(found[place]?.value, isCounter(key)));
    for (const [place, row] of rows.entries()) closing.end(row, outputs[place]);
    const counters = new Map(
      counterKeys(space).map((key) => [key, Math.max(0, outputs[key] ?? 0)]),
    );
    const histories = [...this.#histories, this.#closing];
    const result = await checkHistories(histories, this.#threads, counters);
    return { ...result, operations: result.operations - space.keys.length };
  }
}
