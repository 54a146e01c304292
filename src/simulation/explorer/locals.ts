// The states of single replicas and the steps between them, each computed once: thousands of worlds share a replica's state, so
// the core runs once for a state and a message, and everything else is done with numbers.

import { ProtocolViolation } from '../../protocol/assert.js';
import type { Effect } from '../../protocol/effect.js';
import { chainAt, head } from '../../protocol/log.js';
import { hashState, type ReplicaState } from '../../protocol/state.js';
import { compareStamps, sameChain } from '../../protocol/types.js';
import { isDead, type MailTable } from './mail.js';
import type { Cause, Passed, Passes } from './pass.js';
import type { Scope } from './scope.js';

/** What may happen to a replica, as a number: a message by its own, the rest below zero. */
export const TIMER = -1;
export const REPEAT = -2;
export const LOSS = -3;
/** Request n is SUBMIT - n. */
export const SUBMIT = -3;
const LOWEST_CAUSE = -20;
const JUDGED_FIRST = 64;

export interface Local {
  readonly state: ReplicaState;
  readonly low: number;
  readonly high: number;
  readonly recovering: boolean;
  readonly leads: boolean;
  readonly suspects: boolean;
  /** By cause, from the lowest on. */
  readonly steps: (Step | undefined)[];
  /** By message: 0 not judged yet, 1 it may still matter, 2 it is dead. */
  judged: Uint8Array;
}

export interface Step {
  readonly number: number;
  readonly from: number;
  readonly cause: number;
  readonly to: number;
  /** Numbers of the messages it sends. */
  readonly sent: readonly number[];
  readonly transfers: number;
  readonly effects: readonly Effect[];
  /** Nothing that a history notes. */
  readonly quiet: boolean;
  /** The log is another one, or counts now, or no longer. */
  readonly movesLog: boolean;
  /** The core or a check of this replica alone found it wrong. */
  readonly violation: string | null;
}

export class LocalTable {
  readonly #scope: Scope;
  readonly #passes: Passes;
  readonly #mail: MailTable;
  readonly #locals: Local[] = [];
  readonly #byHash = new Map<string, number>();
  readonly session: number;
  steps = 0;

  constructor(scope: Scope, at: { passes: Passes; mail: MailTable; session: number }) {
    this.#scope = scope;
    this.#passes = at.passes;
    this.#mail = at.mail;
    this.session = at.session;
  }

  at(number: number): Local {
    return this.#locals[number] as Local;
  }

  get size(): number {
    return this.#locals.length;
  }

  number(state: ReplicaState): number {
    const hash = hashState(state);
    const known = this.#byHash.get(hash);
    if (known !== undefined) return known;
    this.#byHash.set(hash, this.#locals.length);
    return (
      this.#locals.push({
        state,
        low: Number.parseInt(hash.slice(8), 16) | 0,
        high: Number.parseInt(hash.slice(0, 8), 16) | 0,
        recovering: state.status === 'recovering',
        leads: state.status === 'normal' && leadsItsView(state),
        suspects: state.suspect,
        steps: [],
        judged: new Uint8Array(JUDGED_FIRST),
      }) - 1
    );
  }

  /** Whether the replica in state `number`, to whom it is sent, will never care for `message` (`isDead`). */
  ignores(number: number, message: number): boolean {
    const local = this.at(number);
    const known = local.judged[message];
    if (known === 1) return false;
    if (known === 2) return true;
    if (known === undefined) {
      const grown = new Uint8Array(Math.max(message + 1, 2 * local.judged.length));
      grown.set(local.judged);
      local.judged = grown;
    }
    const dead = isDead(local.state, this.#mail.at(message).message, this.#scope);
    local.judged[message] = dead ? 2 : 1;
    return dead;
  }

  /** What `cause` does to the replica in state `from`. */
  step(from: number, cause: number): Step {
    const local = this.at(from);
    const known = local.steps[cause - LOWEST_CAUSE];
    if (known !== undefined) return known;
    const step = this.#compute(from, cause);
    local.steps[cause - LOWEST_CAUSE] = step;
    return step;
  }

  #compute(from: number, cause: number): Step {
    const { state } = this.at(from);
    const common = { number: this.steps++, from, cause };
    let passed: Passed;
    try {
      passed =
        cause === LOSS
          ? this.#passes.boot(state.id, state.start + 1, state.register)
          : this.#passes.pass(state, this.#cause(cause));
    } catch (error) {
      if (!(error instanceof ProtocolViolation)) throw error;
      const nothing = { to: from, sent: [], transfers: 0, effects: [], quiet: true };
      return { ...common, ...nothing, movesLog: false, violation: error.message };
    }
    const sent: number[] = [];
    let transfers = 0;
    for (const effect of passed.effects) {
      if (effect.type !== 'send') continue;
      sent.push(this.#mail.number(effect.to, effect.message));
      if (effect.message.kind === 'getState') transfers++;
    }
    const to = this.number(passed.state);
    // Of a witness everything is looked at (I17).
    const noted = state.role === 'witness' ? passed.effects : passed.effects.filter(isNoted);
    const quiet = noted.length === 0 && isQuiet(state, passed);
    const movesLog = differ(state, passed.state);
    return { ...common, to, sent, transfers, effects: noted, quiet, movesLog, violation: null };
  }

  #cause(cause: number): Cause {
    if (cause >= 0) return { type: 'message', message: this.#mail.at(cause).message };
    if (cause === TIMER) return { type: 'timer' };
    if (cause === REPEAT) return { type: 'repeat' };
    return { type: 'submit', session: this.session, number: SUBMIT - cause };
  }
}

function differ(before: ReplicaState, after: ReplicaState): boolean {
  if ((before.status === 'recovering') !== (after.status === 'recovering')) return true;
  const top = head(before.log);
  if (top !== head(after.log)) return true;
  return !sameChain(chainAt(before.log, top), chainAt(after.log, top));
}

function leadsItsView(state: ReplicaState): boolean {
  const actives = state.configuration.members.filter((member) => member.role === 'active');
  return actives[state.view % actives.length]?.id === state.id;
}

/** Effects that `checkStep` looks at. */
function isNoted(effect: Effect): boolean {
  if (effect.type === 'writeRegister') return true;
  if (effect.type === 'reply') return effect.message.kind === 'reply';
  if (effect.type !== 'send') return false;
  const { kind } = effect.message;
  return kind === 'prepareOk' || kind === 'doViewChange' || kind === 'startView';
}

/** The messages that no history notes must be covered by the register as well (I23a). */
function isQuiet(before: ReplicaState, { state, effects }: Passed): boolean {
  const { register } = before;
  for (const effect of effects)
    if (
      effect.type === 'send' &&
      (register === null || compareStamps(effect.message, register) > 0)
    )
      return false;
  const stands = state.commit === before.commit && state.status === before.status;
  return stands && compareStamps(state, before) === 0;
}
