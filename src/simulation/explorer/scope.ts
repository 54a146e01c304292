// What one exploration may contain: how many replicas, and how often each kind of event may happen in one run. Within these
// bounds every order of events is tried; nothing else is bounded.

import type { Mutations } from '../../protocol/mutations.js';

/** How often each may happen in one run. */
export interface Budgets {
  /** Different operations of the client; any of them may wait for the others or not. */
  readonly operations: number;
  /** Operations that the client sends once more, to whoever leads then. */
  readonly resubmissions: number;
  /** Replicas that lose patience: a backup with its primary, a primary with its backups, anybody with a view change. */
  readonly timers: number;
  /** Replicas that say again what they owe: votes, joins, heartbeats, entries, requests for state and for a StartView. */
  readonly repeats: number;
  /** Where messages arrive once. */
  readonly drops: number;
  readonly duplicates: number;
  /**
   * Replicas that end with all their memory and start again. Both is one event: one that is down is like one that has started
   * and heard nothing yet.
   */
  readonly losses: number;
  /** Requests for entries (GetState). */
  readonly transfers: number;
}

export interface Scope {
  readonly name: string;
  readonly replicas: number;
  readonly witnesses: number;
  readonly budgets: Budgets;
  /** Entries that travel inside DoViewChange and StartView; with 0 a log is always fetched by GetState. */
  readonly tailEntries: number;
  /**
   * Whether the protocol's pauses (between two StartViews to one replica, two questions for one, before a gap is repaired) are
   * over whenever something happens, or never are. Real groups are in between.
   */
  readonly pauses: 'over' | 'never over';
  /**
   * `once`: every message arrives at most once, unless a budget doubles it. `any number of times`: whatever was sent may arrive
   * now, later, again and never, which covers every loss, copy and delay there is.
   */
  readonly delivery: 'once' | 'any number of times';
  /** What is looked for: everything, or only what a client would see: an operation lost, changed or executed twice. */
  readonly watch: 'everything' | 'losses';
  /** Mistakes switched on. */
  readonly mutations: Mutations;
}

const NOTHING: Budgets = {
  operations: 0,
  resubmissions: 0,
  timers: 0,
  repeats: 0,
  drops: 0,
  duplicates: 0,
  losses: 0,
  transfers: 0,
};

/** How `budgets` differ from nothing: `2 operations, 1 timer`. */
export function describeBudgets(budgets: Budgets): string {
  const parts: string[] = [];
  for (const [name, most] of Object.entries(budgets))
    if (most > 0) parts.push(`${most} ${most === 1 ? name.replace(/(?<=ss)es$|s$/, '') : name}`);
  return parts.join(', ');
}

/** Three replicas, nothing allowed and nothing wrong, but for what `changes` says. */
export function makeScope(
  name: string,
  budgets: Partial<Budgets>,
  changes: Partial<Omit<Scope, 'name' | 'budgets'>> = {},
): Scope {
  return {
    name,
    replicas: 3,
    witnesses: 0,
    tailEntries: 8,
    pauses: 'never over',
    delivery: 'any number of times',
    watch: 'everything',
    mutations: {},
    ...changes,
    budgets: { ...NOTHING, ...budgets },
  };
}

export const SCOPE_NAMES = ['S1', 'S2', 'S3', 'S4'] as const;
export type ScopeName = (typeof SCOPE_NAMES)[number];

/** Of docs/testing.md: three replicas whose messages arrive in any order, late, never and again. */
export const SCOPES: Readonly<Record<ScopeName, Scope>> = {
  S1: makeScope('S1', { operations: 2, timers: 1 }),
  S2: makeScope('S2', { operations: 1, timers: 2 }),
  // No entries ride in DoViewChange and StartView: whoever lacks some has to fetch them.
  S3: makeScope('S3', { operations: 2, timers: 3, transfers: 1 }, { tailEntries: 0 }),
  S4: makeScope('S4', { operations: 2, timers: 2, losses: 2 }),
};
