// Kinds of frames: the number that opens each of them, so that a receiver can tell what lies in a ring without decoding it.
// Hot frames open with array16 and a uint32, cold ones with the short forms that msgpackr chooses.

import type { MessageKind } from '../protocol/message.js';
import { ARRAY_BYTES, ARRAY16, UINT_BYTES } from './msgpack.js';

/** Codes are positions in this list and part of the format: append, never renumber. All stay below 128. */
export const KINDS: readonly MessageKind[] = [
  'prepare',
  'commit',
  'prepareOk',
  'startViewChange',
  'doViewChange',
  'startView',
  'requestStartView',
  'getState',
  'newState',
  'register',
  'unregister',
  'request',
  'read',
  'reply',
  'readReply',
  'notPrimary',
  'viewStarted',
  'busy',
  'evicted',
  'getCheckpoint',
  'checkpointMeta',
  'getNodes',
  'nodes',
  'getPages',
  'pages',
  'checkpointRoot',
  'localRead',
];

export const KIND_CODES: Readonly<Record<MessageKind, number>> = Object.fromEntries(
  KINDS.map((kind, code) => [kind, code]),
) as Record<MessageKind, number>;

/** Array header and kind of a hot frame. */
export const OPENING_BYTES: number = ARRAY_BYTES + UINT_BYTES;
const FIXARRAY = 0x90;

/** True for the form that hot frames and pieces have. */
export function isHot(view: DataView, at: number, length: number): boolean {
  return length >= OPENING_BYTES && view.getUint8(at) === ARRAY16;
}

/** Code that opens the frame at `at`, or -1. Looks at a few bytes and believes them: reading the frame checks them. */
export function frameCode(view: DataView, at: number, length: number): number {
  if (isHot(view, at, length)) return view.getUint32(at + ARRAY_BYTES + 1);
  if (length >= 2 && (view.getUint8(at) & 0xf0) === FIXARRAY) return view.getUint8(at + 1);
  return -1;
}

/** The kind of the frame at `at`, or null when it is none of ours. */
export function frameKind(view: DataView, at: number, length: number): MessageKind | null {
  return KINDS[frameCode(view, at, length)] ?? null;
}
