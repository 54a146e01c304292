// What happens in a world, as one number: a kind, and whom or what it concerns.

import { LOSS, REPEAT, SUBMIT, TIMER } from './locals.js';

export const DELIVER = 0;
export const DROP = 1;
export const DUPLICATE = 2;
export const EXPIRE = 3;
export const SAY_AGAIN = 4;
export const LOSE = 5;
export const SEND_REQUEST = 6;

const KIND_BITS = 3;
const KIND_MASK = 7;
const REPLICAS = 16;

export function actionOf(kind: number, object: number): number {
  return (object << KIND_BITS) | kind;
}

export function kindOf(action: number): number {
  return action & KIND_MASK;
}

/** Number of the message, of the replica, or what `requestTo` made. */
export function objectOf(action: number): number {
  return action >>> KIND_BITS;
}

export function requestTo(replica: number, request: number): number {
  return request * REPLICAS + replica;
}

export function requestOf(action: number): number {
  return Math.floor(objectOf(action) / REPLICAS);
}

/** Of an action that concerns no message. */
export function replicaOf(action: number): number {
  return objectOf(action) % REPLICAS;
}

export function isMail(action: number): boolean {
  return kindOf(action) <= DUPLICATE;
}

/** What the replica's step is looked up by. */
export function causeOf(action: number): number {
  switch (kindOf(action)) {
    case EXPIRE:
      return TIMER;
    case SAY_AGAIN:
      return REPEAT;
    case LOSE:
      return LOSS;
    case SEND_REQUEST:
      return SUBMIT - requestOf(action);
    default:
      return objectOf(action);
  }
}
