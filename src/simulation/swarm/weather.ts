// What happens to messages on their way: each link of each direction has its own loss, delay, duplicates and order, drawn once;
// partitions and clogs come and go on top. Frames of replicas outlive their senders, so late ones are ghosts of dead threads.

import type { Message } from '../../protocol/message.js';
import { type ActorKey, CLIENT_BASE, type Weather } from '../network.js';
import type { Dice } from './dice.js';

/** Rounds: 2.5 ms each. */
export interface WeatherPlan {
  /** Largest share of messages that a link loses. */
  readonly loss: number;
  /** Largest mean delay of a link. */
  readonly delay: number;
  /** One link between replicas is twenty times as slow. */
  readonly slowLink: boolean;
  /** Largest share of messages that arrive twice. */
  readonly duplicate: number;
  /** A second copy comes up to this much later; beyond a view change and a restart. */
  readonly replay: number;
  /** Messages overtake each other; else every link keeps its order, as rings do. */
  readonly reorder: boolean;
  /** Links of clients suffer as well. */
  readonly clients: boolean;
}

interface Link {
  readonly loss: number;
  readonly delay: number;
  readonly duplicate: number;
  lastArrival: number;
  /** Nothing arrives before this round. */
  cloggedUntil: number;
}

const SLOW_FACTOR = 20;
/** Nothing stays under way longer: 20 s. */
const DELAY_MAX = 8000;

export class SimulatedWeather implements Weather {
  readonly #plan: WeatherPlan;
  readonly #dice: Dice;
  readonly #links = new Map<number, Link>();
  readonly #slow: number;
  /** Directed pairs that nothing passes, each with how many faults cut it. */
  readonly #cut = new Map<number, number>();
  /** Off in quiet times; cuts stay. */
  stormy = true;
  lost = 0;
  duplicated = 0;

  constructor(plan: WeatherPlan, replicas: number, dice: Dice) {
    this.#plan = plan;
    this.#dice = dice;
    const from = dice.below(replicas);
    const to = (from + 1 + dice.below(Math.max(1, replicas - 1))) % replicas;
    this.#slow = plan.slowLink ? key(from, to) : -1;
  }

  cut(from: ActorKey, to: ActorKey): void {
    const link = key(from, to);
    this.#cut.set(link, (this.#cut.get(link) ?? 0) + 1);
  }

  mend(from: ActorKey, to: ActorKey): void {
    const link = key(from, to);
    const left = (this.#cut.get(link) ?? 0) - 1;
    if (left > 0) this.#cut.set(link, left);
    else this.#cut.delete(link);
  }

  mendAll(): void {
    this.#cut.clear();
  }

  /** Everything written to this link from now on arrives together, in round `until`. */
  clog(from: ActorKey, to: ActorKey, until: number): void {
    this.#link(from, to).cloggedUntil = until;
  }

  /** What is under way stays there; what comes from now on does not wait for it. */
  unclogAll(): void {
    for (const link of this.#links.values()) {
      link.cloggedUntil = 0;
      link.lastArrival = 0;
    }
  }

  #link(from: ActorKey, to: ActorKey): Link {
    const name = key(from, to);
    let link = this.#links.get(name);
    if (link === undefined) {
      const { loss, delay, duplicate } = this.#plan;
      const dice = this.#dice;
      const slow = name === this.#slow ? SLOW_FACTOR : 1;
      link = {
        loss: (loss * dice.below(101)) / 100,
        delay: (slow * delay * dice.below(101)) / 100,
        duplicate: (duplicate * dice.below(101)) / 100,
        lastArrival: 0,
        cloggedUntil: 0,
      };
      this.#links.set(name, link);
    }
    return link;
  }

  arrivals(from: ActorKey, to: ActorKey, _message: Message, round: number): readonly number[] {
    if (this.#cut.has(key(from, to))) {
      this.lost++;
      return [];
    }
    const link = this.#link(from, to);
    const exempt = !this.#plan.clients && (from >= CLIENT_BASE || to >= CLIENT_BASE);
    const dice = this.#dice;
    if (!this.stormy || exempt) return [this.#inOrder(link, round, 1, true)];
    if (link.loss > 0 && dice.chance(link.loss)) {
      this.lost++;
      return [];
    }
    const delay = 1 + (link.delay > 0 ? Math.min(DELAY_MAX, dice.exponential(link.delay)) : 0);
    const first = this.#inOrder(link, round, delay, !this.#plan.reorder);
    if (link.duplicate === 0 || !dice.chance(link.duplicate)) return [first];
    this.duplicated++;
    // A copy that comes late breaks the order of the link whatever it promises.
    return [first, first + dice.below(1 + this.#plan.replay)];
  }

  #inOrder(link: Link, round: number, delay: number, fifo: boolean): number {
    let arrival = Math.max(round + delay, link.cloggedUntil);
    if (fifo) arrival = Math.max(arrival, link.lastArrival);
    link.lastArrival = Math.max(link.lastArrival, arrival);
    return arrival - round;
  }
}

function key(from: ActorKey, to: ActorKey): number {
  return from * 65536 + to;
}
