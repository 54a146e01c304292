// Messages to frames and back. Every frame is one msgpack array that begins with its kind: the hot and the bulky ones are
// written by hand at fixed offsets, the cold ones by msgpackr. This file only chooses; with the codecs behind it, it is all
// of the transport that knows a message.

import { violated } from '../protocol/assert.js';
import type { Message, MessageKind, Prepare } from '../protocol/message.js';
import { type BulkKind, bulkBytes, readBulk, writeBulk } from './bulk-frames.js';
import { type CallKind, callBytes, readCall, writeCall } from './call-frames.js';
import {
  type CheckpointKind,
  checkpointBytes,
  readCheckpoint,
  writeCheckpoint,
} from './checkpoint-frames.js';
import { type ColdKind, packCold, readCold } from './cold-frames.js';
import { frameCode, isHot, KINDS } from './kinds.js';
import { BadFrame, BODY_ALIGNMENT } from './msgpack.js';
import { readStream, type StreamKind, streamBytes, writeStream } from './stream-frames.js';

/** Which messages must keep their order among each other: they carry entries, requests or results of a stream. */
const ORDERED: ReadonlySet<MessageKind> = new Set<MessageKind>([
  'prepare',
  'newState',
  'request',
  'read',
  'reply',
  'readReply',
]);

/** True for messages that must not overtake a long one of the same link. */
export function isOrdered(kind: MessageKind): boolean {
  return ORDERED.has(kind);
}

/**
 * What the checksum of a record covers of a Prepare: all that is no entry, and short entries. Long ones are covered by the hash
 * chain, which the receiver computes anyway: a second pass over each of their bytes, at both ends, is what costs.
 */
const CHAINED_COVERED_BYTES = 1024;

/** How much of a frame its record's checksum covers. */
export function coveredBytes(isPrepare: boolean, length: number): number {
  return isPrepare ? Math.min(length, CHAINED_COVERED_BYTES) : length;
}

/** True when whoever takes the message must compare its entries with their chains: nothing else covers their bytes. */
export function reliesOnChain(message: Prepare): boolean {
  return streamBytes(message) > CHAINED_COVERED_BYTES;
}

/** Exact length of the frame of `message` in bytes. */
export function frameBytes(message: Message): number {
  switch (message.kind) {
    case 'prepare':
    case 'commit':
    case 'prepareOk':
      return streamBytes(message);
    case 'request':
    case 'read':
    case 'localRead':
    case 'reply':
    case 'readReply':
      return callBytes(message);
    case 'doViewChange':
    case 'startView':
    case 'newState':
      return bulkBytes(message);
    case 'checkpointMeta':
    case 'getNodes':
    case 'nodes':
    case 'getPages':
    case 'pages':
      return checkpointBytes(message);
    default:
      return packCold(message).length;
  }
}

/**
 * Writes the frame of `message` at `at` of `bytes`, which `view` covers too. `at` is a multiple of 8, and
 * `frameBytes(message)` bytes must be free there.
 */
export function writeFrame(message: Message, bytes: Uint8Array, view: DataView, at: number): void {
  if (!((at & (BODY_ALIGNMENT - 1)) === 0)) violated(`a frame at ${at}`);
  switch (message.kind) {
    case 'prepare':
    case 'commit':
    case 'prepareOk':
      writeStream(message, bytes, view, at);
      return;
    case 'request':
    case 'read':
    case 'localRead':
    case 'reply':
    case 'readReply':
      writeCall(message, bytes, view, at);
      return;
    case 'doViewChange':
    case 'startView':
    case 'newState':
      writeBulk(message, bytes, view, at);
      return;
    case 'checkpointMeta':
    case 'getNodes':
    case 'nodes':
    case 'getPages':
    case 'pages':
      writeCheckpoint(message, bytes, view, at);
      return;
    default:
      bytes.set(packCold(message), at);
  }
}

type Codec = 'stream' | 'call' | 'bulk' | 'checkpoint' | 'cold';
const CODECS: Readonly<
  { [K in StreamKind]: 'stream' } & { [K in CallKind]: 'call' } & { [K in BulkKind]: 'bulk' } & {
    [K in CheckpointKind]: 'checkpoint';
  } & { [K in ColdKind]: 'cold' }
> = {
  prepare: 'stream',
  commit: 'stream',
  prepareOk: 'stream',
  request: 'call',
  read: 'call',
  reply: 'call',
  localRead: 'call',
  readReply: 'call',
  doViewChange: 'bulk',
  startView: 'bulk',
  newState: 'bulk',
  checkpointMeta: 'checkpoint',
  getNodes: 'checkpoint',
  nodes: 'checkpoint',
  getPages: 'checkpoint',
  pages: 'checkpoint',
  getCheckpoint: 'cold',
  checkpointRoot: 'cold',
  startViewChange: 'cold',
  requestStartView: 'cold',
  getState: 'cold',
  register: 'cold',
  unregister: 'cold',
  notPrimary: 'cold',
  viewStarted: 'cold',
  busy: 'cold',
  evicted: 'cold',
};

/** By code: what is asked of every frame is not looked up by name. */
const CODEC_OF: readonly Codec[] = KINDS.map((kind) => CODECS[kind]);

/**
 * Reads the frame at `range`. Byte strings in the result view `bytes`.
 * @throws {BadFrame} naming what is wrong; nothing of the message is kept then.
 */
export function readFrame(
  bytes: Uint8Array,
  view: DataView,
  range: { from: number; to: number },
): Message {
  const { from, to } = range;
  const code = frameCode(view, from, to - from);
  const kind = KINDS[code];
  if (kind === undefined) throw new BadFrame(`unknown kind of frame ${code}`);
  const codec = CODEC_OF[code];
  if (isHot(view, from, to - from) !== (codec !== 'cold'))
    throw new BadFrame(`${kind} in the form of another kind`);
  if (codec === 'stream') return readStream(kind as StreamKind, bytes, view, range);
  if (codec === 'call') return readCall(kind as CallKind, bytes, view, range);
  if (codec === 'bulk') return readBulk(kind as BulkKind, bytes, view, range);
  if (codec === 'checkpoint') return readCheckpoint(kind as CheckpointKind, bytes, view, range);
  return readCold(kind as ColdKind, bytes, range);
}
