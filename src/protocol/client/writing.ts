// What a client writes into the rings of replicas, as far as there is room: what does not fit waits (BP1).

import type { ClientMessage } from '../message.js';
import type { ReplicaId } from '../types.js';
import type { OpenRead } from './read-window.js';
import type { OpenRequest } from './request-window.js';
import { type ClientState, emit, supposedPrimary } from './state.js';

/** Header fields of a request or read in a ring, generously: keeps several messages of one flush within the room. */
const ENVELOPE_BYTES = 128;

/** Something waits for room in a ring. */
export function hasUnwritten(client: ClientState): boolean {
  if (client.phase === 'open' && client.local.hasUnwritten) return true;
  if (client.now < client.waitUntil) return false;
  if (client.sessionMessageDue || client.toAll) return true;
  return client.phase === 'open' && (client.window.hasUnwritten || client.reads.hasUnwritten);
}

export function flush(client: ClientState, room: readonly number[]): void {
  if (client.phase === 'open') flushLocal(client, room);
  if (client.now < client.waitUntil) return;
  const target = supposedPrimary(client);
  if (client.sessionMessageDue) sendSessionMessage(client, room);
  if (client.phase !== 'open') return;
  let left = room[target] ?? 0;
  // In the order of their numbers, each read behind the requests it follows.
  const { window, reads } = client;
  for (
    let open = window.nextUnwritten();
    open !== null && left > 0;
    open = window.nextUnwritten()
  ) {
    const cost = open.body.length + ENVELOPE_BYTES;
    if (cost > left && left !== room[target]) return;
    window.advance();
    left -= cost;
    send(client, room, target, request(client, open));
  }
  if (window.nextUnwritten() !== null) return;
  for (let open = reads.nextUnwritten(); open !== null; open = reads.nextUnwritten()) {
    const cost = open.body.length + ENVELOPE_BYTES;
    if (left <= 0 || (cost > left && left !== room[target])) return;
    reads.advance();
    left -= cost;
    send(client, room, target, linearizableRead(client, open));
  }
  client.toAll = false;
}

/** RD8: to the replica of the client's own choice, whoever leads. */
function flushLocal(client: ClientState, room: readonly number[]): void {
  const { local } = client;
  const target = local.home;
  let left = room[target] ?? 0;
  for (let open = local.nextUnwritten(); open !== null; open = local.nextUnwritten()) {
    const cost = open.body.length + ENVELOPE_BYTES;
    if (left <= 0 || (cost > left && left !== room[target])) return;
    local.advance();
    left -= cost;
    emit(client, {
      type: 'send',
      to: target,
      message: {
        kind: 'localRead',
        clientId: client.clientId,
        session: client.session,
        readId: open.readId,
        epoch: 0,
        seenView: client.view,
        ...local.fields(open),
        body: open.body,
      },
    });
  }
}

function sendSessionMessage(client: ClientState, room: readonly number[]): void {
  const target = supposedPrimary(client);
  if ((room[target] ?? 0) <= 0) return;
  client.sessionMessageDue = false;
  const message = {
    clientId: client.clientId,
    epoch: 0,
    seenView: client.view,
  };
  send(
    client,
    room,
    target,
    client.phase === 'closing'
      ? { kind: 'unregister', ...message, session: client.session }
      : { kind: 'register', ...message, nonce: client.nonce },
  );
  if (client.phase !== 'open') client.toAll = false;
}

/** To the supposed primary, and to all with room when it stays silent. */
function send(
  client: ClientState,
  room: readonly number[],
  target: ReplicaId,
  message: ClientMessage,
): void {
  emit(client, { type: 'send', to: target, message });
  if (!client.toAll) return;
  for (let to = 0; to < client.options.replicas; to++)
    if (to !== target && (room[to] ?? 0) > 0) emit(client, { type: 'send', to, message });
}

function request(client: ClientState, open: OpenRequest): ClientMessage {
  return {
    kind: 'request',
    clientId: client.clientId,
    session: client.session,
    requestNumber: open.requestNumber,
    acked: client.window.answered,
    epoch: 0,
    seenView: client.view,
    body: open.body,
  };
}

function linearizableRead(client: ClientState, open: OpenRead): ClientMessage {
  return {
    kind: 'read',
    clientId: client.clientId,
    session: client.session,
    afterRequest: open.afterRequest,
    readId: open.readId,
    epoch: 0,
    seenView: client.view,
    body: open.body,
  };
}
