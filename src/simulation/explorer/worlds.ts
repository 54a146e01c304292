// A world: the states of all replicas, what its past was, how much of each budget is used, and the messages in flight, in any
// order. It is a short record of numbers, laid out as
//
//    state of replica 0 .. n-1 | past | used budgets | messages in flight, sorted
//
// and this file knows what may happen in one and what comes of it.

import { makeConfiguration } from '../../protocol/configuration.js';
import type { Effect } from '../../protocol/effect.js';
import { checkStep, emptyHistory } from '../../protocol/history.js';
import type { ReplicaState } from '../../protocol/state.js';
import {
  actionOf,
  causeOf,
  DELIVER,
  DROP,
  DUPLICATE,
  EXPIRE,
  isMail,
  LOSE,
  objectOf,
  replicaOf,
  requestTo,
  SAY_AGAIN,
  SEND_REQUEST,
} from './action.js';
import { Agreement } from './agreement.js';
import { HistoryTable } from './histories.js';
import { LOSS, LocalTable, REPEAT, type Step, SUBMIT, TIMER } from './locals.js';
import { deadStaysDead, type Mail, MailTable } from './mail.js';
import { type Cause, Passes } from './pass.js';
import type { Scope } from './scope.js';
import {
  count,
  DROPS,
  DUPLICATES,
  LOSSES,
  REPEATS,
  RESUBMITTED,
  SUBMITTED,
  TIMERS,
  TRANSFERS,
  TRANSFERS_MAX,
  USED_MAX,
} from './used.js';

const SESSION_OP = 1;
const WORLD_WORDS_MAX = 512;

/** Told of what comes of each action that is possible. */
export interface Successors {
  /** `next` holds the world behind `action`, of `length` words. @returns false: no more */
  reached(action: number, length: number): boolean;
  /** @returns false: no more */
  violated(action: number, violation: string): boolean;
}

export class Worlds {
  readonly scope: Scope;
  readonly mail: MailTable = new MailTable();
  readonly locals: LocalTable;
  readonly histories: HistoryTable;
  /** The world behind the action last told, and its hash. */
  readonly next: Int32Array = new Int32Array(WORLD_WORDS_MAX);
  low = 0;
  high = 0;
  readonly #passes: Passes;
  readonly #prunes: boolean;
  readonly #stays: boolean;
  readonly #faultsTolerated: number;
  readonly #agreement: Agreement;

  /** `keepDead`: messages that nobody will ever care for stay in flight (to show that leaving them out changes nothing). */
  constructor(scope: Scope, options: { readonly keepDead?: boolean } = {}) {
    this.scope = scope;
    for (const [name, most] of Object.entries(scope.budgets)) {
      const limit = name === 'transfers' ? TRANSFERS_MAX : USED_MAX;
      if (most > limit)
        throw new RangeError(`a scope allows at most ${limit} ${name}, not ${most}`);
    }
    const { replicas, witnesses } = scope;
    this.#passes = new Passes(scope, makeConfiguration(replicas, witnesses, 2 ** 30));
    this.locals = new LocalTable(scope, {
      passes: this.#passes,
      mail: this.mail,
      session: SESSION_OP * 4096,
    });
    this.histories = new HistoryTable(scope, this.locals);
    this.#agreement = new Agreement(scope, this.locals, this.histories);
    this.#prunes = options.keepDead !== true && deadStaysDead(scope);
    this.#stays = scope.delivery === 'any number of times';
    this.#faultsTolerated = Math.floor((replicas - 1) / 2);
  }

  get #past(): number {
    return this.scope.replicas;
  }

  get #used(): number {
    return this.scope.replicas + 1;
  }

  /** First message of a world. */
  get #flight(): number {
    return this.scope.replicas + 2;
  }

  /**
   * Everybody is normal in view 0, one client is registered (op 1), nothing is in flight: written into `next`.
   * @returns its length
   */
  first(): number {
    const { replicas } = this.scope;
    const history = emptyHistory();
    const states: ReplicaState[] = [];
    const waiting: { to: number; cause: Cause }[] = [];
    const perform = (
      before: ReplicaState | null,
      state: ReplicaState,
      effects: readonly Effect[],
    ): void => {
      checkStep({ history, replicas, expect: this.histories.expect }, before, state, effects);
      states[state.id] = state;
      for (const effect of effects)
        if (effect.type === 'send')
          waiting.push({ to: effect.to, cause: { type: 'message', message: effect.message } });
    };
    for (let id = 0; id < replicas; id++) {
      const { state, effects } = this.#passes.boot(id, 1, null);
      perform(null, state, effects);
    }
    waiting.push({ to: 0, cause: { type: 'register' } });
    for (let mail = waiting.shift(); mail !== undefined; mail = waiting.shift()) {
      const before = states[mail.to] as ReplicaState;
      const { state, effects } = this.#passes.pass(before, mail.cause);
      perform(before, state, effects);
    }
    for (let id = 0; id < replicas; id++)
      this.next[id] = this.locals.number(states[id] as ReplicaState);
    this.next[this.#past] = this.histories.number(history);
    this.next[this.#used] = 0;
    this.#hash(this.#flight);
    return this.#flight;
  }

  /** All that may happen in `world`, in a fixed order. @returns false when `told` wanted no more */
  expand(world: Int32Array, length: number, told: Successors): boolean {
    for (let at = this.#flight; at < length; at++) {
      if (at > this.#flight && world[at] === world[at - 1]) continue;
      if (!this.#mailEvents(world, length, at, told)) return false;
    }
    for (let id = 0; id < this.scope.replicas; id++)
      if (!this.#replicaEvents(world, length, id, told)) return false;
    return true;
  }

  /** The message that `action` concerns, or null. */
  mailOf(action: number): Mail | null {
    return isMail(action) ? this.mail.at(objectOf(action)) : null;
  }

  /** The step of one replica that `action` is in `world`. */
  stepOf(world: Int32Array, action: number): { id: number; step: Step } {
    const id = this.mailOf(action)?.to ?? replicaOf(action);
    return { id, step: this.locals.step(world[id] as number, causeOf(action)) };
  }

  /** Goes from `world` through `wanted` into `next`. @returns its length; -1: an invariant breaks, or it is not possible */
  take(world: Int32Array, length: number, wanted: number): number {
    let behind = -1;
    this.expand(world, length, {
      reached: (action, end) => {
        if (action === wanted) behind = end;
        return behind < 0;
      },
      violated: () => true,
    });
    return behind;
  }

  #mailEvents(world: Int32Array, length: number, at: number, told: Successors): boolean {
    const { budgets } = this.scope;
    const number = world[at] as number;
    const used = world[this.#used] as number;
    const { to } = this.mail.at(number);
    const step = this.locals.step(world[to] as number, number);
    if (
      !this.#follow(world, length, step, {
        action: actionOf(DELIVER, number),
        without: at,
        used,
        told,
      })
    )
      return false;
    if (count(used, DROPS) < budgets.drops) {
      const spent = used + (1 << DROPS);
      if (!this.#lose(world, length, at, spent, told)) return false;
    }
    if (count(used, DUPLICATES) < budgets.duplicates) {
      const spent = used + (1 << DUPLICATES);
      if (!this.#double(world, length, at, spent, told)) return false;
    }
    return true;
  }

  #replicaEvents(world: Int32Array, length: number, id: number, told: Successors): boolean {
    const { budgets } = this.scope;
    const used = world[this.#used] as number;
    const number = world[id] as number;
    const local = this.locals.at(number);
    const take = (kind: number, cause: number, spent: number, object: number = id): boolean => {
      const step = this.locals.step(number, cause);
      // Nothing came of it: the same world with less to spend.
      if (step.to === number && step.sent.length === 0 && step.violation === null) return true;
      return this.#follow(world, length, step, {
        action: actionOf(kind, object),
        without: -1,
        used: spent,
        told,
      });
    };
    if (count(used, TIMERS) < budgets.timers && !local.suspects && !local.recovering)
      if (!take(EXPIRE, TIMER, used + (1 << TIMERS))) return false;
    if (count(used, REPEATS) < budgets.repeats)
      if (!take(SAY_AGAIN, REPEAT, used + (1 << REPEATS))) return false;
    if (count(used, LOSSES) < budgets.losses && this.#mayLose(world, id))
      if (!take(LOSE, LOSS, used + (1 << LOSSES))) return false;
    if (!local.leads) return true;
    const submitted = count(used, SUBMITTED);
    if (submitted < budgets.operations) {
      const request = submitted + 1;
      const object = requestTo(id, request);
      if (!take(SEND_REQUEST, SUBMIT - request, used + (1 << SUBMITTED), object)) return false;
    }
    if (count(used, RESUBMITTED) < budgets.resubmissions)
      for (let request = 1; request <= submitted; request++) {
        const object = requestTo(id, request);
        if (!take(SEND_REQUEST, SUBMIT - request, used + (1 << RESUBMITTED), object)) return false;
      }
    return true;
  }

  /** At most f are faulty at a time; one that recovers is. */
  #mayLose(world: Int32Array, id: number): boolean {
    let faulty = 0;
    for (let other = 0; other < this.scope.replicas; other++)
      if (other === id || this.locals.at(world[other] as number).recovering) faulty++;
    return faulty <= this.#faultsTolerated;
  }

  #follow(
    world: Int32Array,
    length: number,
    step: Step,
    by: { action: number; without: number; used: number; told: Successors },
  ): boolean {
    // A replica that finds the impossible stops before it can spread it: wrong, but nothing is lost by it.
    if (step.violation !== null)
      return this.scope.watch === 'losses' || by.told.violated(by.action, step.violation);
    if (count(by.used, TRANSFERS) + step.transfers > this.scope.budgets.transfers) return true;
    const used = by.used + step.transfers * (1 << TRANSFERS);
    const past = this.histories.after(world[this.#past] as number, step);
    if (typeof past === 'string') return by.told.violated(by.action, past);
    const { next } = this;
    const { id } = this.locals.at(step.to).state;
    const still = step.to === step.from && past === world[this.#past] && used === by.used;
    if (this.#stays && still && step.sent.length === 0 && by.without >= 0) return true;
    for (let other = 0; other < this.scope.replicas; other++) next[other] = world[other] as number;
    next[id] = step.to;
    next[this.#past] = past;
    next[this.#used] = used;
    const end = this.#flightAfter(world, length, { step, id, without: by.without });
    const moved = step.movesLog || !step.quiet;
    const violation = still ? null : this.#agreement.broken(next, id, past, moved);
    if (violation !== null) return by.told.violated(by.action, violation);
    return this.#tell(by.action, end, by.told);
  }

  /** What stays in flight, without what is dead now, and what is sent. @returns the length of `next` */
  #flightAfter(
    world: Int32Array,
    length: number,
    by: { step: Step; id: number; without: number },
  ): number {
    const { next } = this;
    const { step, id, without } = by;
    const moved = step.to !== step.from;
    let end = this.#flight;
    for (let at = this.#flight; at < length; at++) {
      if (at === without && !this.#stays) continue;
      const number = world[at] as number;
      if (moved && this.#isDead(id, step.to, number)) continue;
      next[end++] = number;
    }
    for (const number of step.sent) {
      const { to } = this.mail.at(number);
      if (this.#isDead(to, next[to] as number, number)) continue;
      if (this.#stays && this.#holds(end, number)) continue;
      let at = end++;
      for (; at > this.#flight && (next[at - 1] as number) > number; at--)
        next[at] = next[at - 1] as number;
      next[at] = number;
    }
    return end;
  }

  #holds(end: number, number: number): boolean {
    for (let at = this.#flight; at < end; at++) if (this.next[at] === number) return true;
    return false;
  }

  #isDead(id: number, receiver: number, number: number): boolean {
    return this.#prunes && this.mail.at(number).to === id && this.locals.ignores(receiver, number);
  }

  #lose(world: Int32Array, length: number, at: number, used: number, told: Successors): boolean {
    const { next } = this;
    let end = 0;
    for (let word = 0; word < length; word++) if (word !== at) next[end++] = world[word] as number;
    next[this.#used] = used;
    return this.#tell(actionOf(DROP, world[at] as number), end, told);
  }

  #double(world: Int32Array, length: number, at: number, used: number, told: Successors): boolean {
    const { next } = this;
    let end = 0;
    for (let word = 0; word < length; word++) {
      next[end++] = world[word] as number;
      if (word === at) next[end++] = world[word] as number;
    }
    next[this.#used] = used;
    return this.#tell(actionOf(DUPLICATE, world[at] as number), end, told);
  }

  #tell(action: number, end: number, told: Successors): boolean {
    this.#hash(end);
    return told.reached(action, end);
  }

  /** A sum does not care for the order of messages; each part is a hash of its whole content. */
  #hash(end: number): void {
    const { next } = this;
    const used = next[this.#used] as number;
    const past = this.histories.at(next[this.#past] as number);
    let low = Math.imul(used + 1, 0x9e3779b1) + past.low;
    let high = Math.imul(used ^ 0x5bd1e995, 0x85ebca6b) + past.high;
    for (let id = 0; id < this.scope.replicas; id++) {
      const local = this.locals.at(next[id] as number);
      low = (low + local.low) | 0;
      high = (high + local.high) | 0;
    }
    for (let at = this.#flight; at < end; at++) {
      const mail = this.mail.at(next[at] as number);
      low = (low + mail.low) | 0;
      high = (high + mail.high) | 0;
    }
    this.low = low;
    this.high = high;
  }
}
