// What every frame between replicas begins with: array16, kind, clusterId, gen, epoch, view, from.

import type { ReplicaHeader } from '../protocol/message.js';
import { KIND_CODES, OPENING_BYTES } from './kinds.js';
import {
  ARRAY_BYTES,
  putArray,
  putUint,
  putWhole,
  UINT_BYTES,
  uintAt,
  WHOLE_BYTES,
  wholeAt,
} from './msgpack.js';

export const CLUSTER_ID: number = OPENING_BYTES;
export const GEN: number = CLUSTER_ID + WHOLE_BYTES;
export const EPOCH: number = GEN + UINT_BYTES;
export const VIEW: number = EPOCH + UINT_BYTES;
export const FROM: number = VIEW + UINT_BYTES;
/** Where the fields of a replica message begin that are its own. */
export const REPLICA_FIELDS_AT: number = FROM + UINT_BYTES;

export function putReplicaHeader(
  view: DataView,
  at: number,
  message: ReplicaHeader & { readonly kind: keyof typeof KIND_CODES },
  fields: number,
): void {
  putArray(view, at, fields);
  putUint(view, at + ARRAY_BYTES, KIND_CODES[message.kind]);
  putWhole(view, at + CLUSTER_ID, message.clusterId);
  putUint(view, at + GEN, message.gen);
  putUint(view, at + EPOCH, message.epoch);
  putUint(view, at + VIEW, message.view);
  putUint(view, at + FROM, message.from);
}

export function replicaHeaderAt(view: DataView, at: number): ReplicaHeader {
  return {
    clusterId: wholeAt(view, at + CLUSTER_ID, 'clusterId'),
    gen: uintAt(view, at + GEN, 'gen'),
    epoch: uintAt(view, at + EPOCH, 'epoch'),
    view: uintAt(view, at + VIEW, 'view'),
    from: uintAt(view, at + FROM, 'from'),
  };
}
