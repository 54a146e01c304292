// Random words from the system, drawn in blocks: asking for one at a time costs more than sending a request.

import { randomFillSync } from 'node:crypto';

const WORDS = new Uint32Array(256);
let left = 0;

/** Uniform unsigned 32 bits. */
export function random32(): number {
  if (left === 0) {
    randomFillSync(WORDS);
    left = WORDS.length;
  }
  return WORDS[--left] ?? 0;
}
