// What a kill test knows of one directory, over the death of all its processes: starts the load, notes what was said of it, and audits
// what the next process finds. It collects what must not be.

import type { Digest64 } from '../../protocol/types.js';
import { inspectDirectory } from '../inspect/directory.js';
import type { CheckResult } from '../soak/check.js';
import { type AuditResult, Books } from './books.js';
import { Encounters } from './encounters.js';
import type { Victim } from './victim.js';

/** Client threads of a victim, and writers and others in each. */
export const THREADS = 2;
const APPENDERS_PER_THREAD = 6;
const LANES_PER_THREAD = 2;

export interface AuditTotals extends Omit<AuditResult, 'violations'> {}

export class Auditor {
  readonly violations: string[] = [];
  readonly #dir: string;
  readonly #digest64: Digest64;
  readonly #books: Books = new Books(THREADS * APPENDERS_PER_THREAD);
  readonly #encounters: Encounters = new Encounters(THREADS);
  #loads = 0;
  /** The load that was not audited yet: whether all of it that was acknowledged must be there. */
  #open: { readonly durable: boolean } | null = null;

  constructor(dir: string, digest64: Digest64) {
    this.#dir = dir;
    this.#digest64 = digest64;
  }

  /** Resolves when its clients are at work. Audit before. */
  async load(victim: Victim, seed: number): Promise<void> {
    const prefix = `meet:${this.#loads++}:`;
    const durable = victim.fsync === 'batch';
    this.#encounters.begin(prefix);
    this.#open = { durable };
    await victim.load({
      threads: THREADS,
      appenders: this.#books.starts,
      // What meets has one order only where nothing acknowledged may be lost.
      lanes: durable ? LANES_PER_THREAD : 0,
      prefix,
      seed,
    });
  }

  /** What was said before its end goes into the books, and its stores must not have suffered. */
  collect(victim: Victim, when: string): void {
    this.violations.push(...victim.damages);
    for (const [thread, records] of victim.journals.entries()) {
      this.#books.enter(records);
      this.#encounters.enter(thread, records);
    }
    const { problems } = inspectDirectory(this.#dir, this.#digest64);
    this.violations.push(...problems.map((problem) => `${when}: ${problem}`));
  }

  /** What was written since the last audit. @throws VictimGone when it ended before: then nothing is audited */
  async audit(victim: Victim): Promise<AuditTotals> {
    const keys = this.#books.keys;
    const found = await victim.read(keys);
    const settled = this.#books.settled('recent');
    const recheck = this.#books.recheck(settled, await victim.read(settled));
    const durable = this.#open?.durable ?? false;
    const check = durable ? await this.#encounters.check((names) => victim.read(names)) : null;
    const digestsEqual = await victim.digestsEqual();
    // From here on nothing is awaited: it is done, or it was killed before.
    this.violations.push(...recheck);
    if (!digestsEqual) this.violations.push('digests of the replicas differ');
    const { violations, ...totals } = this.#books.audit(
      new Map(keys.map((key, index) => [key, found[index] ?? null])),
      durable,
    );
    this.violations.push(...violations);
    this.#open = null;
    if (check === null) return totals;
    this.#judge(check);
    return {
      ...totals,
      acked: totals.acked + check.operations - check.unknown,
      unknown: totals.unknown + check.unknown,
    };
  }

  #judge(check: CheckResult): void {
    if (check.undecided.length > 0)
      throw new Error(`not decided whether there is an order: ${check.undecided.join('; ')}`);
    this.violations.push(...check.violations);
    if (check.lost > 0) this.violations.push(`${check.lost} acknowledged increments are lost`);
    if (check.doubled > 0) this.violations.push(`${check.doubled} increments too many`);
  }

  /** Everything that any audit has found must still be there. */
  async recheckAll(victim: Victim): Promise<void> {
    const all = this.#books.settled('all');
    this.violations.push(...this.#books.recheck(all, await victim.read(all)));
  }
}
