// What a replica's thread and its store's thread share: a bounded queue of records from the one to the other, and a few words back.
// The replica's thread may be ended at any instant: a record becomes visible by one atomic store after it is complete, so its
// successor finds the queue whole and goes on. The store's thread is not ended while it works (see `ExitGuard`).
//
//  0          128        256                 512                1536                    HEAD_BYTES
//  +----------+----------+-------------------+------------------+-----------------------+-------------
//  | tail     | head     | words of the store| text of an error | to the next page      | records ...
//  +----------+----------+-------------------+------------------+-----------------------+-------------
//  record, 8-aligned: length u32 (of all but this header), kind u32, payload; kind WRAP: nothing up to the end

import { violated } from '../protocol/assert.js';
import { STORAGE_ERROR_CODES, StorageError, type StorageErrorCode } from './errors.js';

/** A word that the replica's thread sleeps on: the store sets it to 0 and notifies, as a doorbell does. */
export interface Bell {
  readonly memory: SharedArrayBuffer;
  /** Index among 32-bit words. */
  readonly at: number;
}

const TAIL = 0;
const HEAD = 32;
/** 1 while the store's thread sleeps. */
const ASLEEP = 64;
/** The newest synchronous request that was answered. */
const ANSWERED = 65;
/** Low 32 bits of the highest op that is flushed, and of the newest checkpoint that is. */
const FLUSHED = 66;
const CHECKPOINT = 67;
/** See `Fullness`. */
const FULL = 68;
/** 0, or 1 + index of the code of the error that ended the store. */
const FAILED = 69;
const TEXT_BYTES = 70;
const STOP = 96;
/** 1 while the replica waits for an answer, and when the store is to stop: no time for an interval to pass. */
const URGENT = 97;
/** Synchronous requests so far. */
const REQUESTS = 98;
/** 0, or 1 + index of the code with which the newest request was refused; the text is the one of the error. */
const REFUSED = 99;

const TEXT_AT = 512;
const TEXT_MAX = 1024;
const HEAD_BYTES = 4096;
const RECORD_HEADER_BYTES = 8;
const WRAP = 0;
/** 0: there is room. 1: the capacity is reached. 2: the disk is full, and what is in the queue waits. */
export type Fullness = 0 | 1 | 2;
const STUCK = 2;

/** A thread that is ended between clearing `ASLEEP` and notifying leaves a sleeper that looks awake: none sleeps for long. */
const SLEEP_MAX_MS = 100;
/** A record takes at most this share of a queue, so that the store works while the replica writes. */
const RECORD_SHARE = 4;

export const QUEUE_BYTES_DEFAULT: number = 16 << 20;
export const QUEUE_BYTES_MIN: number = 64 << 10;

export function handoverMemory(queueBytes: number): SharedArrayBuffer {
  const power = Number.isInteger(queueBytes) && (queueBytes & (queueBytes - 1)) === 0;
  if (!power || queueBytes < QUEUE_BYTES_MIN || queueBytes > 1 << 30)
    throw new StorageError(
      'VR_CONFIG',
      `the queue of a store needs a power of two of bytes from ${QUEUE_BYTES_MIN} on, got ${queueBytes}`,
    );
  return new SharedArrayBuffer(HEAD_BYTES + queueBytes);
}

function spaceOf(length: number): number {
  return (RECORD_HEADER_BYTES + length + 7) & ~7;
}

class Shared {
  readonly words: Int32Array;
  readonly bytes: Buffer;
  readonly capacity: number;
  readonly #text: Buffer;

  constructor(memory: SharedArrayBuffer) {
    this.words = new Int32Array(memory, 0, HEAD_BYTES / 4);
    this.bytes = Buffer.from(memory, HEAD_BYTES);
    this.#text = Buffer.from(memory, TEXT_AT, TEXT_MAX);
    this.capacity = memory.byteLength - HEAD_BYTES;
  }

  /** @param word `FAILED` or `REFUSED` */
  error(word: number): StorageError | null {
    const coded = Atomics.load(this.words, word);
    if (coded === 0) return null;
    const code = STORAGE_ERROR_CODES[coded - 1] ?? 'VR_DISK';
    const text = this.#text.toString('utf8', 0, this.words[TEXT_BYTES]);
    return new StorageError(code, text, { full: Atomics.load(this.words, FULL) !== 0 });
  }

  setError(word: number, code: StorageErrorCode, message: string): void {
    this.words[TEXT_BYTES] = this.#text.write(message);
    Atomics.store(this.words, word, 1 + STORAGE_ERROR_CODES.indexOf(code));
  }

  /** The first failure stays. */
  fail(code: StorageErrorCode, message: string): void {
    if (Atomics.load(this.words, FAILED) !== 0) return;
    this.setError(FAILED, code, message);
    Atomics.notify(this.words, ANSWERED);
  }
}

/** The replica's end. */
export class HandoverWriter {
  /** Longest payload that `claim` accepts. */
  readonly payloadMax: number;
  /** The queue's records: write where `claim` pointed. */
  readonly bytes: Buffer;
  readonly #shared: Shared;
  #tail: number;
  #head: number;

  constructor(memory: SharedArrayBuffer) {
    this.#shared = new Shared(memory);
    this.bytes = this.#shared.bytes;
    this.payloadMax = this.#shared.capacity / RECORD_SHARE - RECORD_HEADER_BYTES;
    this.#tail = Atomics.load(this.#shared.words, TAIL);
    this.#head = Atomics.load(this.#shared.words, HEAD);
  }

  /** Why the store has ended. */
  get failure(): StorageError | null {
    return this.#shared.error(FAILED);
  }

  get full(): boolean {
    return Atomics.load(this.#shared.words, FULL) !== 0;
  }

  /** Low 32 bits, see above. */
  get flushedLow(): number {
    return Atomics.load(this.#shared.words, FLUSHED);
  }

  get checkpointLow(): number {
    return Atomics.load(this.#shared.words, CHECKPOINT);
  }

  /** @returns where in `bytes` a payload of `length` goes, or -1 while there is no room. */
  claim(kind: number, length: number): number {
    if (!(length <= this.payloadMax)) violated(`${length} bytes, the limit is ${this.payloadMax}`);
    const { capacity } = this.#shared;
    const space = spaceOf(length);
    const at = this.#tail & (capacity - 1);
    const toEnd = capacity - at;
    const wraps = space > toEnd;
    const needed = wraps ? toEnd + space : space;
    if (!this.#has(needed)) return -1;
    if (wraps) {
      this.bytes.writeUInt32LE(toEnd - RECORD_HEADER_BYTES, at);
      this.bytes.writeUInt32LE(WRAP, at + 4);
    }
    const start = wraps ? 0 : at;
    this.bytes.writeUInt32LE(length, start);
    this.bytes.writeUInt32LE(kind, start + 4);
    this.#tail = (this.#tail + needed) | 0;
    return start + RECORD_HEADER_BYTES;
  }

  #has(needed: number): boolean {
    const { words, capacity } = this.#shared;
    if (((this.#tail - this.#head) | 0) + needed <= capacity) return true;
    this.#head = Atomics.load(words, HEAD);
    return ((this.#tail - this.#head) | 0) + needed <= capacity;
  }

  /** Makes everything claimed visible; the payloads are complete. */
  publish(): void {
    const { words } = this.#shared;
    if (Atomics.load(words, TAIL) === this.#tail) return;
    Atomics.store(words, TAIL, this.#tail);
    this.#ring();
  }

  #ring(): void {
    const { words } = this.#shared;
    if (Atomics.load(words, ASLEEP) === 0) return;
    Atomics.store(words, ASLEEP, 0);
    Atomics.notify(words, ASLEEP);
  }

  #hurry(): void {
    const { words } = this.#shared;
    Atomics.store(words, URGENT, 1);
    Atomics.notify(words, URGENT);
    this.#ring();
  }

  /** Numbers never come back, not even for a successor of this thread. */
  newRequest(): number {
    return Atomics.add(this.#shared.words, REQUESTS, 1) + 1;
  }

  /** @throws {StorageError} when the store has failed, or waits for room on the disk: who knows for how long */
  #expectWorking(): void {
    const { failure } = this;
    if (failure !== null) throw failure;
    if (Atomics.load(this.#shared.words, FULL) === STUCK)
      throw new StorageError('VR_DISK', 'the disk is full', { full: true });
  }

  /** Blocks until the store answers `request`. @throws {StorageError} when it refuses, has failed, or the disk is full */
  await(request: number): void {
    const { words } = this.#shared;
    this.#hurry();
    for (;;) {
      const answered = Atomics.load(words, ANSWERED);
      if (answered === request) {
        const refusal = this.#shared.error(REFUSED);
        if (refusal !== null) throw refusal;
        return;
      }
      this.#expectWorking();
      Atomics.wait(words, ANSWERED, answered, SLEEP_MAX_MS);
    }
  }

  /** Blocks until there may be more room. @throws {StorageError} when the store has failed, or the disk is full */
  awaitRoom(): void {
    const { words } = this.#shared;
    this.#expectWorking();
    this.#hurry();
    Atomics.wait(words, HEAD, this.#head, SLEEP_MAX_MS);
  }
}

/** The store's end. */
export class HandoverReader {
  readonly bytes: Buffer;
  readonly #shared: Shared;
  readonly #bell: Bell | null;
  readonly #bellWords: Int32Array | null;
  /** Of the record that `next` returned last. */
  kind = 0;
  at = 0;
  length = 0;
  #position: number;
  #following: number;

  constructor(memory: SharedArrayBuffer, bell: Bell | null) {
    this.#shared = new Shared(memory);
    this.bytes = this.#shared.bytes;
    this.#bell = bell;
    this.#bellWords = bell === null ? null : new Int32Array(bell.memory);
    this.#position = Atomics.load(this.#shared.words, HEAD);
    this.#following = this.#position;
  }

  /** Looks at the record behind those that were taken. @returns whether there is one: see `kind`, `at`, `length`. */
  peek(): boolean {
    const { words, capacity } = this.#shared;
    const tail = Atomics.load(words, TAIL);
    for (;;) {
      if (this.#position === tail) return false;
      const at = this.#position & (capacity - 1);
      const length = this.bytes.readUInt32LE(at);
      const kind = this.bytes.readUInt32LE(at + 4);
      if (kind === WRAP) {
        this.#position = (this.#position + spaceOf(length)) | 0;
        continue;
      }
      this.kind = kind;
      this.at = at + RECORD_HEADER_BYTES;
      this.length = length;
      this.#following = (this.#position + spaceOf(length)) | 0;
      return true;
    }
  }

  /** Takes the record that `peek` showed; its bytes stay until `release`. */
  take(): void {
    this.#position = this.#following;
  }

  /** Bytes that were taken and not released. */
  get taken(): number {
    return (this.#position - Atomics.load(this.#shared.words, HEAD)) | 0;
  }

  /** Bytes that were not released. */
  get waiting(): number {
    const { words } = this.#shared;
    return (Atomics.load(words, TAIL) - Atomics.load(words, HEAD)) | 0;
  }

  get capacity(): number {
    return this.#shared.capacity;
  }

  /** What was taken is done. */
  release(): void {
    Atomics.store(this.#shared.words, HEAD, this.#position);
    Atomics.notify(this.#shared.words, HEAD);
  }

  /** What was taken and not released will be shown again. */
  rewind(): void {
    this.#position = Atomics.load(this.#shared.words, HEAD);
  }

  get stopping(): boolean {
    return Atomics.load(this.#shared.words, STOP) !== 0;
  }

  get urgent(): boolean {
    return Atomics.load(this.#shared.words, URGENT) !== 0;
  }

  /** Sleeps until a record is published, or a stop is asked for, at most for `timeoutMs` and a short while. */
  sleep(timeoutMs: number): void {
    const { words } = this.#shared;
    Atomics.store(words, ASLEEP, 1);
    if (Atomics.load(words, TAIL) === this.#position && !this.stopping)
      Atomics.wait(words, ASLEEP, 1, Math.min(timeoutMs, SLEEP_MAX_MS));
    Atomics.store(words, ASLEEP, 0);
  }

  /** Sleeps for `timeoutMs` whatever is published, unless something is urgent. */
  pause(timeoutMs: number): void {
    Atomics.wait(this.#shared.words, URGENT, 0, timeoutMs);
  }

  /** Sleeps for `timeoutMs`, unless it is to stop. */
  rest(timeoutMs: number): void {
    Atomics.wait(this.#shared.words, STOP, 0, timeoutMs);
  }

  /** @param refusal null: it is done */
  answer(request: number, refusal: StorageError | null = null): void {
    if (refusal === null) Atomics.store(this.#shared.words, REFUSED, 0);
    else this.#shared.setError(REFUSED, refusal.code, refusal.message);
    Atomics.store(this.#shared.words, URGENT, 0);
    Atomics.store(this.#shared.words, ANSWERED, request);
    Atomics.notify(this.#shared.words, ANSWERED);
  }

  publishFlushed(op: number): void {
    Atomics.store(this.#shared.words, FLUSHED, op | 0);
    this.#wake();
  }

  publishCheckpoint(op: number): void {
    Atomics.store(this.#shared.words, CHECKPOINT, op | 0);
    this.#wake();
  }

  publishFull(fullness: Fullness): void {
    if (Atomics.exchange(this.#shared.words, FULL, fullness) === fullness) return;
    Atomics.notify(this.#shared.words, ANSWERED);
    this.#wake();
  }

  fail(code: StorageErrorCode, message: string): void {
    this.#shared.fail(code, message);
    this.#wake();
  }

  #wake(): void {
    if (this.#bellWords === null || this.#bell === null) return;
    Atomics.store(this.#bellWords, this.#bell.at, 0);
    Atomics.notify(this.#bellWords, this.#bell.at);
  }
}

/** What the starter of the store's thread may do. */
export class HandoverControl {
  readonly #shared: Shared;

  constructor(memory: SharedArrayBuffer) {
    this.#shared = new Shared(memory);
  }

  stop(): void {
    const { words } = this.#shared;
    Atomics.store(words, STOP, 1);
    Atomics.store(words, URGENT, 1);
    Atomics.store(words, ASLEEP, 0);
    Atomics.notify(words, STOP);
    Atomics.notify(words, URGENT);
    Atomics.notify(words, ASLEEP);
  }

  /** For a thread that can no longer say so itself. */
  fail(code: StorageErrorCode, message: string): void {
    this.#shared.fail(code, message);
  }

  /** Why the store has ended. */
  get failure(): StorageError | null {
    return this.#shared.error(FAILED);
  }
}
