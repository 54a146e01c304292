// Do replicas agree? Equal chains at one op mean equal logs up to there, equal roots at one checkpoint equal states. What nobody knows
// to be committed may differ: the next view decides about it.

import { type OpNumber, type ReplicaId, sameChain } from '../../protocol/types.js';
import type { ReplicaReport, StoredLog } from './replica.js';

export interface Comparison {
  readonly replicas: readonly [ReplicaId, ReplicaId];
  /** Ops that both logs have, one op below the log included; null: none. */
  readonly common: readonly [OpNumber, OpNumber] | null;
  /** Up to where they are equal; null: nowhere. */
  readonly equalUpTo: OpNumber | null;
  /** What both know to be committed and both have; null: nothing. */
  readonly committed: OpNumber | null;
  /** At an equal op; null: their checkpoints are at different ones. */
  readonly equalRoots: boolean | null;
  /** Started from stores that might have lacked their ends: one of them may yet be given up. */
  readonly sameGen: boolean;
}

export function compareReplicas(replicas: readonly ReplicaReport[]): Comparison[] {
  return replicas.flatMap((a, index) =>
    replicas.slice(index + 1).flatMap((b) => comparePair(a, b) ?? []),
  );
}

function comparePair(a: ReplicaReport, b: ReplicaReport): Comparison | null {
  if (a.store.kind !== 'whole' || b.store.kind !== 'whole') return null;
  const { chains: left, log: leftLog } = a.store;
  const { chains: right, log: rightLog } = b.store;
  const first = Math.max(left.first, right.first);
  const last = Math.min(left.last, right.last);
  const committed = Math.min(knownCommitted(leftLog), knownCommitted(rightLog));
  return {
    replicas: [a.id, b.id],
    common: first <= last ? [first, last] : null,
    equalUpTo: left.equalUpTo(right),
    committed: first <= committed ? committed : null,
    equalRoots: equalRoots(leftLog, rightLog),
    sameGen: leftLog.gen === rightLog.gen,
  };
}

function knownCommitted(log: StoredLog): OpNumber {
  // Both are committed by what they are: what was executed, and what all had (P8e).
  return Math.max(log.commit, log.checkpoint?.op ?? 0, log.start - 1);
}

function equalRoots(a: StoredLog, b: StoredLog): boolean | null {
  if (a.checkpoint === null || b.checkpoint === null) return null;
  if (a.checkpoint.op !== b.checkpoint.op) return null;
  return sameChain(a.checkpoint.root, b.checkpoint.root);
}

/** What must not be, in words. */
export function disagreement(comparison: Comparison): string | null {
  const { replicas, common, committed, equalUpTo, equalRoots, sameGen } = comparison;
  if (!sameGen || common === null) return null;
  const who = `replicas ${replicas.join(' and ')}`;
  if (committed !== null && (equalUpTo === null || equalUpTo < committed))
    return `the logs of ${who} differ from op ${(equalUpTo ?? common[0] - 1) + 1} on, and both say that ${committed} is committed`;
  if (equalRoots === false) return `the checkpoints of ${who} differ at the same op`;
  return null;
}

/** What may be, and is worth knowing. */
export function remark(comparison: Comparison): string | null {
  const { replicas, common, equalUpTo, sameGen } = comparison;
  if (common === null || disagreement(comparison) !== null) return null;
  const [, last] = common;
  if (equalUpTo === last) return null;
  const from = (equalUpTo ?? common[0] - 1) + 1;
  const why = sameGen
    ? 'nobody knows these to be committed, the next view decides'
    : 'they are of different generations: what is left of the older one is given up';
  return `the logs of replicas ${replicas.join(' and ')} differ from op ${from} to ${last}: ${why}`;
}
