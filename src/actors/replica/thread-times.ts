// How long this thread was on a core, and how long it was ready to run while others had the cores. On a host with more busy threads than
// cores the wait is most of what a wall clock sees, and nothing that the thread itself could do better.

import { openSync, readSync } from 'node:fs';

/** Linux: nanoseconds on a core, nanoseconds waiting for one, how often. */
const SCHEDSTAT = '/proc/thread-self/schedstat';
const SPACE = 0x20;
const ZERO = 0x30;

export class ThreadTimes {
  readonly #bytes = Buffer.alloc(96);
  readonly #fd: number | null = fileOfThread();

  /** Nanoseconds on a core since the thread began; always 0 where the system does not say. */
  onCoreNs(): number {
    return this.#numberAt(this.#read(), 0);
  }

  /** Milliseconds of waiting for one; always 0 where the system does not say. */
  waitedMs(): number {
    const length = this.#read();
    return this.#numberAt(length, this.#bytes.indexOf(SPACE) + 1) / 1e6;
  }

  #read(): number {
    return this.#fd === null ? 0 : readSync(this.#fd, this.#bytes, 0, this.#bytes.length, 0);
  }

  #numberAt(length: number, from: number): number {
    let number = 0;
    for (let at = from; at < length && this.#bytes[at] !== SPACE; at++)
      number = number * 10 + (this.#bytes[at] as number) - ZERO;
    return number;
  }
}

let file: { readonly fd: number | null } | null = null;

/** Open as long as the thread lives, however many ask; null where there is no such file. It is of the thread that opened it, whoever reads. */
function fileOfThread(): number | null {
  file ??= { fd: open() };
  return file.fd;
}

function open(): number | null {
  try {
    return openSync(SCHEDSTAT, 'r');
  } catch {
    return null;
  }
}
