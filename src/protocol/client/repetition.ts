// When a client says again what it has said, and to whom (CL2): after silence to the primary and then to all, and of what its own
// choice of a replica leaves unanswered to the primary (RD8).

import type { Backlog } from '../client-event.js';
import type { OpenRead } from './read-window.js';
import { type ClientState, emit, waits } from './state.js';

/** Attempts that still lengthen a timeout. */
const ATTEMPT_DOUBLINGS = 16;

/** Everything open is written again, as soon as there is room. */
export function resendAll(client: ClientState): void {
  client.window.rewind();
  client.reads.rewind();
  if (client.phase === 'registering' || client.phase === 'closing') client.sessionMessageDue = true;
  if (waits(client)) emit(client, { type: 'resent', requests: client.window.count });
}

/** An answer came. */
export function progress(client: ClientState): void {
  client.readAt = client.now;
  client.attempt = 0;
  client.toAll = false;
  restartTimer(client);
}

export function restartTimer(client: ClientState): void {
  const { timing, random } = client.options;
  const { retry, retryMax } = timing;
  const ticks = Math.min(retryMax, retry * (1 << Math.min(client.attempt, ATTEMPT_DOUBLINGS)));
  const spread = 0.8 + (0.4 * random()) / 2 ** 32;
  client.deadline = client.now + Math.max(1, Math.round(ticks * spread));
}

/** CL2: silence proves nothing while the primary has not read what it was sent. */
export function onTick(client: ClientState, count: number, backlog: Backlog): void {
  client.now += count;
  if (backlog !== 'still') client.readAt = client.now;
  if (client.phase === 'open' && client.local.silent(client.now)) leaveHome(client);
  if (!waits(client) && client.phase !== 'registering' && client.phase !== 'closing') return;
  // Not for ever: the thread behind that ring may have ended for good before this client heard of a later view.
  const patient = client.now - client.readAt < client.options.timing.retryMax;
  if (backlog !== 'none' && patient) {
    restartTimer(client);
    return;
  }
  if (client.now < client.deadline) return;
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
  for (const { token, body } of reads) client.reads.add(token, body, null);
}
