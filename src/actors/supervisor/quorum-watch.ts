// Do enough replicas run, remember, and find their stores? What of it users are told, and the states from which nothing leads back
// (H8, E37, L4).

import { type Configuration, quorumSize } from '../../protocol/configuration.js';
import type { ClusterEvent } from '../boot.js';
import { PERMANENT_LOSS, VrError } from '../errors.js';
import { assessLoss } from './loss.js';
import type { Seat } from './seat.js';

/** Time for a view to form before too few survivors count as lost (H8). */
const LOSS_GRACE_MS = 1000;
/** Time for the threads of a restarted cluster to read their stores before too few readable ones count as lost. */
const UNREADABLE_MS = 3000;

export class QuorumWatch {
  readonly #configuration: Configuration;
  readonly #seats: readonly Seat[];
  readonly needed: number;
  #had = false;
  #lost = false;
  #soonSince = -1;
  #blankSince = -1;

  constructor(configuration: Configuration, seats: readonly Seat[]) {
    this.#configuration = configuration;
    this.#seats = seats;
    this.needed = quorumSize(seats.length);
  }

  /** Replicas that remember: by the state that their threads publish, not by the one shown to users. */
  get reachable(): number {
    return this.#remembering.length;
  }

  get #remembering(): Seat[] {
    return this.#seats.filter(({ present }) => present === 'normal' || present === 'view-change');
  }

  /** Of users' states: a replica that is normal has executed its log as well. */
  get normal(): number {
    return this.#seats.filter((seat) => seat.state === 'normal').length;
  }

  get #running(): Seat[] {
    return this.#seats.filter((seat) => seat.worker !== null);
  }

  /** Too few threads run, and none of the others will be started again. */
  get hopeless(): boolean {
    return this.#running.length < this.needed;
  }

  /** @returns what users are told, if there is news */
  news(): ClusterEvent | null {
    const { reachable, needed } = this;
    const lost = reachable < needed;
    // Before there was a quorum there is none to lose.
    this.#had ||= !lost;
    if (lost === this.#lost || !this.#had) return null;
    this.#lost = lost;
    return lost
      ? { type: 'quorumlost', detail: { reachable, needed, permanent: false } }
      : { type: 'quorumrestored', detail: {} };
  }

  /** More than f stores cannot be used, so no view can form (E37, L4). To be asked again and again. */
  unreadable(nowMs: number): boolean {
    const running = this.#running;
    const blank = running.filter((seat) => seat.present === 'recovering');
    const enough = running.length - blank.length >= this.needed;
    if (enough || blank.length + this.reachable < running.length) this.#blankSince = -1;
    else if (this.#blankSince < 0) this.#blankSince = nowMs;
    return this.#blankSince >= 0 && nowMs - this.#blankSince >= UNREADABLE_MS;
  }

  /** H8: what the cluster held is gone for good. To be asked again and again. */
  isGone(nowMs: number): boolean {
    const loss = assessLoss({
      // As the threads publish it themselves: a notice of who has just become normal may still be under way.
      states: this.#seats.map((seat) => seat.present),
      quorum: this.needed,
      primaryNormal: this.#seats.some((seat) => seat.leads(this.#configuration)),
    });
    if (loss === 'none') this.#soonSince = -1;
    else if (this.#soonSince < 0) this.#soonSince = nowMs;
    return loss === 'now' || (loss === 'soon' && nowMs - this.#soonSince >= LOSS_GRACE_MS);
  }

  tooFewStores(): VrError {
    const whole = this.#remembering.map(({ id }) => id);
    const { needed } = this;
    return new VrError(
      'VR_CORRUPT_LOG',
      `${needed} stores are needed and ${whole.length} could be read: the others are damaged or lost, so nobody can say what was acknowledged`,
      { details: { whole, needed } },
    );
  }
}

export function permanentLoss(): VrError {
  return new VrError('VR_NO_QUORUM', PERMANENT_LOSS, {
    details: { permanent: true },
  });
}
