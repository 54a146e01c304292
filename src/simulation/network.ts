// The rings and everything that may happen to messages on the way: lost, held back and released later, delayed, doubled. A
// message that was sent stays under way after its sender's death (ghosts).

import type { Message, MessageKind } from '../protocol/message.js';
import { copyMessage, sizeOf } from './copies.js';

/** A replica's id, or CLIENT_BASE + the address of a client. */
export type ActorKey = number;
export const CLIENT_BASE = 1000;

export interface Envelope {
  readonly from: ActorKey;
  readonly to: ActorKey;
  readonly message: Message;
  /** Round of arrival. */
  due: number;
  /** Roughly what it takes in a ring. */
  readonly bytes: number;
  /** Round in which it was said. */
  readonly sent: number;
  /** One that was said came twice: the first has been read before it. */
  readonly again: boolean;
  /** Read, or gone. */
  done: boolean;
}

export interface Pattern {
  readonly from: ReadonlySet<ActorKey> | null;
  readonly to: ReadonlySet<ActorKey> | null;
  readonly kinds: ReadonlySet<MessageKind> | null;
  readonly where: ((message: Message) => boolean) | null;
  /** Part of the matching messages that is meant, 0..1. */
  readonly share: number;
}

export type Action = 'drop' | 'hold' | 'duplicate' | 'delay' | 'record';

/** One fault. `end()` lifts it; messages that a hold keeps stay until released. */
export class Rule {
  readonly action: Action;
  readonly pattern: Pattern;
  /** Rounds: fixed for `delay`; the most, drawn for each copy, for `duplicate`. */
  readonly rounds: number;
  readonly kept: Envelope[] = [];
  active = true;
  hits = 0;

  constructor(action: Action, pattern: Pattern, rounds: number) {
    this.action = action;
    this.pattern = pattern;
    this.rounds = rounds;
  }

  end(): void {
    this.active = false;
  }
}

function matches(pattern: Pattern, envelope: Envelope): boolean {
  const { from, to, kinds, where } = pattern;
  if (from !== null && !from.has(envelope.from)) return false;
  if (to !== null && !to.has(envelope.to)) return false;
  if (kinds !== null && !kinds.has(envelope.message.kind)) return false;
  return where === null || where(envelope.message);
}

export interface RingDepth {
  readonly bytes: number;
  readonly frames: number;
}

const UNBOUNDED: RingDepth = { bytes: 1 << 20, frames: 1 << 20 };

/** The ring from one actor to another: what is unread, and how much is unread or under way. */
export class Ring {
  readonly from: ActorKey;
  readonly to: ActorKey;
  #unread: Envelope[] = [];
  #at = 0;
  /** As they were said, whatever the order in which they come; those in front may be done. */
  #said: Envelope[] = [];
  /** Messages that ever arrived, and that are read or gone. */
  written = 0;
  read = 0;
  frames = 0;
  bytes = 0;

  constructor(from: ActorKey, to: ActorKey) {
    this.from = from;
    this.to = to;
  }

  /** Unread messages. */
  get length(): number {
    return this.#unread.length - this.#at;
  }

  /** Counts a message that was written; it is read after it `arrived`. */
  wrote(envelope: Envelope): void {
    this.frames++;
    this.bytes += envelope.bytes;
    if (!envelope.again) this.#said.push(envelope);
  }

  /** Round in which the oldest was said that is not read yet; Infinity: all are. */
  get oldest(): number {
    const first = this.#said.findIndex(({ done }) => !done);
    this.#said = first < 0 ? [] : this.#said.slice(first);
    return this.#said[0]?.sent ?? Number.POSITIVE_INFINITY;
  }

  arrived(envelope: Envelope): void {
    this.#unread.push(envelope);
    this.written++;
  }

  get first(): Message | undefined {
    return this.#unread[this.#at]?.message;
  }

  take(): Message | undefined {
    const envelope = this.#unread[this.#at];
    if (envelope === undefined) return undefined;
    this.#at++;
    this.read++;
    if (this.#at === this.#unread.length) {
      this.#unread = [];
      this.#at = 0;
    }
    this.gone(envelope);
    return envelope.message;
  }

  gone(envelope: Envelope): void {
    envelope.done = true;
    this.frames--;
    this.bytes -= envelope.bytes;
  }

  discard(where: (envelope: Envelope) => boolean): void {
    const kept: Envelope[] = [];
    for (const envelope of this.#unread.slice(this.#at))
      if (!where(envelope)) kept.push(envelope);
      else {
        this.gone(envelope);
        this.read++;
      }
    this.#unread = kept;
    this.#at = 0;
  }
}

/** What the way does to every message that no rule has caught. */
export interface Weather {
  /** Rounds after the present one, at least 1, in which copies arrive; none: it is lost. */
  arrivals(from: ActorKey, to: ActorKey, message: Message, round: number): readonly number[];
}

export class Network {
  readonly #random: () => number;
  readonly #rings = new Map<ActorKey, Map<ActorKey, Ring>>();
  readonly #depths: { from: ActorKey | null; to: ActorKey | null; depth: RingDepth }[] = [];
  /** Under way, by the round of arrival. */
  readonly #flying = new Map<number, Envelope[]>();
  readonly rules: Rule[] = [];
  /** Rounds that a message takes: drawn uniformly. */
  latency: { low: number; high: number } = { low: 1, high: 1 };
  /** Instead of `latency`. */
  weather: Weather | null = null;
  round = 0;
  /** Messages that found their ring full (BP1a). */
  refused = 0;
  /** Messages written. */
  posted = 0;

  constructor(random: () => number) {
    this.#random = random;
  }

  chance(share: number): boolean {
    return this.#random() / 2 ** 32 < share;
  }

  between(low: number, high: number): number {
    return low + (this.#random() % (high - low + 1));
  }

  addRule(action: Action, pattern: Pattern, rounds = 0): Rule {
    const rule = new Rule(action, pattern, rounds);
    this.rules.push(rule);
    return rule;
  }

  /** No more faults; what was held is lost unless it is released. */
  heal(): void {
    for (const rule of this.rules) rule.end();
    this.rules.length = 0;
    this.latency = { low: 1, high: 1 };
    this.weather = null;
    this.clearDepths();
  }

  clearDepths(): void {
    this.#depths.length = 0;
  }

  setDepth(from: ActorKey | null, to: ActorKey | null, depth: RingDepth): void {
    this.#depths.unshift({ from, to, depth });
  }

  #depth(from: ActorKey, to: ActorKey): RingDepth {
    for (const known of this.#depths)
      if ((known.from === null || known.from === from) && (known.to === null || known.to === to))
        return known.depth;
    return UNBOUNDED;
  }

  /** Bytes that may still be written; 0 when nothing fits. */
  room(from: ActorKey, to: ActorKey): number {
    const depth = this.#depth(from, to);
    const { frames, bytes } = this.ring(from, to);
    if (frames >= depth.frames) return 0;
    return depth.frames - frames === 1 ? 1 : Math.max(0, depth.bytes - bytes);
  }

  ring(from: ActorKey, to: ActorKey): Ring {
    let into = this.#rings.get(to);
    if (into === undefined) {
      into = new Map();
      this.#rings.set(to, into);
    }
    let ring = into.get(from);
    if (ring === undefined) {
      ring = new Ring(from, to);
      into.set(from, ring);
    }
    return ring;
  }

  hasMail(to: ActorKey): boolean {
    for (const ring of this.#rings.get(to)?.values() ?? []) if (ring.length > 0) return true;
    return false;
  }

  /** Round in which the oldest was said that no replica's ring has brought to `to` yet; Infinity: none. */
  oldestFromReplicas(to: ActorKey): number {
    let oldest = Number.POSITIVE_INFINITY;
    for (const [from, ring] of this.#rings.get(to) ?? [])
      if (from < CLIENT_BASE) oldest = Math.min(oldest, ring.oldest);
    return oldest;
  }

  /** Rings into `to` that hold something unread. */
  mail(to: ActorKey): Ring[] {
    const rings: Ring[] = [];
    for (const ring of this.#rings.get(to)?.values() ?? []) if (ring.length > 0) rings.push(ring);
    return rings;
  }

  /** Unread or under way. */
  pending(from: ActorKey, to: ActorKey): number {
    return this.ring(from, to).frames;
  }

  post(from: ActorKey, to: ActorKey, message: Message): void {
    this.posted++;
    const depth = this.#depth(from, to);
    const { frames, bytes } = this.ring(from, to);
    if (depth !== UNBOUNDED && (frames >= depth.frames || (frames > 0 && bytes >= depth.bytes))) {
      this.refused++;
      return;
    }
    const { low, high } = this.latency;
    const due = this.round + (this.weather === null ? this.between(low, high) : 1);
    const envelope = { ...this.#envelope(from, to, message), due };
    for (const rule of this.rules) {
      if (!rule.active || !matches(rule.pattern, envelope)) continue;
      if (rule.pattern.share < 1 && !this.chance(rule.pattern.share)) continue;
      rule.hits++;
      if (rule.action === 'drop') return;
      if (rule.action === 'hold') {
        rule.kept.push(envelope);
        return;
      }
      if (rule.action === 'record') rule.kept.push({ ...envelope, message: copyMessage(message) });
      else if (rule.action === 'delay') envelope.due += rule.rounds;
      else
        this.#fly({
          ...envelope,
          due: envelope.due + this.between(0, rule.rounds),
          again: true,
        });
    }
    if (this.weather === null) this.#fly(envelope);
    else
      for (const [at, after] of this.weather.arrivals(from, to, message, this.round).entries())
        this.#fly({ ...envelope, due: this.round + after, again: at > 0 });
  }

  #envelope(from: ActorKey, to: ActorKey, message: Message): Envelope {
    const { round } = this;
    const bytes = sizeOf(message);
    return { from, to, message, due: round + 1, bytes, sent: round, again: false, done: false };
  }

  #fly(envelope: Envelope): void {
    this.ring(envelope.from, envelope.to).wrote(envelope);
    const due = this.#flying.get(envelope.due);
    if (due === undefined) this.#flying.set(envelope.due, [envelope]);
    else due.push(envelope);
  }

  /** Puts messages that a rule kept under way again, in their order or as `order` says. */
  release(rule: Rule, pick: (envelope: Envelope) => boolean = () => true): number {
    const chosen = rule.kept.filter(pick);
    const rest = rule.kept.filter((envelope) => !pick(envelope));
    rule.kept.length = 0;
    rule.kept.push(...rest);
    for (const envelope of chosen) this.#fly({ ...envelope, due: this.round + 1 });
    return chosen.length;
  }

  inject(from: ActorKey, to: ActorKey, message: Message): void {
    this.#fly(this.#envelope(from, to, message));
  }

  /** Forgets what is under way or unread, e.g. of a sender whose frames never became visible. */
  discard(where: (envelope: Envelope) => boolean): void {
    for (const [due, envelopes] of this.#flying) {
      const kept: Envelope[] = [];
      for (const envelope of envelopes)
        if (where(envelope)) this.ring(envelope.from, envelope.to).gone(envelope);
        else kept.push(envelope);
      this.#flying.set(due, kept);
    }
    for (const into of this.#rings.values()) for (const ring of into.values()) ring.discard(where);
  }

  /** One round later: what is due lies in its ring, in order of arrival. */
  advance(): void {
    this.round++;
    const due = this.#flying.get(this.round);
    if (due === undefined) return;
    this.#flying.delete(this.round);
    for (const envelope of due) this.ring(envelope.from, envelope.to).arrived(envelope);
  }
}
