// Frames of rare messages without bodies: one flat msgpack array of numbers, encoded and decoded by msgpackr. What msgpackr
// returns for hostile bytes may be anything (extensions, records, big integers), so every field is checked against the one
// shape it can have. Decoding copies the frame to private memory first: msgpackr is slow on shared memory.

import { Packr } from 'msgpackr';
import type {
  Busy,
  CheckpointRoot,
  Evicted,
  GetCheckpoint,
  GetState,
  Message,
  NotPrimary,
  Register,
  ReplicaHeader,
  RequestStartView,
  StartViewChange,
  TransferPurpose,
  Unregister,
  ViewStarted,
} from '../protocol/message.js';
import type { Chain, ClientId, Status } from '../protocol/types.js';
import { asSmall } from '../protocol/words.js';
import { KIND_CODES } from './kinds.js';
import { BadFrame, choiceOf } from './msgpack.js';

export type ColdMessage =
  | StartViewChange
  | RequestStartView
  | GetState
  | GetCheckpoint
  | CheckpointRoot
  | Register
  | Unregister
  | NotPrimary
  | ViewStarted
  | Busy
  | Evicted;
export type ColdKind = ColdMessage['kind'];

/** Longest cold frame; theirs are far below. */
export const COLD_FRAME_BYTES_MAX = 256;

const PHASES = ['vote', 'joined', 'abdicated'] as const;
export const PURPOSES: readonly TransferPurpose[] = ['gap', 'vc', 'install'];
const STATUSES: readonly Status[] = ['normal', 'view-change', 'recovering'];
const BUSY_REASONS = ['queue', 'log'] as const;

const packr = new Packr({
  useRecords: false,
  structuredClone: false,
  moreTypes: false,
  variableMapSize: true,
  copyBuffers: true,
});
const scratch: Buffer = Buffer.alloc(COLD_FRAME_BYTES_MAX);

let packedMessage: Message | null = null;
let packedBytes: Uint8Array = scratch.subarray(0, 0);

/** The frame of `message`. Asked for its length and then for its bytes, it is encoded once. */
export function packCold(message: ColdMessage): Uint8Array {
  if (packedMessage !== message) {
    packedBytes = packr.pack(fieldsOf(message));
    packedMessage = message;
  }
  return packedBytes;
}

function headerOf(message: ReplicaHeader & ColdMessage): number[] {
  const { kind, clusterId, gen, epoch, view, from } = message;
  return [KIND_CODES[kind], clusterId, gen, epoch, view, from];
}

function fieldsOf(message: ColdMessage): unknown[] {
  const code = KIND_CODES[message.kind];
  switch (message.kind) {
    case 'startViewChange':
      return [...headerOf(message), PHASES.indexOf(message.phase)];
    case 'requestStartView':
      return [...headerOf(message), message.nonce, message.haveOp];
    case 'getState': {
      const { reqId, purpose, fromOp, toOp, prevChain, maxBytes } = message;
      const transfer = [reqId, PURPOSES.indexOf(purpose), fromOp, toOp, prevChain, maxBytes];
      return [...headerOf(message), ...transfer];
    }
    case 'getCheckpoint':
      return [...headerOf(message), message.reqId, message.minOp];
    case 'checkpointRoot':
      return [...headerOf(message), message.cpOp, message.root];
    case 'register':
      return [code, ...message.clientId, message.nonce, message.epoch, message.seenView];
    case 'unregister':
      return [code, ...message.clientId, message.session, message.epoch, message.seenView];
    case 'notPrimary': {
      const { epoch, view, primaryId, status } = message;
      return [code, epoch, view, primaryId, STATUSES.indexOf(status)];
    }
    case 'viewStarted':
      return [code, message.epoch, message.view, message.primaryId];
    case 'busy': {
      const { requestNumber, readId, retryAfterMs, reason } = message;
      return [code, requestNumber, readId, retryAfterMs, BUSY_REASONS.indexOf(reason)];
    }
    case 'evicted':
      return [code, ...message.clientId, message.session];
  }
}

/** Hands out the fields of one decoded frame in order, each checked. */
class Fields {
  readonly #values: readonly unknown[];
  #at = 1;

  constructor(values: readonly unknown[]) {
    this.#values = values;
  }

  #next(what: string): unknown {
    if (this.#at >= this.#values.length) throw new BadFrame(`the frame ends before ${what}`);
    return this.#values[this.#at++];
  }

  whole(what: string, limit: number = Number.MAX_SAFE_INTEGER): number {
    return checkedWhole(this.#next(what), what, limit);
  }

  uint(what: string): number {
    return this.whole(what, 0xffffffff);
  }

  choice<T>(choices: readonly T[], what: string): T {
    return choiceOf(choices, this.uint(what), what);
  }

  clientId(): ClientId {
    const what = 'clientId';
    return [this.uint(what), this.uint(what), this.uint(what), this.uint(what)];
  }

  uintOrNull(what: string): number | null {
    const value = this.#next(what);
    return value === null ? null : checkedWhole(value, what, 0xffffffff);
  }

  chainOrNull(what: string): Chain | null {
    const value = this.#next(what);
    return value === null ? null : checkedChain(value, what);
  }

  chain(what: string): Chain {
    return checkedChain(this.#next(what), what);
  }

  header(): { clusterId: number; gen: number; epoch: number; view: number; from: number } {
    return {
      clusterId: this.whole('clusterId'),
      gen: this.uint('gen'),
      epoch: this.uint('epoch'),
      view: this.uint('view'),
      from: this.uint('from'),
    };
  }

  end(): void {
    if (this.#at !== this.#values.length)
      throw new BadFrame(`${this.#values.length - this.#at} fields behind the message`);
  }
}

function describe(value: unknown): string {
  return typeof value === 'object' ? 'an object' : String(value);
}

function checkedWhole(value: unknown, what: string, limit: number): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0 || value > limit)
    throw new BadFrame(`${what} must be a whole number up to ${limit}, found ${describe(value)}`);
  return asSmall(value);
}

function checkedWord(value: unknown, what: string): number {
  if (typeof value !== 'number' || (value | 0) !== value)
    throw new BadFrame(`${what} must hold 32-bit words, found ${describe(value)}`);
  return value;
}

function checkedChain(value: unknown, what: string): Chain {
  if (!Array.isArray(value) || value.length !== 4)
    throw new BadFrame(`${what} must be four words, found ${describe(value)}`);
  const words: readonly unknown[] = value;
  const [a, b, c, d] = words.map((word) => checkedWord(word, what));
  return [a ?? 0, b ?? 0, c ?? 0, d ?? 0];
}

function unpack(bytes: Uint8Array, range: { from: number; to: number }): readonly unknown[] {
  const length = range.to - range.from;
  if (length > COLD_FRAME_BYTES_MAX) throw new BadFrame(`a cold frame of ${length} bytes`);
  scratch.set(bytes.subarray(range.from, range.to));
  let value: unknown;
  try {
    value = packr.unpack(scratch.subarray(0, length));
  } catch (cause) {
    throw new BadFrame('not msgpack', { cause });
  }
  if (!Array.isArray(value)) throw new BadFrame(`expected an array, found ${describe(value)}`);
  return value;
}

/** @throws {BadFrame} naming what is wrong; nothing of the message is kept then. */
export function readCold(
  kind: ColdKind,
  bytes: Uint8Array,
  range: { from: number; to: number },
): ColdMessage {
  const values = unpack(bytes, range);
  if (values[0] !== KIND_CODES[kind])
    throw new BadFrame(`expected the code of ${kind}, found ${describe(values[0])}`);
  const fields = new Fields(values);
  const message = messageOf(kind, fields);
  fields.end();
  return message;
}

function messageOf(kind: ColdKind, fields: Fields): ColdMessage {
  switch (kind) {
    case 'startViewChange':
      return { kind, ...fields.header(), phase: fields.choice(PHASES, 'phase') };
    case 'requestStartView':
      return {
        kind,
        ...fields.header(),
        nonce: fields.uint('nonce'),
        haveOp: fields.whole('haveOp'),
      };
    case 'getState':
      return {
        kind,
        ...fields.header(),
        reqId: fields.whole('reqId'),
        purpose: fields.choice(PURPOSES, 'purpose'),
        fromOp: fields.whole('fromOp'),
        toOp: fields.whole('toOp'),
        prevChain: fields.chainOrNull('prevChain'),
        maxBytes: fields.whole('maxBytes'),
      };
    case 'getCheckpoint':
      return {
        kind,
        ...fields.header(),
        reqId: fields.whole('reqId'),
        minOp: fields.whole('minOp'),
      };
    case 'checkpointRoot':
      return {
        kind,
        ...fields.header(),
        cpOp: fields.whole('cpOp'),
        root: fields.chain('root'),
      };
    case 'register':
      return {
        kind,
        clientId: fields.clientId(),
        nonce: fields.whole('nonce'),
        epoch: fields.uint('epoch'),
        seenView: fields.uint('seenView'),
      };
    case 'unregister':
      return {
        kind,
        clientId: fields.clientId(),
        session: fields.whole('session'),
        epoch: fields.uint('epoch'),
        seenView: fields.uint('seenView'),
      };
    case 'notPrimary':
      return {
        kind,
        epoch: fields.uint('epoch'),
        view: fields.uint('view'),
        primaryId: fields.uintOrNull('primaryId'),
        status: fields.choice(STATUSES, 'status'),
      };
    case 'viewStarted':
      return {
        kind,
        epoch: fields.uint('epoch'),
        view: fields.uint('view'),
        primaryId: fields.uint('primaryId'),
      };
    case 'busy':
      return {
        kind,
        requestNumber: fields.uint('requestNumber'),
        readId: fields.whole('readId'),
        retryAfterMs: fields.whole('retryAfterMs'),
        reason: fields.choice(BUSY_REASONS, 'reason'),
      };
    case 'evicted':
      return { kind, clientId: fields.clientId(), session: fields.whole('session') };
  }
}
