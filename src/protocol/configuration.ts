// Who takes part, and how many are enough (protocol.md 1.2). Pure arithmetic.

import { assert, violated } from './assert.js';
import type { EpochNumber, ReplicaId, Role, ViewNumber } from './types.js';

export const REPLICAS_MAX = 9;

export interface Member {
  readonly id: ReplicaId;
  readonly role: Role;
}

export interface Configuration {
  readonly epoch: EpochNumber;
  /** Ordered; the order of the actives among them is the rotation of primaries. */
  readonly members: readonly Member[];
  /** Limit of the service state in bytes, part of the configuration because it decides results (DT6). */
  readonly storeBytes: number;
}

/** `q = floor(n/2) + 1`: replication, view changes and votes alike, self included (D2). */
export function quorumSize(memberCount: number): number {
  return Math.floor(memberCount / 2) + 1;
}

/** How many members may be faulty at once, and how many may be witnesses. */
export function faultsTolerated(memberCount: number): number {
  return memberCount - quorumSize(memberCount);
}

/** @returns why this shape is not allowed, or null. */
export function invalidShape(replicas: number, witnesses: number): string | null {
  if (!Number.isInteger(replicas) || replicas < 1 || replicas > REPLICAS_MAX)
    return `replicas must be an integer from 1 to ${REPLICAS_MAX}, got ${replicas}`;
  const most = faultsTolerated(replicas);
  if (!Number.isInteger(witnesses) || witnesses < 0 || witnesses > most)
    return `witnesses must be an integer from 0 to ${most} when replicas is ${replicas}, got ${witnesses}`;
  return null;
}

/** Actives first, then witnesses, ids 0..n-1. */
export function makeConfiguration(
  replicas: number,
  witnesses: number,
  storeBytes: number,
): Configuration {
  const reason = invalidShape(replicas, witnesses);
  assert(reason === null, reason ?? '');
  const members: Member[] = [];
  for (let id = 0; id < replicas; id++)
    members.push({ id, role: id < replicas - witnesses ? 'active' : 'witness' });
  return { epoch: 0, members, storeBytes };
}

/** `A[v mod a]`: the rotation skips witnesses (W3). */
export function primaryOf(configuration: Configuration, view: ViewNumber): ReplicaId {
  const { members } = configuration;
  let actives = 0;
  for (const { role } of members) if (role === 'active') actives++;
  let left = view % actives;
  for (const { id, role } of members) if (role === 'active' && left-- === 0) return id;
  return violated(`no active member for view ${view}`);
}

export function roleOf(configuration: Configuration, id: ReplicaId): Role | null {
  const member = configuration.members.find((one) => one.id === id);
  if (member === undefined) return null;
  // Not the text itself: one that came from another thread is compared letter by letter ever after.
  return member.role === 'active' ? 'active' : 'witness';
}
