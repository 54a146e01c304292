// Messages in flight, each content once: a world holds their numbers.

import type { ReplicaMessage } from '../../protocol/message.js';
import type { MistakeName } from '../../protocol/mutations.js';
import { hashValue } from '../../protocol/plain-data.js';
import type { ReplicaState } from '../../protocol/state.js';
import type { ReplicaId } from '../../protocol/types.js';
import type { Scope } from './scope.js';

export interface Mail {
  readonly to: ReplicaId;
  readonly message: ReplicaMessage;
  readonly low: number;
  readonly high: number;
}

export class MailTable {
  readonly #mail: Mail[] = [];
  readonly #byHash = new Map<string, number>();

  number(to: ReplicaId, message: ReplicaMessage): number {
    const hash = hashValue([to, message]);
    const known = this.#byHash.get(hash);
    if (known !== undefined) return known;
    const low = Number.parseInt(hash.slice(8), 16) | 0;
    const high = Number.parseInt(hash.slice(0, 8), 16) | 0;
    this.#byHash.set(hash, this.#mail.length);
    return this.#mail.push({ to, message, low, high }) - 1;
  }

  at(number: number): Mail {
    return this.#mail[number] as Mail;
  }

  get size(): number {
    return this.#mail.length;
  }
}

/**
 * True: its receiver ignores this message now and whatever comes, so a world without it is the same world. Each line holds for
 * ever because view and register only grow, a view is never normal twice in one replica, and request numbers never return.
 */
export function isDead(receiver: ReplicaState, message: ReplicaMessage, scope: Scope): boolean {
  switch (message.kind) {
    case 'getState':
    case 'getCheckpoint':
    case 'getNodes':
    case 'getPages':
      return false;
    case 'checkpointMeta':
    case 'nodes':
    case 'pages':
      // One of a later view ends the fetch that it finds, whichever request it answers (E27).
      return message.view <= receiver.view && !isAskedFor(receiver, message.reqId);
    case 'newState':
      return !(
        receiver.transfer?.chunks.some(
          (chunk) => chunk.reqId === message.reqId && chunk.entries === null,
        ) ?? false
      );
    case 'requestStartView':
      return message.nonce === 0 && message.view < receiver.view;
    case 'startView':
      if (message.view !== receiver.view) return message.view < receiver.view;
      if (receiver.status === 'recovering') return message.nonce !== receiver.start;
      return receiver.status === 'normal';
    case 'startViewChange':
      if (message.view !== receiver.view) return message.view < receiver.view;
      // A join of the present view is news only to its primary.
      return message.phase === 'joined' && !leadsOrWill(receiver, scope);
    default:
      return message.view < receiver.view;
  }
}

function isAskedFor(receiver: ReplicaState, reqId: number): boolean {
  return receiver.transfer?.fetch?.open.some((open) => open.reqId === reqId) ?? false;
}

function leadsOrWill(receiver: ReplicaState, scope: Scope): boolean {
  const actives = scope.replicas - scope.witnesses;
  return receiver.view % actives === receiver.id;
}

/** Mistakes after which view and register still only grow, and a replica still ignores what `isDead` says it ignores. */
const HARMLESS: readonly MistakeName[] = [
  'truncateOnLaterView',
  'commitAlone',
  'smallViewChangeQuorum',
  'longestLog',
];

/** Whether `isDead` may be relied on. */
export function deadStaysDead(scope: Scope): boolean {
  return Object.entries(scope.mutations).every(
    ([name, on]) => !on || HARMLESS.includes(name as MistakeName),
  );
}
