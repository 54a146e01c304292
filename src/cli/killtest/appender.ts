// One writer of a kill test: it appends to a sequence of its own, one operation after the other, each of which leaves a trace that is
// found again. Sets and batches leave a key that is written once, a batch with it raises the counter of all writers, other operations
// raise the writer's own counter or move its head by compare-and-set.

import { type Kv, VrError } from '../../index.js';
import { sharedClock } from '../soak/history.js';
import type { Answer, AppendKind, JournalWriter } from './journal.js';

/** Raised by every batch. */
export const BATCH_COUNTER = 'appends:batches';

export function appendKey(lane: number, seq: number): string {
  return `append:${lane}:${seq}`;
}

export function counterKey(lane: number): string {
  return `appends:raised:${lane}`;
}

export function headKey(lane: number): string {
  return `appends:head:${lane}`;
}

/** Operation `seq` of every writer is of this kind. */
const KINDS: readonly AppendKind[] = ['set', 'batch', 'set', 'incr', 'batch', 'cas'];

export function kindOf(seq: number): AppendKind {
  return KINDS[seq % KINDS.length] as AppendKind;
}

export interface LaneStart {
  readonly lane: number;
  /** Never used before. */
  readonly seq: number;
  /** What its head is; null: absent. */
  readonly head: number | null;
}

export class Appender {
  readonly #kv: Kv;
  readonly #journal: JournalWriter;
  readonly #lane: number;
  #seq: number;
  #head: number | undefined;

  constructor(kv: Kv, journal: JournalWriter, { lane, seq, head }: LaneStart) {
    this.#kv = kv;
    this.#journal = journal;
    this.#lane = lane;
    this.#seq = seq;
    this.#head = head ?? undefined;
  }

  /** The next one of its sequence. @throws whatever is no answer of the store */
  async append(): Promise<void> {
    const lane = this.#lane;
    const seq = this.#seq++;
    const kind = kindOf(seq);
    this.#journal.write({ type: 'sent', lane, seq, kind, at: sharedClock() });
    try {
      const answer = await this.#perform(kind, seq);
      if (answer === null) this.#journal.write({ type: 'refused', lane, seq });
      else this.#journal.write({ type: 'acked', lane, seq, ...answer, at: sharedClock() });
    } catch (error) {
      if (!VrError.is(error)) throw error;
      if (error.outcome === 'not-executed') this.#journal.write({ type: 'refused', lane, seq });
      if (!error.retryable && error.outcome !== 'unknown') throw error;
      await this.#look();
    }
  }

  /** @returns null: it was not done. */
  async #perform(kind: AppendKind, seq: number): Promise<Answer | null> {
    const lane = this.#lane;
    switch (kind) {
      case 'set':
        return { revision: await this.#kv.set(appendKey(lane, seq), seq), value: null };
      case 'batch': {
        const revision = await this.#kv.batch([
          { type: 'set', key: appendKey(lane, seq), value: seq },
          { type: 'incr', key: BATCH_COUNTER },
        ]);
        return { revision, value: null };
      }
      case 'incr':
        return { revision: null, value: await this.#kv.incr(counterKey(lane)) };
      case 'cas': {
        const result = await this.#kv.cas(headKey(lane), this.#head, seq);
        if (result.ok) {
          this.#head = seq;
          return { revision: result.revision, value: null };
        }
        await this.#look();
        return null;
      }
    }
  }

  /** An operation of unknown outcome may have moved the head. */
  async #look(): Promise<void> {
    this.#head = (await this.#kv.get(headKey(this.#lane)).catch(() => this.#head)) as
      | number
      | undefined;
  }
}
