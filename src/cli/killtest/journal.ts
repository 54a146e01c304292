// What the clients of a process that will be killed say to the process that kills it, over a pipe for each thread: what they are about
// to send, and then what was answered. It is written by plain blocking calls: what was said before the kill is in the pipe, and at
// most the last line is cut off.

import { writeSync } from 'node:fs';
import { type Recorder, type Step, sharedClock } from '../soak/history.js';

/** What an append does; see `Appender`. */
export type AppendKind = 'set' | 'batch' | 'incr' | 'cas';

/** Times are of `sharedClock`. */
export type JournalRecord =
  | {
      readonly type: 'begin';
      readonly row: number;
      readonly client: number;
      readonly steps: readonly Step[];
      readonly at: number;
    }
  | {
      readonly type: 'end';
      readonly row: number;
      readonly output: number | null;
      readonly at: number;
    }
  | { readonly type: 'refuse'; readonly row: number }
  | {
      readonly type: 'sent';
      readonly lane: number;
      readonly seq: number;
      readonly kind: AppendKind;
      readonly at: number;
    }
  | ({
      readonly type: 'acked';
      readonly lane: number;
      readonly seq: number;
      readonly at: number;
    } & Answer)
  | { readonly type: 'refused'; readonly lane: number; readonly seq: number };

export interface Answer {
  /** null: the store does not tell it of such an operation. */
  readonly revision: number | null;
  /** Of a counter after it was raised. */
  readonly value: number | null;
}

export class JournalWriter implements Recorder {
  readonly #fd: number;
  #rows = 0;

  constructor(fd: number) {
    this.#fd = fd;
  }

  begin(client: number, steps: readonly Step[]): number {
    const row = this.#rows++;
    this.write({ type: 'begin', row, client, steps, at: sharedClock() });
    return row;
  }

  end(row: number, output?: number): void {
    this.write({ type: 'end', row, output: output ?? null, at: sharedClock() });
  }

  refuse(row: number): void {
    this.write({ type: 'refuse', row });
  }

  write(record: JournalRecord): void {
    const line = Buffer.from(`${JSON.stringify(record)}\n`);
    for (let at = 0; at < line.length; ) at += writeSync(this.#fd, line, at);
  }
}

/** All whole lines; what is cut off was not said. */
export function parseJournal(text: string): JournalRecord[] {
  const lines = text.split('\n');
  lines.pop();
  return lines.map((line) => JSON.parse(line) as JournalRecord);
}
