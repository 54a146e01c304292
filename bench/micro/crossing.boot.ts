// What the receiving thread of a crossing starts with. Doorbells and progress stand where those of the ring stress run stand.

/** Frames that the sender waits for, ever growing and wrapping, beside the words of ring-stress.boot.ts. */
export const WANTED_WORD = 96;

export type Carrier = 'ring' | 'ringbuf.js' | 'postMessage';

export interface CrossingBoot {
  readonly carrier: Carrier;
  /** Of the ring; messages of postMessage need none. */
  readonly ring: SharedArrayBuffer;
  readonly words: SharedArrayBuffer;
  readonly frameBytes: number;
  /** How much of a frame the checksum of its record covers. */
  readonly covered: number;
  readonly spinMicros: number;
}
