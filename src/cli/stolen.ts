// What the host of a virtual machine gave to others although this one had work. The capacity gate looks before and after a
// measurement, this looks at the measurement itself: cores come and go within a second.

import { readFileSync } from 'node:fs';

/** Of the time of all cores; above this, figures are marked or measured once more. */
export const STOLEN_MOST = 0.05;

/** Kinds of time in a line of /proc/stat; those behind them are in them already. */
const KINDS = 8;
const STEAL = 7;

/** Time of all cores since the system started, in its own ticks. */
export interface MachineTicks {
  readonly all: number;
  readonly stolen: number;
}

/** `stat`: the text of /proc/stat. @returns null when it is none, or of a system that does not count what is stolen. */
export function parseTicks(stat: string): MachineTicks | null {
  const fields = /^cpu +(.*)$/m.exec(stat)?.[1]?.split(' ') ?? [];
  const ticks = fields.slice(0, KINDS).map(Number);
  const stolen = ticks[STEAL];
  if (stolen === undefined || !ticks.every(Number.isFinite)) return null;
  return { all: ticks.reduce((sum, kind) => sum + kind, 0), stolen };
}

function readTicks(): MachineTicks | null {
  try {
    return parseTicks(readFileSync('/proc/stat', 'utf8'));
  } catch {
    return null;
  }
}

/** Counts from when it is made. */
export class StolenTime {
  readonly #read: () => MachineTicks | null;
  readonly #before: MachineTicks | null;

  constructor(read: () => MachineTicks | null = readTicks) {
    this.#read = read;
    this.#before = read();
  }

  /** Of the time of all cores since then, 0 to 1; null where the system does not tell, or no tick has passed. */
  share(): number | null {
    const now = this.#read();
    if (this.#before === null || now === null) return null;
    const all = now.all - this.#before.all;
    return all > 0 ? (now.stolen - this.#before.stolen) / all : null;
  }
}
