// How long this thread was ready to run while others had the cores. On a host with more busy threads than cores that is most of
// what a wall clock sees, and nothing that the thread itself could do better.

import { openSync, readSync } from 'node:fs';

/** Linux: nanoseconds on a core, nanoseconds waiting for one, how often. */
const SCHEDSTAT = '/proc/thread-self/schedstat';

export class RunDelay {
  readonly #bytes = Buffer.alloc(96);
  /** The system closes it with the thread; null where there is no such file. */
  readonly #fd: number | null;

  constructor() {
    this.#fd = open();
  }

  /** Milliseconds since the thread began; always 0 where the system does not say. */
  read(): number {
    if (this.#fd === null) return 0;
    const bytes = this.#bytes;
    const length = readSync(this.#fd, bytes, 0, bytes.length, 0);
    let nanoseconds = 0;
    for (let at = bytes.indexOf(SPACE) + 1; at < length && bytes[at] !== SPACE; at++)
      nanoseconds = nanoseconds * 10 + (bytes[at] as number) - ZERO;
    return nanoseconds / 1e6;
  }
}

const SPACE = 0x20;
const ZERO = 0x30;

function open(): number | null {
  try {
    return openSync(SCHEDSTAT, 'r');
  } catch {
    return null;
  }
}
