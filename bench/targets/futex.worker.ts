// The other end of a round trip: answers each time that it is woken, until it is ended.

import { workerData } from 'node:worker_threads';
import { ASKED_WORD, DONE_WORD } from './futex.boot.js';

const words = workerData as Int32Array;
for (let done = 0; ; ) {
  Atomics.wait(words, ASKED_WORD, done);
  Atomics.store(words, DONE_WORD, ++done);
  Atomics.notify(words, DONE_WORD);
}
