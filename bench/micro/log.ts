// The log: what arrives is copied behind the rest, what is streamed is sliced out, and both of its ends are cut.

import {
  appendCopy,
  appendOwned,
  collectTo,
  emptyLog,
  head,
  type Log,
  restartAbove,
  slice,
  truncateTo,
} from '#dist/protocol/log.js';
import type { Entry } from '#dist/protocol/message.js';
import type { Chain } from '#dist/protocol/types.js';
import type { Part, Piece, Started } from './piece.js';

const CHAIN: Chain = [0, 0, 0, 0];
const NOTHING = { op: 0, chain: CHAIN, ts: 0 };
/** Entries that are appended before the log begins anew. */
const APPENDED = 64;
/** Entries of the log that is sliced and cut, and bytes of a slice, as of a message. */
const ENTRIES = 2048;
const ENTRY_BYTES = 1 << 10;
const SLICE_BYTES = 128 << 10;
const CUT = ENTRIES / 2;

function entriesOf(count: number, bytes: number): Entry[] {
  const body = new Uint8Array(new SharedArrayBuffer(bytes)).fill(7);
  return Array.from({ length: count }, (_, at) => ({
    op: at + 1,
    epoch: 0,
    view: 0,
    ts: at + 1,
    seed: 0,
    kind: 'batch',
    count: 1,
    body,
    chain: CHAIN,
  }));
}

function reusing(): Log {
  const log = emptyLog(CHAIN);
  log.arena.reuses = true;
  return log;
}

function appending(name: string, bytes: number): Piece {
  return {
    name: `log: append a copy of an entry of ${name}`,
    bytes,
    start: () => {
      const log = reusing();
      const entries = entriesOf(APPENDED, bytes);
      return {
        count: APPENDED,
        run: () => {
          for (const entry of entries) appendCopy(log, entry);
          restartAbove(log, NOTHING);
        },
      };
    },
  };
}

function slicing(): Started {
  const log = reusing();
  for (const entry of entriesOf(ENTRIES, ENTRY_BYTES)) appendOwned(log, entry);
  return {
    count: ENTRIES,
    run: () => {
      let fromOp = 1;
      while (fromOp <= ENTRIES)
        fromOp += slice(log, { fromOp, toOp: head(log), bytes: SLICE_BYTES }).length;
    },
  };
}

/** `cut` takes CUT entries of ENTRIES; only that is timed. */
function cutting(cut: (log: Log) => void): Started {
  const log = reusing();
  const entries = entriesOf(ENTRIES, ENTRY_BYTES);
  const run = (): Part => {
    const begin = performance.now();
    restartAbove(log, NOTHING);
    for (const entry of entries) appendOwned(log, entry);
    const full = performance.now();
    cut(log);
    const end = performance.now();
    if (log.entries.length !== ENTRIES - CUT) throw new Error('the cut took something else');
    return { overriddenDuration: end - full, overriddenIterationCost: end - begin };
  };
  return { count: CUT, partly: true, run };
}

export function log(): Piece[] {
  return [
    appending('1 KiB', 1 << 10),
    appending('32 KiB', 32 << 10),
    { name: 'log: slice an entry out', start: slicing },
    {
      name: 'log: truncate the end, an entry',
      start: () => cutting((log) => truncateTo(log, ENTRIES - CUT)),
    },
    {
      name: 'log: drop the front, an entry',
      start: () => cutting((log) => collectTo(log, CUT)),
    },
  ];
}
