// One side of the ring stress run. The producer writes messages whose every byte follows from the message's number, the
// consumer checks number, length and checksum of each; both sleep on doorbells whenever there is nothing to do.

import { parentPort, workerData } from 'node:worker_threads';
import { Doorbell } from '#dist/transport/doorbell.js';
import { type Idler, SpinThenBlock, SpinThenPark } from '#dist/transport/idle.js';
import { RingReader, RingWriter } from '#dist/transport/ring.js';
import {
  CONSUMER_WORD,
  PRODUCER_WORD,
  PROGRESS_WORD,
  type StressBoot,
  type StressResult,
} from './ring-stress.boot.js';

/** A wait this long beside data is a wake-up that was lost. */
const OVERSLEPT_MS = 5000;
const BATCH_MAX = 32;
const POLL_MAX = 64;
const HEAD_BYTES = 8;

/** Lengths of messages, the same on both sides. */
class Lengths {
  readonly #min: number;
  readonly #span: number;
  #state = 0x9e3779b9;

  constructor(min: number, max: number) {
    this.#min = min;
    this.#span = max - min + 1;
  }

  next(): number {
    let state = this.#state;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.#state = state;
    return this.#min + ((state >>> 0) % this.#span);
  }
}

function mix(sum: number, value: number): number {
  return (Math.imul(sum, 31) + value) | 0;
}

const boot = workerData as StressBoot;
const words = new Int32Array(boot.words);
const producerBell = new Doorbell(words, PRODUCER_WORD);
const consumerBell = new Doorbell(words, CONSUMER_WORD);
const lengths = new Lengths(boot.bytesMin, boot.bytesMax);

function produce(): StressResult {
  const ring = new RingWriter(boot.ring);
  const cells = new Int32Array(ring.bytes.buffer, ring.bytes.byteOffset, ring.capacity / 4);
  const idler: Idler = {
    doorbell: producerBell,
    hasData: () => {
      ring.askForRoom();
      return ring.free() >= ring.capacity / 2;
    },
    beforePark: () => 0,
  };
  const options = { spinMicros: boot.spinMicros, timeoutMs: () => OVERSLEPT_MS };
  const idle = new SpinThenBlock(idler, options);
  let bytes = 0;
  let sent = 0;
  let length = lengths.next();
  while (sent < boot.messages) {
    const batch = 1 + (sent % BATCH_MAX);
    let written = 0;
    while (written < batch && sent < boot.messages) {
      const at = ring.claim(length);
      if (at < 0) break;
      write(ring, cells, { at, length, number: sent });
      bytes += length;
      sent++;
      written++;
      length = lengths.next();
    }
    if (ring.publish()) consumerBell.ring();
    idle.idle(written);
  }
  const { sleeps, overslept } = idle;
  return { role: 'producer', bytes, gaps: 0, firstGap: '', sleeps, overslept };
}

/** number, checksum, then words that follow from the number, then up to three bytes. */
function write(
  ring: RingWriter,
  cells: Int32Array,
  message: { at: number; length: number; number: number },
): void {
  const { at, length, number } = message;
  const end = (at + length) >> 2;
  let word = Math.imul(number, 0x85ebca6b) | 0;
  let sum = mix(length, number);
  for (let cell = (at + HEAD_BYTES) >> 2; cell < end; cell++) {
    word = (word + 0x61c88647) | 0;
    cells[cell] = word;
    sum = mix(sum, word);
  }
  for (let byte = end << 2; byte < at + length; byte++) {
    ring.bytes[byte] = number & 0xff;
    sum = mix(sum, number & 0xff);
  }
  cells[at >> 2] = number;
  cells[(at >> 2) + 1] = sum;
}

class Checker {
  readonly ring = new RingReader(boot.ring);
  bytes = 0;
  received = 0;
  gaps = 0;
  firstGap = '';
  readonly #cells = new Int32Array(
    this.ring.bytes.buffer,
    this.ring.bytes.byteOffset,
    this.ring.capacity / 4,
  );

  poll(): number {
    const { ring } = this;
    let count = 0;
    while (count < POLL_MAX && ring.peek()) {
      const { offset, length } = ring;
      const wrong = this.#wrong(offset, length);
      if (wrong !== null) {
        this.gaps++;
        if (this.firstGap === '') this.firstGap = `message ${this.received}: ${wrong}`;
      }
      this.bytes += length;
      this.received++;
      ring.consume();
      count++;
    }
    if (ring.release()) producerBell.ring();
    this.gaps += ring.corrupt;
    if (count > 0) Atomics.store(words, PROGRESS_WORD, this.received | 0);
    return count;
  }

  #wrong(at: number, length: number): string | null {
    const expected = lengths.next();
    if (length !== expected) return `length ${length} instead of ${expected}`;
    const number = this.#cells[at >> 2] as number;
    if (number !== this.received) return `number ${number}`;
    const end = (at + length) >> 2;
    let sum = mix(length, number);
    for (let cell = (at + HEAD_BYTES) >> 2; cell < end; cell++)
      sum = mix(sum, this.#cells[cell] as number);
    for (let byte = end << 2; byte < at + length; byte++)
      sum = mix(sum, this.ring.bytes[byte] as number);
    return sum === this.#cells[(at >> 2) + 1] ? null : 'checksum';
  }
}

async function consume(): Promise<StressResult> {
  const checker = new Checker();
  const idler: Idler = {
    doorbell: consumerBell,
    hasData: () => checker.ring.hasData(),
    beforePark: () => 0,
  };
  const block = new SpinThenBlock(idler, {
    spinMicros: boot.spinMicros,
    timeoutMs: () => OVERSLEPT_MS,
  });
  const park = new SpinThenPark(idler, { spinMicros: boot.spinMicros });
  // Waiting on the doorbell keeps no thread alive by itself. It never rings: a lost wake-up must stay lost.
  const alive = setInterval(() => {}, 1000);
  while (checker.received < boot.messages && checker.gaps === 0) {
    const work = checker.poll();
    if (checker.received >= boot.messages) break;
    if (boot.sleep === 'block') block.idle(work);
    else {
      const slept = park.idle(work);
      if (slept !== null) await slept;
    }
  }
  clearInterval(alive);
  return {
    role: 'consumer',
    bytes: checker.bytes,
    gaps: checker.gaps,
    firstGap: checker.firstGap,
    sleeps: block.sleeps + park.sleeps,
    overslept: block.overslept,
  };
}

const result = boot.role === 'producer' ? produce() : await consume();
parentPort?.postMessage(result);
