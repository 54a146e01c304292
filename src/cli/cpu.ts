// CPU time of all threads of a process. Wall-clock figures of a shared machine move by a factor of two with its neighbours,
// CPU time per operation by a tenth. It does not tell one thread from another.

import { readdirSync, readFileSync } from 'node:fs';

/**
 * Nanoseconds since the process began; threads that have ended no longer count. NaN for a process other than this one where the
 * system does not tell.
 */
export function processCpuNs(pid: number | 'self' = 'self'): number {
  const tasks = `/proc/${pid}/task`;
  try {
    let sum = 0;
    for (const tid of readdirSync(tasks)) sum += threadNs(`${tasks}/${tid}`);
    return sum;
  } catch {
    if (pid !== 'self') return Number.NaN;
    const { user, system } = process.cpuUsage();
    return (user + system) * 1e3;
  }
}

function threadNs(task: string): number {
  try {
    return Number(readFileSync(`${task}/schedstat`, 'utf8').split(' ')[0]);
  } catch (error) {
    // The thread ended between the two reads; a system without schedstat falls back as a whole.
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return 0;
    throw error;
  }
}
