// What a ring does with the bytes of a message: a receiver is handed a copy, which is overwritten after its step.

import type { Entry, Message } from '../protocol/message.js';

function entryBytes(entries: readonly Entry[]): number {
  return entries.reduce((bytes, entry) => bytes + entry.body.length + 96, 0);
}

function listBytes(list: readonly number[]): number {
  return 5 * list.length;
}

/** Roughly what a message takes in a ring. */
export function sizeOf(message: Message): number {
  switch (message.kind) {
    case 'prepare':
    case 'newState':
      return 96 + entryBytes(message.entries);
    case 'startView':
    case 'doViewChange':
      return 512 + entryBytes(message.tail);
    case 'request':
    case 'read':
    case 'localRead':
      return 96 + message.body.length;
    case 'reply':
    case 'readReply':
      return 96 + message.result.length;
    case 'checkpointMeta':
      return 128 + listBytes(message.pageCounts) + message.tops.length;
    case 'getNodes':
    case 'getPages':
      return 96 + listBytes(message.indices);
    case 'nodes':
      return 96 + listBytes(message.indices) + message.hashes.length;
    case 'pages':
      return 96 + listBytes(message.indices) + message.bytes.length;
    default:
      return 96;
  }
}

function copyEntries(entries: readonly Entry[]): Entry[] {
  return entries.map((entry) => ({ ...entry, body: entry.body.slice() }));
}

/** A copy that shares no bytes with the original. */
export function copyMessage<T extends Message>(message: T): T {
  const m: Message = message;
  if (m.kind === 'prepare' || m.kind === 'newState')
    return { ...message, entries: copyEntries(m.entries) };
  if (m.kind === 'startView' || m.kind === 'doViewChange')
    return { ...message, tail: copyEntries(m.tail) };
  if (m.kind === 'request' || m.kind === 'read' || m.kind === 'localRead')
    return { ...message, body: m.body.slice() };
  if (m.kind === 'reply' || m.kind === 'readReply') return { ...message, result: m.result.slice() };
  if (m.kind === 'checkpointMeta') return { ...message, tops: m.tops.slice() };
  if (m.kind === 'nodes') return { ...message, hashes: m.hashes.slice() };
  if (m.kind === 'pages') return { ...message, bytes: m.bytes.slice() };
  return { ...message };
}

/** What the ring does with the bytes of a message once it has been taken. */
export function overwrite(message: Message): void {
  if (message.kind === 'prepare' || message.kind === 'newState')
    for (const entry of message.entries) entry.body.fill(0xee);
  else if (message.kind === 'startView' || message.kind === 'doViewChange')
    for (const entry of message.tail) entry.body.fill(0xee);
  else if (message.kind === 'request' || message.kind === 'read' || message.kind === 'localRead')
    message.body.fill(0xee);
  else if (message.kind === 'reply' || message.kind === 'readReply') message.result.fill(0xee);
  else if (message.kind === 'checkpointMeta') message.tops.fill(0xee);
  else if (message.kind === 'nodes') message.hashes.fill(0xee);
  else if (message.kind === 'pages') message.bytes.fill(0xee);
}
