// Thread entry of the supervisor.

import { parentPort, workerData } from 'node:worker_threads';
import { ExitGuard, guardExit } from '../../storage/exit-guard.js';
import type { SupervisorBoot } from '../boot.js';
import { offer, type Port } from '../control.js';
import { Supervisor } from './supervisor.js';
import { supervisorControl } from './supervisor-control.js';

if (parentPort === null) throw new Error('the supervisor runs on a thread of its own');
const boot = workerData as SupervisorBoot;
// It owns the threads that write stores, which end when it does.
if (boot.settings.disk !== null) guardExit(new ExitGuard(boot.guard));
const supervisor = new Supervisor(boot);
offer(supervisorControl(supervisor, parentPort), parentPort as unknown as Port);
