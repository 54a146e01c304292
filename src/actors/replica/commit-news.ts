// When a primary that has nothing else to do tells what was committed (HB7). The number rides on the next Prepare for nothing, while a Commit
// of its own wakes every backup, and their answers wake the primary: to somebody who waits for one answer before asking again that is
// half of all work. So it waits a moment for company, unless a backup has a reader waiting for it.

import { primaryOf } from '../../protocol/configuration.js';
import type { Replica } from '../../protocol/replica.js';
import type { ReplicaId } from '../../protocol/types.js';
import type { ReplicaBlock } from '../../transport/mesh.js';

/** How long it waits. Sleeps that are much shorter end late anyway. */
const RIDE_MS = 2;

/** What it has to know of its replica. */
type Informed = Pick<Replica, 'hasNews' | 'state'>;

export class CommitNews {
  readonly #replica: Informed;
  readonly #block: ReplicaBlock;
  readonly #blockOf: (id: ReplicaId) => ReplicaBlock | undefined;
  /** What was told last when something new came, and when that was. */
  #told = -1;
  #sinceMs = 0;

  /** `block`: this replica's own words. */
  constructor(
    replica: Informed,
    block: ReplicaBlock,
    blockOf: (id: ReplicaId) => ReplicaBlock | undefined,
  ) {
    this.#replica = replica;
    this.#block = block;
    this.#blockOf = blockOf;
  }

  /** Before sleep. @returns how long it may last, ms, before there is something to tell; 0: there is now. */
  patienceMs(nowMs: number): number {
    if (!this.#replica.hasNews) return Number.POSITIVE_INFINITY;
    if (this.#block.newsWanted) {
      this.#block.newsWanted = false;
      return 0;
    }
    const { announcedCommit } = this.#replica.state;
    if (announcedCommit !== this.#told) {
      this.#told = announcedCommit;
      this.#sinceMs = nowMs;
    }
    return Math.max(0, this.#sinceMs + RIDE_MS - nowMs);
  }

  /** Before sleep: a backup whose readers wait to see something executed says so to the primary, once for every answer. */
  askFor(): void {
    const { state } = this.#replica;
    if (state.localReads.length === 0) return;
    const primary = this.#blockOf(primaryOf(state.configuration, state.view));
    if (primary === undefined || primary.newsWanted) return;
    primary.newsWanted = true;
    primary.doorbell.ring();
  }
}
