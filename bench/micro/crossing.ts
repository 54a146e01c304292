// Frames from one thread to another: by the ring, by what else there is for it, and beside them the copy alone. A call sends a number of
// frames and waits until the other thread has taken the last one. Both threads sleep on doorbells as actors do, whatever carries the frames.

import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { Doorbell } from '#dist/transport/doorbell.js';
import { coveredBytes } from '#dist/transport/frame.js';
import { SpinThenBlock, spinBudgetMicros } from '#dist/transport/idle.js';
import { RingReader, RingWriter, ringMemoryBytes } from '#dist/transport/ring.js';
import { type Carrier, type CrossingBoot, WANTED_WORD } from './crossing.boot.js';
import type { Piece, Started } from './piece.js';
import {
  CONSUMER_WORD,
  PRODUCER_WORD,
  PROGRESS_WORD,
  STRESS_WORDS_BYTES,
} from './ring-stress.boot.js';
import { FrameWriter, ringbufMemory } from './ringbuf-frames.js';

export interface FrameSize {
  readonly name: string;
  readonly bytes: number;
  /** Frames of one call. */
  readonly count: number;
}

export const FRAMES_64B: FrameSize = { name: '64 B', bytes: 64, count: 16_384 };
export const FRAMES_1MIB: FrameSize = { name: '1 MiB', bytes: 1 << 20, count: 32 };
const FRAME_SIZES: readonly FrameSize[] = [
  FRAMES_64B,
  { name: '1 KiB', bytes: 1 << 10, count: 8192 },
  { name: '64 KiB', bytes: 64 << 10, count: 256 },
  FRAMES_1MIB,
];

/** How long both ends spin before they sleep is decided as in a cluster: three replicas, their supervisor and a client. */
const THREADS = 5;
const RING_BYTES = 1 << 20;
/** The default ring, or one in which a few of the frames fit. */
const FRAMES_PER_RING = 8;
/** As many as one pass publishes at once, if they leave room for the next. */
const BURST_FRAMES = 64;
const BURST_SHARE = 8;
/** Without one frame for so long, the other thread is gone. */
const STUCK_MS = 10_000;

function nameOf(size: FrameSize, what: string): string {
  return `frames of ${size.name}: ${what}`;
}

function capacityFor({ bytes }: FrameSize): number {
  return Math.max(RING_BYTES, FRAMES_PER_RING * bytes);
}

function burstFor(size: FrameSize): number {
  return Math.min(BURST_FRAMES, capacityFor(size) / BURST_SHARE / size.bytes);
}

/** As log entries lie: in memory that a copy into a ring does not leave. */
function sharedFrame({ bytes }: FrameSize): Uint8Array {
  return new Uint8Array(new SharedArrayBuffer(bytes)).fill(7);
}

/** The sending end: starts the receiving thread, wakes it and waits for it. */
class Sender {
  readonly receiver: Doorbell;
  readonly #worker: Worker;
  readonly #words = new Int32Array(new SharedArrayBuffer(STRESS_WORDS_BYTES));
  readonly #spinMicros = spinBudgetMicros(THREADS, availableParallelism());
  readonly #doorbell = new Doorbell(this.#words, PRODUCER_WORD);
  readonly #all: () => void;
  #wanted = 0;

  constructor(carrier: Carrier, size: FrameSize, ring: SharedArrayBuffer, covered: number) {
    this.receiver = new Doorbell(this.#words, CONSUMER_WORD);
    const boot: CrossingBoot = {
      carrier,
      ring,
      words: this.#words.buffer as SharedArrayBuffer,
      frameBytes: size.bytes,
      covered,
      spinMicros: this.#spinMicros,
    };
    this.#worker = new Worker(new URL('./crossing.worker.js', import.meta.url), {
      name: nameOf(size, carrier),
      workerData: boot,
    });
    this.#all = this.waiting(() => Atomics.load(this.#words, PROGRESS_WORD) === this.#wanted);
  }

  /** @returns what sleeps until `ready`; the receiver has to ring then. */
  waiting(ready: () => boolean): () => void {
    const idler = { doorbell: this.#doorbell, hasData: ready, beforePark: () => 0 };
    const idle = new SpinThenBlock(idler, {
      spinMicros: this.#spinMicros,
      timeoutMs: () => STUCK_MS,
    });
    return () => {
      const begin = performance.now();
      while (!ready()) {
        if (performance.now() - begin > STUCK_MS) throw new Error('the other thread takes nothing');
        idle.idle(0);
      }
    };
  }

  /** Before `frames` frames are sent. */
  expect(frames: number): void {
    this.#wanted = (this.#wanted + frames) | 0;
    Atomics.store(this.#words, WANTED_WORD, this.#wanted);
  }

  /** Waits until everything was taken. */
  finish(): void {
    this.#all();
  }

  post(frame: Uint8Array): void {
    this.#worker.postMessage(frame);
  }

  close(): Promise<unknown> {
    return this.#worker.terminate();
  }
}

/** `covered`: how much of a frame its checksum covers. */
function startRing(size: FrameSize, covered: number): Started {
  const { bytes, count } = size;
  const memory = new SharedArrayBuffer(ringMemoryBytes(capacityFor(size)));
  const ring = new RingWriter(memory);
  const sender = new Sender('ring', size, memory, covered);
  const frame = sharedFrame(size);
  const burst = burstFor(size);
  const awaitRoom = sender.waiting(() => {
    ring.askForRoom();
    return ring.free() >= ring.capacity / 2;
  });
  return {
    count,
    run: () => {
      sender.expect(count);
      for (let left = count; left > 0; ) {
        const before = left;
        for (const end = Math.max(0, left - burst); left > end; left--) {
          const at = ring.claim(bytes, covered);
          if (at < 0) break;
          ring.bytes.set(frame, at);
        }
        if (ring.publish()) sender.receiver.ring();
        if (left === before) awaitRoom();
      }
      sender.finish();
    },
    close: () => sender.close(),
  };
}

function startRingbuf(size: FrameSize): Started {
  const { bytes, count } = size;
  const memory = ringbufMemory(capacityFor(size));
  const writer = new FrameWriter(memory);
  const sender = new Sender('ringbuf.js', size, memory, 0);
  const frame = new Int32Array(sharedFrame(size).buffer);
  const burst = burstFor(size);
  const awaitRoom = sender.waiting(() => writer.hasRoom(capacityFor(size) / 2));
  return {
    count,
    run: () => {
      sender.expect(count);
      for (let left = count; left > 0; ) {
        const before = left;
        for (const end = Math.max(0, left - burst); left > end; left--)
          if (!writer.write(frame, bytes)) break;
        if (left < before) sender.receiver.ring();
        else awaitRoom();
      }
      sender.finish();
    },
    close: () => sender.close(),
  };
}

function startPostMessage(size: FrameSize): Started {
  const { count } = size;
  const sender = new Sender('postMessage', size, new SharedArrayBuffer(0), 0);
  // Private memory: shared memory would be passed on and not cloned.
  const frame = new Uint8Array(size.bytes).fill(7);
  return {
    count,
    run: () => {
      sender.expect(count);
      for (let left = count; left > 0; left--) sender.post(frame);
      sender.finish();
    },
    close: () => sender.close(),
  };
}

function startCopy(size: FrameSize): Started {
  const { bytes, count } = size;
  const frame = sharedFrame(size);
  const target = new Uint8Array(new SharedArrayBuffer(capacityFor(size)));
  let at = 0;
  return {
    count,
    run: () => {
      for (let left = count; left > 0; left--) {
        target.set(frame, at);
        at = (at + bytes) & (target.length - 1);
      }
    },
  };
}

/** Both ends in this thread: what the ring costs without another core's cache in between. */
function startAlone(size: FrameSize): Started {
  const { bytes } = size;
  const memory = new SharedArrayBuffer(ringMemoryBytes(capacityFor(size)));
  const writer = new RingWriter(memory);
  const reader = new RingReader(memory);
  const frame = sharedFrame(size);
  const covered = coveredBytes(true, bytes);
  const count = burstFor(size);
  return {
    count,
    run: () => {
      for (let left = count; left > 0; left--) {
        const at = writer.claim(bytes, covered);
        if (at < 0) throw new Error('the ring is full');
        writer.bytes.set(frame, at);
      }
      writer.publish();
      while (reader.peek()) {
        if (!reader.verify(covered)) throw new Error('a frame changed on its way');
        reader.consume();
      }
      reader.release();
    },
  };
}

/** Frames as entries travel: of a long one the checksum covers the beginning, the chain of hashes the rest. */
export function byRing(size: FrameSize): Piece {
  const { bytes } = size;
  const start = (): Started => startRing(size, coveredBytes(true, bytes));
  return { name: nameOf(size, 'ring'), bytes, start };
}

/** What checksums add: nothing travels without one, and long frames other than entries have it over all of them. */
function byOtherRings(size: FrameSize): Piece[] {
  const { bytes } = size;
  const piece = (what: string, covered: number): Piece => ({
    name: nameOf(size, what),
    bytes,
    start: () => startRing(size, covered),
  });
  const none = piece('ring, no checksum', 0);
  const all = piece('ring, checksum over all of it', coveredBytes(false, bytes));
  return coveredBytes(true, bytes) < bytes ? [none, all] : [none];
}

/** A structured clone of each frame. */
export function byPostMessage(size: FrameSize): Piece {
  const start = (): Started => startPostMessage(size);
  return { name: nameOf(size, 'postMessage'), bytes: size.bytes, start };
}

/** From shared memory to as much shared memory as the ring has, in one thread. */
export function byCopy(size: FrameSize): Piece {
  const start = (): Started => startCopy(size);
  return { name: nameOf(size, 'memcpy'), bytes: size.bytes, start };
}

export function crossings(): Piece[] {
  return FRAME_SIZES.flatMap((size) => {
    const { bytes } = size;
    return [
      byRing(size),
      byPostMessage(size),
      { name: nameOf(size, 'ringbuf.js'), bytes, start: () => startRingbuf(size) },
      byCopy(size),
      ...byOtherRings(size),
      { name: nameOf(size, 'ring, both ends in one thread'), bytes, start: () => startAlone(size) },
    ];
  });
}
