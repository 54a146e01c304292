// What must hold between the replicas of one world. Two states are compared once, in however many worlds they meet.

import { ProtocolViolation } from '../../protocol/assert.js';
import { checkAcknowledged, checkLikePrimary } from '../../protocol/between-steps.js';
import type { ReplicaState } from '../../protocol/state.js';
import type { HistoryTable } from './histories.js';
import type { LocalTable } from './locals.js';
import type { Scope } from './scope.js';

export class Agreement {
  readonly #scope: Scope;
  readonly #locals: LocalTable;
  readonly #histories: HistoryTable;
  /** By state of one replica: states of others that it was compared with. */
  readonly #compared = new Map<number, Map<number, string | null>>();

  constructor(scope: Scope, locals: LocalTable, histories: HistoryTable) {
    this.#scope = scope;
    this.#locals = locals;
    this.#histories = histories;
  }

  /** I7 between replica `id`, which moved, and each other one, I2 over all if `logs` did. @returns which is broken in `world` */
  broken(world: Int32Array, id: number, past: number, logs: boolean): string | null {
    const { replicas } = this.#scope;
    const own = world[id] as number;
    for (let other = 0; other < replicas; other++) {
      if (other === id) continue;
      const broken = this.#compare(own, world[other] as number);
      if (broken !== null) return broken;
    }
    const { history } = this.#histories.at(past);
    if (!logs || history.acknowledged.size === 0) return null;
    const states: ReplicaState[] = [];
    for (let at = 0; at < replicas; at++) states.push(this.#locals.at(world[at] as number).state);
    const { expect } = this.#histories;
    return violationOf(() => checkAcknowledged({ history, replicas, expect }, states));
  }

  #compare(a: number, b: number): string | null {
    if (this.#scope.watch !== 'everything') return null;
    let compared = this.#compared.get(a);
    if (compared === undefined) {
      compared = new Map();
      this.#compared.set(a, compared);
    }
    let broken = compared.get(b);
    if (broken === undefined) {
      const left = this.#locals.at(a).state;
      const right = this.#locals.at(b).state;
      broken = violationOf(() => {
        checkLikePrimary(left, right);
        checkLikePrimary(right, left);
      });
      compared.set(b, broken);
    }
    return broken;
  }
}

function violationOf(check: () => void): string | null {
  try {
    check();
    return null;
  } catch (error) {
    if (error instanceof ProtocolViolation) return error.message;
    throw error;
  }
}
