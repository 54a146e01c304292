// The life of a session: asked for, adopted (CS5), lost to an eviction and begun anew (CL3), ended (CS8).

import { assert } from '../assert.js';
import type { ClientOutcome } from '../client-event.js';
import type { Reply } from '../message.js';
import { askPrimary, progress, restartTimer } from './repetition.js';
import { type ClientState, emit, waits } from './state.js';

/** The pause before another registration grows to this power of two. */
const PAUSE_DOUBLINGS = 5;

export function register(client: ClientState): void {
  client.phase = 'registering';
  client.session = 0;
  client.nonce = client.options.freshNonce();
  client.sessionMessageDue = true;
  client.writtenAt = client.now;
  restartTimer(client);
}

/** CS5: a session is adopted only from the reply to this very registration. */
export function onSessionReply(client: ClientState, message: Reply): void {
  if (client.phase === 'closing' && message.nonce === 0) {
    client.sessionMessageDue = false;
    closed(client);
    return;
  }
  if (client.phase !== 'registering' || message.nonce !== client.nonce) return;
  client.phase = 'open';
  client.session = message.session;
  client.sessionMessageDue = false;
  client.reads.changeSession();
  client.writtenAt = client.now;
  // What they were to follow belongs to the session that is gone.
  askPrimary(client, client.local.giveUp());
  progress(client);
  restartTimer(client);
  emit(client, { type: 'opened' });
}

/** CL3: what is open ran once or never; a new client id begins a new session. */
export function onEvicted(client: ClientState): void {
  if (client.phase === 'closing') {
    closed(client);
    return;
  }
  if (client.phase !== 'open') return;
  for (const { token } of client.window.restart()) settle(client, token, { code: 'evicted' });
  client.clientId = client.options.freshClientId();
  register(client);
  // More clients than sessions, each evicting the next in step, would register for ever: chance gets them out of step.
  if (client.lostSessions > 0) {
    const { random, timing } = client.options;
    const most = timing.notPrimary * 2 ** Math.min(client.lostSessions, PAUSE_DOUBLINGS);
    client.waitUntil = client.now + 1 + (random() % most);
  }
  client.lostSessions++;
}

export function settle(client: ClientState, token: number, outcome: ClientOutcome): void {
  if (outcome.code === 'ok') client.lostSessions = 0;
  emit(client, { type: 'settle', token, outcome });
}

/** CS8: the session ends when nothing is open. */
export function close(client: ClientState): void {
  if (client.phase === 'closed') return;
  if (client.phase === 'idle') {
    closed(client);
    return;
  }
  assert(!waits(client) && client.local.count === 0, 'closed with calls open');
  client.phase = 'closing';
  client.sessionMessageDue = true;
  client.writtenAt = client.now;
  restartTimer(client);
}

function closed(client: ClientState): void {
  client.phase = 'closed';
  emit(client, { type: 'closed' });
}
