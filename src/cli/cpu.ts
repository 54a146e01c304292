// CPU time of all threads of this process. Wall-clock figures of a shared machine move by a factor of two with its neighbours,
// CPU time per operation by a tenth. It does not tell one thread from another.

import { readdirSync, readFileSync } from 'node:fs';

/** Nanoseconds since the process began; threads that have ended no longer count. */
export function processCpuNs(): number {
  try {
    let sum = 0;
    for (const tid of readdirSync('/proc/self/task')) sum += threadNs(tid);
    return sum;
  } catch {
    const { user, system } = process.cpuUsage();
    return (user + system) * 1e3;
  }
}

function threadNs(tid: string): number {
  try {
    return Number(readFileSync(`/proc/self/task/${tid}/schedstat`, 'utf8').split(' ')[0]);
  } catch (error) {
    // The thread ended between the two reads; a system without schedstat falls back as a whole.
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return 0;
    throw error;
  }
}
