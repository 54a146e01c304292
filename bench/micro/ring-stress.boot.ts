// What a thread of the ring stress run starts with, and what it answers.

export interface StressBoot {
  readonly role: 'producer' | 'consumer';
  readonly ring: SharedArrayBuffer;
  /** Words: doorbell of the producer, of the consumer, messages consumed so far. */
  readonly words: SharedArrayBuffer;
  readonly messages: number;
  readonly bytesMin: number;
  readonly bytesMax: number;
  /** How the consumer sleeps: blocking, or on its event loop as replicas do. */
  readonly sleep: 'block' | 'park';
  readonly spinMicros: number;
}

export interface StressResult {
  readonly role: 'producer' | 'consumer';
  readonly bytes: number;
  readonly gaps: number;
  readonly firstGap: string;
  readonly sleeps: number;
  readonly overslept: number;
}

export const PRODUCER_WORD = 0;
export const CONSUMER_WORD = 32;
export const PROGRESS_WORD = 64;
export const STRESS_WORDS_BYTES = 512;
