// Who has a data directory: which process, on which machine, since when. A process id alone proves nothing, since ids are given
// again; with the start time of the process it does, where the system tells it.

import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';

export interface Owner {
  readonly pid: number;
  /** Clock ticks from the boot of the machine to the start of the process; null where the system does not tell. */
  readonly startTime: string | null;
  /** Changes with every boot; null where the system does not tell. */
  readonly bootId: string | null;
  readonly hostname: string;
}

/** `elsewhere`: on another host, about whose processes nothing can be known here. */
export type OwnerState = 'self' | 'alive' | 'dead' | 'elsewhere';

export function thisProcess(): Owner {
  return {
    pid: process.pid,
    startTime: startTimeOf(process.pid),
    bootId: bootId(),
    hostname: hostname(),
  };
}

export function stateOf(owner: Owner, self: Owner = thisProcess()): OwnerState {
  if (owner.hostname !== self.hostname) return 'elsewhere';
  if (owner.bootId !== null && self.bootId !== null && owner.bootId !== self.bootId) return 'dead';
  if (!exists(owner.pid)) return 'dead';
  const startTime = startTimeOf(owner.pid);
  if (owner.startTime !== null && startTime !== null && owner.startTime !== startTime)
    return 'dead';
  return owner.pid === self.pid ? 'self' : 'alive';
}

/** @returns null where the system does not tell. */
export function bootId(): string | null {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return null;
  }
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function startTimeOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field is the name in parentheses, and may hold anything; start time is the 22nd.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null;
  } catch {
    return null;
  }
}
