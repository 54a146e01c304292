// What replicas say to a client: results, which view there is, and that it should come again later.

import type { ClientOutcome } from '../client-event.js';
import { TICK_MS } from '../limits.js';
import type { ReadReply, Reply, ServerMessage } from '../message.js';
import { type ReplicaId, sameClient, type ViewNumber } from '../types.js';
import type { OpenRead } from './read-window.js';
import { onEvicted, onSessionReply, settle } from './registration.js';
import { askPrimary, leaveHome, progress, resendAll, restartTimer } from './repetition.js';
import { type ClientState, emit, supposedPrimary } from './state.js';

export function onMessage(client: ClientState, from: ReplicaId, message: ServerMessage): void {
  switch (message.kind) {
    case 'reply':
      onReply(client, message);
      return;
    case 'readReply':
      onReadReply(client, message);
      return;
    case 'viewStarted':
      noteView(client, message.view, message.primaryId);
      return;
    case 'notPrimary':
      onNotPrimary(client, from, message.view, message.primaryId);
      return;
    case 'busy':
      onBusy(client, message.retryAfterMs, message.reason);
      return;
    case 'evicted':
      if (sameClient(message.clientId, client.clientId) && message.session === client.session)
        onEvicted(client);
      return;
  }
}

/** CL4: only the reply to an open request of this very session counts. */
function onReply(client: ClientState, message: Reply): void {
  if (!sameClient(message.clientId, client.clientId)) return;
  noteView(client, message.view, null);
  if (message.requestNumber === 0) {
    onSessionReply(client, message);
    return;
  }
  if (message.session !== client.session) return;
  const open = client.window.at(message.requestNumber);
  if (open === null) return;
  if (message.code === 'sessionInvalid') {
    onEvicted(client);
    return;
  }
  client.window.close(open, client.now);
  progress(client);
  noteLogFull(client, false);
  client.local.seen(message.gen, message.op);
  const outcome: ClientOutcome =
    message.code === 'replyDropped'
      ? { code: 'replyDropped' }
      : { code: 'ok', result: message.result, op: message.op };
  settle(client, open.token, outcome);
}

function onReadReply(client: ClientState, message: ReadReply): void {
  if (!sameClient(message.clientId, client.clientId)) return;
  noteView(client, message.view, null);
  const local = client.local.close(message.readId, client.now);
  if (local !== null) {
    onLocalReply(client, local, message);
    return;
  }
  const open = client.reads.close(message.readId, client.now);
  if (open === null) return;
  client.local.seen(message.gen, message.op);
  progress(client);
  settle(client, open.token, { code: 'ok', result: message.result, op: message.op });
}

function onLocalReply(client: ClientState, open: OpenRead, message: ReadReply): void {
  if (message.code === 'ok') {
    client.local.seen(message.gen, message.op);
    settle(client, open.token, { code: 'ok', result: message.result, op: message.op });
    return;
  }
  askPrimary(client, [open]);
  leaveHome(client);
}

/** CL2: a sign of a higher view sends everything that is open there, once per view. */
function noteView(client: ClientState, view: ViewNumber, primaryId: ReplicaId | null): void {
  const later = view > client.view;
  if (later) {
    client.view = view;
    client.waitUntil = 0;
    emit(client, { type: 'view', epoch: 0, view, primaryId });
  }
  if (view !== client.view) return;
  const begun = primaryId !== null && client.resentView < view;
  if (later || begun) resendAll(client);
  if (begun) client.resentView = view;
}

function onNotPrimary(
  client: ClientState,
  from: ReplicaId,
  view: ViewNumber,
  primaryId: ReplicaId | null,
): void {
  if (view > client.view) {
    noteView(client, view, null);
    return;
  }
  if (view < client.view || from !== supposedPrimary(client) || primaryId !== null) return;
  // The supposed primary is not ready: ViewStarted will say when, and the pause keeps this from going round.
  client.waitUntil = client.now + client.options.timing.notPrimary;
  resendAll(client);
}

/** CL3: not an attempt; wait and repeat. */
function onBusy(client: ClientState, retryAfterMs: number, reason: 'queue' | 'log'): void {
  client.waitUntil = client.now + Math.max(1, Math.ceil(retryAfterMs / TICK_MS));
  resendAll(client);
  restartTimer(client);
  if (reason === 'log') noteLogFull(client, true);
}

function noteLogFull(client: ClientState, full: boolean): void {
  if (client.reads.noteLogFull(full)) emit(client, { type: 'logFull', full });
}
