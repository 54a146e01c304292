// What the client's half remembers: one record, over which the files beside this one are functions.

import type { ClientEffect } from '../client-event.js';
import type { ClientId, Random32, ReplicaId, SessionNumber, ViewNumber } from '../types.js';
import { LocalLane } from './local-lane.js';
import { ReadIds, ReadWindow } from './read-window.js';
import { ReadingWatch } from './reading-watch.js';
import { RequestWindow } from './request-window.js';

/** Timers in ticks (CL2). */
export interface ClientTiming {
  /** First timeout of the oldest open request; doubles up to the next. */
  readonly retry: number;
  readonly retryMax: number;
  /** Pause after the supposed primary said that it is none. */
  readonly notPrimary: number;
  /** For how long another replica than the primary may leave a read unanswered. */
  readonly local: number;
}

export const DEFAULT_CLIENT_TIMING: ClientTiming = {
  retry: 100,
  retryMax: 200,
  notPrimary: 5,
  local: 20,
};

export interface ClientSessionOptions {
  /** 128 fresh random bits for each session (CL5). */
  readonly freshClientId: () => ClientId;
  /** A number below 2^53, fresh for each registration (CS5). */
  readonly freshNonce: () => number;
  readonly replicas: number;
  /** Ids 0..actives-1 are actives: the rotation of primaries. */
  readonly actives: number;
  readonly timing: ClientTiming;
  /** Open requests at most (CS2). */
  readonly sessionWindow: number;
  /** Worst-case bytes of replies of all open requests (CS6). */
  readonly sessionReplyBytes: number;
  /** Open reads at most. */
  readonly readsMax: number;
  /** The active that answers reads which need no primary, as long as it can. */
  readonly home: ReplicaId;
  readonly random: Random32;
}

type Phase = 'idle' | 'registering' | 'open' | 'closing' | 'closed';

export interface ClientState {
  readonly options: ClientSessionOptions;
  /** Of the present step; each step has a list of its own. */
  effects: ClientEffect[];
  clientId: ClientId;
  nonce: number;
  phase: Phase;
  session: SessionNumber;
  view: ViewNumber;
  /** View whose primary was already given everything once; -1 before any (CL2: once per stamp). */
  resentView: number;
  now: number;
  readonly window: RequestWindow;
  readonly reads: ReadWindow;
  readonly local: LocalLane;
  /** Register or Unregister is to be written. */
  sessionMessageDue: boolean;
  /** When everything open was to be written again; what came later was written after it became open. */
  writtenAt: number;
  readonly watch: ReadingWatch;
  /** Silence of this many ticks, counted from then at the earliest, repeats everything. */
  timeout: number;
  silentSince: number;
  attempt: number;
  /** From the second attempt on, everybody is asked, in this flush. */
  toAll: boolean;
  waitUntil: number;
  /** Sessions lost in a row before anything was answered in them. */
  lostSessions: number;
}

/** Of most steps; never added to. */
export const NO_EFFECTS: ClientEffect[] = [];

export function idleClient(options: ClientSessionOptions): ClientState {
  const { readsMax, home, actives } = options;
  const { local: patience } = options.timing;
  const window = new RequestWindow(options.sessionWindow);
  const ids = new ReadIds();
  return {
    options,
    effects: NO_EFFECTS,
    clientId: options.freshClientId(),
    nonce: 0,
    phase: 'idle',
    session: 0,
    view: 0,
    resentView: -1,
    now: 0,
    window,
    reads: new ReadWindow(readsMax, window, ids),
    local: new LocalLane({ home, actives, patience, readsMax }, window, ids),
    sessionMessageDue: false,
    writtenAt: 0,
    watch: new ReadingWatch(),
    timeout: 0,
    silentSince: 0,
    attempt: 0,
    toAll: false,
    waitUntil: 0,
    lostSessions: 0,
  };
}

/** An array of one has room for one: to push into an empty one would take room for seventeen, for each reply. */
export function emit(client: ClientState, effect: ClientEffect): void {
  if (client.effects.length === 0) client.effects = [effect];
  else client.effects.push(effect);
}

/** Primary of the latest view heard of (CL1). */
export function supposedPrimary(client: ClientState): ReplicaId {
  return client.view % client.options.actives;
}

/** Calls are open that the primary has to answer. */
export function waits(client: ClientState): boolean {
  return client.window.count > 0 || client.reads.count > 0;
}
