// The receiving end of a crossing: takes frames as fast as it can, looks at each as a replica does before it decodes it, and tells the
// sender when all that it waits for have come. A frame that is not what was sent ends the thread.

import { parentPort, workerData } from 'node:worker_threads';
import { Doorbell } from '#dist/transport/doorbell.js';
import { SpinThenBlock } from '#dist/transport/idle.js';
import { RingReader } from '#dist/transport/ring.js';
import { type CrossingBoot, WANTED_WORD } from './crossing.boot.js';
import { CONSUMER_WORD, PRODUCER_WORD, PROGRESS_WORD } from './ring-stress.boot.js';
import { FrameReader } from './ringbuf-frames.js';

/** As many as a replica takes in one pass. */
const POLL_FRAMES = 64;
/** The sender may be busy with other measurements for a while. */
const SLEEP_MS = 1000;

const boot = workerData as CrossingBoot;
const words = new Int32Array(boot.words);
const sender = new Doorbell(words, PRODUCER_WORD);
let received = 0;

function count(frames: number): void {
  received = (received + frames) | 0;
  Atomics.store(words, PROGRESS_WORD, received);
  if (received === Atomics.load(words, WANTED_WORD)) sender.ring();
}

function check(bytes: number): void {
  if (bytes !== boot.frameBytes)
    throw new Error(`a frame of ${bytes} bytes came, ${boot.frameBytes} were sent`);
}

interface Source {
  hasData(): boolean;
  /** Takes a pass's worth. @returns frames */
  poll(): number;
}

function fromRing(): Source {
  const ring = new RingReader(boot.ring);
  const release = (): void => {
    if (ring.release()) sender.ring();
  };
  return {
    hasData: () => ring.hasData(),
    poll: () => {
      let frames = 0;
      for (; frames < POLL_FRAMES && ring.peek(); frames++) {
        check(ring.length);
        if (!ring.verify(boot.covered)) throw new Error('a frame changed on its way');
        ring.consume();
        if (ring.unreleased >= ring.capacity / 4) release();
      }
      release();
      return frames;
    },
  };
}

function fromRingbuf(): Source {
  const reader = new FrameReader(boot.ring, boot.frameBytes);
  return {
    hasData: () => reader.hasData(),
    poll: () => {
      let frames = 0;
      for (; frames < POLL_FRAMES; frames++) {
        const bytes = reader.read();
        if (bytes < 0) break;
        check(bytes);
      }
      if (frames > 0) sender.ring();
      return frames;
    },
  };
}

/** Ends with the thread. */
function receive(source: Source): never {
  const { spinMicros } = boot;
  const doorbell = new Doorbell(words, CONSUMER_WORD);
  const idler = { doorbell, hasData: () => source.hasData(), beforePark: () => 0 };
  const idle = new SpinThenBlock(idler, { spinMicros, timeoutMs: () => SLEEP_MS });
  for (;;) {
    const frames = source.poll();
    if (frames > 0) count(frames);
    idle.idle(frames);
  }
}

if (boot.carrier === 'ring') receive(fromRing());
else if (boot.carrier === 'ringbuf.js') receive(fromRingbuf());
else
  parentPort?.on('message', (frame: Uint8Array) => {
    check(frame.length);
    count(1);
  });
