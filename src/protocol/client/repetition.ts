// When a client says again what it has said, and to whom (CL2): after silence to the primary and then to all, and of what its own
// choice of a replica leaves unanswered to the primary (RD8).

import type { OpenRead } from './read-window.js';
import type { RingPositions } from './reading-watch.js';
import { type ClientState, emit, supposedPrimary, waits } from './state.js';

/** Attempts that still lengthen a timeout. */
const ATTEMPT_DOUBLINGS = 16;

/** Everything open is written again, as soon as there is room. */
export function resendAll(client: ClientState): void {
  client.window.rewind();
  client.reads.rewind();
  client.writtenAt = client.now;
  if (changesSession(client)) client.sessionMessageDue = true;
  if (waits(client)) emit(client, { type: 'resent', requests: client.window.count });
}

/** An answer came: the next timeout is a short one, and asks one replica. */
export function progress(client: ClientState): void {
  client.toAll = false;
  if (client.attempt === 0) return;
  client.attempt = 0;
  restartTimer(client);
}

export function restartTimer(client: ClientState): void {
  const { timing, random } = client.options;
  const { retry, retryMax } = timing;
  const ticks = Math.min(retryMax, retry * (1 << Math.min(client.attempt, ATTEMPT_DOUBLINGS)));
  const spread = 0.8 + (0.4 * random()) / 2 ** 32;
  client.timeout = Math.max(1, Math.round(ticks * spread));
  client.silentSince = client.now;
}

function changesSession({ phase }: ClientState): boolean {
  return phase === 'registering' || phase === 'closing';
}

/** Others may be answered for ever while the oldest, or the answer to it, is lost: so its time counts, that of requests and of reads. */
function oldestSince(client: ClientState): number {
  if (changesSession(client)) return 0;
  const { window, reads } = client;
  if (window.count === 0) return reads.since;
  return reads.count === 0 ? window.since : Math.min(window.since, reads.since);
}

/** CL2: silence proves nothing while the primary has not read what it was sent. */
export function onTick(client: ClientState, count: number, ring: RingPositions): void {
  client.now += count;
  const { now, watch } = client;
  watch.look(now, supposedPrimary(client), ring);
  if (client.phase === 'open' && client.local.silent(now)) leaveHome(client);
  if (!waits(client) && !changesSession(client)) return;
  const since = oldestSince(client);
  // Not for ever: the thread behind that ring may have ended for good before this client heard of a later view.
  const patient = watch.stillFor(now) < client.options.timing.retryMax;
  if (watch.maybeUnread(Math.max(since, client.writtenAt)) && patient) {
    client.silentSince = now;
    return;
  }
  if (now < Math.max(since, client.silentSince) + client.timeout) return;
  client.attempt++;
  client.toAll = client.attempt >= 2;
  restartTimer(client);
  resendAll(client);
}

/** RD8: what it asked for it gets from the primary, and what comes next another replica may answer. */
export function leaveHome(client: ClientState): void {
  askPrimary(client, client.local.leave());
}

export function askPrimary(client: ClientState, reads: readonly OpenRead[]): void {
  if (reads.length === 0) return;
  if (!waits(client)) restartTimer(client);
  for (const { token, body } of reads) client.reads.add(token, body, null, client.now);
}
